import threading
import time

import httpx
import msgspec
import pytest

from local.emulator.admin import Fault, FaultKind, Match, Operation, Scenario, Settings, Step

HELD = [Step(state="PENDING", seconds=None)]


@pytest.fixture
def raw(emulator, admin):
    with httpx.Client(base_url=f"{emulator.url}/_admin", trust_env=False) as client:
        yield client


def test_the_ledger_keeps_what_was_asked_and_what_happened(admin, body, api):
    request = body(labels={"a": "b"})
    job_id = api.create(request).json()["name"].rpartition("/")[2]
    (job,) = admin.wait_for_jobs(state="SUCCEEDED")
    assert (job.id, job.labels, job.display_name) == (job_id, {"a": "b"}, "nightly")
    assert job.request == request
    assert (job.rows, job.finished_rows, job.cancel_outcome) == (4, 4, "none")
    assert [visit.time for visit in job.history] == sorted(visit.time for visit in job.history)


def test_every_call_is_in_the_log(api, admin, create):
    job_id = create()
    api.get("404")
    api.list()
    calls = admin.requests()
    assert [(call.op, call.status) for call in calls] == [
        (Operation.CREATE, 200),
        (Operation.GET, 404),
        (Operation.LIST, 200),
    ]
    assert calls[0].job == job_id
    assert admin.requests(Operation.LIST) == calls[2:]


def test_a_reset_forgets_everything_and_restores_the_settings(admin, create):
    admin.add_scenario(Scenario(timeline=HELD))
    admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS))
    create()
    admin.reset()
    assert (admin.jobs(), admin.requests(), admin.held()) == ([], [], [])
    assert admin.settings() == Settings(seed=7)


def test_a_change_of_settings_leaves_the_others_as_they_are(admin):
    admin.set_settings(list_lag_seconds=3)
    assert admin.set_settings(time_digits=0) == Settings(
        speed=1000, seed=7, list_lag_seconds=3, time_digits=0
    )


def test_no_id_comes_twice_even_over_a_reset(admin, create):
    first = [create(rows=1) for _ in range(3)]
    admin.reset()
    assert not set(first) & {create(rows=1) for _ in range(3)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/scenarios", {"colour": "red"}),
        ("/scenarios", {"end": "RUNNING"}),
        ("/scenarios", {"mix": {"unheard_of": 0.5}}),
        ("/scenarios", {"mix": {"failed": 1.5}}),
        ("/faults", {"op": "create"}),
        ("/faults", {"op": "sing", "kind": "status"}),
        ("/wait", {"until": "doomsday"}),
        ("/wait", {"until": "jobs", "count": "many"}),
    ],
)
def test_a_typo_in_a_script_is_refused(raw, path, body):
    answer = raw.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_client_sends_what_the_emulator_reads():
    scenario = Scenario(match=Match(labels={"a": "b"}), timeline=HELD, times=1)
    assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario


def test_a_wait_returns_as_soon_as_it_is_true(admin, create):
    admin.add_scenario(Scenario(timeline=HELD))
    job_id = create()
    timer = threading.Timer(0.2, admin.release_job, [job_id])
    timer.start()
    started = time.monotonic()
    admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED", timeout_seconds=20)
    assert time.monotonic() - started < 5
    timer.join()


def test_a_wait_that_is_in_vain_says_what_it_found(admin, create):
    create(labels={"a": "b"})
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s; at the end: 1 of 2 after"):
        admin.wait_for_jobs(Match(labels={"a": "b"}), count=2, timeout_seconds=0.05)


def test_a_wait_works_by_hand_too(raw, api, create):
    create(labels={"a": "b", "c": "d"})
    found = raw.get("/wait", params={"until": "jobs", "state": "SUCCEEDED", "label": ["a=b", "c"]}).json()
    assert found[0]["labels"] == {"a": "b", "c": "d"}
    api.list()
    calls = raw.get("/wait?until=calls&op=list&count=1&timeout_seconds=5").json()
    assert calls[0]["op"] == "list"


def test_a_job_can_vanish_in_any_state(api, admin, create):
    admin.add_scenario(Scenario(timeline=HELD))
    job_id = create()
    admin.delete_job(job_id)
    assert api.get(job_id).status_code == 404
    assert api.list().json() == {}
    assert admin.job(job_id).deleted


def test_what_does_not_exist_is_named(admin):
    with pytest.raises(ValueError, match="there is no job 123"):
        admin.release_job("123")
    with pytest.raises(ValueError, match="there is no job 123"):
        admin.delete_job("123")
