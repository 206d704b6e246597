"""A cron timetable that starts only what is due now: a run that was missed is not started, nor paid for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from vertex_batch.timetables.lateness import FIRST_RUN_GRACE, MAX_COUNTED, Moment, SkippedRuns, is_due

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
BACKFILL = "backfill"
_reported: set[tuple[str, datetime]] = set()
"""DAG and time of the first skipped run, of what this process has logged."""
_references: dict[tuple[str, datetime], datetime] = {}
"""DAG and time of its latest run -> the moment after which the next one may be due."""


class RunSkippedError(Exception):
    """The scheduler was about to start a run that is too late. Nothing was started, nothing is paid for."""


class DueRunsTimetable(CronTriggerTimetable):
    """A run at each time of a cron expression, unless it would begin too late.

    Airflow's own timetable starts the latest missed run as soon as it can: when a DAG is unpaused, and
    after every backfill. This one starts a run only within ``start_within`` of its time, and never one that
    was due before a backfill was requested that is the DAG's latest run. What it skips it reports once, as a
    WARNING. It is for DAGs with ``catchup=False``; a range that is asked for, as by a backfill, is complete.

    :param cron: five fields, or a preset.
    :param timezone: of the cron expression, such as ``Europe/Berlin``.
    :param start_within: how late a run may start.
    :param dag_id: for messages.
    :param clock: returns the present moment.
    """

    def __init__(
        self,
        cron: str,
        *,
        timezone: Any,
        start_within: timedelta,
        dag_id: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(cron, timezone=timezone)
        self._start_within, self._dag_id, self._clock = start_within, dag_id, clock

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` needs."""
        fields = super().serialize()
        return {
            "expression": fields["expression"],
            "timezone": fields["timezone"],
            "start_within": self._start_within.total_seconds(),
            "dag_id": self._dag_id,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Make the timetable that was serialized."""
        from airflow._shared.timezones.timezone import parse_timezone  # noqa: PLC0415

        return cls(
            data["expression"],
            timezone=parse_timezone(data["timezone"]),
            start_within=timedelta(seconds=data["start_within"]),
            dag_id=data["dag_id"],
        )

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run that starts next; with ``restriction.catchup``, the next one of the range."""
        if restriction.catchup:
            return super().next_dagrun_info(
                last_automated_data_interval=last_automated_data_interval, restriction=restriction
            )
        last = last_automated_data_interval.end if last_automated_data_interval else None
        due = self._next_due(last, restriction.earliest)
        is_over = restriction.latest is not None and restriction.latest < due
        if last is not None and not is_over:
            since = last if restriction.earliest is None else max(last, restriction.earliest)
            self._report(self._get_next(since), due)
        return None if is_over else DagRunInfo.exact(due)

    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        """Return what the latest run says about the next one.

        After a backfill that is the moment at which it was requested: no run that was due before starts.
        """
        info = super().run_info_from_dag_run(dag_run=dag_run)
        if info.data_interval is None:
            return info
        reference = self._reference(dag_run, info.data_interval.end)
        if reference == info.data_interval.end:
            return info
        return DagRunInfo(
            run_after=info.run_after,
            data_interval=DataInterval.exact(pendulum.instance(reference)),
            partition_date=info.partition_date,
            partition_key=info.partition_key,
        )

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        """Return the run that the scheduler is about to start.

        Its time was stored when the DAG was last parsed, which may be before an outage.

        :raises RunSkippedError: it is too late. The DAG's next run is moved to the next time that comes, and
            the scheduler logs the error.
        """
        info = super().next_run_info_from_dag_model(dag_model=dag_model)
        now = self._now()
        if info is None or is_due(info.run_after, now, self._start_within):
            return info
        following = DagRunInfo.exact(self._get_next(now))

        from sqlalchemy.orm import object_session

        if object_session(dag_model) is None:
            return following  # `airflow dags next-execution` asks, and starts nothing
        dag_model.next_dagrun = following.logical_date
        dag_model.next_dagrun_data_interval = following.data_interval
        dag_model.next_dagrun_create_after = following.run_after
        raise RunSkippedError(str(self._skipped(info.run_after, following.run_after)))

    def _reference(self, dag_run: DagRun, end: Moment) -> Moment:
        now = self._now()
        latest = self._align_to_prev(now)
        if latest <= end:
            return end
        # Airflow has not loaded the columns asked for below, so they are asked for only where they matter:
        # once for each latest run, and anew while a run may start.
        key = (self._dag_id, end)
        if key not in _references or is_due(latest, now, self._start_within):
            is_backfill = str(dag_run.run_type) == BACKFILL
            requested = (dag_run.created_at, dag_run.queued_at) if is_backfill else ()
            _references[key] = max([end, *(moment for moment in requested if moment)])
        return _references[key]

    def _next_due(self, last: Moment | None, earliest: Moment | None) -> Any:
        now = self._now()
        due = self._align_to_prev(now)
        is_first = last is None and earliest is None
        if not is_due(due, now, min(FIRST_RUN_GRACE, self._start_within) if is_first else self._start_within):
            due = self._get_next(now)
        candidates = [due]
        if last is not None:
            candidates.append(self._get_next(pendulum.instance(last)))
        if earliest is not None:
            candidates.append(self._align_to_next(pendulum.instance(earliest)))
        return max(candidates)

    def _report(self, first: Any, due: Any) -> None:
        """Log, once in each process, which runs are passed over."""
        key = (self._dag_id, first)
        if first < due and first < self._now() and key not in _reported:
            _reported.add(key)
            log.warning("%s", self._skipped(first, due))

    def _skipped(self, first: Any, due: Any) -> SkippedRuns:
        last, count = first, 1
        while (following := self._get_next(last)) < due and count < MAX_COUNTED:
            last, count = following, count + 1
        zone = self._timezone
        return SkippedRuns(
            self._dag_id,
            first.in_timezone(zone),
            last.in_timezone(zone),
            count,
            due.in_timezone(zone),
            self._start_within,
        )

    def _now(self) -> Any:
        return pendulum.instance(self._clock())
