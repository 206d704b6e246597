"""Text embeddings are billed by character: code points, without white space."""

from __future__ import annotations

import pytest

from vertex_batch.usage.embeddings import characters_of

MODEL = "publishers/google/models/text-embedding-005"


def embedded(text=None, tokens=2, *, truncated=False, **instance):
    content = {} if text is None else {"content": text}
    statistics = {"token_count": tokens, "truncated": truncated}
    return {
        "instance": {**content, **instance},
        "predictions": [{"embeddings": {"statistics": statistics, "values": [0.1]}}],
        "status": "",
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("abc", 3),
        (" a b\tc\n", 3),
        ("größe", 5),
        ("日本 語", 3),
        ("\u2003x\u00a0", 1),
        ("😀👍🏽", 3),
        ("\\n", 2),
    ],
)
def test_characters_are_code_points_without_white_space(text, count):
    assert characters_of(text) == count


def test_characters_are_counted_instead_of_tokens(scan, tokens_of):
    result = scan(embedded("hello wide world"), embedded("größe"), job_model=MODEL)
    assert (tokens_of(result), result.flags) == ({"input_character": 14 + 5}, [])


def test_a_title_is_text_too(scan, tokens_of):
    assert tokens_of(scan(embedded("abc", title="de f"), job_model=MODEL)) == {"input_character": 6}


def test_a_model_that_is_billed_by_token_keeps_its_tokens(scan, tokens_of):
    assert tokens_of(scan(embedded("abc"), job_model="text-embedding-large-exp-03-07")) == {"input": 2}


def test_a_row_without_its_text_keeps_its_tokens_and_is_flagged(scan, tokens_of):
    result = scan(embedded("abc"), embedded(None, 7), embedded(5, 4), job_model=MODEL)
    assert tokens_of(result) == {"input_character": 3, "input": 11}
    assert result.flags == [
        (
            "the model is billed by character, and the row does not hold the text; its cost is not in the"
            " amount (2 rows)"
        )
    ]


def test_a_text_that_was_cut_is_counted_whole_and_flagged(scan, tokens_of):
    result = scan(embedded("abcdef", truncated=True), job_model=MODEL)
    assert tokens_of(result) == {"input_character": 6}
    assert result.flags == ["the model cut the text to its limit; all of its characters were counted (1 row)"]
