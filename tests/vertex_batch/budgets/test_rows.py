"""One row's tokens: text, files and answers, in the forms that models take."""

from __future__ import annotations

import base64
import json

import pytest

from tests.vertex_batch.budgets.inputs import inline, named, pdf, png, row, wav
from vertex_batch.budgets.answer_lengths import NO_LIMIT, AnswerLimit
from vertex_batch.budgets.ranges import Part
from vertex_batch.budgets.rows import RowReader
from vertex_batch.usage import Kind, Modality, Tier

MODEL = "publishers/google/models/gemini-2.5-flash"
TEXT = Part(Kind.INPUT)


def read(line: bytes, model: str = MODEL, threshold: int | None = None) -> dict[Part, float]:
    found = RowReader(model, threshold).read(line)
    return {part: count.expected for part, count in found.tokens.items()}


def prompt(line: bytes, model: str = MODEL) -> dict[Modality, float]:
    return {part.modality: tokens for part, tokens in read(line, model).items() if part.kind is Kind.INPUT}


@pytest.mark.parametrize(
    ("line", "text", "others"),
    [
        (row("x" * 400), 100, {}),
        (row("ä" * 400), 200, {}),
        (row("x" * 400, inline(png(300, 300, 90_000), "image/png")), 100, {Modality.IMAGE: 258}),
        (row("x" * 400, named("image/png")), 100, {Modality.IMAGE: 6 * 258}),
        (
            row("", inline(png(960, 540), "image/png"), mediaResolution="MEDIA_RESOLUTION_LOW"),
            0,
            {Modality.IMAGE: 66},
        ),
        (
            row("", inline(png(9, 9), "image/png", mediaResolution={"level": "MEDIA_RESOLUTION_LOW"})),
            0,
            {Modality.IMAGE: 66},
        ),
        (row("", inline(wav(3), "audio/wav")), 0, {Modality.AUDIO: 96}),
        (row("", inline(pdf(2), "application/pdf")), 0, {Modality.DOCUMENT: 516}),
        (
            row("", named("video/mp4", videoMetadata={"startOffset": "10s", "endOffset": "20.5s", "fps": 1})),
            0,
            {Modality.VIDEO: 2761.5},
        ),
        (
            row("", named("video/mp4", videoMetadata={"endOffset": {"seconds": 10}, "fps": 0.5})),
            0,
            {Modality.VIDEO: 1340},
        ),
        (
            row("", named("video/mp4", videoMetadata={"endOffset": "never", "fps": -1})),
            0,
            {Modality.VIDEO: 60 * 263},
        ),
        (json.dumps({"content": "x" * 400, "title": "abcd"}).encode(), 101, {}),
        (
            json.dumps({"image": {"bytesBase64Encoded": base64.b64encode(png(9, 9)).decode()}}).encode(),
            0,
            {Modality.IMAGE: 258},
        ),
    ],
)
def test_text_and_files_of_a_row_are_counted_apart(line, text, others):
    found = prompt(line)
    assert found.pop(Modality.TEXT, 0) == pytest.approx(text)
    assert {modality: tokens for modality, tokens in found.items() if tokens} == pytest.approx(others)


def test_rows_of_claude_and_of_openai_hold_pictures_too():
    data = base64.b64encode(png(750, 100, 50_000)).decode()
    claude = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    openai = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    for part in (claude, openai):
        body = {"max_tokens": 64, "messages": [{"role": "user", "content": [part]}]}
        found = prompt(json.dumps({"custom_id": "1", "request": body}).encode(), "claude-sonnet-4-5")
        assert found[Modality.IMAGE] == 100
        assert found.get(Modality.TEXT, 0) < 10


def test_a_row_says_what_was_assumed_of_it():
    found = RowReader(MODEL).read(row("x", named("video/mp4"), named("video/mp4"), maxOutputTokens=5))
    assert found.assumed == {"video of unknown length, taken to last 60 seconds": 2}
    cached = json.dumps(
        {"request": {"cachedContent": "projects/p/cachedContents/1", "contents": []}}
    ).encode()
    assert RowReader(MODEL).read(cached).assumed == {
        "prompts with cached content, whose tokens are not counted": 1
    }


@pytest.mark.parametrize(
    ("line", "model", "limit"),
    [
        (row("x", maxOutputTokens=5), MODEL, AnswerLimit(5)),
        (row("x"), MODEL, NO_LIMIT),
        (json.dumps({"request": {"max_tokens": 7}}).encode(), "claude-sonnet-4-5", AnswerLimit(7)),
        (row("x"), "gemini-embedding-001", AnswerLimit(0, 0)),
    ],
)
def test_a_row_states_a_limit_or_needs_none(line, model, limit):
    assert RowReader(model).read(line).limit == limit


def test_a_long_prompt_is_billed_at_long_context_rates_as_a_whole():
    line = row("x" * 4000, inline(png(9, 9), "image/png"))
    assert set(read(line, threshold=1257)) >= {Part(Kind.INPUT, Modality.IMAGE, Tier.LONG_CONTEXT)}
    assert TEXT in read(line, threshold=1258)
    assert TEXT not in read(line, threshold=1257)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[" * 100_000,
        b'{"request": {"generationConfig": {"maxOutputTokens": true}}}',
        b'{"request": {"generationConfig": {"maxOutputTokens": 1e400}}}',
        b'{"request": {"generationConfig": {"maxOutputTokens": -5, "thinkingConfig": [{}]}}}',
        b'{"request": {"generationConfig": [1]}}',
        b'{"request": "\\ud800"}',
        b'{"inlineData": {"mimeType": 5, "data": {"a": 1}}, "videoMetadata": 7}',
        b'{"fileData": {}, "videoMetadata": {"endOffset": "NaN", "fps": 1e400}}',
        b'{"inlineData": []}',
        b'{"type": "base64", "data": "\\ud800"}',
        b"\xff\xfe",
        b"null",
    ],
)
def test_hostile_rows_count_as_rows_without_a_limit(line):
    found = RowReader(MODEL).read(line)
    assert found.limit == NO_LIMIT
    assert all(0 <= count.low <= count.expected <= count.high for count in found.tokens.values())


def test_a_model_that_is_billed_by_character_counts_characters_without_white_space():
    line = json.dumps({"content": "Grüße an\n alle"}).encode()
    assert read(line, "text-embedding-005") == {Part(Kind.INPUT_CHARACTER): 11}
