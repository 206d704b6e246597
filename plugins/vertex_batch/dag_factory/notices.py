"""The callbacks that notify people about a run. Airflow calls them in the worker or in the DAG processor."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from airflow.sdk import (  # type: ignore[attr-defined]  # its stub file lacks the deadlines
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
)

from vertex_batch.costs import Total, add_totals, in_full, usd
from vertex_batch.operators.digest import load_notifier
from vertex_batch.pricing import add
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.notify import Notice, Occasion

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
_TIMED_OUT = (
    "has exceeded its dagrun_timeout, so Airflow skipped its tasks: answers may be paid for and not"
    " delivered. Clear record_cost with its downstream tasks, which costs nothing, or use the command"
    " `vertex-batch results`"
)


@dataclass(frozen=True)
class Notify:
    """Send a notification. The notifier is imported only then.

    Failures are logged and not raised, so they do not change the run's state.

    :param path: of the notifier's class; None: only log.
    :param arguments: of the notifier.
    :param what: what happened to the run, for the log.
    """

    path: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    what: str = "has failed"

    def __call__(self, context: Context) -> None:
        dag_run: Any = context.get("dag_run")
        run = f"Run {getattr(dag_run, 'run_id', '')} of {getattr(dag_run, 'dag_id', '')}"
        timed_out = context.get("reason") == "timed_out"  # Airflow's word; a cluster policy may set a timeout
        log.warning("%s %s", run, _TIMED_OUT if timed_out else self.what)
        if self.path is None:
            return
        try:
            load_notifier(self.path)(**self.arguments)(context)
        except Exception:
            log.exception("%s %s, but the notifier %s failed", run, self.what, self.path)


@dataclass(frozen=True)
class NotifyOfCost:
    """Notify of a job whose bill is higher than its spec or its estimate expects.

    :param expected_usd: the spec's; None if the spec does not set it.
    """

    expected_usd: Decimal | None
    notices: Sequence[Notice]

    def __call__(self, context: Context) -> None:
        ti = context["ti"]
        try:
            exceeded = self._exceeded(ti.xcom_pull(task_ids=ti.task_id))
        except (TypeError, KeyError, InvalidOperation):
            return
        if exceeded is None:
            return
        cost, expected = exceeded
        what = f"cost {cost} in {ti.task_id}, more than the expected {usd(expected)}"
        extended: Any = {**context, "cost_usd": cost.text, "expected_cost_usd": in_full(expected)}
        for notice in self.notices:
            Notify(notice.notifier, notice.arguments, what)(extended)

    def _exceeded(self, bill: Mapping[str, Any]) -> tuple[Total, Decimal] | None:
        """What was paid, and the expectation that it exceeds: the spec's, else that of the jobs' estimates.

        :returns: of the jobs that have exceeded their estimates, if the spec expects nothing; None if nothing
            was exceeded.
        """
        if self.expected_usd is not None:
            paid = _paid(bill)
            return (paid, self.expected_usd) if paid.amount > self.expected_usd else None
        jobs = [job for job in bill.get("jobs", ()) if job.get("over_expectation")]
        if not jobs:
            return None
        return add_totals(map(_paid, jobs)), add(Decimal(job["high_usd"]) for job in jobs)


def _paid(bill: Mapping[str, Any]) -> Total:
    """The amount of a bill, or of one job of it, as `record_cost` returns it."""
    return Total(Decimal(bill["amount_usd"]), complete=bool(bill.get("complete", True)))


def on_failure(spec: Spec) -> list[Notify]:
    return [Notify(notice.notifier, notice.arguments) for notice in _of(spec, Occasion.FAILURE)]


def on_late(spec: Spec) -> list[DeadlineAlert]:
    """The callbacks for a run that takes longer than expected."""
    if spec.expected_duration is None:
        return []
    return [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=spec.expected_duration,
            callback=SyncCallback(
                notify_late, kwargs={"path": notice.notifier, "arguments": notice.arguments}
            ),
        )
        for notice in _of(spec, Occasion.LATE) or [Notice()]
    ]


def on_cost(spec: Spec, job: JobSpec) -> list[NotifyOfCost]:
    """The callbacks after a job's bill was recorded."""
    notices = _of(spec, Occasion.COST)
    if job.expected_cost_usd is None and not notices:
        return []
    return [NotifyOfCost(job.expected_cost_usd, notices or [Notice()])]


def notify_late(context: Context, path: str | None, arguments: Mapping[str, Any]) -> None:
    """Notify of a run that takes longer than expected. Airflow calls this by its import path."""
    Notify(path, arguments, "takes longer than expected")(context)


def _of(spec: Spec, occasion: Occasion) -> list[Notice]:
    return [notice for notice in spec.notify if occasion in notice.on]
