"""The submit task, with real connections to the emulated Vertex and its object store."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.builders import input_rows
from vertex_batch.dag_factory.form import OVERRIDES
from vertex_batch.observability.links import BillLink, ConsoleJobLink
from vertex_batch.operators import SubmitBatchPredictionJobOperator
from vertex_batch.tasks.delivery_order import VersionNotReadError
from vertex_batch.tasks.kill import TaskKilledError
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import MAX_LABELS
from vertex_batch.vertex.request import full_model_name
from vertex_batch.vertex.resource import JobReference

ROW = input_rows("Hello")
HELD = Scenario(timeline=[Step(state="PENDING", seconds=None)])


pytestmark = pytest.mark.vertex(rows=ROW, inputs=("in/2026-11-22.jsonl",), scenario=HELD, speed=1)


@contextmanager
def _killed_by(task):
    try:
        yield
    except AirflowTaskTimeout:
        task.on_kill()
        raise


def a_task(**changes: Any) -> SubmitBatchPredictionJobOperator:
    fields = {
        "task_id": "submit",
        "model": "gemini-3.8-flash",
        "inputs": "gs://demo-bucket/in/{{ run_date }}.jsonl",
        "output_uri": "gs://demo-bucket/out/{{ run_date }}",
        "labels": {"team": "search"},
    }
    with DAG("nightly", schedule=None):
        return SubmitBatchPredictionJobOperator(**{**fields, **changes})


def run(task: SubmitBatchPredictionJobOperator, context: dict[str, Any]) -> JobReference:
    task.render_template_fields(context)
    return JobReference.from_dict(task.execute(context))


def test_the_log_ends_with_the_addresses_of_the_job_and_of_its_bill(vertex, context, capsys):
    task = a_task()
    reference = run(task, context)
    lines = [line.split("] ", 1)[1].split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    submitted, where, bill = lines[-3:]
    assert submitted.startswith(f"Submitted job {reference.job_id}")
    assert "no job carries" not in submitted
    assert f"runs the job: {reference} " in f"{where} "  # Google has no page of an emulated job
    assert "https://" not in where
    address = f"/vertex-batch/bill?project=demo-project&location=us-central1&job={reference.job_id}"
    assert address in bill
    assert BillLink().get_link(task, ti_key=None).endswith(address)


def test_a_job_without_a_spec_is_named_by_its_dag_and_its_day(vertex, context):
    run(a_task(), context)
    (job,) = vertex.admin.jobs()
    assert job.request["displayName"] == "nightly 2026-11-22"


def test_submits_what_the_spec_says_on_the_date_of_the_run(vertex, context, delivering_dag):
    reference = run(a_task(), context)
    (job,) = vertex.admin.jobs()
    assert reference.job_id == job.id
    assert job.request["inputConfig"]["gcsSource"]["uris"] == ["gs://demo-bucket/in/2026-11-22.jsonl"]
    assert (
        job.request["outputConfig"]["gcsDestination"]["outputUriPrefix"] == "gs://demo-bucket/out/2026-11-22/"
    )
    assert job.request["model"] == "publishers/google/models/gemini-3.8-flash"
    assert job.labels["team"] == "search"
    assert job.labels["airflow_dag"] == "nightly"


@pytest.mark.parametrize(
    ("states", "error"),
    [
        ({"deliver": "success"}, AirflowFailException),
        ({"deliver": "running"}, AirflowFailException),
        ({"submit": "running"}, VersionNotReadError),
    ],
)
def test_nothing_is_submitted_that_the_run_would_not_deliver(vertex, context, delivering_dag, states, error):
    context["dag"] = delivering_dag
    context["ti"].states = states
    with pytest.raises(error, match="Nothing was submitted"):
        run(a_task(), context)
    assert vertex.admin.jobs() == []
    assert context["task_state_store"].values == {}
    context["ti"].states = {"deliver": None}
    run(a_task(), context)
    context["ti"].states = states  # a retry finds its job in any case
    run(a_task(), context)
    assert len(vertex.admin.jobs()) == 1


@pytest.mark.parametrize("changes", [{}, {"preflight": "off"}])
def test_nothing_is_paid_for_whose_answers_could_not_be_delivered(vertex, context, monkeypatch, changes):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "duckdb", None)
        with pytest.raises(AirflowFailException, match=r"lacks duckdb.*No job .*: install .*\[results\]"):
            run(a_task(answers="gs://demo-bucket/answers.parquet", **changes), context)
        assert vertex.admin.jobs() == []
        run(a_task(), context)
    assert len(vertex.admin.jobs()) == 1


def test_the_bucket_of_the_answers_is_looked_for_before_a_job_is_created(vertex, context):
    with pytest.raises(AirflowFailException, match="No such bucket: gs://no-such-answers"):
        run(a_task(deliver_to="gs://no-such-answers/a.parquet"), context)
    assert vertex.admin.jobs() == []
    run(a_task(deliver_to="gs://demo-bucket/answers/a.parquet"), context)
    assert len(vertex.admin.jobs()) == 1


def test_the_next_try_returns_the_same_job(vertex, context):
    first = run(a_task(), context)
    context["ti"].try_number = 2
    assert run(a_task(), context) == first
    assert len(vertex.admin.jobs()) == 1


def test_what_travels_and_what_is_shown_holds_no_key(vertex, context):
    reference = run(a_task(), context)
    everything = (
        f"{reference} {reference.to_dict()} {context['ti'].xcoms} {context['task_state_store'].values}"
    )
    assert vertex.direct.api_key not in everything


def test_the_link_to_the_job_is_there_at_once_and_leads_to_google_where_google_has_it(
    vertex, context, monkeypatch
):
    reference = run(a_task(), context)
    assert "/vertex-batch/bill?" in context["ti"].xcoms["submit", "_link_ConsoleJobLink"]
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    ConsoleJobLink.publish(context, reference)
    link = context["ti"].xcoms["submit", "_link_ConsoleJobLink"]
    assert reference.job_id in link
    assert link.startswith("https://console.cloud.google.com/vertex-ai/")


def test_a_param_replaces_a_field_and_is_never_rendered(vertex, context):
    vertex.gcs.put("gs://demo-bucket/other.jsonl", ROW)
    context["params"] = {
        "input": ["gs://demo-bucket/other.jsonl"],
        "model": None,
        "labels": {"note": "{{ conn.litellm_default.password }}"},
    }
    task = a_task(overrides={"inputs": "input", "model": "model", "labels": "labels"})
    task.render_template_fields(context)
    assert task.inputs == ["gs://demo-bucket/other.jsonl"]
    assert task.model == "gemini-3.8-flash"
    assert task.labels == {"team": "search", "note": "{{ conn.litellm_default.password }}"}


def test_labels_of_the_spec_and_the_form_are_counted_together(vertex, context):
    labels = {f"l{n}": "x" for n in range(MAX_LABELS)}
    context["params"] = {"labels": {"l0": "y", "extra": "z"}}
    task = a_task(labels=labels, overrides={"labels": "labels"})
    task.render_template_fields(context)
    with pytest.raises(AirflowFailException, match=r"49 labels of its own.*remove 1 from .*the form's"):
        task.execute(context)
    assert vertex.admin.jobs() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"inputs": "gs://demo-bucket/in/absent.jsonl"}, "absent.jsonl"),
        ({"inputs": "gs://no-such-bucket/in.jsonl"}, "no-such-bucket"),
        ({"inputs": ["gs://demo-bucket/in/2026-11-22.jsonl", "bq://p.d.t"]}, "one BigQuery table"),
        (
            {"output_uri": "s3://demo-bucket/out"},
            r"cannot build its request: output_config\S+output_uri_prefix: [^\n]+\. Nothing was submitted\.$",
        ),
        ({"output_uri": "gs://no-such-bucket/out"}, "no-such-bucket"),
        ({"model": "gemini-does-not-exist"}, "not found in Vertex AI"),
        ({"location": "mars-north1"}, "mars-north1"),
    ],
)
def test_what_cannot_work_fails_at_once_and_says_which(vertex, context, changes, expected):
    with pytest.raises(AirflowFailException, match=expected):
        run(a_task(**changes), context)
    assert vertex.admin.jobs() == []


def test_a_quota_that_is_used_up_may_be_retried(vertex, context, monkeypatch):
    monkeypatch.setattr("vertex_batch.lifecycle.submitting.DEFAULT_RESEND_DELAY_SECONDS", 0.0)
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, times=None))
    with pytest.raises(Exception, match="Nothing was submitted") as caught:
        run(a_task(), context)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_kill_right_after_the_post_cancels_the_job(vertex, context):
    task = a_task()
    run(task, context)
    context["ti"].state = "failed"
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert job.cancel_calls


@pytest.mark.parametrize("state", ["running", "restarting", "up_for_retry", None])
def test_a_worker_that_shuts_down_and_a_clear_leave_the_job_to_the_next_try(vertex, context, state):
    task = a_task()
    run(task, context)
    context["ti"].state = state
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert not job.cancel_calls


def test_a_kill_while_airflow_does_not_answer_leaves_the_job_to_the_next_try(vertex, context, monkeypatch):
    task = a_task()
    run(task, context)
    monkeypatch.setattr(context["ti"], "get_task_states", None)
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert not job.cancel_calls


@pytest.mark.parametrize(("try_number", "cancelled"), [(1, False), (4, True)])
def test_a_time_out_leaves_the_job_to_the_next_try_and_the_last_try_cancels_it(
    vertex, context, try_number, cancelled
):
    context["ti"].try_number = try_number
    task = a_task()
    run(task, context)
    with pytest.raises(AirflowTaskTimeout), _killed_by(task):
        raise AirflowTaskTimeout
    (job,) = vertex.admin.jobs()
    assert bool(job.cancel_calls) is cancelled


def test_a_kill_before_the_post_keeps_it_from_being_sent(vertex, context, monkeypatch):
    context["ti"].state = "failed"
    task = a_task()

    def save(store, intent):
        store.latest = intent
        task.on_kill()

    monkeypatch.setattr("vertex_batch.operators.submit.TaskStateIntentStore.save", save)
    with pytest.raises(TaskKilledError):
        run(task, context)
    assert vertex.admin.jobs() == []


@pytest.mark.parametrize("map_index", [-1, 2])
def test_a_try_that_a_later_one_has_replaced_leaves_the_job_and_submits_nothing(vertex, context, map_index):
    ti = context["ti"]
    ti.map_index = map_index
    task = a_task()
    ti.xcom_push("return_value", run(task, context).to_dict())
    ti.state = "success"
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert not job.cancel_calls
    with pytest.raises(TaskKilledError):
        task._kill.check()


def test_a_result_that_cannot_be_read_leaves_the_job(vertex, context, monkeypatch):
    task = a_task()
    run(task, context)
    context["ti"].state = "success"
    monkeypatch.setattr(context["ti"], "xcom_pull", None)
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert not job.cancel_calls


def test_a_kill_while_the_post_is_on_its_way_cancels_the_job_that_it_makes(vertex, context, monkeypatch):
    context["ti"].state = "failed"
    task = a_task()
    create = BatchClient.create

    def create_and_be_killed(client, *arguments):
        task.on_kill()  # nothing is listed yet
        return create(client, *arguments)

    monkeypatch.setattr(BatchClient, "create", create_and_be_killed)
    with pytest.raises(TaskKilledError):
        run(task, context)
    (job,) = vertex.admin.jobs()
    assert job.cancel_calls


def test_a_kill_that_interrupts_a_talk_with_the_supervisor_does_not_lock_up(vertex, context, monkeypatch):
    task = a_task()
    run(task, context)
    context["ti"].state = "failed"
    supervisor, answer = threading.Lock(), context["ti"].get_task_states

    def ask(**question):
        with supervisor:
            return answer(**question)

    monkeypatch.setattr(context["ti"], "get_task_states", ask)
    with supervisor:
        task.on_kill()
    with pytest.raises(TaskKilledError):
        task._kill.check()
    (job,) = vertex.admin.jobs()
    assert job.cancel_calls


def test_a_kill_before_the_answer_finds_the_job_by_its_key(vertex, context):
    task = a_task()
    run(task, context)
    task._store.latest = type(task._store.latest)(**{**task._store.latest.to_dict(), "job_id": None})
    context["ti"].state = "failed"
    task.on_kill()
    (job,) = vertex.admin.jobs()
    assert job.cancel_calls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("vertex_ai/gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("claude-sonnet-4-5", "publishers/anthropic/models/claude-sonnet-4-5"),
        ("publishers/meta/models/llama-4", "publishers/meta/models/llama-4"),
        ("projects/p/locations/l/models/7", "projects/p/locations/l/models/7"),
    ],
)
def test_completes_a_model_name(name, expected):
    assert full_model_name(name) == expected


class TestPreflight:
    def test_rows_that_would_fail_the_job_keep_it_from_being_submitted(self, vertex, context):
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", ROW + b'{"request": {"tools": {}}}\n')
        with pytest.raises(AirflowFailException, match="would not answer any row"):
            run(a_task(), context)
        message = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
        assert "2026-11-22.jsonl:2: request.tools: is an empty object" in message
        assert vertex.admin.jobs() == []
        assert context["task_state_store"].values == {}

    @pytest.mark.parametrize("mode", ["warn", "off"])
    def test_what_is_not_strict_submits_all_the_same(self, vertex, context, mode):
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", b"no\n")
        run(a_task(preflight=mode), context)
        assert len(vertex.admin.jobs()) == 1

    @pytest.mark.parametrize(
        ("mode", "limit", "jobs"), [("strict", 0.05, 0), ("strict", 0.5, 1), ("warn", 0.05, 1)]
    )
    def test_rows_that_certainly_exceed_a_limit_of_the_run_are_refused(
        self, vertex, context, capsys, mode, limit, jobs
    ):
        bad = b'{"request": {"contents": [{"role": "system", "parts": [{"text": "x"}]}]}}\n'
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", ROW + bad)
        said = f"1 of 2 rows (50.00%) are certain to fail, more than `max_failed_ratio: {limit}` allows"
        task = a_task(failure_limits={"max_failed_ratio": limit}, preflight=mode)
        with nullcontext() if jobs else pytest.raises(AirflowFailException, match=re.escape(said)):
            run(task, context)
        assert (said in capsys.readouterr().out) is (limit < 0.5)
        assert len(vertex.admin.jobs()) == jobs

    def test_a_retry_goes_on_with_its_job_though_the_input_is_gone_by_then(self, vertex, context):
        first = run(a_task(), context)
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", b"no\n")
        assert run(a_task(), context) == first

    def test_a_job_whose_answer_was_lost_is_adopted_though_the_input_is_wrong_by_then(self, vertex, context):
        first = run(a_task(), context)
        stored = next(iter(context["task_state_store"].values.values()))
        stored["job_id"] = None  # as it is when a process dies right after its POST
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", b"no\n")
        assert run(a_task(), context) == first
        assert len(vertex.admin.jobs()) == 1

    def test_a_cleared_task_whose_new_input_is_wrong_leaves_the_running_job_alone(self, vertex, context):
        run(a_task(), context)
        context["ti"].max_tries += 1
        vertex.gcs.put("gs://demo-bucket/other.jsonl", b"no\n")
        with pytest.raises(AirflowFailException, match="nothing was spent"):
            run(a_task(inputs="gs://demo-bucket/other.jsonl"), context)
        assert [job.state for job in vertex.admin.jobs()] == ["PENDING"]


class TestChoices:
    def test_a_dry_run_looks_at_everything_and_submits_nothing(self, vertex, context, capsys):
        context["params"] = {"dry_run": True}

        with pytest.raises(AirflowSkipException, match=r"Dry run: 1 row would cost about 0\.00\d+ USD"):
            run(a_task(), context)

        log = capsys.readouterr().out
        assert '"gs://demo-bucket/in/2026-11-22.jsonl"' in log
        assert "Expected cost: 0.00" in log
        assert "Nothing was submitted." in log
        assert vertex.admin.jobs() == []

    def test_a_dry_run_hands_the_page_what_a_plan_shows(self, vertex, context):
        context["params"] = {"dry_run": True}
        row = ROW.replace(b'"request": {', b'"request": {"generationConfig": {"maxOutputTokens": 100}, ')
        vertex.gcs.put("gs://demo-bucket/in/2026-11-22.jsonl", row)
        answers = "delivered to gs://demo-bucket/{{ run_date }}.csv as text, joined by their requests"
        with pytest.raises(AirflowSkipException):
            run(a_task(answers=answers), context)
        said = context["ti"].xcoms["submit", OUTCOME_XCOM]
        lines = said["lines"]
        assert lines["found"][0].startswith("1 row in 1 object, ")
        assert any("maxOutputTokens" in line for line in lines["found"][1:])
        assert lines["answers"] == [answers.replace("{{ run_date }}", "2026-11-22")]
        assert lines["output"] == ["gs://demo-bucket/out/2026-11-22"]
        assert lines["model"] == ["gemini-3.8-flash"]
        assert lines["input"] == ["gs://demo-bucket/in/2026-11-22.jsonl"]
        assert said["expected"]["input_tokens"] > 0
        assert said["priced_on"]
        context["params"] = {"dry_run": True, "input": "gs://demo-bucket/in/mine.jsonl"}
        vertex.gcs.put("gs://demo-bucket/in/mine.jsonl", row)
        with pytest.raises(AirflowSkipException):
            run(a_task(answers=answers, overrides=OVERRIDES), context)
        lines = context["ti"].xcoms["submit", OUTCOME_XCOM]["lines"]
        assert lines["input"] == ["gs://demo-bucket/in/mine.jsonl"]
        assert lines["answers"][1].startswith("put beside the answers to the spec's input")

    def test_a_model_that_is_perhaps_misspelled_is_on_the_page_of_the_run(self, vertex, context, monkeypatch):
        known = {"litellm_params": {"model": "vertex_ai/gemini-3.8-flash"}}
        monkeypatch.setattr(BatchClient, "model_info", lambda _: [known])
        with pytest.raises(AirflowFailException, match="does not exist"):
            run(a_task(model="gemini-3.8-flahs"), context)
        reason, hint = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"].splitlines()
        assert "does not exist" in reason
        assert hint.endswith("for this key; did you mean `gemini-3.8-flash`?")

    def test_a_dry_run_says_what_would_have_been_wrong(self, vertex, context):
        context["params"] = {"dry_run": True}

        with pytest.raises(AirflowFailException, match=r"nothing\.jsonl"):
            run(a_task(inputs="gs://demo-bucket/in/nothing.jsonl"), context)

    def test_a_job_that_was_not_chosen_is_skipped(self, vertex, context):
        context["params"] = {"jobs": ["other"]}

        with pytest.raises(AirflowSkipException, match="Skipped job mine"):
            run(a_task(job_name="mine"), context)
        assert vertex.admin.jobs() == []

    @pytest.mark.parametrize("jobs", [None, [], ["mine"], ["other", "mine"]])
    def test_a_job_that_was_chosen_runs(self, vertex, context, jobs):
        context["params"] = {"jobs": jobs}

        assert run(a_task(job_name="mine"), context)
