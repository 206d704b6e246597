"""What makes a row fail by itself, what may, and what Google takes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.emulator.catalogue import Family, Model
from local.emulator.importer import Importer, ImportRefusedError
from local.emulator.rows import REQUIRED_KEYS, RowMaker
from local.emulator.script import Output
from vertex_batch.preflight import Report, RowCheck, Severity, shape_of
from vertex_batch.preflight.fields import is_misspelled, messages
from vertex_batch.preflight.keys import MAX_KEYS, RowKeys
from vertex_batch.usage.rows import camel

TURN = {"role": "user", "parts": [{"text": "Hello"}]}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
REMOTE = {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}}


def row(key: str = "a", /, **request: Any) -> dict[str, Any]:
    return {"key": key, "request": {"contents": [TURN], **request}}


def parts(*each: Any, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(each)}], **more}


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def check(*rows: dict[str, Any], model: str = "gemini-2.5-flash") -> Report:
    report = Report()
    checks = RowCheck(shape_of(model), report)
    checks.file(io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows)), "in.jsonl")
    checks.finish()
    return report


def of(report: Report, severity: Severity) -> list[tuple[str, str, str]]:
    return [(each.place, each.path, each.message) for each in report.findings if each.severity is severity]


CERTAIN = [
    ({"contents": [{**TURN, "role": "system"}]}, "contents[].role", "accepts only user, model"),
    ({"contents": [{**TURN, "role": "assistant"}]}, "contents[].role", "'assistant'"),
    ({"contents": [{**TURN, "role": "User"}]}, "contents[].role", "'User'"),
    ({"contents": [{"role": "user", "parts": []}]}, "contents[].parts", "is empty"),
    ({"contents": [{"role": "user"}]}, "contents[]", "no value for `parts`"),
    ({"contents": "Hello"}, "contents", "is a string, where a list of objects is expected"),
    (config(stopSequences={"a": "b"}), "generationConfig.stopSequences", "where a list of strings is"),
    ({"contents": ["Hello"]}, "contents[]", "is a string, where an object is expected"),
    (parts({"text": None}), "contents[].parts[]", "no value for one of text"),
    (parts({"thought": True}), "contents[].parts[]", "no value for one of text"),
    (parts({"text": "x", **PICTURE}), "contents[].parts[]", "has `text` and `inlineData`"),
    (parts({"text": "", **REMOTE}), "contents[].parts[]", "has `text` and `fileData`"),
    (parts({"inline_data": {"data": "aGk="}}), "contents[].parts[].inline_data", "no value for `mimeType`"),
    (parts({"file_data": {"file_uri": "/tmp/a"}}), "contents[].parts[].file_data.file_uri", "gs://BUCKET"),
    (parts({"fileData": {"fileUri": "s3://b/a"}}), "contents[].parts[].fileData.fileUri", "'s3://b/a'"),
    ({"systemInstruction": "Be brief."}, "systemInstruction", "is a string, where an object is expected"),
    ({"systemInstruction": [TURN]}, "systemInstruction", "is a list, where an object is expected"),
    ({"generationConfg": {"topP": 1}}, "generationConfg", "write `generationConfig`"),
    ({"Generation_Config": {"topP": 1}}, "Generation_Config", "write `generationConfig`"),
    ({"safety-settings": [{"x": 1}]}, "safety-settings", "write `safetySettings`"),
    (config(maxOutputTokns=5), "generationConfig.maxOutputTokns", "write `maxOutputTokens`"),
    (
        config(response_schema={"type_": "OBJECT"}),
        "generationConfig.response_schema.type_",
        "write `type`",
    ),
    (
        config(responseSchema={"properties": {"a": {"items": {"type_": "x"}}}}),
        "generationConfig.responseSchema.properties.a.items.type_",
        "write `type`",
    ),
    (config(temperature=2.1), "generationConfig.temperature", "is 2.1, but Google accepts 0 to 2"),
    (config(temperature=-0.5), "generationConfig.temperature", "is -0.5"),
    (config(temperature="hot"), "generationConfig.temperature", "where a number is expected"),
    (config(topP=1.05), "generationConfig.topP", "is 1.05, but Google accepts 0 to 1"),
    (config(candidateCount=0), "generationConfig.candidateCount", "accepts 1 to 8"),
    (config(candidateCount=9), "generationConfig.candidateCount", "accepts 1 to 8"),
    (config(maxOutputTokens=0), "generationConfig.maxOutputTokens", "accepts 1 to"),
    (config(maxOutputTokens=1.5), "generationConfig.maxOutputTokens", "a whole number is expected"),
    (config(max_output_tokens=-1), "generationConfig.max_output_tokens", "is -1"),
    (
        config(stopSequences=list("abcdef")),
        "generationConfig.stopSequences",
        "has 6 items, but Google accepts at most 5",
    ),
    (config(stopSequences=[{"a": "b"}]), "generationConfig.stopSequences[]", "a string is expected"),
    (config(responseMimeType="application/jsn"), "generationConfig.responseMimeType", "'application/json'"),
    (
        {"safetySettings": [{"category": "HARM_CATEGORY_HARASMENT", "threshold": "OFF"}]},
        "safetySettings[].category",
        "write 'HARM_CATEGORY_HARASSMENT'",
    ),
    ({"labels": "a"}, "labels", "where an object is expected"),
    (config(presencePenalty=2.5), "generationConfig.presencePenalty", "accepts -2 to 2"),
    (config(frequencyPenalty=-3), "generationConfig.frequencyPenalty", "accepts -2 to 2"),
]


def refusal_of(row: dict[str, Any], family: Family = Family.GEMINI) -> str:
    """What the emulator says about a row that it refuses; empty if it answers the row."""
    line = json.dumps(row).encode()
    try:
        Importer(REQUIRED_KEYS[family]).check(line)
    except ImportRefusedError as error:
        return error.reason
    made, ok = RowMaker(Model("a-model", family), "1", {}, (), Output()).make(line, row)
    return "" if ok else str(json.loads(made)["status"])


@pytest.mark.parametrize("bad", [bad for bad, _, _ in CERTAIN], ids=[path for _, path, _ in CERTAIN])
def test_the_emulator_refuses_what_is_certain_to_fail(bad):
    assert refusal_of(row("bad", **bad))


@pytest.mark.parametrize(
    "content",
    [{}, {"parts": []}, {"parts": [{"text": "x", "inlineData": {"data": "x"}}]}, {"parts": [{"Text": "x"}]}],
)
def test_the_emulator_refuses_an_embedding_that_is_certain_to_fail(content):
    embedding = {"request": {"content": content}}
    report = check(embedding, model="gemini-embedding-001")
    assert report.is_hopeless
    assert refusal_of(embedding, Family.GEMINI_EMBEDDING)


def test_each_rule_about_a_value_has_a_row_that_breaks_it():
    """So that no rule of the pre-flight is missing in the emulator."""
    paths = [path.replace("[]", "") for _, path, _ in CERTAIN]
    for message in messages().values():
        for name, field in message.fields.items():
            if field.limits or field.max_items is not None or field.pattern or field.is_filled:
                assert any(camel(path).endswith(name) for path in paths), (message.name, name)
        for group in message.groups:
            breaking = [said for _, _, said in CERTAIN if f"no value for `{group.names[0]}`" in said]
            assert breaking or any(f"one of {group.names[0]}" in said for _, _, said in CERTAIN), group


@pytest.mark.parametrize(
    ("bad", "path", "words"), CERTAIN, ids=[f"{path}-{words[:20]}" for _, path, words in CERTAIN]
)
@pytest.mark.parametrize("good_rows", [0, 2000])
def test_a_row_that_google_refuses_is_found_at_its_line(bad, path, words, good_rows):
    good = [row(f"good {n}", **config(temperature=0.5)) for n in range(good_rows)]
    report = check(*good, row("bad", **bad), row("bad too", **bad))
    found = of(report, Severity.ROW)
    if report.counts[Severity.JOB]:  # good rows have another type there, or the name is not one of a column
        assert path in {place.removeprefix("request.") for _, place, _ in of(report, Severity.JOB)}
    assert [each[:2] for each in found] == [(f"in.jsonl:{good_rows + 1}", f"request.{path}")]
    assert words in found[0][2]
    assert any("; the same in 1 more)" in line for line in report.lines())
    assert report.bad_rows == 2
    assert report.is_hopeless is (good_rows == 0 or report.counts[Severity.JOB] > 0)


@pytest.mark.parametrize(
    ("odd", "path", "words"),
    [
        ({"newField": {"a": 1}}, "request.newField", "not a known field of this request"),
        (config(maxTokens=5), "request.generationConfig.maxTokens", "did you mean `maxOutputTokens`?"),
        (config(responseMimeType="audio/wav"), "request.generationConfig.responseMimeType", "'audio/wav'"),
        (
            {"safetySettings": [{"category": "HARM_CATEGORY_OF_TOMORROW"}]},
            "request.safetySettings[].category",
            "not a known value",
        ),
        (parts({"hologram": {"a": 1}}), "request.contents[].parts[]", "no value for one of text"),
        ({"model": "gemini-1.5-pro"}, "request.model", "the job's model gemini-2.5-flash answers the row"),
    ],
)
def test_what_a_later_api_may_take_is_a_doubt_that_is_reported_once(odd, path, words):
    report = check(*[row(f"{n}", **odd) for n in range(50)])
    assert (report.bad_rows, report.is_hopeless) == (0, False)
    found = [each for each in of(report, Severity.DOUBT) if each[1] == path]
    assert [place for place, _, _ in found] == ["in.jsonl:1"]
    assert words in found[0][2]


FINE = [
    {"contents": [TURN, {"role": "model", "parts": [{"text": "x"}]}, {"parts": [{"text": "x"}]}]},
    {"contents": [{"role": "function", "parts": [{"functionResponse": {"name": "f"}}]}]},
    {"contents": TURN},
    parts({"text": ""}),
    parts({"text": "x", "fileData": None}, {"text": None, **REMOTE}),
    parts(PICTURE, REMOTE, {"text": "x"}),
    parts({"inline_data": {"mime_type": "image/png", "data": "aGk="}}),
    parts({"fileData": {"fileUri": "https://www.youtube.com/watch?v=abc"}}),
    parts({"thoughtSignature": "aGk="}),
    parts({"text": "x", "thought": True, "thoughtSignature": "aGk="}),
    parts({"functionCall": {"name": "f", "args": {"temperature": 99, "type_": "x"}}}),
    {"systemInstruction": {"role": "system", "parts": [{"text": "x"}]}},
    {"system_instruction": {"parts": {"text": "x"}}},
    {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "block_none"}]},
    {"labels": {"type_": "x", "contnets": "y"}},
    {"model": "publishers/google/models/gemini-2.5-flash"},
    config(temperature=0, topP=1, candidateCount=8, maxOutputTokens=65536, stopSequences=list("abcde")),
    config(temperature=2.0, maxOutputTokens=256.0, topK=40, seed=7),
    config(temperature="0.5", maxOutputTokens="256"),
    config(responseMimeType="application/json", responseSchema={"type": "object"}),
    config(responseSchema={"type": "OBJECT", "properties": {"type_": {"type": "STRING", "nullable": True}}}),
    config(responseJsonSchema={"type_": "anything", "minLengths": 5}),
    config(thinkingConfig={"thinkingBudget": -1, "includeThoughts": True}),
    {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]},
    {"tools": [{"google_search": {"excludeDomains": ["a.example"]}}]},
]


@pytest.mark.parametrize("fine", FINE, ids=range(len(FINE)))
def test_what_google_takes_is_not_found(fine):
    assert check(*[row(f"{n}", **fine) for n in range(50)]).lines() == []
    is_one_turn = fine.get("contents") is TURN  # the emulator accepts a list only
    assert is_one_turn or not refusal_of(row(**fine))


def test_all_that_google_takes_may_be_in_one_input():
    rows = [row(f"{n}", **fine) for n, fine in enumerate(FINE * 20)]
    assert [each for each in check(*rows).findings if each.severity is Severity.ROW] == []


@pytest.mark.parametrize("bad", [bad for bad, _, _ in CERTAIN], ids=range(len(CERTAIN)))
def test_a_decoder_that_knows_every_field_lets_no_bad_row_pass(bad):
    good = [row(f"{n}", **fine) for n, fine in enumerate(FINE * 2)]
    assert check(*good, *good, row("bad", **bad), *good).bad_rows == 1


def with_nulls(value: Any) -> Iterator[Any]:
    """Every variant of a value in which one value or item is null."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: variant} for variant in (None, *with_nulls(inner)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for variant in (None, *with_nulls(inner)):
                yield [*value[:number], variant, *value[number + 1 :]]


LIMITS = [
    config(maxOutputTokens=4096),
    config(maxOutputTokens=256),
    config(max_output_tokens=300),
    {"generation_config": {"maxOutputTokens": 256}},
    config(maxOutputTokens=256, thinkingConfig={"thinkingBudget": 0}),
    config(maxOutputTokens=256, thinkingConfig={"thinkingBudget": -1}),
    config(maxOutputTokens=256, thinkingConfig={"thinkingLevel": "LOW"}),
    config(maxOutputTokens=4096, thinkingConfig={"thinkingBudget": -1}),
]
MODELS = [{"model": f"publishers/google/models/gemini-{version}"} for version in ("2.5-flash", "2.5-pro")]
WHOLE = [*FINE, *LIMITS, *MODELS, *(bad for bad, _, _ in CERTAIN)]
EVERY = [*({"contents": [TURN], **each} for each in WHOLE)]
EVERY += [variant for each in EVERY for variant in with_nulls(each)]


def requests_of(*ways: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"contents": [TURN], **way} for way in ways]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(EVERY), min_size=1, max_size=12))
@example(requests_of(LIMITS[0], LIMITS[1]))
@example(requests_of(LIMITS[7], LIMITS[4], LIMITS[5]))
@example([{"contents": None}])
@example([{"contents": [None]}])
@example([*requests_of({}), {"contents": [TURN, None]}])
def test_a_row_is_judged_the_same_whatever_rows_precede_it(requests):
    rows = [row(f"{n}", **request) for n, request in enumerate(requests * 3)]
    alone = [check(each) for each in rows]
    together = check(*rows)
    assert together.bad_rows == sum(report.bad_rows for report in alone)
    doubted = {path for report in alone for _, path, _ in of(report, Severity.DOUBT)}
    assert doubted <= {path for _, path, _ in of(together, Severity.DOUBT)}


def test_a_row_that_is_wrong_in_several_ways_is_counted_once():
    report = check(row("1", **config(temperature=9, topP=9)), row("2"))
    assert (report.bad_rows, report.counts[Severity.ROW]) == (1, 2)
    assert not report.is_hopeless
    assert report.summary().endswith("; 1 of them is certain to fail")


@pytest.mark.parametrize(
    ("bad_rows", "counts", "said"),
    [
        (0, {}, "27 bytes"),
        (13, {Severity.ROW: 15}, "27 bytes; 13 of them are certain to fail"),
        (
            13,
            {Severity.ROW: 15, Severity.JOB: 1, Severity.DOUBT: 14},
            "; 13 of them are certain to fail; 1 place fails the whole job; 14 places may be wrong",
        ),
        (
            0,
            {Severity.JOB: 2, Severity.DOUBT: 1},
            "27 bytes; 2 places fail the whole job; 1 place may be wrong",
        ),
    ],
)
def test_a_summary_counts_what_is_wrong_in_each_way(bad_rows, counts, said):
    report = Report(1, 60, 27, bad_rows)
    report.counts.update(counts)
    assert report.summary().endswith(said)


GEMINI, OPENAI = row(), {"custom_id": "1", "method": "POST", "url": "/v1", "body": {"messages": []}}
CLAUDE = {
    "custom_id": "1",
    "request": {"anthropic_version": "v", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
}
GEMINI_EMBEDDING = {"request": {"content": {"parts": [{"text": "x"}]}}}


@pytest.mark.parametrize(
    ("model", "other", "name"),
    [
        ("gemini-2.5-flash", CLAUDE, "Claude"),
        ("gemini-2.5-flash", OPENAI, "OpenAI"),
        ("gemini-2.5-flash", {"messages": [{"role": "user"}]}, "OpenAI"),
        ("gemini-2.5-flash", {"contents": [TURN]}, "Gemini without its `request` around it"),
        ("gemini-2.5-flash", GEMINI_EMBEDDING, "Gemini embeddings"),
        ("gemini-2.5-flash", {"content": "x"}, "text embeddings"),
        ("gemini-embedding-001", GEMINI, "Gemini"),
        ("gemini-embedding-001", {"content": "x"}, "text embeddings"),
        ("text-embedding-005", GEMINI_EMBEDDING, "Gemini embeddings"),
        ("claude-sonnet-4-5", GEMINI, "Gemini"),
        ("claude-sonnet-4-5", OPENAI, "OpenAI"),
        ("publishers/meta/models/llama-4", CLAUDE, "Claude"),
        ("publishers/meta/models/llama-4", GEMINI, "Gemini"),
    ],
)
def test_rows_of_another_kind_of_model_are_named(model, other, name):
    report = check(other, model=model)
    assert report.is_hopeless
    assert any(f"looks like a row for {name}" in finding.message for finding in report.findings)


def test_a_field_beside_the_request_is_a_doubt():
    report = check({**row(), "generationConfig": {"topP": 1}})
    ((_, path, message),) = of(report, Severity.DOUBT)
    assert (path, "where Google ignores it" in message) == ("generationConfig", True)


@pytest.mark.parametrize("name", ["key", "custom_id"])
@pytest.mark.parametrize("between", [0, 3000])
def test_a_key_of_two_rows_is_found_at_the_second(name, between):
    rows = [{name: key, **GEMINI_ROW} for key in ("a", *map(str, range(between)), "a", "b")]
    report = check(*rows)
    assert of(report, Severity.REPEATED_KEY) == [(f"in.jsonl:{between + 2}", name, "is 'a'")]
    assert report.counts[Severity.DOUBT] == 0


GEMINI_ROW = {"request": {"contents": [TURN]}}


def test_rows_without_a_key_are_not_compared():
    assert check(*[GEMINI_ROW] * 3000, row("a"), *[GEMINI_ROW] * 3000).lines() == []


def test_keys_are_remembered_up_to_a_bound():
    keys = RowKeys("", ["key"])
    assert keys.of({"key": "a"}) == "a"
    assert keys.add_new(range(1, MAX_KEYS + 1))
    assert keys.is_new(1)  # not compared any more


@pytest.mark.parametrize(
    ("text", "right", "expected"),
    [
        ("contnets", "contents", True),
        ("content", "contents", True),
        ("contentss", "contents", True),
        ("contants", "contents", True),
        ("contents", "contents", False),
        ("topN", "topP", False),  # too short to say
        ("conents2", "contents", False),
    ],
)
def test_one_letter_makes_a_misspelling(text, right, expected):
    assert is_misspelled(text, right) is expected


def test_no_name_that_google_knows_is_a_misspelling_of_another():
    for message in messages().values():
        for name in message.fields:
            assert message.name_of(name) == name
