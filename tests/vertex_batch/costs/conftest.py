"""The two databases that every test of the cost table runs on, and bills to put in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import NullPool, create_engine, text

from local.stack.postgres import Postgres, start_postgres
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.pricing import Basis, LineItem, PriceBook, packaged_prices, price
from vertex_batch.usage import Kind, Modality, RowProblem, Tier, UsageKey

TOKEN_KINDS = (Kind.INPUT, Kind.CACHED_INPUT, Kind.OUTPUT, Kind.THOUGHTS)
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory) -> Iterator[Postgres]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/costs.db"
    server = request.getfixturevalue("postgres")
    return server.create_database(f"costs_{next(_numbers)}")


@pytest.fixture
def table(database_url) -> CostTable:
    return CostTable(database_url)


def make_line(tokens: int = 1000, price: str | None = "1.5e-07", **changes) -> LineItem:
    unit_price = None if price is None else Decimal(price)
    facts = {
        "model": "gemini-2.5-flash",
        "kind": Kind.INPUT,
        "modality": Modality.TEXT,
        "tier": Tier.STANDARD,
        "tokens": tokens,
        "unit_price_usd": unit_price,
        "amount_usd": None if unit_price is None else tokens * unit_price,
        "basis": None if unit_price is None else Basis.BATCH_RATE,
        "source": "" if unit_price is None else "packaged",
        "price_date": None if unit_price is None else date(2026, 11, 22),
        "reason": "" if unit_price is not None else "no price",
    }
    return LineItem(**{**facts, **changes})


def make_bill(job_id: str = "101", items=None, **facts) -> Bill:
    defaults = {
        "project": "demo-project",
        "location": "us-central1",
        "spec": "nightly",
        "team": "search",
        "state": "SUCCEEDED",
        "model": "publishers/google/models/gemini-2.5-flash",
        "labels": {"managed-by": "vertex-batch", "night": "straße"},
        "input_uris": ("gs://in/a.jsonl", "gs://in/b.jsonl"),
        "create_time": datetime(2026, 11, 21, 23, 30, tzinfo=UTC),
        "logical_date": datetime(2026, 11, 21, tzinfo=UTC),
    }
    return Bill(
        job=JobFacts(job_id=job_id, **{**defaults, **facts}),
        rows=RowCounts(ok=9, failed=1, unreadable=1, copied=2, input_rows=11),
        line_items=(make_line(), make_line(500, "1.25e-06", kind=Kind.OUTPUT))
        if items is None
        else tuple(items),
        flags=("something is odd",),
        recorded_at=datetime(2026, 11, 22, 3, 4, 5, 678901, tzinfo=UTC),
        usage={UsageKey("gemini-2.5-flash", Kind.INPUT, Modality.TEXT, Tier.LONG_CONTEXT): 1000},
        failed_reasons={"INVALID_ARGUMENT: no": 1},
        problems=(RowProblem("predictions.jsonl", 11, "cut"),),
        failed_samples=(RowProblem("predictions.jsonl", 4, "INVALID_ARGUMENT: no"),),
    )


@pytest.fixture
def line():
    """Makes line items; their amount follows from tokens and price."""
    return make_line


@pytest.fixture
def bill():
    """Makes bills of a job."""
    return make_bill


@pytest.fixture
def query(database_url):
    def run(sql):
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=NullPool).begin() as connection:
            found = connection.execute(text(sql))
            return [dict(row) for row in found.mappings()] if found.returns_rows else None

    return run


@pytest.fixture
def golden_bills() -> list[Bill]:
    """Bills with line items of every kind and unit, of each source of a rate, and one with few facts."""
    packaged = PriceBook([packaged_prices()])
    counted = {
        "gemini-2.5-flash": [
            *((kind, modality) for kind in TOKEN_KINDS for modality in (Modality.TEXT, Modality.AUDIO)),
            (Kind.SEARCH_QUERY, Modality.TEXT),
            (Kind.MAPS_GROUNDING, Modality.TEXT),
        ],
        "gemini-3.6-flash": [(kind, Modality.TEXT) for kind in TOKEN_KINDS],
        "claude-sonnet-4-5": [(kind, Modality.TEXT) for kind in TOKEN_KINDS],
        "text-embedding-005": [(Kind.INPUT_CHARACTER, Modality.TEXT)],
        "gemini-embedding-001": [(Kind.INPUT, Modality.TEXT)],
        "nobody-knows-this-model": [(Kind.INPUT, Modality.TEXT)],
    }
    made = []
    for number, (model, kinds) in enumerate(counted.items()):
        usage = {
            UsageKey(model, kind, modality): 1_234_567 * (number + 1) + place
            for place, (kind, modality) in enumerate(kinds)
        }
        location = ("global", "us-central1")[number % 2]
        day = date(2026, 11, 28) + timedelta(days=number)
        items = price(usage, packaged, location, day)
        start = datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=UTC)
        end = start + timedelta(hours=1)
        model_name = f"publishers/google/models/{model}"
        facts = {"location": location, "model": model_name, "start_time": start, "end_time": end}
        made += [
            replace(make_bill(f"{number}{twice}", items, **facts), usage=usage)
            for twice in ("first", "again")
        ]
    spec_priced = make_line(7, "0.035", kind=Kind.SEARCH_QUERY, basis=Basis.SPEC, source="spec")
    long = make_line(250_000, "1.25e-06", tier=Tier.LONG_CONTEXT, model="gemini-2.5-pro")
    bare = make_bill(
        "bare", [spec_priced, long], display_name="", labels={}, create_time=None, spec="", team=""
    )
    return [*made, replace(bare, usage={})]
