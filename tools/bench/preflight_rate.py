"""How fast a pre-flight reads rows, on one core, beside plain parsers: part of ``make bench``.

    python tools/bench/preflight_rate.py --megabytes 500 --row-bytes 4400

The CPU seconds are those of one process, the best of three passes over a file in memory, since a shared
machine can only make them worse. Every contestant must count the same rows.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from vertex_batch.preflight import Report, RowCheck, Severity, shape_of

PASSES = 3
WORDS = [
    "batch",
    "ünïcode",
    'a "quote"',
    "back\\slash",
    "usageMetadata",
    "line\nbreak",
    "tokens",
    "{} Vertex",
]


def row(chance: random.Random, row_bytes: int, *, odd: bool) -> bytes:
    """One row; an odd one has keys that most have not."""
    text: list[str] = []
    while sum(map(len, text)) < max(row_bytes - 200, 20):
        text.append(chance.choice(WORDS[:-1] if chance.random() < 0.999 else WORDS))
    request: dict[str, Any] = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": " ".join(text)}]}],
        "generationConfig": {"temperature": 0.2, "maxOutputTokens": 256},
    }
    if odd:
        request["labels"] = {f"label_{chance.randrange(50)}": "x"}
    key = f"k{chance.random()}"
    found = {"key": key, "metadata": {"customer": {"id": key}}, "request": request}
    return json.dumps(found, ensure_ascii=False).encode() + b"\n"


def with_preflight(data: bytes, key: str = "") -> int:
    report = Report()
    check = RowCheck(shape_of("gemini-2.5-flash"), report, key=key)
    check.file(io.BytesIO(data), "in.jsonl")
    assert not report.counts[Severity.JOB], report.lines()
    return report.rows


def with_json(data: bytes) -> int:
    return sum(1 for line in data.splitlines() if json.loads(line))


def with_msgspec(data: bytes) -> int:
    parse = msgspec.json.Decoder().decode
    return sum(1 for line in data.splitlines() if parse(line))


CONTESTANTS: dict[str, Callable[[bytes], int]] = {
    "pre-flight": with_preflight,
    "nested key": partial(with_preflight, key="metadata.customer.id"),
    "key of no row": partial(with_preflight, key="metadata.customer.no"),
    "json.loads alone": with_json,
    "msgspec alone": with_msgspec,
}


def main() -> int:
    """Measure and print; 1 if a contestant counts other rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--row-bytes", type=int, action="append", help="may be given several times")
    options = parser.parse_args()
    differs = False
    for row_bytes in options.row_bytes or [300, 700, 4400]:
        chance = random.Random(7)
        rows = [row(chance, row_bytes, odd=number % 100 == 0) for number in range(1000)]
        times = options.megabytes * 1_000_000 // sum(map(len, rows)) + 1
        data = b"".join(row.replace(b'"k0.', b'"k%d.' % turn) for turn in range(times) for row in rows)
        print(f"\n{len(data) / 1e6:,.0f} MB, rows of {len(rows[1]):,} bytes")
        counts = {name: measure(name, count, data) for name, count in CONTESTANTS.items()}
        differs |= len(set(counts.values())) > 1
    return int(differs)


def measure(name: str, count: Callable[[bytes], int], data: bytes) -> int:
    """Run one contestant a few times, and print its best."""
    best, rows = float("inf"), 0
    for _ in range(PASSES):
        started = time.process_time()
        rows = count(data)
        best = min(best, time.process_time() - started)
    print(f"{name:18} {best:6.2f} CPU s {len(data) / 1e6 / best:6.0f} MB/s  {rows / best:11,.0f} rows/s")
    return rows


if __name__ == "__main__":
    sys.exit(main())
