"""How fast a bill is made, beside other ways to add up the same file, in one run: ``make bench``.

    python tests/bench/scan_rate.py --megabytes 1000 --row-bytes 4400

Each contestant runs in a process of its own, so that the peak memory is its own (of its largest process).
Totals that differ from ours are marked; of plain sums they must not differ, or the run fails.
"""

# ruff: noqa: T201 - it prints to a terminal

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import CONTESTANTS, IN_THE_PROXYS_ENVIRONMENT

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


def measure(name: str, path: Path) -> dict | None:
    """Run one contestant; None where what it needs is not installed."""
    environment = REPOSITORY / (".venv-proxy" if name in IN_THE_PROXYS_ENVIRONMENT else ".venv")
    command = [str(environment / "bin" / "python"), str(REPOSITORY / "tests/bench/peers.py"), name, str(path)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        print(f"{name:22} not measured: {done.stderr.decode().strip().splitlines()[-1][:90]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Generate, measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--row-bytes", type=int, action="append", help="may be given several times")
    options = parser.parse_args()
    wrong = False
    for row_bytes in options.row_bytes or [700, 4400]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "predictions.jsonl"
            written = write_rows(path, options.megabytes * 1_000_000, row_bytes)
            wrong |= compare(path, written)
    return int(wrong)


def compare(path: Path, written: int) -> bool:
    """Measure all contestants over one file; whether the totals of those that must agree do not."""
    megabytes = path.stat().st_size / 1e6
    print(f"\n{megabytes:,.0f} MB, {written:,} rows of {megabytes * 1e6 / written:,.0f} bytes")
    print(f"{'':22} {'wall s':>7} {'CPU s':>7} {'MB/s':>6} {'rows/s':>9} {'MB peak':>7}  USD")
    expected, wrong = None, False
    for name in CONTESTANTS:
        figures = measure(name, path)
        if figures is None:
            continue
        totals = figures["rows"], figures["tokens"]
        expected = expected or totals
        rate, rows = megabytes / figures["wall"], figures["rows"] / figures["wall"]
        differs = "" if totals == expected else f"  other totals: {totals}"
        wrong |= bool(differs) and name != "LiteLLM"
        print(
            f"{name:22} {figures['wall']:7.2f} {figures['cpu']:7.2f} {rate:6.0f} {rows:9,.0f}"
            f" {figures['peak']:7}  {figures['amount'] or '-'}{differs}"
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
