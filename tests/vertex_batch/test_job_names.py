"""What people write when they mean a job."""

from __future__ import annotations

import pytest

from vertex_batch.errors import ConfigurationError
from vertex_batch.job_names import JobName, parse_job_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234567890123456789", JobName("1234567890123456789")),
        ("  123\n", JobName("123")),
        (
            "projects/my-project/locations/us-central1/batchPredictionJobs/123",
            JobName("123", "my-project", "us-central1"),
        ),
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
        "https://example.com/",
        "a" * 5000,
        "x\ny",
    ],
)
def test_what_names_no_job_is_told(text):
    with pytest.raises(ConfigurationError, match="names no batch prediction job") as raised:
        parse_job_name(text)
    assert len(str(raised.value)) < 600
