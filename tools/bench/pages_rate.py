"""How fast the pages are over a cost table of a million line items, on SQLite and PostgreSQL: ``make bench``.

    python tools/bench/pages_rate.py --line-items 1000000 --requests 30

250 specs run every night and make four line items each, so a million of them are 1,000 nights. Each page is
asked for through the whole application, by a person who may see nine DAGs of ten; nothing but connections is
kept between two requests. The run fails if the p95 of a usual page is above the limit, or a page is larger
than 300 kB. With ``--deliveries 100000``, one more DAG has run so often and has delivered each time: half of
it to a file of the day, half to the same file. Then the pages of this DAG are asked for, and what its tasks
read and write.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

BUSY = "busy"
"""The DAG of `--deliveries`, which runs every five minutes."""
SPECS, KINDS = 250, ("input", "cached_input", "output", "thoughts")
MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-embedding-001")
LIMIT_MS, LIMIT_BYTES = 300, 300_000
TODAY = date(2026, 11, 22)
USUAL, LARGE = "usual", "large"
PAGES = (
    (USUAL, "overview, 30 days, by spec", "/"),
    (USUAL, "overview, 30 days, by model", "/?by=model"),
    (USUAL, "overview, 30 days, by kind", "/?by=kind"),
    (USUAL, "overview of one DAG", "/?dag_id=spec_017"),
    (USUAL, "jobs", "/jobs"),
    (USUAL, "jobs of one DAG", "/jobs?dag_id=spec_017"),
    (USUAL, "jobs, most expensive first", "/jobs?sort=cost"),
    (USUAL, "jobs, one day", "/jobs?from=2026-11-20&to=2026-11-20"),
    (USUAL, "jobs, search that finds", "/jobs?q=spec_017"),
    (USUAL, "jobs, search that finds nothing", "/jobs?q=nothing-like-this"),
    (USUAL, "a bill", "/bill?project=p&location=us-central1&job={job}"),
    (USUAL, "a run", "/run?dag_id=spec_017&run_id=run-{run}"),
    (LARGE, "costs.csv, 30 days", "/costs.csv"),
    (LARGE, "overview, 366 days, by spec", "/?from=2025-11-22&to=2026-11-22"),
    (LARGE, "overview, 366 days, by model", "/?from=2025-11-22&to=2026-11-22&by=model"),
)
BUSY_PAGES = (
    (USUAL, "overview", "/"),
    (USUAL, "overview of the DAG", f"/?dag_id={BUSY}"),
    (USUAL, "a run", f"/run?dag_id={BUSY}&run_id=run-{{busy}}"),
    (USUAL, "its bill", "/bill?project=p&location=us-central1&job={busy_job}"),
    (USUAL, "jobs of the DAG", f"/jobs?dag_id={BUSY}"),
)


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--line-items", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument(
        "--deliveries", type=int, default=0, help="of one more DAG, which is measured instead"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--folder", type=Path, help="keep the SQLite file here, and take it if it is there")
    options = parser.parse_args()
    wrong = False
    with ExitStack() as stack:
        home = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pages-rate-")))
        home.mkdir(exist_ok=True)
        os.environ.update({"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})
        for database in options.database or ("sqlite", "postgresql"):
            url = f"sqlite:///{home}/costs.db" if database == "sqlite" else _postgresql(stack, home)
            began, jobs = time.monotonic(), options.line_items // len(KINDS)
            if not (options.folder and database == "sqlite" and (home / "costs.db").exists()):
                fill(url, jobs, options.deliveries)
            print(
                f"\n{database}: {jobs * len(KINDS):,} line items ({time.monotonic() - began:.0f} s to fill)"
            )
            busy = options.deliveries
            values = {
                "job": 10**18 + jobs // 2 + 17,
                "run": jobs // SPECS // 2,
                "busy": busy // 2,
                "busy_job": 2 * 10**18 + busy // 2,
            }
            wrong |= measure(url, BUSY_PAGES if busy else PAGES, options.requests, values)
            if busy:
                measure_queries(url, busy)
    return int(wrong)


def _postgresql(stack: ExitStack, home: Path) -> str:
    from local.stack.postgres import start_postgres

    return stack.enter_context(start_postgres(home / "postgres")).create_database("bench")


def fill(url: str, jobs: int, busy: int = 0) -> None:
    """Write jobs with their line items, by the schema that the code makes.

    :param busy: the jobs and deliveries of one more DAG.
    """
    from vertex_batch.costs import CostTable

    CostTable(url).migrate()
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        for name, columns, rows in _tables(jobs, busy):
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows)
        connection.execute("ANALYZE")
        connection.commit()
        connection.close()
        return
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg2", "postgresql").replace("+psycopg", "")) as server:
        for name, columns, rows in _tables(jobs, busy):
            with server.cursor().copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        server.commit()
        server.autocommit = True
        server.execute("VACUUM ANALYZE")


def _tables(jobs: int, busy: int) -> Iterator[tuple[str, tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    yield "cost_jobs", tuple(_job(0)), (tuple(_job(n).values()) for n in range(jobs))
    yield "cost_jobs", tuple(_busy_job(0)), (tuple(_busy_job(n).values()) for n in range(busy))
    yield "cost_deliveries", tuple(_delivery(0)), (tuple(_delivery(n).values()) for n in range(busy))
    yield (
        "cost_line_items",
        tuple(_item(0, 0)),
        (tuple(_item(n, kind).values()) for n in range(jobs) for kind in range(len(KINDS))),
    )
    yield (
        "cost_job_sums",
        tuple(_parts(0)[0]),
        (tuple(part.values()) for n in range(jobs) for part in _parts(n)),
    )


def _job(n: int) -> dict[str, Any]:
    spec, night = n % SPECS, n // SPECS
    day = TODAY - timedelta(night)
    at = f"{day}T02:30:00.000000Z"
    items = [_item(n, kind) for kind in range(len(KINDS))]
    return {
        **dict.fromkeys(("job_key", "job_name", "error_message", "output_directory", "note"), ""),
        "project": "p",
        "location": "us-central1",
        "job_id": str(10**18 + n),
        "display_name": f"spec_{spec:03}-{day}",
        "model": f"publishers/google/models/{MODELS[spec % len(MODELS)]}",
        "state": "SUCCEEDED" if n % 50 else "FAILED",
        "spec": f"spec_{spec:03}",
        "team": f"team_{spec % 12}",
        "dag_id": f"spec_{spec:03}",
        "run_id": f"run-{night}",
        "task_id": "submit",
        "map_index": -1,
        "run_type": "scheduled",
        "logical_date": at,
        "day": str(day),
        "labels": json.dumps({"team": f"team_{spec % 12}", "product": "helpdesk", "managed_by": "x" * 40}),
        "input_uris": json.dumps([f"gs://bucket/input/{day}/*.jsonl"]),
        "create_time": at,
        "rows_ok": 1000 + n % 7,
        "rows_failed": n % 3,
        "rows_unreadable": 0,
        "rows_copied": 0,
        "failed_reasons": "{}",
        "problems": "[]",
        "flags": "[]",
        "recorded_at": at,
        "searched": f"spec_{spec:03}|team_{spec % 12}|run-{night}|{10**18 + n}|{day}",
        **_sums(items),
    }


def _busy_at(n: int) -> str:
    at = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC) - timedelta(minutes=5 * n)
    return f"{at:%Y-%m-%dT%H:%M:%S}.000000Z"


def _busy_job(n: int) -> dict[str, Any]:
    """The `n`-th latest job of `BUSY`; every hundredth has sent rows of the run before it again."""
    at = _busy_at(n)
    labels = {
        "team": "team_0",
        **({} if n % 100 else {"airflow_retry_round": "1", "airflow_retry_of": f"key-{n + 1}"}),
    }
    return {
        **_job(0),
        "job_id": str(2 * 10**18 + n),
        **dict.fromkeys(("spec", "dag_id"), BUSY),
        "run_id": f"run-{n}",
        "task_id": "submit" if n % 100 else "retry_1.submit",
        "labels": json.dumps(labels),
        **dict.fromkeys(("logical_date", "create_time", "end_time", "recorded_at"), at),
        "day": at[:10],
        "state": "SUCCEEDED",
        "searched": f"{BUSY}|team_0|run-{n}|{2 * 10**18 + n}",
    }


def _delivery(n: int) -> dict[str, Any]:
    at = _busy_at(n)
    # The later ones are to files of their day; the earlier ones all to one file.
    to = f"gs://bucket/{at[:10]}.csv" if n % 2 else "gs://bucket/latest.csv"
    return {
        **dict.fromkeys(("dag_id", "spec"), BUSY),
        "run_id": f"run-{n}",
        "task_id": "deliver",
        "map_index": -1,
        "team": "team_0",
        "job_name": "",
        "input_rows": 1000,
        "delivered": 990,
        "exceptions": 10,
        "reasons": json.dumps({"transient": 10}),
        "answers_uri": to,
        "exceptions_uri": f"{to}.exceptions.csv",
        "manifest_uri": f"{to}._SUCCESS.json",
        "usd": "1.25",
        "is_complete": True,
        "delivered_at": at,
        "kept_at": "",
        "kept_answers": 0,
        "retry_of": "" if n % 100 else f"run-{n + 1}",
    }


def _sums(items: list[dict[str, Any]]) -> dict[str, int]:
    amount = sum(item["amount_picousd"] or 0 for item in items)
    unpriced = sum(item["amount_picousd"] is None for item in items)
    return {
        "amount_picousd": amount,
        "unpriced_line_items": unpriced,
        "tokens": sum(item["tokens"] for item in items),
        "saved_picousd": amount,
        "saved_unknown_line_items": unpriced,
    }


def _parts(n: int) -> list[dict[str, Any]]:
    spec = n % SPECS
    items = [_item(n, kind) for kind in range(len(KINDS))]
    of_job = {
        **{name: items[0][name] for name in ("project", "location", "job_id")},
        "day": str(TODAY - timedelta(n // SPECS)),
        "dag_id": f"spec_{spec:03}",
        "spec": f"spec_{spec:03}",
        "team": f"team_{spec % 12}",
    }
    parts = [("model", items[0]["model"], items), *(("kind", item["kind"], [item]) for item in items)]
    return [{**of_job, "part": part, "name": name, **_sums(of_part)} for part, name, of_part in parts]


def _item(n: int, kind: int) -> dict[str, Any]:
    tokens, rate = 1000 + n % 997 + kind, 150_000
    known = n % 100 != 0 or kind
    return {
        **dict.fromkeys(("cache_ttl", "reason"), ""),
        "project": "p",
        "location": "us-central1",
        "job_id": str(10**18 + n),
        "model": MODELS[n % SPECS % len(MODELS)],
        "kind": KINDS[kind],
        "modality": "text",
        "tier": "standard",
        "tokens": tokens,
        "unit": "token",
        "unit_price_picousd": rate if known else None,
        "amount_picousd": tokens * rate if known else None,
        "basis": "batch_rate" if known else None,
        "source": "packaged",
        "price_date": str(TODAY),
        "standard_unit_price_picousd": 2 * rate if known else None,
        "standard_amount_picousd": 2 * tokens * rate if known else None,
        "standard_source": "packaged",
    }


def measure(
    url: str, pages: Sequence[tuple[str, str, str]], requests: int, values: Mapping[str, int]
) -> bool:
    """Ask for each page, print how long it took; whether one was too slow or too large."""
    wrong = False
    client = _client(url)
    client.get("/")  # the first one compiles the templates
    print(f"{'':34} {'p50 ms':>7} {'p95 ms':>7} {'CPU ms':>7} {'kB':>5}")
    for sort, name, path in pages:
        path = path.format(**values)  # noqa: PLW2901
        times, size, cpu = [], 0, time.process_time()
        for _ in range(requests):
            began = time.perf_counter()
            answer = client.get(path)
            times.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, (path, answer.status_code)
            size = len(answer.content)
        cpu = 1000 * (time.process_time() - cpu) / requests
        p95 = statistics.quantiles(times, n=20)[-1] if requests > 1 else times[0]
        bad = sort == USUAL and (p95 > LIMIT_MS or size > LIMIT_BYTES)
        wrong |= bad
        late = "  !" if bad else ""
        print(f"{name:34} {statistics.median(times):7.0f} {p95:7.0f} {cpu:7.0f} {size / 1000:5.0f}{late}")
    return wrong


def measure_queries(url: str, busy: int) -> None:
    """Time what the tasks of `BUSY` and its pages read and write of deliveries."""
    from vertex_batch.costs import CostTable, JobFilter
    from vertex_batch.vertex.names import JobId

    table, of_dag, middle = CostTable(url), JobFilter(dag_id=BUSY), busy // 200 * 100
    run = (BUSY, f"run-{middle + 1}")
    (one,) = table.deliveries(JobFilter(dag_id=BUSY, run_id=run[1]))
    queries: dict[str, Callable[[], object]] = {
        "retries of an early run's rows": lambda: table.sent_again(BUSY, [f"key-{middle + 1}"]),
        "their deliveries": lambda: table.delivered_again([run]),
        "deliveries of the night": lambda: table.deliveries_of_night(of_dag),
        "deliveries of a run": lambda: table.deliveries_of_runs([run]),
        "delivery at an address": lambda: table.current_deliveries([one.best_at]),
        "paid after the delivery": lambda: table.paid_after_deliveries(of_dag),
        "record a delivery": lambda: table.record_delivery(one, files_changed=True),
        "move a delivery": lambda: table.move_delivery(
            BUSY, run[1], one.answers_uri, {"answers_uri": one.answers_uri}
        ),
    }

    def bills_of_shards() -> list[object]:
        with table.snapshot() as same:
            return [same.bill(JobId("p", "us-central1", str(10**18 + n))) for n in range(100)]

    queries["bills of a run's 100 shards"] = bills_of_shards
    print(f"{'':34} {'wall ms':>7} {'CPU ms':>7} {'found':>7}")
    for name, ask in queries.items():
        began, cpu = time.perf_counter(), time.process_time()
        found = ask()
        wall, cpu = (
            1000 * (now - then) for now, then in ((time.perf_counter(), began), (time.process_time(), cpu))
        )
        count = len(found) if isinstance(found, Sized) else 1
        print(f"{name:34} {wall:7.0f} {cpu:7.0f} {count:7,}", flush=True)


def _client(url: str) -> Any:
    """The application with a user signed in."""
    import logging

    from airflow import settings
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api import security
    from airflow.models.base import Base
    from fastapi.testclient import TestClient

    from vertex_batch.costs import CostTable
    from vertex_batch.ui import access, open_table, overview_routes
    from vertex_batch.ui.app import make_app

    class Manager:
        def get_authorized_dag_ids(self, **_: Any) -> set[str]:
            return {f"spec_{n:03}" for n in range(SPECS) if n % 10} | {BUSY}

        def is_authorized_dag(self, access_entity: object = None, **_: Any) -> bool:
            return access_entity is not None  # not each DAG that there may be

        def is_authorized_view(self, **_: Any) -> bool:
            return True

    logging.disable(logging.INFO)
    settings.configure_orm()  # type: ignore[no-untyped-call]
    Base.metadata.create_all(settings.engine)
    table = CostTable(url, keeps_connections=True)
    app = make_app()
    app.dependency_overrides[security.get_user] = lambda: SimpleAuthManagerUser(
        username="bench", role="viewer"
    )
    app.dependency_overrides[open_table.cost_table] = lambda: table
    app.dependency_overrides[overview_routes._today] = lambda: datetime(
        *TODAY.timetuple()[:3], tzinfo=UTC
    ).date()
    for module in (security, access):
        setattr(module, "get_auth_manager", Manager)  # noqa: B010
    return TestClient(app)


if __name__ == "__main__":
    sys.exit(main())
