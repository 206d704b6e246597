"""Metrics on the wire: Airflow's own StatsD client, and a socket that listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from airflow.observability import stats as trigger_stats
from airflow.observability.metrics import stats_utils as trigger_utils
from airflow.sdk.observability import stats as task_stats
from airflow.sdk.observability.metrics import stats_utils as task_utils

from tests.vertex_batch.costs.conftest import make_bill, make_line
from vertex_batch.errors import TransientError
from vertex_batch.observability import metrics
from vertex_batch.usage import Kind

LAST = "the last one"


class Listener:
    """A StatsD server on loopback."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.port = self.socket.getsockname()[1]

    def received(self) -> list[str]:
        """Everything that was sent before this; loopback keeps the order."""
        self.socket.sendto(LAST.encode(), ("127.0.0.1", self.port))
        found = []
        while (line := self.socket.recv(65536).decode()) != LAST:
            found.append(line)
        return found


@pytest.fixture(params=["tagged", "plain"])
def form(request) -> str:
    return request.param


@pytest.fixture
def listener(monkeypatch, form):
    with ExitStack() as stack:
        server = Listener()
        stack.callback(server.socket.close)
        settings = {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(server.port),
            "STATSD_PREFIX": "airflow",
            "STATSD_INFLUXDB_ENABLED": str(form == "tagged"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        for stats, utils in ((task_stats, task_utils), (trigger_stats, trigger_utils)):
            stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=False)
            silent = __import__(stats.initialize.__module__, fromlist=["NoStatsLogger"]).NoStatsLogger
            stack.callback(stats.initialize, factory=silent, export_legacy_names=True)
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
    metrics.recorded(bill)
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
    metrics.recorded(make_bill(items=[], create_time=None))
    assert names("job.ended.succeeded:1|c") in (told := listener.received())
    assert not [line for line in told if "cost" in line or "tokens" in line or "queue" in line]


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
