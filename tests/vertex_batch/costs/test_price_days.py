"""Jobs that run over a change of prices, and the bills of a past month."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.repricing import reprice, repriced
from vertex_batch.costs import CostTable, JobFacts, JobFilter, Total
from vertex_batch.costs.database import Database
from vertex_batch.costs.migrations import MIGRATIONS, migrate
from vertex_batch.pricing import PriceBook, from_proxy
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.results.costing import JobPrices, RowMeter
from vertex_batch.usage import Kind, Scanner, ScanOptions, UsageKey
from vertex_batch.usage.reader import read_row

ARGON = "gemini-4-argon"
LAST, FIRST = date(2026, 11, 30), date(2026, 12, 1)
INPUT, OUTPUT = UsageKey(ARGON, Kind.INPUT), UsageKey(ARGON, Kind.OUTPUT)


def row(processed_time=None):
    """A row of 1,000 tokens in and 100 out."""
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    answer = {"status": "", "response": {"usageMetadata": usage, "modelVersion": ARGON}}
    return answer if processed_time is None else {**answer, "processed_time": processed_time}


def scan(rows, price_days=()):
    scanner = Scanner(ScanOptions(ARGON, price_days=price_days))
    scanner.scan(
        io.BytesIO(b"".join(json.dumps(each).encode() + b"\n" for each in rows)), "predictions.jsonl"
    )
    return scanner.result()


def job(job_id="1", start=datetime(2026, 11, 30, 20, tzinfo=UTC), end=datetime(2026, 12, 1, 4, tzinfo=UTC)):
    return JobFacts(
        "demo-project", "global", job_id, model=ARGON, create_time=start, start_time=start, end_time=end
    )


BOOK = PriceBook(from_proxy(None))
_KEY = "'demo-project', 'global', '77', 'gemini-4-argon', 'input', 'text', 'standard', ''"
_NAMES = "project, location, job_id, model, kind, modality, tier, cache_ttl"
_TEXTS = ("job_key", "job_name", "display_name", "model", "state", "error_message", "spec", "team", "dag_id")
_MORE = ("run_id", "task_id", "run_type", "output_directory", "note")
_OTHERS = ", ".join((*_TEXTS, *_MORE))
_EMPTY = ", ".join(["''"] * len((*_TEXTS, *_MORE)))
# A bill as it was before line items had a day and a digest.
OLD_BILL = (
    f"""INSERT INTO cost_jobs (project, location, job_id, {_OTHERS},
        map_index, day, labels, input_uris, rows_ok, rows_failed, rows_unreadable, rows_copied,
        failed_reasons, problems, flags, recorded_at, start_time)
    VALUES ('demo-project', 'global', '77', {_EMPTY},
        -1, '2026-11-30', '{{}}', '[]', 1, 0, 0, 0,
        '{{}}', '[]', '[]', '2026-11-30T05:00:00.000000Z', '2026-11-30T02:00:00.000000Z')""",
    f"INSERT INTO cost_usage ({_NAMES}, tokens) VALUES ({_KEY}, 1000)",
    f"""INSERT INTO cost_line_items ({_NAMES},
        tokens, unit, unit_price_picousd, amount_picousd, source, reason, basis, standard_source)
    VALUES ({_KEY},
        1000, 'token', 1000000, 1000000000, 'old', '', 'batch_rate', '')""",
)


class Map:
    """A proxy whose undated map has the prices of one day."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def model_info(self):
        return []

    def price_map(self):
        return {
            f"vertex_ai/{ARGON}": {
                "litellm_provider": "vertex_ai",
                "input_cost_per_token_batches": f"{self._factor}e-6",
                "output_cost_per_token_batches": f"{5 * self._factor}e-6",
            }
        }


def test_rows_of_a_job_that_ran_over_a_change_have_the_prices_of_their_day(table):
    facts = job()
    assert facts.price_days(BOOK) == (FIRST,)
    rows = [
        row("2026-11-30T23:59:59.999999+00:00"),
        row("2026-12-01T00:30:00+01:00"),  # still 30 November in UTC
        row("2026-12-01T00:00:00.000000+00:00"),
    ]
    found = scan(rows, facts.price_days(BOOK))
    bill = make_bill(facts, found, BOOK)
    # Two rows at 1 and 5 USD per million, one at 2 and 10.
    assert bill.total == Total(Decimal("0.003") + Decimal("0.003"), complete=True)
    assert [(item.kind, item.priced_on, item.tokens, item.amount_usd) for item in bill.line_items] == [
        (Kind.INPUT, None, 2000, Decimal("0.002")),
        (Kind.INPUT, FIRST, 1000, Decimal("0.002")),
        (Kind.OUTPUT, None, 200, Decimal("0.001")),
        (Kind.OUTPUT, FIRST, 100, Decimal("0.001")),
    ]
    assert bill.flags == ()
    table.record(bill)
    assert table.bill(facts.key) == bill
    assert repriced(table.bill(facts.key), BOOK) == bill


@pytest.mark.parametrize("time", [None, "soon", 5, "2026-12-01T00:00:00"])
def test_rows_that_do_not_say_when_are_flagged_with_both_amounts(time):
    facts = job()
    found = scan([row("2026-11-30T22:00:00+00:00"), row(time)], facts.price_days(BOOK))
    bill = make_bill(facts, found, BOOK)
    assert bill.total == Total(Decimal("0.003"), complete=True)
    [flag] = bill.flags
    assert "The prices of the first day were used: 0.003 USD" in flag
    assert "At those of the last day it would cost 0.0045 USD" in flag


def test_a_job_within_one_price_reads_its_rows_as_ever():
    facts = job(start=datetime(2026, 11, 28, 20, tzinfo=UTC), end=datetime(2026, 11, 30, 4, tzinfo=UTC))
    assert facts.price_days(BOOK) == ()
    assert scan([row("2026-11-30T03:00:00+00:00")]).untimed is None


def test_a_bill_of_30_november_is_the_same_recorded_then_later_recounted_and_repriced(table):
    """To the last digit, whatever the proxy's undated map says by then."""
    day = datetime(2026, 11, 30, 2, tzinfo=UTC)
    facts = job(start=day, end=day)
    november, december = PriceBook(from_proxy(Map(1))), PriceBook(from_proxy(Map(2)))
    found = scan([row(), row()], facts.price_days(november))
    on_that_day = make_bill(facts, found, november)
    assert on_that_day.total == Total(Decimal("0.003"), complete=True)
    assert on_that_day.flags == ()

    def amounts(items):
        return [
            (item.kind, item.unit_price_usd, item.amount_usd, item.source, item.list_digest) for item in items
        ]

    table.record(on_that_day)
    late = make_bill(facts, found, december)
    assert amounts(late.line_items) == amounts(on_that_day.line_items)
    assert any("(proxy_price_map), for the day" in flag for flag in late.flags)
    recounted = make_bill(facts, scan([row(), row()], facts.price_days(december)), december)
    assert amounts(recounted.line_items) == amounts(on_that_day.line_items)
    [again] = list(reprice(table, lambda _: december, JobFilter()))
    assert not again.changed
    that_months_list = PriceBook([LiteLLMPrices(Map(1).price_map(), "map-2026-11.json", LAST)])
    [by_list] = list(reprice(table, lambda _: that_months_list, JobFilter()))
    assert by_list.after == on_that_day.total
    stored = table.bill(facts.key)
    assert {item.list_digest for item in stored.line_items} == {that_months_list.sources[0].digest}


def test_new_prices_that_changed_while_a_job_ran_are_flagged_until_it_is_recounted(table):
    """The list of the recording did not have the change yet, so the rows were not separated by their day."""
    facts, old = job(), PriceBook([LiteLLMPrices(Map(1).price_map(), "old.json", LAST)])
    rows = [row("2026-11-30T22:00:00+00:00"), row("2026-12-01T02:00:00+00:00")]
    table.record(make_bill(facts, scan(rows, facts.price_days(old)), old))
    assert table.bill(facts.key).total == Total(Decimal("0.003"), complete=True)
    list(reprice(table, lambda _: BOOK, JobFilter()))
    [flag] = table.bill(facts.key).flags
    assert flag.startswith(
        "prices changed while the job ran, from 2026-11-30 to 2026-12-01, and the tokens in"
    )
    assert "recount the job" in flag
    assert "0.003 USD. At those of the last day it would cost 0.006 USD" in flag
    recounted = make_bill(facts, scan(rows, facts.price_days(BOOK)), BOOK)
    assert (recounted.total.amount, recounted.flags) == (Decimal("0.0045"), ())
    table.record(recounted)
    entries = (
        {
            "input_cost_per_token_batches": "3e-6",
            "output_cost_per_token_batches": "3e-6",
            "valid_until": LAST,
        },
        {
            "input_cost_per_token_batches": "6e-6",
            "output_cost_per_token_batches": "6e-6",
            "valid_from": FIRST,
        },
    )
    agreed = PriceBook([LiteLLMPrices({ARGON: list(entries)}, "agreed.json", LAST)])
    [again] = reprice(table, lambda _: agreed, JobFilter())
    assert (again.after.amount, table.bill(facts.key).flags) == (Decimal("0.0099"), ())


def test_flags_about_prices_are_those_of_the_prices_that_a_bill_has(table):
    """After a price file that contradicted a dated list was corrected; other flags stay."""
    day = datetime(2026, 11, 30, 2, tzinfo=UTC)
    facts = job(start=day, end=day)
    wrong = PriceBook([LiteLLMPrices(Map(3).price_map(), "agreed.yaml", LAST), *BOOK.sources])
    bill = make_bill(facts, scan([row()]), wrong, flags=["the output is odd"])
    assert [flag.split(" of ")[0] for flag in bill.flags[1:]] == ["contradicting prices"] * 2
    table.record(bill)
    [dry] = reprice(table, lambda _: BOOK, JobFilter(), dry_run=True)
    assert dry.changed
    assert table.bill(facts.key).flags == bill.flags
    list(reprice(table, lambda _: BOOK, JobFilter()))
    assert table.bill(facts.key).flags == ("the output is odd",)
    assert table.jobs()[0].flags == ("the output is odd",)


def test_bills_of_an_older_schema_are_kept_and_can_be_repriced(database_url, monkeypatch):
    older = tuple(each for each in MIGRATIONS if each.version < 11)
    monkeypatch.setattr("vertex_batch.costs.migrations.MIGRATIONS", older)
    migrate(Database(database_url))
    monkeypatch.undo()
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    facts = replace(job(), job_id="77")
    bill = make_bill(facts, scan([row()]), BOOK)
    table = CostTable(database_url)
    with create_engine(url).begin() as connection:
        for statement in OLD_BILL:
            connection.execute(text(statement))
    kept = table.bill(facts.key)
    assert kept.usage == {INPUT: 1000}
    [item] = kept.line_items
    assert (item.amount_usd, item.source, item.list_digest, item.priced_on) == (
        Decimal("0.001"),
        "old",
        "",
        None,
    )
    [done] = list(reprice(table, lambda _: BOOK, JobFilter()))
    assert (done.changed, done.after) == (False, Total(Decimal("0.001"), complete=True))
    table.record(bill)
    assert table.bill(facts.key) == bill


def test_the_rows_of_a_delivery_cost_what_the_bill_has_for_their_day():
    facts = job()
    rows = [row("2026-11-30T23:00:00+00:00"), row("2026-12-01T01:00:00+00:00"), row()]
    bill = make_bill(facts, scan(rows, facts.price_days(BOOK)), BOOK)
    meter = RowMeter(JobPrices.of_bill(bill, BOOK.thresholds()))
    costs = [meter.cost_of(read_row(json.dumps(each).encode())).usd for each in rows]
    assert costs == [Decimal("0.0015"), Decimal("0.003"), Decimal("0.0015")]
    assert sum(costs) == bill.total.amount
