"""What people write when they mean a job."""

from __future__ import annotations

import pytest

from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.names import JobId, JobName, Place, parse_job_name, parse_job_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234567890123456789", JobName("1234567890123456789")),
        ("  123\n", JobName("123")),
        (
            "projects/my-project/locations/us-central1/batchPredictionJobs/123",
            JobName("123", "my-project", "us-central1"),
        ),
        ("my-project/us-central1/123", JobName("123", "my-project", "us-central1")),
        ("/my-project/us-central1/123/", JobName("123", "my-project", "us-central1")),
        ("42/global/123", JobName("123", None, "global")),
        ("example.com:my-project/europe-west4/123", JobName("123", "example.com:my-project", "europe-west4")),
        # The number is Google's own name of the project, which the proxy does not know.
        (
            "projects/42/locations/europe-west4/batchPredictionJobs/123",
            JobName("123", None, "europe-west4"),
        ),
        (
            (
                "https://us-central1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-central1/"
                "batchPredictionJobs/123:cancel"
            ),
            JobName("123", "p-1", "us-central1"),
        ),
        (
            (
                "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/123"
                "?project=my-project"
            ),
            JobName("123", "my-project", "us-central1"),
        ),
        (
            (
                "https://console.cloud.google.com/vertex-ai/locations/global/batch-predictions/123"
                "?authuser=1&project=example.com%3Amy-project#details"
            ),
            JobName("123", "example.com:my-project", "global"),
        ),
    ],
)
def test_names_the_job_and_what_else_the_text_says(text, expected):
    assert parse_job_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "two words",
        "../../etc",
        "projects/p/locations/l",
        "p/123",
        "p/us-central1/123/456",
        "p//123",
        "https://example.com/",
        "a" * 5000,
        "x\ny",
    ],
)
def test_what_names_no_job_is_told(text):
    with pytest.raises(ConfigurationError, match="is not the name of a batch prediction job") as raised:
        parse_job_name(text)
    assert len(str(raised.value)) < 600


JOB = JobId("example.com:my-project", "us-central1", "123")


@pytest.mark.parametrize("written", [str(JOB), JOB.resource_name, JOB.console_url])
def test_whatever_a_job_is_written_as_is_read_as_the_same_job(written):
    assert parse_job_name(written).at(Place("another", "global")) == JOB


def test_what_a_name_leaves_open_is_taken_from_the_place():
    assert parse_job_name("123").at(Place("p", "global")) == JobId("p", "global", "123")
    number = parse_job_name("projects/42/locations/us-central1/batchPredictionJobs/123")
    assert number.at(Place("p", "global")) == JobId("p", "us-central1", "123")


@pytest.mark.parametrize(
    ("name", "project", "location", "words"),
    [
        (
            "p/us-central1/123",
            "q",
            None,
            r"is given as 'q', but the name of job 123 has 'p'\. Nothing",
        ),
        ("p/us-central1/123", None, "global", "location is given as 'global', but .* has 'us-central1'"),
        ("p/us-central1/123", "p", "us-central1", ""),
        ("42/us-central1/123", "q", None, ""),  # a number cannot be compared
        ("123", "q", "global", ""),
        ("p/us-central1/123", "", None, ""),
    ],
)
def test_a_name_that_contradicts_what_is_said_is_an_error_with_both(name, project, location, words):
    parsed = parse_job_name(name)
    if not words:
        parsed.check_agrees(project, location, "Nothing was cancelled")
        return
    with pytest.raises(ConfigurationError, match=words):
        parsed.check_agrees(project, location, "Nothing was cancelled")


@pytest.mark.parametrize("texts", ["1, p/global/2\n3", ["1", "p/global/2", "3"]])
def test_several_names_are_read_from_a_text_or_a_list(texts):
    assert parse_job_names(texts) == [JobName("1"), JobName("2", "p", "global"), JobName("3")]
    assert parse_job_names(None) == parse_job_names("") == []
