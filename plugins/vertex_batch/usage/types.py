"""The types of usage: kinds, modalities, tiers, and the result of a scan of a job's output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TypeVar

from vertex_batch.errors import count_of

MAX_PROBLEMS = 20
MAX_REASONS = 50
SAMPLES_OF_A_REASON = 3
OTHER_REASONS = "other reasons"
NO_RESPONSE = "no response in the row"
EMPTY_RESPONSE = "empty response"
NO_USAGE = "no usage in the row; its cost is not in the amount"
INPUT_ROW = "a request without an answer, as in a job's input"
_K = TypeVar("_K")


class Kind(StrEnum):
    """What is counted; each kind has a rate and a unit of its own."""

    INPUT = "input"
    INPUT_CHARACTER = "input_character"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"
    THOUGHTS = "thoughts"
    TOOL_USE_INPUT = "tool_use_input"
    SEARCH_QUERY = "search_query"
    MAPS_GROUNDING = "maps_grounding"
    ENTERPRISE_SEARCH = "enterprise_search"
    DATA_GROUNDING = "data_grounding"
    OTHER_GROUNDING = "other_grounding"

    @property
    def unit(self) -> Unit:
        """What one of it is."""
        return _UNITS.get(self, Unit.TOKEN)


class Unit(StrEnum):
    """What is counted. Only tokens have a modality."""

    TOKEN = "token"  # noqa: S105 - a unit
    CHARACTER = "character"
    QUERY = "query"
    PROMPT = "prompt"


_UNITS = {
    Kind.INPUT_CHARACTER: Unit.CHARACTER,
    Kind.SEARCH_QUERY: Unit.QUERY,
    Kind.MAPS_GROUNDING: Unit.PROMPT,
    Kind.ENTERPRISE_SEARCH: Unit.PROMPT,
    Kind.DATA_GROUNDING: Unit.PROMPT,
    Kind.OTHER_GROUNDING: Unit.PROMPT,
}


class Modality(StrEnum):
    """What a token stands for. What Google leaves unspecified is text."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


class Tier(StrEnum):
    """Which of a model's rates a row is billed at; decided per row, by the size of its prompt."""

    STANDARD = "standard"
    LONG_CONTEXT = "long_context"


class CacheTtl(StrEnum):
    """How long a cache write lives; Claude has two rates. Empty for everything that is not a cache write."""

    NONE = ""
    FIVE_MINUTES = "5m"
    ONE_HOUR = "1h"


@dataclass(frozen=True, slots=True)
class UsageKey:
    """What tokens are added up by: all tokens of one key have one rate.

    :param priced_on: the first day of the prices that hold for rows that were answered after a change of
        prices; None: the day on which the job ran.
    """

    model: str
    kind: Kind
    modality: Modality = Modality.TEXT
    tier: Tier = Tier.STANDARD
    cache_ttl: CacheTtl = CacheTtl.NONE
    priced_on: date | None = None


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row without a usable answer: which, and why. Never its content."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(slots=True)
class ScanResult:
    """What the rows of an output say. Every row is exactly one of ok, failed, unreadable and unrecognized.

    :param ok: rows with an answer; the only ones that are billed.
    :param unreadable: lines that are not JSON, or hold counts that are not possible.
    :param unrecognized: JSON objects in none of the known output formats. What they cost is not known.
    :param copied: those of `ok` that an earlier job of a resume chain has billed already; not in `tokens`.
    :param tokens: exact sums, in the unit of each kind.
    :param problems: the first 20 unreadable rows.
    :param unrecognized_reasons: unrecognized rows by why, at most 50 reasons.
    :param unrecognized_samples: the first 20 unrecognized rows.
    :param failed_reasons: failed rows by what Google said; the rarest beyond 50 are summed up as other.
    :param failed_samples: where some failed rows are, up to three for each reason.
    :param notes: what is odd about rows that were read, and how many rows it concerns.
    :param untimed: those of `tokens` whose rows do not say when they were answered, if rows were separated
        by that; None: they were not.
    """

    ok: int = 0
    failed: int = 0
    unreadable: int = 0
    unrecognized: int = 0
    copied: int = 0
    tokens: dict[UsageKey, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    unrecognized_reasons: dict[str, int] = field(default_factory=dict)
    unrecognized_samples: list[RowProblem] = field(default_factory=list)
    failed_reasons: dict[str, int] = field(default_factory=dict)
    failed_samples: list[RowProblem] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    untimed: dict[UsageKey, int] | None = None

    @property
    def rows(self) -> int:
        return self.ok + self.failed + self.unreadable + self.unrecognized

    @property
    def is_input(self) -> bool:
        """Whether all rows are requests: the path names the input of a job instead of its output."""
        return 0 < self.rows == self.unrecognized_reasons.get(INPUT_ROW, 0)

    @property
    def without_usage(self) -> int:
        """Those of `ok` that lack (some of) their usage, so that their cost is unknown."""
        return self.notes.get(NO_USAGE, 0)

    @property
    def flags(self) -> list[str]:
        """The notes as sentences for the bill."""
        return [f"{text} ({count_of(n, 'row')})" if n else text for text, n in self.notes.items()]

    def merge(self, other: ScanResult) -> ScanResult:
        """Both results as one. The order of merging never changes a sum."""
        return ScanResult(
            ok=self.ok + other.ok,
            failed=self.failed + other.failed,
            unreadable=self.unreadable + other.unreadable,
            unrecognized=self.unrecognized + other.unrecognized,
            copied=self.copied + other.copied,
            tokens=_added(self.tokens, other.tokens),
            problems=(self.problems + other.problems)[:MAX_PROBLEMS],
            unrecognized_reasons=bounded(_added(self.unrecognized_reasons, other.unrecognized_reasons)),
            unrecognized_samples=(self.unrecognized_samples + other.unrecognized_samples)[:MAX_PROBLEMS],
            failed_reasons=bounded(_added(self.failed_reasons, other.failed_reasons)),
            failed_samples=some_of_each(self.failed_samples + other.failed_samples),
            notes=_added(self.notes, other.notes),
            untimed=_added_if_known(self.untimed, other.untimed),
        )


def bounded(counts: dict[str, int]) -> dict[str, int]:
    """At most `MAX_REASONS` reasons, so that memory does not grow with what a service writes."""
    if len(counts) <= MAX_REASONS + 1:
        return counts
    named = Counter({reason: n for reason, n in counts.items() if reason != OTHER_REASONS})
    kept = dict(named.most_common(MAX_REASONS))
    return {**kept, OTHER_REASONS: sum(counts.values()) - sum(kept.values())}


def some_of_each(samples: list[RowProblem]) -> list[RowProblem]:
    """Keep the first samples of each reason, and of no more reasons than are counted by name."""
    kept: dict[str, list[RowProblem]] = {}
    for sample in samples:
        known = sample.reason in kept or len(kept) < MAX_REASONS
        if known and len(kept.setdefault(sample.reason, [])) < SAMPLES_OF_A_REASON:
            kept[sample.reason].append(sample)
    return [sample for each in kept.values() for sample in each]


def _added(left: dict[_K, int], right: dict[_K, int]) -> dict[_K, int]:
    total = dict(left)
    for key, n in right.items():
        total[key] = total.get(key, 0) + n
    return total


def _added_if_known(left: dict[_K, int] | None, right: dict[_K, int] | None) -> dict[_K, int] | None:
    return None if left is None and right is None else _added(left or {}, right or {})
