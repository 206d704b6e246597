"""The types of a delivery: what is joined, why a row has no good answer, and the numbers. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from vertex_batch.costs import rows_equation
from vertex_batch.vertex.names import JobId

SHOWN = 3
"""How many objects a message names."""


class Reason(StrEnum):
    """Why an input row has no good answer."""

    TRANSIENT = "transient"
    """It failed with a code that may pass, so the same row may be answered another time."""
    FAILED = "failed"
    """It failed for a reason that stays until the row is changed."""
    MISSING = "missing"
    """No row of any output belongs to it."""
    UNREADABLE = "unreadable"
    """Its output row holds counts that are not possible, or is not JSON."""
    UNRECOGNIZED = "unrecognized"
    """Its output row is in none of the known formats."""
    TRUNCATED = "truncated"
    """The answer reached the limit of output tokens."""
    BLOCKED = "blocked"
    """A safety filter stopped the prompt or the answer."""
    NO_ANSWER = "no_answer"
    """The row was answered and billed, but the answer is empty, or the model stopped for another reason."""
    NOT_JSON = "not_json"
    SCHEMA = "schema"
    """The answer does not match the JSON Schema."""


class ExtraKind(StrEnum):
    """Why an output row belongs to no input row."""

    DUPLICATE = "duplicate"
    """The input row has its answer already."""
    UNKNOWN = "unknown"
    """No input row has this key or request."""
    UNREADABLE = "unreadable"
    """The line cannot be read, so that it is unknown which row it answers."""


class AnswerForm(StrEnum):
    """What a delivered answer is."""

    TEXT = "text"
    JSON = "json"
    RAW = "raw"
    """The whole response, as JSON."""


@dataclass(frozen=True, slots=True)
class ResultSettings:
    """How rows are joined and what is taken from them.

    :param key: the path of the id in a row: the name of a sibling of `request`, or a path inside it such as
        ``request.labels.ticket``. Empty: rows are joined by their request.
    :param schema: the JSON Schema that answers must match; None: they are not checked.
    :param keep: fields of the input row that are carried over, each a path like `key`.
    """

    key: str = ""
    answer: AnswerForm = AnswerForm.TEXT
    schema: Mapping[str, object] | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptOutput:
    """One job's output of one attempt.

    :param attempt: 0 is the first submission; 1 and more are retries of rows.
    :param job: None if the output does not belong to a known job.
    :param outputs: output folders or files; empty for a job that ended without output.
    :param resumes: the job read the output of an earlier one. It repeats the rows that were answered and
        billed there, with their response ids.
    """

    attempt: int
    job: JobId | None = None
    outputs: tuple[str, ...] = ()
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of a delivery. Always: input rows = delivered + exceptions.

    :param exceptions: input rows without a good answer, by reason.
    :param first_exception: where the first input row with the most frequent of these reasons is, such as
        ``tickets.jsonl:2``; empty if there is none.
    :param extra_rows: output rows that belong to no input row, by kind; duplicates are among them.
    :param copied_rows: answered rows that a resumed job copied from an earlier output; they cost nothing.
    :param unpriced_rows: answered output rows whose cost is not known, or only a part of it.
    :param rows_without_key: input rows without the key; they were joined by their request.
    :param checked_prompts: answers whose prompt, as the output echoes it, was compared with that of the input
        row with the same key: all, or a part of a large input.
    :param other_prompts: those of them that answer another prompt: the input was changed after a job read it.
    :param added: objects that were added to the input after its jobs were created; not counted.
    :param doubtful: objects that may have been added, but are counted; the number of their rows, all missing.
    :param rewritten: objects of the input that were written again after that; counted.
    :param cost_usd: the known cost of all output rows; exact.
    :param cost_complete: False if the cost of a row is not known, so that `cost_usd` is a lower bound.
    """

    input_rows: int = 0
    delivered: int = 0
    exceptions: Mapping[Reason, int] = field(default_factory=dict)
    first_exception: str = ""
    extra_rows: Mapping[ExtraKind, int] = field(default_factory=dict)
    copied_rows: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_complete: bool = True
    unpriced_rows: int = 0
    rows_without_key: int = 0
    checked_prompts: int = 0
    other_prompts: int = 0
    added: tuple[str, ...] = ()
    doubtful: Mapping[str, int] = field(default_factory=dict)
    rewritten: tuple[str, ...] = ()

    @property
    def exception_rows(self) -> int:
        return sum(self.exceptions.values())

    @property
    def duplicate_answers(self) -> int:
        """Output rows for an input row that already has its answer."""
        return self.extra_rows.get(ExtraKind.DUPLICATE, 0)

    def __str__(self) -> str:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.exceptions.items())
        extra = sum(self.extra_rows.values())
        return (
            rows_equation(self.input_rows, self.delivered, self.exception_rows)
            + (f" ({reasons})" if reasons else "")
            + (f"; {extra:,} extra output rows" if extra else "")
        )
