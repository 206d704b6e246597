"""A real fake-gcs-server behind a proxy that counts requests, and objects of several blocks in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from local.stack.gcs import ObjectStore
from local.stack.ports import LOOPBACK
from tests.object_store import object_store
from vertex_batch.hooks.storage import open_storage
from vertex_batch.storage import ObjectStorage


class CountingProxy:
    """Passes requests on to the object store and keeps their method and path."""

    def __init__(self, port: int) -> None:
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], object] = lambda _method, _path: None
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                proxy.calls.append((self.command, unquote(self.path)))
                proxy.before(self.command, unquote(self.path))
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
                upstream = HTTPConnection(LOOPBACK, port, timeout=60)
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
                upstream.close()
                self.send_response(answer.status)
                hop_by_hop = {"transfer-encoding", "content-length", "connection"}
                for name, value in answer.getheaders():
                    if name.lower() not in hop_by_hop:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _pass_on  # noqa: N815 - http.server's names

            def log_message(self, *args: object) -> None:
                """Nothing: the calls are kept."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reads_of(self, name: str) -> int:
        """How many requests fetched bytes of an object."""
        return sum(urlsplit(path).path.endswith(name) and "alt=media" in path for _, path in self.calls)

    @property
    def listings(self) -> int:
        """How many requests listed a bucket."""
        return sum(urlsplit(path).path.endswith("/o") for method, path in self.calls if method == "GET")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("storage"), "rows") as started:
        yield started


@pytest.fixture
def counted(gcs) -> Iterator[CountingProxy]:
    proxy = CountingProxy(int(gcs.url.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def storage(counted, monkeypatch) -> ObjectStorage:
    """The object store through Airflow's connection, gcsfs and the counting proxy."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", counted.url)
    connection = {
        "conn_type": "google_cloud_platform",
        "extra": {"project": "demo-project", "is_anonymous": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    return open_storage()
