from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_batch.errors import ConfigurationError, Operation
from vertex_batch.vertex.client import ProxyConfig
from vertex_batch.vertex.client.requests import RequestBuilder
from vertex_batch.vertex.resource import CreateJobRequest

JOB = CreateJobRequest.model_validate(
    {
        "displayName": "nightly",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"gcsSource": {"uris": ["gs://in/a.jsonl"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://out/"}},
    }
)
BASE = "/vertex_ai/v1/projects/demo-project/locations/us-central1"
PLACE = ("demo-project", "us-central1")


def builder(**settings) -> RequestBuilder:
    return RequestBuilder(ProxyConfig("http://litellm:4000", "sk-test-key", **settings))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (builder().create(*PLACE, JOB), ("POST", f"{BASE}/batchPredictionJobs")),
        (builder().get(*PLACE, "17"), ("GET", f"{BASE}/batchPredictionJobs/17")),
        (builder().list(*PLACE, "", 100, ""), ("GET", f"{BASE}/batchPredictionJobs")),
        (builder().cancel(*PLACE, "17"), ("POST", f"{BASE}/batchPredictionJobs/17:cancel")),
    ],
    ids=lambda value: str(getattr(value, "operation", "")),
)
def test_each_verb_has_its_method_and_path(request_, expected):
    assert (request_.method, request_.path) == expected


def test_the_documented_route_is_the_one_with_the_short_prefix():
    path = builder(route_prefix="/v1").get(*PLACE, "17").path
    assert path == "/v1/projects/demo-project/locations/us-central1/batchPredictionJobs/17"


def test_only_a_create_and_a_probe_are_not_repeated():
    build = builder()
    assert not build.create(*PLACE, JOB).may_repeat
    assert not build.of_proxy(Operation.READINESS, "/health/readiness").may_repeat
    assert build.cancel(*PLACE, "1").may_repeat


def test_empty_list_parameters_are_left_out():
    assert builder().list(*PLACE, "", 50, "").params == {"pageSize": "50"}
    assert builder().list(*PLACE, 'a="b&c"', 50, "T+/=").params == {
        "filter": 'a="b&c"',
        "pageSize": "50",
        "pageToken": "T+/=",
    }


@pytest.mark.parametrize("project", ["example.com:my-project", "abcdef", "a-1-2-3"])
def test_project_ids_of_both_kinds_are_taken(project):
    assert builder().get(project, "global", "1").target == f"{project}/global/1"


@pytest.mark.parametrize(
    ("project", "location", "job_id"),
    [
        ("..", "us-central1", "1"),
        ("a/../../admin", "us-central1", "1"),
        ("demo-project?x=1", "us-central1", "1"),
        ("demo-project#", "us-central1", "1"),
        ("demo-project\n", "us-central1", "1"),
        ("DEMO-project", "us-central1", "1"),
        ("", "us-central1", "1"),
        ("demo-project", "us-central1.evil.example", "1"),
        ("demo-project", "us/../x", "1"),
        ("demo-project", "", "1"),
        ("demo-project", "us-central1", "1:cancel"),
        ("demo-project", "us-central1", "../1"),
        ("demo-project", "us-central1", "1%2f"),
        ("demo-project", "us-central1", "१"),
        ("demo-project", "us-central1", ""),
        (None, "us-central1", "1"),
        ("demo-project", "us-central1", 17),
    ],
)
def test_hostile_parts_of_a_path_are_refused(project, location, job_id):
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        builder().get(project, location, job_id)


def test_a_project_number_is_told_apart():
    with pytest.raises(ConfigurationError, match="project number"):
        builder().get("100000000001", "us-central1", "1")


def test_a_whole_resource_name_in_place_of_an_id_is_told_apart():
    with pytest.raises(ConfigurationError, match="last part"):
        builder().get(*PLACE, "projects/1/locations/us-central1/batchPredictionJobs/17")


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}])
def test_a_job_that_is_no_json_is_refused_before_it_is_sent(value):
    job = JOB.model_copy(update={"model_parameters": {"x": value}})
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        builder().create(*PLACE, job)


@pytest.mark.parametrize(("query", "size"), [("\ud800", 10), ("", 0)])
def test_a_list_that_cannot_be_asked_is_refused(query, size):
    with pytest.raises(ConfigurationError):
        builder().list(*PLACE, query, size, "")


@given(st.text(), st.text(), st.text())
def test_whatever_comes_in_a_path_keeps_its_shape(project, location, job_id):
    try:
        path = builder().get(project, location, job_id).path
    except ConfigurationError:
        return
    assert len(path.split("/")) == 9
    assert not set(path) & set("?#\\ ")
    assert ".." not in path.split("/")
