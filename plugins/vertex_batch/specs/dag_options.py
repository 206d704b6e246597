"""How a spec's DAG appears in Airflow, and how much of it runs at the same time."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from vertex_batch.specs.budget import BudgetFields
from vertex_batch.specs.notify import Notice
from vertex_batch.specs.values import Duration, Line

Tag = Annotated[Line, StringConstraints(max_length=100)]


def _link(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+\S*|mailto:\S+", text):
        raise ValueError("is no link: write `https://...` or `mailto:...`")
    return text


class DagFields(BaseModel):
    """What holds for all jobs of a spec together."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    owner: Line = Field(default="airflow", description="Who answers for the DAG.", examples=["search-team"])
    owner_link: Annotated[Line, AfterValidator(_link)] | None = Field(
        default=None,
        description="Where the owner is found: a link behind the name in the list of DAGs.",
        examples=["https://chat.example.com/support", "mailto:support@example.com"],
    )
    tags: Annotated[list[Tag], Field(max_length=20)] = Field(
        default_factory=list, description="Tags of the DAG, to filter by.", examples=[["search", "nightly"]]
    )
    max_active_runs: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4,
        description="Runs at the same time: a job may take four days, the next night does not wait for it.",
    )
    budget: BudgetFields | None = Field(
        default=None,
        description="What its jobs may cost together by run, day and month: warn, hold for approval, refuse.",
        examples=[{"per_run": {"hold": 5, "refuse": 20}, "per_month": {"refuse": 300}}],
    )

    notify: Annotated[list[Notice], Field(max_length=20)] = Field(
        default_factory=list,
        description="Who is told of a failed run, a late one, or a bill that is higher than expected.",
        examples=[[{"on": ["failure"]}]],
    )
    expected_duration: Duration | None = Field(
        default=None,
        description="A run that takes longer, queue and all, is told to `notify`, and goes on.",
        examples=["6h"],
    )

    @field_validator("tags")
    @classmethod
    def _once_each(cls, value: list[str]) -> list[str]:
        if twice := next((tag for tag in value if value.count(tag) > 1), None):
            raise ValueError(f"holds `{twice}` twice")
        return value
