"""How fast a scan is, beside a plain ``json.loads`` sum of the same file, in one run.

    python tests/bench/scan_rate.py --megabytes 1000 --row-bytes 4400

Each contestant runs in a process of its own, so that the peak memory is its own. The rates are per core; the
totals must agree, or the run fails.
"""

# ruff: noqa: T201 - it prints to a terminal

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = "gemini-2.5-flash"
WORDS = ["batch", "ünïcode", 'a "quote"', "back\\slash", "usageMetadata", "line\nbreak", "tokens", "Vertex"]


def write_rows(path: Path, size: int, row_bytes: int) -> int:
    """Write about `size` bytes of varied rows; returns how many."""
    chance = random.Random(7)
    rows = [row(chance, row_bytes) for _ in range(500)]
    count = 0
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(rows[count % len(rows)])
            count += 1
    return count


def row(chance: random.Random, row_bytes: int) -> bytes:
    """One row: mostly answers, one in a hundred failed."""
    prompt, output, thoughts = (chance.randrange(1, 3000) for _ in range(3))
    request, answer = [], []
    while sum(map(len, request)) < max(row_bytes - 900, 0) * 2 // 3:
        request.append(chance.choice(WORDS))
        answer.append(chance.choice(WORDS) if len(request) % 2 else "")
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + output + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": output}],
        "trafficType": "ON_DEMAND",
    }
    candidate = {"content": {"role": "model", "parts": [{"text": " ".join(answer)}]}, "finishReason": "STOP"}
    response = {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r", "usageMetadata": usage}
    failed = chance.random() < 0.01
    body = {
        "status": "Bad Request: {}" if failed else "",
        "processed_time": "2026-11-21T21:29:47.352+00:00",
        "request": {"contents": [{"role": "user", "parts": [{"text": " ".join(request)}]}]},
        "response": {} if failed else response,
    }
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


def ours(path: Path) -> tuple[int, int]:
    """What the package does, checks included."""
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    from vertex_batch.usage import scan_file

    with path.open("rb") as stream:
        result = scan_file(stream, path.name, MODEL)
    return result.rows, sum(result.tokens.values())


def plain(path: Path) -> tuple[int, int]:
    """The peer: json.loads and additions, no checks."""
    rows = tokens = 0
    with path.open("rb") as stream:
        for line in stream:
            rows += 1
            usage = json.loads(line)["response"].get("usageMetadata")
            if usage:
                tokens += (
                    usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
                )
    return rows, tokens


def measure(name: str, work: Callable[[Path], tuple[int, int]], path: Path, results: Queue[tuple]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    rows, tokens = work(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results.put((name, rows, tokens, time.perf_counter() - started, time.process_time() - cpu, peak))


def main() -> int:
    """Generate, measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--row-bytes", type=int, default=4400)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        written = write_rows(path, options.megabytes * 1_000_000, options.row_bytes)
        megabytes = path.stat().st_size / 1e6
        print(f"{megabytes:,.0f} MB, {written:,} rows of {megabytes * 1e6 / written:,.0f} bytes")
        print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'MB/s':>8} {'rows/s':>10} {'peak MB':>8}")
        sums = set()
        for name, work in (("vertex_batch", ours), ("json.loads", plain)):
            results = context.Queue()
            process = context.Process(target=measure, args=(name, work, path, results))
            process.start()
            _, rows, tokens, wall, cpu, peak = results.get()
            process.join()
            sums.add((rows, tokens))
            print(f"{name:12} {wall:8.2f} {cpu:8.2f} {megabytes / cpu:8.0f} {rows / cpu:10,.0f} {peak:8}")
    if len(sums) != 1:
        print(f"the totals differ: {sums}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
