"""The kinds of models, and how much one job may read: rows and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

MAX_BYTES = 1_000_000_000
"""Google says "1 GB"; the decimal one is the safe choice."""

MAX_FILES = 1_000
"""Files named one by one in a request. Google states no limit; this keeps the request below 1 MB or so."""


class ModelKind(Enum):
    """What a model takes and gives, which decides the form of its rows and how many a job may have."""

    GEMINI = auto()
    GEMINI_EMBEDDING = auto()
    TEXT_EMBEDDING = auto()
    CLAUDE = auto()
    OPEN = auto()
    UNKNOWN = auto()

    @property
    def max_rows(self) -> int | None:
        """The most rows of one job, as documented by Google; None if it is not documented."""
        return _MAX_ROWS.get(self)


_MAX_ROWS = {
    ModelKind.GEMINI: 200_000,
    ModelKind.GEMINI_EMBEDDING: 1_000_000,
    ModelKind.TEXT_EMBEDDING: 30_000,
}
_TEXT_EMBEDDINGS = ("text-embedding", "text-multilingual-embedding", "textembedding-gecko")
# The shortest row that is a JSON object, with its newline.
_SHORTEST_ROW_BYTES = 3


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The most that one job reads. A larger input is split into several jobs.

    :param max_files: inputs that are named one by one; a wildcard counts as one.
    """

    max_rows: int
    max_bytes: int = MAX_BYTES
    max_files: int = MAX_FILES

    def fits(self, rows: int, size: int) -> bool:
        """Whether one job may read that much."""
        return rows <= self.max_rows and size <= self.max_bytes

    def surely_fits(self, size: int) -> bool:
        """Whether an input of this size fits for any number of rows, so that they need not be counted."""
        return size <= self.max_bytes and size // _SHORTEST_ROW_BYTES < self.max_rows


def kind_of(model: str) -> ModelKind:
    """The kind of a model, in any form that a spec allows. A tuned model is assumed to be a Gemini model.

    >>> kind_of("publishers/google/models/gemini-embedding-001").name, kind_of("gemini-3.8-flash@001").name
    ('GEMINI_EMBEDDING', 'GEMINI')
    """
    path, _, name = model.rpartition("/")
    name = name.partition("@")[0]
    publisher = path.partition("publishers/")[2].partition("/")[0]
    if publisher == "anthropic" or name.startswith("claude"):
        return ModelKind.CLAUDE
    if publisher not in {"", "google"}:
        return ModelKind.OPEN
    if name.startswith("gemini-embedding"):
        return ModelKind.GEMINI_EMBEDDING
    if name.startswith(_TEXT_EMBEDDINGS):
        return ModelKind.TEXT_EMBEDDING
    if name.startswith("gemini") or (path.startswith("projects/") and not publisher):
        return ModelKind.GEMINI
    return ModelKind.UNKNOWN


def limits_for(model: str, max_rows: int | None = None, max_bytes: int | None = None) -> JobLimits:
    """Return the limits of a model's jobs; the limits of a spec take precedence.

    >>> limits_for("publishers/google/models/gemini-embedding-001").max_rows
    1000000
    >>> limits_for("gemini-3.8-flash", max_rows=50_000).max_rows
    50000
    """
    of_model = kind_of(model).max_rows or _MAX_ROWS[ModelKind.GEMINI]
    return JobLimits(max_rows or of_model, max_bytes or MAX_BYTES)
