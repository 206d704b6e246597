"""``vertex-batch reprice``: price recorded jobs anew, or only compare their bills with other prices."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli.cost import open_table
from vertex_batch.errors import ConfigurationError

if TYPE_CHECKING:
    from vertex_batch.costs import Total
    from vertex_batch.costs.repricing import Repriced


def run(options: Namespace) -> int:
    """Price the jobs of these days anew and print what changed."""
    if options.since > options.until:
        raise ConfigurationError(f"--since {options.since} is after --until {options.until}: no day is both")
    table = open_table(options)
    from vertex_batch.costs.repricing import reprice  # noqa: PLC0415 - it brings SQLAlchemy along
    from vertex_batch.pricing import PriceBook, packaged_prices, price_file  # noqa: PLC0415

    source = price_file(Path(options.prices)) if options.prices else packaged_prices()
    jobs = list(reprice(table, PriceBook([source]), options.since, options.until, dry_run=options.dry_run))
    text = json.dumps(_as_data(jobs, dry_run=options.dry_run), indent=2) if options.json else _as_text(jobs)
    sys.stdout.write(f"{text}\n")
    return 0


def _as_data(jobs: Sequence[Repriced], *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "jobs": [
            {
                "job": f"{job.project}/{job.location}/{job.job_id}",
                "before": _total(job.before),
                "after": _total(job.after),
                "changed": job.changed,
            }
            for job in jobs
        ],
    }


def _total(total: Total) -> dict[str, Any]:
    return {"amount_usd": total.text, "complete": total.complete}


def _as_text(jobs: Sequence[Repriced]) -> str:
    lines = [f"{j.project}/{j.location}/{j.job_id}: {j.before} -> {j.after}" for j in jobs if j.changed]
    from vertex_batch.costs import in_full  # noqa: PLC0415
    from vertex_batch.pricing import add  # noqa: PLC0415

    difference = in_full(add(job.after.amount - job.before.amount for job in jobs))
    return "\n".join([*lines, f"{len(lines)} of {len(jobs)} jobs differ, by {difference} USD"])
