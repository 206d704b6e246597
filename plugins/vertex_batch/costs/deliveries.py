"""The numbers of deliveries, as they are stored beside the bills. Plain data, without SQLAlchemy."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from vertex_batch.costs.bill import JobFacts, add_totals
from vertex_batch.costs.questions import JobCost
from vertex_batch.errors import count_of
from vertex_batch.vertex.labels import RETRY_LABEL
from vertex_batch.vertex.names import JobId

NIGHT = timedelta(hours=12)
"""How far back `DeliverySums` go from the latest delivery."""
_REASONS_SHOWN = 5


def rows_equation(input_rows: int, delivered: int, exceptions: int) -> str:
    """Write the three numbers of a delivery: ``20 input rows = 18 delivered + 2 exceptions``."""
    bad = count_of(exceptions, "exception")
    return f"{count_of(input_rows, 'input row')} = {delivered:,} delivered + {bad}"


def answers_stay(delivered: int, uri: str, rest: UnansweredRows | None = None) -> str:
    """Say that a delivery was not replaced by a worse one.

    :param rest: its rows without a good answer; None if that is not known.
    """
    if delivered == 1:
        stay = f"The 1 answer that was delivered before stays at {uri}"
    else:
        stay = f"The {delivered:,} answers that were delivered before stay at {uri}"
    return f"{stay}." if rest is None else f"{stay}{str(rest) or ', where each row has its answer.'}"


@dataclass(frozen=True, slots=True)
class UnansweredRows:
    """The rows of a delivery that have no good answer, and the run that has to send them again.

    >>> str(UnansweredRows(3, "nightly", "once"))
    '; 3 of its rows have no answer. To send only these again, run `vertex-batch retry-rows nightly once`.'

    :param run_id: the run whose rows have to be sent again; empty if there is none, such as for a delivery of
        the command line.
    :param job_name: see `Delivery`.
    :param are_lasting: all of them have reasons that another try does not change.
    """

    rows: int
    dag_id: str = ""
    run_id: str = ""
    job_name: str = ""
    are_lasting: bool = False

    @classmethod
    def beside(
        cls,
        rows: int,
        run: tuple[str, str],
        retry_of: str,
        other: tuple[str, str],
        job_name: str,
        *,
        are_lasting: bool,
    ) -> UnansweredRows:
        """The rows of a delivery that stays although another one was made.

        If that is of the same run, a person has cleared its submit task. To send rows of the run again would
        then pay for rows of the later jobs that the delivery has answers to.

        :param run: of the delivery that stays, as the DAG and the run.
        :param other: of the other delivery.
        """
        return cls(rows, run[0], "" if run == other else retry_of or run[1], job_name, are_lasting)

    def __str__(self) -> str:
        """What is said after a delivery; empty if all of its rows have an answer."""
        if not self.rows:
            return ""
        which, have = ("this one", "has") if self.rows == 1 else ("these", "have")
        job = ["--job", self.job_name] if self.job_name else []
        command = shlex.join(["vertex-batch", "retry-rows", self.dag_id, self.run_id, *job])
        again = f" To send only {which} again, run `{command}`." if self.run_id else ""
        if self.are_lasting:
            again = " Sent again unchanged, they would fail again."
        return f"; {self.rows:,} of its rows {have} no answer.{again}"


def in_reasons(reasons: Mapping[str, int]) -> str:
    """Write exceptions by reason, in parentheses; empty without any."""
    ranked = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{count:,} {reason}" for reason, count in ranked[:_REASONS_SHOWN]]
    if rest := sum(count for _, count in ranked[_REASONS_SHOWN:]):
        shown.append(f"{rest:,} for other reasons")
    return f" ({', '.join(shown)})" if shown else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one task delivered. Always: input rows = delivered + exceptions.

    :param exceptions: input rows without a good answer.
    :param reasons: the exceptions by reason.
    :param delivered_at: when its files were written.
    :param job_name: of a job in a spec with several jobs.
    :param usd: what its jobs cost when it was delivered, with all digits.
    :param is_complete: False if `usd` is a lower bound.
    :param kept_at: where a better delivery of the same input is, if this one was put beside it; else empty.
    :param kept_answers: how many answers that one had.
    :param retry_of: the earlier run whose rows its run has sent again, so that it has all rows of both; empty
        for an ordinary run.
    :param replaced_by: a later run of the DAG that delivered to the same file; empty if none did. Not stored.
    :param replaces: the run of the DAG whose delivery was in the file before; empty if none was. Not stored.
    """

    dag_id: str
    run_id: str
    task_id: str
    input_rows: int
    delivered: int
    exceptions: int
    reasons: Mapping[str, int]
    answers_uri: str
    exceptions_uri: str
    manifest_uri: str
    usd: str
    is_complete: bool
    delivered_at: datetime
    map_index: int = -1
    spec: str = ""
    team: str = ""
    job_name: str = ""
    kept_at: str = ""
    kept_answers: int = 0
    retry_of: str = ""
    replaced_by: str = ""
    replaces: str = ""

    def __str__(self) -> str:
        """The three numbers, and the most frequent reasons."""
        return f"{rows_equation(self.input_rows, self.delivered, self.exceptions)}{in_reasons(self.reasons)}"

    def is_of(self, job: JobFacts) -> bool:
        """Whether it can contain answers of a job of the same run.

        Both tasks are in the same task group, and the job was not created after the delivery, by a task that
        was cleared.
        """
        return job.task_id.startswith(self.group) and not self.was_before(job)

    def was_before(self, job: JobFacts) -> bool:
        """Whether it was made before a job of the same task group was created."""
        is_later = job.create_time is not None and self.delivered_at < job.create_time
        return is_later and job.task_id.startswith(self.group)

    def has_better_than(self, job: JobFacts) -> bool:
        """Whether better answers to the rows of a job of the same run stay where they are."""
        return self.was_before(job) or (bool(self.kept_at) and self.is_of(job))

    @property
    def key(self) -> tuple[str, int]:
        """Its task and map index, which no other delivery of its run has."""
        return self.task_id, self.map_index

    @property
    def best_at(self) -> tuple[str, str]:
        """Its DAG, and the address at which it is, or the better delivery beside which it is."""
        return self.dag_id, self.kept_at or self.answers_uri

    def lacking_beside(self, other: Delivery, *, are_lasting: bool) -> UnansweredRows:
        """Its rows without a good answer, if it stays although another delivery was made."""
        run, later = (self.dag_id, self.run_id), (other.dag_id, other.run_id)
        return UnansweredRows.beside(
            self.exceptions, run, self.retry_of, later, self.job_name, are_lasting=are_lasting
        )

    @property
    def group(self) -> str:
        """The task group of its task, with the final dot; empty without a group."""
        return self.task_id[: self.task_id.rfind(".") + 1]


def paid_after(deliveries: Sequence[Delivery], jobs: Sequence[JobCost]) -> list[JobCost]:
    """The jobs of a run that sent rows again and ended after the delivery, which cannot have their answers.

    If a later job is of the first submission, a person has cleared that. Then the delivery was decided on
    after all of them, and one that is older is a better one, which stays.

    :param deliveries: of the run.
    :param jobs: of the run.
    """
    found: dict[JobId, JobCost] = {}
    for group in {each.group for each in deliveries}:
        since = max(each.delivered_at for each in deliveries if each.group == group)
        later = [
            each
            for each in jobs
            if (ended := each.job.end_time or each.job.create_time)
            and ended > since
            and each.job.task_id.startswith(group)
        ]
        if all(RETRY_LABEL in each.job.labels for each in later):
            found |= {each.job.key: each for each in later if each.rows.ok}
    return list(found.values())


def say_paid_after(jobs: Sequence[JobCost]) -> str:
    """Say how many answers `paid_after` has found, and what they cost."""
    rows, paid = sum(each.rows.ok for each in jobs), add_totals(each.total for each in jobs)
    return f"{count_of(rows, 'answer was', 'answers were')} paid for ({paid}) after the delivery"


def one_of_each_input(found: Iterable[Delivery], retried: Mapping[tuple[str, str], str]) -> list[Delivery]:
    """Select one delivery of each input that was paid for, so that no input row is counted twice.

    A run pays for its input, wherever its answers are put and whatever has replaced them since. A run that
    has sent rows of an earlier run again has the input of that run: of these, the delivery with most answers
    is selected, and of equal ones the latest.

    :param retried: the earlier run whose rows a run has sent again, by DAG and run.
    :return: the ones with most exceptions first.
    """
    best: dict[tuple[str, str, str, int], Delivery] = {}
    for each in sorted(found, key=lambda one: (one.delivered, one.delivered_at)):
        run_id, seen = each.run_id, {each.run_id}
        while (earlier := retried.get((each.dag_id, run_id))) and earlier not in seen:
            run_id = earlier
            seen.add(run_id)
        best[each.dag_id, run_id, each.task_id, each.map_index] = each
    return sorted(best.values(), key=lambda one: (-one.exceptions, one.dag_id, one.run_id, one.task_id))


@dataclass(frozen=True, slots=True)
class DeliverySums:
    """Several deliveries, such as those of one night: the `NIGHT` that ends with the latest delivery.

    :param until: when the latest one was written.
    """

    deliveries: int
    input_rows: int
    delivered: int
    exceptions: int
    reasons: Mapping[str, int]
    until: datetime

    @classmethod
    def of(cls, found: Sequence[Delivery]) -> Self | None:
        """Add up deliveries; None if there are none."""
        if not found:
            return None
        reasons: Counter[str] = Counter()
        for each in found:
            reasons.update(each.reasons)
        return cls(
            len(found),
            sum(each.input_rows for each in found),
            sum(each.delivered for each in found),
            sum(each.exceptions for each in found),
            reasons,
            max(each.delivered_at for each in found),
        )

    @property
    def unanswered(self) -> str:
        """How many rows have no good answer, and why."""
        some = f"{self.exceptions:,} of {self.input_rows:,} rows have"
        return f"{some} no good answer{in_reasons(self.reasons)}"

    def __str__(self) -> str:
        return f"{rows_equation(self.input_rows, self.delivered, self.exceptions)}{in_reasons(self.reasons)}"
