"""What starts a run: a cron expression, other specs' outputs, assets, or a timetable."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.values import NAME

ASSET_PREFIX = "vertex_batch/"
ONCE = "@once"
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", ONCE)
_CRON_FIELDS = 5
# croniter reads a lone R or H as a random or hashed time, so the schedule would change on every parse.
_RANDOM = re.compile(r"(?<![A-Za-z])[RH](?![A-Za-z])", re.IGNORECASE)
_ALIASES = {"@midnight": "@daily", "@annually": "@yearly"}
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_OUTPUT = re.compile(f"{NAME}(/{NAME})?", re.ASCII)
_URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.ASCII)


@lru_cache(maxsize=1024)
def _cron(text: str) -> str:
    if text in PRESETS:
        return text
    if text.startswith("@"):
        better = f"; did you mean `{_ALIASES[text]}`?" if text in _ALIASES else did_you_mean(text, PRESETS)
        raise ValueError(f"`{text}` is not one of {', '.join(PRESETS)}{better}")
    if len(text.split()) != _CRON_FIELDS:
        raise ValueError(
            f"`{text}` is not a valid schedule: a cron expression has 5 fields (minute, hour, day, month,"
            ' weekday), such as "30 2 * * *"; use null for manual runs only'
        )
    if _RANDOM.search(text):
        raise ValueError(f"`{text}`: `R` and `H` would change on every parse; use fixed values")
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        raise ValueError(f"`{text}` never occurs: there is no such date") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"`{text}` is not a valid cron expression: {error}") from None
    return text


Cron = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_cron),
    WithJsonSchema({"type": "string", "anyOf": [{"enum": [*PRESETS]}, {"pattern": r"^\S+( +\S+){4}$"}]}),
]


def often(text: str) -> str:
    """Say how often a cron expression runs if that is more than once an hour; else empty."""
    if text in PRESETS:
        return ""
    minutes, hours, *_ = croniter.expand(text)[0]
    every = minutes == ["*"]
    in_hour, in_day = 60 if every else len(minutes), 24 if hours == ["*"] else len(hours)
    if in_hour == 1:
        return ""
    said = f"{in_hour * in_day:,} runs a day, each with a job that is paid for."
    if not every:
        return said
    when = f"once a day at {hours[0]:02}:00" if in_day == 1 else f"{in_day} runs a day"
    return f"{said} For {when}, write `{' '.join(['0', *text.split()[1:]])}`."


@lru_cache(maxsize=256)
def _import_path(text: str) -> str:
    """Check that a class exists, without running its module."""
    if not _PATH.fullmatch(text):
        raise ValueError(f"`{text[:80]}` is not a valid import path, such as `package.module.Class`")
    module, _, name = text.rpartition(".")
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None:
        raise ValueError(f"module `{module}` is not installed: install its package, or correct the path")
    source = Path(found.origin) if found.origin else None
    if (
        source
        and source.suffix == ".py"
        and not re.search(rf"\b{name}\b", source.read_text(errors="replace"))
    ):
        raise ValueError(f"module `{module}` has no `{name}`")
    return text


def _asset(text: str) -> str:
    if not _OUTPUT.fullmatch(text) and not _URI.fullmatch(text):
        raise ValueError(f"`{text[:80]}` is neither a spec (`SPEC` or `SPEC/JOB`) nor the URI of an asset")
    return text


ImportPath = Annotated[str, StringConstraints(max_length=250), AfterValidator(_import_path)]
AssetName = Annotated[str, StringConstraints(max_length=500), AfterValidator(_asset)]


class Events(SpecModel):
    """A schedule by assets or a timetable, optionally with a cron expression."""

    cron: Cron | None = Field(default=None, examples=["30 2 * * *"])
    """Also run at these times."""
    assets: list[AssetName] = Field(default_factory=list, max_length=50, examples=[["nightly_summaries"]])
    """Run when these have been updated since the last run: the outputs of specs with `asset: true`, as `SPEC`
    or `SPEC/JOB`, or any other asset, by its URI."""
    when: Literal["all", "any"] = "all"
    """Whether all of `assets` must have been updated, or only one of them."""
    timetable: ImportPath | None = Field(
        default=None, validate_default=True, examples=["airflow.sdk.CronTriggerTimetable"]
    )
    """The import path of a timetable class that an Airflow plugin registers. It replaces `cron` and
    `assets`."""
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict, examples=[{"expression": "0 6 * * MON-FRI", "timezone": "UTC"}]
    )
    """The arguments of the timetable."""

    @field_validator("timetable")
    @classmethod
    def _one_or_the_other(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and (info.data.get("cron") or info.data.get("assets")):
            raise ValueError("cannot be combined with `cron` or `assets`; remove them")
        given = [info.data.get(key, "invalid itself") for key in ("cron", "assets")]
        if not value and not any(given):
            raise ValueError("is not set: set at least one of `cron`, `assets` or `timetable`")
        return value

    @field_validator("arguments")
    @classmethod
    def _of_a_timetable(cls, value: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        if value and "timetable" in info.data and not info.data["timetable"]:
            raise ValueError("need a timetable: set `timetable`, or remove them")
        return value
