"""One name for one model, however it is written."""

from __future__ import annotations

import re

_GEMINI = re.compile(r"^gemini-(\d+)(?:[.-]|$)")
_LAST_BILLED_BY_PROMPT = 2
_BY_CHARACTER = re.compile(r"^(?:text-embedding-00[45]|text-multilingual-embedding-002)$")
_TUNED = re.compile(r"^projects/[^/]+/locations/[^/]+/(?:models|endpoints)/[^/]+$")


def canonical_model(text: str) -> str:
    """Reduce the forms of a model's name to the bare one that price maps know.

    ``publishers/google/models/gemini-3.8-flash``, ``vertex_ai/gemini-3.8-flash``, the project-scoped form and
    ``gemini-3.8-flash@default`` are all ``gemini-3.8-flash``. A tuned model
    (``projects/P/locations/L/models/ID`` or ``.../endpoints/ID``) keeps its full name: it has its own price.
    """
    name = text.strip().partition("@")[0].strip("/")
    name = name.removeprefix("vertex_ai/")
    return name if _TUNED.match(name) else name.rpartition("/")[2]


def is_tuned_model(model: str) -> bool:
    """Whether a name means a tuned model, whose rows carry the name of the base model."""
    return _TUNED.match(canonical_model(model)) is not None


def is_billed_by_character(model: str) -> bool:
    """Whether a model's input is billed by character: Google's text embedding models before Gemini's.

    Source: Google's price list for embeddings, per 1,000 characters of input.
    """
    return _BY_CHARACTER.match(canonical_model(model)) is not None


def is_billed_by_grounded_prompt(model: str) -> bool | None:
    """Whether a row that searched the web is billed once, or for each of its queries; None: not known.

    Source: Google's price list. Gemini 2.x is billed per grounded prompt, Gemini 3 and later per query.
    """
    found = _GEMINI.match(canonical_model(model))
    return int(found[1]) <= _LAST_BILLED_BY_PROMPT if found else None
