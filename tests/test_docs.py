"""What the documents say, against the code: made tables, examples, and every SQL block."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from local.demo import EMULATOR_SPEED, USUAL_PORTS
from local.emulator.script import FaultKind
from local.stack.airflow import SCHEDULER, TRIGGERER
from local.stack.postgres import start_postgres
from tests.builders import a_delivery, scan_file
from tools import pictures, reference
from vertex_batch.billing.making import make_bill
from vertex_batch.cli import main
from vertex_batch.costs import CostTable, JobFacts
from vertex_batch.pricing import Basis, PriceBook, SpecPrices, packaged_prices, price, price_file
from vertex_batch.specs import load_spec
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

ROOT = Path(__file__).resolve().parents[1]
SPECS, COSTS, LOCAL = (ROOT / "docs" / name for name in ("specs.md", "costs.md", "local-stack.md"))
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
OUTSIDE = re.compile(r"https?:|href=|src|@import|@font-face|url\((?!#)|<script|<image")
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", document.read_text(), re.DOTALL | re.MULTILINE)


def rows_of_table(document: Path, heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading."""
    below = document.read_text().split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table, heading
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


class TestMadeParts:
    @pytest.mark.parametrize("document", reference.DOCUMENTS, ids=lambda path: path.name)
    def test_they_are_what_the_code_says(self, document):
        written = document.read_text()
        assert written == reference.refreshed(written), "run `python -m tools.reference`"

    def test_every_maker_is_used(self):
        used = "".join(document.read_text() for document in reference.DOCUMENTS)
        assert all(f"tools.reference: {name} -->" in used for name in reference.MAKERS)

    def test_a_part_that_is_out_of_date_is_refreshed(self):
        part = "<!-- made by tools.reference: dates -->\n{}<!-- end -->"
        assert reference.refreshed(part.format("old\n")) == part.format(reference.dates())


class TestSpecs:
    @pytest.mark.parametrize("document", [SPECS, ROOT / "README.md"], ids=lambda path: path.name)
    def test_every_example_of_a_spec_is_one(self, document, tmp_path):
        examples = [
            block for block in blocks(document, "yaml") if re.search(r"^ *inputs:", block, re.MULTILINE)
        ]
        good = [block for block in examples if "shedule" not in block]
        assert good
        for example in good:
            path = tmp_path / "example.yaml"
            path.write_text(example)
            assert load_spec(path).name == "example"

    def test_the_problems_of_the_broken_one_are_shown_as_they_are(self, tmp_path, monkeypatch, capsys):
        (broken,) = (block for block in blocks(SPECS, "yaml") if "shedule" in block)
        (tmp_path / "ticket_summaries.yaml").write_text(broken)
        monkeypatch.chdir(tmp_path)
        assert main(["validate", "ticket_summaries.yaml"]) == 1
        assert [capsys.readouterr().out] == blocks(SPECS, "text")


FLASH = "gemini-3.8-flash"


class TestCosts:
    def test_the_row_of_the_example_costs_what_the_table_says(self):
        (usage,) = blocks(COSTS, "json")
        row = {
            "status": "",
            "response": {"modelVersion": FLASH, "usageMetadata": json.loads(usage)},
        }
        scan = scan_file(io.BytesIO(json.dumps(row).encode()), "predictions.jsonl", FLASH)
        items = price(scan.tokens, PriceBook([packaged_prices()]), "global", date(2026, 11, 27))
        *shown, whole = rows_of_table(COSTS, "## From a row to an amount")
        assert [
            (kind, int(tokens), Decimal(rate), Decimal(amount), basis)
            for kind, tokens, rate, amount, basis in shown
        ] == [
            (
                f"`{item.kind}`",
                item.tokens,
                item.unit_price_usd * 1_000_000,
                item.amount_usd,
                f"`{item.basis}`",
            )
            for item in items
        ]
        assert Decimal(whole[3]) == sum(item.amount_usd for item in items)

    def test_every_kind_and_basis_is_explained(self):
        document = COSTS.read_text()
        assert [cells[0] for cells in rows_of_table(COSTS, "## What is counted")] == [f"`{k}`" for k in Kind]
        assert all(f"`{word}`" in document for word in (*Basis, *Tier, *Modality))

    def test_the_price_file_of_the_example_is_one(self, tmp_path):
        (example,) = (block for block in blocks(COSTS, "yaml") if "as_of" in block)
        path = tmp_path / "agreed.yaml"
        path.write_text(example)
        book = PriceBook([price_file(path)])
        assert book.rate(UsageKey("gemini-3.5-flash", Kind.INPUT), "us-central1").usd_per_unit * 2 == Decimal(
            "1e-6"
        )

    def test_every_flag_is_one_that_the_code_raises(self):
        code = "".join(
            path.read_text()
            for folder in ("usage", "pricing", "costs", "billing")
            for path in _package().glob(f"{folder}/*.py")
        )
        code = re.sub(r'"\s*\n\s*(\+ )?f?"', "", code)
        for flag, _ in rows_of_table(COSTS, "## Flags"):
            # What varies in a flag splits it; the longest of the pieces is in the code, word for word.
            first = flag.split("` (also")[0]
            pieces = re.split(
                r"\.\.\.|'|\d+|successful|predictions.jsonl|the prompt|model_info|spec|`", first
            )
            assert max(pieces, key=len).strip() in code, flag


@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory) -> str:
    """A fresh cost table on SQLite, with bills of all sorts; its URL."""
    return _filled(f"sqlite:///{tmp_path_factory.mktemp('costs')}/costs.db")


@pytest.fixture(scope="module")
def postgresql_url(tmp_path_factory) -> Iterator[str]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield _filled(server.create_database("docs"))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request) -> tuple[str, str]:
    """The name of a database, and the URL of a cost table in it."""
    return request.param, request.getfixturevalue(f"{request.param.lower()}_url")


class TestCostTable:
    def test_the_columns_of_each_table_and_view_are_listed(self, database):
        inspector = inspect(create_engine(database[1], poolclass=NullPool))
        names = {*inspector.get_table_names(), *inspector.get_view_names()} - {"cost_schema_version"}
        listed = {
            name: {
                column
                for cells in rows_of_table(COSTS, f"### {name}")
                for column in re.findall(r"`(\w+)`", cells[0])
            }
            for name in names
        }
        assert listed == {name: {column["name"] for column in inspector.get_columns(name)} for name in names}

    def test_every_question_has_an_answer(self, database):
        name, url = database
        queries = [block for block in blocks(COSTS, "sql") if re.match(rf"-- {name}\n|(?!-- )", block)]
        assert len(queries) == len(blocks(COSTS, "sql")) - 1  # one is written for the other database
        with create_engine(url, poolclass=NullPool).connect() as connection:
            for query in queries:
                assert connection.execute(text(query.replace("::", "\\:\\:"))).all(), query

    def test_what_sqlite_is_said_to_hold_is_what_it_holds(self, sqlite_url):
        connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
        try:
            query = "SELECT logical_date, day, is_complete FROM cost_by_job WHERE job_id = '1'"
            assert connection.execute(query).fetchall() == [("2026-11-22T02:30:00.000000Z", "2026-11-22", 1)]
        finally:
            connection.close()


class TestLocalStack:
    def test_the_scripting_example_runs_against_the_emulator(self):
        command = [sys.executable, "-m", "local.emulator", "--storage-url", "http://127.0.0.1:9"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            port = json.loads(process.stdout.readline())["port"]
            scope: dict[str, object] = {}
            try:
                for example in blocks(LOCAL, "python")[:2]:
                    exec(example.replace(":9100", f":{port}"), scope)
            finally:
                scope["admin"].close()
                process.terminate()
        assert process.returncode == 0

    def test_every_fault_port_and_role_is_named(self):
        document = LOCAL.read_text()
        assert all(f"`{kind}`" in document for kind in FaultKind)
        assert all(str(port) in document for port in USUAL_PORTS.values())
        assert all(f"`{role}`" in document for role in (*set(USUAL_PORTS) - {"tunnel"}, SCHEDULER, TRIGGERER))
        assert f"{EMULATOR_SPEED:g} times as fast" in document


def _filled(url: str) -> str:
    table = CostTable(url)
    facts = JobFacts(
        project="my-project",
        location="us-central1",
        job_id="1",
        model="publishers/google/models/gemini-2.5-flash",
        state="SUCCEEDED",
        spec="nightly_summaries",
        team="support",
        labels={"product": "helpdesk", "team": "support"},
        logical_date=datetime(2026, 11, 22, 2, 30, tzinfo=UTC),
    )
    usage = {
        "promptTokenCount": 50,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 9,
        "thoughtsTokenCount": 7,
    }
    rows = [{"response": {"usageMetadata": usage}}, {"status": "Bad Request"}]
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    scan = scan_file(io.BytesIO(content), "predictions.jsonl", "gemini-2.5-flash")
    book = PriceBook([SpecPrices(None, date(2026, 11, 22)), packaged_prices()])
    table.record(make_bill(facts, scan, book))
    table.record(make_bill(replace(facts, job_id="2", spec="unpriced"), scan, PriceBook([]), flags=["odd"]))
    table.record_delivery(a_delivery(), files_changed=True)
    return url


def _package() -> Path:
    return ROOT / "plugins" / "vertex_batch"


def test_the_bill_of_a_cost_table_can_be_drawn_without_any_reference_outside(sqlite_url, tmp_path):
    path = tmp_path / "images" / "bill.svg"
    assert pictures.main(["--url", sqlite_url, "--spec", "unpriced", "--output", str(path)]) == 0
    drawn = path.read_text()
    assert "at&#160;least&#160;0.00" in drawn
    assert not OUTSIDE.search(drawn.replace(NAMESPACE, ""))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_refers_to_nothing_outside_itself(picture):
    assert not OUTSIDE.search(picture.read_text().replace(NAMESPACE, ""))
