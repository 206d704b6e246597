"""A proxy that says what a test tells it to, over real sockets."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import DagRunResult, ErrorResponse, GetDagRun
from pydantic import JsonValue, TypeAdapter

from local.emulator.admin import EmulatorAdmin, Scenario
from local.stack.gcs import ObjectStore, gcs_service
from local.stack.ports import LOOPBACK, Ports
from local.stack.processes import ManagedProcess, Service, answers
from tests.builders import LOCATION, PROJECT, ROW, a_request
from vertex_batch.cli import main
from vertex_batch.dag_factory import build_dag
from vertex_batch.specs import spec_of
from vertex_batch.vertex.client import BatchClient, ProxyConfig
from vertex_batch.vertex.resource import CreateJobRequest, JobReference


@dataclass(frozen=True)
class Call:
    """What arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back. `how`: `answer`, `reset` (after reading the request), `truncate`, or `hang`."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "answer"

    @classmethod
    def of(cls, data: Any, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(data).encode(), {"content-type": "application/json", **named})


class ScriptedProxy:
    """Gives the replies of a script in turn, the last one for ever; or asks a function."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._script: deque[Reply] = deque([Reply()])
        self._route: Callable[[Call], Reply] | None = None
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def reply(self, *replies: Reply) -> None:
        self._script, self._route = deque(replies), None

    def route(self, function: Callable[[Call], Reply]) -> None:
        self._route = function

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while call := _read_call(stream):
                self.calls.append(call)
                reply = self._route(call) if self._route else self._next()
                if not self._send(connection, reply):
                    return

    def _next(self) -> Reply:
        return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def _send(self, connection: socket.socket, reply: Reply) -> bool:
        if reply.how == "hang":
            self._over.wait(10)
            return False
        if reply.how == "reset":
            # Closing with a zero linger time sends RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head = {"content-length": str(len(reply.body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in head.items())]
        body = reply.body[: len(reply.body) // 2] if reply.how == "truncate" else reply.body
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return reply.how == "answer"


def _read_call(stream: Any) -> Call | None:
    try:
        first = stream.readline().decode()
        if not first.strip():
            return None
        method, target, _ = first.split(" ", 2)
        headers: dict[str, str] = {}
        while line := stream.readline().decode().strip():
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        return Call(method, target, headers, stream.read(int(headers.get("content-length", 0))))
    except (OSError, ValueError):  # gone, or no HTTP
        return None


@pytest.fixture
def proxy() -> Iterator[ScriptedProxy]:
    server = ScriptedProxy()
    yield server
    server.close()


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@dataclass(frozen=True)
class EmulatedVertex:
    """The emulated job service and its object store, reached without the proxy between."""

    admin: EmulatorAdmin
    direct: ProxyConfig
    gcs: ObjectStore

    def submit(self, **scenario: Any) -> JobReference:
        """Create a job over ``in.jsonl`` that lives as the scenario says."""
        self.admin.add_scenario(Scenario(times=1, **scenario))
        return JobReference(PROJECT, LOCATION, self.create(a_request(display_name="waited for")))

    def create(self, request: CreateJobRequest, location: str = LOCATION) -> str:
        """Create a job; return its id."""
        with BatchClient(self.direct) as client:
            return client.create(PROJECT, location, request).job_id

    def cancel(self, job: JobReference) -> None:
        """Ask for the end of a job, as somebody else does."""
        with BatchClient(self.direct) as client:
            client.cancel(job.project, job.location, job.job_id)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory) -> Iterator[EmulatedVertex]:
    home = tmp_path_factory.mktemp("emulated-vertex")
    ports = Ports({})
    storage_port, port = ports.choose("object store"), ports.choose("emulator")
    storage_url = f"http://{LOOPBACK}:{storage_port}"
    command = [
        *(sys.executable, "-m", "local.emulator", "--port", str(port), "--storage-url", storage_url),
        *("--project", "demo-project", "--project-number", "100000000001", "--static-token", "sk-direct"),
    ]
    url = f"http://{LOOPBACK}:{port}"
    services = [
        gcs_service(port=storage_port, folder=home / "objects"),
        Service("emulator", command, answers(f"{url}/_admin/settings"), {}, 30),
    ]
    processes = [ManagedProcess(service, home / f"{service.role}.log", "tests") for service in services]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait_until_ready()
        store, admin = ObjectStore(storage_url), EmulatorAdmin(url)
        store.create_bucket("demo-bucket")
        direct = ProxyConfig(
            base_url=url, api_key="sk-direct", route_prefix="/v1", max_retry_wait_seconds=0.05
        )
        yield EmulatedVertex(admin, direct, store)
        admin.close()
        store.close()
    finally:
        for process in processes:
            process.stop()


_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
"""As Airflow's messages have it: a tuple is refused."""


class TaskStateStore:
    """The part of Airflow's task state store that a task uses, kept in memory.

    It refuses what Airflow's refuses, such as a tuple.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = json.loads(json.dumps(_JSON.validate_python(value)))


@dataclass
class TaskInstance:
    """What our tasks ask of a task instance."""

    dag_id: str = "nightly"
    run_id: str = "scheduled__2026-11-22"
    task_id: str = "submit"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 3
    start_date: datetime = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    xcoms: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    state: str | None = "running"
    states: dict[str, str | None] = field(default_factory=dict)
    other_runs: dict[str, dict[tuple[Any, ...], Any]] = field(default_factory=dict)
    states_of_runs: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        index = () if self.map_index == -1 else (self.map_index,)
        self.xcoms[self.task_id, key, *index] = value

    def xcom_pull(
        self,
        task_ids: str,
        key: str = "return_value",
        run_id: str | None = None,
        map_indexes: int | None = None,
    ) -> Any:
        """As Airflow: of all map indices, in their order; a single value without its list; else None."""
        if map_indexes is not None:
            index = () if map_indexes == -1 else (map_indexes,)
            return self.xcoms.get((task_ids, key, *index))
        xcoms = self.xcoms if run_id in {None, self.run_id} else self.other_runs.get(run_id, {})
        names = sorted(name for name in xcoms if name[:2] == (task_ids, key))
        values = [xcoms[name] for name in names]
        return values if len(values) > 1 else next(iter(values), None)

    def get_first_reschedule_date(self, context: Any) -> None:
        """No earlier poll of this try is known."""

    def get_dr_count(self, dag_id: str, states: Sequence[str]) -> int:
        return 1 + len(self.states_of_runs)

    def get_task_states(
        self, dag_id: str, task_ids: Sequence[str] | None = None, **_: Any
    ) -> dict[str, dict[str, str | None]]:
        assert dag_id == self.dag_id
        runs = {**self.states_of_runs, self.run_id: self.states or {self.task_id: self.state}}
        return {
            # As Airflow: the name of a mapped task ends with its index.
            run_id: {
                name: state
                for name, state in states.items()
                if task_ids is None or {name, name.rpartition("_")[0]} & {*task_ids}
            }
            for run_id, states in runs.items()
        }


@dataclass
class DagRun:
    run_after: datetime = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    start_date: datetime | None = datetime(2026, 11, 22, 2, 31, tzinfo=UTC)
    logical_date: datetime | None = None
    partition_date: datetime | None = None
    run_type: str = "scheduled"
    note: str | None = None
    conf: dict[str, Any] | None = None
    triggering_user_name: str | None = None
    clear_number: int = 0


@pytest.fixture
def vertex(connections, request) -> EmulatedVertex:
    """The emulated Vertex with an input, reached by Airflow's connections.

    ``pytest.mark.vertex(...)`` of a module or a test says what it needs: ``rows``, the bytes of an
    input; ``inputs``, the objects that have them; ``scenario``, how jobs live; ``speed``, 1 for jobs that
    take minutes.
    """
    marker = request.node.get_closest_marker("vertex")
    wanted = {"rows": ROW * 4, "inputs": ("in.jsonl",), "speed": 1000, **(marker.kwargs if marker else {})}
    connections.admin.set_settings(speed=wanted["speed"])
    if "scenario" in wanted:
        connections.admin.add_scenario(wanted["scenario"])
    for name in wanted["inputs"]:
        connections.gcs.put(f"gs://demo-bucket/{name}", wanted["rows"])
    return connections


class AirflowRuns:
    """Airflow's API server, asked for runs of `nightly`."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.status = 404

    def add(self, run_id: str, moment: datetime, *, state: str = "success", **conf: Any) -> None:
        """A run that was triggered at a moment."""
        self.runs[run_id] = {"run_after": moment, "start_date": moment, "state": state, "conf": conf}

    def send(self, message: GetDagRun) -> DagRunResult:
        """Answer as the supervisor does, which finds ``a`` for ``a#b``."""
        found = self.runs.get(message.run_id.partition("#")[0])
        if found is None or message.dag_id != "nightly":
            detail = {"status_code": self.status}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
        names = ("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date")
        known: dict[str, Any] = {**dict.fromkeys((*names, "partition_key")), "consumed_asset_events": []}
        run_id = message.run_id.partition("#")[0]
        return DagRunResult(dag_id="nightly", run_id=run_id, run_type="manual", **{**known, **found})


@pytest.fixture
def airflow_runs(monkeypatch) -> AirflowRuns:
    """What Airflow knows about other runs, for a task that runs here."""
    runs = AirflowRuns()
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", runs, raising=False)
    return runs


@pytest.fixture
def context() -> dict[str, Any]:
    """The part of Airflow's context that our tasks read; a real one comes with the system tests."""
    return {"ti": TaskInstance(), "dag_run": DagRun(), "params": {}, "task_state_store": TaskStateStore()}


@pytest.fixture
def delivering_dag() -> DAG:
    """The DAG of a spec whose answers are delivered."""
    fields = {"model": "gemini-2.5-flash", "inputs": "gs://demo-bucket/in.jsonl", "split": "off"}
    results = {"to": "gs://demo-bucket/answers.jsonl"}
    return build_dag(
        spec_of({"name": "nightly", "output": "gs://demo-bucket/out/", **fields, "results": results})
    )


@pytest.fixture
def connections(emulator, monkeypatch, tmp_path) -> EmulatedVertex:
    """Airflow connections to the emulated Vertex, its object store, and a cost table of the test."""
    litellm = {
        "conn_type": "litellm",
        "host": emulator.direct.base_url,
        "password": emulator.direct.api_key,
        "extra": {"project": "demo-project", "location": "us-central1", "route_prefix": "/v1"},
    }
    google = {
        "conn_type": "google_cloud_platform",
        "extra": {"project": "demo-project", "is_anonymous": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", json.dumps(litellm))
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(google))
    costs = {"conn_type": "sqlite", "host": str(tmp_path / "costs.db")}
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", json.dumps(costs))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.gcs.url)
    emulator.admin.reset()
    return emulator


@pytest.fixture
def run(capsys):
    """Run the command line here; return its exit status, output and error output."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
