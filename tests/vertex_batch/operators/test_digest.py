"""The digest's task: its figures from a cost table, and whom it tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, BaseNotifier

from tests.builders import copy_first_job
from tests.vertex_batch.costs.conftest import make_bill
from vertex_batch.costs import CostTable
from vertex_batch.errors import ConfigurationError
from vertex_batch.operators import SpendDigestOperator
from vertex_batch.pricing import CONTRADICTION
from vertex_batch.usage import Kind, UsageKey

TOLD: list[tuple[str, str]] = []
NOTIFIER = "tests.vertex_batch.operators.test_digest.Recorder"
SPEC = "model: m\ninputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\nbudget: {per_month: {refuse: 7}}\n"


class Recorder(BaseNotifier):
    """A notifier as people write them."""

    template_fields = ("text",)

    def __init__(self, to: str = "", text: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to, self.text = to, text

    def notify(self, context: Any) -> None:
        import tests.vertex_batch.operators.test_digest as me

        me.TOLD.append((self.to, self.text))


@pytest.fixture
def told():
    import tests.vertex_batch.operators.test_digest as me

    me.TOLD.clear()
    return me.TOLD


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch) -> CostTable:
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", f"sqlite:///{tmp_path}/costs.db")
    table = CostTable(f"sqlite:////{tmp_path}/costs.db")
    night = datetime(2026, 11, 21, 2, tzinfo=UTC)
    table.record(make_bill("1", logical_date=night))
    table.record(make_bill("2", logical_date=night, state="FAILED"))
    table.record(make_bill("3", logical_date=datetime(2026, 11, 20, tzinfo=UTC)))
    return table


def digest(context, **arguments: Any) -> str:
    with DAG("digest", schedule=None):
        task = SpendDigestOperator(task_id="digest", **{"day": "2026-11-21", **arguments})
    return task.execute(context)


def test_it_adds_up_the_day_and_names_what_failed(context):
    text = digest(context)
    assert text.startswith("Batch prediction jobs on 2026-11-21: 0.00155 USD, 2 jobs")
    assert "nightly: 0.00155 USD, 2 jobs, 2 of 22 rows failed" in text
    assert "nightly: FAILED job 2" in text


def test_it_names_the_jobs_of_earlier_days_that_ended_on_the_day(context, table):
    """Those of a backfill are in no other digest."""
    for number, state, ended in (("4", "SUCCEEDED", 21), ("5", "FAILED", 21), ("6", "SUCCEEDED", 22)):
        end = datetime(2026, 11, ended, 9, tzinfo=UTC)
        long_ago = datetime(2025, 3, 1, tzinfo=UTC)
        table.record(make_bill(number, spec="old", logical_date=long_ago, end_time=end, state=state))
    text = digest(context)
    assert text.startswith("Batch prediction jobs on 2026-11-21: 0.00155 USD, 2 jobs")
    assert "Jobs of earlier days that ended on this day:\n  old: 0.00155 USD, 2 jobs" in text
    assert "old: FAILED job 5" in text
    assert "old" not in digest(context, day="2026-11-20")


def test_by_default_the_day_is_that_before_the_run(context):
    """Also when its task is cleared days later. The run of the context is of 2026-11-22."""
    assert digest(context, day="").startswith("Batch prediction jobs on 2026-11-21:")


def test_it_names_what_failed_on_a_day_of_many_jobs(context, table):
    """The failed one is the last of them."""
    later = datetime(2026, 11, 23, tzinfo=UTC)
    copy_first_job(table, 1001, state="SUCCEEDED", recorded_at=later, day=date(2026, 11, 21))
    assert "nightly: FAILED job 2" in digest(context)


def test_it_names_lists_that_contradict_and_models_that_stop_with_their_successors_cost(context, table):
    night = datetime(2026, 11, 21, 3, tzinfo=UTC)
    flag = f"{CONTRADICTION} of text input of gemini-4-argon: one list says 1, another 2"
    for number in ("4", "5"):
        bill = make_bill(number, logical_date=night)
        table.record(
            replace(
                bill, flags=(flag, "another flag"), usage={UsageKey("gemini-2.5-flash", Kind.INPUT): 1000}
            )
        )
    text = digest(context)
    assert f"Contradicting prices:\n  {flag} (2 bills)" in text
    assert "another flag" not in text
    assert "Models that stop:\n  gemini-2.5-flash stops: its last day is 2027-03-31" in text
    # All jobs of the last 30 days, and their 5,000 tokens at 0.15 and at 0.375, and 10 % more in a region.
    assert "Its jobs of the last 30 days cost 0.003875 USD" in text
    assert "with gemini-3.5-flash-lite 0.000825 USD, with gemini-3.8-flash 0.002063 USD" in text


def test_it_compares_the_month_with_the_budgets_of_specs_and_teams(context, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "nightly.yaml").write_text(SPEC)
    (tmp_path / "jobs" / "broken.yaml").write_text("model: [")
    budgets = tmp_path / "budgets.yaml"
    budgets.write_text("teams: {search: {per_month: {warn: 1, refuse: 9}, per_day: {refuse: 5}}}\n")
    text = digest(context, specs_folder=str(tmp_path / "jobs"), budgets_file=str(budgets))
    (part,) = [part for part in text.split("\n\n") if part.startswith("This month vs.")]
    assert "the month of team search: " in part
    assert "of 9.00 USD" in part
    assert "the month of spec nightly: " in part
    assert "of 7.00 USD" in part
    assert "the day of" not in part


def test_the_budgets_are_compared_with_the_month_of_the_day(context, table, tmp_path):
    """Also on the first of a month, when the digest is about the last day of the month before."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "nightly.yaml").write_text(SPEC)
    for number, day in (("4", 31), ("5", 12)):
        created = datetime(2025, 12, day, 2, tzinfo=UTC)
        table.record(make_bill(number, logical_date=created, create_time=created))
    text = digest(context, day="2025-12-31", specs_folder=str(tmp_path / "jobs"))
    assert "This month:\n  0.00155 USD so far" in text
    assert "the month of spec nightly: 0.00155 USD of 7.00 USD" in text


def test_a_notifier_is_given_the_text(context, told):
    text = digest(context, notifier=NOTIFIER, arguments={"to": "team", "text": "Money: {{ digest }}"})
    assert told == [("team", f"Money: {text}")]


def test_the_notifier_may_stand_in_airflows_configuration(context, told, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__DIGEST_NOTIFIER", NOTIFIER)
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__DIGEST_ARGUMENTS", '{"to": "all", "text": "{{ digest_day }}"}')
    digest(context)
    assert told == [("all", "2026-11-21")]


@pytest.mark.parametrize(
    ("notifier", "arguments", "said"),
    [
        ("os.path.join", "{}", "not an Airflow notifier"),
        ("nothing", "{}", "not an Airflow notifier"),
        (NOTIFIER, "[]", "must be a JSON object"),
        (NOTIFIER, "{", "must be a JSON object"),
    ],
)
def test_what_cannot_be_sent_says_why(context, monkeypatch, notifier, arguments, said):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__DIGEST_ARGUMENTS", arguments)
    with pytest.raises(ConfigurationError, match=said):
        digest(context, notifier=notifier)
