"""``retry_rows:`` of a job."""

from __future__ import annotations

import pytest

from vertex_batch.specs import load_spec

BARE = "model: gemini-2.5-flash\ninputs: gs://bucket/in/a.jsonl\noutput: gs://bucket/out/\n"
SPEC = f"{BARE}results: {{to: gs://bucket/answers/a.parquet}}\n"
TABLE = "model: gemini-2.5-flash\ninputs: bq://p.d.t\noutput: bq://p.d\n"


def test_without_it_no_row_is_sent_again(write):
    assert load_spec(write(SPEC)).job.retry_rows is None


@pytest.mark.parametrize(
    ("text", "rounds", "reasons"),
    [
        ("{}", 1, ["transient"]),
        ("{rounds: 2}", 2, ["transient"]),
        ("{reasons: [truncated, invalid]}", 1, ["truncated", "invalid"]),
    ],
)
def test_only_transient_failures_are_sent_again_unless_others_are_named(write, text, rounds, reasons):
    found = load_spec(write(f"{SPEC}retry_rows: {text}\n")).job.retry_rows
    assert (found.rounds, found.reasons) == (rounds, reasons)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (f"{SPEC}retry_rows: {{rounds: 0}}\n", "retry_rows.rounds: "),
        (f"{SPEC}retry_rows: {{rounds: 6}}\n", "retry_rows.rounds: "),
        (f"{SPEC}retry_rows: {{rounds: '2'}}\n", "retry_rows.rounds: "),
        (f"{SPEC}retry_rows: {{reasons: []}}\n", "retry_rows.reasons: "),
        (f"{SPEC}retry_rows: {{reasons: [blocked]}}\n", "retry_rows.reasons[0]: "),
        (f"{SPEC}retry_rows: {{reasons: [invalid, invalid]}}\n", "contains `invalid` twice"),
        (f"{SPEC}retry_rows: 2\n", "retry_rows: must be a mapping"),
        (f"{TABLE}retry_rows: {{}}\n", "only rows of files can be sent again"),
        (f"{BARE}retry_rows: {{}}\n", "needs `results`"),
        (f"{SPEC}max_failed_ratio: 0.2\nretry_rows: {{}}\n", "with `max_failed_ratio: 0.2`"),
        ("jobs:\n  retry_1:\n    model: m\n", "the name of a task group inside a job"),
    ],
)
def test_each_mistake_has_its_own_message(write, problems, spec, problem):
    assert problem in "\n".join(map(str, problems(spec)))
