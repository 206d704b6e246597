"""How the jobs of a spec are billed, where it is not their own ``record_cost`` that records them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertex_batch.billing.price_books import SpecJobPrices
from vertex_batch.specs import load_specs, prices_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BillSettings:
    """How a job is billed: what its ``record_cost`` task would have been given.

    :param prices: see `AggregateTokenUsageOperator`, as for all of them.
    """

    prices: Mapping[str, Any] | None = None
    price_folder: Path | None = None
    gcp_conn_id: str = "google_cloud_default"
    batch_costs_conn_id: str = "batch_costs"


SettingsOf = Callable[[str, str], BillSettings]
"""(the job's spec, the id of the task that submitted it; empty where not known) -> how it is billed."""


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


def spec_prices(folder: Path) -> SpecJobPrices:
    """The prices that the specs of a folder state. A broken spec is left out: what it priced stays."""
    found = load_specs(folder)
    for error in found.errors:
        log.warning("What this spec has priced stays as it is: %s", error)
    return {
        (name, job.name if spec.grouped else ""): job.prices or None
        for name, spec in found.specs.items()
        for job in spec.jobs
    }
