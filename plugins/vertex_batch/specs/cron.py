"""Cron expressions and presets, checked before any run."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from vertex_batch.specs.problems import did_you_mean

ONCE = "@once"
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", ONCE)
_CRON_FIELDS = 5
# croniter reads a lone R or H as a random or hashed time, so the schedule would change on every parse.
_RANDOM = re.compile(r"(?<![A-Za-z])[RH](?![A-Za-z])", re.IGNORECASE)
_ALIASES = {"@midnight": "@daily", "@annually": "@yearly"}


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
