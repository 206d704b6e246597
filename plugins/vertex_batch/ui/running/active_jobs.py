"""The jobs that run at Vertex now, read through the proxy with short timeouts and shared by all users."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from airflow.sdk.exceptions import AirflowException

from vertex_batch.errors import ApiError, VertexBatchError, scrub
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.identity import deployment_label
from vertex_batch.tasks.context import deployment
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import DEPLOYMENT_LABEL
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import HAS_NOT_ENDED, BatchPredictionJob

log = logging.getLogger(__name__)

FRESH_SECONDS = 8.0
ANSWER_SECONDS, CONNECT_SECONDS = 8.0, 2.0
MAX_JOBS = 500
MAX_ENDED = 1000


@dataclass(frozen=True, slots=True)
class ProxyPlace:
    """Where jobs run, and the connection of the proxy."""

    litellm_conn_id: str
    project: str
    location: str

    def __str__(self) -> str:
        return f"{self.project}/{self.location}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active jobs of a project and location.

    :param problem: why the last read failed, for the user; the jobs are then those of an earlier read.
    :param is_whole: whether all jobs were read, so that a missing job has ended.
    """

    jobs: tuple[BatchPredictionJob, ...] = ()
    read_at: datetime | None = None
    problem: str = ""
    is_whole: bool = False


def open_client(litellm_conn_id: str) -> BatchClient:
    """Open a client with short timeouts, because a user is waiting for the page."""
    return BatchClient(
        LiteLLMHook(litellm_conn_id).config().with_short_timeouts(ANSWER_SECONDS, CONNECT_SECONDS)
    )


class ActiveJobs:
    """Caches the jobs of each place for some seconds. Of several users, one reads and others wait."""

    def __init__(self) -> None:
        self._kept: dict[ProxyPlace, tuple[float, Snapshot]] = {}
        self._ended: dict[JobId, BatchPredictionJob] = {}
        self._locks: dict[ProxyPlace, threading.Lock] = {}
        self._guard = threading.Lock()

    def read(self, place: ProxyPlace) -> Snapshot:
        """List the active jobs of a place. It never raises; the page shows what is known and what is not."""
        with self._guard:
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            read_at, reading = self._kept.get(place, (None, Snapshot()))
            if read_at is None or time.monotonic() - read_at >= FRESH_SECONDS:
                reading = self._read_jobs(place, reading)
                self._kept[place] = (time.monotonic(), reading)
            return reading

    def read_ended(self, place: ProxyPlace, job_id: JobId) -> BatchPredictionJob | None:
        """Read a job that is not active any more; None if Vertex does not answer. What has ended is kept."""
        if job_id not in self._ended:
            try:
                with open_client(place.litellm_conn_id) as client:
                    job = client.get(*job_id)
            except (VertexBatchError, AirflowException) as error:
                log.warning("The cost pages cannot read job %s: %s", job_id, scrub(str(error)))
                return None
            if not job.state.is_terminal:
                return job
            if len(self._ended) >= MAX_ENDED:
                self._ended.clear()
            self._ended[job_id] = job
        return self._ended[job_id]

    def forget(self) -> None:
        """Read again next time, because a user has just changed something."""
        self._kept.clear()

    def _read_jobs(self, place: ProxyPlace, earlier: Snapshot) -> Snapshot:
        query = f'labels.{DEPLOYMENT_LABEL}="{deployment_label(deployment())}" AND {HAS_NOT_ENDED}'
        try:
            with open_client(place.litellm_conn_id) as client:
                found = tuple(islice(client.list(place.project, place.location, filter=query), MAX_JOBS))
        except (VertexBatchError, AirflowException) as error:
            log.warning("The cost pages cannot read the jobs in %s: %s", place, scrub(str(error)))
            return replace(earlier, problem=what_happened(error), is_whole=False)
        return Snapshot(found, datetime.now(UTC), is_whole=len(found) < MAX_JOBS)


def what_happened(error: Exception) -> str:
    """Say why Vertex could not be read, without the hosts, users and projects in the message."""
    if isinstance(error, ApiError):
        return error.what
    return "the connection to the proxy is not usable"
