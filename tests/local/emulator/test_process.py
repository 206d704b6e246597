"""The emulator as a process: how it starts, where it listens, how it stops."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).parents[3]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "local.emulator", "--storage-url", "http://127.0.0.1:9", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_at_once_even_with_work_in_hand(number):
    with start("--static-token", "t") as process:
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        fault = {"op": "list", "kind": "hold"}
        httpx.post(f"{url}/_admin/faults", json=fault, trust_env=False).raise_for_status()
        path = "/v1/projects/demo-project/locations/global/batchPredictionJobs"
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(url + path, headers={"authorization": "Bearer t"}, timeout=0.2, trust_env=False)
        process.send_signal(number)
        assert process.wait(timeout=3) == 0
        assert process.stderr.read() == ""


def test_without_a_certificate_there_is_no_second_port():
    with start() as process:
        ready = json.loads(process.stdout.readline())
        assert (ready["tls_port"], ready["project"]) == (None, "demo-project")
        process.kill()


def test_a_port_in_use_is_said_plainly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start("--port", str(port)) as process:
            assert process.wait(timeout=10) == 1
            assert process.stderr.read().strip() == f"127.0.0.1:{port}: Address already in use"


def test_a_certificate_needs_its_key():
    with start("--cert", "x.pem") as process:
        assert process.wait(timeout=10) == 2
        assert "--cert and --key go together" in process.stderr.read()


def test_it_listens_on_the_loopback_address_only(emulator):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        address = probe.getsockname()[0]
    for port in (emulator.port, emulator.tls_port):
        with pytest.raises(OSError, match=r"refused|timed out"):
            socket.create_connection((address, port), timeout=1)
