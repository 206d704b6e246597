"""A job spec: one YAML file in ``include/jobs/``, one DAG, of one or several jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from vertex_batch.specs.dag_options import DagFields
from vertex_batch.specs.job import JobFields
from vertex_batch.specs.money import MoneyFields
from vertex_batch.specs.order import OrderFields
from vertex_batch.specs.problems import Problem
from vertex_batch.specs.running import RunningFields
from vertex_batch.specs.schedule import ScheduleFields
from vertex_batch.specs.splitting import SplitFields
from vertex_batch.specs.values import Name, Prose


class IdentityFields(BaseModel):
    """What the spec is called."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Name = Field(
        description="The DAG's id. Default: the file's name without its ending.",
        examples=["nightly_summaries"],
    )
    description: Prose = Field(
        default="",
        description="What it is for, shown in the list of DAGs.",
        examples=["Summarise the day's tickets"],
    )


# pydantic puts the fields of the last base first: a spec is read in the order of its concerns.
class JobSpec(MoneyFields, RunningFields, SplitFields, JobFields, OrderFields):
    """What one batch prediction job does, and who pays.

    Nothing is coerced: a text is not a number, and an unknown key is an error. Its keys stand at the top of
    the file, or below ``jobs`` where there are several; there, what stands at the top holds for all of them.
    """

    @property
    def job_labels(self) -> dict[str, str]:
        """The labels of each job: the spec's own, and who pays."""
        return {"team": self.team, **self.labels} if self.team else dict(self.labels)


class Spec(DagFields, ScheduleFields, IdentityFields):
    """One spec file: when its jobs run, and which they are."""

    _file: Path | None = PrivateAttr(default=None)
    _jobs: tuple[JobSpec, ...] = PrivateAttr(default=())
    _grouped: bool = PrivateAttr(default=False)
    _schedule_at: Problem | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file that the spec was read from."""
        return self._file

    def schedule_problem(self, message: str) -> Problem:
        """Place a problem that only Airflow finds in the schedule."""
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

    @property
    def outputs(self) -> list[str]:
        """What the results are called that other specs may wait for."""
        return [self.output_of(job) for job in self._jobs if job.asset]

    def output_of(self, job: JobSpec) -> str:
        """What the results of a job are called."""
        return f"{self.name}/{job.name}" if self._grouped else self.name

    @property
    def grouped(self) -> bool:
        """Whether the jobs stand below ``jobs``: then each has a group of tasks, even a single one."""
        return self._grouped
