"""Billing settings of a spec's jobs, for jobs that are not recorded by their own ``record_cost`` task."""

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
    """The billing settings of a job, as its ``record_cost`` task would have them.

    For the meaning of all parameters see `AggregateTokenUsageOperator`.
    """

    prices: Mapping[str, Any] | None = None
    price_folder: Path | None = None
    gcp_conn_id: str = "google_cloud_default"
    batch_costs_conn_id: str = "batch_costs"


SettingsOf = Callable[[str, str], BillSettings]
"""(the job's spec, the id of the task that submitted it; each empty if unknown) -> its billing settings."""


def bill_settings(folder: Path, spec_name: str, task_id: str) -> BillSettings:
    """Find the prices and connections with which a job is billed.

    A job whose spec no longer exists, or that has none, is billed with the settings for all specs.

    :param folder: the folder of the specs.
    :param spec_name: from the job's label; empty if it has none.
    :param task_id: of the task that submitted it; in a spec with several jobs it begins with the job's name.
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
    """The prices of all specs of a folder. An invalid spec is left out; its earlier prices are kept."""
    found = load_specs(folder)
    for error in found.errors:
        log.warning("Line items priced by this spec are kept unchanged: %s", error)
    return {
        (name, job.name if spec.grouped else ""): job.prices or None
        for name, spec in found.specs.items()
        for job in spec.jobs
    }
