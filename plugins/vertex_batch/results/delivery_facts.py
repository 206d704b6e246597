"""What a run's delivery is made of, and whether the run is good. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TypeVar

from vertex_batch.costs import Bill, JobCost, Total, add_totals
from vertex_batch.errors import InputChangedError, InputMissingError, InputUnusableError, count_of
from vertex_batch.lifecycle.identity import attempt_key
from vertex_batch.results.types import SHOWN, AttemptOutput, Counts, ExtraKind, Reason
from vertex_batch.vertex.resource import LONG_AGO

Billed = TypeVar("Billed", Bill, JobCost)
MAX_RESUBMITS = 100
_REASONS_SHOWN = 5
_CREATED_AT = attrgetter("job.created_at")
_SAFE = (
    "Nothing was delivered. The jobs have run, and their answers are safe in the outputs, where they cost"
    " nothing more; a delivery joins them to the input that the jobs have read."
)
AGAIN_IN_AIRFLOW = "This task costs nothing. A retry delivers the same rows and fails the same way."


def attempts_of(bills: Sequence[Billed], results: Sequence[Billed]) -> dict[int, list[Billed]]:
    """The jobs whose outputs make a delivery, by attempt.

    They are the jobs with the run's results, and those that they replaced automatically, since these may have
    answered rows before they failed. Jobs of an earlier submission, before a person cleared the task, read
    what may have been another input; they are not among them.

    :param bills: of all jobs of the run.
    :param results: of those with its results, one for each part of the input.
    """
    attempts: dict[int, list[Billed]] = {}
    for last in results:
        mine = [bill for bill in bills if bill.job.map_index == last.job.map_index]
        for attempt, bill in enumerate(_chain(mine, last)):
            attempts.setdefault(attempt, []).append(bill)
    return attempts


def add_rounds(attempts: dict[int, list[Billed]], rounds: Sequence[Sequence[Billed]]) -> None:
    """Add the jobs of the rounds of retries, each round of a run as one more attempt.

    A job that ran rows again which an earlier job of its round had not answered, as after `resubmits`, is an
    attempt after that one. Jobs of a round that are older than the first submission ran rows of what may have
    been another input. If a person cleared a part of it only, they count: they may have answered other parts.

    :param attempts: of the first submission; see `attempts_of`.
    """
    since = min((bill.job.created_at for bills in attempts.values() for bill in bills), default=LONG_AGO)
    for bills in rounds:
        of_runs: dict[tuple[str, str], list[Billed]] = {}
        for bill in sorted(bills, key=_CREATED_AT):
            if bill.job.created_at > since:
                of_runs.setdefault((bill.job.run_id, bill.job.task_id), []).append(bill)
        for newer in of_runs.values():
            first, jobs_of = max(attempts, default=-1) + 1, Counter[int]()
            for bill in newer:
                attempts.setdefault(first + jobs_of[bill.job.map_index], []).append(bill)
                jobs_of[bill.job.map_index] += 1


def _chain(bills: Sequence[Billed], last: Billed) -> list[Billed]:
    """A job and those that it replaced, the first one first."""
    by_key: dict[str, list[Billed]] = {}
    for bill in sorted(bills, key=_CREATED_AT):
        if bill.job.job_key and bill.job.task_id == last.job.task_id:
            by_key.setdefault(bill.job.job_key, []).append(bill)
    for first in by_key:
        keys = [attempt_key(first, attempt) for attempt in range(MAX_RESUBMITS)]
        if last.job.job_key in keys[1:]:
            replaced = keys[: keys.index(last.job.job_key)]
            return [bill for key in replaced for bill in by_key.get(key, ())] + [last]
    return [last]


@contextmanager
def of_paid_answers(advice: str) -> Iterator[None]:
    """Let an error of the input say that the answers are safe, instead of that nothing was submitted.

    :param advice: what to do once the input is back, as a sentence.
    :raises InputMissingError: the input no longer exists; likewise for the other errors of inputs.
    """
    try:
        yield
    except InputMissingError as error:
        back = f"{_SAFE} Restore the input, for example from a copy or an older version of the object."
        raise InputMissingError(error.missing, f"{back} {advice}") from error
    except InputUnusableError as error:
        raise InputUnusableError(error.uri, error.reason, f"{_SAFE} Restore the input. {advice}") from error
    except InputChangedError as error:
        raise InputChangedError(error.uris, f"{_SAFE} Wait until it is written. {advice}") from error


def output_of(bill: Bill, attempt: int) -> AttemptOutput:
    """The output of a job; none for one that ended without rows."""
    folder = bill.job.output_directory
    outputs = (folder,) if folder and bill.rows.total else ()
    return AttemptOutput(attempt, bill.job.key, outputs, resumes=bill.rows.copied > 0)


def bill_facts(delivered: Sequence[Bill], all_bills: Collection[Bill]) -> dict[str, object]:
    """The jobs and their bill, for the manifest.

    :param delivered: of the jobs whose rows are in the delivery.
    :param all_bills: of all jobs of the run; there are more if a person ran the batch again.
    """
    whole = total_of(delivered)
    return {
        "jobs": [str(bill.job) for bill in delivered],
        "bill": {"usd": whole.text, "complete": whole.complete},
        "run_bill": {"usd": total_of(all_bills).text, "complete": total_of(all_bills).complete},
    }


def total_of(bills: Collection[Bill]) -> Total:
    return add_totals(bill.total for bill in bills)


def main_reason(reasons: Counter[str], exceptions: int) -> str:
    """Say why most rows without a good answer failed; empty if most have none for another reason.

    :param reasons: of the failed rows.
    :param exceptions: how many rows have no good answer.
    """
    reason, rows = next(iter(reasons.most_common(1)), ("", 0))
    return f"Most frequent failure ({rows:,} rows): {reason.rstrip('.')}." if 2 * rows > exceptions else ""


def why_bad(
    counts: Counts,
    max_exceptions_ratio: float = 1.0,
    outlook: str = AGAIN_IN_AIRFLOW,
    *,
    main_reason: str = "",
    was_cancelled: bool = False,
) -> str | None:
    """Explain why a run fails although its delivery was written; None if it is good.

    :param max_exceptions_ratio: the largest share of input rows that may lack a good answer, 0 to 1.
    :param outlook: what the delivery costs, and what a second one will do.
    :param main_reason: see `main_reason`.
    :param was_cancelled: all its jobs were cancelled.
    """
    exceptions = counts.exception_rows
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in list(counts.exceptions.items())[:_REASONS_SHOWN])
    reasons += f". The first one is {counts.first_exception}" if counts.first_exception else ""
    reasons += f". {main_reason.rstrip('.')}" if main_reason else ""
    if was_cancelled and not counts.delivered:
        return (
            "This failure only follows from the cancellation: the job was cancelled before it answered a"
            " row, so there is nothing to deliver."
        )
    if counts.input_rows and not counts.delivered:
        return f"None of the {counts.input_rows:,} input rows has a good answer: {reasons}. {outlook}"
    if 2 * counts.other_prompts > counts.checked_prompts:
        return (
            f"{other_prompts(counts)} Restore the input that the jobs have read, and deliver again. {outlook}"
        )
    if counts.input_rows and counts.rows_without_key >= counts.input_rows:
        return f"{without_keys(counts)} {outlook} Correct the key first."
    if exceptions > max_exceptions_ratio * counts.input_rows:
        share = exceptions / counts.input_rows
        return (
            f"{exceptions:,} of {counts.input_rows:,} input rows ({share:.2%}) have no good answer, more than"
            f" max_exceptions_ratio={max_exceptions_ratio:g} allows: {reasons}. {outlook}"
        )
    return None


def other_prompts(counts: Counts) -> str | None:
    """Report answers to other prompts than those of their input rows; None if there are none."""
    if not counts.other_prompts:
        return None
    return (
        f"{counts.other_prompts:,} of {counts.checked_prompts:,} answers that were compared answer another"
        " prompt than the input row with the same key: the input was changed after the jobs had read it."
    )


def without_keys(counts: Counts) -> str:
    """Report input rows without the key; empty if there are none."""
    if not counts.rows_without_key:
        return ""
    how_many = f"{counts.rows_without_key:,} of {counts.input_rows:,} input rows do not have"
    if counts.rows_without_key >= counts.input_rows:
        how_many = f"None of the {counts.input_rows:,} input rows has"
    return (
        f"{how_many} the field that the key names (`results.key`). Their answers were joined by their"
        " requests and have no key."
    )


def later_objects(counts: Counts) -> str:
    """Report objects that were written to the input after the job was created; empty without effect."""
    sentences = []
    if counts.added:
        sentences.append(
            f"{_written(counts.added, 'added to the input')} Their rows are not part of this run: they are"
            " neither counted nor paid for. Send them with a run that has them as its `input`."
        )
    sentences += [
        f"{uri} may have been added after the start: all of its {rows:,} rows are missing."
        for uri, rows in list(counts.doubtful.items())[:SHOWN]
    ]
    if (more := len(counts.doubtful) - SHOWN) > 0:
        sentences.append(f"Likewise for {more:,} more.")
    unmatched = counts.exceptions.get(Reason.MISSING, 0) + counts.extra_rows.get(ExtraKind.UNKNOWN, 0)
    if counts.rewritten and (unmatched or counts.other_prompts):
        sentences.append(
            f"{_written(counts.rewritten, 'written to the input again')} So some rows may not be those"
            " that the job has read."
        )
    return " ".join(sentences)


def replaced_input(counts: Counts, counted: int | None) -> str:
    """The first object that now has other rows than the jobs have read; empty if there is none.

    An object that was written again with the same rows is not one.

    :param counted: the rows of the input when the jobs were submitted; None if they were not counted.
    """
    is_other = (
        counts.extra_rows.get(ExtraKind.UNKNOWN)
        or counts.other_prompts
        or counted not in (None, counts.input_rows)
    )
    return counts.rewritten[0] if counts.rewritten and is_other else ""


def _written(uris: Sequence[str], how: str) -> str:
    more = f" and {len(uris) - SHOWN:,} more" if len(uris) > SHOWN else ""
    names = ", ".join(uris[:SHOWN])
    were = count_of(len(uris), "object was", "objects were")
    return f"{were} {how} after the job was created: {names}{more}."


def cost_difference(counts: Counts, bill: Total) -> str | None:
    """Report a delivery whose rows do not add up to the bill of its jobs; None if they do."""
    if counts.cost_usd == bill.amount:
        return None
    rows = Total(counts.cost_usd, counts.cost_complete)
    return f"the rows of the delivery cost {rows}, but the bill of its jobs is {bill}"
