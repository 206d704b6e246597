import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.emulator.admin import Fault, FaultKind, Match, Operation


def test_a_status_comes_in_googles_envelope_with_headers_and_stores_nothing(api, admin, body):
    admin.add_fault(
        Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, headers={"Retry-After": "7"})
    )
    answer = api.create(body())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert admin.jobs() == []
    assert api.create(body()).status_code == 200


def test_a_status_can_come_after_the_job_was_stored(api, admin, body):
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=500, after=True))
    assert api.create(body()).json()["error"]["status"] == "INTERNAL"
    (job,) = admin.jobs()
    (call,) = admin.requests(Operation.CREATE)
    assert (call.job, call.status, call.fault) == (job.id, 500, "status")


def test_the_envelope_may_say_something_of_its_own(api, admin):
    admin.add_fault(
        Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=400, grpc_status="OUT_OF_RANGE", message="No.")
    )
    assert api.list().json() == {"error": {"code": 400, "message": "No.", "status": "OUT_OF_RANGE"}}


def test_an_html_page_may_come_instead(api, admin):
    admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.HTML, status=502))
    answer = api.list()
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATED, FaultKind.MALFORMED, FaultKind.EMPTY])
def test_a_200_may_be_no_json(api, admin, body, kind):
    admin.add_fault(Fault(op=Operation.CREATE, kind=kind, after=True))
    answer = api.create(body())
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()
    assert len(admin.jobs()) == 1


def test_an_answer_may_be_late(api, admin):
    admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.DELAY, seconds=0.3))
    answer = api.list()
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() > 0.3


@pytest.mark.parametrize(("kind", "stored"), [(FaultKind.RESET_BEFORE, 0), (FaultKind.RESET_AFTER, 1)])
def test_a_connection_may_be_reset_before_or_after_the_job_is_stored(api, admin, body, kind, stored):
    admin.add_fault(Fault(op=Operation.CREATE, kind=kind))
    with pytest.raises(httpx.ReadError):
        api.create(body())
    assert len(admin.jobs()) == stored
    assert admin.requests(Operation.CREATE)[0].status == 0
    assert api.list().status_code == 200


def test_a_token_call_may_fail_too(emulator, admin):
    admin.add_fault(Fault(op=Operation.TOKEN, kind=FaultKind.STATUS, status=503))
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    statuses = [httpx.post(f"{emulator.url}/token", data=form, trust_env=False).status_code for _ in range(2)]
    assert statuses == [503, 200]


def test_a_fault_for_any_operation_counts_its_times(api, admin):
    admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, times=2))
    assert [api.list().status_code, api.get("1").status_code, api.list().status_code] == [503, 503, 200]


def test_a_share_of_the_calls_fails_and_the_seed_says_which(api, admin):
    def outcomes():
        admin.clear_faults()
        admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, probability=0.3, times=None))
        return [api.list().status_code for _ in range(200)]

    admin.set_settings(seed=1)
    first = outcomes()
    admin.set_settings(seed=2)
    other = outcomes()
    admin.set_settings(seed=1)
    assert outcomes() == first
    assert other != first
    assert 30 < first.count(503) < 90


def test_a_fault_can_be_limited_to_some_jobs(api, admin, create, body):
    unlucky = Match(labels={"luck": "bad"})
    create_fault = Fault(op=Operation.CREATE, kind=FaultKind.STATUS, match=unlucky, times=None)
    admin.add_fault(create_fault)
    assert api.create(body(labels={"luck": "good"})).status_code == 200
    assert api.create(body(labels={"luck": "bad"})).status_code == 503
    admin.clear_faults()
    good, bad = create(labels={"luck": "good"}), create(labels={"luck": "bad"})
    admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, match=unlucky, times=None))
    assert api.get(good).status_code == 200
    assert api.get(bad).status_code == 503
    assert api.cancel(bad).status_code == 503
    assert api.list().status_code == 200


@pytest.mark.parametrize("stored", [True, False])
def test_a_call_is_held_until_it_is_released(api, admin, body, stored):
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=stored))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(api.create, body())
        (held,) = admin.wait_for_held(Operation.CREATE)
        assert held.stored is stored
        assert [job.id for job in admin.jobs()] == ([held.job] if stored else [])
        assert not call.done()
        assert admin.release_held(held.hold) == 1
        assert call.result().status_code == 200
    assert len(admin.jobs()) == 1
    assert admin.held() == []


def test_a_held_call_can_be_dropped(api, admin, body):
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(api.create, body())
        admin.wait_for_held()
        admin.release_held(reset=True)
        with pytest.raises(httpx.ReadError):
            call.result()


def test_a_client_that_dies_while_its_call_is_held_leaves_the_job_behind(emulator, api, admin, body):
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    request = body(labels={"orphan": "yes"})

    def die():
        with pytest.raises(httpx.ReadTimeout):
            api.http.post(api.path, json=request, timeout=0.2)

    client = threading.Thread(target=die)
    client.start()
    (held,) = admin.wait_for_held(Operation.CREATE)
    client.join()
    admin.release_held(held.hold)
    assert api.list(filter="labels.orphan=yes").json()["batchPredictionJobs"][0]["name"].endswith(held.job)
