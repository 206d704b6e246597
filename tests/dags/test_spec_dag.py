"""One spec -> its DAG: the order of the tasks, what decides a run, the form, the dates."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import State, TaskInstanceState

from vertex_batch.dag_factory import build_dag
from vertex_batch.specs import Spec, spec_of

NIGHT = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # the 22nd in Berlin
SUCCESS, FAILED, SKIPPED = TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, TaskInstanceState.SKIPPED
UPSTREAM_FAILED = TaskInstanceState.UPSTREAM_FAILED


def spec(**fields: Any) -> Spec:
    given = {
        "name": "nightly",
        "model": "gemini-2.5-flash",
        "inputs": "gs://bucket/in/{{ run_date }}.jsonl",
        "output": "gs://bucket/out/{{ run_date }}/",
        "split": "off",
    }
    return spec_of({**given, **fields})


def run(**dates: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"partition_date": None, "logical_date": None, "run_after": NIGHT} | dates)


def test_the_tasks_stand_in_their_order():
    dag = build_dag(spec())

    assert [task.task_id for task in dag.topological_sort()] == ["submit", "wait", "ended", "record_cost"]
    assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} == {
        "submit": [],
        "wait": ["submit"],
        "ended": ["wait"],
        "record_cost": ["ended"],
    }


RESULTS = {"to": "gs://bucket/answers/{{ run_date }}.parquet", "key": "id"}


class TestDelivery:
    @pytest.mark.parametrize("split", ["auto", "off"])
    def test_it_follows_the_bill_alone(self, split):
        dag = build_dag(spec(results=RESULTS, split=split))

        assert dag.get_task("deliver").upstream_task_ids == {"record_cost"}
        # Marking a run skips what has not run yet, but for teardowns: paid answers are delivered.
        assert dag.get_task("deliver").is_teardown
        assert dag.get_task("deliver").trigger_rule == "all_done_setup_success"

    def test_without_results_there_is_none(self):
        assert "deliver" not in build_dag(spec()).task_ids

    @pytest.mark.parametrize(
        ("wait", "record", "deliver", "run_state"),
        [
            (SUCCESS, SUCCESS, SUCCESS, "success"),
            (FAILED, SUCCESS, SUCCESS, "failed"),
            (SUCCESS, FAILED, FAILED, "failed"),
            (SUCCESS, SUCCESS, FAILED, "failed"),
            (UPSTREAM_FAILED, SKIPPED, SKIPPED, "failed"),
        ],
    )
    def test_a_run_is_as_its_job_was_though_its_answers_were_delivered(
        self, wait, record, deliver, run_state
    ):
        dag = DagSerialization.deserialize_dag(
            DagSerialization.serialize_dag(build_dag(spec(results=RESULTS)))
        )
        ended = {
            "submit": SUCCESS,
            "wait": wait,
            "ended": SUCCESS,
            "record_cost": record,
            "deliver": deliver,
        }
        tasks = [_TaskInstance(task_id, state) for task_id, state in ended.items()]

        deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)

        assert {task.task_id for task in deciding} == {"wait", "deliver"}
        failed = any(task.state in State.failed_states for task in deciding)
        assert ("failed" if failed else "success") == run_state

    @pytest.mark.parametrize(
        "fields",
        [
            {"asset": True},
            {"asset": True, "split": "auto"},
            {"asset": True, "retry_rows": {"rounds": 1}},
            {"retry_rows": {"rounds": 2}},
            {"jobs": {"one": {}, "two": {"after": ["one"], "results": None}}},
        ],
    )
    @pytest.mark.parametrize("failed", ["wait", "record_cost", "deliver", None])
    def test_a_marked_run_that_other_tasks_follow_is_as_its_job_and_its_delivery_were(self, fields, failed):
        """A person marks the run: Airflow skips the tasks that follow the job, and runs the teardowns."""
        built = build_dag(spec(results=RESULTS, **fields))
        dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(built))
        group = "one." if "jobs" in fields else ""
        ran = {f"{group}{name}" for name in ("plan_inputs", "submit", "wait")}
        done = {name for name in dag.task_ids if name in ran or dag.get_task(name).is_teardown}
        states = {name: SUCCESS if name in done else SKIPPED for name in dag.task_ids}
        if failed:
            states[f"{group}{failed}"] = FAILED
        check = built.get_task(f"{group}check_tasks")
        ti: Any = SimpleNamespace(
            dag_id="nightly",
            run_id="tonight",
            get_task_states=lambda task_ids, **_: {"tonight": {name: states[name] for name in task_ids}},
            xcom_push=lambda **_: None,
        )
        with pytest.raises(AirflowFailException, match=failed) if failed else nullcontext():
            check.execute({"ti": ti})
        states[check.task_id] = FAILED if failed else SUCCESS
        tasks = [_TaskInstance(task_id, state) for task_id, state in states.items()]

        deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)

        assert any(task.state in State.failed_states for task in deciding) is bool(failed)
        assert dag.get_task(check.task_id).trigger_rule == "all_done_setup_success"

    def test_results_are_announced_after_the_delivery_which_the_event_contains(self):
        dag = build_dag(spec(results=RESULTS, asset=True))

        assert "deliver" in dag.get_task("results").upstream_task_ids
        assert dag.get_task("results").deliver_task_id == "deliver"

    def test_a_later_job_may_read_what_was_delivered(self):
        jobs = {"one": {"results": RESULTS}, "two": {"after": ["one"]}}
        dag = build_dag(spec(jobs=jobs))

        assert "one.deliver" in dag.get_task("two.submit").upstream_task_ids

    def test_one_task_delivers_all_shards(self):
        dag = build_dag(spec(results=RESULTS, split="auto"))

        assert (
            dag.get_task("deliver").plan_task_id == dag.get_task("record_cost").plan_task_id == "plan_inputs"
        )


def test_the_bill_is_written_in_any_case_and_no_task_waits_for_a_failure():
    dag = build_dag(spec())

    assert dag.get_task("record_cost").trigger_rule == "all_done_setup_success"
    # Marking a run as failed skips what has not run yet, but for teardowns.
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["ended", "record_cost"]


@pytest.mark.parametrize("fields", [{}, {"split": "auto"}, {"split": "auto", "results": RESULTS}])
def test_no_task_of_a_usual_night_is_skipped_or_started_for_nothing(fields):
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(build_dag(spec(**fields))))

    assert {task.trigger_rule for task in dag.tasks} == {"all_success", "all_done_setup_success"}
    unstarted = [name for name, task in dag.task_dict.items() if not TaskInstance.is_task_schedulable(task)]
    assert unstarted == ["ended"]


@pytest.mark.parametrize(
    ("submit", "wait", "record", "run_state"),
    [
        (SUCCESS, SUCCESS, SUCCESS, "success"),
        (SUCCESS, FAILED, SUCCESS, "failed"),
        (FAILED, UPSTREAM_FAILED, SKIPPED, "failed"),
        (SUCCESS, SUCCESS, FAILED, "failed"),
    ],
)
def test_a_run_is_as_its_job_was_though_the_bill_was_recorded(submit, wait, record, run_state):
    """Airflow's own choice of the tasks that decide a run, on the serialised DAG."""
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(build_dag(spec())))
    ended = {"submit": submit, "wait": wait, "ended": SUCCESS, "record_cost": record}
    tasks = [_TaskInstance(task_id, state) for task_id, state in ended.items()]

    deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)

    assert {task.task_id for task in deciding} == {"wait", "record_cost"}
    failed = any(task.state in State.failed_states for task in deciding)
    assert ("failed" if failed else "success") == run_state


class _TaskInstance:
    def __init__(self, task_id: str, state: TaskInstanceState) -> None:
        self.task_id, self.state = task_id, state


def test_a_failed_run_stays_cheap_to_find_and_a_retry_backs_off():
    dag = build_dag(spec(owner="search-team", tags=["nightly"], retries=5, retry_delay="30s"))

    assert dag.tags == {"vertex-batch", "nightly"}
    for task in dag.tasks:
        if task.task_id == "ended":  # no process runs it
            continue
        assert (task.owner, task.retries, task.retry_delay) == ("search-team", 5, timedelta(seconds=30))
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == timedelta(hours=1)


@pytest.mark.parametrize(
    ("budget", "resumed"), [(None, {"wait"}), ({"per_run": {"hold": 1}}, {"submit", "wait"})]
)
def test_a_task_that_resumes_is_tried_again_where_airflow_took_it_for_dead(budget, resumed):
    """Airflow's own choice between a retry and a failure, after the executor's late report."""
    built = build_dag(spec(retries=0, **({"budget": budget} if budget else {})))
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(built))
    for task in dag.tasks:
        ti = SimpleNamespace(state="queued", task=task, try_number=1, max_tries=task.retries)
        assert TaskInstance.is_eligible_to_retry(ti) is (task.task_id in resumed), task.task_id


def test_the_tasks_are_given_what_the_spec_says():
    dag = build_dag(
        spec(
            project="my-project",
            location="europe-west4",
            team="search",
            labels={"env": "prod"},
            generation={"temperature": 0},
            connection="proxy",
            storage_connection="store",
            cost_connection="costs",
            poll_interval="2m",
            deadline="12h",
            queue_deadline="6h",
            run_deadline="3h",
            resubmits=2,
            max_failed_ratio=0.1,
            cancel_on_kill=False,
            prices={"gemini-2.5-flash": {"input": 0.15}},
            max_unreadable_rows=7,
            max_unrecognized_rows=8,
        )
    )
    submit, wait, record = (dag.get_task(name) for name in ("submit", "wait", "record_cost"))

    assert (submit.project, submit.location, submit.model) == (
        "my-project",
        "europe-west4",
        "gemini-2.5-flash",
    )
    assert submit.labels == {"team": "search", "env": "prod"}
    assert submit.failure_limits == {"max_failed_ratio": 0.1}
    assert submit.model_parameters == {"temperature": 0}
    assert (wait.poll_interval_seconds, wait.deadline_seconds, wait.max_failed_ratio) == (120, 43_200, 0.1)
    assert (wait.queue_deadline_seconds, wait.run_deadline_seconds, wait.resubmits) == (21_600, 10_800, 2)
    assert record.resubmit_task_ids == ("wait",)
    assert (submit.cancel_on_kill, wait.cancel_on_kill) == (False, False)
    assert {task.litellm_conn_id for task in (submit, wait, record)} == {"proxy"}
    assert {submit.gcp_conn_id, record.gcp_conn_id} == {"store"}
    assert record.batch_costs_conn_id == "costs"
    assert record.prices == spec(prices=record.prices).job.prices
    assert (record.max_unreadable_rows, record.max_unrecognized_rows) == (7, 8)
    assert record.submit_task_id == "submit"
    assert {submit.spec, record.spec} == {"nightly"}


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        ("30 2 * * *", "DueRunsTimetable"),
        ("@daily", "DueRunsTimetable"),
        ({"cron": "@daily"}, "DueRunsTimetable"),
        ({"cron": "@daily", "assets": ["other/job"]}, "SerializedDueRunsOrAssets"),
        ("@once", "OnceTimetable"),
        (None, "NullTimetable"),
    ],
)
def test_every_schedule_gives_a_dag_that_airflow_takes(schedule, kind):
    dag = build_dag(spec(schedule=schedule, timezone="Europe/Berlin"))
    copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

    assert type(copy.timetable).__name__ == kind
    assert not copy.catchup


def test_with_catchup_the_timetable_is_airflows_own():
    dag = build_dag(spec(schedule="30 2 * * *", start_date="2026-11-01", catchup=True))
    copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert (type(copy.timetable).__name__, copy.catchup) == ("CronTriggerTimetable", True)


@pytest.mark.parametrize("schedule", ["30 2 * * *", {"cron": "30 2 * * *", "assets": ["other/job"]}])
def test_reading_a_spec_again_does_not_make_another_version_of_its_dag(schedule):
    first, second = (
        DagSerialization.serialize_dag(build_dag(spec(schedule=schedule, start_within="2h")))
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schedule": "30 2 * * *"}, "more than 1h after it was due"),
        (
            {"schedule": {"cron": "30 2 * * *"}, "start_within": "6h"},
            "more than 6h after it was due",
        ),
        ({"schedule": "@daily", "catchup": True, "start_date": "2026-11-01"}, ""),
        ({"schedule": {"assets": ["other/job"]}}, ""),
        ({"schedule": None}, ""),
    ],
)
def test_the_dags_page_says_what_happens_to_a_late_run(fields, said):
    page = build_dag(spec(**fields)).doc_md
    assert said in page
    assert ("airflow backfill create --dag-id nightly" in page) == bool(said)


def test_a_schedule_is_of_the_specs_time_zone():
    from airflow.timetables.base import TimeRestriction

    dag = build_dag(spec(schedule="30 0 * * *", timezone="Europe/Berlin", start_date="2026-11-22"))
    copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

    first = copy.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(copy.start_date, None, catchup=True)
    )
    assert first.logical_date == NIGHT


class TestDates:
    @pytest.mark.parametrize(
        "dag_run",
        [run(logical_date=NIGHT), run(), run(partition_date=NIGHT, run_after=NIGHT + timedelta(days=3))],
        ids=[
            "scheduled or backfilled",
            "by hand, or woken by an asset",
            "partitioned",
        ],
    )
    @pytest.mark.parametrize("start_date", [None, "2026-11-01"])
    def test_they_pick_the_input_of_the_specs_day_in_every_kind_of_run(self, dag_run, start_date):
        fields = {"start_date": start_date} if start_date else {}
        submit = build_dag(
            spec(timezone="Europe/Berlin", labels={"day": "{{ run_date }}"}, **fields)
        ).get_task("submit")

        submit.render_template_fields({"dag_run": dag_run, "params": {}})

        assert submit.inputs == ["gs://bucket/in/2026-11-22.jsonl"]
        assert submit.output_uri == "gs://bucket/out/2026-11-22/"
        assert submit.display_name == "nightly 2026-11-22"
        assert submit.labels == {"day": "2026-11-22"}

    def test_a_day_that_was_entered_stands_in_place_of_the_runs(self):
        for task_id, split in (("submit", "off"), ("plan_inputs", "auto")):
            task = build_dag(spec(timezone="Europe/Berlin", split=split)).get_task(task_id)
            task.render_template_fields({"dag_run": run(), "params": {"run_date": "2026-03-01"}})
            assert task.inputs == ["gs://bucket/in/2026-03-01.jsonl"]


class TestForm:
    def test_nothing_in_it_is_required_and_it_says_what_holds_otherwise(self):
        dag = build_dag(spec(schedule="@daily"))

        left_empty = dag.params.validate()
        assert left_empty.pop("dry_run") is False
        assert set(left_empty.values()) == {None}
        for name, value in {
            "input": "gs://bucket/in/",
            "model": "gemini-2.5-flash",
            "labels": "none",
        }.items():
            assert value in dag.params.get_param(name).schema["description_md"]

    @pytest.mark.parametrize(
        ("fields", "shown"),
        [
            ({"inputs": ["gs://bucket/a/x.jsonl"]}, "Default: gs://bucket/a/x.jsonl"),
            ({"inputs": [f"gs://bucket/{n}/" for n in range(4)]}, "Default: gs://bucket/0/ and 3 more"),
            ({"inputs": ["gs://bucket/my_in/*.jsonl"]}, r"Default: gs://bucket/my\_in/\*.jsonl"),
            (
                {"jobs": {name: {"inputs": f"gs://bucket/{name}/"} for name in "abcde"}},
                "Default: a gs://bucket/a/, b gs://bucket/b/, c gs://bucket/c/ and 2 more",
            ),
        ],
    )
    def test_a_default_is_short_and_plain_text(self, fields, shown):
        text = build_dag(spec(**fields)).params.get_param("input").schema["description_md"]
        assert text == f"Read these instead, one per line. {shown}"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("input", ["gs://bucket/a.jsonl"]),
            ("input", "gs://bucket/a.jsonl"),
            ("input", []),
            ("run_date", "2026-11-22"),
            ("dry_run", True),
            ("dry_run", None),
            ("model", "publishers/google/models/gemini-2.5-pro"),
            ("labels", {"env": "test"}),
            ("note", "because\nof that"),
            *((name, None) for name in ("input", "model", "labels", "note")),
        ],
    )
    def test_it_takes(self, name, value):
        assert build_dag(spec()).params.get_param(name).resolve(value) == value

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("input", ["/etc/passwd"]),
            ("input", "s3://bucket/a"),
            ("run_date", "22.11.2026"),
            ("run_date", "tomorrow"),
            ("dry_run", "yes"),
            ("model", "two words"),
            ("labels", {"env": "Not A Label"}),
            ("labels", ["env"]),
            ("labels", {"airflow_job_key": "x"}),
            ("labels", {f"l{n}": "x" for n in range(49)}),
            ("note", "x" * 1001),
        ],
    )
    def test_it_refuses(self, name, value):
        with pytest.raises(ParamValidationError):
            build_dag(spec()).params.get_param(name).resolve(value)

    def test_what_is_filled_in_replaces_the_specs_values_for_this_run_and_is_never_rendered(self):
        submit = build_dag(spec(team="search")).get_task("submit")
        params = {
            "input": ["gs://other/{{ var.value.secret }}.jsonl"],
            "model": "gemini-2.5-pro",
            "labels": {"env": "test"},
            "note": "try it",
        }

        submit.render_template_fields({"dag_run": run(), "params": params})

        assert submit.inputs == ["gs://other/{{ var.value.secret }}.jsonl"]
        assert submit.model == "gemini-2.5-pro"
        assert submit.labels == {"team": "search", "env": "test"}

    def test_what_is_left_empty_is_as_the_spec_says(self):
        submit = build_dag(spec()).get_task("submit")

        submit.render_template_fields(
            {"dag_run": run(), "params": {"input": [], "model": "", "labels": {}, "note": None}}
        )

        assert (submit.inputs, submit.model) == (["gs://bucket/in/2026-11-21.jsonl"], "gemini-2.5-flash")


class TestPage:
    def test_it_shows_what_the_spec_says(self):
        page = build_dag(spec(description="Tickets of the day", deadline="12h", tags=["a", "b"])).doc_md

        assert page.startswith("Tickets of the day\n\n[Costs")
        assert "| setting | value |" in page
        assert "| deadline | `12h` |" in page
        assert "| tags | `a`<br>`b` |" in page

    def test_it_leaves_out_settings_that_the_spec_does_not_have_and_says_where_their_defaults_are(self):
        page = build_dag(spec(deadline="12h")).doc_md

        table = page.partition("### Settings")[2]
        assert "| deadline | `12h` |" in table
        for name in ("poll_interval", "retries", "max_failed_ratio"):
            assert f"| {name} |" not in table
        assert "`docs/specs.md` lists under *Fields*" in table

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"split": "auto"},
            {"results": RESULTS, "retry_rows": {"rounds": 2}, "asset": True},
            {"jobs": {"a": {}}},
        ],
    )
    def test_it_describes_the_tasks_that_there_are_and_no_other(self, fields):
        dag = build_dag(spec(**fields))

        told = dag.doc_md.partition("### Tasks")[2].partition("###")[0]
        names = {name for name in re.findall(r"^\| `(\w+)` ", told, re.MULTILINE) if name != "retry_N"}
        assert names == {task.task_id.split(".")[-1] for task in dag.tasks if "retry" not in task.task_id}
        assert ("retry_N" in told) == any("retry" in task_id for task_id in dag.task_ids)
        assert "This pays for a new job." in dag.doc_md

    def test_no_value_breaks_its_table(self):
        page = build_dag(spec(owner="a|b `c`", generation={"x": "|"})).doc_md

        assert "| owner | `a\\|b 'c'` |" in page

    def test_it_is_the_same_at_each_parse_so_that_airflow_makes_no_new_version(self):
        first, second = (
            DagSerialization.serialize_dag(build_dag(spec(labels={"b": "1", "a": "2"}))) for _ in "12"
        )

        assert first == second


class TestJobs:
    JOBS: ClassVar = {
        "summaries": {"inputs": "gs://bucket/a.jsonl"},
        "topics": {"inputs": "gs://bucket/b.jsonl", "model": "gemini-2.5-pro", "after": ["summaries"]},
    }

    def test_each_has_its_own_group_of_tasks(self):
        dag = build_dag(spec(jobs=self.JOBS))

        assert [task.task_id for task in dag.tasks] == [
            *(f"summaries.{task}" for task in ("submit", "wait", "ended", "record_cost", "check_tasks")),
            *(f"topics.{task}" for task in ("submit", "wait", "ended", "record_cost")),
        ]
        for job in self.JOBS:
            assert dag.get_task(f"{job}.record_cost").submit_task_id == f"{job}.submit"
            assert dag.get_task(f"{job}.record_cost").resubmit_task_ids == (f"{job}.wait",)
        assert {task.spec for task in dag.tasks if hasattr(task, "spec")} == {"nightly"}
        assert dag.get_task("topics.submit").display_name == "nightly topics {{ run_date }}"

    def test_one_waits_for_the_results_of_another_and_not_for_its_bill(self):
        dag = build_dag(spec(jobs=self.JOBS))

        assert dag.get_task("topics.submit").upstream_task_ids == {"summaries.wait"}
        assert dag.get_task("topics.submit").trigger_rule == "none_failed"
        assert dag.get_task("summaries.submit").trigger_rule == "all_success"

    @pytest.mark.parametrize(
        ("states", "run_state"),
        [
            ((SUCCESS, SUCCESS), "success"),
            ((FAILED, UPSTREAM_FAILED), "failed"),
            ((SUCCESS, FAILED), "failed"),
            ((SKIPPED, SUCCESS), "success"),
        ],
    )
    def test_a_run_is_as_the_worst_of_its_jobs(self, states, run_state):
        dag = DagSerialization.deserialize_dag(
            DagSerialization.serialize_dag(build_dag(spec(jobs=self.JOBS)))
        )
        tasks = [
            _TaskInstance(f"{job}.{task}", state if task in ("submit", "wait") else SUCCESS)
            for job, state in zip(self.JOBS, states, strict=True)
            for task in ("submit", "wait", "ended", "record_cost")
        ]

        deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)

        failed = any(task.state in State.failed_states for task in deciding)
        assert ("failed" if failed else "success") == run_state

    def test_the_form_offers_them_and_takes_no_other(self):
        param = build_dag(spec(jobs=self.JOBS)).params.get_param("jobs")

        assert param.resolve(["topics"]) == ["topics"]
        with pytest.raises(ParamValidationError):
            param.resolve(["topic"])
        assert "jobs" not in build_dag(spec()).params

    @pytest.mark.parametrize("task", ["plan_inputs", "submit"])
    def test_one_that_was_not_chosen_is_skipped(self, task):
        dag = build_dag(spec(jobs=self.JOBS, split="auto"))
        task = dag.get_task(f"summaries.{task}")

        with pytest.raises(AirflowSkipException, match=r"Skipped job summaries: .* limited to topics"):
            task.execute({"params": {"jobs": ["topics"]}})

    def test_templates_know_the_name_of_the_job(self):
        dag = build_dag(spec(jobs=self.JOBS, output="gs://bucket/out/{{ job_name }}/"))
        submit = dag.get_task("topics.submit")

        submit.render_template_fields({"dag_run": run(), "params": {}})

        assert submit.output_uri == "gs://bucket/out/topics/"

    def test_the_page_and_the_form_show_them_all(self):
        dag = build_dag(spec(jobs=self.JOBS))

        assert "| setting of job `topics` | value |" in dag.doc_md
        shown = dag.params.get_param("model").schema["description_md"]
        assert "summaries gemini-2.5-flash, topics gemini-2.5-pro" in shown


class TestSplit:
    """A spec whose input may be too large for one job: a plan first, and the usual tasks for each part."""

    @staticmethod
    def split(**fields: Any) -> Spec:
        return spec(split="auto", **fields)

    def test_the_usual_tasks_are_mapped_over_the_parts(self):
        dag = build_dag(self.split())

        assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} == {
            "plan_inputs": [],
            "submit": ["plan_inputs"],
            "wait": ["submit"],
            "ended": ["wait"],
            "record_cost": ["ended"],
        }
        mapped = [task.task_id for task in dag.tasks if task.get_closest_mapped_task_group()]
        assert mapped == ["submit", "wait"]

    def test_the_tasks_know_of_each_other_also_in_a_group(self):
        dag = build_dag(self.split(jobs={"sums": {}, "more": {}}))
        plan, record = dag.get_task("sums.plan_inputs"), dag.get_task("sums.record_cost")

        assert plan.submit_task_id == record.submit_task_id == "sums.submit"
        assert record.plan_task_id == dag.get_task("sums.submit").plan_task_id == "sums.plan_inputs"
        assert record.resubmit_task_ids == ("sums.wait",)

    @pytest.mark.parametrize(
        ("jobs", "run_state"),
        [
            ([SUCCESS], "success"),
            ([FAILED], "failed"),
            ([SUCCESS, SUCCESS], "success"),
            ([SUCCESS, FAILED], "failed"),
            ([UPSTREAM_FAILED], "failed"),
        ],
    )
    def test_a_run_fails_if_one_shard_does(self, jobs, run_state):
        dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(build_dag(self.split())))
        tasks = [
            *(_TaskInstance("wait", state) for state in jobs),
            *(_TaskInstance(name, SUCCESS) for name in ("plan_inputs", "submit", "ended", "record_cost")),
        ]

        deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)

        failed = any(task.state in State.failed_states for task in deciding)
        assert ("failed" if failed else "success") == run_state

    def test_a_job_waits_for_the_results_of_all_shards_of_another(self):
        dag = build_dag(self.split(jobs={"a": {}, "b": {"after": ["a"]}}))

        assert dag.get_task("b.plan_inputs").upstream_task_ids == {"a.wait"}
        assert dag.get_task("b.plan_inputs").trigger_rule == "none_failed"

    @pytest.mark.parametrize(
        "fields",
        [{"split": "off"}, {"inputs": "bq://project.dataset.table", "output": "bq://project.dataset"}],
    )
    def test_what_is_never_split_has_no_more_than_the_usual_tasks(self, fields):
        dag = build_dag(spec(**{"split": "auto", **fields}))

        assert [task.task_id for task in dag.tasks] == ["submit", "wait", "ended", "record_cost"]
        assert "sample" not in dag.params

    def test_the_plan_is_given_what_the_spec_says(self):
        plan = build_dag(
            self.split(max_rows_per_job=10, max_bytes_per_job=2000, staging="gs://tmp/{{ run_date }}/")
        ).get_task("plan_inputs")
        plan.render_template_fields({"dag_run": run(), "params": {"input": ["gs://other/{{ x }}"]}})

        assert (plan.max_rows, plan.max_bytes, plan.staging) == (10, 2000, "gs://tmp/2026-11-21/")
        assert (plan.inputs, plan.output_uri) == (["gs://other/{{ x }}"], "gs://bucket/out/2026-11-21/")
