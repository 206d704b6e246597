"""A delivery in each format, read back by other programs; and that a reader never sees a half of one."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.vertex_batch.results.nights import a_request, answered, failed
from vertex_batch.errors import ConfigurationError
from vertex_batch.results import DeliveryPlace, deliver
from vertex_batch.results.delivery_rows import QUERIES
from vertex_batch.specs.results import FORMATS, OWN_COLUMNS

ASKED = [
    {"ticket": key, "customer": f"c{n}", "request": a_request(f"question {n}")}
    for n, key in enumerate(["007", "7", "é😀", "=1+1", 'a,b\n"c"', "lost"])
]


@pytest.fixture
def delivery(night):
    night.add_input(ASKED)
    outputs = [answered(row, f'{{"to": "{n}", "é": [1.5]}}', n) for n, row in enumerate(ASKED[:5])]
    night.add_output(0, [*outputs[::-1], failed(ASKED[5])])

    def write(suffix, **settings):
        night.deliver(f"answers{suffix}", **{"answer": "json", "keep": ("customer",), **settings})
        return DeliveryPlace(str(night.root / "delivery" / f"answers{suffix}"))

    return write


COLUMNS = [
    "row",
    "key",
    "customer",
    "answer",
    "model",
    "finish_reason",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "thoughts_tokens",
    "cost_usd",
    "cost_complete",
    "attempt",
]


def read_by_pandas(path, suffix):
    if suffix == ".parquet":
        return pd.read_parquet(path)
    if suffix == ".csv":
        return pd.read_csv(path, dtype={"key": str, "cost_usd": str})
    return pd.read_json(path, lines=True, dtype={"key": str, "cost_usd": str})


@pytest.mark.parametrize("suffix", FORMATS)
def test_pandas_and_duckdb_read_the_same_rows(delivery, suffix):
    place = delivery(suffix)
    found = read_by_pandas(place.answers, suffix)
    assert list(found.columns) == COLUMNS
    assert list(found["key"]) == [row["ticket"] for row in ASKED[:5]]
    assert list(found["customer"]) == ["c0", "c1", "c2", "c3", "c4"]
    answers = [json.loads(each) if isinstance(each, str) else each for each in found["answer"]]
    assert answers == [{"to": str(n), "é": [1.5]} for n in range(5)]
    costs = {Decimal(str(cost)).normalize() for cost in found["cost_usd"]}

    reader = {".parquet": "read_parquet", ".csv": "read_csv"}.get(suffix, "read_json")
    options = ", all_varchar=true" if suffix == ".csv" else ""
    rows = duckdb.sql(
        f'SELECT key, CAST(cost_usd AS DECIMAL(38, 18)), CAST("row" AS BIGINT)'
        f" FROM {reader}('{place.answers}'{options})"
    ).fetchall()
    assert [row[0] for row in rows] == [row["ticket"] for row in ASKED[:5]]
    assert {row[1].normalize() for row in rows} == costs
    assert [row[2] for row in rows] == [1, 2, 3, 4, 5]

    exceptions = read_by_pandas(place.exceptions, suffix)
    assert list(exceptions["key"]) == ["lost"]
    assert list(exceptions["reason"]) == ["transient"]


def test_answers_in_parquet_cost_exact_decimals(delivery, night):
    costs = pd.read_parquet(delivery(".parquet").answers)["cost_usd"]
    assert sum(costs) == night.bills[0].total.amount
    assert all(isinstance(cost, Decimal) for cost in costs)


def test_embeddings_in_each_format(night):
    row = {"ticket": "a", "request": {"content": {"parts": [{"text": "Boat"}]}}}
    night.add_input([row])
    response = {"tokenCount": "2", "embedding": {"values": [0.1, -2.5]}}
    night.add_output(0, [{**row, "response": response}])
    for suffix in FORMATS:
        night.deliver(f"e{suffix}")
        (answer,) = read_by_pandas(night.root / "delivery" / f"e{suffix}", suffix)["answer"]
        assert list(json.loads(answer) if isinstance(answer, str) else answer) == [0.1, -2.5]


def test_a_raw_answer_is_the_whole_response(night):
    night.add_input(ASKED[:1])
    output = answered(ASKED[0], "yes")
    night.add_output(0, [output])
    (row,) = night.deliver(answer="raw").answers
    assert row["answer"] == output["response"]


TEXTS = ["a\rb", "\r", "a\r\nb\nc", '"', "\0", "\u2028\x85\x0b\x0c", " 1 ", "=1+1", "NULL", "\\", "a,b;c\t"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_text_comes_back_as_it_was(night, suffix):
    asked = [
        {"ticket": f"{n} {text}", "note": text, "request": a_request(text)} for n, text in enumerate(TEXTS)
    ]
    night.add_input(asked)
    night.add_output(0, [answered(row, row["note"], n) for n, row in enumerate(asked)])
    night.deliver(f"texts{suffix}", keep=("note",))
    path = night.root / "delivery" / f"texts{suffix}"
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            found = list(csv.DictReader(stream))
    elif suffix == ".parquet":
        found = pd.read_parquet(path).to_dict("records")
    else:
        content = path.read_bytes()
        content = gzip.decompress(content) if suffix.endswith(".gz") else content
        found = [json.loads(line) for line in content.removesuffix(b"\n").split(b"\n")]
    assert [(row["key"], row["note"], row["answer"]) for row in found] == [
        (row["ticket"], row["note"], row["note"]) for row in asked
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_json_that_a_model_wrote_over_several_lines_is_one_row(night, suffix, line_end):
    answers = ['{"to":1.50,\n "lines":"a\\n b"}', "```json\n[\n 1,\n 2\n]\n```", "{\n}\n"]
    night.add_input(ASKED[:3])
    outputs = [
        answered(row, text.replace("\n", line_end), n)
        for n, (row, text) in enumerate(zip(ASKED, answers, strict=False))
    ]
    night.add_output(0, outputs)
    night.deliver(f"json{suffix}", answer="json")
    found = read_by_pandas(night.root / "delivery" / f"json{suffix}", suffix)["answer"]
    assert [json.loads(each) if isinstance(each, str) else each for each in found] == [
        {"to": 1.5, "lines": "a\n b"},
        [1, 2],
        {},
    ]


def test_an_empty_delivery_has_its_columns(night):
    night.add_input(ASKED[:1])
    night.add_output(0)
    night.deliver("answers.parquet")
    assert list(pd.read_parquet(night.root / "delivery" / "answers.parquet").columns) == [
        column for column in COLUMNS if column != "customer"
    ]


def test_the_manifest_is_what_a_reader_waits_for(delivery):
    place = delivery(".jsonl.gz")
    manifest = json.loads(Path(place.manifest).read_text(encoding="utf-8"))
    assert (manifest["input_rows"], manifest["delivered"], manifest["exceptions"]) == (6, 5, 1)
    assert manifest["exceptions_by_reason"] == {"transient": 1}
    assert manifest["files"]["answers"]["file"] == "answers.jsonl.gz"
    assert manifest["files"]["answers"]["rows"] == 5
    assert len(gzip.decompress(Path(place.answers).read_bytes()).splitlines()) == 5
    assert manifest["files"]["exceptions"]["rows"] == 1


def test_delivering_twice_writes_nothing_and_other_rows_replace_everything(night):
    night.add_input(ASKED)
    night.add_output(0, [answered(row, "yes", n) for n, row in enumerate(ASKED[:5])])
    to = str(night.root / "delivery" / "answers.parquet")

    def write():
        with night.join() as joined:
            return deliver(joined, to, night.store, {"run_id": "one"})

    assert write().changed
    times = {path: path.stat().st_mtime_ns for path in (night.root / "delivery").iterdir()}
    assert not write().changed
    assert {path: path.stat().st_mtime_ns for path in (night.root / "delivery").iterdir()} == times

    night.add_output(1, [answered(ASKED[5], "late", 9), answered(ASKED[0], "twice", 10)])
    assert write().changed
    assert len(pd.read_parquet(to)) == 6
    names = {path.name for path in (night.root / "delivery").iterdir()}
    assert names == {
        "answers.parquet",
        "answers.exceptions.parquet",
        "answers.extra.parquet",
        "answers.parquet._SUCCESS.json",
    }

    night.attempts.pop()
    night.bills.pop()
    assert write().changed
    assert not (night.root / "delivery" / "answers.extra.parquet").exists(), "it is of another delivery"


def test_a_delivery_whose_file_was_removed_is_written_again(night):
    night.add_input(ASKED)
    night.add_output(0, [answered(ASKED[0], "yes")])
    first = night.deliver("answers.csv").manifest
    (night.root / "delivery" / "answers.csv").unlink()
    assert night.deliver("answers.csv").manifest == first
    assert (night.root / "delivery" / "answers.csv").exists()


def test_a_file_of_another_kind_is_refused(night):
    night.add_input(ASKED)
    night.add_output(0, [answered(ASKED[0], "yes")])
    with pytest.raises(ConfigurationError, match=r"answers\.xlsx"):
        night.deliver("answers.xlsx")


def test_no_field_that_is_carried_over_can_have_the_name_of_a_column():
    carrying = [columns for _, columns in QUERIES.values() if "*" in columns]
    assert {column for columns in carrying for column in columns} - {"*"} == OWN_COLUMNS
