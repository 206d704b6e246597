"""Builds an Airflow DAG from a spec."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG, Asset, AssetAll, AssetAny, CronTriggerTimetable, conf

from vertex_batch.dag_factory.form import form
from vertex_batch.dag_factory.notices import on_failure, on_late
from vertex_batch.dag_factory.page import page
from vertex_batch.dag_factory.tasks import add_jobs
from vertex_batch.errors import PermanentError
from vertex_batch.specs.events import ASSET_PREFIX, ONCE
from vertex_batch.specs.load import SpecSet
from vertex_batch.specs.model import Spec
from vertex_batch.specs.problems import Problem, SpecError
from vertex_batch.timetables.cron import DueRunsTimetable

if TYPE_CHECKING:
    from airflow.sdk.definitions.asset import BaseAsset

TAG = "vertex-batch"


class TimetableError(PermanentError):
    """The timetable that a spec names cannot be used."""


def build_dag(spec: Spec, prices_folder: Path | None = None, budgets_file: Path | None = None) -> DAG:
    """Build the DAG of one spec.

    :param prices_folder: folder with the price files for all specs.
    :param budgets_file: the file with the limits of teams.
    """
    dag = DAG(
        dag_id=spec.name,
        description=spec.description.strip().partition("\n")[0] or None,
        doc_md=page(spec),
        schedule=_timetable(spec),
        start_date=spec.start_date,
        end_date=spec.end_date,
        catchup=spec.catchup,
        max_active_runs=spec.max_active_runs,
        tags=[TAG, *spec.tags],
        owner_links={spec.owner: spec.owner_link} if spec.owner_link else {},
        on_failure_callback=list(on_failure(spec)) or None,
        deadline=on_late(spec) or None,
        **_airflows_defaults(),
        auto_register=False,  # the DAG file registers it
        default_args={"owner": spec.owner},
    )
    # Airflow takes the zone from the start date, which a spec may lack. The template dates use this zone.
    dag.timezone = pendulum.timezone(spec.timezone)
    with dag:
        add_jobs(dag, spec, prices_folder, budgets_file)
    # Last, and key by key: otherwise each task would copy the params, and Airflow would validate the
    # defaults, which takes longer than all the rest. A test checks that they are valid.
    dag.params.update(form(spec))
    return dag


def build_dags(
    found: SpecSet, prices_folder: Path | None = None, budgets_file: Path | None = None
) -> list[DAG]:
    """Build the DAG of every valid spec. A DAG that Airflow refuses becomes one of the set's errors.

    Every spec that loads should give a DAG. If one does not, the others are not affected.
    """
    dags = []
    for spec in found.specs.values():
        try:
            dags.append(build_dag(spec, prices_folder, budgets_file))
        except TimetableError as error:
            found.errors.append(SpecError(str(spec.file), [spec.schedule_problem(str(error))]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the other specs
            message = f"Airflow rejects the DAG of this spec: {type(error).__name__}: {error}"
            found.errors.append(SpecError(str(spec.file), [Problem(1, 1, "", message)]))
    return dags


@cache
def _airflows_defaults() -> dict[str, Any]:
    """Settings that Airflow would otherwise read from its configuration again for each DAG."""
    return {
        "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
        "max_consecutive_failed_dag_runs": conf.getint("core", "max_consecutive_failed_dag_runs_per_dag"),
        "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
    }


def _timetable(spec: Spec) -> Any:
    said = spec.schedule
    if said is None or said == ONCE:
        return said
    if isinstance(said, str):
        return _timed(spec, said)
    if said.timetable:
        return _own_timetable(said.timetable, said.arguments)
    assets = [_asset(name) for name in said.assets]
    arrived = AssetAll(*assets) if said.when == "all" else AssetAny(*assets)
    if said.cron and assets:
        from vertex_batch.timetables.assets import DueRunsOrAssets  # noqa: PLC0415 - slow, and few specs need it

        return DueRunsOrAssets(assets=arrived, timetable=_timed(spec, said.cron))
    return arrived if assets else _timed(spec, str(said.cron))


def _timed(spec: Spec, cron: str) -> Any:
    """A run at each of these times; with ``catchup: true`` also for all past times."""
    if spec.catchup:
        return CronTriggerTimetable(cron, timezone=spec.timezone)
    return DueRunsTimetable(
        cron,
        timezone=spec.timezone,
        start_within=spec.start_within,
        max_active_runs=spec.max_active_runs,
        dag_id=spec.name,
    )


def _asset(name: str) -> BaseAsset:
    # A reference to any asset with this URI. The output of another spec is completely known.
    return Asset.ref(uri=name) if "://" in name else Asset(f"{ASSET_PREFIX}{name}")


def _own_timetable(path: str, arguments: Mapping[str, object]) -> Any:
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    # A spec may choose a timetable, and call nothing else that is installed. Its module is imported.
    bases = {base.__name__ for base in found.__mro__} if isinstance(found, type) else set[str]()
    if not bases & {"BaseTimetable", "Timetable"}:
        raise TimetableError(f"`{path}` is not an Airflow timetable")
    try:
        made = found(**arguments)
    except Exception as error:
        raise TimetableError(f"`{name}` cannot be created with these arguments: {error}") from error
    if not path.startswith("airflow."):
        from airflow.plugins_manager import get_timetables_plugins  # noqa: PLC0415 - hardly ever needed

        if path not in get_timetables_plugins():
            # Airflow would refuse to serialize it, and with it every DAG of the same file.
            raise TimetableError(f"no Airflow plugin registers `{path}` in its `timetables`")
    return made
