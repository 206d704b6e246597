"""What a row has to look like, by the model that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vertex_batch.inputs import EMBEDDING_ROWS, GENERATION_ROWS, TEXT_EMBEDDING_ROWS
from vertex_batch.preflight.columns import Column

# What a row of an earlier job's output brings along, which resumes that job. Vertex takes it as it is.
_OUTPUT_KEYS = ("response", "status", "processed_time")


@dataclass(frozen=True, slots=True)
class Shape:
    """The rows of one kind of model.

    :param example: a row, for messages.
    :param container: the key without which the importer refuses the file; empty where that is not known.
    :param needed: paths without which a row fails by itself.
    :param is_imported: whether the limits of the importer are known to hold.
    :param max_rows: of one job, as Google documents it; None where it does not.
    """

    name: str
    example: str
    container: str = ""
    needed: tuple[str, ...] = ()
    is_imported: bool = True
    max_rows: int | None = None

    def mark(self, root: Column) -> None:
        """Tell the columns what a row must have, and what is not looked at."""
        for key in _OUTPUT_KEYS:
            root.child(key, opaque=True)
        for path in filter(None, (self.container, *self.needed)):
            column = root
            for key in path.split("."):
                column = column.child(key)
                column.required = True

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The first path that a row lacks, or has without content; None where all are there."""
        for path in filter(None, (self.container, *self.needed)):
            value: Any = row
            for key in path.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if value in (None, [], {}):
                return path
        return None


_GEMINI = Shape(
    "Gemini",
    '{"request": {"contents": [...]}}',
    container="request",
    needed=("request.contents",),
    max_rows=GENERATION_ROWS,
)
_GEMINI_EMBEDDING = Shape(
    "Gemini embeddings",
    '{"request": {"content": {"parts": [...]}}}',
    container="request",
    needed=("request.content.parts",),
    max_rows=EMBEDDING_ROWS,
)
_TEXT_EMBEDDING = Shape(
    "text embeddings",
    '{"content": "..."}',
    container="content",
    needed=("content",),
    max_rows=TEXT_EMBEDDING_ROWS,
)
_CLAUDE = Shape(
    "Claude",
    '{"custom_id": "...", "request": {"anthropic_version": "vertex-2023-10-16", "max_tokens": 256,'
    ' "messages": [...]}}',
    needed=("custom_id", "request.anthropic_version", "request.max_tokens", "request.messages"),
    is_imported=False,
)
_OPEN = Shape("open models", '{"custom_id": "...", "body": {...}}', needed=("body",), is_imported=False)
_UNKNOWN = Shape("this model", "{...}", is_imported=False)


def shape_of(model: str) -> Shape:
    """The shape of the rows that a model takes.

    :param model: in any form that a spec allows. A tuned model's rows are taken for Gemini's.
    """
    path, _, name = model.rpartition("/")
    name = name.partition("@")[0]
    publisher = path.partition("publishers/")[2].partition("/")[0]
    if publisher == "anthropic" or name.startswith("claude"):
        return _CLAUDE
    if publisher not in {"", "google"}:
        return _OPEN
    if name.startswith("gemini-embedding"):
        return _GEMINI_EMBEDDING
    if name.startswith(("text-embedding", "text-multilingual-embedding")):
        return _TEXT_EMBEDDING
    if name.startswith("gemini") or (path.startswith("projects/") and not publisher):
        return _GEMINI
    return _UNKNOWN
