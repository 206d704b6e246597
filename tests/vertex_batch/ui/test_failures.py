"""Why rows failed, in plain words."""

from __future__ import annotations

import pytest

from vertex_batch.ui.failures import in_plain_words


@pytest.mark.parametrize(
    ("reason", "meaning", "is_passing"),
    [
        ("INVALID_ARGUMENT: Request contains an invalid argument.", "Google refused the request", False),
        ("400 Bad Request", "Google refused the request", False),
        ("RESOURCE_EXHAUSTED: try again later", "Google had no capacity", True),
        ("503 UNAVAILABLE", "Google had no capacity", True),
        ("INTERNAL", "Google failed while", True),
        ("DEADLINE_EXCEEDED: late", "The answer took too long", True),
        ("PERMISSION_DENIED: no", "Google denied access", False),
        ("NOT_FOUND: gs://b/x.png", "The model, or a file", False),
        ("empty response", "Google returned neither", True),
        ("499", "The job ended before", True),
        ("Canceled by x", "The job ended before", True),
        ("what nobody has seen", "It fails again", False),
    ],
)
def test_a_reason_says_what_it_means_and_whether_to_send_the_row_again(reason, meaning, is_passing):
    text = in_plain_words(reason)
    assert text.startswith(meaning)
    assert ("may be answered when it is sent again" in text) is is_passing
