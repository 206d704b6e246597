"""Where jobs are, and their names: how this package writes them, and a parser of how people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

from vertex_batch.errors import ConfigurationError

_ID = r"[a-z0-9][a-z0-9_-]{0,127}"
_LOCATION_ID = r"[a-z]+(?:-[a-z]+[0-9]+)?"
_PROJECT_ID = r"[a-z0-9][a-z0-9.:-]{0,62}"
_SHORT = re.compile(rf"({_PROJECT_ID})/({_LOCATION_ID})/({_ID})", re.IGNORECASE)
_JOB = re.compile(rf"/(?:batchPredictionJobs|batch-predictions)/({_ID})(?:[:/?#]|$)", re.IGNORECASE)
_LOCATION = re.compile(rf"/locations/({_LOCATION_ID})/", re.IGNORECASE)
_PROJECT = re.compile(rf"(?:/projects/|[?&]project=)({_PROJECT_ID})", re.IGNORECASE)


class Place(NamedTuple):
    """A project id as the proxy has it configured, and a location."""

    project: str
    location: str


class JobId(NamedTuple):
    """A batch prediction job: where it is, and the id that Vertex gave it.

    :param project: the project's id, as the proxy has it configured; not its number.
    """

    project: str
    location: str
    id: str

    def __str__(self) -> str:
        return f"{self.project}/{self.location}/{self.id}"

    @property
    def place(self) -> Place:
        return Place(self.project, self.location)

    @property
    def resource_name(self) -> str:
        """The job's resource name, with the project's id where Vertex writes its number."""
        return f"projects/{self.project}/locations/{self.location}/batchPredictionJobs/{self.id}"

    @property
    def console_url(self) -> str:
        project, location, job = (quote(part, safe="") for part in self)
        return (
            "https://console.cloud.google.com/vertex-ai/locations/"
            f"{location}/batch-predictions/{job}?project={project}"
        )


def short_model(name: str) -> str:
    """Shorten a model's name for a person: ``publishers/google/models/gemini-3.8-flash`` to its last part."""
    return name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class JobName:
    """A job as a person wrote it.

    :param project: None if the name has none, or only the project's number, which the proxy does not know.
    :param location: None if the name has none.
    """

    job_id: str
    project: str | None = None
    location: str | None = None

    def check_agrees(self, project: str | None, location: str | None, consequence: str) -> None:
        """Check that the name agrees with a project and location that were given separately.

        :param project: given explicitly, by an option or a form; None for a default.
        :param location: likewise.
        :param consequence: what did not happen, such as "Nothing was cancelled".
        :raises ConfigurationError: they differ; the message names both.
        """
        for what, said, named in (("project", project, self.project), ("location", location, self.location)):
            if said and named and said != named:
                raise ConfigurationError(
                    f"The {what} is given as {said!r}, but the name of job {self.job_id} has {named!r}."
                    f" {consequence}",
                    "leave one of them out",
                )

    def at(self, place: Place) -> JobId:
        """The job's full id; parts that the name leaves out are taken from the place."""
        return JobId(self.project or place.project, self.location or place.location, self.job_id)


def parse_job_name(text: str) -> JobName:
    """Parse an id, ``PROJECT/LOCATION/ID``, a resource name, or a URL of Google's console or API.

    >>> parse_job_name("projects/7/locations/us-central1/batchPredictionJobs/123")
    JobName(job_id='123', project=None, location='us-central1')
    >>> parse_job_name("my-project/us-central1/123")
    JobName(job_id='123', project='my-project', location='us-central1')

    :raises ConfigurationError: it is none of them.
    """
    name = unquote(text.strip()).strip("/")
    if re.fullmatch(_ID, name, re.IGNORECASE):
        return JobName(name)
    if short := _SHORT.fullmatch(name):
        return JobName(short[3], _project_id(short[1]), short[2])
    path = f"/{name}"
    job, location, project = _JOB.search(path), _LOCATION.search(path), _PROJECT.search(path)
    if job is None:
        raise ConfigurationError(
            f"{text[:200]!r} is not the name of a batch prediction job",
            "write its id, `PROJECT/LOCATION/ID`, its name `projects/P/locations/L/batchPredictionJobs/ID`,"
            " or the address of its page in the Google Cloud console",
        )
    return JobName(job[1], _project_id(project[1]) if project else None, location[1] if location else None)


def parse_job_names(texts: str | list[str] | None) -> list[JobName]:
    """Read several names; in one text, blanks or commas separate them.

    :raises ConfigurationError: one of them is not the name of a job.
    """
    parts = texts.replace(",", " ").split() if isinstance(texts, str) else texts or []
    return [parse_job_name(part) for part in parts]


def _project_id(text: str) -> str | None:
    return None if text.isdecimal() else text


def missing_of(project: str | None, location: str | None) -> str:
    """Name the missing parts of a place, for a message."""
    return " and ".join(name for name, value in (("project", project), ("location", location)) if not value)
