"""What happens to jobs, as metrics through Airflow's own statistics: StatsD, Datadog or OpenTelemetry.

Names, units and tags stand in ``docs/metrics.md``. State, verdict and kind are in the name, since plain
StatsD has no tags; spec, team and model are tags. A metric that cannot be sent is lost, and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vertex_batch.costs import Bill

_MICRO = Decimal(1_000_000)
_OTHER = re.compile(r"[^a-zA-Z0-9_.-]+")


def submitted(action: str, *, spec: str, team: str, model: str) -> None:
    """Count a job that a task came to.

    :param action: ``submit``, ``adopt``, ``reattach``.
    """
    _task_stats().incr(f"vertex_batch.job.{_part(action)}", tags=_tags(spec, team, model))


def weighed(verdict: str, *, spec: str, team: str, model: str) -> None:
    """Count what the budgets have said."""
    _task_stats().incr(f"vertex_batch.budget.{_part(verdict)}", tags=_tags(spec, team, model))


def recorded(bill: Bill) -> None:
    """Tell of a job that has ended, by its bill: state, rows, tokens, cost, and how long it took."""
    stats, job = _task_stats(), bill.job
    tags = _tags(job.spec, job.team, job.model)
    state = job.state.removeprefix("JOB_STATE_").lower() or "unknown"
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
    """Count a look at a job that failed.

    :param in_trigger: whether the triggerer looked, which has statistics of its own.
    """
    stats = _trigger_stats() if in_trigger else _task_stats()
    stats.incr("vertex_batch.poll.errors", tags={"error": type(error).__name__})


def _took(stats: Any, name: str, begin: datetime | None, end: datetime | None, tags: dict[str, str]) -> None:
    if begin and end and end >= begin:
        stats.timing(name, timedelta(seconds=(end - begin).total_seconds()), tags=tags)


def _task_stats() -> Any:
    from airflow.sdk.observability import stats  # noqa: PLC0415 - no DAG parse needs it

    return stats


def _trigger_stats() -> Any:
    # The triggerer sets up Airflow's statistics, not those of the task SDK, which would be silent there.
    from airflow.observability import stats  # noqa: PLC0415 - no task needs it

    return stats


def _tags(spec: str, team: str, model: str) -> dict[str, str]:
    tags = {"spec": spec, "team": team, "model": model.rpartition("/")[2]}
    return {name: _part(value) for name, value in tags.items() if value}


def _part(text: str) -> str:
    """Fit for a name and a tag: without what StatsD's own form is made of."""
    return _OTHER.sub("_", text)[:100]
