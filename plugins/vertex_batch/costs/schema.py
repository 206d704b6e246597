"""The cost table for SQLAlchemy Core, as it is after all migrations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (  # noqa: TID253 - not at DAG parse
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
)

from vertex_batch.costs.columns import DayText, JsonText, PicoUsd, UtcTime

metadata = MetaData()


JOB_KEY = ("project", "location", "job_id")


def same_job(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    return and_(*(left.c[name] == right.c[name] for name in JOB_KEY))


def _job_key() -> list[Column[str]]:
    return [Column(name, Text, primary_key=True) for name in JOB_KEY]


USAGE_KEY = ("model", "kind", "modality", "tier", "cache_ttl", "priced_on")


def _usage_key() -> list[Column[Any]]:
    return [
        *(Column(name, Text, primary_key=True) for name in USAGE_KEY[:-1]),
        Column("priced_on", DayText, primary_key=True),
    ]


SUMS = ("amount_picousd", "unpriced_line_items", "tokens", "saved_picousd", "saved_unknown_line_items")
"""The stored sums of line items, for a job and for a part of it."""


def _sums() -> list[Column[Any]]:
    return [Column(name, PicoUsd if name.endswith("_picousd") else BigInteger) for name in SUMS]


jobs = Table(
    "cost_jobs",
    metadata,
    *_job_key(),
    *(
        Column(name, Text)
        for name in ("job_key", "job_name", "display_name", "model", "state", "error_message")
    ),
    *(Column(name, Text) for name in ("spec", "team", "dag_id", "run_id", "task_id", "run_type")),
    *(Column(name, Integer) for name in ("error_code", "map_index", "try_number")),
    *(
        Column(name, UtcTime)
        for name in ("logical_date", "create_time", "start_time", "end_time", "recorded_at")
    ),
    Column("day", Date),
    *(Column(name, Text) for name in ("output_directory", "note")),
    *(
        Column(name, BigInteger)
        for name in ("rows_ok", "rows_failed", "rows_unreadable", "rows_unrecognized")
    ),
    *(Column(name, BigInteger) for name in ("rows_copied", "rows_input")),
    *(Column(name, JsonText) for name in ("labels", "input_uris", "failed_reasons", "problems", "flags")),
    Column("failed_samples", JsonText),
    Column("unrecognized_samples", JsonText),
    Column("searched", Text),
    *_sums(),
)

job_sums = Table(
    "cost_job_sums",
    metadata,
    *_job_key(),
    *(Column(name, Text, primary_key=True) for name in ("part", "name")),
    Column("day", Date),
    *(Column(name, Text) for name in ("dag_id", "spec", "team")),
    *_sums(),
)

usage = Table("cost_usage", metadata, *_job_key(), *_usage_key(), Column("tokens", BigInteger))


def _priced() -> list[Column[Any]]:
    return [
        *_usage_key(),
        Column("tokens", BigInteger),
        Column("unit_price_picousd", PicoUsd),
        Column("amount_picousd", PicoUsd),
        Column("standard_unit_price_picousd", PicoUsd),
        Column("standard_amount_picousd", PicoUsd),
        *(
            Column(name, Text)
            for name in ("unit", "basis", "source", "reason", "standard_source", "list_digest")
        ),
        Column("price_date", Date),
    ]


line_items = Table("cost_line_items", metadata, *_job_key(), *_priced())

price_history = Table(
    "cost_price_history", metadata, *_job_key(), Column("replaced_at", UtcTime, primary_key=True), *_priced()
)

estimates = Table(
    "cost_estimates",
    metadata,
    Column("job_key", Text, primary_key=True),
    *(Column(name, Text) for name in ("project", "location", "job_id", "model", "spec", "team")),
    *(Column(name, Text) for name in ("dag_id", "run_id", "task_id", "method", "verdict", "reason")),
    *(Column(name, Integer) for name in ("map_index", "unpriced")),
    *(Column(f"{name}_picousd", PicoUsd) for name in ("expected", "low", "high")),
    *(Column(name, BigInteger) for name in ("rows_input", "input_bytes", "input_tokens", "output_tokens")),
    Column("answer_limit", BigInteger),
    Column("unknown", JsonText),
    Column("approved_by", Text),
    *(Column(name, UtcTime) for name in ("estimated_at", "released_at")),
)

deliveries = Table(
    "cost_deliveries",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("dag_id", "run_id", "task_id")),
    Column("map_index", Integer, primary_key=True),
    *(Column(name, Text) for name in ("spec", "team", "job_name")),
    *(Column(name, BigInteger) for name in ("input_rows", "delivered", "exceptions")),
    Column("reasons", JsonText),
    *(Column(name, Text) for name in ("answers_uri", "exceptions_uri", "manifest_uri", "usd")),
    Column("is_complete", Boolean),
    Column("delivered_at", UtcTime),
    Column("kept_at", Text),
    Column("kept_answers", BigInteger),
    Column("retry_of", Text),
)
