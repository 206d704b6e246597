"""Bills of made-up nights, priced as real ones are: something to show, and to build pages with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from vertex_batch.billing.making import make_bill
from vertex_batch.costs import Bill, JobFacts
from vertex_batch.pricing import PriceBook, packaged_prices
from vertex_batch.usage import Kind, Modality, RowProblem, ScanResult, UsageKey

NIGHTS = 60
FAILURE = "RESOURCE_EXHAUSTED: try again later"


@dataclass(frozen=True)
class Workload:
    """What one spec does every night.

    :param tokens: of a row, by kind.
    :param every: how many nights apart.
    """

    spec: str
    team: str
    model: str
    rows: int
    tokens: dict[Kind, int]
    every: int = 1


WORKLOADS = (
    Workload(
        "nightly_summaries",
        "support",
        "gemini-3.8-flash",
        21_000,
        {Kind.INPUT: 900, Kind.CACHED_INPUT: 250, Kind.OUTPUT: 160, Kind.THOUGHTS: 220},
    ),
    Workload("nightly_embeddings", "search", "gemini-embedding-001", 160_000, {Kind.INPUT: 420}),
    Workload("nightly_text_embeddings", "search", "text-embedding-005", 90_000, {Kind.INPUT: 380}, every=2),
)


def bills(last: date, nights: int = NIGHTS) -> Iterator[Bill]:
    """Make the same bills each time, up to the night of `last`."""
    dice = random.Random(7)  # noqa: S311 - nothing here is a secret
    book = PriceBook([packaged_prices()])
    for back in reversed(range(nights)):
        day = last - timedelta(back)
        for workload in WORKLOADS:
            if day.toordinal() % workload.every == 0:
                yield _bill(workload, day, dice, book)


def _bill(workload: Workload, day: date, dice: random.Random, book: PriceBook) -> Bill:
    rows = round(workload.rows * dice.uniform(0.6, 1.25) * (0.5 if day.weekday() > 4 else 1))  # noqa: PLR2004
    failed = round(rows * dice.choice((0, 0, 0, 0.002, 0.01)))
    unreadable = 2 if workload.spec == "nightly_summaries" and day.day % 9 == 0 else 0
    ok = rows - failed - unreadable
    scan = ScanResult(
        ok=ok,
        failed=failed,
        unreadable=unreadable,
        tokens={
            UsageKey(workload.model, kind, Modality.TEXT): round(n * ok * dice.uniform(0.9, 1.1))
            for kind, n in workload.tokens.items()
        },
        failed_reasons={FAILURE: failed} if failed else {},
        failed_samples=[
            RowProblem("predictions.jsonl", 1 + n * rows // 4, FAILURE) for n in range(min(failed, 3))
        ],
        problems=[RowProblem("predictions.jsonl", dice.randrange(rows), "the line ends early")] * unreadable,
    )
    start = datetime(day.year, day.month, day.day, 2, 30, tzinfo=UTC)
    facts = JobFacts(
        project="demo-project",
        location="us-central1",
        job_id=str(dice.randrange(10**18, 9 * 10**18)),
        display_name=f"{workload.spec}-{day}",
        model=f"publishers/google/models/{workload.model}",
        state="PARTIALLY_SUCCEEDED" if failed > rows / 200 else "SUCCEEDED",
        spec=workload.spec,
        team=workload.team,
        dag_id=workload.spec,
        run_id=f"scheduled__{start.isoformat()}",
        task_id="submit",
        run_type="scheduled",
        logical_date=start,
        output_directory=f"gs://demo-bucket/output/{workload.spec}/{day}/prediction-model",
        create_time=start,
        start_time=start + timedelta(minutes=4),
        end_time=start + timedelta(minutes=4 + dice.randrange(20, 90)),
    )
    return make_bill(facts, scan, book, input_rows=rows)
