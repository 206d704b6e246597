"""Metrics about jobs, through Airflow's own statistics: StatsD, Datadog or OpenTelemetry.

Names, units and tags are in ``docs/metrics.md``. State, verdict and kind are in the name, because plain
StatsD has no tags; spec, team and model are tags. If a metric cannot be sent, only the metric is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from types import ModuleType
from typing import TYPE_CHECKING

from vertex_batch.vertex.names import short_model

if TYPE_CHECKING:
    from vertex_batch.costs import Bill, Total

_MICRO = Decimal(1_000_000)
_OTHER = re.compile(r"[^a-zA-Z0-9_.-]+")


def submitted(action: str, *, spec: str, team: str, model: str) -> None:
    """Count a job that a task submitted, adopted or resumed.

    :param action: ``submit``, ``adopt``, ``reattach``.
    """
    _task_stats().incr(f"vertex_batch.job.{_part(action)}", tags=_tags(spec, team, model))


def weighed(verdict: str, *, spec: str, team: str, model: str) -> None:
    _task_stats().incr(f"vertex_batch.budget.{_part(verdict)}", tags=_tags(spec, team, model))


def recorded(bill: Bill, before: Total | None) -> None:
    """Report a job that has ended, from its first bill: state, rows, tokens, cost, and how long it took.

    A later bill counts none of them again, since counters cannot be corrected downward. If its sum differs,
    only that fact is counted.

    :param before: the sum of the job's earlier bill; None if this is its first.
    """
    stats, job = _task_stats(), bill.job
    tags = _tags(job.spec, job.team, job.model)
    if before is not None:
        if before != bill.total:
            stats.incr("vertex_batch.job.rebilled", tags=tags)
        return
    state = job.state.lower() or "unknown"
    stats.incr(f"vertex_batch.job.ended.{_part(state)}", tags=tags)
    for outcome in ("ok", "failed", "unreadable", "unrecognized"):
        if rows := getattr(bill.rows, outcome):
            stats.incr(f"vertex_batch.rows.{outcome}", rows, tags=tags)
    counted: Counter[str] = Counter()
    for item in bill.metered:
        counted[item.kind.value] += item.tokens
    for kind, tokens in counted.items():
        if tokens:
            stats.incr(f"vertex_batch.tokens.{kind}", tokens, tags=tags)
    if cost := int((bill.total.amount * _MICRO).to_integral_value(ROUND_HALF_EVEN)):
        stats.incr("vertex_batch.job.cost_microusd", cost, tags=tags)
    if not bill.total.complete:
        stats.incr("vertex_batch.job.unpriced", tags=tags)
    _took(stats, "vertex_batch.job.queue", job.create_time, job.start_time, tags)
    _took(stats, "vertex_batch.job.run", job.start_time, job.end_time, tags)


def poll_failed(error: Exception, *, in_trigger: bool = False) -> None:
    """Count a failed poll of a job.

    :param in_trigger: whether the triggerer polled, which has its own statistics.
    """
    stats = _trigger_stats() if in_trigger else _task_stats()
    stats.incr("vertex_batch.poll.errors", tags={"error": type(error).__name__})


def _took(
    stats: ModuleType, name: str, begin: datetime | None, end: datetime | None, tags: dict[str, str]
) -> None:
    if begin and end and end >= begin:
        stats.timing(name, timedelta(seconds=(end - begin).total_seconds()), tags=tags)


def _task_stats() -> ModuleType:
    from airflow.sdk.observability import stats  # noqa: PLC0415 - no DAG parse needs it

    return stats


def _trigger_stats() -> ModuleType:
    # The triggerer sets up Airflow's statistics, but not those of the task SDK, which would send nothing.
    from airflow.observability import stats  # noqa: PLC0415 - no task needs it

    return stats


def _tags(spec: str, team: str, model: str) -> dict[str, str]:
    tags = {"spec": spec, "team": team, "model": short_model(model)}
    return {name: _part(value) for name, value in tags.items() if value}


def _part(text: str) -> str:
    """Replace the characters that StatsD reserves, and shorten."""
    return _OTHER.sub("_", text)[:100]
