"""The cancel task, against the emulated Vertex."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from local.emulator.admin import Cancel, Fault, FaultKind, Operation, Scenario, Step
from tests.builders import LOCATION, PROJECT, ROW, a_request
from vertex_batch.errors import CancelNotConfirmedError
from vertex_batch.lifecycle.identity import Intent, TaskIdentity
from vertex_batch.operators import CancelBatchPredictionJobOperator
from vertex_batch.tasks.context import INTENT_XCOM, deployment
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.vertex.resource import JobReference

pytestmark = pytest.mark.vertex(inputs=(), scenario=Scenario(timeline=[Step(state="PENDING", seconds=None)]))


def submit(vertex, labels: dict[str, str] | None = None) -> JobReference:
    job_id = vertex.create(a_request(display_name="to be cancelled", labels=labels or {}))
    return JobReference(PROJECT, LOCATION, job_id)


def test_cancels_the_job_of_a_reference_and_sees_it_end(vertex, context):
    reference = submit(vertex)
    (result,) = CancelBatchPredictionJobOperator(task_id="cancel", job=reference.to_dict()).execute(context)
    assert (result["job_id"], result["state"]) == (reference.job_id, "CANCELLED")


def test_cancels_what_a_submit_task_left_behind_without_a_word(vertex, context):
    ti = context["ti"]
    identity = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit")
    reference = submit(vertex, identity.labels(3, "f"))
    (result,) = CancelBatchPredictionJobOperator(task_id="cancel", submit_task_id="submit").execute(context)
    assert result["job_id"] == reference.job_id


def intent(key: str, job_id: str | None = None, seconds_ago: float = 0) -> dict:
    declared_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return Intent(3, key, "f", PROJECT, LOCATION, declared_at.isoformat(), job_id).to_dict()


def test_cancels_a_job_that_the_list_does_not_show_yet_when_its_submitter_died(vertex, context, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__LOOK_SECONDS", "20")
    ti = context["ti"]
    identity = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit")
    vertex.admin.set_settings(list_lag_seconds=1)
    reference = submit(vertex, identity.labels(3, "f"))
    ti.xcoms["submit", INTENT_XCOM] = intent(identity.idempotency_key(3))
    task = CancelBatchPredictionJobOperator(task_id="cancel", submit_task_id="submit")
    (result,) = task.execute(context)
    assert result["job_id"] == reference.job_id


def test_a_submitter_that_died_long_ago_is_not_waited_for(vertex, context):
    context["ti"].xcoms["submit", INTENT_XCOM] = intent("k", seconds_ago=181)
    with pytest.raises(AirflowSkipException, match="no active job"):
        CancelBatchPredictionJobOperator(task_id="cancel", submit_task_id="submit").execute(context)


def test_a_submission_that_was_refused_is_not_searched_for(vertex, context):
    context["ti"].xcoms["submit", INTENT_XCOM] = {**intent("k"), "refused": True}
    with pytest.raises(AirflowSkipException, match="no active job"):
        CancelBatchPredictionJobOperator(task_id="cancel", submit_task_id="submit").execute(context)
    assert len(vertex.admin.requests(Operation.LIST)) == 1


def test_cancels_the_job_that_was_submitted_again_too(vertex, context):
    ti = context["ti"]
    identity = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit")
    first, again = submit(vertex, identity.labels(3, "f")), submit(vertex, identity.labels(3, "f"))
    unlisted = submit(vertex)  # known by its id alone
    ti.xcoms["submit", "return_value"] = first.to_dict()
    ti.xcoms["wait", INTENT_XCOM] = intent("k", unlisted.job_id)
    task = CancelBatchPredictionJobOperator(
        task_id="cancel", submit_task_id="submit", resubmit_task_ids=["wait"]
    )
    assert {result["job_id"] for result in task.execute(context)} == {
        first.job_id,
        again.job_id,
        unlisted.job_id,
    }


def test_a_job_of_another_run_that_an_xcom_names_is_left_alone(vertex, context):
    ti = context["ti"]
    mine = submit(vertex, TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit").labels(3, "f"))
    others = submit(vertex, TaskIdentity(deployment(), "others_dag", ti.run_id, "submit").labels(3, "f"))
    ti.xcoms["submit", "return_value"] = {**others.to_dict(), "job_key": "k"}
    ti.xcoms["submit", INTENT_XCOM] = intent("k", others.job_id)
    for task in (
        CancelBatchPredictionJobOperator(task_id="cancel", submit_task_id="submit"),
        CancelBatchPredictionJobOperator(task_id="cancel", job=[others.to_dict()]),
    ):
        with suppress(AirflowSkipException):
            assert [result["job_id"] for result in task.execute(context)] == [mine.job_id]
    assert not vertex.admin.job(others.job_id).cancel_calls


def test_cancels_by_ids_and_leaves_others_alone(vertex, context):
    wanted, other = submit(vertex), submit(vertex)
    CancelBatchPredictionJobOperator(task_id="cancel", job_ids=f"{wanted.job_id}, 12345").execute(context)
    states = {job.id: job.state for job in vertex.admin.jobs()}
    assert states == {wanted.job_id: "CANCELLED", other.job_id: "PENDING"}


def test_a_job_that_does_not_end_keeps_no_other_running(vertex, context):
    vertex.admin.clear_scenarios()
    waits = [Step(state="PENDING", seconds=None)]
    vertex.admin.add_scenario(Scenario(timeline=waits, cancel=Cancel(seconds=None), times=1))
    vertex.admin.add_scenario(Scenario(timeline=waits, cancel=Cancel(seconds=0)))
    first, *others = (submit(vertex) for _ in range(3))
    ids = [each.job_id for each in (first, *others)]
    task = CancelBatchPredictionJobOperator(task_id="cancel", job_ids=ids, confirm_seconds=0)
    with pytest.raises(CancelNotConfirmedError, match=first.job_id):
        task.execute(context)
    states = {job.id: job.state for job in vertex.admin.jobs()}
    assert states == {first.job_id: "CANCELLING", **{each.job_id: "CANCELLED" for each in others}}


def test_a_cancel_that_is_refused_keeps_no_other_running(vertex, context):
    ids = [submit(vertex).job_id for _ in range(3)]
    vertex.admin.add_fault(Fault(op=Operation.CANCEL, kind=FaultKind.STATUS, status=403))
    with pytest.raises(AirflowFailException, match=ids[0]):
        CancelBatchPredictionJobOperator(task_id="cancel", job_ids=ids).execute(context)
    message = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    assert all(f"Job demo-project/us-central1/{job_id} ended as CANCELLED." in message for job_id in ids[1:])
    assert [job.state for job in vertex.admin.jobs()] == ["PENDING", "CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("form", ["console_url", "resource_name", "__str__"])
def test_cancels_by_any_name_of_a_job_wherever_that_is(vertex, context, monkeypatch, form):
    connection = os.environ["AIRFLOW_CONN_LITELLM_DEFAULT"]
    assert "us-central1" in connection
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", connection.replace("us-central1", "europe-west4"))
    wanted, other = submit(vertex), submit(vertex)
    name = str(wanted) if form == "__str__" else getattr(wanted.id, form)
    task = CancelBatchPredictionJobOperator(task_id="cancel", job_ids=[name])
    assert [result["job_id"] for result in task.execute(context)] == [wanted.job_id]
    assert vertex.admin.job(other.job_id).cancel_calls == []


@pytest.mark.parametrize("said", [{"location": "europe-west4"}, {"project": "another-project"}])
def test_a_name_that_contradicts_the_form_is_told_before_anything_is_cancelled(vertex, context, said):
    first, second = submit(vertex), submit(vertex)
    ids = [first.job_id, str(second)]
    with pytest.raises(AirflowFailException, match="Nothing was cancelled") as caught:
        CancelBatchPredictionJobOperator(task_id="cancel", job_ids=ids, **said).execute(context)
    (given,) = said.values()
    named = {"location": second.location, "project": second.project}[next(iter(said))]
    assert repr(given) in str(caught.value)
    assert repr(named) in str(caught.value)
    assert [vertex.admin.job(each.job_id).cancel_calls for each in (first, second)] == [[], []]


def test_what_is_no_name_of_a_job_is_told_before_anything_is_cancelled(vertex, context):
    wanted = submit(vertex)
    with pytest.raises(AirflowFailException, match="'7/8' is not the name of a batch prediction job"):
        CancelBatchPredictionJobOperator(task_id="cancel", job_ids=[wanted.job_id, "7/8"]).execute(context)
    assert vertex.admin.job(wanted.job_id).cancel_calls == []


def test_cancels_by_label(vertex, context):
    wanted, other = submit(vertex, {"team": "search"}), submit(vertex, {"team": "ads"})
    CancelBatchPredictionJobOperator(task_id="cancel", label_filter="labels.team=search").execute(context)
    states = {job.id: job.state for job in vertex.admin.jobs()}
    assert states == {wanted.job_id: "CANCELLED", other.job_id: "PENDING"}


def test_a_cancel_that_came_too_late_says_that_the_job_succeeded(connections, context):
    connections.admin.set_settings(speed=1000)
    connections.gcs.put(
        "gs://demo-bucket/in.jsonl",
        ROW,
    )
    connections.admin.add_scenario(
        Scenario(timeline=[Step(state="RUNNING", seconds=None)], cancel=Cancel(seconds=0.1, end="SUCCEEDED"))
    )
    reference = submit(connections)
    (result,) = CancelBatchPredictionJobOperator(task_id="cancel", job=reference.to_dict()).execute(context)
    assert result["state"] == "SUCCEEDED"


def test_a_job_that_has_ended_is_nothing_to_cancel(vertex, context):
    task = CancelBatchPredictionJobOperator(task_id="cancel", job=submit(vertex).to_dict())
    task.execute(context)
    with pytest.raises(AirflowSkipException, match="no active job"):
        task.execute(context)
    (job,) = vertex.admin.jobs()
    assert len(job.cancel_calls) == 1


def test_a_missing_place_is_told(vertex, context, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LITELLM_DEFAULT",
        f'{{"conn_type": "litellm", "host": "{vertex.direct.base_url}", "password": "sk-direct"}}',
    )
    with pytest.raises(AirflowFailException, match="has no project and location"):
        CancelBatchPredictionJobOperator(task_id="cancel", job_ids=["7"]).execute(context)
