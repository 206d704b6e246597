"""How much one job may read: rows and bytes, by the kind of model."""

from __future__ import annotations

from dataclasses import dataclass

from vertex_batch.vertex.names import short_model

MAX_BYTES = 1_000_000_000
"""Google says "1 GB"; the decimal one is the safe choice."""

MAX_FILES = 1_000
"""Files named one by one in a request. Google states no limit; this keeps the request below 1 MB or so."""

GENERATION_ROWS = 200_000
EMBEDDING_ROWS = 1_000_000
TEXT_EMBEDDING_ROWS = 30_000
_ROWS_BY_PREFIX = {
    "gemini-embedding": EMBEDDING_ROWS,
    "text-embedding": TEXT_EMBEDDING_ROWS,
    "text-multilingual-embedding": TEXT_EMBEDDING_ROWS,
    "textembedding-gecko": TEXT_EMBEDDING_ROWS,
}
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


def limits_for(model: str, max_rows: int | None = None, max_bytes: int | None = None) -> JobLimits:
    """Return the limits of a model's jobs; the limits of a spec take precedence.

    >>> limits_for("publishers/google/models/gemini-embedding-001").max_rows
    1000000
    >>> limits_for("gemini-3.8-flash", max_rows=50_000).max_rows
    50000
    """
    name = short_model(model)
    of_model = next((n for prefix, n in _ROWS_BY_PREFIX.items() if name.startswith(prefix)), GENERATION_ROWS)
    return JobLimits(max_rows or of_model, max_bytes or MAX_BYTES)
