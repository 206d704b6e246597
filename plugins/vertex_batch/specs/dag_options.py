"""How a spec's DAG appears in Airflow, and how much of it runs at the same time."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.budget import BudgetFields
from vertex_batch.specs.notify import Notice
from vertex_batch.specs.values import Duration, Line, once_each

Tag = Annotated[Line, StringConstraints(max_length=100)]


def _link(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+\S*|mailto:\S+", text):
        raise ValueError("is not a valid link: use `https://...` or `mailto:...`")
    return text


class DagFields(SpecModel):
    """The settings of all jobs of a spec together."""

    owner: Line = Field(default="airflow", examples=["search-team"])
    """The owner of the DAG."""
    owner_link: Annotated[Line, AfterValidator(_link)] | None = Field(
        default=None, examples=["https://chat.example.com/support", "mailto:support@example.com"]
    )
    """A link to the owner, shown with the name in the list of DAGs."""
    tags: Annotated[list[Tag], AfterValidator(once_each)] = Field(
        default_factory=list, max_length=20, examples=[["search", "nightly"]]
    )
    """Tags for filtering the list of DAGs."""
    max_active_runs: Annotated[int, Field(ge=1, le=100)] = 4
    """Most concurrent runs. A job may take four days; the next night does not wait for it."""
    budget: BudgetFields | None = Field(
        default=None, examples=[{"per_run": {"hold": 5, "refuse": 20}, "per_month": {"refuse": 300}}]
    )
    """Limits for the cost of all its jobs per run, day and month. Above a limit: warn, hold for approval, or
    refuse."""

    notify: list[Notice] = Field(default_factory=list, max_length=20, examples=[[{"on": ["failure"]}]])
    """Notifiers for a failed run, a late run, or a bill that is higher than expected."""
    expected_duration: Duration | None = Field(default=None, examples=["6h"])
    """Notify when a run takes longer than this, including queueing. The run continues."""
