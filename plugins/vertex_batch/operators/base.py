"""What operators share: the proxy, the retries, and the templates of spec DAGs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from vertex_batch.errors import StagingError, StorageAccessError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import DEFAULT_CONN_ID
from vertex_batch.inputs import JobLimits, StagingPlace, file_pattern, limits_for
from vertex_batch.tasks.choices import retried_run
from vertex_batch.tasks.context import check_retried_day, identity, overridden, with_run_dates
from vertex_batch.tasks.retry_policy import RETRY_POLICY

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context, RetryPolicy


class ProxyOperator(BaseOperator):
    """The base of operators that call the proxy.

    :param litellm_conn_id: the proxy.
    :param retry_policy: by default, permanent errors fail at once, and the server's Retry-After is respected.
    """

    def __init__(
        self,
        *,
        litellm_conn_id: str = LiteLLMHook.default_conn_name,
        retry_policy: RetryPolicy | None = RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        super().__init__(retry_policy=retry_policy, **kwargs)
        self.litellm_conn_id = litellm_conn_id


class SpecOperator(ProxyOperator):
    """The base of operators of spec DAGs: renders with the run's dates, and puts in what the form overrides.

    :param gcp_conn_id: the connection that reads and writes objects.
    :param overrides: field -> DAG param. If the param is set, its value replaces the field's. Never rendered.
    :param job_name: the job's name in a spec with several jobs; templates use it as ``job_name``. If the
        run's param ``jobs`` names other jobs only, the task is skipped.
    """

    def __init__(
        self,
        *,
        gcp_conn_id: str = DEFAULT_CONN_ID,
        overrides: Mapping[str, str] | None = None,
        job_name: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gcp_conn_id = gcp_conn_id
        self.overrides = overrides
        self.job_name = job_name

    def _do_render_template_fields(
        self,
        parent: object,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        """Render with the run's dates, whose names mean the same in every kind of run.

        Airflow calls this for every task, but `render_template_fields` only for tasks that are not mapped.
        """
        if parent is not self:  # a value inside a field
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        dated = with_run_dates(context, str(self.dag.timezone.name), self.job_name)
        super()._do_render_template_fields(parent, template_fields, dated, jinja_env, seen_oids)
        self._put_in(overridden(context.get("params") or {}, self.overrides or {}), context)

    def _put_in(self, chosen: Mapping[str, object], context: Context) -> None:  # noqa: ARG002 - for subclasses
        """Replace rendered fields by those that the run was triggered with."""
        for field, value in chosen.items():
            setattr(self, field, value)

    def _check_day(self, context: Context, consequence: str) -> None:
        """See that a run that sends rows of an earlier run again has the day of that run.

        :param consequence: what did not happen, such as "Nothing was submitted".
        :raises ConfigurationError: it has not, or its day is not known.
        """
        if retried_run(context):
            check_retried_day(context, str(self.dag.timezone.name), consequence)


class StagingOperator(SpecOperator):
    """The base of operators that write the input of jobs: shards, samples, or rows that are sent again.

    :param model: determines how many rows a job may read.
    :param output_uri: where the jobs write.
    :param staging: where the input is written. Defaults to ``_shards/`` below the output.
    :param key: where the id of a row is; see `results.ResultSettings`.
    :param max_rows: the most rows of a job. Defaults to the model's limit; likewise for ``max_bytes``.
    """

    def __init__(
        self,
        *,
        model: str,
        output_uri: str,
        staging: str | None = None,
        key: str | None = None,
        max_rows: int | None = None,
        max_bytes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.output_uri = output_uri
        self.staging = staging
        self.key = key
        self.max_rows = max_rows
        self.max_bytes = max_bytes

    @property
    def _limits(self) -> JobLimits:
        return limits_for(self.model, self.max_rows, self.max_bytes)

    @contextmanager
    def _staging(self, context: Context) -> Iterator[StagingPlace]:
        """The place where the input is written, with an explanation of a failure to write there.

        :raises StagingError: the connection may not write there.
        """
        place = StagingPlace.of(self.output_uri, self.staging, identity(context).task_key)
        try:
            yield place
        except StorageAccessError as error:
            if error.uri.startswith(place.folder):
                raise StagingError(place.prefix, self.gcp_conn_id, error.reason) from error
            raise


def patterns(inputs: str | list[str]) -> list[str]:
    """The URIs of an input, each as a pattern of files."""
    return [file_pattern(uri) for uri in ([inputs] if isinstance(inputs, str) else inputs)]
