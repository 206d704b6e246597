"""How the jobs of a spec are billed, for whoever records them in place of their own ``record_cost``."""

from __future__ import annotations

from pathlib import Path

from vertex_batch.operators.unbilled import BillSettings
from vertex_batch.specs.load import load_specs, prices_folder


def bill_settings(folder: Path, spec_name: str, task_id: str) -> BillSettings:
    """Say with which prices and connections a job is billed.

    A job of a spec that is gone, or of none, is billed by what holds for all specs.

    :param folder: where the specs lie.
    :param spec_name: as the job's label says it; empty where it has none.
    :param task_id: of the task that submitted it; of several jobs of a spec, it begins with the job's name.
    """
    spec = load_specs(folder, only=spec_name).specs.get(spec_name) if spec_name else None
    name = task_id.partition(".")[0]
    jobs = spec.jobs if spec else ()
    job = next((each for each in jobs if len(jobs) == 1 or each.name == name), None)
    if job is None:
        return BillSettings(price_folder=prices_folder(folder))
    return BillSettings(
        job.prices or None, prices_folder(folder), job.storage_connection, job.cost_connection
    )
