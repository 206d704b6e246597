"""One name for one model, however it is written."""

from __future__ import annotations

import re

_TUNED = re.compile(r"^projects/[^/]+/locations/[^/]+/(?:models|endpoints)/[^/]+$")


def canonical_model(text: str) -> str:
    """Reduce the forms of a model's name to the bare one that price maps know.

    ``publishers/google/models/gemini-2.5-flash``, ``vertex_ai/gemini-2.5-flash``, the project-scoped form and
    ``gemini-2.5-flash@default`` are all ``gemini-2.5-flash``. A tuned model
    (``projects/P/locations/L/models/ID`` or ``.../endpoints/ID``) keeps its full name: it has its own price.
    """
    name = text.strip().partition("@")[0].strip("/")
    name = name.removeprefix("vertex_ai/")
    return name if _TUNED.match(name) else name.rpartition("/")[2]


def is_tuned_model(model: str) -> bool:
    """Whether a name means a tuned model, whose rows carry the name of the base model."""
    return _TUNED.match(canonical_model(model)) is not None
