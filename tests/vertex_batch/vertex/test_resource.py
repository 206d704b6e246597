from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vertex_batch.vertex.resource import (
    TERMINAL_STATES,
    BatchPredictionJob,
    CreateJobRequest,
    JobReference,
    JobState,
    label_value,
)

NAME = "projects/100000000001/locations/us-central1/batchPredictionJobs/17"
REQUEST = {
    "displayName": "nightly",
    "model": "publishers/google/models/gemini-2.5-flash",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://in/a.jsonl"]}},
    "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://out/"}},
}


def job(**fields) -> BatchPredictionJob:
    return BatchPredictionJob.model_validate({"name": NAME, **fields})


def test_a_request_is_written_in_the_api_s_names_without_what_is_unset():
    assert CreateJobRequest.model_validate(REQUEST).to_wire() == REQUEST


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"inputConfig": {**REQUEST["inputConfig"], "gcsSauce": {}}},
        {"inputConfig": {"instancesFormat": "jsonl"}},
        {"inputConfig": {"gcsSource": {"uris": []}}},
        {"inputConfig": {"gcsSource": {"uris": ["gs://a/b"]}, "bigquerySource": {"inputUri": "bq://p.d.t"}}},
        {"outputConfig": {"gcsDestination": {"outputUriPrefix": "/tmp"}}},
        {"outputConfig": {}},
        {"displayName": ""},
        {"displayName": "x" * 129},
        {"model": ""},
        {"labels": {"team": 1}},
    ],
)
def test_a_request_that_google_would_refuse_is_refused_here(change):
    with pytest.raises(ValidationError):
        CreateJobRequest.model_validate({**REQUEST, **change})


def test_the_fingerprint_is_that_of_the_work_and_not_of_who_asked():
    plain = CreateJobRequest.model_validate(REQUEST)
    named = CreateJobRequest.model_validate({**REQUEST, "displayName": "again", "labels": {"team": "search"}})
    other = CreateJobRequest.model_validate({**REQUEST, "model": "publishers/google/models/gemini-2.5-pro"})
    assert plain.fingerprint() == named.fingerprint() != other.fingerprint()


def test_an_answer_keeps_what_is_not_known():
    read = job(state="JOB_STATE_RUNNING", newField={"x": 1})
    assert read.state is JobState.RUNNING
    assert read.model_extra == {"newField": {"x": 1}}


def test_a_state_newer_than_this_code_is_not_terminal_and_not_lost():
    read = job(state="JOB_STATE_HIBERNATING")
    assert read.state is JobState.UNSPECIFIED
    assert not read.state.is_terminal
    assert read.raw_state == "HIBERNATING"


def test_a_job_without_a_state_is_unspecified():
    assert job().state is JobState.UNSPECIFIED


def test_counts_come_as_text_and_zeros_not_at_all():
    stats = job(completionStats={"successfulCount": "12345678901", "incompleteCount": "-1"}).completion_stats
    assert (stats.successful_count, stats.failed_count, stats.incomplete_count) == (12345678901, 0, -1)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-22T01:02:03Z", 0),
        ("2026-11-22T01:02:03.456789Z", 456789),
        ("2026-11-22T01:02:03.456789123Z", 456789),
        ("2026-11-22T02:02:03+01:00", 0),
    ],
)
def test_times_are_read_in_every_form_that_google_writes(text, microsecond):
    assert job(createTime=text).create_time == datetime(2026, 11, 22, 1, 2, 3, microsecond, tzinfo=UTC)


def test_the_end_is_the_last_update_where_google_sends_no_end_time():
    update = "2026-11-22T01:00:00Z"
    assert job(state="JOB_STATE_EXPIRED", updateTime=update).ended_at == datetime(2026, 11, 22, 1, tzinfo=UTC)
    assert job(state="JOB_STATE_RUNNING", updateTime=update).ended_at is None


def test_the_job_id_is_the_last_part_of_the_name():
    assert job().job_id == "17"


def test_labels_that_are_null_are_none():
    assert job(labels=None).labels == {}


def test_the_terminal_states_are_those_that_google_never_leaves():
    assert {state.value for state in TERMINAL_STATES} == {
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "EXPIRED",
        "PARTIALLY_SUCCEEDED",
    }
    assert not JobState.PAUSED.is_terminal


def test_a_reference_travels_as_plain_json_and_ignores_what_a_newer_version_adds():
    reference = JobReference(
        "demo-project", "us-central1", "17", input_uris=("gs://in/a",), labels={"team": "s"}
    )
    travelled = json.loads(json.dumps(reference.to_dict())) | {"newer": 1}
    assert JobReference.from_dict(travelled) == reference


def test_the_console_link_has_the_project_id():
    url = JobReference("demo-project", "us-central1", "17").id.console_url
    assert url == (
        "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/17?project=demo-project"
    )


@given(st.text())
def test_a_label_value_is_short_lowercase_and_stays_what_it_is(text):
    value = label_value(text)
    assert len(value) <= 63
    assert label_value(value) == value
    assert not any(c.isspace() or c in "./:+" for c in value)
