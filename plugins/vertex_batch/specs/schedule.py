"""When a spec's jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.events import ONCE, Cron, Events
from vertex_batch.specs.problems import MAPPING, NOTHING, TEXT, did_you_mean
from vertex_batch.specs.values import Duration
from vertex_batch.timetables.lateness import DEFAULT_START_WITHIN, SHORTEST_START_WITHIN


@lru_cache(maxsize=256)
def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, KeyError, OSError):
        raise ValueError(
            f"`{text}` is not a valid time zone"
            f"{did_you_mean(text, available_timezones()) or ', such as Europe/Berlin'}"
        ) from None
    return text


def _moment(value: object) -> object:
    """Read a day or a time. One without a zone is completed once the spec's zone is known."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("must be a day such as 2026-11-01, or a time such as 2026-11-01T02:30:00")


def _kind(value: object) -> str | None:
    """Return the kind of the schedule, so that only problems of this kind are reported."""
    if value is None:
        return NOTHING
    return MAPPING if isinstance(value, (Mapping, Events)) else TEXT


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_timezone)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$"}),
]


class ScheduleFields(SpecModel):
    """When runs begin. A run's dates are in the spec's time zone."""

    schedule: Annotated[
        Annotated[Cron, Tag(TEXT)] | Annotated[Events, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        Discriminator(_kind),
    ] = Field(default=None, examples=["30 2 * * *", "@daily", {"assets": ["nightly_summaries"]}, None])
    """A cron expression with 5 fields, a preset such as @daily, or a mapping for the outputs of other specs
    or a timetable. Without it, runs are manual only."""
    timezone: Timezone = Field(default="UTC", examples=["UTC", "Europe/Berlin"])
    """The time zone of `schedule`, of `start_date`, and of the dates in templates."""
    start_date: Moment | None = Field(default=None, examples=["2026-11-01"])
    """No run is scheduled before this day. Without it, the first run is the next one that is due."""
    end_date: Moment | None = Field(default=None, examples=["2027-03-31"])
    """No run is scheduled after this day."""
    catchup: bool = False
    """Also run for all dates from `start_date` until now. Each run submits jobs that cost money."""
    start_within: Duration = Field(
        default=DEFAULT_START_WITHIN,
        description=(
            "How late a scheduled run may start, after an outage or when the DAG is unpaused; at least"
            f" {show_duration(SHORTEST_START_WITHIN)}. A later run is skipped, costs nothing, and can be"
            " backfilled. With `catchup: true`, no run is skipped."
        ),
        examples=["1h", "6h"],
    )

    @property
    def cron(self) -> str | None:
        """The cron expression of the schedule, alone or combined with assets."""
        cron = self.schedule.cron if isinstance(self.schedule, Events) else self.schedule
        return None if cron == ONCE else cron

    @field_validator("start_date", "end_date")
    @classmethod
    def _in_zone(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None or value.tzinfo:
            return value
        zone = info.data.get("timezone")
        return value.replace(tzinfo=ZoneInfo(zone) if zone and zone != "UTC" else UTC)

    @field_validator("end_date")
    @classmethod
    def _after_start(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        start = info.data.get("start_date")
        if value and start and value <= start:
            raise ValueError(f"must be after start_date ({start:%Y-%m-%d %H:%M})")
        return value

    @field_validator("catchup")
    @classmethod
    def _from_when(cls, value: bool, info: ValidationInfo) -> bool:
        schedule = info.data.get("schedule")
        timed = schedule.cron or schedule.timetable if isinstance(schedule, Events) else schedule
        if value and "schedule" in info.data and not timed:
            raise ValueError("needs a schedule: set `schedule`, or `catchup: false`")
        if value and "start_date" in info.data and info.data["start_date"] is None:
            raise ValueError("needs a first day: set `start_date`, or `catchup: false`")
        return value

    @field_validator("start_within")
    @classmethod
    def _time_to_start(cls, value: timedelta) -> timedelta:
        if value < SHORTEST_START_WITHIN:
            raise ValueError(
                f"must be at least {show_duration(SHORTEST_START_WITHIN)}: Airflow itself may take minutes to"
                " start a run that is due"
            )
        return value
