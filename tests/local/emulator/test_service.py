import json
import re

import httpx
import pytest

from local.emulator.admin import Match, Scenario, Step


def error_of(answer):
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return error["status"], error["message"]


def test_a_new_job_is_pending_and_echoes_its_body(api, body):
    request = body(labels={"a": "b"}, modelParameters={"temperature": 0.2}, state="JOB_STATE_FAILED")
    answer = api.create(request)
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    job = answer.json()
    assert re.fullmatch(
        r"projects/100000000001/locations/us-central1/batchPredictionJobs/\d{19}", job["name"]
    )
    del request["state"]
    assert {key: job[key] for key in request} == request
    assert job["state"] == "JOB_STATE_PENDING"
    assert job["modelVersionId"] == "1"
    assert set(job) == {*request, "name", "state", "modelVersionId", "createTime", "updateTime"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", job["createTime"])


def test_a_finished_job_says_where_its_rows_are_and_how_many(api, admin, create):
    job_id = create(rows=3)
    admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    job = api.get(job_id).json()
    assert job["completionStats"] == {"successfulCount": "3"}
    prefix = job["outputConfig"]["gcsDestination"]["outputUriPrefix"]
    directory = job["outputInfo"]["gcsOutputDirectory"]
    assert re.fullmatch(
        re.escape(prefix) + r"/prediction-model-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", directory
    )
    assert not directory.endswith(job["createTime"])
    assert job["createTime"] < job["startTime"] < job["endTime"]
    assert "error" not in job


@pytest.mark.parametrize(("digits", "pattern"), [(0, r":\d\dZ"), (3, r"\.\d{3}Z"), (9, r"\.\d{9}Z")])
def test_times_can_have_other_digits(api, admin, create, digits, pattern):
    admin.set_settings(time_digits=digits)
    assert re.search(pattern + "$", api.get(create()).json()["createTime"])


def test_states_are_numbers_for_a_client_that_asks_for_numbers(api, create):
    assert api.get(create(), **{"$alt": "json;enum-encoding=int"}).json()["state"] in (2, 3, 4)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ({}, "CREDENTIALS_MISSING"),
        ({"authorization": "Basic x"}, "CREDENTIALS_MISSING"),
        ({"authorization": "Bearer ya29.unknown"}, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
def test_a_call_without_a_good_token_is_unauthenticated(emulator, api, authorization, reason):
    answer = httpx.get(emulator.url + api.path, headers=authorization, trust_env=False)
    assert error_of(answer)[0] == "UNAUTHENTICATED"
    assert answer.json()["error"]["details"][0]["reason"] == reason


def test_a_token_of_the_token_endpoint_opens_the_service_until_it_is_revoked(emulator, api, admin):
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}
    grant = httpx.post(f"{emulator.url}/token", data=form, trust_env=False).json()
    assert grant["access_token"].startswith("ya29.")
    headers = {"authorization": f"{grant['token_type']} {grant['access_token']}"}
    assert api.http.get(api.path, headers=headers).status_code == 200
    admin.revoke_tokens()
    assert api.http.get(api.path, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"}, "invalid_grant"),
    ],
)
def test_a_bad_token_request_is_refused_as_oauth_does(emulator, admin, form, error):
    answer = httpx.post(f"{emulator.url}/token", data=form, trust_env=False)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_project_may_be_named_by_its_number(api, create):
    job_id = create()
    by_number = api.path.replace("demo-project", "100000000001")
    assert api.http.get(f"{by_number}/{job_id}").json() == api.get(job_id).json()


def test_an_unknown_project_is_denied(api, body):
    answer = api.http.post(api.path.replace("demo-project", "other"), json=body())
    assert error_of(answer) == (
        "PERMISSION_DENIED",
        (
            "Permission 'aiplatform.batchPredictionJobs.create' denied on resource "
            "'//aiplatform.googleapis.com/projects/other/locations/us-central1' (or it may not exist)."
        ),
    )


@pytest.mark.parametrize(
    ("location", "host", "status"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com", 200),
        ("global", "aiplatform.googleapis.com", 200),
        ("eu", "aiplatform.eu.rep.googleapis.com", 200),
        ("us-central1", "europe-west4-aiplatform.googleapis.com", 400),
        ("us-central1", "aiplatform.googleapis.com", 400),
        ("atlantis-north1", "127.0.0.1", 400),
    ],
)
def test_the_location_of_the_path_is_that_of_the_host(api, location, host, status):
    path = api.path.replace("us-central1", location)
    assert api.http.get(path, headers={"host": host}).status_code == status


def test_a_job_is_found_only_where_it_was_created(api, create):
    path = api.path.replace("us-central1", "europe-west4")
    assert error_of(api.http.get(f"{path}/{create()}"))[0] == "NOT_FOUND"


def test_an_unknown_model_is_not_found(api, body):
    answer = api.create(body(model="publishers/google/models/gemini-does-not-exist"))
    assert error_of(answer) == ("NOT_FOUND", "The PublisherModel gemini-does-not-exist does not exist.")


def test_a_bad_body_stores_nothing(api, admin, body):
    assert error_of(api.create(body(colour="red")))[0] == "INVALID_ARGUMENT"
    assert error_of(api.create(body(displayName="")))[0] == "INVALID_ARGUMENT"
    assert admin.jobs() == []


def test_fields_of_the_beta_are_refused_by_v1_only(api, body):
    with_endpoint = body(endpoint="projects/1/locations/us-central1/endpoints/2")
    assert error_of(api.create(with_endpoint))[0] == "INVALID_ARGUMENT"
    assert api.http.post(api.path.replace("/v1/", "/v1beta1/"), json=with_endpoint).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/demo-project/batchPredictionJobs",
        "/v2/projects/demo-project/locations/us-central1/batchPredictionJobs",
        "/",
    ],
)
def test_a_bad_path_gives_a_page_not_json(api, path):
    answer = api.http.get(path)
    assert answer.status_code == 404
    assert answer.text.startswith("<!DOCTYPE html>")


def test_an_empty_list_is_an_empty_object(api):
    assert api.list().json() == {}


def test_the_list_is_newest_first_and_comes_in_pages(api, create):
    created = [create(rows=1) for _ in range(5)]
    pages, token = [], ""
    while True:
        page = api.list(pageSize=2, **({"pageToken": token} if token else {})).json()
        pages.append([job["name"].rpartition("/")[2] for job in page["batchPredictionJobs"]])
        token = page.get("nextPageToken")
        if not token:
            break
        create(rows=1)  # what comes meanwhile does not shift the pages
    assert pages == [created[:2:-1], created[2:0:-1], created[:1]]


def test_the_list_keeps_to_its_filter(api, create):
    wanted = create(labels={"airflow-job-key": "abc"}, rows=1)
    create(labels={"airflow-job-key": "def"}, rows=1)
    found = api.list(filter='labels.airflow-job-key="abc"').json()["batchPredictionJobs"]
    assert [job["name"].rpartition("/")[2] for job in found] == [wanted]


@pytest.mark.parametrize(
    "params",
    [
        {"filter": "colour=red"},
        {"pageSize": "many"},
        {"pageSize": "-1"},
        {"pageToken": "never-given-out"},
        {"orderBy": "createTime"},
    ],
)
def test_a_bad_list_call_is_refused(api, params):
    assert error_of(api.list(**params))[0] == "INVALID_ARGUMENT"


def test_a_page_token_is_good_for_its_own_filter_only(api, create):
    create(rows=1), create(rows=1)
    token = api.list(pageSize=1).json()["nextPageToken"]
    answer = api.list(pageSize=1, pageToken=token, filter="labels.a:*")
    assert error_of(answer)[0] == "INVALID_ARGUMENT"


def test_a_read_mask_leaves_the_other_fields_out(api, create):
    create(rows=1)
    (job,) = api.list(readMask="name,display_name").json()["batchPredictionJobs"]
    assert set(job) == {"name", "displayName"}


def test_a_new_job_can_lag_behind_in_the_list(api, admin, create):
    admin.set_settings(list_lag_seconds=600)
    job_id = create(rows=1)
    assert api.list().json() == {}
    assert api.get(job_id).status_code == 200
    admin.set_settings(list_lag_seconds=0)
    assert len(api.list().json()["batchPredictionJobs"]) == 1


def test_a_pending_job_is_cancelled_and_only_once(api, admin, create):
    admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    job_id = create()
    answer = api.cancel(job_id)
    assert (answer.status_code, answer.json()) == (200, {})
    admin.wait_for_jobs(job_id=job_id, state="CANCELLED")
    job = api.get(job_id).json()
    assert job["error"] == {"code": 1, "message": "CANCELED"}
    assert "completionStats" not in job
    assert "outputInfo" not in job
    assert error_of(api.cancel(job_id))[0] == "FAILED_PRECONDITION"


def test_a_cancel_call_takes_no_fields(api, create):
    answer = api.http.post(f"{api.path}/{create()}:cancel", json={"reason": "none"})
    assert error_of(answer)[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("verb", ["get", "cancel", "delete"])
def test_a_job_that_does_not_exist_is_not_found(api, verb):
    assert error_of(getattr(api, verb)("123"))[0] == "NOT_FOUND"


def test_only_a_finished_job_is_deleted_and_the_ledger_keeps_it(api, admin, create):
    admin.add_scenario(
        Scenario(match=Match(labels={"held": "yes"}), timeline=[Step(state="PENDING", seconds=None)])
    )
    held = create(labels={"held": "yes"})
    assert error_of(api.delete(held))[0] == "FAILED_PRECONDITION"
    job_id = create()
    admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    operation = api.delete(job_id).json()
    assert "done" not in operation
    assert operation["metadata"]["@type"].endswith("v1.DeleteOperationMetadata")
    done = api.http.get(f"/v1/{operation['name']}").json()
    assert done["done"]
    assert done["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert api.get(job_id).status_code == 404
    assert [job["name"].rpartition("/")[2] for job in api.list().json()["batchPredictionJobs"]] == [held]
    assert admin.job(job_id).deleted


def test_a_thousand_jobs_are_listed_in_a_moment(api, admin, body):
    admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    request = json.dumps(body(rows=1)).encode()
    for _ in range(1000):
        assert api.http.post(api.path, content=request).status_code == 200
    answer = api.list(pageSize=1000)
    assert len(answer.json()["batchPredictionJobs"]) == 1000
    assert answer.elapsed.total_seconds() < 5
