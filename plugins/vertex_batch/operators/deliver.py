"""Deliver the answers of a run: joined to their inputs, in order, with the exceptions beside them."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vertex_batch import results
from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.costs import CostTableError, Delivery
from vertex_batch.costs.deliveries import UnansweredRows, answers_stay
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.observability.links import DeliveryLink, storage_url
from vertex_batch.operators.base import SpecOperator, patterns
from vertex_batch.tasks.choices import retried_run
from vertex_batch.tasks.context import map_index, overridden
from vertex_batch.tasks.outcome import explained, failed_tasks, log_sentences, note
from vertex_batch.tasks.run_bills import RecordedRun, RunBills
from vertex_batch.tasks.shards import PartsReport
from vertex_batch.vertex.labels import RETRY_LABEL
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import JobState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.costs import Bill, CostTable, Total

SAMPLES = "_samples"


class DeliverResultsOperator(SpecOperator):
    """Write a run's answers to a file, each joined to its input row, in the order of the input.

    A second file beside it has the input rows without a good answer, each with the reason; always: input rows
    = delivered + exceptions. A manifest is written last, then the numbers into the cost table. Delivering
    twice changes nothing, and costs nothing. A better delivery of another run is not replaced: this one is
    then put beside it, under a name with the run. One of another input is moved; see `results.placing`.
    What the rows cost adds up to the bill of their jobs, which have to be recorded before.

    :param to: the URI of the file. Its ending is the format: ``.parquet``, ``.jsonl``, ``.jsonl.gz`` or
        ``.csv``.
    :param inputs: the URIs that the run's jobs were submitted for. Default: those of the jobs.
    :param record_task_id: the task of this run that recorded the bills of the jobs.
    :param retry_record_task_ids: those that recorded the bills of the rounds of retries, in order.
    :param plan_task_id: the task that planned the input; see `AggregateTokenUsageOperator`.
    :param key: where the id of a row is; see `results.ResultSettings`. Likewise for `answer` and `keep`.
    :param schema: a JSON Schema for the answers, or the path of a file with it.
    :param max_exceptions_ratio: fail the task, after the delivery is written, if a larger share of the input
        rows has no good answer. If no row has one, the task always fails.
    :param prices: see `AggregateTokenUsageOperator`; likewise for `price_folder`.
    :param work_folder: a folder on a local disk with room for the rows. Default: the system's folder for
        temporary files.
    :returns: the files, and the numbers: `input_rows`, `delivered`, `exceptions`, and more.
    :raises AirflowSkipException: no job was recorded.
    :raises CostTableUnavailableError: the database does not answer; the message says whether the delivery is
        complete. A retry may succeed.
    """

    template_fields: Sequence[str] = (
        "to",
        "run_date",
        "inputs",
        "litellm_conn_id",
        "gcp_conn_id",
        "batch_costs_conn_id",
    )
    operator_extra_links = (DeliveryLink(),)
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        to: str,
        record_task_id: str,
        inputs: str | list[str] | None = None,
        retry_record_task_ids: Sequence[str] = (),
        plan_task_id: str | None = None,
        key: str | None = None,
        answer: str = results.AnswerForm.TEXT,
        schema: Mapping[str, object] | str | None = None,
        keep: Sequence[str] = (),
        max_exceptions_ratio: float = 1.0,
        prices: Mapping[str, Any] | None = None,
        price_folder: str | None = None,
        work_folder: str | None = None,
        batch_costs_conn_id: str = CostTableHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.run_date = "{{ run_date }}"
        self.inputs = inputs
        self.record_task_id = record_task_id
        self.retry_record_task_ids = tuple(retry_record_task_ids)
        self.plan_task_id = plan_task_id
        self.key = key
        self.answer = results.AnswerForm(answer)
        self.schema = schema
        self.keep = tuple(keep)
        self.max_exceptions_ratio = max_exceptions_ratio
        self.prices = prices
        self.price_folder = price_folder
        self.work_folder = work_folder
        self.batch_costs_conn_id = batch_costs_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        with explained(context, self.log):
            self._check_bills(context["ti"])
            self._check_day(context, "Nothing was delivered")
            table = CostTableHook(self.batch_costs_conn_id).table()
            recorded = RecordedRun(context, table, self.record_task_id, self.retry_record_task_ids)
            run = recorded.find(PartsReport(context["ti"], self.plan_task_id, self.log))
            if run is None:
                raise AirflowSkipException("No job of this run has a bill, so there is nothing to deliver.")
            self._check_sent(context, run)
            written, bad, notable = self._deliver(context, run)
            self._record(context, table, run, written)
            self.delivery_url = storage_url(written.place.answers, is_file=True)
            beside = _beside(written, self._place(run), self.task_id)
            # What becomes of a better delivery may change: the page of the run says it as it is then.
            if stays := _stays(written, self._place(run), self.job_name):
                log_sentences(self.log.warning, stays)
            if bad:
                where = shlex.join(["vertex-batch", "get", written.place.exceptions, "."])
                self.log.error("Every row with its reason: `%s`", where)
                # The page shows where the answers are now. What is at an address may be moved later.
                if beside:
                    self.log.warning("%s", beside)
                raise AirflowFailException(f"{bad} {notable}".rstrip())
            if notes := " ".join(filter(None, (beside, notable))):
                note(context, self.log, notes)
        return {
            "to": written.place.answers,
            "exceptions_file": written.place.exceptions,
            "manifest": written.place.manifest,
            **{name: value for name, value in written.manifest.items() if name not in ("version", "files")},
            **(
                {
                    "kept_run": written.kept.run_id,
                    "kept_answers": written.kept.delivered,
                    "kept_exceptions": written.kept.exceptions,
                }
                if written.kept
                else {}
            ),
        }

    def _deliver(self, context: Context, run: RunBills) -> tuple[results.DeliveryOutcome, str | None, str]:
        """Write the delivery; return it, why the run is bad, and what a person may want to act on."""
        storage = open_storage(self.gcp_conn_id)
        settings = results.ResultSettings(
            self.key or "", self.answer, results.read_schema(self.schema), self.keep
        )
        with (
            results.of_paid_answers("Then run this again."),
            tempfile.TemporaryDirectory(prefix="results-", dir=self.work_folder) as folder,
            results.join(
                self._inputs(run),
                run.outputs,
                settings,
                store=storage,
                work=Path(folder) / "join",
                prices=self._prices(run.delivered),
                jobs=[bill.job for bill in run.delivered if RETRY_LABEL not in bill.job.labels],
                counted=run.counted_rows,
            ) as joined,
        ):
            facts = {**self._facts(context, run), **results.bill_facts(run.delivered, run.bills)}
            written = results.deliver(joined, self._place(run), storage, facts)
            self._report(written, joined.counts, results.total_of(run.delivered))
            was_cancelled = all(bill.job.state == JobState.CANCELLED for bill in run.delivered)
            reasons: Counter[str] = Counter()
            for bill in run.delivered:
                reasons.update(bill.failed_reasons)
            bad = results.why_bad(
                joined.counts,
                self.max_exceptions_ratio,
                main_reason=results.main_reason(reasons, joined.counts.exception_rows),
                was_cancelled=was_cancelled,
            )
            notes = ["" if bad else results.without_keys(joined.counts), results.later_objects(joined.counts)]
            return written, bad, " ".join(filter(None, notes))

    def _prices(self, bills: Sequence[Bill]) -> dict[JobId | None, results.JobPrices]:
        """The rates of each bill, and the limits of long context by which it was made."""
        of_specs = {spec_job(bill.job): self.prices for bill in bills} if self.prices else None
        with LiteLLMHook(self.litellm_conn_id).client() as client:
            books = PriceBooks(client, self.price_folder, of_specs)
            return {
                bill.job.key: results.JobPrices.of_bill(bill, books.book_of(bill.job).thresholds())
                for bill in bills
            }

    def _inputs(self, run: RunBills) -> list[str]:
        """What was sent: the spec's inputs, in their order, or the sample that the job read."""
        if self.inputs and not run.sample and not run.is_retry:
            return patterns(self.inputs)
        return list(dict.fromkeys(uri for bill in run.attempts[0] for uri in bill.job.input_uris))

    def _place(self, run: RunBills) -> str:
        """The answers of a sample never replace the real ones."""
        if run.sample is None:
            return self.to
        folder, _, name = self.to.rpartition("/")
        return f"{folder}/{SAMPLES}/{name}"

    def _check_bills(self, ti: Any) -> None:
        """As a teardown, this task also runs after a bill that failed, and must not end well then.

        :raises AirflowFailException: a task that records bills has failed.
        """
        if failed := failed_tasks(ti, [self.record_task_id, *self.retry_record_task_ids]):
            names = " and ".join(failed)
            raise AirflowFailException(
                f"Nothing was delivered, because {names} failed: a delivery needs the bills of its jobs."
                f" Their answers are safe in the outputs. Clear {names}; this task then runs again and"
                " delivers them."
            )

    def _check_sent(self, context: Context, run: RunBills) -> None:
        """See that a run which sends rows of an earlier run again did not fail before it sent any.

        As a teardown, this task runs even then, and would deliver the earlier run's answers as its own.

        :raises AirflowSkipException: it did.
        """
        ti = context["ti"]
        if not run.is_retry or any(bill.job.run_id == ti.run_id for bill in run.bills):
            return
        if failed := failed_tasks(ti, self.dag.get_task(self.task_id).get_flat_relative_ids(upstream=True)):
            raise AirflowSkipException(
                f"Nothing was delivered, because {' and '.join(failed)} failed and no row was sent again. The"
                " deliveries of earlier runs stay as they are."
            )

    def _facts(self, context: Context, run: RunBills) -> dict[str, object]:
        """Whose delivery it is, for the manifest."""
        ti, chosen = context["ti"], overridden(context.get("params") or {}, self.overrides or {})
        retried = retried_run(context)
        return {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "run_date": self.run_date,
            "input_is_chosen": "inputs" in chosen and not run.is_retry,
            **({"retry_of": retried} if retried else {}),
        }

    def _record(
        self, context: Context, table: CostTable, run: RunBills, written: results.DeliveryOutcome
    ) -> None:
        """Store the numbers in the cost table, where the pages read them.

        :raises CostTableError: it cannot be written. The delivery is complete.
        """
        ti, job, found = context["ti"], run.bills[0].job, written.manifest
        delivery = Delivery(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=self.task_id,
            map_index=map_index(context),
            spec=job.spec,
            team=job.team,
            job_name=self.job_name,
            input_rows=found["input_rows"],
            delivered=found["delivered"],
            exceptions=found["exceptions"],
            reasons=found["exceptions_by_reason"],
            answers_uri=written.place.answers,
            exceptions_uri=written.place.exceptions,
            manifest_uri=written.place.manifest,
            usd=found["bill"]["usd"],
            is_complete=found["bill"]["complete"],
            delivered_at=datetime.now(UTC),
            kept_at=results.DeliveryPlace(self._place(run)).answers if written.better else "",
            kept_answers=written.better.delivered if written.better else 0,
            retry_of=retried_run(context) or "",
        )
        try:
            if (moved := written.earlier) and (moved.dag_id, moved.run_id) != (ti.dag_id, ti.run_id):
                to = results.DeliveryPlace(moved.answers)
                uris = {
                    "answers_uri": to.answers,
                    "exceptions_uri": to.exceptions,
                    "manifest_uri": to.manifest,
                }
                table.move_delivery(moved.dag_id, moved.run_id, written.place.answers, uris)
            is_of_this_run = written.better and written.better.run == (ti.dag_id, ti.run_id)
            table.record_delivery(
                delivery, files_changed=written.changed, unless_at=delivery.kept_at if is_of_this_run else ""
            )
        except CostTableError as error:
            consequence = (
                f"The delivery to {written.place.answers} is complete, but its numbers are not in the cost"
                " table, so the pages do not show them. This task costs nothing. Once the table can be"
                " written, a retry writes the numbers and leaves the files as they are."
            )
            raise type(error)(error.database, error.reason, consequence) from error

    def _report(self, written: results.DeliveryOutcome, counts: results.Counts, bill: Total) -> None:
        self.log.info("%s", counts)
        if written.changed:
            self.log.info("Delivered to %s; exceptions: %s", written.place.answers, written.place.exceptions)
        else:
            self.log.info("The same delivery was already at %s", written.place.answers)
        if old := written.replaced:
            self.log.warning(
                "It has %s answers and replaces %s and a bill that stays. To deliver those again beside this"
                " one, clear `%s` of that run. To keep the deliveries of all runs, write the run into"
                " `to`, such as {{ run_id }}",
                f"{written.manifest['delivered']:,}",
                old,
                self.task_id,
            )
        elif written.changed and (moved := written.earlier):
            self.log.warning(
                "It answers another input than %s of the run %s, which were here before and are now in %s",
                f"the {moved.delivered:,} answers",
                moved.run_id or "of the command line",
                moved.answers,
            )
        if counts.duplicate_answers:
            self.log.warning(
                "%d output rows answer a row that already has its answer; they are billed, and listed in %s",
                counts.duplicate_answers,
                written.place.extra,
            )
        if other := results.other_prompts(counts):
            self.log.warning("%s", other)
        if problem := results.cost_difference(counts, bill):
            self.log.warning("The sums differ: %s", problem)


def _stays(written: results.DeliveryOutcome, to: str, job_name: str) -> str:
    """Say which better answers stay, and what these lack; empty if there are none."""
    if (better := written.better) is None:
        return ""
    this = (written.manifest["dag_id"], written.manifest["run_id"])
    job = job_name if better.dag_id == this[0] else ""
    lasting = results.are_lasting(better.exceptions_by_reason)
    lacking = UnansweredRows.beside(
        better.exceptions, better.run, better.retry_of, this, job, are_lasting=lasting
    )
    return answers_stay(better.delivered, to, lacking)


def _beside(written: results.DeliveryOutcome, to: str, task_id: str) -> str:
    """Say where a delivery is that is not at its address, and how a person puts it there.

    Empty if it is there, or has no answers beside better ones.
    """
    if written.kept is None:
        return ""
    if written.better:
        count = written.manifest["delivered"]
        return f"The {count:,} of this delivery are in {written.place.answers}." if count else ""
    if not written.manifest["delivered"]:
        return f"{to} still has {written.kept}."
    return (
        f"The {written.manifest['delivered']:,} answers of this run are in {written.place.answers}, not in"
        f" {to}. That file has {written.kept}; it was kept, because {written.why_kept}. To replace it all"
        " the same, run the command `vertex-batch results` with `--replace` that the run's tab Batch costs"
        f" shows, or delete {results.DeliveryPlace(to).manifest} and clear `{task_id}`. Both cost nothing."
    )
