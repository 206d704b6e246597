"""Explain to the engineer on call how a job ended, what it means for money, and what to do. Pure."""

from __future__ import annotations

import shlex

from vertex_batch.lifecycle.waiting import JobReading, Verdict, failed_for_a_passing_reason

REQUESTED = "on request, by a person or a task"
_ENDINGS = {
    Verdict.FAILED: "failed",
    Verdict.CANCELLED: f"was cancelled {REQUESTED}",
    Verdict.EXPIRED: "expired: it was queued too long or ran too long",
    Verdict.LOST: "no longer exists: it was deleted",
    Verdict.DEADLINE: "did not end before its deadline",
    Verdict.POLLING_FAILED: "could not be read",
    Verdict.SUCCEEDED: "succeeded",
    Verdict.PARTIALLY_SUCCEEDED: "partially succeeded",
}
_SAYS_NOTHING = {"", "CANCELED", "CANCELLED"}
"""What Google says of a job that was cancelled: its code and the word."""
_MONEY = {
    Verdict.LOST: "Its cost can no longer be read; the bill marks it as unknown.",
    Verdict.DEADLINE: "Finished rows are billed; the record_cost task counts them.",
    Verdict.POLLING_FAILED: "The job may still be running and costing money.",
}
_ALL_AGAIN = (
    "To send and pay only the rows without an answer, run `vertex-batch retry-rows {run}`. A spec without"
    " `retry_rows` needs it first: add `retry_rows: {{rounds: 1}}`. Clearing the submit task sends all rows"
    " again, and pays again for those that were answered."
)
_NEXT = {
    Verdict.LOST: "Clear the submit task to run the batch again.",
    Verdict.DEADLINE: f"Raise the deadline. {_ALL_AGAIN}",
    Verdict.POLLING_FAILED: (
        "Fix the cause named above, then run this again. It will resume waiting for the same job."
    ),
    Verdict.CANCELLED: _ALL_AGAIN,
    Verdict.EXPIRED: _ALL_AGAIN,
}


def explain_failed_rows(job: str, seen: JobReading, max_failed_ratio: float) -> str:
    """Explain why a job that succeeded fails its task: too many of its rows failed, or all of them."""
    rows = seen.ok_rows + seen.failed_rows + max(seen.incomplete_rows, 0)
    if seen.has_no_answer:
        return (
            f"Batch prediction job {job} {_ENDINGS[seen.verdict]}, but no row was answered:"
            f" {seen.failed_rows:,} of {rows:,} failed. Failed rows are not billed. The record_cost task"
            " records the bill and reports the reasons. This task is not retried. Fix the cause of the"
            " failures, then clear the submit task to run the batch again."
        )
    return (
        f"Batch prediction job {job} {_ENDINGS[seen.verdict]}, but {seen.failed_rows:,} of its {rows:,} rows"
        f" failed, more than max_failed_ratio={max_failed_ratio:g} allows. Failed rows are not billed; the"
        " others are. See the `status` fields of the output for the reasons. Clear the submit task to run the"
        " batch again."
    )


def explain_short_resume(job: str, earlier: str, rows: int, expected: int) -> str:
    """Explain that a job that resumed an earlier one did not run all the rows that were left."""
    return (
        f"Batch prediction job {job} resumed job {earlier}, which read {expected:,} rows, but its output has"
        f" only {rows:,}: {expected - rows:,} rows were not run. What ran is billed once. A retry of this"
        " task runs nothing more. Set `retry_rows` in the spec to send missing rows again, or clear the"
        " submit task to run and pay for the whole batch again."
    )


def explain(job: str, seen: JobReading, run: tuple[str, str], following: str | None = None) -> str:
    """Explain to the engineer on call what happened to which job, what it means for money, and what to do.

    :param run: the DAG and the run of the task that waits for it.
    :param following: what follows, if it is not what usually does.
    """
    cause = code = ""
    if not (seen.verdict is Verdict.CANCELLED and seen.message.upper() in _SAYS_NOTHING):
        cause = f": {seen.message.removesuffix('.')}" if seen.message else ""
        code = f" (code {seen.error_code})" if seen.error_code else ""
    money = _MONEY.get(seen.verdict, "Finished rows are billed; failed rows are not.")
    following = _following(seen, shlex.join(run)) if following is None else following
    return f"Batch prediction job {job} {_ENDINGS[seen.verdict]}{code}{cause}. {money} {following}".strip()


def _following(seen: JobReading, run: str) -> str:
    if failed_for_a_passing_reason(seen):
        if seen.may_have_answers and not seen.resumable:
            return (
                "This is usually transient. The job is not submitted again by itself, because its answered"
                " rows would be paid for twice. Set `retry_rows` in the spec to send only the rest again, or"
                " clear the submit task to run and pay for the whole batch again."
            )
        return "This is usually transient. Clear the submit task to run the batch again."
    if seen.verdict is Verdict.FAILED:
        return "Fix the cause, then clear the submit task."
    return _NEXT.get(seen.verdict, "").format(run=run)
