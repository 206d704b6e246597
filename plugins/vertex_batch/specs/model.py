"""A job spec: one YAML file in ``include/jobs/`` is one DAG with one or several jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.dag_options import DagFields
from vertex_batch.specs.job_fields import JobFields
from vertex_batch.specs.money import MoneyFields
from vertex_batch.specs.problems import Problem
from vertex_batch.specs.results import DeliveryFields
from vertex_batch.specs.retrying import ROUNDS, RetryFields
from vertex_batch.specs.running import RunningFields
from vertex_batch.specs.schedule import ScheduleFields
from vertex_batch.specs.splitting import SplitFields
from vertex_batch.specs.values import NAME, Name, Prose

JobName = Annotated[str, Field(pattern=f"^{NAME}$")]


class OrderFields(SpecModel):
    """A job among others. In a spec with one job, ``name`` is the spec's, and there are none to wait for."""

    name: JobName
    """The job's key below `jobs`."""
    asset: bool = False
    """Announce the job's results as the Airflow asset `vertex_batch/SPEC`, or `vertex_batch/SPEC/JOB` in a
    spec with several jobs. Other DAGs and specs can be scheduled on it."""
    after: list[JobName] = Field(default_factory=list, max_length=100, examples=[["summaries"]])
    """Jobs of this spec that must have results before this one is submitted."""


class IdentityFields(SpecModel):
    """The spec's name and description."""

    name: Name = Field(examples=["nightly_summaries"])
    """The DAG's id. Default: the file's name without its ending."""
    description: Prose = Field(default="", examples=["Summarize the day's tickets"])
    """The DAG's description, shown in the list of DAGs."""


# pydantic puts the fields of the last base first: a spec is read in the order of its concerns.
class JobSpec(MoneyFields, RetryFields, RunningFields, DeliveryFields, SplitFields, JobFields, OrderFields):
    """What one batch prediction job does, and who pays.

    Nothing is coerced: a string is not a number, and an unknown key is an error. The keys are at the top of
    the file, or below ``jobs`` if there are several jobs. In that case, keys at the top apply to all of them.
    """

    @property
    def job_labels(self) -> dict[str, str]:
        """The labels of each job: the spec's own, and the team."""
        return {"team": self.team, **self.labels} if self.team else dict(self.labels)

    @property
    def failure_limits(self) -> dict[str, float]:
        """The largest shares of rows without a good answer with which a run does not fail, by key."""
        limits = {"max_failed_ratio": self.max_failed_ratio}
        if self.results:
            limits["results.max_exceptions_ratio"] = self.results.max_exceptions_ratio
        return {name: limit for name, limit in limits.items() if limit < 1}

    @property
    def how_to_retry_rows(self) -> str:
        """What a person does to a spec without `retry_rows`, so that its rows can be sent again."""
        if any(uri.startswith("bq://") for uri in self.inputs):
            return f"change its inputs from BigQuery to files, and add `{ROUNDS}` and `results` to the spec"
        fields = f"`{ROUNDS}`" if self.results else f"`{ROUNDS}` and `results`"
        limit = " in place of `max_failed_ratio`" if self.max_failed_ratio < 1 else ""
        return f"add {fields} to the spec{limit}"


class Spec(DagFields, ScheduleFields, IdentityFields):
    """One spec file: its jobs, and when they run."""

    _file: Path | None = PrivateAttr(default=None)
    _jobs: tuple[JobSpec, ...] = PrivateAttr(default=())
    _grouped: bool = PrivateAttr(default=False)
    _schedule_at: Problem | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        return self._file

    def schedule_problem(self, message: str) -> Problem:
        """Locate a problem of the schedule that only Airflow finds."""
        at = self._schedule_at or Problem(1, 1, "schedule", "")
        return replace(at, message=message)

    @property
    def jobs(self) -> tuple[JobSpec, ...]:
        """The jobs of each run, in the order of the file."""
        return self._jobs

    @property
    def job(self) -> JobSpec:
        """The first job, which is the only one of most specs."""
        return self._jobs[0]

    def with_jobs(self, jobs: Iterable[JobSpec]) -> Spec:
        """A copy whose jobs are replaced."""
        copy = self.model_copy()
        copy._jobs = tuple(jobs)  # noqa: SLF001 - its own class
        return copy

    @property
    def outputs(self) -> list[str]:
        """The names of the results that other specs may wait for."""
        return [self.output_of(job) for job in self._jobs if job.asset]

    def output_of(self, job: JobSpec) -> str:
        return f"{self.name}/{job.name}" if self._grouped else self.name

    def is_followed(self, job: JobSpec) -> bool:
        """Whether tasks that start later decide about the run, which Airflow skips if a person marks it."""
        has_rounds = bool(job.retry_rows and job.results)
        return job.asset or has_rounds or any(job.name in other.after for other in self._jobs)

    @property
    def grouped(self) -> bool:
        """Whether the jobs are below ``jobs``. If so, each has a task group, even a single one."""
        return self._grouped
