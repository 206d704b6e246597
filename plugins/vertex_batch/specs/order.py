"""A job's name in its spec, and the jobs that it waits for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from vertex_batch.specs.values import NAME

JobName = Annotated[str, Field(pattern=f"^{NAME}$")]


class OrderFields(BaseModel):
    """A job among others. In a spec with one job, ``name`` is the spec's, and there are none to wait for."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: JobName = Field(description="The job's key below `jobs`.")
    asset: bool = Field(
        default=False,
        description=(
            "Announce the job's results as the Airflow asset `vertex_batch/SPEC`, or `vertex_batch/SPEC/JOB`"
            " in a spec with several jobs. Other DAGs and specs can be scheduled on it."
        ),
    )
    after: Annotated[list[JobName], Field(max_length=100)] = Field(
        default_factory=list,
        description="Jobs of this spec that must have results before this one is submitted.",
        examples=[["summaries"]],
    )
