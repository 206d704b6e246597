"""What wakes a DAG, what it announces, in which pool it runs, and whom it tells."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import BaseNotifier, Context
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import State

from vertex_batch.dag_factory import build_dag, build_dags
from vertex_batch.dag_factory.notices import notify_late, on_cost
from vertex_batch.specs import load_specs, spec_of

MINIMAL = {"model": "m", "inputs": "gs://bucket/a.jsonl", "output": "gs://bucket/out/"}
TOLD: list[tuple[str, str]] = []


def spec(**fields):
    return spec_of({"name": "nightly", **MINIMAL, **fields})


def copied(dag):
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


@dataclass(frozen=True)
class TaskInstance:
    task_id: str
    state: str


class Recorder(BaseNotifier):
    """A notifier as people write them."""

    template_fields = ("text",)

    def __init__(self, text: str = "", **kwargs) -> None:
        super().__init__(**kwargs)
        self.text = text

    def notify(self, context: Context) -> None:
        TOLD.append((context["dag_run"].run_id, self.text))


class Broken(BaseNotifier):
    def notify(self, context: Context) -> None:
        raise ConnectionError("no way out")


@pytest.fixture
def notifier(monkeypatch):
    """Make this module's notifiers importable by a path, as an installed provider's are."""
    import sys

    TOLD.clear()
    monkeypatch.setitem(sys.modules, "told", SimpleNamespace(Recorder=Recorder, Broken=Broken, dict=dict))
    monkeypatch.setattr(
        "vertex_batch.specs.events.importlib.util.find_spec", lambda _: SimpleNamespace(origin=None)
    )


def context(**more):
    dag_run = SimpleNamespace(run_id="r1", dag_id="nightly")
    return {"dag_run": dag_run, "dag": build_dag(spec()), "ti": None, "run_id": "r1", **more}


class TestSchedule:
    @pytest.mark.parametrize(
        ("schedule", "kind"),
        [
            ({"cron": "30 2 * * *"}, "DueRunsTimetable"),
            ({"assets": ["other"]}, "AssetTriggeredTimetable"),
            ({"assets": ["other", "gs://bucket/x"], "when": "any"}, "AssetTriggeredTimetable"),
            ({"assets": ["other"], "cron": "@daily"}, "SerializedDueRunsOrAssets"),
            (
                {
                    "timetable": "airflow.sdk.CronTriggerTimetable",
                    "arguments": {"expression": "0 6 * * MON-FRI", "timezone": "UTC"},
                },
                "CronTriggerTimetable",
            ),
        ],
    )
    def test_each_kind_gives_a_dag_that_airflow_takes(self, schedule, kind):
        assert type(copied(build_dag(spec(schedule=schedule))).timetable).__name__ == kind

    def test_a_timetable_that_no_plugin_has_registered_hides_no_other_dag(
        self, specs, good, monkeypatch, tmp_path
    ):
        (tmp_path / "own_times.py").write_text(
            "from airflow.sdk import CronTriggerTimetable\n\n\nclass Own(CronTriggerTimetable):\n    pass\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        schedule = "\nschedule: {timetable: own_times.Own, arguments: {expression: '@daily', timezone: UTC}}"
        found = load_specs(specs(good=good, bad=good + schedule))

        assert [dag.dag_id for dag in build_dags(found)] == ["good"]
        assert "bad.yaml:6:1: schedule: no Airflow plugin registers `own_times.Own`" in str(found.errors[0])

    def test_arguments_that_a_timetable_does_not_take_are_shown_at_the_schedule(self, specs, good):
        schedule = "\nschedule: {timetable: airflow.sdk.CronTriggerTimetable, arguments: {cron: '@daily'}}"
        found = load_specs(specs(good=good, bad=good + schedule))

        assert [dag.dag_id for dag in build_dags(found)] == ["good"]
        assert "bad.yaml:6:1: schedule: `CronTriggerTimetable` cannot be created" in str(found.errors[0])

    def test_one_spec_wakes_another_by_the_same_asset(self):
        producer = build_dag(spec(asset=True))
        consumer = build_dag(spec_of({**MINIMAL, "name": "next", "schedule": {"assets": ["nightly"]}}))

        (announced,) = producer.get_task("results").outlets
        (awaited,) = consumer.timetable.asset_condition.objects
        assert (announced.name, announced.uri) == (awaited.name, awaited.uri) == ("vertex_batch/nightly",) * 2

    def test_results_are_announced_only_where_the_job_has_some(self):
        results = build_dag(spec(asset=True)).get_task("results")

        assert results.trigger_rule == "none_failed_min_one_success"
        assert results.upstream_task_ids == {"wait", "record_cost"}
        assert not build_dag(spec()).has_task("results")

    @pytest.mark.parametrize(
        ("wait", "record", "results", "run_state"),
        [
            ("success", "success", "success", "success"),
            ("failed", "success", "upstream_failed", "failed"),
            ("success", "failed", "upstream_failed", "failed"),
        ],
    )
    def test_a_run_that_announces_is_as_its_job_and_its_bill_were(self, wait, record, results, run_state):
        dag = copied(build_dag(spec(asset=True, split="off")))
        ended = {"submit": "success", "wait": wait, "ended": "success", "record_cost": record}
        tasks = [TaskInstance(task_id, state) for task_id, state in {**ended, "results": results}.items()]
        deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)
        assert [task.task_id for task in deciding] == ["results"]
        failed = any(task.state in State.failed_states for task in deciding)
        assert ("failed" if failed else "success") == run_state

    def test_each_of_several_jobs_announces_its_own(self):
        dag = build_dag(spec(jobs={"a": {"asset": True}, "b": {}}))

        assert [asset.name for asset in dag.get_task("a.results").outlets] == ["vertex_batch/nightly/a"]
        assert not dag.has_task("b.results")


class TestPool:
    def test_it_holds_what_costs_money_and_never_what_ends_it(self):
        dag = copied(build_dag(spec(pool="vertex_batch")))

        pools = {task.task_id: task.pool for task in dag.tasks}
        assert pools == {
            "plan_inputs": "default_pool",
            "submit": "vertex_batch",
            "wait": "vertex_batch",
            "ended": "default_pool",
            "record_cost": "default_pool",
        }

    def test_a_job_that_runs_gets_a_slot_before_one_that_is_to_be_submitted(self):
        dag = build_dag(spec(pool="vertex_batch"))
        submit, wait = dag.get_task("submit"), dag.get_task("wait")

        assert wait.priority_weight > submit.priority_weight
        assert type(copied(dag).get_task("submit").weight_rule).__name__ == "_AbsolutePriorityWeightStrategy"


class TestNotices:
    def test_a_failed_run_is_told_with_the_notifiers_own_templates(self, notifier):
        dag = build_dag(
            spec(
                notify=[
                    {"on": ["failure"], "notifier": "told.Recorder", "arguments": {"text": "{{ run_id }}!"}}
                ]
            )
        )

        for callback in dag.on_failure_callback:
            callback(context())

        assert TOLD == [("r1", "r1!")]

    @pytest.mark.parametrize("path", ["told.Broken", "told.dict", "told.Gone"])
    def test_a_notifier_that_breaks_is_logged_and_breaks_nothing(self, notifier, caplog, path):
        (callback,) = build_dag(spec(notify=[{"notifier": path}])).on_failure_callback

        with caplog.at_level(logging.WARNING):
            callback(context())

        assert "Run r1 of nightly has failed" in caplog.text
        assert f"the notifier {path} failed" in caplog.text

    def test_without_a_notifier_it_is_a_line_in_the_log(self, caplog):
        notify_late(context(), None, {})

        assert "Run r1 of nightly takes longer than expected" in caplog.text

    def test_a_run_past_its_timeout_is_told_that_its_answers_may_not_be_delivered(self, caplog):
        """Airflow skips teardowns, too."""
        (callback,) = build_dag(spec(notify=[{"on": ["failure"]}])).on_failure_callback

        callback(context(reason="timed_out"))

        assert "paid for and not delivered. Clear record_cost" in caplog.text

    def test_lateness_survives_what_airflow_makes_of_a_dag(self):
        dag = build_dag(spec(expected_duration="6h", notify=[{"on": ["failure"]}]))

        (alert,) = dag.deadline
        assert alert.interval.total_seconds() == 21_600
        assert alert.callback.path == "vertex_batch.dag_factory.notices.notify_late"
        assert copied(dag).deadline

    @pytest.mark.parametrize(
        ("bill", "told"),
        [
            ({"amount_usd": "12.500001"}, [("r1", "12.500001 of 12.5")]),
            ({"amount_usd": "12.5"}, []),
            ({"amount_usd": None}, []),
            (None, []),
        ],
    )
    def test_a_bill_over_expectation_is_told(self, notifier, bill, told):
        made = spec(
            expected_cost_usd=12.5,
            notify=[
                {"on": ["failure"], "notifier": "told.Recorder"},
                {
                    "on": ["cost"],
                    "notifier": "told.Recorder",
                    "arguments": {"text": "{{ cost_usd }} of {{ expected_cost_usd }}"},
                },
            ],
        )
        (callback,) = on_cost(made, made.job)
        ti = SimpleNamespace(task_id="record_cost", xcom_pull=lambda task_ids: bill)

        callback(context(ti=ti))

        assert told == TOLD
        assert made.job.expected_cost_usd == Decimal("12.5")
        assert build_dag(made).get_task("record_cost").on_success_callback

    @pytest.mark.parametrize("over", [True, False])
    def test_without_an_expectation_of_the_spec_the_estimates_count(self, caplog, over):
        """What the jobs over their estimates cost, and not the sum of all."""
        made = spec(notify=[{"on": ["cost"]}])
        (callback,) = on_cost(made, made.job)
        jobs = [
            {"amount_usd": "5", "complete": False, "high_usd": "4.5", "over_expectation": over},
            {"amount_usd": "8", "complete": True, "high_usd": "9", "over_expectation": False},
        ]
        bill = {"amount_usd": "13", "complete": False, "jobs": jobs}
        ti = SimpleNamespace(task_id="record_cost", xcom_pull=lambda task_ids: bill)

        with caplog.at_level(logging.WARNING):
            callback(context(ti=ti))

        said = "cost at least 5.00 USD in record_cost, more than the expected 4.50 USD"
        assert (said in caplog.text) is over

    def test_nobody_is_told_unless_the_spec_says_so(self):
        dag = build_dag(spec())

        assert not dag.on_failure_callback
        assert not dag.deadline
        assert not dag.get_task("record_cost").on_success_callback


def test_the_owner_has_a_link():
    dag = build_dag(spec(owner="search-team", owner_link="mailto:search@example.com"))

    assert dag.owner_links == {"search-team": "mailto:search@example.com"}
