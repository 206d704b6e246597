"""How fast a bill is made, beside other ways to add up the same file, in one run: ``make bench``.

    python tools/bench/scan_rate.py --megabytes 1000 --row-bytes 4400 --rounds 5

Each contestant runs in a process of its own, so that the peak memory is its own (of its largest process). Who
is slow has one round. Totals that differ from ours are marked; of plain sums they must not differ, or the run
fails. It prints the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from peers import CONTESTANTS, ENVIRONMENTS, RIVALS, SLOW

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = "gemini-2.5-flash"
# As texts are: mostly letters, sometimes what has to be escaped in JSON, and what looks like usage.
PROSE = "The answer of this customer is a table that for each invoice reads tokens from Vertex batch"
WORDS = [*PROSE.split(), "für", "ünïcode", '"quoted"', "back\\slash", "line.\n", "usageMetadata"]
Figures = dict[str, Any]


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
    request: list[str] = []
    answer: list[str] = []
    while sum(len(word) for word in request) < max(row_bytes - 900, 0) * 2 // 3:
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


def measure(name: str, path: Path) -> Figures | None:
    """Run one contestant; None where what it needs is not installed."""
    python = REPOSITORY / ENVIRONMENTS.get(name, ".venv") / "bin" / "python"
    command = [str(python), str(REPOSITORY / "tools/bench/peers.py"), name, str(path)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode().strip().splitlines() or [str(error)]
        print(f"{name}: not measured: {said[-1][:90]}", file=sys.stderr)
        return None
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def best_of(rounds: int, names: Sequence[str], path: Path) -> dict[str, Figures]:
    """The fastest round of each. All take part in each round, so that load of the machine meets all."""
    best: dict[str, Figures] = {}
    for turn in range(rounds):
        for name in names:
            if (turn and name in SLOW) or not (figures := measure(name, path)):
                continue
            cpu = min(figures["cpu"], best.get(name, figures)["cpu"])
            fastest = min(figures, best.get(name, figures), key=lambda each: each["wall"])
            best[name] = {**fastest, "cpu": cpu}
    return best


def main() -> int:
    """Generate, measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--row-bytes", type=int, action="append", help="may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="may be given several times")
    options = parser.parse_args()
    wrong = False
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; the best of {options.rounds} rounds.")
    for row_bytes in options.row_bytes or [700, 2000, 4400]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "predictions.jsonl"
            written = write_rows(path, options.megabytes * 1_000_000, row_bytes)
            size = path.stat().st_size
            print(f"\n{size / 1e6:,.0f} MB, {written:,} rows of {size // written:,} bytes:\n")
            wrong |= compare(best_of(options.rounds, options.only or list(CONTESTANTS), path), path)
    return int(wrong)


def compare(best: Mapping[str, Figures], path: Path) -> bool:
    """Print the table of one file; whether totals differ that must not."""
    print("| | wall s | CPU s | MB/s | peak MB | USD |\n|---|---|---|---|---|---|")
    megabytes = path.stat().st_size / 1e6
    first = next(iter(best.values()))
    wrong = False
    for name, of in best.items():
        agree = (of["rows"], of["tokens"]) == (first["rows"], first["tokens"])
        wrong |= not agree and name != "LiteLLM"
        usd = (of["amount"] or "-") + (
            "" if agree else f", other totals: {of['rows']:,} rows, {of['tokens']:,} tokens"
        )
        rate = megabytes / of["wall"]
        print(f"| {name} | {of['wall']:.2f} | {of['cpu']:.2f} | {rate:,.0f} | {of['peak']:,} | {usd} |")
    rivals = [name for name in RIVALS if name in best]
    if rivals:
        fastest = min(rivals, key=lambda name: best[name]["wall"])
        thriftiest = min(rivals, key=lambda name: best[name]["cpu"])
        rate, cpu = best[fastest]["wall"] / first["wall"], first["cpu"] / best[thriftiest]["cpu"]
        print(f"\n{next(iter(best))}: {rate:.2f} times the rate of {fastest},", end=" ")
        print(f"with {cpu:.2f} times the CPU time of {thriftiest}.")
    return wrong


def machine() -> str:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    return f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before"


if __name__ == "__main__":
    sys.exit(main())
