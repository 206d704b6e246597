"""What a row searched, counted as Google bills it; by hand."""

from __future__ import annotations

import pytest

G2, G3 = "gemini-2.5-flash", "gemini-3-flash-preview"
WEB = [{"web": {"uri": "https://e.example"}}]
MAPS = [{"maps": {"placeId": "p"}}]
DATA = [{"retrievedContext": {"uri": "gs://b/d"}}]


def grounded(row, *metadata, model=G3, request=None, tool_use=0):
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": tool_use, "totalTokenCount": 10 + tool_use}
    made = row(usage, model=model)
    made["response"]["candidates"] = [{"groundingMetadata": each} for each in metadata]
    return {**made, "request": request or {"tools": [{"googleSearch": {}}]}}


@pytest.mark.parametrize("spelled", [lambda name: name, {"webSearchQueries": "web_search_queries"}.get])
@pytest.mark.parametrize(
    ("model", "counted"),
    [
        (G3, 2),
        ("gemini-3.1-pro-preview", 2),
        ("gemini-4-argon", 2),
        (G2, 1),
        ("gemini-2.0-flash-001@default", 1),
    ],
)
def test_gemini_3_pays_each_distinct_query_and_gemini_2_the_prompt(
    scan, row, tokens_of, spelled, model, counted
):
    queries = {spelled("webSearchQueries"): ["gold price", "oil price", "gold price", "", "  "]}
    result = scan(grounded(row, queries, model=model))
    assert tokens_of(result) == {"input": 10, "search_query": counted}


def test_queries_are_distinct_in_a_row_over_its_candidates_and_not_over_rows(scan, row, tokens_of):
    queries = {"webSearchQueries": ["a", "b"]}
    rows = [grounded(row, queries, {"webSearchQueries": ["b", "c"]}), grounded(row, queries)]
    assert tokens_of(scan(*rows))["search_query"] == 3 + 2


def test_image_searches_are_searches(scan, row, tokens_of):
    metadata = {"webSearchQueries": ["cat"], "imageSearchQueries": ["cat", "dog", "cat"]}
    assert tokens_of(scan(grounded(row, metadata)))["search_query"] == 1 + 2
    assert tokens_of(scan(grounded(row, metadata, model=G2)))["search_query"] == 1
    assert tokens_of(scan(grounded(row, {"image_search_queries": ["cat"]})))["search_query"] == 1


def test_only_empty_queries_and_no_source_are_no_list_of_queries(scan, row, tokens_of):
    result = scan(grounded(row, {"webSearchQueries": [""], "groundingChunks": WEB}))
    assert tokens_of(result)["search_query"] == 1
    assert result.flags == ["the row was grounded by a search but lists no query; one was counted (1 row)"]


def test_the_jobs_model_decides_where_the_row_names_none(scan, row, tokens_of):
    nameless = grounded(row, {"webSearchQueries": ["a", "b"]}, model=None)
    assert tokens_of(scan(nameless, job_model=f"publishers/google/models/{G2}"))["search_query"] == 1
    assert tokens_of(scan(nameless, job_model=f"publishers/google/models/{G3}"))["search_query"] == 2


def test_the_rows_of_a_tuned_model_are_billed_as_their_base_model_searches(scan, row, tokens_of):
    tuned = "projects/1/locations/us-central1/models/123"
    for model, counted in ((G2, 1), (G3, 2)):
        result = scan(grounded(row, {"webSearchQueries": ["a", "b"]}, model=model), job_model=tuned)
        assert tokens_of(result)["search_query"] == counted
        assert {key.model for key in result.tokens} == {tuned}


def test_of_an_unknown_model_queries_are_counted_and_the_row_is_flagged(scan, row, tokens_of):
    result = scan(grounded(row, {"webSearchQueries": ["a", "b"]}, model="gemini-nano-banana-2.1"))
    assert tokens_of(result)["search_query"] == 2
    assert "unknown whether searches of this model are billed per prompt or per query" in result.flags[0]


@pytest.mark.parametrize(
    ("metadata", "request_", "expected"),
    [
        ({"groundingChunks": MAPS}, None, {"maps_grounding": 1}),
        ({"googleMapsWidgetContextToken": "t"}, None, {"maps_grounding": 1}),
        ({"groundingChunks": MAPS, "webSearchQueries": ["cafe"]}, None, {"maps_grounding": 1}),
        (
            {"groundingChunks": MAPS + WEB, "webSearchQueries": ["cafe", "bar"]},
            None,
            {"maps_grounding": 1, "search_query": 2},
        ),
        ({"groundingChunks": DATA}, None, {"data_grounding": 1}),
        ({"retrievalQueries": ["q", "r"]}, None, {"data_grounding": 1}),
        (
            {"webSearchQueries": ["q", "r"]},
            {"tools": [{"enterpriseWebSearch": {}}]},
            {"enterprise_search": 1},
        ),
        ({"webSearchQueries": ["q"]}, {"tools": [{"enterprise_web_search": {}}]}, {"enterprise_search": 1}),
        ({"oracleQueries": ["q"]}, None, {"other_grounding": 1}),
        ({"groundingChunks": [{"oracle": {"uri": "x"}}]}, None, {"other_grounding": 1}),
        ({"groundingChunks": [], "groundingSupports": [1]}, None, {}),
    ],
)
def test_each_other_source_is_counted_apart_once_for_the_prompt(
    scan, row, tokens_of, metadata, request_, expected
):
    assert tokens_of(scan(grounded(row, metadata, request=request_))) == {"input": 10, **expected}


def test_an_unknown_source_is_named(scan, row):
    result = scan(grounded(row, {"oracleQueries": ["q"]}))
    assert result.flags == ["the grounding has a field that is not known here: 'oracleQueries' (1 row)"]


def test_tokens_found_in_data_of_ones_own_are_billed_and_those_of_google_are_not(scan, row, tokens_of):
    assert tokens_of(scan(grounded(row, {"groundingChunks": DATA}, tool_use=5)))["tool_use_input"] == 5
    for metadata in ({"groundingChunks": MAPS}, {"webSearchQueries": ["q"]}):
        assert "tool_use_input" not in tokens_of(scan(grounded(row, metadata, tool_use=5)))
