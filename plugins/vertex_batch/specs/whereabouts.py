"""Where the jobs of all specs are: the places in which somebody has to look for them."""

from __future__ import annotations

from pathlib import Path

from vertex_batch.specs.load import load_specs


def job_places(folder: Path, connection: str) -> set[tuple[str | None, str | None]]:
    """Collect the projects and locations that specs name; None stands for the connection's own.

    Broken specs are left out: they run no jobs.

    :param folder: where the specs lie.
    :param connection: only specs that go through this proxy are asked.
    """
    specs = load_specs(folder).specs.values()
    return {
        (job.project, job.location) for spec in specs for job in spec.jobs if job.connection == connection
    }
