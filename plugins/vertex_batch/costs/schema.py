"""The cost table for SQLAlchemy Core, as it is after all migrations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs.columns import AnyText, DayText, JsonText, PicoUsd, UtcTime

metadata = sa.MetaData()


JOB_KEY = ("project", "location", "job_id")


def same_job(left: sa.FromClause, right: sa.FromClause) -> sa.ColumnElement[bool]:
    """The condition that joins two tables by the job."""
    return sa.and_(*(left.c[name] == right.c[name] for name in JOB_KEY))


def _job_key() -> list[sa.Column[str]]:
    return [sa.Column(name, AnyText, primary_key=True) for name in JOB_KEY]


USAGE_KEY = ("model", "kind", "modality", "tier", "cache_ttl", "priced_on")


def _usage_key() -> list[sa.Column[Any]]:
    return [
        *(sa.Column(name, AnyText, primary_key=True) for name in USAGE_KEY[:-1]),
        sa.Column("priced_on", DayText, primary_key=True),
    ]


SUMS = ("amount_picousd", "unpriced_line_items", "tokens", "saved_picousd", "saved_unknown_line_items")
"""The stored sums of line items, for a job and for a part of it."""


def _sums() -> list[sa.Column[object]]:
    return [sa.Column(name, PicoUsd if name.endswith("_picousd") else sa.BigInteger) for name in SUMS]


jobs = sa.Table(
    "cost_jobs",
    metadata,
    *_job_key(),
    *(
        sa.Column(name, AnyText)
        for name in ("job_key", "job_name", "display_name", "model", "state", "error_message")
    ),
    *(sa.Column(name, AnyText) for name in ("spec", "team", "dag_id", "run_id", "task_id", "run_type")),
    *(sa.Column(name, sa.Integer) for name in ("error_code", "map_index", "try_number")),
    *(
        sa.Column(name, UtcTime)
        for name in ("logical_date", "create_time", "start_time", "end_time", "recorded_at")
    ),
    sa.Column("day", sa.Date),
    *(sa.Column(name, AnyText) for name in ("output_directory", "note")),
    *(
        sa.Column(name, sa.BigInteger)
        for name in ("rows_ok", "rows_failed", "rows_unreadable", "rows_unrecognized")
    ),
    *(sa.Column(name, sa.BigInteger) for name in ("rows_copied", "rows_input")),
    *(sa.Column(name, JsonText) for name in ("labels", "input_uris", "failed_reasons", "problems", "flags")),
    sa.Column("failed_samples", JsonText),
    sa.Column("unrecognized_samples", JsonText),
    sa.Column("searched", AnyText),
    *_sums(),
)

job_sums = sa.Table(
    "cost_job_sums",
    metadata,
    *_job_key(),
    *(sa.Column(name, AnyText, primary_key=True) for name in ("part", "name")),
    sa.Column("day", sa.Date),
    *(sa.Column(name, AnyText) for name in ("dag_id", "spec", "team")),
    *_sums(),
)

usage = sa.Table("cost_usage", metadata, *_job_key(), *_usage_key(), sa.Column("tokens", sa.BigInteger))


def _priced() -> list[sa.Column[Any]]:
    return [
        *_usage_key(),
        sa.Column("tokens", sa.BigInteger),
        sa.Column("unit_price_picousd", PicoUsd),
        sa.Column("amount_picousd", PicoUsd),
        sa.Column("standard_unit_price_picousd", PicoUsd),
        sa.Column("standard_amount_picousd", PicoUsd),
        *(
            sa.Column(name, AnyText)
            for name in ("unit", "basis", "source", "reason", "standard_source", "list_digest")
        ),
        sa.Column("price_date", sa.Date),
    ]


line_items = sa.Table("cost_line_items", metadata, *_job_key(), *_priced())

price_history = sa.Table(
    "cost_price_history",
    metadata,
    *_job_key(),
    sa.Column("replaced_at", UtcTime, primary_key=True),
    *_priced(),
)

estimates = sa.Table(
    "cost_estimates",
    metadata,
    sa.Column("job_key", AnyText, primary_key=True),
    *(sa.Column(name, AnyText) for name in ("project", "location", "job_id", "model", "spec", "team")),
    *(sa.Column(name, AnyText) for name in ("dag_id", "run_id", "task_id", "method", "verdict", "reason")),
    *(sa.Column(name, sa.Integer) for name in ("map_index", "unpriced")),
    *(sa.Column(f"{name}_picousd", PicoUsd) for name in ("expected", "low", "high")),
    *(
        sa.Column(name, sa.BigInteger)
        for name in ("rows_input", "input_bytes", "input_tokens", "output_tokens")
    ),
    sa.Column("answer_limit", sa.BigInteger),
    sa.Column("unknown", JsonText),
    sa.Column("approved_by", AnyText),
    *(sa.Column(name, UtcTime) for name in ("estimated_at", "released_at")),
)

deliveries = sa.Table(
    "cost_deliveries",
    metadata,
    *(sa.Column(name, AnyText, primary_key=True) for name in ("dag_id", "run_id", "task_id")),
    sa.Column("map_index", sa.Integer, primary_key=True),
    *(sa.Column(name, AnyText) for name in ("spec", "team", "job_name")),
    *(sa.Column(name, sa.BigInteger) for name in ("input_rows", "delivered", "exceptions")),
    sa.Column("reasons", JsonText),
    *(sa.Column(name, AnyText) for name in ("answers_uri", "exceptions_uri", "manifest_uri", "usd")),
    sa.Column("is_complete", sa.Boolean),
    sa.Column("delivered_at", UtcTime),
    sa.Column("kept_at", AnyText),
    sa.Column("kept_answers", sa.BigInteger),
    sa.Column("retry_of", AnyText),
)
