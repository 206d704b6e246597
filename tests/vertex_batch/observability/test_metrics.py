"""Metrics on the wire: Airflow's own StatsD client, and a socket that listens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.statsd import listening
from tests.vertex_batch.costs.conftest import make_bill, make_line
from vertex_batch.errors import TransientError
from vertex_batch.observability import metrics
from vertex_batch.usage import Kind


@pytest.fixture(params=["tagged", "plain"])
def form(request) -> str:
    return request.param


@pytest.fixture
def listener(monkeypatch, form):
    with listening(monkeypatch, tagged=form == "tagged") as server:
        yield server


@pytest.fixture
def names(form):
    tags = ",spec=nightly,team=search,model=gemini-2.5-flash" if form == "tagged" else ""

    def named(line: str) -> str:
        name, _, value = line.partition(":")
        return f"airflow.vertex_batch.{name}{tags}:{value}"

    return named


def test_a_bill_becomes_state_rows_tokens_cost_and_times(listener, names):
    begun = datetime(2026, 11, 22, 2, tzinfo=UTC)
    bill = make_bill(
        items=[
            make_line(1000),
            make_line(7, kind=Kind.THOUGHTS, price="1.25e-06"),
            make_line(5, kind=Kind.OUTPUT, price=None),
        ],
        create_time=begun,
        start_time=begun + timedelta(minutes=2),
        end_time=begun + timedelta(hours=1),
    )
    assert bill.total.amount == Decimal("0.00015875")
    metrics.recorded(bill, None)
    assert sorted(listener.received()) == sorted(
        names(line)
        for line in (
            "job.ended.succeeded:1|c",
            "rows.ok:9|c",
            "rows.failed:1|c",
            "rows.unreadable:1|c",
            "tokens.input:1000|c",
            "tokens.thoughts:7|c",
            "tokens.output:5|c",
            "job.cost_microusd:159|c",
            "job.unpriced:1|c",
            "job.queue:120000.000000|ms",
            "job.run:3480000.000000|ms",
        )
    )


def test_what_did_not_happen_is_not_told(listener, names):
    metrics.recorded(make_bill(items=[], create_time=None), None)
    assert names("job.ended.succeeded:1|c") in (told := listener.received())
    assert not [line for line in told if "cost" in line or "tokens" in line or "queue" in line]


def test_a_later_bill_counts_nothing_again_and_is_reported_if_its_sum_differs(listener, names):
    bill = make_bill(items=[make_line(1000)])
    metrics.recorded(bill, bill.total)
    assert listener.received() == []
    metrics.recorded(bill, make_bill(items=[]).total)
    assert listener.received() == [names("job.rebilled:1|c")]


def test_submissions_and_verdicts_are_counted_by_name(listener, names):
    facts = {"spec": "nightly", "team": "search", "model": "publishers/google/models/gemini-2.5-flash"}
    metrics.submitted("submit", **facts)
    metrics.weighed("hold", **facts)
    assert listener.received() == [names("job.submit:1|c"), names("budget.hold:1|c")]


@pytest.mark.parametrize("in_trigger", [False, True])
def test_failed_polls_are_counted_in_the_worker_and_in_the_triggerer(listener, form, in_trigger):
    metrics.poll_failed(TransientError("no answer"), in_trigger=in_trigger)
    tags = ",error=TransientError" if form == "tagged" else ""
    assert listener.received() == [f"airflow.vertex_batch.poll.errors{tags}:1|c"]


def test_hostile_names_cannot_add_lines_or_tags(listener, form):
    metrics.submitted("submit", spec="a,b=c:1|c\nx", team="", model="m")
    tags = ",spec=a_b_c_1_c_x,model=m" if form == "tagged" else ""
    assert listener.received() == [f"airflow.vertex_batch.job.submit{tags}:1|c"]
