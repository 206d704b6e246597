"""How fast answers are delivered, beside other ways to join the same files, in one run: ``make bench``.

    python tools/bench/delivery_rate.py --rows 1000000 --rounds 1

Each contestant runs in a process of its own, so that the peak memory is its own. The others do a part of the
work: they join by a key, in the order of the input, and write Parquet. They know no attempts, no costs and no
exceptions, and they trust that every row is whole. With `--store`, the same files are in a real object store
instead, and what a night and a person do there is measured, through gcsfs: the delivery with its manifest;
the same again; one of another run whose jobs have answered less, which is put beside it; one over it whose
input is another one; and the commands that read or write whole inputs and answers. The requests to the store
are counted.
It prints the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tools.night.store_proxy import StoreProxy
    from vertex_batch.results import DeliveryOutcome

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
BUCKET = "bench"
MODEL = "gemini-2.5-flash"
WORDS = [f"word{n}" for n in range(1000)]
FORMATS = (".parquet", ".jsonl")


def write_night(folder: Path, count: int, row_bytes: int) -> None:
    """Write an input whose rows have about `row_bytes`, and its shuffled output."""
    chance = random.Random(7)
    texts = [" ".join(chance.choices(WORDS, k=max(row_bytes - 240, 0) // 8)) for _ in range(200)]
    answers = [" ".join(chance.choices(WORDS, k=90)) for _ in range(200)]
    order = list(range(count))
    chance.shuffle(order)
    with (folder / "in.jsonl").open("w") as file:
        for n in range(count):
            request = _request(f"{n} {texts[n % 200]}")
            file.write(json.dumps({"ticket_id": f"T-{n:07}", "request": request}) + "\n")
    (folder / "out").mkdir()
    with (folder / "out" / "predictions.jsonl").open("w") as file:
        for n in order:
            usage = {
                "promptTokenCount": 300 + n % 7,
                "candidatesTokenCount": 90,
                "totalTokenCount": 390 + n % 7,
            }
            candidate = {
                "content": {"role": "model", "parts": [{"text": f"{n} {answers[n % 200]}"}]},
                "finishReason": "STOP",
            }
            response = {
                "candidates": [candidate],
                "modelVersion": MODEL,
                "responseId": f"r{n}",
                "usageMetadata": usage,
            }
            row = {"status": "", "request": _request(f"{n} {texts[n % 200]}"), "response": response}
            file.write(json.dumps({**row, "ticket_id": f"T-{n:07}"}, sort_keys=True) + "\n")


def _request(text: str) -> dict[str, object]:
    return {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": 256, "temperature": 0.2},
    }


def ours(folder: Path, to: Path, key: str = "ticket_id") -> int:
    """Deliver with a key."""
    import fsspec

    from vertex_batch.pricing import PriceBook, packaged_prices
    from vertex_batch.results import AttemptOutput, JobPrices, ResultSettings, deliver, join
    from vertex_batch.storage import ObjectStorage

    store = ObjectStorage(fsspec.filesystem("file"))
    with join(
        [str(folder / "in.jsonl")],
        [AttemptOutput(0, None, (str(folder / "out"),))],
        ResultSettings(key=key),
        store=store,
        work=folder / "work",
        prices={None: JobPrices.of_book(PriceBook([packaged_prices()]), MODEL, "global")},
    ) as joined:
        deliver(joined, str(to), store, {})
        return joined.counts.delivered


def ours_by_request(folder: Path, to: Path) -> int:
    """Deliver without a key."""
    return ours(folder, to, key="")


def in_store(
    _folder: Path, to: Path, run: str = "monday", output: str = "out", *others: str
) -> DeliveryOutcome:
    """Deliver from and to the object store.

    :param others: further inputs, each with one answered row.
    """
    from vertex_batch.cli.paths import open_object_store
    from vertex_batch.pricing import PriceBook, packaged_prices
    from vertex_batch.results import AttemptOutput, JobPrices, ResultSettings, deliver, join

    store = open_object_store()
    with join(
        [_uri("in.jsonl"), *others],
        [AttemptOutput(0, None, (_uri(output), *(each.removesuffix(".jsonl") for each in others)))],
        ResultSettings(key="ticket_id"),
        store=store,
        work=to.parent / "work",
        prices={None: JobPrices.of_book(PriceBook([packaged_prices()]), MODEL, "global")},
    ) as joined:
        facts = {"dag_id": "bench", "run_id": run, "run_date": "2026-11-28"}
        written = deliver(joined, _uri(to.name), store, facts)
        assert written.manifest["input_digest"]
        return written


def in_store_first(folder: Path, to: Path) -> int:
    """Deliver to an address at which nothing is."""
    written = in_store(folder, to)
    assert written.changed
    return int(written.manifest["delivered"])


def in_store_again(folder: Path, to: Path) -> int:
    """Deliver the same, as a task does that is cleared: nothing is written."""
    written = in_store(folder, to)
    assert not written.changed
    return int(written.manifest["delivered"])


def in_store_beside(folder: Path, to: Path) -> int:
    """Deliver for a second run of the same input and date, which has answered one row less."""
    written = in_store(folder, to, "again", "less")
    assert written.better
    assert written.place.answers != _uri(to.name)
    return int(written.manifest["delivered"]) + 1


def in_store_over_another(folder: Path, to: Path) -> int:
    """Deliver the answers to another input: those of the contestant before are moved beside them."""
    written = in_store(folder, to, "tuesday", "out", _uri("more.jsonl"))
    assert written.earlier
    return int(written.manifest["delivered"]) - 1


def command(*arguments: object) -> dict[str, object]:
    """Run a command of `vertex-batch`, and return its JSON, if it prints any."""
    from vertex_batch.cli.main import main

    with redirect_stdout(io.StringIO()) as printed:
        status = main([str(each) for each in arguments])
    assert status == 0, (arguments, printed.getvalue())
    return dict(json.loads(printed.getvalue())) if "--json" in arguments else {}


def get_answers(_folder: Path, to: Path) -> int:
    """Copy the answers to a file."""
    import pandas as pd

    command("get", _uri(to.name), to)
    if to.suffix == ".parquet":
        return len(pd.read_parquet(to, columns=["row"]))
    with to.open("rb") as lines:
        return sum(1 for _ in lines)


def put_input(folder: Path, _to: Path) -> int:
    """Upload the input that a spec reads, whose rows have the spec's key."""
    return _number(command("put", folder / "in.jsonl", _uri("put.jsonl"), "--overwrite", "--json")["rows"])


def plan_stored(folder: Path, _to: Path, given: object = f"gs://{BUCKET}/in.jsonl") -> int:
    """Check the rows of another input than the spec's, and estimate what they cost."""
    found = command("plan", folder / "specs" / "bench.yaml", "--input", given, "--json")["jobs"]
    assert isinstance(found, list)
    return _number(found[0]["rows"])


def plan_sample(folder: Path, _to: Path) -> int:
    """Plan a run with a sample of 200 rows, and what all rows cost."""
    found = command(
        "plan", folder / "specs" / "bench.yaml", "--input", _uri("in.jsonl"), "--sample", 200, "--json"
    )
    assert isinstance(found["jobs"], list)
    assert found["jobs"][0]["rows"] == 200
    return _number(found["jobs"][0]["sample"]["of_rows"])


def plan_local(folder: Path, to: Path) -> int:
    """Likewise for a file that was not uploaded yet."""
    return plan_stored(folder, to, folder / "in.jsonl")


def _number(found: object) -> int:
    assert isinstance(found, int), found
    return found


def _uri(name: str) -> str:
    return f"gs://{BUCKET}/{name}"


@contextmanager
def store_of(folder: Path) -> Iterator[StoreProxy]:
    """The object store with the files of the night, and the proxy before it, whose address is inherited."""
    from local.stack.gcs import adopt_files
    from tests.object_store import object_store
    from tools.night.store_proxy import StoreProxy

    specs = folder / "specs"
    specs.mkdir()
    (specs / "bench.yaml").write_text(
        f"model: {MODEL}\nproject: bench-project\nlocation: us-central1\ninputs: {_uri('put.jsonl')}\n"
        f"output: {_uri('jobs/')}\nresults: {{to: {_uri('answers.csv')}, key: ticket_id}}\n"
    )
    with StoreProxy() as front, object_store(folder, BUCKET) as store:
        front.lead_to(urlsplit(store.url).port or 0)
        place = folder / "objects" / BUCKET
        (place / "out").mkdir()
        (place / "less").mkdir()
        os.link(folder / "out" / "predictions.jsonl", place / "out" / "predictions.jsonl")
        with (
            (folder / "out" / "predictions.jsonl").open() as rows,
            (place / "less" / "predictions.jsonl").open("w") as file,
        ):
            next(rows)
            shutil.copyfileobj(rows, file)
        os.link(folder / "in.jsonl", place / "in.jsonl")
        time.sleep(1.5)  # a file that was just written is not adopted
        assert len(adopt_files(folder / "objects")) == 3  # the input and both outputs
        more = {"ticket_id": "more", "request": _request("x")}
        store.put(_uri("more.jsonl"), json.dumps(more).encode())
        response = {"candidates": [{"content": {"parts": [{"text": "y"}]}, "finishReason": "STOP"}]}
        store.put(
            _uri("more/predictions.jsonl"), json.dumps({"status": "", **more, "response": response}).encode()
        )
        os.environ |= {
            "STORAGE_EMULATOR_HOST": front.url,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "VERTEX_BATCH_SPECS_FOLDER": str(specs),
        }
        yield front


def with_pandas(folder: Path, to: Path) -> int:
    """Read both files whole, and merge them."""
    import pandas as pd

    asked = pd.read_json(folder / "in.jsonl", lines=True)
    rows = pd.read_json(folder / "out" / "predictions.jsonl", lines=True)
    rows["answer"] = [row["candidates"][0]["content"]["parts"][0]["text"] for row in rows["response"]]
    merged = asked[["ticket_id"]].merge(rows[["ticket_id", "answer"]], how="left", on="ticket_id")
    merged.to_parquet(to) if to.suffix == ".parquet" else merged.to_json(to, orient="records", lines=True)
    return int(merged["answer"].notna().sum())


def with_duckdb(folder: Path, to: Path) -> int:
    """One statement, one thread; its memory is as it likes."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    kind = "parquet" if to.suffix == ".parquet" else "json"
    found = connection.execute(f"""
        COPY (
            WITH asked AS (
                SELECT row_number() OVER () AS row, ticket_id
                FROM read_json('{folder}/in.jsonl',
                    columns={{ticket_id: 'VARCHAR'}}, format='newline_delimited')
            ), answers AS (
                SELECT ticket_id, response->>'$.candidates[0].content.parts[0].text' AS answer
                FROM read_json('{folder}/out/predictions.jsonl',
                    columns={{ticket_id: 'VARCHAR', response: 'JSON'}}, format='newline_delimited')
            )
            SELECT row, ticket_id, answer FROM asked LEFT JOIN answers USING (ticket_id) ORDER BY row
        ) TO '{to}' (FORMAT {kind})
    """).fetchall()
    return int(found[0][0])


CONTESTANTS: dict[str, Callable[[Path, Path], int]] = {
    "vertex-batch, by a key": ours,
    "vertex-batch, by the request": ours_by_request,
    "pandas merge": with_pandas,
    "DuckDB, one statement": with_duckdb,
}


STORED: dict[str, Callable[[Path, Path], int]] = {
    "deliver": in_store_first,
    "deliver the same again": in_store_again,
    "deliver beside a better one": in_store_beside,
    "deliver over another input's": in_store_over_another,
    "`get` the answers": get_answers,
    "`put` the input": put_input,
    "`plan --input gs://...`": plan_stored,
    "`plan --sample 200`": plan_sample,
    "`plan --input FILE`": plan_local,
}


def measure(name: str, folder: Path, suffix: str) -> dict[str, float]:
    """Run one contestant in a process of its own."""
    command = [sys.executable, __file__, "--contestant", name, "--folder", str(folder), "--suffix", suffix]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_one(name: str, folder: Path, suffix: str) -> None:
    """Be one contestant, and print its figures."""
    for module in ("duckdb", "pandas", "pyarrow.parquet", "fsspec", "msgspec"):
        __import__(module)  # imports are not counted
    with tempfile.TemporaryDirectory(dir=folder) as target:
        wall, cpu = time.perf_counter(), time.process_time()
        rows = (CONTESTANTS | STORED)[name](folder, Path(target) / f"answers{suffix}")
        figures = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
            "rows": rows,
        }
    print(json.dumps(figures))


def main() -> int:
    """Generate, measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--row-bytes", type=int, default=2000, help="of the input")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--only", action="append", choices=[*CONTESTANTS, *STORED], help="may be given several times"
    )
    parser.add_argument("--store", action="store_true", help="with the files in a real object store")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--suffix", choices=FORMATS, default=".parquet")
    options = parser.parse_args()
    if options.contestant:
        run_one(options.contestant, options.folder, options.suffix)
        return 0
    wrong = False
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        write_night(folder, options.rows, options.row_bytes)
        front = stack.enter_context(store_of(folder)) if options.store else None
        sizes = [path.stat().st_size for path in (folder / "in.jsonl", folder / "out" / "predictions.jsonl")]
        megabytes = sum(sizes) / 1e6
        print(
            f"{datetime.now(UTC):%Y-%m-%d}, CPython {platform.python_version()}; {options.rows:,} rows:"
            f" {sizes[0] / 1e6:,.0f} MB of input and {sizes[1] / 1e6:,.0f} MB of output,"
            f" to {options.suffix}; the best of {options.rounds} rounds.\n"
        )
        heads = ["", "wall s", "CPU s", "MB/s of CPU", "peak MB", *(["requests"] if front else [])]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for contestant in options.only or (STORED if options.store else CONTESTANTS):
            _ = front and front.take()
            rounds = [measure(contestant, folder, options.suffix) for _ in range(options.rounds)]
            sent = sum(each.requests for each in front.take().values()) // options.rounds if front else 0
            best = min(rounds, key=lambda each: each["cpu"])
            wrong |= best["rows"] != options.rows
            print(
                f"| {contestant} | {best['wall']:.1f} | {best['cpu']:.1f} | {megabytes / best['cpu']:,.0f} |"
                f" {max(each['peak'] for each in rounds):,.0f} |{f' {sent:,} |' if front else ''}",
                flush=True,
            )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
