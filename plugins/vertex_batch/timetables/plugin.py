"""Registers the timetables with Airflow. The package's entry point names it, so every process has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class _Timetables:
    """Imports the classes when Airflow first needs one: a worker loads every plugin, and no timetable."""

    def __iter__(self) -> Iterator[type[Any]]:
        from vertex_batch.timetables.assets import (  # noqa: PLC0415
            DueRunsOrAssets,
            SerializedDueRunsOrAssets,
        )
        from vertex_batch.timetables.cron import DueRunsTimetable  # noqa: PLC0415

        return iter((DueRunsTimetable, DueRunsOrAssets, SerializedDueRunsOrAssets))


class TimetablesPlugin(AirflowPlugin):
    """The timetables of specs."""

    name = "vertex_batch_timetables"
    timetables: Any = _Timetables()
