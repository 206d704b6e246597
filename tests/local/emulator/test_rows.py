import json
from collections import Counter
from typing import Any

import pytest

from local.emulator.catalogue import Family, Model
from local.emulator.rows import RowMaker, traits_of
from local.emulator.script import Output, RowRule, Trait

GEMINI = Model("gemini-2.5-flash", Family.GEMINI)


def maker(model=GEMINI, mix=None, rules=(), **output):
    return RowMaker(model, "1", mix or {}, rules, Output(**output))


def make(row, *traits, model=GEMINI, **output):
    line = json.dumps(row).encode()
    made, ok = maker(model, **output).make(line, row, traits)
    return json.loads(made), ok


def prompt(text="Hello.", **request):
    return {"request": {"contents": [{"role": "user", "parts": [{"text": text}]}], **request}}


def usage(*traits, row=None):
    made, _ = make(row or prompt(), *traits)
    return made["response"]["usageMetadata"]


def test_a_row_is_a_function_of_its_line():
    first, second = make(prompt()), make(prompt())
    for made, _ in (first, second):
        del made["processed_time"], made["response"]["createTime"]
    assert first == second


def test_each_job_gives_an_answer_an_id_of_its_own_and_a_resumed_job_keeps_it():
    row = prompt()
    line = json.dumps(row).encode()
    first, again = (RowMaker(GEMINI, job, {}, (), Output()) for job in ("1", "2"))
    one, two = (json.loads(each.make(line, row)[0]) for each in (first, again))
    assert one["response"]["responseId"] != two["response"]["responseId"]
    assert one["response"]["candidates"] == two["response"]["candidates"]
    assert json.loads(again.make(json.dumps(one).encode(), one)[0]) == one


def test_siblings_are_echoed_and_the_request_comes_back_with_sorted_keys():
    made, ok = make({"custom_id": "x-1", "key": "k", **prompt(generationConfig={"topK": 1})})
    assert ok
    assert (made["custom_id"], made["key"], made["status"]) == ("x-1", "k", "")
    assert list(made["request"]) == ["contents", "generationConfig"]
    assert list(made["request"]["contents"][0]) == ["parts", "role"]


def test_the_order_of_keys_varies_from_row_to_row():
    orders = {tuple(make(prompt(f"Prompt {number}"))[0]) for number in range(50)}
    assert len(orders) > 1


def test_the_total_counts_prompt_candidates_thoughts_and_tools():
    counts = usage(Trait.THOUGHTS, Trait.TOOL_USE, Trait.CACHED)
    assert counts["totalTokenCount"] == (
        counts["promptTokenCount"]
        + counts["candidatesTokenCount"]
        + counts["thoughtsTokenCount"]
        + counts["toolUsePromptTokenCount"]
    )
    assert 0 < counts["cachedContentTokenCount"] < counts["promptTokenCount"]
    assert counts["trafficType"] == "ON_DEMAND"


@pytest.mark.parametrize(
    ("detail", "count"),
    [
        ("promptTokensDetails", "promptTokenCount"),
        ("candidatesTokensDetails", "candidatesTokenCount"),
        ("cacheTokensDetails", "cachedContentTokenCount"),
        ("toolUsePromptTokensDetails", "toolUsePromptTokenCount"),
    ],
)
def test_details_add_up_to_their_count(detail, count):
    everything = (Trait.AUDIO_INPUT, Trait.IMAGE_INPUT, Trait.IMAGE_OUTPUT, Trait.CACHED, Trait.GROUNDED)
    counts = usage(*everything)
    assert sum(part["tokenCount"] for part in counts[detail]) == counts[count]
    assert {part["modality"] for part in counts["promptTokensDetails"]} == {"TEXT", "AUDIO", "IMAGE"}


def test_zero_counters_are_left_out():
    assert set(usage()) == {
        *("candidatesTokenCount", "candidatesTokensDetails", "promptTokenCount", "promptTokensDetails"),
        *("totalTokenCount", "trafficType"),
    }


@pytest.mark.parametrize(
    ("trait", "check"),
    [
        (Trait.LONG_CONTEXT, lambda response: response["usageMetadata"]["promptTokenCount"] > 200_000),
        (Trait.NO_TOTAL, lambda response: "totalTokenCount" not in response["usageMetadata"]),
        (Trait.NO_DETAILS, lambda response: "promptTokensDetails" not in response["usageMetadata"]),
        (Trait.NO_USAGE, lambda response: "usageMetadata" not in response),
        (Trait.EXTRA_USAGE, lambda response: "billablePromptUsage" in response["usageMetadata"]),
        (Trait.NO_MODEL_VERSION, lambda response: "modelVersion" not in response),
        (Trait.MODEL_AT_DEFAULT, lambda response: response["modelVersion"] == "gemini-2.5-flash@default"),
        (Trait.SAFETY, lambda response: response["candidates"][0]["finishReason"] == "SAFETY"),
        (Trait.RECITATION, lambda response: "content" not in response["candidates"][0]),
        (Trait.MAX_TOKENS, lambda response: response["candidates"][0]["finishReason"] == "MAX_TOKENS"),
        (
            Trait.BLOCKED_PROMPT,
            lambda response: (
                "candidates" not in response and response["usageMetadata"]["totalTokenCount"] > 0
            ),
        ),
        (Trait.GROUNDED, lambda response: response["candidates"][0]["groundingMetadata"]["webSearchQueries"]),
        (
            Trait.SHORT_DETAILS,
            lambda response: (
                response["usageMetadata"]["promptTokensDetails"][0]["tokenCount"]
                < response["usageMetadata"]["promptTokenCount"]
            ),
        ),
    ],
)
def test_each_trait_shows(trait, check):
    made, ok = make(prompt(), trait)
    assert ok
    assert check(made["response"])


@pytest.mark.parametrize(
    ("trait", "shape"),
    [
        (Trait.FAILED_EMPTY, {"response": {}}),
        (Trait.FAILED_NULL, {"response": None}),
        (Trait.FAILED_ABSENT, {}),
    ],
)
def test_a_failed_row_has_a_status_and_no_usage(trait, shape):
    made, ok = make(prompt(), trait)
    assert not ok
    assert {key: made[key] for key in ("response",) if key in made} == shape
    text, _, error = made["status"].partition(": ")
    assert text == "Bad Request"
    assert json.loads(error)["error"]["status"] == "INVALID_ARGUMENT"


def test_failed_rows_come_in_all_three_shapes():
    shapes = Counter[Any]()
    for number in range(100):
        made, ok = make(prompt(f"Prompt {number}"), Trait.FAILED)
        assert not ok
        shapes[json.dumps(made.get("response", "absent"))] += 1
    assert set(shapes) == {"{}", "null", '"absent"'}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"contents": []}, "at least one contents field"),
        ({"contents": [{"role": "user"}]}, "at least one parts field"),
        (
            {"contents": [{"role": "tester", "parts": [{"text": "x"}]}]},
            "Please use a valid role: user, model.",
        ),
    ],
)
def test_a_request_that_the_model_refuses_fails_inline(request_, message):
    made, ok = make({"request": request_})
    assert not ok
    assert message in made["status"]


@pytest.mark.parametrize("limit", [1, 5, 60, 600, 4000])
@pytest.mark.parametrize(
    "traits", [(), (Trait.THOUGHTS,), (Trait.IMAGE_OUTPUT,), (Trait.SAFETY, Trait.THOUGHTS)]
)
def test_thoughts_and_answer_together_keep_the_limit_of_output_tokens(limit, traits):
    free, _ = make(prompt(), *traits)
    made, _ = make(prompt(generationConfig={"maxOutputTokens": limit}), *traits)
    usage = made["response"]["usageMetadata"]
    spent = usage.get("thoughtsTokenCount", 0) + usage.get("candidatesTokenCount", 0)
    assert 0 < spent <= limit
    assert sum(part["tokenCount"] for part in usage.get("candidatesTokensDetails", ())) == usage.get(
        "candidatesTokenCount", 0
    )
    assert free["response"]["candidates"][0]["finishReason"] in {"STOP", "SAFETY"}


def test_an_answer_that_is_cut_says_so():
    made, _ = make(prompt(generationConfig={"maxOutputTokens": 5}))
    assert made["response"]["usageMetadata"]["candidatesTokenCount"] == 5
    assert made["response"]["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_thoughts_that_use_up_the_limit_leave_no_answer():
    made, _ = make(prompt(generationConfig={"maxOutputTokens": 5}), Trait.THOUGHTS)
    (candidate,) = made["response"]["candidates"]
    assert made["response"]["usageMetadata"]["thoughtsTokenCount"] == 5
    assert "candidatesTokenCount" not in made["response"]["usageMetadata"]
    assert (candidate["finishReason"], "content" in candidate) == ("MAX_TOKENS", False)


def test_the_bytes_of_a_picture_are_no_text():
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 400_000}}
    made, _ = make({"request": {"contents": [{"role": "user", "parts": [picture]}]}})
    assert made["response"]["usageMetadata"]["promptTokenCount"] < 258 + 100


def test_attached_files_count_in_their_modality():
    parts = [{"text": "What is it?"}, {"fileData": {"fileUri": "gs://b/c.png", "mimeType": "image/png"}}]
    made, _ = make({"request": {"contents": [{"role": "user", "parts": parts}]}})
    details = made["response"]["usageMetadata"]["promptTokensDetails"]
    assert {"modality": "IMAGE", "tokenCount": 258} in details


def test_a_finished_row_of_an_earlier_job_is_copied_and_a_failed_one_runs_again():
    done, _ = make(prompt())
    failed, _ = make(prompt(), Trait.FAILED_EMPTY)
    assert make(done)[0] == done
    again, ok = make(failed)
    assert ok
    assert again["response"]["usageMetadata"]["totalTokenCount"] > 0


def test_a_share_of_the_rows_has_a_trait_and_always_the_same_rows():
    lines = [json.dumps(prompt(f"Prompt {number}")).encode() for number in range(4000)]
    chosen = [line for line in lines if Trait.FAILED in traits_of(line, {Trait.FAILED: 0.1})]
    assert 300 < len(chosen) < 500
    more = [line for line in lines if Trait.FAILED in traits_of(line, {Trait.FAILED: 0.2})]
    assert set(chosen) < set(more)


def test_a_missed_deadline_hits_other_rows_in_another_job():
    lines = [json.dumps(prompt(f"Prompt {number}")).encode() for number in range(200)]
    mix = {Trait.FAILED_DEADLINE: 0.4}
    first = {line for line in lines if traits_of(line, mix, job_id="1")}
    second = {line for line in lines if traits_of(line, mix, job_id="2")}
    assert first - second


def test_a_rule_gives_its_traits_to_the_rows_that_contain_its_text():
    rules = [RowRule(contains="needle", traits=[Trait.CACHED])]
    assert traits_of(b'{"text": "a needle"}', {}, rules) == {Trait.CACHED}
    assert traits_of(b'{"text": "hay"}', {}, rules) == frozenset()


def test_a_gemini_embedding_counts_its_tokens_in_a_string():
    model = Model("gemini-embedding-001", Family.GEMINI_EMBEDDING)
    row = {"key": "id-1", "request": {"content": {"parts": [{"text": "hello world"}]}}}
    made, ok = make(row, model=model, embedding_values=3)
    assert ok
    assert made["key"] == "id-1"
    assert made["response"]["tokenCount"] == "4"
    assert len(made["response"]["embedding"]["values"]) == 3
    other, _ = make(row, model=model, embedding_usage=True)
    assert other["response"]["usageMetadata"] == {"promptTokenCount": 4}
    empty, ok = make({"request": {"content": {"parts": [{"text": ""}]}}}, model=model)
    assert not ok
    assert empty["status"]


def test_a_text_embedding_has_the_shape_of_an_online_prediction():
    model = Model("text-embedding-005", Family.TEXT_EMBEDDING)
    made, ok = make({"content": "hello world"}, model=model)
    assert ok
    assert made["instance"] == {"content": "hello world"}
    assert made["predictions"][0]["embeddings"]["statistics"] == {"token_count": 4, "truncated": False}
    assert made["status"] == ""
    failed, ok = make({"content": ""}, model=model)
    assert not ok
    assert failed["predictions"] == []


def test_output_oddities_of_a_row():
    made, _ = make({"custom_id": "000000", **prompt()}, numeric_ids=True, null_members=True)
    assert made["custom_id"] == 0
    assert made["request"]["contents"][0]["parts"][0] == {"fileData": None, "text": "Hello."}
