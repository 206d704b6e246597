"""What holds for any mixture of rows, files, shards and attempts."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.vertex_batch.results.nights import BUSY, INVALID, Night, a_request, answered, failed
from vertex_batch.costs import add_totals
from vertex_batch.results import Reason

# Few keys and texts, so that many rows share them; some look like the same number.
KEYS = ["7", "007", "7.0", "a", "b", "é", "😀\u0000", ""]
# A join takes tenths of a second, and shrinking would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
FATES = ["answer", "answer", "fail", "invalid", "drop", "twice", "truncate", "cut", "strange", "coerced"]


@st.composite
def nights(draw):
    """The rows of several files, and for each attempt of each shard the fate of each row."""
    files = draw(
        st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 2)), max_size=6), max_size=3)
    )
    rows = [
        {"ticket": key, "request": a_request(f"question {text}")}
        if draw(st.booleans()) or key
        else {"request": a_request(f"question {text}")}
        for key, text in (each for file in files for each in file)
    ]
    attempts = draw(st.integers(1, 3))
    fates = [[draw(st.sampled_from(FATES)) for _ in rows] for _ in range(attempts)]
    return (
        [len(file) for file in files],
        rows,
        fates,
        draw(st.integers(1, 3)),
        draw(st.randoms(use_true_random=False)),
    )


def _outputs(row, fate, answer, number):
    found = answered(row, answer, number)
    if fate == "coerced" and row.get("ticket", "").replace(".", "").isdecimal():
        found["ticket"] = int(float(row["ticket"]))
    unusual = {
        "fail": [failed(row, BUSY)],
        "invalid": [failed(row, INVALID)],
        "drop": [],
        "twice": [found, answered(row, answer, number + 500_000)],
        "truncate": [answered(row, answer, number, finish="MAX_TOKENS")],
        "strange": [{**row, "prediction": {"score": 1}}],
    }
    return unusual.get(fate, [found])


def _build(night, sizes, rows, fates, shards, random):
    start = 0
    for size in sizes:
        night.add_input(rows[start : start + size])
        start += size
    open_rows = list(range(len(rows)))
    number = 0
    for attempt, of_rows in enumerate(fates):
        answers: list[list] = [[] for _ in range(shards)]
        left = []
        for n in open_rows:
            number += 1
            answer = f"answer to {rows[n]['request']['contents'][0]['parts'][0]['text']}"
            made = _outputs(rows[n], of_rows[n], answer, number)
            answers[n % shards] += made
            if of_rows[n] in ("fail", "drop", "truncate", "cut"):
                left.append(n)
        for shard in answers:
            random.shuffle(shard)
            cut = [b'{"status": "", "resp'] if any(of_rows[n] == "cut" for n in open_rows) else []
            night.add_output(attempt, [*shard, *cut])
        open_rows = left


@given(nights(), st.sampled_from(["ticket", "", "request.contents"]))
@settings(max_examples=60, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
def test_every_input_row_is_delivered_or_an_exception_and_every_cent_is_there(parts, key):
    sizes, rows, fates, shards, random = parts
    if not rows:
        return
    with tempfile.TemporaryDirectory() as folder:
        night = Night(Path(folder))
        _build(night, [size for size in sizes if size], rows, fates, shards, random)
        found = night.deliver(key=key)

        delivered = [row["row"] for row in found.answers]
        exceptions = [row["row"] for row in found.exceptions]
        assert found.counts.input_rows == len(rows)
        assert found.counts.delivered + found.counts.exception_rows == len(rows)
        assert delivered == sorted(delivered)
        assert exceptions == sorted(exceptions)
        assert sorted(delivered + exceptions) == list(range(1, len(rows) + 1)), "no row twice, and none lost"

        for row in found.answers:
            asked = rows[row["row"] - 1]["request"]["contents"][0]["parts"][0]["text"]
            assert row["answer"] == f"answer to {asked}"
        for row in found.exceptions:
            assert Reason(row["reason"])

        bill = add_totals(each.total for each in night.bills)
        everything = found.answers + found.exceptions + found.extra
        assert (
            sum(Decimal(row["cost_usd"] or 0) for row in everything) == bill.amount == found.counts.cost_usd
        )
        assert found.counts.cost_complete == bill.complete
        rows_read = sum(each.rows.total for each in night.bills)
        assert found.counts.copied_rows <= rows_read


@given(nights())
@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
def test_rows_to_send_again_are_the_lines_of_the_exceptions_in_their_order(parts):
    sizes, rows, fates, shards, random = parts
    if not rows:
        return
    with tempfile.TemporaryDirectory() as folder:
        night = Night(Path(folder))
        _build(night, [size for size in sizes if size], rows, fates, shards, random)
        lines = [line for uri in night.inputs for line in Path(uri).read_bytes().splitlines(keepends=True)]
        with night.join() as joined:
            again = list(joined.rows_to_send_again([Reason.TRANSIENT, Reason.MISSING]))
            wanted = joined.connection.execute(
                "SELECT seq FROM outcomes WHERE reason IN ('transient', 'missing') ORDER BY seq"
            ).fetchall()
            assert again == [lines[seq - 1] for (seq,) in wanted]
            assert len(again) == sum(
                joined.counts.exceptions.get(reason, 0) for reason in (Reason.TRANSIENT, Reason.MISSING)
            )
