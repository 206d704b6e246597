"""Rows without the key that the spec names, and keys of two rows: the same wherever the key is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertex_batch.preflight import Report, RowRules, Severity, is_missing, key_at, path_names

MODEL = "gemini-2.5-flash"
REQUEST = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
PATHS = ["ticket_id", "metadata.customer.id", "request.labels.ticket_id"]


def row_with(path: str, key: object) -> dict[str, Any]:
    """A row whose key is at a path."""
    row: dict[str, Any] = {"request": {**REQUEST}, "lang": "de"}
    *folders, name = path_names(path)
    inner = row
    for folder in folders:
        inner = inner.setdefault(folder, {})
    inner[name] = key
    return row


def check(rows: list[dict[str, Any]], key: str, model: str = MODEL) -> Report:
    rules = RowRules(model, key)
    report = rules.new_report()
    found = rules.check(report)
    found.file(io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows)), "in.jsonl")
    found.finish()
    return report


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 5000])
def test_an_input_in_which_no_row_has_the_key_is_of_no_use(path, count):
    report = check([row_with(path, f"k{n}") for n in range(count)], f"{path}x")
    assert report.is_hopeless
    assert report.counts[Severity.NO_KEY] == count
    [line] = report.lines()
    assert f"None of the {count:,} rows has the field `{path}x`, which `results.key` names" in line
    assert f"did you mean `{path}`?" in line


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("odd", [None, "", "absent"])
def test_rows_without_the_key_are_counted_and_the_first_is_named(path, odd):
    rows = [row_with(path, f"k{n}") for n in range(4000)]
    for number in (1999, 2500, 3999):
        rows[number] = {"request": REQUEST, "lang": "de"} if odd == "absent" else row_with(path, odd)
    report = check(rows, path)
    assert not report.is_hopeless
    assert report.counts[Severity.NO_KEY] == 3
    [line] = report.lines()
    assert line.startswith(f"3 of 4,000 rows have no field `{path}`, which `results.key` names")
    assert line.endswith("The first is in.jsonl:2000; the row has `lang`")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("between", [0, 3000])
def test_a_key_of_two_rows_is_doubted_wherever_it_is(path, between):
    others = [row_with(path, f"k{n}") for n in range(between)]
    report = check([row_with(path, "a"), *others, row_with(path, "a")], path)
    [finding] = report.findings
    assert (finding.severity, finding.place, finding.path) == (
        Severity.REPEATED_KEY,
        f"in.jsonl:{between + 2}",
        path,
    )
    assert report.lines() == [
        (
            f"1 row has the key of an earlier row, at in.jsonl:{between + 2} (`{path}` is 'a'), so it does"
            " not identify its answer"
        )
    ]


@pytest.mark.parametrize("copies", [2, 3])
def test_many_keys_of_earlier_rows_are_one_line(copies):
    rows = [row_with("ticket_id", f"k{n}") for n in range(3000)]
    report = check(rows * copies, "ticket_id")
    again = 3000 * (copies - 1)
    assert report.lines() == [
        (
            f"{again:,} rows have the key of an earlier row, the first at in.jsonl:3001 (`ticket_id` is"
            " 'k0'), so it does not identify their answers"
        )
    ]
    assert report.summary().endswith(f"; {again:,} rows have the key of an earlier row")
    assert not report.is_hopeless


@pytest.mark.parametrize("key", [{"a": 1}, ["a"], True, 7, 0, 0.5])
def test_a_key_of_another_type_than_text_is_a_key(key):
    assert check([row_with("ticket_id", key)] * 3, "ticket_id").counts[Severity.NO_KEY] == 0


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("status", {**row_with("status", "s"), "x": 1}),
        ("response.id", row_with("response.id", "s")),
        ("id", {"content": "x", "instance": {"content": "x", "id": "a"}}),
        ("customerId", row_with("customer_id", "a")),
        ("my key", row_with("my key", "a")),
        ("request", row_with("a", "a")),
    ],
)
def test_a_key_is_found_where_a_delivery_finds_it(path, row):
    report = check([row] * 3, path, model="other-model")
    assert report.counts[Severity.NO_KEY] == 0


def test_fields_whose_names_do_not_fit_into_a_line_are_not_shown():
    [first, *_] = check([{**row_with("a\nb", "k"), "x" * 200: 1, "good_id": 1}], "ticket", "other").lines()
    assert "the row has `lang`, `good_id`" in first
    assert "\n" not in first


def test_a_usual_key_is_not_required():
    rows = [row_with("key", "a"), {"request": REQUEST}, row_with("key", "b")]
    assert check(rows, "").lines() == []


NAMES = st.sampled_from(["a_b", "aB", "c", "instance"])
VALUES = st.none() | st.integers(0, 2) | st.booleans() | st.sampled_from(["", "x", "y", '{"c": "z"}'])
RECORDS = st.recursive(
    VALUES | st.lists(VALUES, max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(NAMES, RECORDS, min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a_b", "aB", "c"]), min_size=1, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_the_compiled_and_the_plain_path_agree_with_the_delivery(rows, names):
    """Thrice, so that rows of a known shape take the fast path."""
    lacking = sum(is_missing(key_at(row, names)) for row in rows)
    report = check(rows * 3, ".".join(names), model="other-model")
    assert report.counts[Severity.NO_KEY] == 3 * lacking
