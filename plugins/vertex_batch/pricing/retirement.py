"""When a model stops, and what comes after it.

`retirements.json` is written by hand from Google's pages, each entry with its source. The dates of LiteLLM's
price map (``deprecation_date``) come second, and are never final: it has dates on which models only closed to
new projects, and dates that Google has moved since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from vertex_batch.pricing.exact import read_packaged
from vertex_batch.pricing.snapshot import snapshot_entries
from vertex_batch.pricing.sources import is_vertex_entry
from vertex_batch.usage import canonical_model, is_tuned_model

WARN_DAYS = 90
"""How long before the earliest possible end of a model it is reported."""
LITELLM = "LiteLLM's price map"


class Stage(StrEnum):
    """Where a model is in its life on a day."""

    CURRENT = "current"
    """It has no known end, or one that is more than `WARN_DAYS` away and not final."""
    ENDING = "ending"
    """Its last day is announced, or may come soon."""
    DOUBTFUL = "doubtful"
    """A date that is not final has passed: whether it still answers is not known here."""
    RETIRED = "retired"
    """Requests are answered with 404."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """The end of a model.

    :param last_day: on which it answers; if it is not final, the earliest possible one.
    :param successors: what its vendor recommends instead.
    :param closed_to_new_projects: the day since which only projects that used it before have access.
    """

    model: str
    last_day: date
    is_final: bool
    source: str
    successors: tuple[str, ...] = ()
    closed_to_new_projects: date | None = None

    def stage(self, day: date) -> Stage:
        if day > self.last_day:
            return Stage.RETIRED if self.is_final else Stage.DOUBTFUL
        is_near = self.last_day - day <= timedelta(days=WARN_DAYS)
        return Stage.ENDING if self.is_final or is_near else Stage.CURRENT

    def describe(self, day: date) -> str:
        """What to know of it on a day; empty if it is current."""
        stage = self.stage(day)
        if stage is Stage.CURRENT:
            return ""
        says = {
            Stage.RETIRED: f"{self.model} was retired: its last day was {self.last_day}",
            Stage.DOUBTFUL: f"{self.model} may have been retired: {self.last_day} was its earliest last day",
            Stage.ENDING: (
                f"{self.model} stops: its last day is {self.last_day}"
                if self.is_final
                else f"{self.model} may stop soon: its earliest last day is {self.last_day}"
            ),
        }[stage]
        closed = self.closed_to_new_projects
        new = f". New projects have no access since {closed}" if closed and closed <= day else ""
        instead = f". Its successor is {' or '.join(self.successors)}" if self.successors else ""
        return f"{says} ({self.source}){new}{instead}"


def retirement_of(model: str, entries: Iterable[Mapping[str, object]] = ()) -> Retirement | None:
    """The end of a model, in any form of its name; None: none is known, which may be for want of a list.

    :param entries: what a proxy says of the model, with ``deprecation_date`` and ``successor_model``; it
        comes before the packaged map of LiteLLM.
    """
    name = canonical_model(model)
    if not name or is_tuned_model(name):
        return None
    if stated := _packaged().get(name):
        return stated
    found = (_of_entry(name, entry) for entry in entries)
    return next((each for each in found if each), None) or _of_packaged_map().get(name)


@cache
def _packaged() -> dict[str, Retirement]:
    return {
        model: Retirement(
            model,
            date.fromisoformat(entry["last_day"]),
            entry["is_final"],
            entry["source"],
            tuple(entry.get("successors", ())),
            _day(entry.get("closed_to_new_projects")),
        )
        for entry in read_packaged("retirements.json")["entries"]
        for model in entry["models"]
    }


@cache
def _of_packaged_map() -> dict[str, Retirement]:
    found: dict[str, Retirement] = {}
    for name, entry in snapshot_entries().items():
        stated = _of_entry(canonical_model(name), entry) if is_vertex_entry(name, entry) else None
        if stated:
            found.setdefault(stated.model, stated)
    return found


def _of_entry(model: str, entry: Mapping[str, object]) -> Retirement | None:
    day, successor = _day(entry.get("deprecation_date")), entry.get("successor_model")
    if day is None:
        return None
    names = (canonical_model(successor),) if isinstance(successor, str) and successor else ()
    return Retirement(model, day, is_final=False, source=LITELLM, successors=names)


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None
