"""The rules of reading usage, one by one. Numbers are added up by hand."""

from __future__ import annotations

import json

import pytest

from vertex_batch.usage import UsageKey

TEXT = "TEXT"


def detail(**tokens):
    return [{"modality": name, "tokenCount": n} for name, n in tokens.items()]


def test_counts_may_be_numbers_or_strings_and_zeros_are_absent(scan, row, tokens_of):
    result = scan(
        row({"promptTokenCount": 9, "totalTokenCount": 9}),
        row({"promptTokenCount": "9", "candidatesTokenCount": "10", "totalTokenCount": "19"}),
        row({"promptTokenCount": 9.0, "candidatesTokenCount": None, "totalTokenCount": 9}),
    )
    assert tokens_of(result) == {"input": 27, "output": 10}
    assert (result.ok, result.flags) == (3, [])


def test_thoughts_are_outside_candidates_and_tool_use_outside_the_prompt(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 20,
        "candidatesTokenCount": 48,
        "thoughtsTokenCount": 195,
        "toolUsePromptTokenCount": 73,
        "totalTokenCount": 336,
    }
    result = scan(row(usage))
    assert tokens_of(result) == {"input": 20, "output": 48, "thoughts": 195, "tool_use_input": 73}
    assert result.flags == []


def test_cached_tokens_lie_inside_the_prompt(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 800,
        "candidatesTokenCount": 1,
        "totalTokenCount": 1001,
    }
    assert tokens_of(scan(row(usage))) == {"input": 200, "cached_input": 800, "output": 1}


def test_cached_tokens_are_taken_out_modality_by_modality(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 1000,
        "promptTokensDetails": detail(TEXT=400, AUDIO=600),
        "cachedContentTokenCount": 500,
        "cacheTokensDetails": detail(TEXT=100, AUDIO=400),
    }
    result = scan(row(usage))
    assert tokens_of(result) == {
        "input": 300,
        "input audio": 200,
        "cached_input": 100,
        "cached_input audio": 400,
    }
    assert result.flags == []


def test_cached_tokens_beyond_their_modality_are_spread_and_flagged(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 1000,
        "promptTokensDetails": detail(TEXT=100, AUDIO=900),
        "cachedContentTokenCount": 500,
    }
    result = scan(row(usage))
    assert tokens_of(result) == {"input audio": 500, "cached_input": 100, "cached_input audio": 400}
    assert result.flags == [
        "the cached details do not fit the prompt details; the surplus was spread (1 row)"
    ]


def test_each_modality_is_counted_for_itself(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 150,
        "promptTokensDetails": detail(TEXT=10, IMAGE=20, VIDEO=30, AUDIO=40, DOCUMENT=50),
        "candidatesTokenCount": 7,
        "candidatesTokensDetails": detail(TEXT=3, IMAGE=4),
    }
    expected = {
        "input": 10,
        "input image": 20,
        "input video": 30,
        "input audio": 40,
        "input document": 50,
        "output": 3,
        "output image": 4,
    }
    assert tokens_of(scan(row(usage))) == expected


def test_details_that_do_not_add_up_leave_the_rest_as_text_and_flag_the_row(scan, row, tokens_of):
    short = {"promptTokenCount": 100, "promptTokensDetails": detail(TEXT=10, AUDIO=30)}
    result = scan(row(short))
    assert tokens_of(result) == {"input": 70, "input audio": 30}
    assert result.flags == [
        "the prompt details do not add up to the count; the rest was taken as text (1 row)"
    ]


def test_details_larger_than_the_count_never_bill_more_than_the_count(scan, row, tokens_of):
    assert tokens_of(scan(row({"promptTokenCount": 100, "promptTokensDetails": detail(AUDIO=101)}))) == {
        "input": 100
    }


def test_an_unknown_modality_is_text_and_is_reported(scan, row, tokens_of):
    usage = {"promptTokenCount": 9, "promptTokensDetails": detail(SMELL=4, MODALITY_UNSPECIFIED=5)}
    result = scan(row(usage))
    assert tokens_of(result) == {"input": 9}
    assert result.flags == ["the modality 'SMELL' is not known; its tokens were taken as text (1 row)"]


def test_an_unknown_usage_field_is_tolerated_and_reported(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 9,
        "trafficType": "ON_DEMAND",
        "billablePromptUsage": {"textCount": 3},
        "newCount": 5,
    }
    result = scan(row(usage))
    assert tokens_of(result) == {"input": 9}
    assert result.flags == ["the usage has a field that is not known here: 'newCount' (1 row)"]


def test_a_missing_total_is_computed_and_a_wrong_one_is_flagged(scan, row):
    assert scan(row({"promptTokenCount": 9, "candidatesTokenCount": 1})).flags == []
    wrong = scan(row({"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 11}))
    assert wrong.flags == ["the token counts do not add up to the total (1 row)"]


def test_snake_case_is_read_like_camel_case(scan, row, tokens_of):
    usage = {
        "prompt_token_count": 100,
        "candidates_token_count": 7,
        "thoughts_token_count": 5,
        "cached_content_token_count": 40,
        "total_token_count": 112,
        "prompt_tokens_details": [
            {"modality": "AUDIO", "token_count": 30},
            {"modality": "TEXT", "token_count": 70},
        ],
    }
    response = {"usage_metadata": usage, "model_version": "gemini-2.5-pro@default", "response_id": "r"}
    result = scan(row(response=response))
    assert tokens_of(result) == {
        "input": 30,
        "input audio": 30,
        "cached_input": 40,
        "output": 7,
        "thoughts": 5,
    }
    assert {key.model for key in result.tokens} == {"gemini-2.5-pro"}


def test_a_row_above_200000_prompt_tokens_is_long_context_as_a_whole(scan, row, tokens_of):
    rows = [
        row({"promptTokenCount": n, "candidatesTokenCount": 1}) for n in (150_000, 150_000, 200_000, 200_001)
    ]
    expected = {"input": 500_000, "output": 3, "input long_context": 200_001, "output long_context": 1}
    assert tokens_of(scan(*rows)) == expected


def test_a_model_may_have_another_long_context_limit(scan, row, tokens_of):
    long = row({"promptTokenCount": 100_001})
    assert tokens_of(scan(long, thresholds={"gemini-2.5-flash": 100_000})) == {"input long_context": 100_001}


def test_search_grounded_rows_bill_queries_and_no_tool_use(scan, row, tokens_of):
    usage = {
        "promptTokenCount": 33,
        "candidatesTokenCount": 106,
        "toolUsePromptTokenCount": 39,
        "thoughtsTokenCount": 106,
        "totalTokenCount": 284,
    }
    grounded = row(usage)
    grounded["response"]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    result = scan(grounded)
    assert tokens_of(result) == {"input": 33, "output": 106, "thoughts": 106, "search_query": 1}
    assert result.flags == ["tool-use tokens of search-grounded rows are not billed (1 row)"]


def test_empty_grounding_is_no_search(scan, row, tokens_of):
    asked = row({"promptTokenCount": 1, "toolUsePromptTokenCount": 39})
    asked["response"]["candidates"][0]["groundingMetadata"] = {}
    assert tokens_of(scan(asked)) == {"input": 1, "tool_use_input": 39}


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "Bad Request: {}"},
        {"status": {"code": 3, "message": "no"}},
        {"response": {}},
        {"response": None},
        {"response": ""},
        {"response": "{}"},
        {"response": {"error": {"code": 400, "message": "no"}}},
    ],
)
def test_failed_rows_are_not_billed_whatever_they_carry(scan, row, broken):
    result = scan(row(**broken))
    assert (result.ok, result.failed, result.tokens) == (0, 1, {})


def test_a_row_without_a_response_is_failed(scan, row):
    without = row()
    del without["response"]
    assert scan(without).failed_reasons == {"no response in the row": 1}


def test_a_failed_row_says_why_in_googles_words(scan, row):
    error = {"error": {"code": 400, "message": "Please use a valid role.", "status": "INVALID_ARGUMENT"}}
    result = scan(row(status="Bad Request: " + json.dumps(error), response={}), row(status="x" * 500))
    assert result.failed_reasons == {"INVALID_ARGUMENT: Please use a valid role.": 1, "x" * 160: 1}


def test_an_answer_without_text_is_billed(scan, row, tokens_of):
    blocked = row(
        response={"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    )
    assert tokens_of(scan(blocked)) == {"input": 5}


def test_an_answer_without_usage_is_ok_and_flagged_never_silent(scan, row):
    result = scan(row(response={"candidates": [{"finishReason": "STOP"}]}))
    assert (result.ok, result.tokens) == (1, {})
    assert result.flags == ["no usage in the row; its cost is not in the amount (1 row)"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("gemini-2.0-flash-001@default", "gemini-2.0-flash-001"),
        ("publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex_ai/gemini-2.5-pro", "gemini-2.5-pro"),
        ("", "gemini-2.5-flash"),
        (None, "gemini-2.5-flash"),
        (7, "gemini-2.5-flash"),
    ],
)
def test_the_rows_model_counts_else_the_jobs(scan, row, stated, expected):
    assert [key.model for key in scan(row({"promptTokenCount": 1}, model=stated)).tokens] == [expected]


def test_rows_of_a_tuned_model_are_the_tuned_models(scan, row):
    tuned = "projects/1/locations/us-central1/models/123"
    result = scan(row({"promptTokenCount": 1}, model="gemini-2.5-flash"), job_model=tuned + "@1")
    assert list(result.tokens) == [UsageKey(tuned, "input")]


def test_gemini_embeddings(scan, tokens_of):
    embedding = {"values": [0.1, -2e-3]}
    result = scan(
        {"key": "id_1", "request": {}, "response": {"tokenCount": "2", "embedding": embedding}},
        {
            "key": "id_2",
            "status": "",
            "request": {},
            "response": {"embedding": embedding, "usageMetadata": {"promptTokenCount": 3}},
        },
        {"key": "id_3", "status": "INVALID_ARGUMENT", "request": {}},
        job_model="publishers/google/models/gemini-embedding-001",
    )
    assert tokens_of(result) == {"input": 5}
    assert (result.ok, result.failed) == (2, 1)


def test_text_embeddings(scan, tokens_of):
    def of(*counts):
        return [
            {"embeddings": {"statistics": {"token_count": n, "truncated": False}, "values": [0.2]}}
            for n in counts
        ]

    result = scan(
        {"instance": {"content": "Give"}, "predictions": of(8), "status": ""},
        {"instance": {"content": "Best"}, "predictions": of("3", 4.0), "status": ""},
        {"content": "x", "predictions": json.dumps(of(5)), "status": None},
        {"instance": {"content": "?"}, "status": "INVALID_ARGUMENT: empty", "predictions": of(100)},
        {"instance": {"content": "?"}, "status": "", "predictions": None},
        job_model="text-embedding-large-exp-03-07",
    )
    assert tokens_of(result) == {"input": 20}
    assert (result.ok, result.failed) == (3, 2)


def test_claude_input_excludes_cached_tokens_and_has_two_kinds_of_cache_write(scan, tokens_of):
    usage = {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 35, "ephemeral_1h_input_tokens": 15},
    }
    message = {"type": "message", "model": "claude-sonnet-4-5-20250929", "usage": usage}
    result = scan(
        {"custom_id": "a", "request": {}, "response": message, "status": ""}, job_model="claude-sonnet-4-5@1"
    )
    assert tokens_of(result) == {
        "input": 10,
        "output": 20,
        "cached_input": 30,
        "cache_write 5m": 35,
        "cache_write 1h": 15,
    }
    assert {key.model for key in result.tokens} == {"claude-sonnet-4-5"}


def test_claude_cache_writes_without_details_live_five_minutes(scan, tokens_of):
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 50, "cache_creation": None, "output_tokens": 2}
    assert tokens_of(scan({"response": {"usage": usage}})) == {"input": 1, "output": 2, "cache_write 5m": 50}


def test_claude_prompts_are_long_by_all_their_input(scan, tokens_of):
    usage = {"input_tokens": 1, "cache_read_input_tokens": 200_000, "output_tokens": 2}
    expected = {"input long_context": 1, "cached_input long_context": 200_000, "output long_context": 2}
    assert tokens_of(scan({"response": {"usage": usage}})) == expected


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: {"status_code": 200, "body": body}])
def test_openai_style_details_lie_inside_the_counts(scan, tokens_of, wrap):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    result = scan({"custom_id": "a", "response": wrap({"usage": usage}), "error": None})
    assert tokens_of(result) == {"input": 60, "cached_input": 40, "output": 30, "thoughts": 20}


def test_an_openai_style_http_error_is_a_failed_row(scan):
    result = scan(
        {
            "response": {"status_code": 429, "body": {"usage": {"prompt_tokens": 5}}},
            "error": {"message": "slow"},
        }
    )
    assert (result.failed, result.failed_reasons) == (1, {"slow": 1})


@pytest.mark.parametrize("error", ["503 Service Unavailable", {"code": 14, "message": "no"}, ["x"], True])
def test_a_field_of_the_input_that_is_called_error_does_not_fail_an_answered_row(scan, row, tokens_of, error):
    """Google echoes what is beside the request, and rows about incidents may well have such a field."""
    result = scan(row(error=error))
    assert (result.ok, result.failed, tokens_of(result)) == (1, 0, tokens_of(scan(row())))
    assert scan(row(error=error, response={})).failed == 1
    assert scan(row(error=error, status="Bad")).failed_reasons == {"Bad": 1}


def test_bigquerys_response_column_is_read_as_object_as_text_and_alone(scan, row, tokens_of):
    whole = row()["response"]
    result = scan(
        row(response=json.dumps(whole)),
        {"request": "{}", "response": json.dumps(whole), "status": None},
        whole,
    )
    assert tokens_of(result) == {"input": 27, "output": 30}


def test_the_shape_is_chosen_row_by_row(scan, row, tokens_of):
    result = scan(
        row(status="error", response={}),
        {"response": {"usage": {"input_tokens": 1, "output_tokens": 2}}},
        {"predictions": [{"embeddings": {"statistics": {"token_count": 4}}}]},
        row({"promptTokenCount": 8}),
    )
    assert tokens_of(result) == {"input": 13, "output": 2}
    assert (result.ok, result.failed) == (3, 1)


def test_copied_rows_of_a_resumed_job_are_not_billed_again(scan, row, tokens_of):
    fresh, nameless = row({"promptTokenCount": 4}), row({"promptTokenCount": 2})
    fresh["response"]["responseId"] = "r-2"
    del nameless["response"]["responseId"]
    result = scan(row({"promptTokenCount": 1}), fresh, nameless, already_billed={"r-1"})
    assert (result.ok, result.copied, tokens_of(result)) == (3, 1, {"input": 6})
    assert result.flags == [
        "no responseId: whether an earlier job billed the row cannot be known; it was billed (1 row)"
    ]


@pytest.mark.parametrize(
    "count",
    [-1, "-1", 2**31, "99999999999999999999", 1.5, "1.5", "", "abc", True, [], {}, 1e300, "1_000", "١"],  # noqa: RUF001
)
def test_counts_that_cannot_be_make_the_row_unreadable(scan, row, count):
    result = scan(row({"promptTokenCount": count}))
    assert (result.ok, result.unreadable, result.tokens) == (0, 1, {})
    assert result.problems[0].reason


@pytest.mark.parametrize(
    "usage",
    [
        {"promptTokenCount": 5, "cachedContentTokenCount": 6},
        {"promptTokenCount": 5, "promptTokensDetails": detail(TEXT=-5)},
        {"promptTokenCount": 5, "promptTokensDetails": "TEXT"},
    ],
)
def test_contradictory_counts_make_the_row_unreadable(scan, row, usage):
    assert scan(row(usage)).unreadable == 1


def test_a_failed_row_with_impossible_contents_is_still_failed(scan, row):
    assert scan(row(status="no", response=[1]), row(status="no", response={"usageMetadata": 5})).failed == 2


def test_of_each_reason_the_first_failed_rows_are_named(scan):
    failed, slow = {"status": "Bad Request", "response": {}}, {"status": "Slow", "response": {}}
    result = scan(*[failed] * 5, slow)
    assert [(sample.line, sample.reason) for sample in result.failed_samples] == [
        (1, "Bad Request"),
        (2, "Bad Request"),
        (3, "Bad Request"),
        (6, "Slow"),
    ]
    assert len(result.merge(result).failed_samples) == 5
