"""Whether model, location and proxy fit together."""

from __future__ import annotations

from datetime import date

import pytest

from vertex_batch.errors import Operation, RouteNotAllowedError
from vertex_batch.preflight import Severity, Subject, inspect
from vertex_batch.preflight.places import check_life, check_location, check_proxy


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
        ("publishers/google/models/gemini-embedding-001", "us-east1", None),
        ("publishers/google/models/gemini-4-argon", "us", None),
        ("publishers/google/models/gemini-4-hydrogen", "global", None),
        ("gemini-4-hydrogen", "us-central1", Severity.DOUBT),
        ("gemini-4-argon", "europe-west1", Severity.DOUBT),
        ("gemini-9-ultra", "mars-north1", None),
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


@pytest.mark.parametrize(
    ("model", "day", "severity"),
    [
        ("publishers/google/models/gemini-2.5-flash", date(2027, 3, 31), Severity.DOUBT),
        ("publishers/google/models/gemini-2.5-flash", date(2027, 4, 1), Severity.JOB),
        ("gemini-3.6-flash", date(2026, 11, 27), Severity.DOUBT),  # only LiteLLM says so
        ("gemini-3.8-flash", date(2026, 11, 27), None),
        ("gemini-9-ultra", date(2026, 11, 27), None),
    ],
)
def test_a_retired_model_fails_the_job_and_one_that_stops_or_is_unknown_does_not(model, day, severity):
    assert [finding.severity for finding in check_life(model, day)] == ([severity] if severity else [])
    report = inspect(Subject(model, "us-central1", ["bq://p.d.t"], "bq://p.d", day=day), None, None)
    assert report.is_hopeless is (severity is Severity.JOB)


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
