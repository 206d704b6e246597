"""The identity of a submitting task, and the idempotency key that separates a retry from a new submission.

Vertex's create call has no idempotency key. A create that timed out, was reset or answered 500 may have
created a job, and sending it again would pay twice. So a key goes into the job's labels, and every attempt
looks for it first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from vertex_batch.vertex.labels import (
    DAG_LABEL,
    DEPLOYMENT_LABEL,
    GROUP_KEY_LABEL,
    IDEMPOTENCY_KEY_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MAP_INDEX_LABEL,
    REQUEST_LABEL,
    RUN_LABEL,
    TASK_KEY_LABEL,
    TASK_LABEL,
)
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import known_fields, label_value


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def deployment_label(deployment: str) -> str:
    """The same for all jobs of one Airflow deployment, so that it can list its own."""
    return _digest(deployment)


def may_be_shared(deployment: str) -> bool:
    """Whether another Airflow may have the same name: it is an address of its own machine, or none."""
    host = urlsplit(deployment).hostname if "://" in deployment else ""
    return not host or host == "localhost" or host.startswith("127.") or host == "::1"


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """The submitting task. The deployment is part of it, since two of them may share a Google project.

    :param deployment: a name for this Airflow deployment that no other has, such as its base URL.
    :param map_index: -1 for a task that is not mapped.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def group_key(self) -> str:
        """The same for all map indices of the task in this run."""
        return _digest(self.deployment, self.dag_id, self.run_id, self.task_id)

    @property
    def task_key(self) -> str:
        """The same for every job that this task, at this map index, ever submits in this run."""
        return _digest(self.deployment, self.dag_id, self.run_id, self.task_id, self.map_index)

    def idempotency_key(self, epoch: int) -> str:
        """The same for all of Airflow's automatic retries; a new one once a person clears the task.

        :param epoch: ``ti.max_tries``, which Airflow raises on every clear and on no retry.
        """
        return _digest(self.task_key, epoch)

    def labels(self, epoch: int, fingerprint: str) -> dict[str, str]:
        """The labels that find a job again and show a person which task submitted it."""
        mapped = {MAP_INDEX_LABEL: str(self.map_index)} if self.map_index >= 0 else {}
        return {
            MANAGED_BY_LABEL: MANAGED_BY,
            IDEMPOTENCY_KEY_LABEL: self.idempotency_key(epoch),
            TASK_KEY_LABEL: self.task_key,
            GROUP_KEY_LABEL: self.group_key,
            **mapped,
            REQUEST_LABEL: fingerprint,
            DEPLOYMENT_LABEL: deployment_label(self.deployment),
            DAG_LABEL: label_value(self.dag_id),
            RUN_LABEL: label_value(self.run_id),
            TASK_LABEL: label_value(self.task_id),
        }


def map_index_of(labels: Mapping[str, str]) -> int:
    """The map index of the task that submitted the job with these labels; -1 if it was not mapped."""
    index = labels.get(MAP_INDEX_LABEL, "")
    return int(index) if index.isdecimal() else -1


def attempt_key(key: str, attempt: int) -> str:
    """The key of the job that replaces one that failed for a transient reason.

    :param key: of the job that the submit task submitted, which is attempt 0.
    """
    return _digest(key, attempt) if attempt else key


@dataclass(frozen=True, slots=True)
class Intent:
    """The record in the task's state store: written before the POST, completed right after it.

    :param declared_at: when it was written, ISO 8601 in UTC.
    :param attempt: 0 for the submit task's job, then one more for each resubmission.
    :param job_id: None between the POST and its answer: a job may exist whose id is not stored.
    :param map_index: of the submit task, even if the waiting task resubmits for it.
    :param refused: every POST of it was surely refused, so no job of it exists or will appear.
    :param elsewhere: other projects and locations to which the task has submitted before it was changed.
    """

    epoch: int
    job_key: str
    fingerprint: str
    project: str
    location: str
    declared_at: str
    job_id: str | None = None
    attempt: int = 0
    map_index: int = -1
    refused: bool = False
    elsewhere: tuple[Place, ...] = ()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a job may exist whose id is not stored."""
        return not (self.job_id or self.refused)

    @property
    def place(self) -> Place:
        return Place(self.project, self.location)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "elsewhere": [list(place) for place in self.elsewhere]}

    def with_job(self, job_id: str) -> Intent:
        return replace(self, job_id=job_id)

    def following(self, earlier: Intent | None) -> Intent:
        """The same, with the places of an earlier intent of the task."""
        places = dict.fromkeys((*earlier.elsewhere, earlier.place)) if earlier else ()
        return replace(self, elsewhere=tuple(place for place in places if place != self.place))

    @classmethod
    def from_dict(cls, data: object) -> Intent | None:
        """Read a stored intent; None if nothing is stored or it is not an intent.

        Keys of a newer version are ignored: a worker of that version may have crashed after its POST.
        """
        if not isinstance(data, dict):
            return None
        try:
            elsewhere = tuple(Place(*place) for place in data.get("elsewhere", ()))
            return cls(**{**known_fields(cls, data), "elsewhere": elsewhere})
        except TypeError:
            return None
