"""Every known wrapper of an answer is read. A row in none is unrecognized: neither failed nor free."""

from __future__ import annotations

import json

import pytest

from vertex_batch.usage import self_check
from vertex_batch.usage.files import scan_table
from vertex_batch.usage.scan import ScanOptions

CLAUDE_USAGE = {
    "input_tokens": 700,
    "output_tokens": 60,
    "cache_read_input_tokens": 50,
    "cache_creation_input_tokens": 8,
    "service_tier": "batch",
}
CLAUDE_TOKENS = {"input": 700, "output": 60, "cached_input": 50, "cache_write 5m": 8}
CHAT_USAGE = {
    "prompt_tokens": 400,
    "completion_tokens": 90,
    "total_tokens": 490,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 70},
}
CHAT_TOKENS = {"input": 370, "cached_input": 30, "output": 20, "thoughts": 70}
MESSAGE = {"type": "message", "model": "claude-haiku-4-5-20251001", "content": [], "usage": CLAUDE_USAGE}
CHAT = {"object": "chat.completion", "choices": [{"index": 0}], "usage": CHAT_USAGE}
BODY = {"status_code": 200, "request_id": "q", "body": CHAT}


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        # Anthropic's batch results
        ({"custom_id": "r1", "result": {"type": "succeeded", "message": MESSAGE}}, CLAUDE_TOKENS),
        # Claude on Vertex AI
        ({"custom_id": "r1", "request": {}, "response": MESSAGE, "status": ""}, CLAUDE_TOKENS),
        # OpenAI's batch output
        ({"id": "b1", "custom_id": "r1", "response": BODY, "error": None}, CHAT_TOKENS),
        ({"id": "b1", "response": {**BODY, "body": json.dumps(CHAT)}, "error": None}, CHAT_TOKENS),
        # Llama and Mistral on Vertex AI
        ({"custom_id": "r1", "response": CHAT}, CHAT_TOKENS),
        ({"response": json.dumps(CHAT), "id": "r1"}, CHAT_TOKENS),
        # custom containers
        ({"instance": {"messages": []}, "prediction": CHAT}, CHAT_TOKENS),
        ({"instance": {}, "prediction": json.dumps(CHAT)}, CHAT_TOKENS),
        ({"instance": {}, "prediction": MESSAGE}, CLAUDE_TOKENS),
        ({"instance": {}, "prediction": {"usageMetadata": {"promptTokenCount": 3}}}, {"input": 3}),
        ({"instance": {}, "predictions": [CHAT]}, CHAT_TOKENS),
        ({"predictions": [CHAT, {"usage": {"prompt_tokens": 5}}]}, {**CHAT_TOKENS, "input": 375}),
    ],
)
def test_every_known_wrapper_is_read(scan, tokens_of, row, tokens):
    result = scan(row)
    assert (result.ok, tokens_of(result), result.flags) == (1, tokens, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {
                "custom_id": "a",
                "result": {"type": "errored", "error": {"type": "invalid_request_error", "message": "m"}},
            },
            "invalid_request_error: m",
        ),
        (
            {
                "result": {
                    "type": "errored",
                    "error": {"type": "error", "error": {"type": "api_error", "message": "m"}},
                }
            },
            "api_error: m",
        ),
        ({"custom_id": "a", "result": {"type": "canceled"}}, "canceled"),
        ({"custom_id": "a", "result": {"type": "expired"}}, "expired"),
        (
            {
                "response": {"status_code": 400, "body": {"error": {"code": "bad", "message": "m"}}},
                "error": None,
            },
            "HTTP 400: bad: m",
        ),
        (
            {"id": "b", "response": None, "error": {"code": "batch_expired", "message": "late"}},
            "batch_expired: late",
        ),
        ({"instance": {}, "prediction": {"error": {"message": "out of memory"}}}, "out of memory"),
        ({"custom_id": "a", "response": {"type": "error", "error": {"type": "x", "message": "m"}}}, "x: m"),
    ],
)
def test_a_failed_row_of_every_wrapper_says_why(scan, row, reason):
    result = scan(row)
    assert (result.failed, result.failed_reasons, result.tokens) == (1, {reason: 1}, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instance": {"text": "x"}, "prediction": "id"}, "a prediction without usage"),
        ({"instance": {"text": "x"}, "prediction": [0.1, 0.9]}, "a prediction without usage"),
        ({"instance": {}, "prediction": {"usage": "much"}}, "a prediction without usage"),
        ({"instance": {}, "predictions": ["a", 1]}, "predictions without usage"),
        ({"instance": {}, "predictions": [{"label": 1}]}, "predictions without usage"),
        ({"custom_id": "a", "result": {"type": "paused"}}, "a result of the type 'paused' without a message"),
        ({"answer": 1, "text": "t"}, "not a known output format; its keys are: answer, text"),
        ({}, "not a known output format; its keys are: none"),
        ({"request": {"contents": []}}, "a request without an answer, as in a job's input"),
        (
            {"custom_id": "a", "method": "POST", "url": "/v1", "body": {}},
            "a request without an answer, as in a job's input",
        ),
        ({"content": "embed me"}, "a request without an answer, as in a job's input"),
    ],
)
def test_a_row_in_no_known_format_is_unrecognized_and_named(scan, row, reason):
    result = scan({"status": "", "response": {"usageMetadata": {"promptTokenCount": 1}}}, row)
    assert (result.ok, result.failed, result.unreadable, result.unrecognized) == (1, 0, 0, 1)
    assert [(each.line, each.reason) for each in result.unrecognized_samples] == [(2, reason)]
    [flag] = self_check(result, None)
    assert flag == (
        f"1 unrecognized row (predictions.jsonl:2): what they cost is not in the amount. {reason}"
    )


def test_impossible_counts_inside_a_wrapper_are_unreadable(scan):
    assert scan({"instance": {}, "prediction": {"usage": {"prompt_tokens": -1}}}).unreadable == 1


def test_a_file_of_requests_is_called_an_input(scan):
    flags = self_check(scan(*[{"request": {"contents": []}}] * 7), None)
    assert flags[-1] == "all rows are requests without answers: this is the input of a job, not its output"
    assert "7 unrecognized rows (predictions.jsonl:1, " in flags[0]
    assert "predictions.jsonl:5, ...)" in flags[0]


def test_a_table_row_that_is_empty_is_failed_and_a_prediction_column_is_read(tokens_of):
    rows = [
        {"status": None, "response": None, "request": "{}"},
        {"prediction": json.dumps(CHAT), "extra": 1},
        {
            "content": "ab c",
            "predictions": '[{"embeddings": {"statistics": {"token_count": 2}}}]',
            "status": "",
        },
    ]
    result = scan_table(rows, "t", ScanOptions("text-embedding-005"))
    assert (result.ok, result.failed) == (2, 1)
    assert tokens_of(result)["input_character"] == 3


def test_merging_keeps_unrecognized_rows(scan):
    one = scan({"a": 1})
    both = one.merge(scan({"request": {}}))
    assert (both.unrecognized, both.rows, len(both.unrecognized_samples)) == (2, 2, 2)
    assert sum(both.unrecognized_reasons.values()) == 2
    assert not both.is_input
