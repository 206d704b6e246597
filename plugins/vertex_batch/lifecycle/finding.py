"""Find the jobs of a task by their labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vertex_batch.lifecycle.identity import Intent
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import GROUP_KEY_LABEL, IDEMPOTENCY_KEY_LABEL, TASK_KEY_LABEL
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import BatchPredictionJob


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """How long to search for a job before a second POST.

    :param window_seconds: how long after a lost answer a job may still appear in the list. It must cover the
        proxy's own time-out, since the proxy completes a POST whose client has disconnected.
    :param interval_seconds: pause between two searches.
    :param creates: the most POSTs that one attempt may send.
    """

    window_seconds: float = 180.0
    interval_seconds: float = 5.0
    creates: int = 4


def find_jobs(client: BatchClient, place: Place, task_key: str) -> list[BatchPredictionJob]:
    """List every job that a task has submitted in its run, of all epochs, newest first."""
    return list(client.list(*place, filter=f'labels.{TASK_KEY_LABEL}="{task_key}"'))


def find_group_jobs(client: BatchClient, place: Place, group_key: str) -> list[BatchPredictionJob]:
    """List every job that the map indices of a task have submitted in their run, newest first."""
    return list(client.list(*place, filter=f'labels.{GROUP_KEY_LABEL}="{group_key}"'))


def find_jobs_by_key(client: BatchClient, place: Place, key: str) -> list[BatchPredictionJob]:
    """List the jobs with one key: none if the list does not show it yet, and hardly ever more than one."""
    return list(client.list(*place, filter=f'labels.{IDEMPOTENCY_KEY_LABEL}="{key}"'))


def look_for_lost_job(
    client: BatchClient,
    intent: Intent,
    policy: LookPolicy,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BatchPredictionJob | None:
    """Search for a job whose submitter crashed around its POST, until the list would have shown it."""
    until = datetime.fromisoformat(intent.declared_at) + timedelta(seconds=policy.window_seconds)
    while True:
        looked_at = now()
        found = find_jobs_by_key(client, intent.place, intent.job_key)
        if found:
            return found[0]
        if looked_at >= until:
            return None
        sleep(policy.interval_seconds)
