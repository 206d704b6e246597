"""A year of a large team: 40 specs of 6 teams, from a dollar to tens of thousands of dollars a day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts, rows, schema, table
from vertex_batch.pricing import LineItem, PriceBook, packaged_prices, price
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

SPECS, NIGHTS = 40, 366
DEAR, UNREADABLE, FAILING, DEAD, UNPRICED = 3, 5, 7, 30, 39
TEAMS = ("search", "support", "ads", "risk", "content-quality", "localization")
MODELS = ("gemini-3.8-flash", "gemini-2.5-pro", "gemini-2.5-flash")
WORDS = (
    "summaries",
    "embeddings",
    "labels",
    "translations",
    "ad_copy",
    "fraud_notes",
    "titles",
    "moderation",
)
_SHARES = {Kind.INPUT: 3, Kind.CACHED_INPUT: 1, Kind.OUTPUT: 4, Kind.THOUGHTS: 5}


def record_team_year(costs: CostTable, last: date, nights: int = NIGHTS) -> None:
    """Record the bills in bulk, as `CostTable.record` writes each."""
    costs.migrate()
    found = list(bills(last, nights))
    keys = [table._key(bill.job.key) for bill in found]
    items = [
        {**key, **rows.item_row(item)}
        for key, bill in zip(keys, found, strict=True)
        for item in bill.line_items
    ]
    usage = [
        {**key, **asdict(usage_key), "tokens": tokens}
        for key, bill in zip(keys, found, strict=True)
        for usage_key, tokens in bill.usage.items()
    ]
    sums = [row for bill in found for row in rows.part_rows(bill.job, bill.day, bill.line_items)]
    with costs.writing() as connection:
        connection.execute(schema.jobs.insert(), [rows.job_row(bill) for bill in found])
        connection.execute(schema.line_items.insert(), items)
        connection.execute(schema.job_sums.insert(), sums)
        connection.execute(schema.usage.insert(), usage)


def bills(last: date, nights: int) -> Iterator[Bill]:
    """Make the same bills each time. On the last night, one spec costs much more and one fails often."""
    dice = random.Random(11)
    for back in reversed(range(nights)):
        day = last - timedelta(back)
        for n in range(SPECS):
            every = 7 if n % 13 == 12 else 1
            if day.toordinal() % every == 0:
                yield _bill(n, day, is_last=back == 0, dice=dice)


def _bill(n: int, day: date, *, is_last: bool, dice: random.Random) -> Bill:
    spec = f"nightly_{WORDS[n % len(WORDS)]}_{n:02}"
    model = MODELS[n % len(MODELS)] if n != UNPRICED else "team-tuned-model"
    usd = 11_000 * 0.78**n * dice.uniform(0.8, 1.2) * (0.4 if day.weekday() > 4 else 1)
    usd *= 3.4 if is_last and n == DEAR else 1
    rows = max(40, round(usd * 900))
    failed = round(rows * (0.12 if is_last and n == FAILING else dice.choice((0, 0, 0.001, 0.004))))
    night = datetime(day.year, day.month, day.day, 2, 30, tzinfo=UTC)
    created = night + timedelta(minutes=dice.randrange(3, 50))
    facts = JobFacts(
        project="team-project",
        location="us-central1",
        job_id=str(10**18 + day.toordinal() * 100 + n),
        display_name=f"{spec}-{day}",
        model=f"publishers/google/models/{model}",
        state="PARTIALLY_SUCCEEDED" if failed else "FAILED" if is_last and n == DEAD else "SUCCEEDED",
        spec=spec,
        team=TEAMS[n % len(TEAMS)],
        dag_id=spec,
        run_id=f"scheduled__{day}T02:30:00+00:00",
        task_id="submit",
        run_type="scheduled",
        logical_date=night,
        create_time=created,
        start_time=created + timedelta(minutes=dice.randrange(2, 40)),
        end_time=created + timedelta(minutes=dice.randrange(60, 200)),
    )
    tokens = {
        UsageKey(model, kind, Modality.TEXT, Tier.STANDARD): int(usd * share * 40_000) + 1
        for kind, share in _SHARES.items()
    }
    return Bill(
        facts,
        RowCounts(rows - failed, failed, 2 if n == UNREADABLE and day.day == 9 else 0, input_rows=rows),
        [_item(_rates()[key], count) for key, count in tokens.items()],
        usage=tokens,
        failed_reasons={"RESOURCE_EXHAUSTED: try again later": failed} if failed else {},
    )


@cache
def _rates() -> dict[UsageKey, LineItem]:
    """A line item of each usage key, with today's rates."""
    keys = [
        UsageKey(model, kind, Modality.TEXT, Tier.STANDARD)
        for model in (*MODELS, "team-tuned-model")
        for kind in _SHARES
    ]
    book = PriceBook([packaged_prices()])
    return {key: price({key: 1_000_000}, book, "us-central1", None)[0] for key in keys}


def _item(rate: LineItem, tokens: int) -> LineItem:
    def times(price_usd: Decimal | None) -> Decimal | None:
        return None if price_usd is None else price_usd * tokens

    return replace(
        rate,
        tokens=tokens,
        amount_usd=times(rate.unit_price_usd),
        standard_amount_usd=times(rate.standard_unit_price_usd),
    )
