"""A person who clears the submit task of a job that was cut short sees what is paid for twice."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.vertex_batch.ui.conftest import item
from tests.vertex_batch.ui.test_pages import words
from tests.vertex_batch.ui.test_run import RUN, a_run
from vertex_batch.costs import RowCounts, Total
from vertex_batch.ui.runs.clearing import Clearing

PAID, EXPECTED = Total(Decimal("0.044"), True), Total(Decimal("0.5"), False)
SPEC = """\
project: demo-project
location: us-central1
model: gemini-2.5-flash
inputs: gs://demo-bucket/in.jsonl
output: gs://demo-bucket/out
results: {to: gs://demo-bucket/answers.parquet}
retry_rows: {rounds: 1}
"""


@pytest.mark.parametrize(
    ("clearing", "text"),
    [
        (
            Clearing("submit", "s", 300, 44, PAID, EXPECTED),
            (
                "Clearing submit sends all 300 rows again, about 0.30 USD, also the 44 that were answered"
                " (0.0440 USD). They are paid for twice."
            ),
        ),
        (
            Clearing("submit", "s", 300, 0, PAID, EXPECTED),
            (
                "Clearing submit sends all 300 rows again, about at least 0.50 USD. No row was answered, so"
                " none is paid for twice."
            ),
        ),
        (
            Clearing("submit", "s", 300, 44, PAID, is_running=True),
            (
                "Clearing submit sends all 300 rows again, about 0.30 USD, also those that are answered by"
                " then: 44 so far, about 0.044 USD. They are paid for twice."
            ),
        ),
        (  # the page of a running job says so, too
            Clearing("submit", "s", 300, 44, PAID, EXPECTED, is_running=True),
            (
                "Clearing submit sends all 300 rows again, about at least 0.50 USD, also those that are"
                " answered by then: 44 so far, about 0.044 USD. They are paid for twice."
            ),
        ),
        (
            Clearing("submit", "s", 300, 44, PAID, is_estimate=True),
            (
                "Clearing submit sends all 300 rows again, about 0.30 USD, also the 44 that were answered"
                " (about 0.044 USD). They are paid for twice."
            ),
        ),
        (
            Clearing("submit", "s", None, None, None),
            (
                "Clearing submit sends all rows again, also those that are answered by then. They are paid"
                " for twice."
            ),
        ),
        (
            Clearing("submit", "s", None, 1, Total(Decimal(0), False)),
            "Clearing submit sends all rows again, also the one that was answered. It is paid for twice.",
        ),
    ],
)
def test_what_is_sent_and_paid_for_again_is_said_as_far_as_it_is_known(clearing, text):
    assert str(clearing) == text


ROUNDS = "`retry_rows: {rounds: 1}`"


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        (("", ""), ""),
        (("retry_rows: {rounds: 1}\n", ""), f"add {ROUNDS} to the spec"),
        (
            ("results: {to: gs://demo-bucket/answers.parquet}\nretry_rows: {rounds: 1}\n", ""),
            f"add {ROUNDS} and `results` to",
        ),
        (
            ("retry_rows: {rounds: 1}", "max_failed_ratio: 0.1"),
            f"add {ROUNDS} to the spec in place of `max_failed_ratio`",
        ),
        (("{rounds: 1}", "{reasons: [truncated]}"), "add `transient` to `retry_rows.reasons` in the spec"),
        (("name", "no_spec"), f"add {ROUNDS} (and `results`, if it has none) to the spec"),
    ],
)
def test_the_page_of_a_cancelled_run_says_first_how_to_send_the_rest_and_then_what_clearing_costs(
    pages, tmp_path, monkeypatch, change, needs
):
    file = "other.yaml" if change[0] == "name" else "nightly.yaml"
    (tmp_path / file).write_text(SPEC.replace(*change))
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
    rows = RowCounts(ok=44, failed=3, input_rows=300)
    pages.record(item("0.044"), bill={"rows": rows}, state="CANCELLED", run_id="tonight")
    a_run("failed", [("wait", "failed", "x")])
    text = words(pages.get("/run", **RUN).text)
    first = "To send and pay only the rows without an answer, about 0.256 USD, leave submit as it is"
    needed = f" and {needs.replace('`', '')}" if needs else ": trigger nightly"
    command = "vertex-batch retry-rows nightly tonight"
    then = "Clearing submit sends all 300 rows again, about 0.30 USD, also the 44 that were answered (0.044"
    last = "Clear the failed tasks of the run: nothing is sent"
    places = [text.find(each) for each in (first + needed, command, then, last)]
    assert -1 not in places
    assert places == sorted(places)


def test_a_run_that_has_answered_all_rows_since_says_nothing_of_clearing(pages):
    for number, state in enumerate(("CANCELLED", "SUCCEEDED")):
        created = datetime(2026, 11, 22, 2 + number, tzinfo=UTC)
        pages.record(state=state, run_id="tonight", create_time=created)
    a_run("failed")
    assert "Clearing submit" not in pages.get("/run", **RUN).text
