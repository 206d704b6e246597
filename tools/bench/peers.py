"""One contestant over one file, in a process of its own: ``python peers.py NAME FILE`` prints its figures.

The clock starts after the imports and ends with the totals; children are counted in CPU and memory.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MODEL = "gemini-2.5-flash"
COUNTERS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
THREADS = 2  # for each who has a setting for it
Result = tuple[int, int, str]
Work = Callable[[Path], Result]


def vertex_batch(processes: int) -> Work:
    """What the package does, all checks and prices included."""
    import fsspec  # noqa: F401 - `make` imports them, but the clock starts after imports

    import vertex_batch.costs  # noqa: F401
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


def with_msgspec() -> Work:
    """Typed decoding of the three counters: nothing else is built, checked or priced."""
    import msgspec

    counters = [(name, int, 0) for name in COUNTERS]
    usage = msgspec.defstruct("Usage", counters, gc=False)
    response = msgspec.defstruct("Response", [("usageMetadata", usage | None, None)], gc=False)
    made: Any = msgspec.defstruct("Row", [("response", response)], gc=False)
    decode = msgspec.json.Decoder(made).decode

    def work(path: Path) -> Result:
        rows = tokens = 0
        with path.open("rb") as stream:
            for line in stream:
                rows += 1
                if counted := decode(line).response.usageMetadata:
                    tokens += counted.promptTokenCount + counted.candidatesTokenCount
                    tokens += counted.thoughtsTokenCount
        return rows, tokens, ""

    return work


def with_duckdb() -> Work:
    """A typed scan: columns are given, so that nothing is guessed, and only the counters are extracted."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads={THREADS}")
    connection.execute("SET preserve_insertion_order=false")
    usage = ", ".join(f"{name} BIGINT" for name in COUNTERS)
    total = " + ".join(f"coalesce(sum(response.usageMetadata.{name}), 0)" for name in COUNTERS)

    def work(path: Path) -> Result:
        query = (
            f"SELECT count(*), {total} FROM read_json(?, format='newline_delimited',"
            f" columns={{response: 'STRUCT(usageMetadata STRUCT({usage}))'}})"
        )
        rows, tokens = connection.execute(query, [str(path)]).fetchall()[0]
        return rows, int(tokens), ""

    return work


def with_polars(engine: object) -> Work:
    """A lazy scan with a schema, so that nothing is guessed."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars as pl

    usage = pl.Struct(dict.fromkeys(COUNTERS, pl.Int64))
    schema = {"response": pl.Struct({"usageMetadata": usage})}
    counted = pl.col("response").struct.field("usageMetadata").struct
    total = sum((counted.field(name).sum() for name in COUNTERS), pl.lit(0))

    def work(path: Path) -> Result:
        found = pl.scan_ndjson(path, schema=schema).select(pl.len().alias("rows"), total.alias("tokens"))
        rows, tokens = found.collect(engine=engine).row(0)
        return rows, tokens, ""

    return work


def with_jq() -> Work:
    """One process of jq."""
    if not shutil.which("jq"):
        raise SystemExit("jq is not installed")
    each = " + ".join(f"(.{name} // 0)" for name in COUNTERS)
    script = f"reduce inputs as $row ([0, 0]; .[0] += 1 | .[1] += ($row.response.usageMetadata | {each}))"

    def work(path: Path) -> Result:
        printed = subprocess.run(["jq", "-n", "-c", script, str(path)], capture_output=True, check=True)
        rows, tokens = json.loads(printed.stdout)
        return rows, tokens, ""

    return work


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
    "DuckDB": with_duckdb,
    "Polars": lambda: with_polars("auto"),
    "Polars, streaming": lambda: with_polars("streaming"),
    "LiteLLM": litellm,
    "msgspec": with_msgspec,
    "orjson": with_orjson,
    "json.loads": lambda: plain(json.loads),
    "jq": with_jq,
}
RIVALS = ("DuckDB", "Polars", "Polars, streaming", "LiteLLM")  # with whom our rate is compared
SLOW = frozenset({"LiteLLM", "jq", "json.loads"})
ENVIRONMENTS = dict.fromkeys(("DuckDB", "Polars", "Polars, streaming", "orjson"), ".venv-bench")
ENVIRONMENTS["LiteLLM"] = ".venv-proxy"


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
