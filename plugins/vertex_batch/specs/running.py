"""How a job's tasks behave: retries, waiting, and the connections that they use."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.values import ConnectionId, Duration, Line

_SHORTEST_POLL = timedelta(seconds=1)


class RunningFields(SpecModel):
    """How Airflow runs the job's tasks."""

    retries: Annotated[int, Field(ge=0, le=20)] = 3
    """How often a failed task is retried. A retry resumes the job that was submitted. The waiting task has at
    least 2 retries; so has the submitting task if a budget may hold it."""
    retry_delay: Duration = timedelta(minutes=1)
    """Pause before the first retry; it doubles each time, up to 1 hour."""
    poll_interval: Duration = Field(default=timedelta(minutes=1), examples=["30s", "5m"])
    """Pause between polls of the job. Waiting does not occupy a worker."""
    deadline: Duration = Field(default=timedelta(hours=97), examples=["12h", "4d"])
    """Longest time from the job's creation to its end, after which it is cancelled. Vertex queues a job for
    up to 72 hours and runs it for up to 24."""
    queue_deadline: Duration | None = Field(default=None, examples=["6h", "2d"])
    """Longest time from the job's creation to its start, after which it is cancelled."""
    run_deadline: Duration | None = Field(default=None, examples=["3h"])
    """Longest time from the job's start to its end, after which it is cancelled."""
    resubmits: Annotated[int, Field(ge=0, le=5)] = 1
    """How often a job that failed for a transient reason (codes 4, 8, 13, 14) is submitted again, with its
    own bill. If rows had finished, the new job resumes the failed one: it runs only the rest."""
    preflight: Literal["strict", "warn", "off"] = "strict"
    """Check the model, the locations and every row before a job is submitted. `strict` refuses a job if
    Vertex would answer no row, or too many fail for certain, `warn` only logs a warning, `off` reads
    nothing."""
    cancel_on_kill: bool = True
    """Cancel the job when its task is killed or its run is marked as failed."""
    max_failed_ratio: float = Field(default=1.0, ge=0, le=1, examples=[0.05])
    """Fail the run if a larger share of the rows failed. Vertex reports a job as succeeded even if all its
    rows failed. A run without any answered row always fails."""
    pool: Line | None = Field(default=None, examples=["vertex_batch"])
    """Airflow pool of the submit and wait tasks. The pool must exist and include deferred tasks; it then caps
    the number of concurrent jobs."""
    connection: ConnectionId = "litellm_default"
    """Airflow connection of the LiteLLM proxy."""
    storage_connection: ConnectionId = "google_cloud_default"
    """Airflow connection that reads inputs and outputs."""

    @field_validator("poll_interval")
    @classmethod
    def _not_a_flood(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST_POLL:
            raise ValueError(
                f"must be at least {show_duration(_SHORTEST_POLL)}, because the proxy counts each request"
            )
        return value

    @field_validator("deadline")
    @classmethod
    def _time_for_a_poll(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        poll = info.data.get("poll_interval")
        if poll and value <= poll:
            raise ValueError(
                f"({show_duration(value)}) must be longer than poll_interval ({show_duration(poll)}),"
                " or the job is cancelled before its first poll"
            )
        return value
