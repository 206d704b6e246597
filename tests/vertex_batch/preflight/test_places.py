"""Whether model, location and proxy fit together."""

from __future__ import annotations

import pytest

from vertex_batch.errors import Operation, RouteNotAllowedError
from vertex_batch.preflight import Severity
from vertex_batch.preflight.places import check_location, check_proxy


class Proxy:
    def __init__(self, *models: str) -> None:
        self.models = models

    def model_info(self):
        return [{"model_name": "group", "litellm_params": {"model": model}} for model in self.models]


class ClosedProxy:
    def model_info(self):
        raise RouteNotAllowedError(Operation.MODEL_INFO, "http://litellm", message="no")


@pytest.mark.parametrize(
    ("model", "location", "severity"),
    [
        ("publishers/google/models/gemini-2.5-flash", "global", None),
        ("publishers/google/models/gemini-2.5-flash", "europe-west9", None),
        ("publishers/google/models/gemini-embedding-001", "us-central1", None),
        ("publishers/google/models/gemini-embedding-001", "global", Severity.DOUBT),
        ("gemini-embedding-2", "us-central1", Severity.DOUBT),
        ("gemini-embedding-2", "eu", None),
        ("publishers/anthropic/models/claude-sonnet-4-5", "us-east5", None),
        ("publishers/anthropic/models/claude-sonnet-4-5", "global", Severity.JOB),
        ("claude-sonnet-4-5", "global", Severity.JOB),
        ("publishers/meta/models/llama-4", "global", Severity.JOB),
        ("projects/p/locations/global/models/12", "global", Severity.JOB),
    ],
)
def test_a_model_is_served_where_google_says(model, location, severity):
    found = check_location(model, location)
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(location in finding.message for finding in found)


@pytest.mark.parametrize("known", ["vertex_ai/gemini-2.5-flash", "vertex_ai/*", "vertex_ai/gemini-*"])
def test_a_model_that_the_proxy_lists_is_fine(known):
    assert check_proxy(Proxy("other", known), "publishers/google/models/gemini-2.5-flash") == []


def test_a_model_that_it_does_not_list_is_a_doubt_with_the_nearest():
    (finding,) = check_proxy(Proxy("vertex_ai/gemini-2.5-flash"), "publishers/google/models/gemini-2.5-flahs")
    assert finding.severity is Severity.DOUBT
    assert "did you mean `gemini-2.5-flash`?" in finding.message


@pytest.mark.parametrize("proxy", [Proxy(), ClosedProxy()])
def test_a_proxy_that_tells_nothing_is_a_doubt(proxy):
    (finding,) = check_proxy(proxy, "gemini-2.5-flash")
    assert finding.severity is Severity.DOUBT
