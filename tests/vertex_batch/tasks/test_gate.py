"""Budgets before the POST: the submit task against the emulated Vertex, with a cost table of its own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.emulator.script import Trait
from tests.builders import input_rows
from tests.vertex_batch.costs.conftest import make_bill, make_line
from vertex_batch.budgets import Account, Budget, Ledger, Payer, Ruling, Sums, Window
from vertex_batch.costs import CostTable, Total
from vertex_batch.errors import ResourceExhaustedError
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    BudgetSettings,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.tasks.approval import STORE_KEY as APPROVAL
from vertex_batch.tasks.context import STORE_KEY as INTENT
from vertex_batch.tasks.context import identity
from vertex_batch.tasks.expected import ExpectedCosts
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.vertex.names import JobId

AT_ONCE = Scenario(timeline=[Step(state="SUCCEEDED", seconds=0)], mix={})
HELD = Scenario(timeline=[Step(state="PENDING", seconds=None)])
# 4 bytes of text and at most 100 tokens of answer: 1 input token, 50 output tokens are expected.
ROW = (
    b'{"request": {"contents": [{"role": "user", "parts": [{"text": "abcd"}]}],'
    b' "generationConfig": {"maxOutputTokens": 100}}}\n'
)
PRICES = {"gemini-3.8-flash": {"input": 1000, "output": 10000}}
EXPECTED = Decimal("1.002")  # of two rows: 2 x 0.001 + 100 x 0.01; at most 2 x 0.018 + 200 x 0.01
OF_THIS_TRY = UUID("01900000-0000-7000-8000-000000000001")
TODAY = Account(Payer.SPEC, "nightly", Window.DAY)


@pytest.fixture
def vertex(connections, tmp_path, monkeypatch):
    connections.admin.add_scenario(HELD)
    connections.gcs.put("gs://demo-bucket/in.jsonl", ROW * 2)
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", f"sqlite:///{tmp_path}/costs.db")
    return connections


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(CostTable(f"sqlite:////{tmp_path}/costs.db"))


@pytest.fixture
def asked(monkeypatch) -> list[CreateHITLDetailPayload]:
    """What a person is asked; Airflow's supervisor, which keeps it, comes with the system tests.

    As Airflow 3.3 does, it moves the question of a try to the next one, and never changes its text.
    """
    questions: list[CreateHITLDetailPayload] = []

    class Airflow:
        def send(self, message: object) -> HITLDetailRequestResult | None:
            if not isinstance(message, CreateHITLDetailPayload):
                return None
            questions.append(message)
            return HITLDetailRequestResult(**{**questions[0].model_dump(), "type": "HITLDetailRequestResult"})

    comms = "airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS"
    monkeypatch.setattr(comms, Airflow(), raising=False)
    return questions


@pytest.fixture
def context(context):
    context["ti"].id = OF_THIS_TRY
    return context


def a_task(limits: dict[str, dict[str, str]] | None = None, **money: Any) -> SubmitBatchPredictionJobOperator:
    unknown = money.pop("unknown", "warn")
    amounts = {
        Window(period): {Ruling(verdict): Decimal(usd) for verdict, usd in each.items()}
        for period, each in (limits or {}).items()
    }
    budget = Budget(amounts, Ruling(unknown), **money.pop("budget", {})) if limits else None
    with DAG("nightly", schedule=None):
        return SubmitBatchPredictionJobOperator(
            task_id="submit",
            model=money.pop("model", "gemini-3.8-flash"),
            inputs=money.pop("inputs", "gs://demo-bucket/in.jsonl"),
            output_uri="gs://demo-bucket/out",
            labels={"team": "search"},
            spec="nightly",
            money=BudgetSettings(**{"prices": PRICES, "budget": budget, "estimate": True, **money}),
        )


def run(task: SubmitBatchPredictionJobOperator, context: dict[str, Any]) -> dict[str, Any]:
    task.render_template_fields(context)
    return task.execute(context)


def run_to_its_end(task, context, vertex) -> dict[str, Any]:
    job = run(task, context)
    vertex.admin.wait_for_jobs(job_id=job["job_id"], state="SUCCEEDED")
    return job


def parked(task, context) -> dict[str, Any]:
    with pytest.raises(TaskAwaitingInput) as caught:
        run(task, context)
    assert caught.value.method_name == "execute_after_answer"
    return caught.value.kwargs or {}


def answer(option: str = "Approve") -> dict[str, Any]:
    user = {"id": "7", "name": "ann"}
    return {"chosen_options": [option], "responded_by_user": user, "responded_at": datetime.now(UTC)}


def test_no_job_is_submitted_whose_cost_each_machine_would_keep_for_itself(vertex, context, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_BATCH_COSTS")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(AirflowFailException, match=r"CeleryExecutor.*PostgreSQL"):
        run(a_task(), context)
    assert vertex.admin.requests(Operation.CREATE) == []


def test_an_estimate_is_kept_with_the_job_and_told(vertex, context, ledger):
    job = run(a_task(), context)
    kept = ledger.of_job(JobId("demo-project", "us-central1", job["job_id"]))
    assert kept.estimate.expected == Total(EXPECTED, complete=True)
    told = context["ti"].xcoms["submit", "estimate"]
    assert (told["expected_usd"], told["rows"], told["verdict"]) == ("1.002", 2, "go")
    assert ledger.sums(TODAY) == Sums(reserved=Total(EXPECTED, complete=True))


def test_without_settings_nothing_is_estimated(vertex, context, tmp_path):
    run(a_task(estimate=False), context)
    assert ("submit", "estimate") not in context["ti"].xcoms
    assert not (tmp_path / "costs.db").exists()


@pytest.mark.parametrize(("limit", "goes"), [("1.002", True), ("1.001999", False)])
def test_a_refusal_leaves_no_job_no_intent_and_no_reservation(vertex, context, ledger, limit, goes):
    task = a_task({"run": {"refuse": limit}})
    if goes:
        run(task, context)
        return
    with pytest.raises(AirflowFailException, match=r"1\.002 USD estimated, over its limit of 1\.001999 USD"):
        run(task, context)
    assert vertex.admin.jobs() == []
    assert INTENT not in context["task_state_store"].values
    assert ledger.sums(TODAY) == Sums()


ROW_WITHOUT_LIMIT = input_rows("abcd")


def test_a_first_guess_is_held_and_never_refused(vertex, context, asked):
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW_WITHOUT_LIMIT * 2)
    kwargs = parked(a_task({"run": {"refuse": "1"}}), context)
    (question,) = asked
    body = question.body
    assert "over its limit of 1.00 USD (refuse); not refused but held for approval, because" in body
    assert vertex.admin.jobs() == []
    a_task({"run": {"refuse": "1"}}).execute_after_answer(context, event=answer(), **kwargs)
    assert len(vertex.admin.jobs()) == 1


def test_what_is_sure_of_a_guess_is_refused(vertex, context):
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW_WITHOUT_LIMIT * 2)
    with pytest.raises(AirflowFailException, match="refuse"):
        run(a_task({"run": {"refuse": "0.01"}}), context)


def bill_an_earlier_run(vertex, context):
    """Run and bill a job without limits of its answers, and begin another run."""
    vertex.admin.reset()
    vertex.admin.add_scenario(AT_ONCE)
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW_WITHOUT_LIMIT * 2)
    context["ti"].xcoms["submit", "return_value"] = run_to_its_end(a_task(), context, vertex)
    record(context)
    context["ti"].task_id, context["ti"].run_id = "submit", "another run"
    context["task_state_store"].values.clear()


def test_a_spec_with_history_is_refused_by_what_it_has_cost(connections, context, vertex):
    bill_an_earlier_run(vertex, context)
    with pytest.raises(AirflowFailException, match="refuse"):
        run(a_task({"run": {"refuse": "0.01"}}), context)
    assert context["ti"].xcoms["submit", "estimate"]["method"] == (
        "2 rows counted, tokens as in the run that read the same input before"
    )


def test_an_estimate_from_history_reads_the_limits_of_the_new_rows(connections, context, vertex, capsys):
    bill_an_earlier_run(vertex, context)
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW.replace(b"100", b"3") * 2)
    task = a_task()
    task.failure_limits = {"results.max_exceptions_ratio": 0.05}
    run(task, context)
    found = context["ti"].xcoms["submit", "estimate"]
    assert found["output_tokens"] == 5  # rounded down
    assert Decimal(found["high_usd"]) - found["input_tokens"] * 2 * Decimal("0.001") <= 2 * 3 * Decimal(
        "0.01"
    )
    assert (
        "and the rows allow 3 now: if their lengths are spread exponentially, about 2 of 2" in found["method"]
    )
    said = "would be more than `results.max_exceptions_ratio: 0.05` allows: the run would pay and then fail"
    assert said in found["failure"]
    assert said in capsys.readouterr().out


def test_the_bill_of_the_same_input_is_the_estimate_of_the_next_run(connections, context, vertex):
    bill_an_earlier_run(vertex, context)
    (bill,) = CostTableHook("batch_costs").table().jobs()
    run(a_task(), context)
    assert Decimal(context["ti"].xcoms["submit", "estimate"]["expected_usd"]) == bill.total.amount


@pytest.mark.parametrize("of_run", [True, False], ids=["this run", "an earlier run"])
def test_rows_that_are_sent_again_are_estimated_by_the_bill_of_their_job(
    connections, context, vertex, of_run
):
    earlier = context["ti"].run_id
    key = identity(context).group_key
    bill_an_earlier_run(vertex, context)
    (bill,) = CostTableHook("batch_costs").table().jobs()
    context["ti"].task_id = "retry_1.submit"
    if of_run:
        context["ti"].run_id = earlier
    vertex.gcs.put("gs://demo-bucket/again.jsonl", ROW_WITHOUT_LIMIT)
    task = a_task()
    part = InputPart(
        PartKind.RETRY,
        ("gs://demo-bucket/again.jsonl",),
        rows=1,
        of_rows=1,
        round=1,
        retry_of="" if of_run else key,
    )
    task.task_id, task.part = "retry_1.submit", part.to_dict()
    run(task, context)
    found = context["ti"].xcoms["retry_1.submit", "estimate"]
    assert found["method"] == "1 row counted, tokens as in the job whose rows are sent again"
    assert Decimal(found["expected_usd"]) == pytest.approx(bill.total.amount / 2, rel=Decimal("0.01"))


def test_a_dry_run_shows_what_the_job_would_cost_and_what_its_budgets_would_say(
    vertex, context, ledger, capsys
):
    context["params"] = {"dry_run": True}
    with pytest.raises(AirflowSkipException, match="Dry run"):
        run(a_task({"run": {"hold": "1"}}), context)
    shown = context["ti"].xcoms["submit", "estimate"]
    assert (shown["rows"], shown["expected_usd"], shown["high_usd"]) == (2, "1.002", "2.036")
    assert shown["method"].startswith("2 rows counted, no history")
    assert (shown["verdict"], "over its limit of 1.00 USD (hold)" in shown["reason"]) == ("hold", True)
    assert "Expected cost: 1.00 USD (0.082 to 2.04) for 2 rows (2 rows counted" in capsys.readouterr().out
    assert ledger.sums(TODAY) == Sums()
    assert vertex.admin.jobs() == []


def test_inputs_that_an_earlier_run_has_answered_are_named_before_they_are_paid_for_again(
    connections, context, vertex, capsys
):
    vertex.admin.reset()
    vertex.admin.add_scenario(AT_ONCE)
    context["ti"].xcoms["submit", "return_value"] = run_to_its_end(a_task(), context, vertex)
    record(context)
    earlier = context["ti"].run_id
    assert "answered before" not in capsys.readouterr().out
    context["ti"].task_id, context["ti"].run_id = "submit", "another run"
    context["task_state_store"].values.clear()
    context["params"] = {"dry_run": True}
    said = (
        f"These inputs were answered before by run {earlier} on {datetime.now(UTC):%Y-%m-%d} (2 of 2 rows, "
    )
    with pytest.raises(AirflowSkipException) as dry:
        run(a_task(), context)
    assert said in str(dry.value)
    context["params"] = {}
    with pytest.raises(AirflowFailException, match="refuse"):
        run(a_task({"run": {"refuse": "0"}}), context)
    assert said in capsys.readouterr().out  # although no job was created
    run(a_task(), context)
    assert said in context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    context["ti"].run_id = "the next night"
    context["task_state_store"].values.clear()
    del context["ti"].xcoms["submit", OUTCOME_XCOM]
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW * 2)  # the same name, written again
    run(a_task(), context)
    assert ("submit", OUTCOME_XCOM) not in context["ti"].xcoms


@pytest.mark.parametrize(
    ("inputs", "state", "is_named"),
    [("in", "PENDING", True), ("in", "SUCCEEDED", True), ("in", "FAILED", False), ("copy", "PENDING", False)],
)
def test_a_run_that_sends_what_an_unbilled_run_has_sent_says_so_and_is_not_refused(
    vertex, context, capsys, inputs, state, is_named
):
    """As after a double click on Trigger."""
    vertex.admin.reset()
    is_over = state != "PENDING"
    steps = [Step(state="PENDING", seconds=0 if is_over else None)]
    vertex.admin.add_scenario(Scenario(timeline=steps, end=state if is_over else "SUCCEEDED", mix={}))
    vertex.gcs.put("gs://demo-bucket/copy.jsonl", ROW * 2)  # as large, but another input
    first = run(a_task(), context)
    vertex.admin.wait_for_jobs(job_id=first["job_id"], state=state)
    assert ("submit", OUTCOME_XCOM) not in context["ti"].xcoms
    earlier, context["ti"].run_id = context["ti"].run_id, "second click"
    context["task_state_store"].values.clear()
    assert run(a_task(inputs=f"gs://demo-bucket/{inputs}.jsonl"), context)["job_id"] != first["job_id"]
    said = context["ti"].xcoms.get(("submit", OUTCOME_XCOM), {"message": ""})["message"]
    words = f"Run {earlier} has sent the same inputs at "
    assert (words in said) is (words in capsys.readouterr().out) is is_named
    assert ("are paid for twice: 1.00 USD more" in said) is is_named


def test_what_other_jobs_have_reserved_counts(vertex, context, ledger):
    run(a_task({"day": {"refuse": "2"}}), context)
    context["ti"].run_id = "another run"
    context["task_state_store"].values.clear()
    with pytest.raises(AirflowFailException, match=r"1\.002 USD reserved for unbilled jobs"):
        run(a_task({"day": {"refuse": "2"}}), context)


def test_a_retry_goes_on_with_its_job_although_the_budget_is_used_up(vertex, context):
    first = run(a_task(), context)
    context["ti"].try_number = 2
    assert run(a_task({"run": {"refuse": "0"}}), context) == first


def test_a_job_whose_answer_was_lost_is_adopted_although_the_budget_is_used_up(vertex, context, ledger):
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER, times=1))
    job = run(a_task({"run": {"refuse": "1.002"}}), context)
    (made,) = vertex.admin.jobs()
    assert job["job_id"] == made.id
    assert ledger.of_job(JobId("demo-project", "us-central1", made.id))


def test_a_cleared_task_whose_job_still_runs_adopts_it_although_the_budget_is_used_up(vertex, context):
    first = run(a_task(), context)
    context["ti"].max_tries += 1
    assert run(a_task({"run": {"refuse": "0"}}), context)["job_id"] == first["job_id"]


def test_a_warning_submits(vertex, context, caplog):
    run(a_task({"run": {"warn": "1"}}), context)
    assert len(vertex.admin.jobs()) == 1
    assert context["ti"].xcoms["submit", "estimate"]["verdict"] == "warn"


def test_a_held_job_is_refused_where_no_one_can_approve_it(vertex, context):
    context["dag_run"].triggering_user_name = "dag_test"
    with pytest.raises(AirflowFailException, match="no one can approve it outside Airflow"):
        run(a_task({"run": {"hold": "1"}}), context)
    assert vertex.admin.jobs() == []


def test_a_held_job_waits_for_a_person_and_goes_once_approved(vertex, context, asked, ledger):
    task = a_task(
        {"run": {"hold": "1"}}, budget={"approvers": ("7",), "approval_timeout": timedelta(hours=1)}
    )
    kwargs = parked(task, context)
    (question,) = asked
    assert (question.ti_id, question.params) == (OF_THIS_TRY, {})
    assert "1.00 USD" in question.subject
    assert "over its limit of 1.00 USD (hold)" in question.body
    assert "the job is submitted at up to 2.036 USD. Nothing" in question.body
    assert [user.id for user in question.assigned_users] == ["7"]
    assert vertex.admin.jobs() == []
    assert ledger.sums(TODAY) == Sums()
    job = a_task({"run": {"hold": "1"}}).execute_after_answer(context, event=answer(), **kwargs)
    (made,) = vertex.admin.jobs()
    assert job["job_id"] == made.id
    assert ledger.of_job(JobId("demo-project", "us-central1", made.id)).approved_by == "ann"


def test_a_limit_that_passes_a_lower_bound_is_named_in_the_log_and_to_who_approves(
    vertex, context, asked, ledger, capsys
):
    ledger._table.record(make_bill("9", [make_line(price=None)], create_time=datetime.now(UTC)))
    parked(a_task({"run": {"hold": "1"}, "day": {"refuse": "9"}}), context)
    bound = "the day of spec nightly: at least 0.00 USD spent or reserved, since a part has no price"
    assert f"Budget: {bound}" in capsys.readouterr().out
    assert f"\n- {bound}" in asked[0].body


def test_a_held_job_waits_as_long_as_the_budget_says(vertex, context, asked):
    with pytest.raises(TaskAwaitingInput) as caught:
        run(a_task({"run": {"hold": "1"}}, budget={"approval_timeout": timedelta(hours=1)}), context)
    assert caught.value.timeout == timedelta(hours=1)


def test_a_retry_after_the_approval_does_not_ask_again_and_a_clear_does(vertex, context, asked):
    kwargs = parked(a_task({"run": {"hold": "1"}}), context)
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=403, times=1))
    with pytest.raises(AirflowFailException):
        a_task({"run": {"hold": "1"}}).execute_after_answer(context, event=answer(), **kwargs)
    context["ti"].try_number = 2
    context["task_state_store"].values.pop(INTENT)  # it was refused for sure: nothing to look for
    run(a_task({"run": {"hold": "1"}}), context)
    assert (len(asked), len(vertex.admin.jobs())) == (1, 1)
    vertex.admin.reset()
    context["ti"].max_tries += 4
    parked(a_task({"run": {"hold": "1"}}), context)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "fault", [Fault(Operation.CREATE, FaultKind.STATUS, status=429, headers={"Retry-After": "3600"})]
)
def test_a_retry_is_weighed_again_since_its_input_and_its_budget_may_have_changed(vertex, context, fault):
    task = a_task({"run": {"refuse": "1.5"}})
    vertex.admin.add_fault(fault)
    with pytest.raises(ResourceExhaustedError):
        run(task, context)
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW * 5)  # before the quota is there again
    context["ti"].try_number = 2
    with pytest.raises(AirflowFailException, match=r"2\.505 USD estimated, over its limit of 1\.50 USD"):
        run(task, context)
    assert vertex.admin.jobs() == []


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (answer("Reject"), "ann rejected it"),
        ({"error": "too late", "error_type": "timeout"}, "no one answered in time"),
        ({"chosen_options": [], "responded_by_user": None}, "an unknown user rejected it"),
    ],
)
def test_what_is_not_approved_is_not_submitted(vertex, context, asked, event, why):
    kwargs = parked(a_task({"run": {"hold": "1"}}), context)
    with pytest.raises(AirflowFailException, match=f"{why}. Nothing was submitted"):
        a_task({"run": {"hold": "1"}}).execute_after_answer(context, event=event, **kwargs)
    assert vertex.admin.jobs() == []
    assert APPROVAL not in context["task_state_store"].values


def test_an_approval_does_not_cover_a_job_that_has_grown(vertex, context, asked):
    kwargs = parked(a_task({"run": {"hold": "1"}}), context)
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW * 5)
    task = a_task({"run": {"hold": "1"}})
    task.render_template_fields(context)
    with pytest.raises(AirflowFailException, match=r"approved up to 2\.036 USD, .* is now 2\.505 USD"):
        task.execute_after_answer(context, event=answer(), **kwargs)
    assert vertex.admin.jobs() == []


@pytest.mark.parametrize(("rows", "covered"), [(4, True), (5, False)])
def test_an_approval_covers_what_airflow_shows_which_after_a_clear_is_the_first_question(
    vertex, context, asked, rows, covered
):
    task = a_task({"run": {"hold": "1"}})
    parked(task, context)
    context["ti"].max_tries += 1
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW * rows)
    if covered:  # 2.004 USD, at most 4.072 USD; shown were 2.036 USD
        assert Decimal(str(parked(task, context)["asked"]["usd"])) == Decimal("2.036")
    else:
        said = r"still shows the question .* up to 2\.036 USD, .* is now 2\.505 USD.* Trigger a new run"
        with pytest.raises(AirflowFailException, match=said):
            run(task, context)
    assert vertex.admin.jobs() == []


def test_an_approval_of_a_known_cost_does_not_cover_one_that_is_not_known(vertex, context, asked):
    kwargs = parked(a_task({"run": {"hold": "1"}}), context)
    task = a_task({"run": {"hold": "1"}}, inputs="bq://p.d.t", unknown="hold")
    task.output_uri = "bq://p.d"
    task.render_template_fields(context)
    with pytest.raises(AirflowFailException, match=r"up to 2\.036 USD, .* is now at least 0\.00 USD"):
        task.execute_after_answer(context, event=answer(), **kwargs)
    assert vertex.admin.jobs() == []


def test_a_job_of_unknown_cost_goes_once_a_person_has_approved_that(vertex, context, asked):
    task = a_task({"run": {"hold": "1"}}, inputs="bq://p.d.t", unknown="hold")
    task.output_uri = "bq://p.d"
    kwargs = parked(task, context)
    assert "up to 0.00 USD, and the part whose cost is not known. Nothing" in asked[0].body
    task.execute_after_answer(context, event=answer(), **kwargs)
    assert len(vertex.admin.jobs()) == 1


def test_a_spec_does_not_choose_who_approves_what_the_limits_of_all_teams_hold(
    vertex, context, asked, tmp_path
):
    file = tmp_path / "budgets.yaml"
    file.write_text("everyone:\n  per_day: {hold: 1}\n  approvers: [cfo]\n")
    own = {"approvers": ("intern",)}
    parked(a_task({"run": {"warn": "100"}}, budget=own, budgets_file=str(file)), context)
    assert [user.id for user in asked[0].assigned_users] == ["cfo"]


def test_a_cleared_task_is_not_charged_for_what_it_reserved_before(vertex, context, ledger):
    """As after a night on which the proxy was away, and `record_cost` could not release anything."""
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=403, times=1))
    limits = {"run": {"refuse": "1.5"}, "day": {"refuse": "1.5"}}
    with pytest.raises(AirflowFailException):
        run(a_task(limits), context)
    context["ti"].max_tries += 1
    run(a_task(limits), context)
    assert ledger.sums(TODAY).reserved.amount == EXPECTED


def test_an_approval_does_not_pass_a_refusal(vertex, context, asked):
    kwargs = parked(a_task({"run": {"hold": "1"}}), context)
    with pytest.raises(AirflowFailException, match="refuse"):
        a_task({"run": {"refuse": "1"}}).execute_after_answer(context, event=answer(), **kwargs)


@pytest.mark.parametrize("model", ["gemini-3.8-flash"])
@pytest.mark.parametrize(("unknown", "goes"), [("warn", True), ("refuse", False)])
def test_a_table_cannot_be_counted_so_the_budget_says_what_that_means(vertex, context, model, unknown, goes):
    task = a_task({"run": {"refuse": "100"}}, inputs="bq://p.d.t", unknown=unknown)
    task.output_uri = "bq://p.d"
    if goes:
        run(task, context)
        assert context["ti"].xcoms["submit", "estimate"]["complete"] is False
    else:
        with pytest.raises(AirflowFailException, match="no price"):
            run(task, context)
    assert len(vertex.admin.jobs()) == int(goes)


def test_without_a_limit_a_cost_table_that_is_out_of_order_keeps_no_job_back(
    vertex, context, monkeypatch, tmp_path
):
    (tmp_path / "costs.db").write_text("no database" * 100)
    run(a_task(), context)
    assert len(vertex.admin.jobs()) == 1


def test_with_a_limit_a_cost_table_that_is_out_of_order_keeps_the_job_back(vertex, context, tmp_path):
    (tmp_path / "costs.db").write_text("no database" * 100)
    with pytest.raises(AirflowFailException, match="Cost table"):
        run(a_task({"run": {"refuse": "100"}}), context)
    assert vertex.admin.jobs() == []


def test_the_limits_of_teams_stand_in_one_file(vertex, context, tmp_path):
    file = tmp_path / "budgets.yaml"
    file.write_text("teams:\n  search:\n    per_month: {refuse: 1}\n")
    with pytest.raises(AirflowFailException, match=r"the month of team search: 1\.002 USD estimated"):
        run(a_task(budgets_file=str(file)), context)
    file.write_text("teams:\n  ads:\n    per_month: {refuse: 1}\n")
    run(a_task(budgets_file=str(file)), context)
    assert len(vertex.admin.jobs()) == 1


def test_a_file_of_limits_that_cannot_be_read_keeps_every_job_back(vertex, context, tmp_path):
    file = tmp_path / "budgets.yaml"
    file.write_text("teams:\n  search:\n    per_month: {refuse: lots}\n")
    with pytest.raises(
        AirflowFailException, match=r"budgets.yaml:3:25: teams.search.per_month.refuse: must be"
    ):
        run(a_task(budgets_file=str(file)), context)
    assert vertex.admin.jobs() == []


def record(context: dict[str, Any]) -> dict[str, Any]:
    with DAG("nightly", schedule=None):
        task = AggregateTokenUsageOperator(
            task_id="record_cost", submit_task_id="submit", prices=PRICES, spec="nightly"
        )
    context["ti"].task_id = "record_cost"
    return task.execute(context)


def test_the_bill_stands_beside_what_was_expected(connections, context, ledger, vertex):
    vertex.admin.reset()
    vertex.admin.add_scenario(AT_ONCE)
    job = run_to_its_end(a_task(), context, vertex)
    context["ti"].xcoms["submit", "return_value"] = job
    (told,) = record(context)["jobs"]
    assert (told["expected_usd"], told["low_usd"], told["high_usd"]) == ("1.002", "0.082", "2.036")
    assert (told["over_expectation"], told["outside_expectation"]) == (False, "")
    spent = ledger.sums(TODAY)
    assert spent == Sums(spent=Total(Decimal(told["amount_usd"]), complete=told["complete"]))


def test_the_first_bill_of_an_ordinary_job_is_within_what_was_expected_thoughts_included(vertex, context):
    vertex.admin.reset()
    thinking = {Trait.THOUGHTS: 1.0}
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="SUCCEEDED", seconds=0)], mix=thinking))
    vertex.gcs.put("gs://demo-bucket/in.jsonl", ROW_WITHOUT_LIMIT * 20)
    context["ti"].xcoms["submit", "return_value"] = run_to_its_end(a_task(), context, vertex)
    (told,) = record(context)["jobs"]
    assert (told["ok_rows"], told["outside_expectation"]) == (20, "")


def test_a_bill_outside_of_what_was_expected_says_so(vertex, context, caplog):
    job = run(a_task(), context)
    bill = make_bill(job["job_id"], [make_line(9, "1")])
    with caplog.at_level("INFO"):
        found = ExpectedCosts("batch_costs", logging.getLogger("record")).compare([bill])[job["job_id"]]
    assert found["over_expectation"] is True
    assert found["outside_expectation"] == "above the expected range of 0.082 to 2.04 USD"
    assert "cost 9.00 USD, above the expected range" in caplog.text


def test_what_was_reserved_for_a_job_that_never_was_is_given_back(vertex, context, ledger, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__LOOK_SECONDS", "0.2")
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=403, times=None))
    with pytest.raises(AirflowFailException):
        run(a_task(), context)
    assert ledger.sums(TODAY).reserved.amount == EXPECTED
    with pytest.raises(AirflowSkipException):
        record(context)
    assert ledger.sums(TODAY) == Sums()
