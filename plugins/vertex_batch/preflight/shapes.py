"""The required shape of a row, by the model that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from vertex_batch.preflight.columns import Column, LowNumber
from vertex_batch.preflight.fields import EMBEDDING, GENERATION, Field, messages
from vertex_batch.preflight.requests import Flaw, problems
from vertex_batch.vertex.limits import ModelKind, kind_of

# Keys of a row from an earlier job's output, which a job may read to resume that one. Vertex accepts them.
_OUTPUT_KEYS = ("response", "status", "processed_time")


_THINKS = re.compile(r"gemini-(2\.5|[3-9])(?!.*(lite|image|tts|embedding))")
_FEW_TOKENS = 1024
_CUT = Flaw(
    "request.generationConfig.maxOutputTokens",
    f"is below {_FEW_TOKENS:,}, and the model thinks first: thoughts count as output, are billed, and can use"
    f" up the limit, so that answers are cut. Raise it to {_FEW_TOKENS:,} or more, or set"
    " `thinkingConfig.thinkingBudget`",
    is_certain=False,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The rows of one kind of model.

    :param name: the kind of model, for messages.
    :param example: a row, for messages.
    :param container: the key without which the importer refuses the file; empty if that is not known.
    :param needed: paths without which a row fails alone.
    :param is_imported: whether the limits of the importer are known to apply.
    :param max_rows: of one job, as documented by Google; None if it is not documented.
    :param message: Google's message type of the container; empty if its fields are not known.
    :param key_names: keys that people use to match answers to rows, the usual one first.
    :param model: the model that answers the rows, without version.
    """

    name: str
    example: str
    container: str = ""
    needed: tuple[str, ...] = ()
    is_imported: bool = True
    max_rows: int | None = None
    message: str = ""
    key_names: tuple[str, ...] = ("key", "custom_id")
    model: str = ""

    def mark(self, root: Column, is_new: Callable[[Flaw], bool]) -> None:
        """Mark the columns that a row must have, those that are not checked, and those whose value counts.

        :param is_new: whether a doubt was not reported yet.
        """
        for key in _OUTPUT_KEYS:
            root.child(key, opaque=True)
        for path in filter(None, (self.container, *self.needed)):
            column = root
            for key in path.split("."):
                column = column.child(key)
                if column.path == self.container and self.message:
                    column.field = Field(self.message)
                column.required = True
        if self.message:
            for parent in (root, root.child(self.container)):
                parent.child("model").field = Field("string", pattern=self._model_pattern)
        if self._thinks:
            for name in ("generationConfig", "generation_config"):
                root.child(self.container).child(name).low_number = LowNumber(
                    "maxOutputTokens",
                    _FEW_TOKENS,
                    lambda config: is_new(_CUT) and _may_be_cut(msgspec.to_builtins(config)),
                )

    def problems(self, row: Mapping[str, object]) -> Iterator[Flaw]:
        """Yield the problems of a row that has all needed keys: those that fail it and those that may."""
        if not self.message:
            return
        message = messages()[self.message]
        request = row.get(self.container)
        yield from problems(request, message, self.container)
        for key, value in row.items():
            if key in message.fields and key != "model" and value is not None:
                where = f"is outside of `{self.container}`, where Google ignores it: move it inside"
                yield Flaw(key, where, is_certain=False)
        inner = request if isinstance(request, Mapping) else {}
        if self._thinks:
            config = _either(inner, "generationConfig", "generation_config")
            if _may_be_cut(config):
                yield _CUT
        for path, named in (("model", row.get("model")), (f"{self.container}.model", inner.get("model"))):
            if isinstance(named, str) and not re.search(self._model_pattern, named):
                which = f"is {named[:80]!r}, but the job's model {self.model} answers the row"
                yield Flaw(path, which, is_certain=False)

    @property
    def _thinks(self) -> bool:
        return self.message == GENERATION and _THINKS.match(self.model) is not None

    @property
    def _model_pattern(self) -> str:
        return rf"(^|/){re.escape(self.model)}(@.*)?$"

    def missing(self, row: Mapping[str, object]) -> str | None:
        """The first path that is missing or empty in a row; None if the row has all of them."""
        for path in filter(None, (self.container, *self.needed)):
            value: object = row
            for key in path.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if value in (None, [], {}):
                return path
        return None

    def lacking(self, row: Mapping[str, object]) -> str:
        """Say that a path is missing, and for which kind of model the row seems to be written."""
        other = looks_like(row)
        seems = f"; this one looks like a row for {other}" if other and other != self.name else ""
        return f"is missing: a row for {self.name} is {self.example}{seems}"


def _may_be_cut(config: object) -> bool:
    """Whether a config limits the output to few tokens, but not the thoughts, which count as output."""
    most = _either(config, "maxOutputTokens", "max_output_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or not 0 < most < _FEW_TOKENS:
        return False
    thinking = _either(config, "thinkingConfig", "thinking_config")
    budget = _either(thinking, "thinkingBudget", "thinking_budget")
    has_budget = isinstance(budget, int) and budget >= 0
    return not has_budget and not _either(thinking, "thinkingLevel", "thinking_level")


def _either(value: object, name: str, other: str) -> object:
    return value.get(name, value.get(other)) if isinstance(value, Mapping) else None


_GEMINI = Shape(
    "Gemini",
    '{"request": {"contents": [...]}}',
    container="request",
    needed=("request.contents",),
    message=GENERATION,
)
_GEMINI_EMBEDDING = Shape(
    "Gemini embeddings",
    '{"request": {"content": {"parts": [...]}}}',
    container="request",
    needed=("request.content.parts",),
    message=EMBEDDING,
)
_TEXT_EMBEDDING = Shape("text embeddings", '{"content": "..."}', container="content", needed=("content",))
_CLAUDE = Shape(
    "Claude",
    '{"custom_id": "...", "request": {"anthropic_version": "vertex-2023-10-16", "max_tokens": 256,'
    ' "messages": [...]}}',
    needed=("custom_id", "request.anthropic_version", "request.max_tokens", "request.messages"),
    is_imported=False,
)
_OPEN = Shape("open models", '{"custom_id": "...", "body": {...}}', needed=("body",), is_imported=False)


_SHAPES = {
    ModelKind.GEMINI: _GEMINI,
    ModelKind.GEMINI_EMBEDDING: _GEMINI_EMBEDDING,
    ModelKind.TEXT_EMBEDDING: _TEXT_EMBEDDING,
    ModelKind.CLAUDE: _CLAUDE,
    ModelKind.OPEN: _OPEN,
    ModelKind.UNKNOWN: Shape("this model", "{...}", is_imported=False),
}


def shape_of(model: str) -> Shape:
    """The shape of the rows that a model accepts; see `kind_of`."""
    kind = kind_of(model)
    name = model.rpartition("/")[2].partition("@")[0]
    return replace(_SHAPES[kind], model=name, max_rows=kind.max_rows)


def looks_like(row: Mapping[str, object]) -> str:
    """Name the kind of model that a row seems to be written for; empty if it is not known."""
    request = row.get("request")
    inner = request if isinstance(request, Mapping) else {}
    if "contents" in inner:
        return _GEMINI.name
    if "content" in inner:
        return _GEMINI_EMBEDDING.name
    if "messages" in inner:
        return _CLAUDE.name if "anthropic_version" in inner or "max_tokens" in inner else "OpenAI"
    if "body" in row or "messages" in row:
        return "OpenAI"
    if "contents" in row:
        return f"{_GEMINI.name} without its `request` around it"
    return _TEXT_EMBEDDING.name if isinstance(row.get("content"), str) else ""
