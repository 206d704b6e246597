"""A SIGKILL in the middle of staging or recording 60,000 rows leaves nothing double and nothing missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from vertex_batch.costs import CostTable
from vertex_batch.vertex.names import JobId

ROWS = 60_000
FILES = 3
KILLED = Path(__file__).with_name("killed.py")


def row(number: int) -> bytes:
    request = {"contents": [{"role": "user", "parts": [{"text": f"row {number}"}]}]}
    return json.dumps({"request": request}).encode() + b"\n"


def answer(number: int) -> bytes:
    usage = {"promptTokenCount": number, "candidatesTokenCount": 1, "totalTokenCount": number + 1}
    return json.dumps({"response": {"responseId": f"r{number}", "usageMetadata": usage}}).encode() + b"\n"


@pytest.fixture(scope="module")
def filled(gcs):
    for file in range(FILES):
        own = range(file, ROWS, FILES)
        gcs.put(f"gs://rows/kills/in/{file}.jsonl", b"".join(map(row, own)))
        gcs.put(f"gs://rows/kills/job/{file:012}.jsonl", b"".join(map(answer, own)))
    return "gs://rows/kills"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(KILLED), *arguments], stdout=subprocess.PIPE)


def kill_at(proxy, process: subprocess.Popen[bytes], seen) -> None:
    """Kill the process at the first request that a function recognizes, before it is answered."""
    proxy.before = lambda method, path: process.kill() if seen(method, path) else None
    process.communicate(timeout=120)
    proxy.before = lambda _method, _path: None
    assert process.returncode == -9


@pytest.mark.parametrize("uploads", [1, 4])
def test_a_kill_while_staging_leaves_every_row_once(storage, counted, gcs, filled, uploads):
    for uri in gcs.list(f"{filled}/out/"):
        gcs.delete(uri)
    left = iter(range(uploads - 1))
    kill_at(
        counted,
        start("stage", filled),
        lambda method, path: method == "POST" and "/upload/" in path and next(left, None) is None,
    )
    done, _ = start("stage", filled).communicate(timeout=120)
    parts = json.loads(done.splitlines()[-1])  # behind the log
    uris = [uri for part in parts for uri in part["uris"]]
    written = Counter(line for uri in uris for line in gcs.get(uri).splitlines(keepends=True))
    assert sorted(gcs.list(f"{filled}/out/")) == sorted(uri for uri in uris if "/out/" in uri)
    assert (len(parts), sum(written.values()), len(written)) == (6, ROWS, ROWS)
    assert written.keys() == set(map(row, range(ROWS)))


@pytest.mark.parametrize("reads", [2, 5])
def test_a_kill_while_recording_leaves_one_bill_with_every_row(storage, counted, filled, tmp_path, reads):
    table = tmp_path / "costs.db"
    left = iter(range(reads - 1))
    kill_at(
        counted,
        start("record", filled, str(table)),
        lambda _method, path: "alt=media" in path and next(left, None) is None,
    )
    again = start("record", filled, str(table))
    again.communicate(timeout=120)
    assert again.returncode == 0
    bill = CostTable(f"sqlite:///{table}").bill(JobId("p", "us-central1", "1"))
    assert bill is not None
    assert (bill.rows.ok, bill.rows.input_rows, bill.rows.unreadable) == (ROWS, ROWS, 0)
    assert sum(bill.usage.values()) == sum(range(ROWS)) + ROWS
