"""Which run Airflow starts next, over the histories that a DAG may have."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval
from airflow.utils.types import DagRunType

from vertex_batch.dag_factory.dag import build_dag
from vertex_batch.specs import spec_of
from vertex_batch.timetables import cron as module
from vertex_batch.timetables.cron import DueRunsTimetable, RunSkippedError
from vertex_batch.timetables.lateness import RunSlot

SPEC = {
    "model": "gemini-2.5-flash",
    "inputs": "gs://bucket/in/{{ run_date }}.jsonl",
    "output": "gs://bucket/out/",
    "schedule": "30 2 * * *",
}
MORNING = "11-27 09:00"
SCHEDULED, BACKFILL = DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB


def at(text: str) -> datetime:
    """A moment of 2026 in UTC, as ``11-27 02:30``; with another year in front, of that."""
    text = text if text.count("-") == 2 else f"2026-{text}"
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def run_of(kind: DagRunType, night: str, created: str) -> DagRun:
    moment = at(night)
    run = DagRun(
        dag_id="nightly",
        run_id=f"{kind.value}__{moment.isoformat()}",
        run_type=kind,
        logical_date=moment,
        data_interval=DataInterval(moment, moment),
        run_after=moment,
        queued_at=at(created),
    )
    run.created_at = at(created)
    return run


def place(since: str, until: str = "") -> RunSlot:
    return RunSlot(at(since), at(until) if until else None)


def dag_at(now: str, places: Sequence[RunSlot] = (), **fields: Any) -> Any:
    """The DAG as the scheduler has it, at a moment of its clock.

    :param places: the runs that are or were active.
    """
    dag = build_dag(spec_of({**SPEC, **fields}, "nightly"))
    copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    timetable = getattr(copy.timetable, "timetable", copy.timetable)
    timetable._clock = lambda: at(now)
    timetable._places = lambda _, since: [
        place for place in places if place.until is None or place.until >= since
    ]
    return copy


def next_run(
    now: str, last: DagRun | None = None, places: Sequence[RunSlot] = (), **fields: Any
) -> datetime | None:
    """What Airflow stores as the DAG's next run when it reads the DAG."""
    model = DagModel(dag_id="nightly")
    model.calculate_dagrun_date_fields(dag_at(now, places, **fields), reference_run=last)
    assert model.next_dagrun == model.next_dagrun_create_after
    return model.next_dagrun


@pytest.fixture(autouse=True)
def _nothing_reported_yet() -> None:
    module._reported.clear()
    module._references.clear()
    module._too_late.clear()


NIGHTLY = run_of(SCHEDULED, "11-26 02:30", "11-26 02:30:05")
OLD = run_of(SCHEDULED, "11-24 02:30", "11-24 02:30:05")
FILLED = run_of(BACKFILL, "11-26 02:30", "11-27 09:00")
FILLED_EARLY = run_of(BACKFILL, "11-24 02:30", "11-27 03:00")
FILLED_THE_DAY_BEFORE = run_of(BACKFILL, "11-24 02:30", "11-26 18:00")
WEEKS_AGO, TODAY, AHEAD = (
    {"start_date": "2026-11-01"},
    {"start_date": "2026-11-27"},
    {"start_date": "2026-12-01"},
)


@pytest.mark.parametrize(
    ("now", "last", "fields", "expected"),
    [
        pytest.param(MORNING, None, {}, "11-28 02:30", id="never run"),
        pytest.param("11-27 02:40", None, {}, "11-28 02:30", id="never run, 10 minutes after a time"),
        pytest.param("11-27 02:31", None, {}, "11-27 02:30", id="never run, read before it was started"),
        pytest.param(MORNING, None, WEEKS_AGO, "11-28 02:30", id="start date in the past"),
        pytest.param("11-27 03:00", None, WEEKS_AGO, "11-27 02:30", id="start date in the past, 30 minutes"),
        pytest.param(MORNING, None, TODAY, "11-28 02:30", id="written by `vertex-batch new`"),
        pytest.param(MORNING, None, AHEAD, "12-01 02:30", id="start date in the future"),
        pytest.param("11-27 02:31", None, AHEAD, "12-01 02:30", id="start date in the future, at night"),
        pytest.param(MORNING, NIGHTLY, {}, "11-28 02:30", id="the night was missed for hours"),
        pytest.param("11-27 03:00", NIGHTLY, {}, "11-27 02:30", id="outage of 30 minutes"),
        pytest.param("11-27 03:30", NIGHTLY, {}, "11-27 02:30", id="outage of exactly an hour"),
        pytest.param("11-27 03:31", NIGHTLY, {}, "11-28 02:30", id="outage of more than an hour"),
        pytest.param(MORNING, OLD, WEEKS_AGO, "11-28 02:30", id="outage of 3 days"),
        pytest.param("11-27 03:00", OLD, WEEKS_AGO, "11-27 02:30", id="outage of 3 days and 30 minutes"),
        pytest.param(MORNING, NIGHTLY, {"start_within": "12h"}, "11-27 02:30", id="as late as the spec says"),
        pytest.param("11-26 12:00", NIGHTLY, {}, "11-27 02:30", id="last run this night"),
        pytest.param(MORNING, FILLED, {}, "11-28 02:30", id="backfill of past days"),
        pytest.param(MORNING, FILLED, WEEKS_AGO, "11-28 02:30", id="backfill, start date in the past"),
        pytest.param("11-27 03:01", FILLED_EARLY, {}, "11-28 02:30", id="backfill soon after a time"),
        pytest.param("11-27 03:01", FILLED_EARLY, WEEKS_AGO, "11-28 02:30", id="the same with a start date"),
        pytest.param(
            "11-27 02:40", FILLED_THE_DAY_BEFORE, {}, "11-27 02:30", id="backfill of the day before"
        ),
        pytest.param(
            MORNING, None, {**WEEKS_AGO, "end_date": "2026-11-28"}, None, id="no time until the end"
        ),
        pytest.param(MORNING, OLD, {**WEEKS_AGO, "end_date": "2026-11-26"}, None, id="end date passed"),
        pytest.param(MORNING, NIGHTLY, {"schedule": "0 5 * * *"}, "11-28 05:00", id="schedule was changed"),
        pytest.param(
            "11-27 09:25", OLD, {"schedule": "*/15 * * * *"}, "11-27 09:15", id="only the latest one"
        ),
        pytest.param(MORNING, OLD, {**WEEKS_AGO, "catchup": True}, "11-25 02:30", id="catch-up"),
        pytest.param(
            MORNING, None, {**WEEKS_AGO, "catchup": True}, "11-01 02:30", id="catch-up from the start"
        ),
    ],
)
def test_only_what_is_due_now_is_started_unasked(now, last, fields, expected):
    assert next_run(now, last, **fields) == (at(expected) if expected else None)


LAST_NIGHT = "11-26 02:30:05"
ACTIVE = [place(LAST_NIGHT)]
ONE = {"max_active_runs": 1}
FILLED_MEANWHILE = run_of(BACKFILL, "11-26 02:30", "11-27 05:00")


@pytest.mark.parametrize(
    ("now", "last", "places", "fields", "expected"),
    [
        pytest.param(MORNING, NIGHTLY, ACTIVE, ONE, "11-27 02:30", id="it waits for the run before"),
        pytest.param("11-29 01:00", NIGHTLY, ACTIVE, ONE, "11-28 02:30", id="only the latest waits"),
        pytest.param(
            "11-29 03:00",
            NIGHTLY,
            ACTIVE,
            ONE,
            "11-29 02:30",
            id="only the latest waits, soon after its time",
        ),
        pytest.param(
            MORNING, NIGHTLY, [place(LAST_NIGHT, "11-27 08:00")], ONE, "11-27 02:30", id="free for an hour"
        ),
        pytest.param(
            MORNING, NIGHTLY, [place(LAST_NIGHT, "11-27 07:59")], ONE, "11-28 02:30", id="free for longer"
        ),
        pytest.param(
            MORNING,
            NIGHTLY,
            [place(LAST_NIGHT, "11-27 05:00")],
            {**ONE, "start_within": "4h"},
            "11-27 02:30",
            id="free for as long as the spec says",
        ),
        pytest.param(
            MORNING, NIGHTLY, [place(LAST_NIGHT, "11-26 09:00")], ONE, "11-28 02:30", id="paused, was idle"
        ),
        pytest.param(
            MORNING, NIGHTLY, [place(LAST_NIGHT, "11-27 02:29")], ONE, "11-28 02:30", id="ended just before"
        ),
        pytest.param(
            MORNING, NIGHTLY, [place("11-27 08:30")], ONE, "11-28 02:30", id="a run by hand in the morning"
        ),
        pytest.param(
            MORNING, NIGHTLY, [place("11-27 08:30", "11-27 08:50")], ONE, "11-28 02:30", id="the same, ended"
        ),
        pytest.param(
            MORNING, NIGHTLY, [place("11-26 20:00")], ONE, "11-27 02:30", id="a run by hand in the evening"
        ),
        pytest.param(
            MORNING,
            NIGHTLY,
            [place(LAST_NIGHT, "11-27 02:31"), place("11-27 02:31:05")],
            ONE,
            "11-27 02:30",
            id="another run took the place",
        ),
        pytest.param(
            MORNING,
            NIGHTLY,
            [place(LAST_NIGHT, "11-27 02:31"), place("11-27 04:00")],
            ONE,
            "11-28 02:30",
            id="another run took the place when it was too late",
        ),
        pytest.param(MORNING, NIGHTLY, ACTIVE, {}, "11-28 02:30", id="one of four places"),
        pytest.param(MORNING, NIGHTLY, ACTIVE * 4, {}, "11-27 02:30", id="four of four places"),
        pytest.param(
            MORNING,
            NIGHTLY,
            [*ACTIVE * 3, place(LAST_NIGHT, "11-27 08:30")],
            {},
            "11-27 02:30",
            id="one of four became free",
        ),
        pytest.param(
            MORNING,
            NIGHTLY,
            [*ACTIVE * 3, place(LAST_NIGHT, "11-27 04:00")],
            {},
            "11-28 02:30",
            id="one of four became free long ago",
        ),
        pytest.param(MORNING, FILLED_MEANWHILE, ACTIVE, ONE, "11-27 02:30", id="backfill while it waits"),
        pytest.param(
            MORNING,
            FILLED_MEANWHILE,
            [place(LAST_NIGHT, "11-27 04:30")],
            {**ONE, "start_within": "12h"},
            "11-28 02:30",
            id="backfill after it could have started",
        ),
        pytest.param(
            MORNING, NIGHTLY, ACTIVE, {**ONE, **AHEAD}, "12-01 02:30", id="start date in the future"
        ),
        pytest.param(
            MORNING,
            NIGHTLY,
            ACTIVE,
            {**ONE, **WEEKS_AGO, "end_date": "2026-11-26"},
            None,
            id="end date passed",
        ),
    ],
)
@pytest.mark.parametrize(
    "schedule", ["30 2 * * *", {"cron": "30 2 * * *", "assets": ["gs://bucket/exports"]}]
)
def test_a_run_that_waits_for_a_place_is_not_late(now, last, places, fields, expected, schedule):
    due = at(expected) if expected else None
    assert next_run(now, last, places, schedule=schedule, **fields) == due


def test_nights_that_pass_while_one_run_is_active_start_as_airflow_starts_them():
    """The latest one starts when the place becomes free; while it is active, the same holds again."""
    first = place(LAST_NIGHT, "11-29 12:00")
    assert next_run("11-29 12:00:01", NIGHTLY, [first], **ONE) == at("11-29 02:30")
    second = run_of(SCHEDULED, "11-29 02:30", "11-29 12:00:05")
    places = [first, place("11-29 12:00:05")]
    assert next_run("11-29 12:00:06", second, places, **ONE) == at("11-30 02:30")
    assert next_run("11-30 20:00", second, places, **ONE) == at("11-30 02:30")
    assert next_run("12-02 20:00", second, places, **ONE) == at("12-02 02:30")


@pytest.mark.parametrize("last", [None, NIGHTLY, FILLED, FILLED_EARLY])
@pytest.mark.parametrize("now", [MORNING, "11-27 03:00"])
def test_with_assets_it_is_the_same(now, last):
    both = {"schedule": {"cron": "30 2 * * *", "assets": ["gs://bucket/exports"]}}
    assert next_run(now, last, **both) == next_run(now, last)


SPRING, AUTUMN = "2027-03-28", "2026-10-25"  # in Berlin 02:30 does not exist, or is there twice


@pytest.mark.parametrize(
    ("now", "last", "expected"),
    [
        ("2027-03-28 00:59", "2027-03-27 01:30", "2027-03-28 01:30"),
        ("2027-03-28 01:31", "2027-03-27 01:30", "2027-03-28 01:30"),
        ("2027-03-28 01:40", "2027-03-28 01:30", "2027-03-29 00:30"),
        ("2027-03-28 07:00", "2027-03-27 01:30", "2027-03-29 00:30"),
    ],
)
def test_a_time_that_a_clock_change_leaves_out_is_run_once(now, last, expected):
    run = run_of(SCHEDULED, last, last)
    assert next_run(now, run, timezone="Europe/Berlin") == at(expected)


def test_a_time_that_a_clock_change_repeats_is_run_once():
    before = run_of(SCHEDULED, "10-24 00:30", "10-24 00:30")
    started = {
        next_run(f"10-25 0{hour}:{minute:02}", before, timezone="Europe/Berlin")
        for hour in (0, 1, 2)
        for minute in range(60)
    } - {at("10-26 01:30")}
    (night,) = started
    assert night in {at("10-25 00:30"), at("10-25 01:30")}
    after = run_of(SCHEDULED, f"{night:%m-%d %H:%M}", f"{night:%m-%d %H:%M}")
    for now in ("10-25 00:45", "10-25 01:45", "10-25 02:00"):
        assert next_run(now, after, timezone="Europe/Berlin") == at("10-26 01:30")


def test_a_range_that_is_asked_for_is_complete():
    dag = dag_at(MORNING)
    infos = dag.iter_dagrun_infos_between(at("11-24 00:00"), at("11-27 00:00"))
    assert [info.logical_date for info in infos] == [at(f"11-{day} 02:30") for day in (24, 25, 26)]


class TestWhatWasSkipped:
    def test_it_is_reported_once_with_what_to_do(self, caplog):
        for _ in range(3):
            next_run(MORNING, OLD, timezone="Europe/Berlin")
        (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        text = record.getMessage()
        assert "DAG nightly: 3 runs that were due from 2026-11-25 02:30 CET to 2026-11-27 02:30 CET" in text
        assert "not started within 60 minutes" in text
        assert "The next run is due at 2026-11-28 02:30 CET" in text
        assert (
            "airflow backfill create --dag-id nightly --from-date 2026-11-25T01:30:00Z"
            " --to-date 2026-11-27T01:30:00Z" in text
        )

    @pytest.mark.parametrize(
        ("now", "last", "fields"),
        [
            (MORNING, None, {}),
            ("11-27 03:00", NIGHTLY, {}),
            ("11-26 12:00", NIGHTLY, {}),
            (MORNING, FILLED, {}),
            (MORNING, FILLED_EARLY, {}),
            (MORNING, OLD, {**WEEKS_AGO, "end_date": "2026-11-26"}),
            (MORNING, OLD, {**WEEKS_AGO, "catchup": True}),
        ],
    )
    def test_where_nothing_was_skipped_nothing_is_said(self, caplog, now, last, fields):
        next_run(now, last, **fields)
        assert [each for each in caplog.records if each.name == module.__name__] == []

    @pytest.mark.parametrize("now", ["11-27 03:31", MORNING])
    def test_the_first_run_of_a_dag_with_a_start_date_is_reported_too(self, caplog, now):
        for _ in range(3):
            assert next_run(now, None, start_date="2026-11-27") == at("11-28 02:30")
        (record,) = [each for each in caplog.records if each.name == module.__name__]
        assert "The run that was due at 2026-11-27 02:30 UTC was not started" in record.getMessage()

    def test_a_first_run_that_is_to_come_or_starts_in_time_is_not(self, caplog):
        assert next_run("11-27 03:00", None, start_date="2026-11-27") == at("11-27 02:30")
        assert next_run("11-26 12:00", None, start_date="2026-11-27") == at("11-27 02:30")
        assert [each for each in caplog.records if each.name == module.__name__] == []

    def test_after_a_backfill_only_what_was_due_since_then_is_reported(self, caplog):
        for _ in range(3):
            next_run(MORNING, FILLED_THE_DAY_BEFORE)
        (record,) = [each for each in caplog.records if each.name == module.__name__]
        assert "The run that was due at 2026-11-27 02:30 UTC was not started" in record.getMessage()

    def test_each_night_that_a_later_one_replaces_is_reported_once(self, caplog):
        skipped = []
        for now in ("11-27 09:00", "11-28 02:31", "11-28 09:00", "11-29 02:31", "11-29 09:00"):
            caplog.clear()
            next_run(now, NIGHTLY, ACTIVE, **ONE)
            skipped.append(
                "; ".join(each.getMessage() for each in caplog.records if each.name == module.__name__)
            )
        nothing, one, again, two, again_two = skipped
        assert (nothing, again, again_two) == ("", "", "")
        assert "The run that was due at 2026-11-27 02:30 UTC was not started" in one
        assert "The next run is due at 2026-11-28 02:30 UTC" in one
        assert "2 runs that were due from 2026-11-27 02:30 UTC to 2026-11-28 02:30 UTC" in two
        assert "while `max_active_runs` runs were active: then only the latest one starts" in two

    def test_what_is_left_out_of_a_busy_schedule_is_counted_up_to_a_bound(self, caplog):
        next_run(MORNING, OLD, schedule="* * * * *")
        assert f"{module.MAX_COUNTED} or more runs" in caplog.text


class TestWhenTheSchedulerComesBack:
    """The next run was stored before an outage; the scheduler may see it before the DAG is read again."""

    @pytest.fixture
    def stored(self) -> DagModel:
        model = DagModel(dag_id="nightly")
        model.calculate_dagrun_date_fields(dag_at("11-26 12:00"), reference_run=NIGHTLY)
        assert model.next_dagrun == at("11-27 02:30")
        return model

    def test_a_run_that_is_not_too_late_starts(self, stored):
        info = dag_at("11-27 03:00").timetable.next_run_info_from_dag_model(dag_model=stored)
        assert info.logical_date == at("11-27 02:30")

    @pytest.mark.parametrize("end", ["", "11-27 08:59:59", "11-27 08:00"])
    def test_one_that_waited_for_a_place_starts(self, stored, end):
        timetable = dag_at(MORNING, [place(LAST_NIGHT, end)], **ONE).timetable
        info = timetable.next_run_info_from_dag_model(dag_model=stored)
        assert info.logical_date == at("11-27 02:30")

    def test_one_that_could_have_started_long_ago_does_not(self, stored, session):
        session.add(stored)
        timetable = dag_at(MORNING, [place(LAST_NIGHT, "11-27 07:59")], **ONE).timetable
        with pytest.raises(RunSkippedError):
            timetable.next_run_info_from_dag_model(dag_model=stored)

    @pytest.mark.parametrize("schedule", [SPEC["schedule"], {"cron": "30 2 * * *", "assets": ["gs://b/x"]}])
    def test_one_that_is_too_late_does_not_and_gives_way_to_the_next(self, stored, schedule, session, caplog):
        session.add(stored)
        timetable = dag_at(MORNING, schedule=schedule).timetable
        with pytest.raises(RunSkippedError, match="DAG nightly: this is not a failure"):
            timetable.next_run_info_from_dag_model(dag_model=stored)
        (record,) = [each for each in caplog.records if each.name == module.__name__]
        assert record.levelno == logging.WARNING
        assert "2026-11-27 02:30 UTC was not started" in record.getMessage()
        assert "backfill create" in record.getMessage()
        assert stored.next_dagrun == stored.next_dagrun_create_after == at("11-28 02:30")
        assert stored.next_dagrun_data_interval == DataInterval.exact(at("11-28 02:30"))

    def test_the_command_line_is_answered_with_the_next(self, stored):
        info = dag_at(MORNING).timetable.next_run_info_from_dag_model(dag_model=stored)
        assert info.logical_date == at("11-28 02:30")

    @pytest.fixture
    def session(self) -> Iterator[Any]:
        from sqlalchemy.orm import Session

        with Session(autoflush=False) as session:
            yield session


@pytest.mark.parametrize(
    ("now", "reads"),
    [
        pytest.param("11-26 12:00", 0, id="nothing was due since the latest run"),
        pytest.param(MORNING, 1, id="something was: once in each process"),
        pytest.param("11-27 03:00", 3, id="something may start: each time"),
    ],
)
def test_the_database_is_asked_about_the_latest_run_only_where_that_matters(now, reads):
    asked = []

    class Run(SimpleNamespace):
        @property
        def run_type(self):
            asked.append("run_type")
            return "scheduled"

    night = at("11-26 02:30")
    run = Run(
        run_after=night,
        data_interval_start=night,
        data_interval_end=night,
        partition_key=None,
        partition_date=None,
        logical_date=night,
    )
    for _ in range(3):
        next_run(now, run)
    assert len(asked) == reads


def test_whether_a_place_was_free_is_asked_until_it_is_too_late():
    asked = []
    dag = dag_at(MORNING, **ONE)

    def places(stored: Any, since: datetime) -> list[RunSlot]:
        asked.append(since)
        return [place(LAST_NIGHT, "11-27 08:30")]

    dag.timetable._places = places
    for now, reads in [("11-26 12:00", 0), ("11-27 03:00", 0), (MORNING, 2), ("11-27 10:00", 3)]:
        dag.timetable._clock = lambda now=now: at(now)
        for _ in range(2):
            dag.timetable.run_info_from_dag_run(dag_run=NIGHTLY)
        assert len(asked) == reads
    assert set(asked) == {at("11-27 02:30")}


def test_it_is_the_same_after_a_way_through_the_database():
    timetable = DueRunsTimetable(
        "@daily",
        timezone="Europe/Berlin",
        start_within=timedelta(hours=2),
        max_active_runs=2,
        dag_id="nightly",
    )
    copy = DueRunsTimetable.deserialize(timetable.serialize())
    assert copy.serialize() == timetable.serialize()
    assert (copy.summary, copy.periodic, copy.can_be_scheduled) == ("0 0 * * *", True, True)
