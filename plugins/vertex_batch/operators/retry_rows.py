"""Find the rows of the round before that are sent again, and write them where a job can read them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from vertex_batch import results
from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.operators.base import StagingOperator
from vertex_batch.tasks.choices import is_dry_run, retried_run, skip_unless_chosen
from vertex_batch.tasks.context import find_place
from vertex_batch.tasks.delivery_order import check_delivery
from vertex_batch.tasks.outcome import explained
from vertex_batch.tasks.rounds import RoundJobs, RoundTasks, cancel_rounds, check_rows_are_free
from vertex_batch.vertex.labels import SAMPLE_LABEL

_PAID_XCOM = "paid_rows"
"""How many paid rows a round sends again, for the decision of the next one."""

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.storage import ObjectStorage


class PrepareRetryOperator(StagingOperator):
    """Write the rows of the round before that have no good answer, for one of some reasons, into a new input.

    Nothing is submitted here. The mapped submit task that follows submits the parts that this task returns,
    each with its own key, budget check and bill. On a usual night there are none.
    Rows with a good answer are never among them. If this task is cleared, it also reads what the jobs of its
    own round have answered since. In a run with the param ``retry_of``, round 1 sends rows of that earlier
    run again.

    :param round: from 1. Its rows are those of the jobs of the round before.
    :param rounds: the submit tasks of all rounds.
    :param reasons: ``transient``, ``truncated``, ``invalid``; see the spec's ``retry_rows``.
    :param answer: see `results.ResultSettings`.
    :param schema: a JSON Schema for the answers, or the path of a file with it.
    :param project: where jobs are submitted now. Defaults to the connection's; likewise for ``location``.
    :returns: the parts, each as a dict; empty if no row is sent again.
    """

    template_fields: Sequence[str] = ("model", "output_uri", "staging", "project", "location")
    ui_color = "#fef7e0"

    def __init__(
        self,
        *,
        round: int,  # noqa: A002 - the word for it
        rounds: RoundTasks,
        reasons: Sequence[str],
        answer: str = results.AnswerForm.TEXT,
        schema: Mapping[str, object] | str | None = None,
        project: str | None = None,
        location: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.location = location
        self.round = round
        self.rounds = rounds
        self.reasons = tuple(reasons)
        self.answer = results.AnswerForm(answer)
        self.schema = schema
        self._retry_of = ""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        with explained(context, self.log):
            skip_unless_chosen(context, self.job_name)
            if is_dry_run(context):
                raise AirflowSkipException(
                    "Dry run: nothing was submitted, so there are no rows to send again."
                )
            check_delivery(context, self.rounds.of(self.round))
            self._check_day(context, "Nothing was submitted")
            return [part.to_dict() for part in self._prepare(context)]

    def _prepare(self, context: Context) -> list[InputPart]:
        retried = retried_run(context)
        run_id = retried if self.round == 1 else None
        if retried or context["dag_run"].clear_number or context["ti"].max_tries > (self.retries or 0):
            group = self.rounds.first.removesuffix("submit")
            check_rows_are_free(context, retried or context["ti"].run_id, group)
        hook = LiteLLMHook(self.litellm_conn_id)
        place = find_place(hook, self.project, self.location, "Nothing was submitted")
        with hook.client() as client:
            # What they have answered is left out below, so they have to end first.
            cleared = self.rounds.retries[self.round - 1 :]
            cancel_rounds(context, client, place, cleared, self.log, confirm=True)
            chains = RoundJobs(context, client, self.rounds, place, run_id).chains(self.round - 1)
            self._retry_of = RoundJobs(context, client, self.rounds, place, retried).retry_of
        if not chains and run_id:
            raise ConfigurationError(
                f"Run {run_id} of this DAG has no job whose rows could be sent again. Nothing was submitted",
                "enter the id of the run as Airflow shows it, such as scheduled__2026-11-22T02:30:00+00:00",
            )
        if not chains:
            self.log.info("The round before submitted no job, so there are no rows to send again")
            return []
        with tempfile.TemporaryDirectory(prefix="vertex-batch-retry-") as folder:
            return self._collect(context, chains, Path(folder))

    def _collect(self, context: Context, chains: Sequence[results.JobChain], work: Path) -> list[InputPart]:
        storage = open_storage(self.gcp_conn_id)
        found = self._find(storage, chains, self.reasons, work)
        if self.round > 1 and not found.answered:
            self.log.warning(
                "Round %d brought no new answer, so no row is sent again. What still fails is an exception of"
                " the delivery",
                self.round - 1,
            )
            return []
        if futile := self._futile(context, found):
            reasons = [name for name in self.reasons if name not in futile]
            found = self._find(storage, chains, reasons, work / "others")
        context["ti"].xcom_push(_PAID_XCOM, found.sent_and_paid)
        found.report(self.log)
        with self._staging(context) as place:
            uris = results.stage_files(storage, found.files, place)
        rows = found.sent.total()
        return [
            InputPart(
                PartKind.RETRY,
                (uri,),
                number=number,
                of=len(uris),
                rows=file.rows,
                of_rows=rows,
                round=self.round,
                truncated=found.sent_and_paid.get("truncated", 0),
                retry_of=self._retry_of,
                of_sample=any(SAMPLE_LABEL in job.labels for chain in chains for job in chain.jobs),
            )
            for number, (uri, file) in enumerate(zip(uris, found.files, strict=True), 1)
        ]

    def _find(
        self, storage: ObjectStorage, chains: Sequence[results.JobChain], reasons: Sequence[str], work: Path
    ) -> results.RetrySelection:
        settings = results.ResultSettings(self.key or "", self.answer, results.read_schema(self.schema))
        collector = results.RetryCollector(storage, settings, reasons, self._limits, work=work, log=self.log)
        return collector.collect(chains)

    def _futile(self, context: Context, found: results.RetrySelection) -> list[str]:
        """The reasons for which no row is paid for again, because the round before did not help; logged."""
        if self.round == 1:
            return []
        before = self.rounds.of(self.round - 1).removesuffix("submit") + "prepare"
        sent = context["ti"].xcom_pull(task_ids=before, key=_PAID_XCOM) or {}
        again = found.sent_and_paid
        futile = results.futile_reasons(sent, again)
        for name in futile:
            self.log.warning(
                "Round %d sent %s %s rows again, and paid for them again, but %s are still %s. So no %s row"
                " is sent again in this round, and this costs nothing more. Change the prompt or"
                " `maxOutputTokens`, or remove `%s` from `retry_rows.reasons`",
                self.round - 1,
                f"{sent[name]:,}",
                name,
                f"{again[name]:,}",
                name,
                name,
                name,
            )
        return futile
