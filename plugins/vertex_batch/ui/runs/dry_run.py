"""What a dry run has found, from what its submit tasks have stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import zip_longest
from typing import Any, Self

from vertex_batch.budgets import Estimate
from vertex_batch.costs import add_totals

MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class CheckedJob:
    """A job that was checked and not submitted.

    :param request: the body of the request, as JSON.
    :param rows: of its input; None: they were not counted.
    :param expected: its expected cost; None: it could not be estimated.
    :param day: whose prices the estimate has; None: not stored.
    :param lines: what else was found, by subject.
    """

    task_id: str
    request: str
    rows: int | None
    expected: Estimate | None
    day: date | None
    lines: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class DryRun:
    """The jobs of a dry run; there is at least one."""

    jobs: Sequence[CheckedJob]

    @classmethod
    def read(cls, outcomes: Mapping[tuple[str, int], Mapping[str, Any]]) -> Self | None:
        """Read it from the outcomes of tasks, by task id and map index; None if none was a dry run."""
        jobs = [_job(task_id, each) for (task_id, _), each in outcomes.items() if "request" in each]
        return cls(jobs) if jobs else None

    @property
    def rows(self) -> int | None:
        """Rows of all jobs; None if those of one are unknown."""
        known = [each.rows for each in self.jobs if each.rows is not None]
        return sum(known) if len(known) == len(self.jobs) else None

    @property
    def expected(self) -> Estimate | None:
        """What all jobs are expected to cost; None if the cost of one is unknown."""
        known = [each.expected for each in self.jobs if each.expected is not None]
        if len(known) < len(self.jobs):
            return None
        names = ("low", "high", "rows", "size", "input_tokens", "output_tokens")
        return replace(
            known[0],
            expected=add_totals(each.expected for each in known),
            **{name: sum(getattr(each, name) for each in known) for name in names},
            method=known[0].method if len(known) == 1 else f"{len(known)} jobs",
            unknown=tuple(dict.fromkeys(reason for each in known for reason in each.unknown)),
        )

    def found(self, subject: str) -> list[str]:
        """What was found about a subject, each line once, the first ones of all jobs first."""
        by_number = zip_longest(*(each.lines.get(subject, ()) for each in self.jobs))
        lines = dict.fromkeys(str(line) for of_jobs in by_number for line in of_jobs if line is not None)
        shown = list(lines)[:MAX_LINES]
        return [*shown, *([f"and {len(lines) - len(shown):,} more"] if len(lines) > len(shown) else [])]

    @property
    def summaries(self) -> int:
        """The number of lines among the findings that are not warnings."""
        return len({str(lines[0]) for each in self.jobs if (lines := each.lines.get("found"))})


def _job(task_id: str, outcome: Mapping[str, Any]) -> CheckedJob:
    expected, day = outcome.get("expected"), outcome.get("priced_on")
    return CheckedJob(
        task_id,
        str(outcome["request"]),
        outcome.get("rows"),
        Estimate.from_dict(expected) if isinstance(expected, dict) else None,
        date.fromisoformat(day) if day else None,
        outcome.get("lines") or {},
    )
