"""What the operators of spec DAGs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from vertex_batch.tasks.context import overridden, with_run_dates

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context


class RunDatesOperator(BaseOperator):
    """Renders its fields with the run's dates, then puts in what the run was triggered with.

    :ivar job_name: the job of a spec with several jobs.
    :ivar overrides: field -> the param that overrides it.
    """

    job_name: str
    overrides: Mapping[str, str] | None

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render with the run's dates, whose names mean the same in every kind of run."""
        super().render_template_fields(
            with_run_dates(context, str(self.dag.timezone.name), self.job_name), jinja_env
        )
        for field, value in overridden(context.get("params") or {}, self.overrides or {}).items():
            setattr(self, field, value)
