"""What the reasons of failed rows say."""

from __future__ import annotations

import pytest

from vertex_batch.usage import may_pass, was_not_run


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("503", True),
        ("503 UNAVAILABLE", True),
        ("503 UNAVAILABLE: x", True),
        ("HTTP 503: x", True),
        ("HTTP/1.1 503 no backend", True),
        ("[503] no backend", True),
        ("429 RESOURCE_EXHAUSTED", True),
        ("429 slow down", True),
        ("RESOURCE_EXHAUSTED", True),
        ("RESOURCE_EXHAUSTED quota of the project", True),
        ("UNAVAILABLE the backend is away", True),
        ("UNAVAILABLE: x", True),
        ("overloaded_error: x", True),
        ("14", True),
        ("14: x", True),
        ("14 UNAVAILABLE", True),
        ("The service is currently unavailable.", True),
        ("400 INVALID_ARGUMENT", False),
        ("400 INVALID_ARGUMENT: try again", False),  # what follows does not matter
        ("403 the quota exceeded", False),
        ("3 INVALID_ARGUMENT: timed out", False),
        ("3: timed out", False),
        ("INVALID_ARGUMENT try again with fewer rows", False),
        ("NOT_FOUND: service unavailable", False),
        ("UNAUTHENTICATED: try again", False),
        ("invalid_request_error: try again", False),
        ("4 fields are not valid", False),  # a sentence
        ("14 of the parts are not valid", False),
        ("Unknown field `contens`", False),
        ("Internal links are not supported", False),
        ("5030 tokens are too many", False),
        ("Canceled by x", True),  # it was never run
        ("", False),
    ],
)
def test_a_leading_code_or_name_decides_and_otherwise_what_the_text_says(reason, passes):
    assert may_pass(reason) is passes


@pytest.mark.parametrize(
    ("reason", "not_run"),
    [
        ("expired", True),
        ("Cancelled by its user", True),
        ("CANCELED: the job ended", True),
        ("499", True),
        ("HTTP 499: client closed", True),
        ("1: cancelled", True),
        ("1 part is not valid", False),
        ("DEADLINE_EXCEEDED: expired", False),
        ("Cancellation is not supported", False),
        ("", False),
    ],
)
def test_a_row_whose_job_ended_before_was_not_run(reason, not_run):
    assert was_not_run(reason) is not_run
