"""One contestant over one file, in a process of its own: ``python peers.py NAME FILE`` prints its figures.

The clock starts after the imports and ends with the totals; children are counted in CPU and memory.
"""

# ruff: noqa: T201 - it prints to a pipe; each contestant imports only what is its own

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MODEL = "gemini-2.5-flash"
Result = tuple[int, int, str]
Work = Callable[[Path], Result]


def vertex_batch(processes: int) -> Work:
    """What the package does, all checks and prices included."""
    from vertex_batch.cli.bill import make
    from vertex_batch.usage import Kind

    def work(path: Path) -> Result:
        bill = make([str(path)], MODEL, "global", None, processes)
        tokens = sum(item.tokens for item in bill.line_items if item.kind is not Kind.SEARCH_QUERY)
        return bill.rows.total, tokens, bill.total.text

    return work


def plain(loads: Callable[[bytes], Any]) -> Work:
    """A parser and additions: no checks, no prices."""

    def work(path: Path) -> Result:
        rows = tokens = 0
        with path.open("rb") as stream:
            for line in stream:
                rows += 1
                usage = loads(line)["response"].get("usageMetadata")
                if usage:
                    tokens += usage["promptTokenCount"] + usage["candidatesTokenCount"]
                    tokens += usage["thoughtsTokenCount"]
        return rows, tokens, ""

    return work


def with_orjson() -> Work:
    import orjson

    return plain(orjson.loads)


def litellm() -> Work:
    """LiteLLM's own function, as its proxy calls it, with the rows streamed in."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm.batches.batch_utils import calculate_vertex_ai_batch_cost_and_usage

    def rows(path: Path) -> Iterable[Any]:
        with path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)

    def work(path: Path) -> Result:
        found = calculate_vertex_ai_batch_cost_and_usage(rows(path), MODEL)
        count = found.successful_requests + found.failed_requests
        return count, found.usage.total_tokens, str(found.cost)

    return work


CONTESTANTS: dict[str, Callable[[], Work]] = {
    "vertex-batch": lambda: vertex_batch(os.cpu_count() or 1),
    "vertex-batch --jobs 1": lambda: vertex_batch(1),
    "json.loads": lambda: plain(json.loads),
    "orjson": with_orjson,
    "LiteLLM": litellm,
}
IN_THE_PROXYS_ENVIRONMENT = frozenset({"orjson", "LiteLLM"})


def main() -> None:
    name, path = sys.argv[1], Path(sys.argv[2])
    work = CONTESTANTS[name]()
    started, cpu = time.perf_counter(), _cpu_seconds()
    rows, tokens, amount = work(path)
    figures = {"rows": rows, "tokens": tokens, "amount": amount, "wall": time.perf_counter() - started}
    peak = max(resource.getrusage(who).ru_maxrss for who in _EVERYBODY) // 1024
    print(json.dumps({**figures, "cpu": _cpu_seconds() - cpu, "peak": peak}))


_EVERYBODY = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in _EVERYBODY]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
