"""The short way, decoded or compiled, reads from a row what the long way reads, or leaves it to that."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vertex_batch.storage import split_lines
from vertex_batch.usage import plain
from vertex_batch.usage.meters import Meters
from vertex_batch.usage.outcomes import Failed, Unreadable, Unrecognized
from vertex_batch.usage.reader import read_row

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
        ("candidates", '[{"groundingMetadata":{"imageSearchQueries":["q","q","r"]}}]'),
        ("candidates", '[{"groundingMetadata":{"groundingChunks":[{"maps":{"uri":"u"}}]}}]'),
        ("candidates", '[{"grounding_metadata":{"oracle":1}}]'),
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
        ("predictions", '[{"usage":{"prompt_tokens":3}}]'),
        ("prediction", '{"usage":{"prompt_tokens":3}}'),
        ("result", '{"type":"succeeded","message":{"usage":{"input_tokens":3}}}'),
        ("result", '{"type":"errored"}'),
        ("instance", '{"content":"a b"}'),
        ("content", '"a b"'),
        ("response", "{}"),
        ("response", "null"),
        ("response", '"{}"'),
        ("request", '{"usageMetadata":{"promptTokenCount":7},"response":{"usageMetadata":{}}}'),
        ("request", "[" * 2000 + "]" * 2000),
    ]
)


# Rows in other wrappers, in the form of an embedding, or in none that is known.
others = st.sampled_from(
    [
        '{"custom_id":"a","result":{"type":"succeeded","message":{"usage":{"input_tokens":3,"output_tokens":1}}}}',
        '{"custom_id":"a","result":{"type":"expired"}}',
        '{"instance":{},"prediction":{"usage":{"prompt_tokens":3}}}',
        '{"instance":{},"prediction":"id"}',
        '{"instance":{"content":"a b"},"predictions":[{"embeddings":{"statistics":{"token_count":2}}}]}',
        '{"request":{}}',
        "{}",
    ]
).map(str.encode)


@st.composite
def rows(draw):
    if draw(st.integers(0, 9)) == 0:
        return draw(others)
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


def compiled(data, meters):
    return plain._add_compiled(data, meters)


def decoded(data, meters):
    lines = split_lines(data)
    left = plain._add_decoded(lines, meters, None)
    return len(lines), [(place, lines[place]) for place in left]


# Where continuous integration runs there is a compiler; elsewhere the package works without.
BOTH = pytest.mark.parametrize(
    "way",
    [
        decoded,
        pytest.param(
            compiled,
            marks=pytest.mark.skipif(
                not plain.IS_COMPILED and not os.environ.get("CI"), reason="no C compiler at installation"
            ),
        ),
    ],
)


def the_long_way(lines, meters):
    """All rows read by `read_row`, as a scan would be without the short way."""
    outcomes, notes = Counter[Any](), Counter[str]()
    for line in lines:
        outcome = read_row(line)
        if isinstance(outcome, Failed | Unreadable | Unrecognized):
            blank = not line.strip()
            outcomes[type(outcome).__name__.lower()] += not blank
            continue
        outcomes["ok"] += 1
        notes.update({*outcome.notes, meters.of(outcome.model).add(outcome)} - {""})
    return outcomes, notes


@BOTH
@settings(max_examples=300)
@given(lines=st.lists(rows(), min_size=1, max_size=6), has_newline=st.booleans())
@example(lines=[b'{"response":{"usageMetadata":{"totalTokenCount":5}}}'], has_newline=True)
def test_the_short_way_reads_what_the_long_way_reads(way, lines, has_newline):
    short, long = Meters(MODEL, LIMIT, {}), Meters(MODEL, LIMIT, {})
    count, left = way(b"\n".join(lines) + b"\n" * has_newline, short)
    outcomes, notes = the_long_way([line for _, line in left], short)
    outcomes["ok"] += count - len(left)
    assert count == len(lines)
    assert (+outcomes, notes) == tuple(+found for found in the_long_way(lines, long))
    assert short.tokens() == long.tokens()


pieces = st.sampled_from(
    ["\\\\", "\\", '\\"', '"', "\\n", "\\x", "\\u00fc", "\\u12", "\\ud83d\\ude00", "\\ude00", "\x1f", "ü"]
)
texts = st.lists(pieces | st.integers(1, 70).map(lambda n: "x" * n), max_size=12).map("".join)


@BOTH
@settings(max_examples=500)
@given(text=texts)
@example(text="x" * 62 + "\\" * 3 + '"' + "y" * 80)
@example(text="\\n" + "x" * 61 + "\\" + '"' + "y" * 80)
@example(text="\\n" + "x" * 61 + "\\" + '"')
@example(text="\\n" + "x" * 61 + "\\" * 3 + '"' + "y" * 80)
@example(text="\\n" + "x" * 61 + "\\" * 2 + '"' + "y" * 80)
@example(text="\\n" + "x" * 60 + "\\ud83d\\ude00" + "y" * 80 + "\\x")
def test_a_row_is_plain_whatever_its_text_if_that_is_a_text(way, text):
    line = f'{{"response":{{"usageMetadata":{json.dumps(USAGE)}}},"request":"{text}"}}'
    try:
        is_text = bool(json.loads(line)["request"].encode()) or not text
    except ValueError:  # no JSON, or a half of a pair
        is_text = False
    meters = Meters(MODEL, LIMIT, {})
    _, left = way(line.encode(), meters)
    assert (left == []) == is_text
    assert sum(meters.tokens().values()) == 24 * is_text


@BOTH
def test_of_a_row_that_is_cut_or_changed_anywhere_both_ways_read_the_same(way, row):
    whole = json.dumps(
        row({**USAGE, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}], "trafficType": None})
        | {"request": ["\\", '"', "ü", -1.5e-3, True, {"a": []}]}
    ).encode()
    cut = [whole[:size] for size in range(len(whole))]
    without = [whole[:place] + whole[place + 1 :] for place in range(len(whole))]
    changed = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(len(whole))]
    for line in (line for line in (*cut, *without, *changed) if line):
        short, long = Meters(MODEL, LIMIT, {}), Meters(MODEL, LIMIT, {})
        count, left = way(line, short)
        outcomes, _ = the_long_way([line for _, line in left], short)
        outcomes["ok"] += count - len(left)
        assert +outcomes == +the_long_way([line], long)[0], line
        assert short.tokens() == long.tokens(), line


def left_of(way, *lines):
    meters = Meters(MODEL, LIMIT, {})
    data = [json.dumps(line).encode() if isinstance(line, dict) else line for line in lines]
    count, left = way(b"".join(line + b"\n" for line in data), meters)
    assert count == len(lines)
    assert [line for _, line in left] == [data[place] + b"\n" for place, _ in left]
    return [place for place, _ in left], sum(meters.tokens().values())


@BOTH
def test_a_plain_row_goes_the_short_way(way, row):
    cached = {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 4}],
        "totalTokenCount": 9,
        "trafficType": "ON_DEMAND",
    }
    assert left_of(way, row(), row(USAGE), row(cached), row(USAGE, status=None)) == ([], 19 + 24 + 9 + 24)


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
@BOTH
def test_a_row_that_means_more_than_its_sums_is_left(way, row, changed):
    assert left_of(way, row(USAGE), row({**USAGE, **changed}), row(USAGE)) == ([1], 48)


@BOTH
@pytest.mark.parametrize(
    ("plainly", "escaped"),
    [
        ('"processed_time":', '"\\u0073tatus": "Bad", "processed_time":'),
        ('"modelVersion":', '"usage\\u005fmetadata": {}, "modelVersion":'),
        ('"content":', '"grounding\\u004detadata": {"webSearchQueries": ["q"]}, "content":'),
        ('"promptTokenCount":', '"toolUseP\\u0072omptTokenCount": 3, "promptTokenCount":'),
    ],
)
def test_a_key_that_is_spelled_with_escapes_is_known_all_the_same(way, row, plainly, escaped):
    line = json.dumps(row(USAGE))
    assert plainly in line
    assert left_of(way, line.encode()) == ([], 24)
    assert left_of(way, line.replace(plainly, escaped).encode()) == ([0], 0)


@BOTH
def test_a_row_that_counts_nothing_is_left(way, row):
    assert left_of(way, row(USAGE), row({"trafficType": "ON_DEMAND"}), row({"totalTokenCount": 0})) == (
        [1, 2],
        24,
    )


@BOTH
def test_lines_that_are_no_plain_rows_are_left_and_hide_no_other(way, row):
    good = json.dumps(row(USAGE)).encode()
    odd = [b"", b"{", good[:-1], good + b"}", good + good, b"\xff", b"[" * 5000, b"null", b"\r"]
    lines = [line for other in odd for line in (other, good)]
    assert left_of(way, *lines) == ([2 * n for n in range(len(odd))], 24 * len(odd))
