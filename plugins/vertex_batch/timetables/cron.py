"""A cron timetable that starts only what is due now: a run that was missed is not started, nor paid for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from vertex_batch.timetables.lateness import (
    FIRST_RUN_GRACE,
    MAX_COUNTED,
    Moment,
    SkippedRuns,
    clock_start,
    is_due,
)
from vertex_batch.timetables.run_slots import BACKFILL, stored_places

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
_reported: set[tuple[str, datetime]] = set()
"""DAG and time of the first skipped run, or of the waiting one, of what this process has logged."""
_references: dict[tuple[str, datetime], datetime] = {}
"""DAG and time of its latest run -> the moment after which the next one may be due."""
_too_late: dict[str, tuple[datetime, timedelta, int]] = {}
"""DAG -> the latest time that was found to be too late, with ``start_within`` and ``max_active_runs``."""


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run that waits for a place, or did until a moment ago.

    :param clock: as `clock_start` returns it.
    """

    tick: Moment
    clock: Moment | None


class LatestRunInfo(DagRunInfo):
    """What the latest run says about the next one. Airflow passes it on to `next_dagrun_info_v2`."""

    waiting: WaitingRun | None = None


class RunSkippedError(Exception):
    """The scheduler was about to start a run that is too late. Nothing was started, nothing is paid for.

    Airflow logs it as "Failed creating DagRun" with a traceback, which no timetable can prevent. So what was
    skipped is in a WARNING of its own.
    """

    def __init__(self, dag_id: str) -> None:
        super().__init__(
            f"DAG {dag_id}: this is not a failure. A run that would have started too late was skipped; the"
            " WARNING before this says which, and how to run it."
        )


class DueRunsTimetable(CronTriggerTimetable):
    """A run at each time of a cron expression, unless it would begin too late.

    Airflow's own timetable starts the latest missed run as soon as it can: when a DAG is unpaused, and
    after every backfill. This one starts a run only within ``start_within`` of its time, and never one that
    was due before a backfill was requested that is the DAG's latest run. What it skips it reports once, as a
    WARNING. It is for DAGs with ``catchup=False``; a range that is asked for, as by a backfill, is complete.

    A run that waits because ``max_active_runs`` runs are active is not late: see `clock_start`. If several
    times pass meanwhile, the latest one starts, as with Airflow's own timetable. All runs count except those
    of backfills, as in Airflow's own count. A DAG without a run by schedule or backfill is an exception:
    Airflow gives its timetable no access to the database, so its first run may be skipped after runs by hand
    have occupied all places.

    :param cron: five fields, or a preset.
    :param timezone: of the cron expression, such as ``Europe/Berlin``.
    :param start_within: how late a run may start.
    :param max_active_runs: of the DAG.
    :param dag_id: for messages, and for the look-up of active runs.
    """

    def __init__(
        self,
        cron: str,
        *,
        timezone: Any,
        start_within: timedelta,
        max_active_runs: int,
        dag_id: str = "",
    ) -> None:
        super().__init__(cron, timezone=timezone)
        self._start_within, self._dag_id = start_within, dag_id
        self._max_active_runs = max_active_runs
        self._clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._places = stored_places

    def serialize(self) -> dict[str, Any]:
        fields = super().serialize()
        return {
            "expression": fields["expression"],
            "timezone": fields["timezone"],
            "start_within": self._start_within.total_seconds(),
            "max_active_runs": self._max_active_runs,
            "dag_id": self._dag_id,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        from airflow._shared.timezones.timezone import parse_timezone  # noqa: PLC0415

        return cls(
            data["expression"],
            timezone=parse_timezone(data["timezone"]),
            start_within=timedelta(seconds=data["start_within"]),
            max_active_runs=data["max_active_runs"],
            dag_id=data["dag_id"],
        )

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run that starts next; with ``restriction.catchup``, the next one of the range."""
        return self._next_run(last_automated_data_interval, None, restriction)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the same, with what `run_info_from_dag_run` knows about a run that waits for a place."""
        waiting = last_dagrun_info.waiting if isinstance(last_dagrun_info, LatestRunInfo) else None
        return self._next_run(last_dagrun_info and last_dagrun_info.data_interval, waiting, restriction)

    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        """Return what the latest run says about the next one.

        After a backfill that is the moment at which it was requested: no run that was due before starts,
        except one that waited for a place at that moment.
        """
        info = super().run_info_from_dag_run(dag_run=dag_run)
        if info.data_interval is None:
            return info
        end, latest = info.data_interval.end, self._align_to_prev(self._now())
        if latest <= end:
            return info
        reference, waiting = self._reference(dag_run, end), None
        is_late = not is_due(latest, self._now(), self._start_within)
        if latest <= reference or is_late or self._get_next(end) < latest:
            waiting = self._waiting(dag_run, latest, reference)
        interval = DataInterval.exact(pendulum.instance(end if waiting else reference))
        latest_run = LatestRunInfo(info.run_after, interval, info.partition_date, info.partition_key)
        latest_run.waiting = waiting
        return latest_run

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        """Return the run that the scheduler is about to start.

        Its time was stored when the DAG was last parsed, which may be before an outage. Only an error stops
        the scheduler: it creates whatever run is returned. A run of the next time would be queued at once,
        occupy a place until then, and start late after a pause or an outage, when no check is made any more.

        :raises RunSkippedError: it is too late. The DAG's next run is moved to the next time that comes, and
            what was skipped is logged.
        """
        info = super().next_run_info_from_dag_model(dag_model=dag_model)
        now = self._now()
        if info is None or is_due(info.run_after, now, self._start_within):
            return info
        if is_due(self._clock_start(dag_model, info.run_after), now, self._start_within):
            return info
        following = DagRunInfo.exact(self._get_next(now))

        from sqlalchemy.orm import object_session

        if object_session(dag_model) is None:
            return following  # `airflow dags next-execution` asks, and starts nothing
        dag_model.next_dagrun = following.logical_date
        dag_model.next_dagrun_data_interval = following.data_interval
        dag_model.next_dagrun_create_after = following.run_after
        log.warning("%s", self._skipped(info.run_after, following.run_after))
        raise RunSkippedError(self._dag_id)

    def _next_run(
        self, interval: DataInterval | None, waiting: WaitingRun | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if restriction.catchup:
            return super().next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        last = interval.end if interval else None
        due = self._next_due(last, restriction.earliest, waiting)
        is_over = restriction.latest is not None and restriction.latest < due
        first = self._first_after(last, restriction.earliest)
        if first is not None and not is_over:
            self._report(first, due, is_waiting=waiting is not None and waiting.tick == due)
        return None if is_over else DagRunInfo.exact(due)

    def _first_after(self, last: Moment | None, earliest: Moment | None) -> Any:
        """The first time that has not run; None for a DAG without a start date that has never run.

        Such a DAG does not say since when its times are wanted.
        """
        if last is not None and (earliest is None or last >= earliest):
            return self._get_next(pendulum.instance(last))
        return None if earliest is None else self._align_to_next(pendulum.instance(earliest))

    def _reference(self, dag_run: DagRun, end: Moment) -> Moment:
        # Airflow has not loaded the columns asked for below, so they are asked for only where they matter:
        # once for each latest run, and again while a run may start.
        key, now = (self._dag_id, end), self._now()
        if key not in _references or is_due(self._align_to_prev(now), now, self._start_within):
            is_backfill = str(dag_run.run_type) == BACKFILL
            requested = (dag_run.created_at, dag_run.queued_at) if is_backfill else ()
            _references[key] = max([end, *(moment for moment in requested if moment)])
        return _references[key]

    def _waiting(self, dag_run: DagRun, tick: Moment, reference: Moment) -> WaitingRun | None:
        """Return the wait of a run; None if it did not have to wait, or is too late all the same.

        Once it is too late, it stays so: then the database is asked once in each process, not at each parse.
        """
        key = (tick, self._start_within, self._max_active_runs)
        if _too_late.get(self._dag_id) == key:
            return None
        clock = self._clock_start(dag_run, tick)
        if not is_due(clock, self._now(), self._start_within):
            _too_late[self._dag_id] = key
            return None
        return WaitingRun(tick, clock) if clock is None or clock > max(tick, reference) else None

    def _clock_start(self, stored: DagModel | DagRun, tick: Moment) -> Moment | None:
        return clock_start(tick, self._places(stored, tick), self._max_active_runs)

    def _next_due(self, last: Moment | None, earliest: Moment | None, waiting: WaitingRun | None) -> Any:
        now = self._now()
        due = self._align_to_prev(now)
        is_first = last is None and earliest is None
        start = waiting.clock if waiting and waiting.tick == due else due
        if not is_due(
            start, now, min(FIRST_RUN_GRACE, self._start_within) if is_first else self._start_within
        ):
            due = self._get_next(now)
        candidates = [due]
        if last is not None:
            candidates.append(self._get_next(pendulum.instance(last)))
        if earliest is not None:
            candidates.append(self._align_to_next(pendulum.instance(earliest)))
        return max(candidates)

    def _report(self, first: Any, due: Any, *, is_waiting: bool) -> None:
        """Log which runs are passed over: once in each process, and once for each waiting run."""
        key = (self._dag_id, due if is_waiting else first)
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
