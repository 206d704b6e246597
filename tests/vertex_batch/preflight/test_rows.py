"""What is found in the rows of an input, where, and that nothing else is."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.emulator.importer import Importer, ImportRefusedError
from vertex_batch.preflight import Report, RowCheck, Severity, shape_of
from vertex_batch.preflight.findings import MAX_FINDINGS

GOOD = {"request": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}}


def row(**request: Any) -> dict[str, Any]:
    return {"request": {**GOOD["request"], **request}}


def lines(*rows: Any) -> bytes:
    return b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows)


def check(*files: bytes, model: str = "gemini-2.5-flash") -> Report:
    report = Report()
    rows = RowCheck(shape_of(model), report)
    for number, data in enumerate(files):
        rows.file(io.BytesIO(data), f"{number}.jsonl")
    rows.finish()
    return report


def found(report: Report) -> list[tuple[str, str, str]]:
    return [(finding.place, finding.path, str(finding.severity)) for finding in report.findings]


def deep(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {"leaf": 1}
    for _ in range(levels - 1):
        nested = {"a": nested}
    return nested


@pytest.mark.parametrize(
    ("bad", "path", "word"),
    [
        (row(tools=[{"googleSearch": {}}]), "request.tools[].googleSearch", "empty object"),
        (
            row(tools=[{"googleSearch": {"\n": {}}}]),
            "request.tools[].googleSearch.\n",
            "not a valid column name",
        ),
        (
            row(generationConfig={"responseSchema": {"$defs": {"a": 1}}}),
            "request.generationConfig.responseSchema.$defs",
            "not a valid column name",
        ),
        (row(labels={"my key": "x"}), "request.labels.my key", "not a valid column name"),
        (
            row(contents=[{"role": 5, "parts": [{"text": "x"}]}]),
            "request.contents[].role",
            "is a number here and a string",
        ),
        (
            row(contents=[{"role": "user", "parts": {"text": "x"}}]),
            "request.contents[].parts",
            "is an object here and a list",
        ),
        (row(x=deep(15)), "request.x" + ".a" * 14, "deeper than 15"),
        (b'{"request": {"contents": [\n', "", "not JSON"),
        (b"\xff\n", "", "not JSON"),
        (b"id,prompt\n", "", "this looks like CSV: write one JSON object per line"),
        (b'"id";"prompt"\n', "", "this looks like CSV"),
        (
            b"{'request': {'contents': []}}\n",
            "",
            "single quotes, or None or True: this is Python's repr, not JSON: write one",
        ),
        (b'{"request": {}, "id": None}\n', "", "this is Python's repr, not JSON"),
        (b"[\n", "", "this looks like one JSON array"),
        (b"{\n", "", "this looks like a JSON object over several lines"),
        ('{"request": {}}\n'.encode("utf-16-le"), "", "looks like UTF-16"),
        (
            '{"request": "Zürich"}\n'.encode("latin-1"),
            "",
            "it is not UTF-8: convert the file, as with `icon",
        ),
        (b'{"request": NaN}\n', "", "not JSON"),
        (b"[1]\n", "", "is not a JSON object, but an array: write each of its items on a line of its own"),
        (b'"request"\n', "", "not a JSON object"),
        ({"contents": []}, "request", "is missing"),
        ({"request": None}, "request", "is missing"),
        (b'{"a":' * 100_000 + b"\n", "", "too deeply"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
@pytest.mark.parametrize("good_rows", [1, 3000])
def test_what_fails_the_whole_job_is_found_at_its_line(bad, path, word, good_rows):
    report = check(lines(*[GOOD] * good_rows, bad, GOOD))

    first = report.findings[0]
    assert (first.place, first.severity) == (f"0.jsonl:{good_rows + 1}", Severity.JOB)
    assert first.path == path
    assert word in first.message
    assert report.rows == good_rows + 2
    assert report.is_hopeless


@pytest.mark.parametrize(
    "fine",
    [
        row(contents=[{"parts": [{"text": '{} and { } in a text, \\" too: {}'}]}]),
        row(contents=[{"parts": [{"text": None}]}]),
        row(generationConfig={"temperature": 1}),
        row(generationConfig={"temperature": 0.5}),
        row(systemInstruction={"parts": []}),
        row(x=deep(14)),
        {**GOOD, "key": "a"},
        {**GOOD, "response": {}, "status": "", "processed_time": "2026-11-22"},
        {**GOOD, "response": {"my key": [1, "a", {}]}},
        b" \n",
        b"\r\n",
    ],
)
def test_what_the_importer_takes_fails_no_job(fine):
    report = check(lines(GOOD, row(generationConfig={"temperature": 0.2}), fine, GOOD, fine))
    assert report.counts[Severity.JOB] == 0
    assert not report.is_hopeless


def test_a_row_without_contents_fails_alone():
    report = check(lines(GOOD, row(contents=[])))
    assert found(report) == [("0.jsonl:2", "request.contents", "row")]
    assert not report.is_hopeless


def test_a_job_of_which_every_row_fails_is_hopeless():
    assert check(lines(row(contents=[]), {"request": {"labels": {"a": "b"}}})).is_hopeless


def test_a_key_has_one_type_in_all_files_of_a_job():
    report = check(lines({**GOOD, "key": "a"}), lines({**GOOD, "key": 5}))
    assert found(report) == [("1.jsonl:1", "key", "job")]


def test_a_key_of_two_types_is_told_once_and_not_for_every_row():
    rows = [{**GOOD, "key": n if n % 2 else str(n)} for n in range(5000)]
    assert found(check(lines(*rows))) == [("0.jsonl:2", "key", "job")]


def test_a_list_within_a_list_is_a_doubt():
    report = check(lines(GOOD, row(x=[["a"], [1]]), row(x=[["a"], [1]])))
    assert found(report)[0] == ("0.jsonl:2", "request.x[]", "doubt")


def test_the_same_mistake_is_told_once_and_counted():
    report = check(lines(GOOD, *[b"no\n"] * 1000))
    (line,) = report.lines()
    assert line.startswith("0.jsonl:2: ")
    assert line.endswith("the same in 999 more)")
    assert report.counts[Severity.JOB] == 1000


def test_twenty_kinds_are_shown_and_the_rest_is_counted():
    report = check(lines(GOOD, *[row(**{f"unknown_{n}": 1}) for n in range(30)]))
    assert len(report.lines()) == MAX_FINDINGS + 1
    assert report.lines()[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("model", "good", "bad", "path"),
    [
        (
            "gemini-embedding-001",
            {"request": {"content": {"parts": [{"text": "x"}]}}},
            GOOD,
            "request.content.parts",
        ),
        ("text-embedding-005", {"content": "x"}, GOOD, "content"),
        (
            "claude-sonnet-4-5",
            {
                "custom_id": "1",
                "request": {
                    "anthropic_version": "v",
                    "max_tokens": 5,
                    "messages": [{"role": "user", "content": "x"}],
                },
            },
            GOOD,
            "custom_id",
        ),
        ("publishers/meta/models/llama-4", {"custom_id": "1", "body": {"messages": []}}, GOOD, "body"),
        ("projects/p/locations/l/models/123", GOOD, {"content": "x"}, "request"),
    ],
)
def test_a_row_has_the_shape_that_its_model_takes(model, good, bad, path):
    assert check(lines(good), model=model).lines() == []
    assert path in [finding.path for finding in check(lines(good, bad), model=model).findings]


def test_limits_that_are_not_known_to_hold_for_a_model_are_doubts():
    claude = {
        "custom_id": "1",
        "request": {"anthropic_version": "v", "max_tokens": 5, "messages": [{"content": "x"}]},
    }
    blocks = {
        **claude,
        "custom_id": "2",
        "request": {**claude["request"], "messages": [{"content": [{"text": "x"}]}]},
    }
    report = check(lines(claude, blocks), model="claude-sonnet-4-5")
    assert {finding.severity for finding in report.findings} == {Severity.DOUBT}
    assert not report.is_hopeless


def test_too_many_rows_are_told_with_the_limit_of_the_model():
    report = check(b'{"content": "x"}\n' * 30_001, model="text-embedding-005")
    (finding,) = report.findings
    assert finding.severity is Severity.JOB
    assert (
        finding.message
        == "hold 30,001 rows, but a job for text embeddings accepts at most 30,000: split them"
    )


def test_many_rows_are_fine_where_several_jobs_may_read_them():
    report = Report()
    rows = RowCheck(shape_of("text-embedding-005"), report)
    rows.file(io.BytesIO(b'{"content": "x"}\n' * 30_001), "in.jsonl")
    rows.finish(may_be_split=True)
    assert report.findings == []


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_an_input_without_rows_is_hopeless(data):
    assert check(data).is_hopeless


def test_an_empty_file_among_others_is_a_doubt():
    report = check(b"", lines(GOOD))
    assert found(report) == [("0.jsonl:1", "", "doubt")]


def test_gzip_is_read_and_a_damaged_one_is_told():
    packed = gzip.compress(lines(*[GOOD] * 5000))
    assert check(packed).rows == 5000
    damaged = check(packed[: len(packed) // 2])
    assert any("compressed" in finding.message for finding in damaged.findings)


def test_lines_that_are_too_long_are_skipped_and_counted(monkeypatch):
    monkeypatch.setattr("vertex_batch.preflight.rows.MAX_LINE_BYTES", 1 << 20)
    long = b'{"request": "' + b"x" * (3 << 20) + b'"}\n'
    report = check(lines(GOOD, long, GOOD, b"no\n"))
    assert [place for place, _, _ in found(report)] == ["0.jsonl:2", "0.jsonl:4"]
    assert report.rows == 4
    assert report.size_bytes == len(lines(GOOD, long, GOOD, b"no\n"))


def test_memory_does_not_grow_with_the_file_nor_with_its_keys(monkeypatch):
    monkeypatch.setattr("vertex_batch.preflight.columns.MAX_COLUMNS", 1000)

    def rows():
        for number in range(20_000):
            yield lines(row(labels={f"k{number}": "x" * 2000}))

    class Stream(io.RawIOBase):
        """Made while it is read, so that it holds no memory itself."""

        def __init__(self) -> None:
            self.rows, self.rest = rows(), b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            self.rest = self.rest or next(self.rows, b"")
            taken = self.rest[: len(buffer)]
            self.rest = self.rest[len(taken) :]
            buffer[: len(taken)] = taken
            return len(taken)

    report = Report()
    check = RowCheck(shape_of("gemini-2.5-flash"), report)
    tracemalloc.start()
    check.file(io.BufferedReader(Stream()), "in.jsonl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.rows == 20_000
    assert any("1,000 different keys" in finding.message for finding in report.findings)
    assert peak < 20 << 20


KEYS = st.sampled_from(["request", "contents", "a", "b", "_c", "1d", "e f", "$g", "text"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "{}", '"{ }', "x"])
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "request": st.fixed_dictionaries(
                {"contents": st.just([{"text": "x"}])}, optional={"a": NESTED, "b": NESTED}
            )
        },
        optional={"key": LEAVES},
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS)
@example([{"request": {"contents": [{"text": "x"}], "a": [[1], ["b"]]}}])
@settings(max_examples=400, deadline=None)
def test_the_job_is_refused_exactly_where_the_emulated_importer_refuses_it(rows):
    importer = Importer(("request",))
    expected = None
    for number, line in enumerate(lines(*rows).splitlines(), start=1):
        try:
            importer.check(line)
        except ImportRefusedError as error:
            expected = (number, error.reason)
            break
    # Thrice, so that rows of a known shape come by the fast way.
    report = check(lines(*rows, *rows, *rows))
    grave = [finding for finding in report.findings if finding.severity is Severity.JOB]
    assert bool(grave) == bool(expected), (expected, report.lines())
    if expected:
        assert grave[0].place == f"0.jsonl:{expected[0]}"


@pytest.mark.parametrize(
    ("model", "config", "is_doubted"),
    [
        ("gemini-2.5-flash", {"maxOutputTokens": 256}, True),
        ("gemini-3.5-pro", {"max_output_tokens": 1023}, True),
        ("gemini-2.5-flash", {"maxOutputTokens": 256, "thinkingConfig": {"thinkingBudget": -1}}, True),
        ("gemini-2.5-flash", {"maxOutputTokens": 1024}, False),
        ("gemini-2.5-flash", {"maxOutputTokens": 256, "thinkingConfig": {"thinkingBudget": 0}}, False),
        ("gemini-3.5-pro", {"maxOutputTokens": 256, "thinkingConfig": {"thinkingLevel": "LOW"}}, False),
        ("gemini-2.5-flash-lite", {"maxOutputTokens": 256}, False),
        ("gemini-2.0-flash", {"maxOutputTokens": 256}, False),
        ("gemini-2.5-flash", {"temperature": 0}, False),
    ],
)
def test_a_low_limit_that_thoughts_use_up_is_doubted_once(model, config, is_doubted):
    same = row(generationConfig=config)
    report = check(lines(same, same, same), model=model)
    assert [finding.severity for finding in report.findings] == [Severity.DOUBT] * is_doubted
    assert all("thoughts count as output" in finding.message for finding in report.findings)
