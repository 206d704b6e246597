"""The short way reads from a row what the long way reads from it, or leaves it to that."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vertex_batch.usage import scan_file
from vertex_batch.usage.meters import Meters
from vertex_batch.usage.plain import add_plain_rows
from vertex_batch.usage.reader import Failed, Unreadable, read_row

MODEL = "gemini-2.5-flash"
LIMIT = 200_000
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 24}


def written(pairs) -> str:
    """An object as text; the same key may come twice, and values that are text stand as they are."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


small = st.integers(0, 3).map(str)
odd_counts = st.sampled_from(
    ['"2"', "2.0", "2.5", "-1", "true", "null", "[]", "2147483647", "2147483648", "1e0", "1e400", "02", "NaN"]
)
numbers = small | small | small | odd_counts
modalities = st.sampled_from(['"TEXT"', '"TEXT"', '"text"', '"AUDIO"', "1", "null", '"\\u0054EXT"'])
detail = st.lists(
    st.tuples(st.just("modality"), modalities)
    | st.tuples(st.sampled_from(["tokenCount", "token_count", "x"]), numbers),
    max_size=3,
).map(written)
details = st.lists(detail, max_size=2).map(lambda each: f"[{','.join(each)}]") | st.just("null")
count_names = [
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "prompt_token_count",
]
detail_names = [
    "promptTokensDetails",
    "candidatesTokensDetails",
    "cacheTokensDetails",
    "prompt_tokens_details",
]
other_usage = st.sampled_from(
    [("trafficType", '"ON_DEMAND"'), ("trafficType", "7"), ("newCount", "1"), ("toolCallStats", "{}")]
)


@st.composite
def usages(draw):
    """Nearly plain: true counts, and sometimes something beside or instead of one of them."""
    prompt, output, thoughts = (draw(st.integers(0, 3)) for _ in range(3))
    total = prompt + output + thoughts + draw(st.sampled_from([0, 0, 0, 1]))
    pairs = [*zip(count_names, map(str, (prompt, output, thoughts, total)), strict=False)]
    pairs += draw(
        st.lists(
            st.tuples(st.sampled_from(count_names), numbers)
            | st.tuples(st.sampled_from(detail_names), details)
            | other_usage,
            max_size=2,
        )
    )
    pairs += [("promptTokensDetails", f'[{{"modality":"TEXT","tokenCount":{prompt}}}]')] * draw(st.booleans())
    return written(draw(st.permutations(pairs)))


models = st.sampled_from(
    [f'"{MODEL}"', f'"{MODEL}"', '"gemini-2.5-pro"', '""', "null", "5", '"\\ud800"', "[]"]
)
beside = st.sampled_from(
    [
        ("responseId", '"r"'),
        ("responseId", "7"),
        ("responseId", '"\udcff"'),
        ("candidates", '[{"content":{"text":"\\"usageMetadata\\":{}"}}]'),
        ("candidates", '[{"groundingMetadata":{"webSearchQueries":["q"]}}]'),
        ("candidates", '[{"groundingMetadata":null},{"grounding_metadata":{}}]'),
        ("candidates", "[null]"),
        ("candidates", "null"),
        ("usage_metadata", '{"prompt_token_count":3}'),
        ("usage_metadata", "3"),
        ("model_version", '"gemini-2.0-flash"'),
        ("model_version", '"\udcff"'),
        ("tokenCount", '"2"'),
        ("token_count", "{}"),
        ("usage", '{"input_tokens":3}'),
        ("status_code", "500"),
        ("error", '"no"'),
        ("error", "{}"),
        ("text", '"\udcff"'),
        ("text", '"\\x"'),
        ("text", '"\x01"'),
    ]
)
around = st.sampled_from(
    [
        ("status", '""'),
        ("status", '"Bad"'),
        ("status", '"OK"'),
        ("status", "null"),
        ("status", "0"),
        ("error", "{}"),
        ("error", '{"code":3}'),
        ("predictions", "[7]"),
        ("response", "{}"),
        ("response", "null"),
        ("response", '"{}"'),
        ("request", '{"usageMetadata":{"promptTokenCount":7},"response":{"usageMetadata":{}}}'),
        ("request", "[" * 2000 + "]" * 2000),
    ]
)


@st.composite
def rows(draw):
    named = [("usageMetadata", draw(usages())), ("modelVersion", draw(models))]
    response = written(draw(st.permutations(named + draw(st.lists(beside, max_size=2)))))
    pairs = draw(st.permutations([("response", response), *draw(st.lists(around, max_size=2))]))
    line = bytearray(written(pairs).encode("utf-8", "surrogateescape"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):  # a byte that is lost, or another one
        place = draw(st.integers(0, len(line) - 1))
        line[place : place + 1] = draw(
            st.sampled_from([b"", b'"', b"\\", b"}", b"9", b"\x00", b"\xff", b" ", b"\r"])
        )
    return bytes(line)


def the_long_way(lines):
    """All rows read by `read_row`, as a scan would be without the short way."""
    outcomes, notes, meters = Counter(), Counter(), Meters(MODEL, LIMIT, {})
    for line in lines:
        outcome = read_row(line)
        if isinstance(outcome, Failed | Unreadable):
            blank = not line.strip()
            outcomes[type(outcome).__name__.lower()] += not blank
            continue
        outcomes["ok"] += 1
        notes.update(set(outcome.notes))
        meters.of(outcome.model).add(outcome.prompt_tokens, outcome.counts)
    return (outcomes["ok"], outcomes["failed"], outcomes["unreadable"]), meters.tokens(), dict(notes)


@settings(max_examples=300)
@given(st.lists(rows(), min_size=1, max_size=6))
@example([b'{"response":{"usageMetadata":{"totalTokenCount":5}}}'])
def test_the_short_way_reads_what_the_long_way_reads(lines):
    result = scan_file(io.BytesIO(b"\n".join(lines) + b"\n"), "f", MODEL)
    counted, tokens, notes = the_long_way(lines)
    assert (result.ok, result.failed, result.unreadable) == counted
    assert (result.tokens, result.notes) == (tokens, notes)


def left_of(*lines):
    meters = Meters(MODEL, LIMIT, {})
    left = add_plain_rows(
        [json.dumps(line).encode() if isinstance(line, dict) else line for line in lines], meters, None
    )
    return left, sum(meters.tokens().values())


def test_a_plain_row_goes_the_short_way(row):
    cached = {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 4}],
        "totalTokenCount": 9,
        "trafficType": "ON_DEMAND",
    }
    assert left_of(row(), row(USAGE), row(cached), row(USAGE, status=None)) == ([], 19 + 24 + 9 + 24)


@pytest.mark.parametrize(
    "changed",
    [
        {"promptTokenCount": "9"},
        {"promptTokenCount": 200_001, "totalTokenCount": 200_016},
        {"totalTokenCount": 25},
        {"totalTokenCount": None},
        {"cachedContentTokenCount": 10},
        {"toolUsePromptTokenCount": 1},
        {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}]},
        {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}]},
        {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}] * 2},
        {"candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]},
        {
            "promptTokenCount": 0,
            "totalTokenCount": 15,
            "promptTokensDetails": [{"modality": "TEXT", "token_count": 5}],
        },
        {"aNewField": 1},
    ],
)
def test_a_row_that_means_more_than_its_sums_is_left(row, changed):
    assert left_of(row(USAGE), row({**USAGE, **changed}), row(USAGE)) == ([1], 48)


def test_a_row_that_counts_nothing_is_left(row):
    assert left_of(row(USAGE), row({"trafficType": "ON_DEMAND"}), row({"totalTokenCount": 0})) == ([1, 2], 24)


def test_lines_that_are_no_plain_rows_are_left_and_hide_no_other(row):
    plain = json.dumps(row(USAGE)).encode()
    odd = [b"", b"{", plain[:-1], plain + b"}", plain + plain, b"\xff", b"[" * 5000, b"null", b"\r\n"]
    lines = [line for other in odd for line in (other, plain)]
    assert left_of(*lines) == ([2 * n for n in range(len(odd))], 24 * len(odd))
