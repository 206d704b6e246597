"""What holds for all rows: none is lost, and a plain reader that shares no code gets the same sums."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import scan_file
from vertex_batch.usage import Kind, Modality, ScanResult

MODEL = "gemini-2.5-flash"
counts = st.integers(0, 300_000)
# What looks like usage where it is none: in requests, in texts, in echoed keys.
bait_text = st.sampled_from(
    [
        '"usageMetadata":{"promptTokenCount":7}',
        "\\",
        '"',
        "}",
        "\n",
        "\u2028",
        "\x00",
        "😀",
        "status",
        "\\u0000",
    ]
)
bait = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | bait_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["usageMetadata", "promptTokenCount", "response", "status", "usage", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@st.composite
def gemini_rows(draw):
    prompt, cached = draw(counts), draw(counts)
    usage = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": min(prompt, cached) if draw(st.booleans()) else 0,
        "candidatesTokenCount": draw(counts),
        "thoughtsTokenCount": draw(counts),
        "toolUsePromptTokenCount": draw(counts),
    }
    usage = {k: draw(st.sampled_from([v, str(v)])) for k, v in usage.items() if v or draw(st.booleans())}
    response = {
        "usageMetadata": usage,
        "modelVersion": draw(st.sampled_from([MODEL, "gemini-2.5-pro@default"])),
        "candidates": [{"content": draw(bait)}],
        "other": draw(bait),
    }
    row = {
        "status": draw(st.sampled_from(["", "", "", None, "Bad Request"])),
        "request": draw(bait),
        "key": draw(bait),
        "response": draw(st.sampled_from([response, response, response, {}, None])),
    }
    if draw(st.integers(0, 9)) == 0:  # in no known format: neither answered nor failed
        row = {"instance": draw(bait), "prediction": "id", "key": draw(bait)}
    return dict(draw(st.permutations(list(row.items()))))


def plainly(lines):
    """The reference: json.loads and nothing clever."""
    rows, sums = Counter[Any](), Counter[Any]()
    for line in lines:
        row = json.loads(line)
        if "prediction" in row:
            rows["unrecognized"] += 1
            continue
        if row["status"] or not row["response"]:
            rows["failed"] += 1
            continue
        rows["ok"] += 1
        usage = {name: int(n) for name, n in row["response"]["usageMetadata"].items()}
        model = row["response"]["modelVersion"].split("@")[0]
        tier = "long_context" if usage.get("promptTokenCount", 0) > 200_000 else "standard"
        cached = usage.get("cachedContentTokenCount", 0)
        sums[model, "input", tier] += usage.get("promptTokenCount", 0) - cached
        sums[model, "cached_input", tier] += cached
        sums[model, "output", tier] += usage.get("candidatesTokenCount", 0)
        sums[model, "thoughts", tier] += usage.get("thoughtsTokenCount", 0)
        sums[model, "tool_use_input", tier] += usage.get("toolUsePromptTokenCount", 0)
    return rows, +sums


def scan(data: bytes) -> ScanResult:
    return scan_file(io.BytesIO(data), "f", MODEL)


def sums_of(result: ScanResult) -> Counter:
    return Counter({(key.model, str(key.kind), str(key.tier)): n for key, n in result.tokens.items()})


@given(st.lists(gemini_rows(), max_size=8), st.booleans())
def test_the_scan_equals_a_plain_reader(rows, ascii_only):
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    expected, sums = plainly(lines)
    result = scan("\n".join(lines).encode())
    assert (result.ok, result.failed, result.unreadable) == (expected["ok"], expected["failed"], 0)
    assert result.unrecognized == expected["unrecognized"]
    assert sums_of(result) == sums


@given(st.lists(gemini_rows(), max_size=8), st.integers(0, 8), st.randoms())
def test_order_and_sharding_never_change_a_sum(rows, cut, shuffled: random.Random):
    lines = [json.dumps(row).encode() for row in rows]
    whole = scan(b"\n".join(lines))
    shuffled.shuffle(lines)
    parts = scan(b"\n".join(lines[:cut])).merge(scan(b"\n".join(lines[cut:])))
    assert (parts.tokens, parts.ok, parts.failed) == (whole.tokens, whole.ok, whole.failed)
    assert (parts.unrecognized, parts.unrecognized_reasons) == (
        whole.unrecognized,
        whole.unrecognized_reasons,
    )
    assert parts.failed_reasons == whole.failed_reasons
    assert parts.notes == whole.notes


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b" ")), max_size=20))
def test_rows_in_are_rows_out_whatever_the_bytes(lines):
    lines = [b"{" + line for line in lines]  # not blank, so each of them is a row
    result = scan(b"\n".join(lines))
    assert result.rows == len(lines)


@given(st.lists(bait.map(json.dumps), max_size=10))
def test_rows_in_are_rows_out_whatever_the_json(lines):
    assert scan("\n".join(lines).encode()).rows == len(lines)


@given(gemini_rows(), st.data())
def test_a_row_cut_anywhere_is_one_row_still(row, data):
    whole = json.dumps(row).encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    result = scan(whole[:cut])
    assert (result.rows, result.unreadable) == (1, 1)


modality_counts = st.dictionaries(st.sampled_from([m.name for m in Modality]), counts, max_size=5)


@given(counts, modality_counts, counts, modality_counts)
def test_modalities_never_change_how_much_is_billed(prompt, details, cached, cache_details):
    usage = {
        "promptTokenCount": prompt,
        "promptTokensDetails": [{"modality": m, "tokenCount": n} for m, n in details.items()],
        "cachedContentTokenCount": min(cached, prompt),
        "cacheTokensDetails": [{"modality": m, "tokenCount": n} for m, n in cache_details.items()],
    }
    result = scan(json.dumps({"response": {"usageMetadata": usage}}).encode())
    by_kind = Counter[Any]()
    for key, n in result.tokens.items():
        assert n > 0
        by_kind[key.kind] += n
    assert by_kind[Kind.INPUT] == prompt - min(cached, prompt)
    assert by_kind[Kind.CACHED_INPUT] == min(cached, prompt)
