"""Bills as rows of the cost table, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs.bill import Bill, JobFacts, RowCounts, Total, saved, total
from vertex_batch.costs.columns import usd
from vertex_batch.costs.questions import JobCost
from vertex_batch.costs.schema import JOB_KEY
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.usage import CacheTtl, Kind, Modality, RowProblem, Tier, Unit, UsageKey

_MONEY = ("unit_price", "amount", "standard_unit_price", "standard_amount")
_SEARCHED = ("spec", "team", "dag_id", "run_id", "model", "state", "job_id", "display_name", "note")
"""The fields that a search covers; they are stored together in one column, in lower case."""
_SEARCHED_CHARS = 500
"""The length of that column: a row of an index must fit into a third of PostgreSQL's page."""


def read_facts(row: Row[Any]) -> JobFacts:
    values = {f.name: row._mapping[f.name] for f in fields(JobFacts)}  # noqa: SLF001 - SQLAlchemy's public name
    return JobFacts(**{**values, "input_uris": tuple(values["input_uris"])})


def read_rows(row: Row[Any]) -> RowCounts:
    return RowCounts(
        row.rows_ok,
        row.rows_failed,
        row.rows_unreadable,
        row.rows_unrecognized,
        row.rows_copied,
        row.rows_input,
    )


def read_job_cost(row: Row[Any]) -> JobCost:
    return JobCost(
        job=read_facts(row),
        rows=read_rows(row),
        total=Total(row.amount_picousd, complete=not row.unpriced_line_items),
        tokens=row.tokens,
        flags=tuple(row.flags),
        saved=Total(row.saved_picousd, complete=not row.saved_unknown_line_items),
    )


def read_usage_key(row: Mapping[Any, Any]) -> UsageKey:
    return UsageKey(
        row["model"],
        Kind(row["kind"]),
        Modality(row["modality"]),
        Tier(row["tier"]),
        CacheTtl(row["cache_ttl"]),
        row["priced_on"],
    )


def read_line_item(row: Mapping[Any, Any]) -> LineItem:
    key = read_usage_key(row)
    return LineItem(
        model=key.model,
        kind=key.kind,
        modality=key.modality,
        tier=key.tier,
        tokens=row["tokens"],
        **{f"{name}_usd": row[f"{name}_picousd"] for name in _MONEY},
        basis=Basis(row["basis"]) if row["basis"] else None,
        source=row["source"],
        price_date=row["price_date"],
        reason=row["reason"],
        cache_ttl=key.cache_ttl,
        standard_source=row["standard_source"],
        list_digest=row["list_digest"],
        priced_on=key.priced_on,
    )


def total_of(pico: int | Decimal | None, unpriced: int | Decimal | None) -> Total:
    """Make a total from a sum of picodollars and the number of its parts without a price."""
    return Total(usd(pico or 0), complete=not unpriced)


def job_row(bill: Bill) -> dict[str, object]:
    facts = {f.name: getattr(bill.job, f.name) for f in fields(JobFacts)}
    return {
        **facts,
        "labels": dict(bill.job.labels),
        "input_uris": list(bill.job.input_uris),
        "day": bill.day,
        "rows_ok": bill.rows.ok,
        "rows_failed": bill.rows.failed,
        "rows_unreadable": bill.rows.unreadable,
        "rows_unrecognized": bill.rows.unrecognized,
        "rows_copied": bill.rows.copied,
        "rows_input": bill.rows.input_rows,
        "failed_reasons": dict(bill.failed_reasons),
        "problems": [_problem_row(problem) for problem in bill.problems],
        "failed_samples": [_problem_row(sample) for sample in bill.failed_samples],
        "unrecognized_samples": [_problem_row(sample) for sample in bill.unrecognized_samples],
        "flags": list(bill.flags),
        "recorded_at": bill.recorded_at,
        "searched": "|".join(str(facts[name]) for name in _SEARCHED).lower()[:_SEARCHED_CHARS],
        **stored_sums(bill.line_items),
    }


def _problem_row(problem: RowProblem) -> list[str | int]:
    return [problem.file, problem.line, problem.reason]


def part_rows(job: JobFacts, day: date, items: Sequence[LineItem]) -> list[dict[str, Any]]:
    """The stored sums of a job, by model and by kind."""
    parts: dict[tuple[str, str], list[LineItem]] = defaultdict(list)
    for item in items:
        parts["model", item.model].append(item)
        parts["kind", str(item.kind)].append(item)
    of_job = {name: getattr(job, name) for name in (*JOB_KEY, "dag_id", "spec", "team")}
    return [
        {**of_job, "day": day, "part": part, "name": name, **stored_sums(of_part)}
        for (part, name), of_part in parts.items()
    ]


def stored_sums(items: Sequence[LineItem]) -> dict[str, Any]:
    """The sums that are stored with a job, so that queries need not add up its line items."""
    return {
        "amount_picousd": total(items).amount,
        "unpriced_line_items": sum(item.amount_usd is None for item in items),
        "tokens": sum(item.tokens for item in items if item.unit is Unit.TOKEN),
        "saved_picousd": saved(items).amount,
        "saved_unknown_line_items": sum(item.saved_usd is None for item in items),
    }


def item_row(item: LineItem) -> dict[str, Any]:
    row = {f.name: getattr(item, f.name) for f in fields(LineItem)}
    money = {f"{name}_picousd": row.pop(f"{name}_usd") for name in _MONEY}
    return {**row, **money, "unit": item.unit}
