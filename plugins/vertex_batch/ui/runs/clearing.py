"""What it costs to clear the submit task of a job that was cut short, and how only the rest is sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vertex_batch.costs import JobCost, Total, about, add_totals
from vertex_batch.ui import numbers
from vertex_batch.ui.words import at_least
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import STATES_WITH_RESULTS


@dataclass(frozen=True, slots=True)
class Clearing:
    """All rows of the jobs of one submit task are sent again, and the answered ones are paid for twice.

    :param rows: of their inputs; None: not counted.
    :param answered: rows that are paid for; None: not known.
    :param paid: what these cost; None: not known.
    :param expected: what all rows usually cost; None: not known.
    :param is_running: the job still answers rows.
    :param is_estimate: what was paid is estimated, because there is no bill yet.
    """

    task_id: str
    spec: str
    rows: int | None
    answered: int | None
    paid: Total | None
    expected: Total | None = None
    is_running: bool = False
    is_estimate: bool = False

    @property
    def whole(self) -> Total | None:
        """What all rows cost at the price of the answered ones, or what is expected, as of a running job."""
        is_expected = self.is_running and self.expected is not None
        if is_expected or not (self.rows and self.answered and self.paid and self.paid.amount):
            return self.expected
        return Total(self.paid.amount * self.rows / self.answered, self.paid.complete)

    @property
    def rest(self) -> str:
        """What the rows without an answer are, and cost by themselves, as far as that is known."""
        rest = None
        if (whole := self.whole) and self.rows and self.answered is not None and not self.is_running:
            left = self.rows - self.answered
            rest = Total(whole.amount * left / self.rows, whole.complete)
        return f"the rows without an answer{self._estimated(rest, ', about %s')}"

    def __str__(self) -> str:
        return self.describe()

    def describe(self, money: numbers.AmountColumn | None = None) -> str:
        """Say what is sent and paid for again.

        :param money: how the page writes what was paid; None: as an amount by itself.
        """
        rows = f"all {self.rows:,} rows" if self.rows else "all rows"
        again = f"Clearing {self.task_id} sends {rows} again{self._estimated(self.whole, ', about %s')}"
        if self.is_running or self.answered is None:
            now = (
                f": {self.answered:,} so far{self._estimated(self.paid, ', about %s')}"
                if self.answered
                else ""
            )
            return f"{again}, also those that are answered by then{now}. They are paid for twice."
        if self.answered == 0:
            return f"{again}. No row was answered, so none is paid for twice."
        paid = _usd(self.paid, money.write if money else numbers.amount, " (%s)")
        if self.is_estimate:
            paid = self._estimated(self.paid, " (about %s)")
        if self.answered == 1:
            return f"{again}, also the one that was answered{paid}. It is paid for twice."
        return f"{again}, also the {self.answered:,} that were answered{paid}. They are paid for twice."

    @staticmethod
    def _estimated(total: Total | None, form: str) -> str:
        return _usd(total, lambda amount: about(amount.amount), form)


def latest_jobs(jobs: Sequence[JobCost]) -> list[JobCost]:
    """The job of each submit task, and of each map index of it, that was submitted last."""
    ordered = sorted(jobs, key=lambda one: one.job.created_at)
    return list({(each.job.task_id, each.job.map_index): each for each in ordered}.values())


def clearings(jobs: Sequence[JobCost], expected: Mapping[JobId, Total]) -> list[Clearing]:
    """One for each submit task whose last jobs ended without all results.

    :param jobs: of a run.
    :param expected: what jobs were expected to cost when they were submitted.
    """
    by_task: dict[str, list[JobCost]] = {}
    for each in latest_jobs(jobs):
        by_task.setdefault(each.job.task_id, []).append(each)
    return [
        _of_task(task_id, of_task, expected)
        for task_id, of_task in by_task.items()
        if any(each.job.state not in STATES_WITH_RESULTS for each in of_task)
    ]


def _of_task(task_id: str, jobs: Sequence[JobCost], expected: Mapping[JobId, Total]) -> Clearing:
    counts = [each.rows.input_rows for each in jobs if each.rows.input_rows is not None]
    guesses = [expected[each.job.key] for each in jobs if each.job.key in expected]
    return Clearing(
        task_id,
        jobs[0].job.spec,
        sum(counts) if len(counts) == len(jobs) else None,
        sum(each.rows.ok for each in jobs),
        add_totals(each.total for each in jobs),
        add_totals(guesses) if len(guesses) == len(jobs) else None,
    )


def _usd(total: Total | None, write: Callable[[Total], str], form: str) -> str:
    if total is None or not total.amount:
        return ""
    return form % f"{at_least(total)}{write(total)} USD"
