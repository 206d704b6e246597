"""When a spec's jobs run."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from vertex_batch.specs.problems import did_you_mean

ONCE = "@once"
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", ONCE)
_CRON_FIELDS = 5
# croniter reads a lone R or H as a random or hashed time: another schedule at each parse.
_RANDOM = re.compile(r"(?<![A-Za-z])[RH](?![A-Za-z])", re.IGNORECASE)
_ALIASES = {"@midnight": "@daily", "@annually": "@yearly"}


@lru_cache(maxsize=1024)
def _cron(text: str) -> str:
    if text in PRESETS:
        return text
    if text.startswith("@"):
        better = f"; did you mean `{_ALIASES[text]}`?" if text in _ALIASES else did_you_mean(text, PRESETS)
        raise ValueError(f"`{text}` is none of {', '.join(PRESETS)}{better}")
    if len(text.split()) != _CRON_FIELDS:
        raise ValueError(
            f"`{text}` is no schedule: a cron expression has 5 fields (minute, hour, day, month, weekday),"
            " such as"
            ' "30 2 * * *"; use null for manual runs only'
        )
    if _RANDOM.search(text):
        raise ValueError(f"`{text}` would be another schedule at each reading: write fixed times")
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        raise ValueError(f"`{text}` never comes: there is no such date") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"`{text}` is no cron expression: {error}") from None
    return text


@lru_cache(maxsize=256)
def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, KeyError, OSError):
        raise ValueError(
            f"`{text}` is no time"
            f" zone{did_you_mean(text, available_timezones()) or ', such as Europe/Berlin'}"
        ) from None
    return text


def _moment(value: Any) -> Any:
    """Read a day or a moment; one without a zone is completed once the spec's zone is known."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("must be a day such as 2026-11-01, or a moment such as 2026-11-01T02:30:00")


Cron = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_cron),
    WithJsonSchema({"type": "string", "anyOf": [{"enum": [*PRESETS]}, {"pattern": r"^\S+( +\S+){4}$"}]}),
]
Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_timezone)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$"}),
]


class ScheduleFields(BaseModel):
    """When runs begin. A run's date names are those of the spec's time zone."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schedule: Cron | None = Field(
        default=None,
        description=(
            "A cron expression of 5 fields, or a preset such as @daily. Without it, runs begin by hand only."
        ),
        examples=["30 2 * * *", "@daily", None],
    )
    timezone: Timezone = Field(
        default="UTC",
        description="The time zone of `schedule`, of `start_date`, and of the date names in templates.",
        examples=["UTC", "Europe/Berlin"],
    )
    start_date: Moment | None = Field(
        default=None,
        description=(
            "No run is scheduled before it. Without it, the first run is the next one that comes due."
        ),
        examples=["2026-11-01"],
    )
    end_date: Moment | None = Field(
        default=None, description="No run is scheduled after it.", examples=["2027-03-31"]
    )
    catchup: bool = Field(
        default=False,
        description=(
            "Also run for all the dates from `start_date` until now. Each of them is a job that costs money."
        ),
    )

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
        if value and "schedule" in info.data and info.data["schedule"] is None:
            raise ValueError("needs a schedule to catch up with: set `schedule`, or `catchup: false`")
        if value and "start_date" in info.data and info.data["start_date"] is None:
            raise ValueError("needs a first day: set `start_date`, or `catchup: false`")
        return value
