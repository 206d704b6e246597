"""Check that the model, the location and the proxy fit together. What is uncertain is only a doubt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date

from vertex_batch.errors import VertexBatchError
from vertex_batch.preflight.findings import Finding, Severity
from vertex_batch.pricing import ModelClient, Stage, retirement_of
from vertex_batch.usage.models import canonical_model

NOT_LISTED = "model of the proxy"
"""The place of a finding about a model that the proxy does not list, and that is perhaps misspelled."""
_MULTI_REGIONS = frozenset({"global", "us", "eu"})
# Where batches of models are served, by Google's pages on batches of embeddings and on Gemini 4. The first
# pattern that matches the whole name.
_LOCATIONS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (
        re.compile(r"gemini-embedding-001"),
        frozenset(
            {"us-central1", "us-east1", "us-east4", "us-west1", "us-west4", "europe-west1", "europe-west4"}
        ),
    ),
    (re.compile(r"gemini-embedding-2"), _MULTI_REGIONS),
    (re.compile(r"gemini-4-.*"), _MULTI_REGIONS),
)


def check_location(model: str, location: str) -> list[Finding]:
    """Report a location in which batches of the model are not served."""
    name = canonical_model(model)
    served = next((places for pattern, places in _LOCATIONS if pattern.fullmatch(name)), None)
    if served and location not in served:
        message = f"{name} is documented for batches in {', '.join(sorted(served))}, but not in {location}"
        return [Finding(Severity.DOUBT, "location", message)]
    publisher = model.partition("publishers/")[2].partition("/")[0]
    is_base_gemini = publisher in {"", "google"} and not name.startswith(("claude", "projects/"))
    if location == "global" and not is_base_gemini:
        message = f"batches of {name} are not available in `global`; only those of Google's base models are"
        return [Finding(Severity.JOB, "location", message)]
    return []


def check_life(model: str, day: date) -> list[Finding]:
    """Report a model that stops, or has stopped, by a day. An unknown model is not reported."""
    retirement = retirement_of(model)
    text = retirement.describe(day) if retirement else ""
    if retirement is None or not text:
        return []
    severity = Severity.JOB if retirement.stage(day) is Stage.RETIRED else Severity.DOUBT
    return [Finding(severity, "model", text)]


def check_proxy(client: ModelClient, model: str) -> list[Finding]:
    """Check that the proxy lists the model.

    Its built-in route accepts every model, so a model that is not listed may still work. But a key that is
    limited to some models is refused.
    """
    try:
        deployments = client.model_info()
    except VertexBatchError as error:
        return [Finding(Severity.DOUBT, "proxy", f"its list of models could not be read: {error}")]
    known = {_served(deployment) for deployment in deployments} - {""}
    name = canonical_model(model)
    if name in known or any(each.endswith("*") and name.startswith(each[:-1]) for each in known):
        return []
    if not known:
        message = "it lists no model for this key, so it may refuse the job"
        return [Finding(Severity.DOUBT, "proxy", message)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    message = f"{name} is not among the {len(known)} models that the proxy lists for this key{hint}"
    return [Finding(Severity.DOUBT, NOT_LISTED, message)]


def _served(deployment: Mapping[str, object]) -> str:
    parameters = deployment.get("litellm_params")
    model = parameters.get("model") if isinstance(parameters, Mapping) else None
    return canonical_model(str(model or deployment.get("model_name") or ""))
