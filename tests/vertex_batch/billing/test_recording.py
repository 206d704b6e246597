"""Whether a run was answered at all, as a table."""

from __future__ import annotations

import pytest

from vertex_batch.billing.recording import why_no_answers
from vertex_batch.costs import Bill, JobFacts, RowCounts
from vertex_batch.usage import RowProblem


def a_bill(job_id: str = "7", state: str = "SUCCEEDED", **rows: int) -> Bill:
    return Bill(JobFacts("p", "us-central1", job_id, state=state), RowCounts(**rows), ())


@pytest.mark.parametrize(
    ("case", "bills", "is_unanswered"),
    [
        ("all rows failed", [a_bill(failed=3)], True),
        ("all rows are unreadable", [a_bill(unreadable=3)], True),
        ("all rows are missing", [a_bill(input_rows=3)], True),
        ("the same for a job that succeeded in part", [a_bill(state="PARTIALLY_SUCCEEDED", failed=3)], True),
        ("one row was answered", [a_bill(ok=1, failed=999)], False),
        ("all answers were copied from an earlier job", [a_bill(ok=2, copied=2, failed=3)], False),
        ("another job has answers", [a_bill("7", failed=3), a_bill("8", ok=1)], False),
        ("no job has answers", [a_bill("7", failed=3), a_bill("8", unreadable=1)], True),
        ("one was cancelled, the other has no answers", [a_bill("7", "CANCELLED"), a_bill(failed=1)], True),
        ("a cancelled job that had answers", [a_bill("7", "CANCELLED", ok=1), a_bill(failed=1)], False),
        ("cancelled", [a_bill(state="CANCELLED")], False),  # its waiting task has said so
        ("expired", [a_bill(state="EXPIRED", failed=3)], False),
        ("failed", [a_bill(state="FAILED")], False),
        ("deleted", [a_bill(state="DELETED")], False),
        ("no job", [], False),
    ],
)
def test_a_run_is_unanswered_if_its_jobs_succeeded_without_an_answer(case, bills, is_unanswered):
    assert (why_no_answers(bills) is not None) is is_unanswered, case


def test_the_message_names_job_rows_reasons_money_and_what_to_do():
    problems = [RowProblem("gs://b/out/predictions.jsonl", 4, "is not JSON")]
    bill = Bill(
        JobFacts("p", "us-central1", "7", state="SUCCEEDED"),
        RowCounts(failed=3, unreadable=1, input_rows=6),
        (),
        failed_reasons={"quota exceeded": 1, "Please use a valid role": 2},
        problems=problems,
    )
    assert why_no_answers([bill]) == (
        "No row of this run was answered. Job p/us-central1/7 (SUCCEEDED): 3 failed, 1 unreadable,"
        " 2 missing from the output. Reasons: Please use a valid role (2); quota exceeded (1);"
        " gs://b/out/predictions.jsonl:4: is not JSON. It cost 0.00 USD. Failed rows are not billed."
        " A retry of this task reads the same outputs and fails the same way. Fix the causes named above,"
        " then clear the submit task to run the batch again. Only rows that are answered then are billed."
    )
