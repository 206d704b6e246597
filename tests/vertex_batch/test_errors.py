from __future__ import annotations

import pickle
import re

import pytest

from vertex_batch import errors
from vertex_batch.errors import (
    AmbiguousSubmitError,
    ApiError,
    BadKeyError,
    BucketMissingError,
    CancelNotConfirmedError,
    ConfigurationError,
    FailedPreconditionError,
    InputMissingError,
    NotFoundError,
    OutputMissingError,
    PermanentError,
    ProxyRateLimitError,
    ResourceExhaustedError,
    SettingsSource,
    StillRunningError,
    StorageAccessError,
    StorageUnavailableError,
    TransientError,
    VertexBatchError,
    count_of,
    scrub,
)
from vertex_batch.errors.api import Operation

API_ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, ApiError) and value is not ApiError
]
OTHERS = [
    ConfigurationError("Connection x is not usable", "the host is missing", "the key is missing"),
    BucketMissingError(["a", "b"]),
    InputMissingError({"gs://a/x.jsonl": "does not exist"}),
    OutputMissingError("gs://a/out/"),
    StorageAccessError("gs://a/x", "google_cloud_default", "Forbidden"),
    StorageUnavailableError("gs://a/x", "503"),
    CancelNotConfirmedError(job="p/l/1", state="CANCELLING", waited_seconds=600),
]


@pytest.mark.parametrize("error", [*OTHERS, StillRunningError("p/l/1", "JOB_STATE_RUNNING")])
def test_no_error_presumes_that_a_task_of_airflow_raised_it(error):
    assert not re.search(r"clear|this task|XCom", str(error), re.IGNORECASE)


def api_error(kind: type[ApiError], **more) -> ApiError:
    facts = {"http_status": 429, "status": "X", "message": "no", "retry_after_seconds": 7.0, "call_id": "c-1"}
    return kind("create", "demo-project/us-central1", **{**facts, **more})


@pytest.mark.parametrize(
    ("operation", "advice"),
    [(Operation.CREATE, "Check the model's name"), (Operation.GET, "Check the job id")],
)
def test_what_was_not_found_depends_on_the_call(operation, advice):
    text = str(NotFoundError(operation, "demo-project/us-central1"))
    assert advice in text
    assert ("job id" in text) is (operation is Operation.GET)


@pytest.mark.parametrize("kind", API_ERRORS)
def test_every_api_error_is_either_permanent_or_transient(kind):
    assert issubclass(kind, PermanentError) != issubclass(kind, TransientError)


@pytest.mark.parametrize("kind", API_ERRORS)
def test_every_api_error_says_what_where_money_what_to_do_and_what_a_retry_does(kind):
    error = api_error(kind)
    text = str(error)
    assert "submit a job in demo-project/us-central1" in text
    assert kind.what in text
    assert error.remedy in text
    assert "submitted" in text
    assert "retry" in text
    assert "c-1" in text
    assert '"no"' in text


@pytest.mark.parametrize("error", [*map(api_error, API_ERRORS), *OTHERS], ids=lambda e: type(e).__name__)
def test_every_error_pickles_with_its_attributes_and_its_text(error):
    error.add_note("seen in the triggerer")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.args == error.args


def test_an_error_of_another_room_pickles_whatever_its_constructor_takes():
    error = pickle.loads(pickle.dumps(VertexBatchError("plain")))
    assert str(error) == "plain"


def test_an_ambiguous_submit_says_that_a_job_may_exist_and_that_a_retry_looks_first():
    text = str(AmbiguousSubmitError("create", "p/l", message="Server disconnected"))
    assert "A job may have been created" in text
    assert "Nothing was submitted" not in text
    assert "A retry searches first" in text


def test_a_definite_refusal_says_that_nothing_was_submitted():
    assert "Nothing was submitted." in str(ResourceExhaustedError("create", "p/l"))


def test_a_failed_cancel_says_that_the_job_may_run_on_unless_it_had_ended():
    assert "may still be running" in str(ResourceExhaustedError("cancel", "p/l/1"))
    assert "may still be running" not in str(FailedPreconditionError("cancel", "p/l/1"))


def test_a_read_speaks_of_no_money():
    assert "submitted" not in str(ResourceExhaustedError("get", "p/l/1"))


def test_a_submission_that_meets_the_proxys_limit_says_how_many_requests_it_needs():
    assert "needs two requests within one window" in str(ProxyRateLimitError("create", "p/l"))
    assert "two requests" not in str(ProxyRateLimitError("get", "p/l/1"))


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (SettingsSource(), "into the connection's password field"),
        (SettingsSource.of_connection("mine"), "into the password field of the connection 'mine'"),
        (
            SettingsSource.of_connection("mine", "AIRFLOW_CONN_MINE"),
            "into the password of the environment variable AIRFLOW_CONN_MINE",
        ),
        (SettingsSource.of_command_line("--proxy", "KEY_HERE"), "into the environment variable KEY_HERE"),
    ],
)
def test_advice_names_the_place_that_the_key_came_from(source, place):
    assert place in str(BadKeyError("get", "p/l/1", source=source))


def test_words_of_others_have_no_double_quotes_within_double_quotes():
    error = ResourceExhaustedError("get", "p/l/1", message='Quota "a" of "b"')
    assert error.message == 'Quota "a" of "b"'
    assert """: "Quota 'a' of 'b'".""" in str(error)


def test_a_configuration_error_lists_everything_at_once():
    assert str(OTHERS[0]) == "Connection x is not usable: the host is missing; the key is missing."
    assert str(ConfigurationError("One sentence.")) == "One sentence."


def test_an_upstream_message_is_cut():
    assert len(api_error(ResourceExhaustedError, message="x" * 10_000).message) == 500


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-abcDEF_123-x is bad", "key *** is bad"),
        ("Received API Key = sk-...7c28, gone", "Received API Key = sk-...7c28, gone"),
        ("authorization: Bearer abc.DEF/123==", "authorization: Bearer ***"),
        ("token ya29.FAKE-x_y.z expired", "token *** expired"),
        ("AIza" + "x" * 35, "***"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt *** end"),
        ("risk-free desk-top", "risk-free desk-top"),
        ("line\r\nlevel=INFO forged \x1b[31m", "line level=INFO forged [31m"),
    ],
)
def test_scrub_takes_out_what_looks_like_a_key_or_like_a_line_of_a_log(text, clean):
    assert scrub(text) == clean


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((0, "row"), "0 rows"),
        ((1, "row"), "1 row"),
        ((1234, "row"), "1,234 rows"),
        ((1, "row is", "rows are"), "1 row is"),
        ((2, "row is", "rows are"), "2 rows are"),
    ],
)
def test_a_number_of_things_agrees_with_their_name(words, said):
    assert count_of(*words) == said


def test_scrub_takes_out_the_given_key_whatever_it_looks_like():
    assert scrub("the key hunter2! is bad", "hunter2!") == "the key *** is bad"


def test_a_write_that_is_refused_is_not_reported_as_a_read():
    remote = str(StorageAccessError("gs://a/x", "google_cloud_default", "Forbidden", writes=True))
    local = str(StorageAccessError("/data/x", "google_cloud_default", "Permission denied", writes=True))
    assert "may not write gs://a/x" in remote
    assert "Storage Object User" in remote
    assert "This user may not write /data/x" in local
    assert "role" not in local
    assert "Could not write /data/x" in str(StorageUnavailableError("/data/x", "disk full", writes=True))
