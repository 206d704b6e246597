"""Which specs read an object already, and on which date. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.rendering import moment_on, render_pattern
from vertex_batch.specs.run_dates import TEMPLATE_DATES
from vertex_batch.specs.templates import TEMPLATE_PART
from vertex_batch.storage import names_like

# A look-ahead, so that digits before a day do not hide it.
_DAY = re.compile(r"(?=(\d{4})\D{0,9}(0[1-9]|1[0-2])(?:\D{0,9}([0-3]\d))?)")
_TIME = re.compile(r"(?=(?<!\d)([01]\d|2[0-3])(?:([0-5]\d)([0-5]\d))?(?!\d))")
_WITH_TIME = re.compile("run_hour|run_timestamp")
_DATED = re.compile("|".join(TEMPLATE_DATES))
_MOST_TRIES = 500


@dataclass(frozen=True, slots=True)
class SpecReader:
    """A spec that reads an object.

    :param model: of the job that reads it.
    :param pattern: the address in the spec that matches the object.
    :param key: its `results.key`; empty if it has none.
    :param when: the day of the run that reads it, or its local time in the spec's time zone; None: every run
        does.
    """

    spec: Spec
    model: str
    pattern: str
    key: str = ""
    when: date | datetime | None = None


def readers(specs: Iterable[Spec], uri: str) -> Iterator[SpecReader]:
    """Yield each spec that reads an object, with the date on which it does.

    Each template is rendered for the dates that the object's name may contain, so that a name which is no
    date matches no date.
    """
    for spec in specs:
        found = (_reader(spec, job, pattern, uri) for job in spec.jobs for pattern in job.inputs)
        if first := next(filter(None, found), None):
            yield first


def _reader(spec: Spec, job: JobSpec, pattern: str, uri: str) -> SpecReader | None:
    templates = "".join(TEMPLATE_PART.findall(pattern))
    key = (job.results and job.results.key) or ""
    today = datetime.now(ZoneInfo(spec.timezone)).date()
    if not _DATED.search(templates):
        is_read = _reads(spec, job, pattern, uri, moment_on(spec, today))
        return SpecReader(spec, job.model, pattern, key) if is_read else None
    days = [today, *_days_in(uri)]
    for day in days:
        if _reads(spec, job, pattern, uri, moment_on(spec, day)):
            return SpecReader(spec, job.model, pattern, key, day)
    if _WITH_TIME.search(templates):
        clocks = [time.fromisoformat(":".join(found.groups("00"))) for found in _TIME.finditer(uri)]
        whens = [datetime.combine(day, clock) for clock in dict.fromkeys(clocks) for day in days]
        for when in whens[:_MOST_TRIES]:
            if _reads(spec, job, pattern, uri, when.replace(tzinfo=ZoneInfo(spec.timezone))):
                return SpecReader(spec, job.model, pattern, key, when)
    return None


def _reads(spec: Spec, job: JobSpec, pattern: str, uri: str, moment: datetime) -> bool:
    return bool(names_like(render_pattern(spec, job, pattern, moment)).fullmatch(uri))


def _days_in(uri: str) -> list[date]:
    """The days that a name may contain, and those next to them, which other dates of the same run are."""
    found: dict[date, None] = {}
    for year, month, day in (match.groups() for match in _DAY.finditer(uri)):
        for number in (day, "01"):
            try:
                near = datetime(int(year), int(month), int(number or 1), tzinfo=UTC).date()
                found |= dict.fromkeys(near + timedelta(step) for step in (0, 1, -1))
            except (ValueError, OverflowError):  # not a day
                continue
    return list(found)[:_MOST_TRIES]
