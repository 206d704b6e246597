"""How a job's tasks behave: retries, waiting, and the connections that they use."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.values import ConnectionId, Duration, Line

_SHORTEST_POLL = timedelta(seconds=1)


class RunningFields(BaseModel):
    """How Airflow runs the job's tasks."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    retries: Annotated[int, Field(ge=0, le=20)] = Field(
        default=3,
        description=(
            "How often a failed task is retried. A retry resumes the job that was submitted. The waiting task"
            " has at least 2 retries; so has the submitting task if a budget may hold it."
        ),
    )
    retry_delay: Duration = Field(
        default=timedelta(minutes=1),
        description="Pause before the first retry; it doubles each time, up to 1 hour.",
    )
    poll_interval: Duration = Field(
        default=timedelta(minutes=1),
        description="Pause between polls of the job. Waiting does not occupy a worker.",
        examples=["30s", "5m"],
    )
    deadline: Duration = Field(
        default=timedelta(hours=97),
        description=(
            "Longest time from the job's creation to its end, after which it is cancelled. Vertex queues a"
            " job for up to 72 hours and runs it for up to 24."
        ),
        examples=["12h", "4d"],
    )
    queue_deadline: Duration | None = Field(
        default=None,
        description="Longest time from the job's creation to its start, after which it is cancelled.",
        examples=["6h", "2d"],
    )
    run_deadline: Duration | None = Field(
        default=None,
        description="Longest time from the job's start to its end, after which it is cancelled.",
        examples=["3h"],
    )
    resubmits: Annotated[int, Field(ge=0, le=5)] = Field(
        default=1,
        description=(
            "How often a job that failed for a transient reason (codes 4, 8, 13, 14) is submitted again, with"
            " its own bill. If rows had finished, the new job resumes the failed one: it runs only the rest."
        ),
    )
    preflight: Literal["strict", "warn", "off"] = Field(
        default="strict",
        description=(
            "Check the model, the locations and every row before a job is submitted. `strict` refuses a job"
            " if Vertex would not answer any row, `warn` only logs a warning, `off` reads nothing."
        ),
    )
    cancel_on_kill: bool = Field(
        default=True, description="Cancel the job when its task is killed or its run is marked as failed."
    )
    max_failed_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0,
        description=(
            "Fail the run if a larger share of the rows failed. Vertex reports a job as succeeded even if all"
            " its rows failed. A run without any answered row always fails."
        ),
        examples=[0.05],
    )
    pool: Line | None = Field(
        default=None,
        description=(
            "Airflow pool of the submit and wait tasks. The pool must exist and include deferred tasks; it"
            " then caps the number of concurrent jobs."
        ),
        examples=["vertex_batch"],
    )
    connection: ConnectionId = Field(
        default="litellm_default", description="Airflow connection of the LiteLLM proxy."
    )
    storage_connection: ConnectionId = Field(
        default="google_cloud_default", description="Airflow connection that reads inputs and outputs."
    )

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
