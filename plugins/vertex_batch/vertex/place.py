"""Where jobs are: a project and a location."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A project id as the proxy has it configured, and a location."""

    project: str
    location: str


def missing_of(project: str | None, location: str | None) -> str:
    """Name the missing parts of a place, for a message."""
    return " and ".join(name for name, value in (("project", project), ("location", location)) if not value)
