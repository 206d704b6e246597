"""Surveys of inputs and what is expected of them, with prices that a person can check by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import fsspec
import pytest

from vertex_batch.budgets import DEFAULT_OUTPUT_TOKENS, PastJob, Survey, estimate, survey_input
from vertex_batch.budgets.estimating import HISTORY_RUNS, quantile
from vertex_batch.budgets.survey import READ_WHOLE_BYTES, count
from vertex_batch.pricing import PriceBook, SpecPrices
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

MODEL = "gemini-2.5-flash"
INPUT, OUTPUT = UsageKey(MODEL, Kind.INPUT), UsageKey(MODEL, Kind.OUTPUT)
# One US dollar for a million tokens of input, ten for output: a token is 0.000001 and 0.00001 USD.
BOOK = PriceBook(
    [SpecPrices({MODEL: {"input": 1, "output": 10, "input_long_context": 2}}, date(2026, 11, 1))]
)
READ = fsspec.filesystem("file").open


@dataclass(frozen=True)
class Found:
    uri: str
    size: int


def row(text: str, **config) -> bytes:
    request = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return json.dumps({"request": {**request, **({"generationConfig": config} if config else {})}}).encode()


def test_rows_text_and_limits_are_counted():
    rows = [row("x" * 8, maxOutputTokens=100), row("y" * 5), row("z", maxOutputTokens=10, candidateCount=3)]
    found = count(rows, 999)
    assert found == Survey(
        rows=3, size=999, text_tokens=2 + 2 + 1, limited_output_tokens=130, unlimited_rows=1
    )


@pytest.mark.parametrize(
    ("part", "images", "uncountable"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "A" * 4000}}, 1, 0),
        ({"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/i.jpg"}}, 1, 0),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}}, 0, 1),
        ({"file_data": {"mime_type": "application/pdf", "file_uri": "gs://b/d.pdf"}}, 0, 1),
        ({"fileData": {}}, 0, 1),
    ],
)
def test_media_are_counted_and_their_bytes_are_no_text(part, images, uncountable):
    line = json.dumps({"request": {"contents": [{"role": "user", "parts": [part]}]}}).encode()
    found = count([line], len(line))
    assert (found.images, found.uncountable_rows, found.text_tokens) == (images, uncountable, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[" * 100_000,
        b'{"request": {"generationConfig": {"maxOutputTokens": true}}}',
        b'{"request": {"generationConfig": {"maxOutputTokens": 1e400}}}',
        b'{"request": {"generationConfig": {"maxOutputTokens": -5}}}',
        b'{"request": {"generationConfig": {"maxOutputTokens": 99999999999999999999999}}}',
        b'{"request": {"generationConfig": [1]}}',
        b'{"request": "\\ud800"}',
        b"\xff\xfe",
        b"null",
    ],
)
def test_hostile_rows_count_as_rows_without_a_limit(line):
    found = count([line], len(line))
    assert (found.rows, found.unlimited_rows, found.limited_output_tokens) == (1, 1, 0)


def test_a_small_input_is_read_whole(tmp_path):
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    files[0].write_bytes(row("x" * 8) + b"\n\n" + row("x" * 8))
    files[1].write_bytes(row("x" * 8) + b"\n")
    found = survey_input(READ, [Found(str(f), f.stat().st_size) for f in files])
    assert found.exact
    assert (found.rows, found.text_tokens) == (3, 6)
    assert found.size == sum(f.stat().st_size for f in files)


def test_a_large_input_is_sampled_and_says_so(tmp_path):
    line = row("x" * 400, maxOutputTokens=7)
    rows = READ_WHOLE_BYTES // len(line) + 2000
    file = tmp_path / "large.jsonl"
    file.write_bytes((line + b"\n") * rows)
    found = survey_input(READ, [Found(str(file), file.stat().st_size)])
    assert not found.exact
    assert found.size == file.stat().st_size
    assert found.rows == rows
    assert found.limited_output_tokens == 7 * rows


def test_rows_above_the_long_context_limit_are_billed_at_its_rates():
    found = count([row("x" * 40), row("x" * 4)], 100, long_context_tokens=5)
    assert (found.text_tokens, found.long_text_tokens) == (11, 10)
    book = PriceBook(
        [SpecPrices({MODEL: {"input": 1, "output": 10, "input_long_context": 2}}, date(2026, 11, 1))]
    )
    tokens = {INPUT: 1, UsageKey(MODEL, Kind.INPUT, tier=Tier.LONG_CONTEXT): 10}
    past = estimate(found, MODEL, "us-central1", book, [PastJob(2, tokens)])
    assert past.input_tokens == 11


def test_without_history_an_answer_is_as_long_as_it_may_be():
    survey = Survey(rows=3, size=400, text_tokens=1000, limited_output_tokens=50, unlimited_rows=2)
    found = estimate(survey, f"publishers/google/models/{MODEL}", "us-central1", BOOK)
    output = 50 + 2 * DEFAULT_OUTPUT_TOKENS
    assert found.expected.amount == Decimal("0.001") + output * Decimal("0.00001")
    assert found.expected.complete
    assert found.low == Decimal("0.001")
    assert found.high == found.expected.amount
    assert (found.input_tokens, found.output_tokens) == (1000, output)
    assert found.method == (
        "3 rows counted, no history: 4 bytes of text a token, answers as long as their maxOutputTokens,"
        " else 1,024 tokens"
    )


def test_with_history_prompts_grow_with_bytes_and_answers_with_rows():
    past = PastJob(rows=10, size=1000, usage={INPUT: 500, OUTPUT: 100})
    survey = Survey(rows=20, size=3000, text_tokens=1, unlimited_rows=20)
    found = estimate(survey, MODEL, "us-central1", BOOK, [past])
    assert (found.input_tokens, found.output_tokens) == (1500, 200)
    assert found.expected.amount == Decimal("0.0015") + Decimal("0.002")
    assert found.low == found.high == found.expected.amount
    assert found.method == "20 rows counted, tokens as in the last job"


def test_without_known_bytes_prompts_grow_with_rows():
    found = estimate(
        Survey(rows=3, size=9999), MODEL, "us-central1", BOOK, [PastJob(rows=2, usage={INPUT: 5})]
    )
    assert found.input_tokens == 8  # 7.5, rounded up


def test_the_middle_of_the_last_runs_is_expected_and_the_range_is_stated():
    history = [PastJob(rows=1, usage={OUTPUT: tokens}) for tokens in (100, 900, 200, 800, 300)]
    found = estimate(Survey(rows=1), MODEL, "us-central1", BOOK, history)
    assert found.output_tokens == 300
    assert (found.low, found.high) == (Decimal("0.001"), Decimal("0.009"))
    assert str(found) == "0.003 USD (0.001 to 0.009)"


def test_only_the_last_runs_count_and_empty_ones_teach_nothing():
    empty = PastJob(rows=0, usage={OUTPUT: 10**9})
    history = [empty, *([PastJob(rows=1, usage={OUTPUT: 100})] * HISTORY_RUNS), PastJob(1, {OUTPUT: 10**9})]
    assert estimate(Survey(rows=1), MODEL, "us-central1", BOOK, history).high == Decimal("0.001")


def test_what_has_no_price_leaves_the_estimate_open():
    found = estimate(
        Survey(rows=1, text_tokens=10, unlimited_rows=1), "gemini-9", "us-central1", PriceBook([])
    )
    assert not found.expected.complete
    assert found.expected.amount == 0
    assert "no price for model gemini-9" in found.unknown[0]
    assert str(found) == "at least 0.00 USD"


def test_video_without_history_leaves_it_open_and_with_history_does_not():
    survey = Survey(rows=4, uncountable_rows=4, limited_output_tokens=100)
    first = estimate(survey, MODEL, "us-central1", BOOK)
    assert not first.expected.complete
    assert "4 rows hold video" in first.unknown[0]
    usage = {OUTPUT: 100, UsageKey(MODEL, Kind.INPUT, Modality.TEXT): 50}
    assert estimate(survey, MODEL, "us-central1", BOOK, [PastJob(4, usage)]).expected.complete


def test_embeddings_have_no_output():
    found = estimate(
        Survey(rows=9, text_tokens=90, unlimited_rows=9), "gemini-embedding-001", "l", PriceBook([])
    )
    assert found.output_tokens == 0


@pytest.mark.parametrize(
    ("count_", "share", "rank"),
    [(1, Fraction(9, 10), 0), (2, Fraction(1, 2), 1), (10, Fraction(1, 10), 1), (10, Fraction(9, 10), 9)],
)
def test_a_quantile_is_one_of_the_amounts(count_, share, rank):
    assert quantile([Decimal(n) for n in range(count_)], share) == rank
