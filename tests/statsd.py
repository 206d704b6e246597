"""Airflow's own StatsD client, and a socket that listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from airflow.observability import stats as trigger_stats
from airflow.observability.metrics import stats_utils as trigger_utils
from airflow.sdk.observability import stats as task_stats
from airflow.sdk.observability.metrics import stats_utils as task_utils

LAST = "the last one"


class Listener:
    """A StatsD server on loopback."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.port = self.socket.getsockname()[1]

    def received(self) -> list[str]:
        """Everything that was sent since the last call; loopback keeps the order."""
        self.socket.sendto(LAST.encode(), ("127.0.0.1", self.port))
        found = []
        while (line := self.socket.recv(65536).decode()) != LAST:
            found.append(line)
        return found


@contextmanager
def listening(monkeypatch: pytest.MonkeyPatch, *, tagged: bool) -> Iterator[Listener]:
    """Send Airflow's statistics to a listener, with or without tags."""
    with ExitStack() as stack:
        server = Listener()
        stack.callback(server.socket.close)
        settings = {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(server.port),
            "STATSD_PREFIX": "airflow",
            "STATSD_INFLUXDB_ENABLED": str(tagged),
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        for stats, utils in ((task_stats, task_utils), (trigger_stats, trigger_utils)):
            stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=False)
            silent = __import__(stats.initialize.__module__, fromlist=["NoStatsLogger"]).NoStatsLogger
            stack.callback(stats.initialize, factory=silent, export_legacy_names=True)
        yield server
