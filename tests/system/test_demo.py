"""The demo as a newcomer starts it, and its bill against a sum that shares no code with the package."""

import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from local.stack.postgres import start_postgres
from tools.focus_validator import validate
from vertex_batch.cli import main
from vertex_batch.costs import CostTable

REPOSITORY = Path(__file__).resolve().parents[2]
PRICE_MAP = "litellm/model_prices_and_context_window_backup.json"
PICODOLLAR = Decimal("1e-12")
BILLED = """
    SELECT spec, sum(cost_line_items.amount_picousd)
    FROM cost_jobs JOIN cost_line_items USING (project, location, job_id)
    GROUP BY spec
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A finished demo: its exit status, what it printed, its folder."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [sys.executable, "-m", "local.demo", "--once", "--folder", str(folder)]
    environment = {**os.environ, "HTTPS_PROXY": "http://proxy.invalid:1"}  # not for what runs on loopback
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=560, check=False
    )
    return done, folder


def test_the_demo_ends_well_and_prints_the_bill_in_plain_lines(demo):
    done, _ = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The bill of nightly_summaries" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_addresses_are_printed_first_and_lead_to_a_file_for_a_shell(demo):
    done, folder = demo
    addresses = done.stdout[: done.stdout.index("is ready")]
    assert "login admin, password admin" in addresses
    assert "/plugin/batch-costs" in addresses
    assert f"source {folder / 'env'}" in addresses
    assert (folder / "env").stat().st_mode & 0o777 == 0o600


def test_one_input_has_a_real_size(demo):
    _, folder = demo
    assert len(output_lines(folder, "nightly_summaries")) == 20_000


def test_the_runs_are_those_that_were_triggered_and_no_other(demo):
    _, folder = demo
    with start_postgres(folder / "postgres") as server, psycopg.connect(server.url("airflow")) as connection:
        runs = connection.execute("SELECT dag_id, run_type, state FROM dag_run").fetchall()
    assert sorted(runs) == [
        (name, "manual", "success")
        for name in ("nightly_embeddings", "nightly_summaries", "nightly_text_embeddings")
    ]


def test_the_bill_equals_an_independent_sum_over_the_output_files(demo):
    _, folder = demo
    price_map = next((REPOSITORY / ".venv-proxy" / "lib").glob(f"*/site-packages/{PRICE_MAP}"))
    prices = json.loads(price_map.read_text())
    expected = {
        spec: sum(
            cost(line, prices.get(f"vertex_ai/{model}", prices[model])) for line in output_lines(folder, spec)
        )
        * factor(prices.get(f"vertex_ai/{model}", prices[model]), model)
        for spec, model in {
            "nightly_summaries": "gemini-3.8-flash",
            "nightly_embeddings": "gemini-embedding-001",
            "nightly_text_embeddings": "text-embedding-005",
        }.items()
    }
    billed = rows(folder / "costs.db", BILLED)
    assert {spec: amount * PICODOLLAR for spec, amount in billed} == expected
    assert all(expected.values())


def test_its_bills_pass_the_validator_of_focus_from_both_databases(demo, tmp_path):
    _, folder = demo
    recorded = CostTable(f"sqlite:///{folder / 'costs.db'}")
    bills = [recorded.bill(each.job.key) for each in recorded.jobs()]
    amount = sum(bill.total.amount for bill in bills)
    with start_postgres(tmp_path / "postgres") as server:
        copied = server.create_database("copied")
        for bill in bills:
            CostTable(copied).record(bill)
        for url in (f"sqlite:///{folder / 'costs.db'}", copied):
            path = tmp_path / "focus.csv"
            assert main(["export", "--url", url, "--output", str(path)]) == 0
            with path.open(newline="") as stream:
                assert sum(Decimal(row["BilledCost"]) for row in csv.DictReader(stream)) == amount
            assert validate(path).failures == {}


def rows(database, query):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def output_lines(folder, spec):
    files = list((folder / "objects" / "demo-bucket" / "output" / spec).rglob("predictions.jsonl"))
    assert len(files) == 1
    return [json.loads(line) for line in files[0].read_text().splitlines()]


def cost(row, price):
    """What one row costs, by the shape it has."""
    if "predictions" in row:
        if not row["predictions"]:
            return Decimal(0)  # the row failed
        # Google's price list: by character, without white space, and 20 % off in a batch.
        instance = row["instance"]
        characters = len(re.sub(r"\s", "", instance["content"] + instance.get("title", "")))
        return characters * Decimal(str(price["input_cost_per_character"])) * Decimal("0.8")
    response = row.get("response") or {}
    if "tokenCount" in response:
        return int(response["tokenCount"]) * batch_rate(price, "input_cost_per_token")
    if "usageMetadata" not in response:
        return Decimal(0)
    usage = response["usageMetadata"]
    cached = usage.get("cachedContentTokenCount", 0)
    written = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    return (
        (usage["promptTokenCount"] - cached) * batch_rate(price, "input_cost_per_token")
        + cached * cache_rate(price)
        + written * batch_rate(price, "output_cost_per_token")
    )


def factor(price, model):
    """What a region costs more, and what Gemini 3.8 Flash costs more since its introductory price ended."""
    region = Decimal(str(price.get("regional_endpoint_uplift_multiplier", 1)))
    introductory = model != "gemini-3.8-flash" or datetime.now(UTC).date() < date(2027, 1, 1)
    return region if introductory else 2 * region


def cache_rate(price):
    """The batch price of cached tokens, or the standard one: the two discounts do not add up."""
    return Decimal(
        str(price.get("cache_read_input_token_cost_batches", price["cache_read_input_token_cost"]))
    )


def batch_rate(price, kind):
    """The price for batches, or half of the usual one."""
    if f"{kind}_batches" in price:
        return Decimal(str(price[f"{kind}_batches"]))
    return Decimal(str(price[kind])) / 2
