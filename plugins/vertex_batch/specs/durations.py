"""Durations as people write them: ``30s``, ``10m``, ``1h30m``, ``4d``, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=365)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION_PATTERN = r"^(?=\d)(?:\d{1,6}w)?(?:\d{1,6}d)?(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?$"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_PART = re.compile(r"(\d+)([wdhms])", re.ASCII)


def parse_duration(value: str | int) -> timedelta:
    """Read a duration.

    :raises ValueError: the text is not a valid duration, or longer than a year.
    """
    if isinstance(value, int):
        if not 0 <= value <= LONGEST.total_seconds():
            raise ValueError(f"{value} seconds is not between 0 and 365 days")
        return timedelta(seconds=value)
    text = value.replace(" ", "")
    if not _DURATION.match(text) or not _PART.search(text):
        raise ValueError("is not a valid duration, such as `30s`, `10m`, `1h30m` or `4d`")
    duration = timedelta(**{_UNITS[unit]: int(number) for number, unit in _PART.findall(text)})
    if duration > LONGEST:
        raise ValueError(f"{text} is longer than 365 days")
    return duration


def show_duration(duration: timedelta) -> str:
    """Write a duration so that `parse_duration` reads the same."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
