"""How people name a job: by its id, by its resource name, or by the address of its page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from vertex_batch.errors import ConfigurationError

_ID = r"[a-z0-9][a-z0-9_-]{0,127}"
_JOB = re.compile(rf"/(?:batchPredictionJobs|batch-predictions)/({_ID})(?:[:/?#]|$)", re.IGNORECASE)
_LOCATION = re.compile(r"/locations/([a-z]+(?:-[a-z]+[0-9]+)?)/", re.IGNORECASE)
_PROJECT = re.compile(r"(?:/projects/|[?&]project=)([a-z0-9][a-z0-9.:-]{0,62})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JobName:
    """A job as somebody named it.

    :param project: None where the name has none, or only the project's number, which the proxy does not know.
    :param location: None where the name has none.
    """

    job_id: str
    project: str | None = None
    location: str | None = None


def parse_job_name(text: str) -> JobName:
    """Read an id, a resource name, or the address of a job in the Google Cloud console or in the API.

    >>> parse_job_name("projects/7/locations/us-central1/batchPredictionJobs/123")
    JobName(job_id='123', project=None, location='us-central1')

    :raises ConfigurationError: it is none of them.
    """
    name = unquote(text.strip())
    if re.fullmatch(_ID, name, re.IGNORECASE):
        return JobName(name)
    path = f"/{name}"
    job, location, project = _JOB.search(path), _LOCATION.search(path), _PROJECT.search(path)
    if job is None:
        raise ConfigurationError(
            f"{text[:200]!r} names no batch prediction job",
            "write its id, its name `projects/P/locations/L/batchPredictionJobs/ID`, or the address of its"
            " page in the Google Cloud console",
        )
    is_id = project is not None and not project[1].isdecimal()
    return JobName(job[1], project[1] if project and is_id else None, location[1] if location else None)
