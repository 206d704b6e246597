"""``vertex-batch bill`` from end to end; every amount was computed by hand from the price map below."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from vertex_batch.billing.making import make_bill
from vertex_batch.cli import main
from vertex_batch.cli.bill import make
from vertex_batch.cli.tables import render_bill
from vertex_batch.costs import JobFacts
from vertex_batch.pricing import PriceBook
from vertex_batch.usage import ScanResult

REPOSITORY = Path(__file__).resolve().parents[3]
FLASH, PRO, UPLIFTED = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.5-flash"
# As LiteLLM's map is written: floats, texts, nulls, nested values, other tariffs, and an entry that is prose.
PRICES = """{
  "sample_spec": {"input_cost_per_token": "USD per token", "litellm_provider": "one of https://..."},
  "gemini-2.5-flash": {
    "litellm_provider": "vertex_ai-language-models", "mode": "chat", "max_tokens": "65535",
    "input_cost_per_token": 3e-07, "input_cost_per_token_batches": "1.5e-07",
    "input_cost_per_audio_token": 1e-06, "input_cost_per_audio_token_batches": 5e-07,
    "output_cost_per_token": 2.5e-06, "output_cost_per_token_batches": 1.25e-06,
    "output_cost_per_image_token": 3e-05,
    "cache_read_input_token_cost": 3e-08, "cache_read_input_audio_token_cost": "1e-07",
    "input_cost_per_token_priority": 9, "input_cost_per_token_flex": 9, "input_cost_per_image": null,
    "search_context_cost_per_query": {"search_context_size_low": 0.035}
  },
  "gemini-2.5-pro": {
    "litellm_provider": "vertex_ai-language-models",
    "input_cost_per_token": 1.25e-06, "input_cost_per_token_batches": 6.25e-07,
    "input_cost_per_token_above_200k_tokens": 2.5e-06,
    "output_cost_per_token": 1e-05, "output_cost_per_token_batches": 5e-06,
    "output_cost_per_token_above_200k_tokens": 1.5e-05,
    "cache_read_input_token_cost": 1.25e-07, "cache_read_input_token_cost_above_200k_tokens": 2.5e-07
  },
  "vertex_ai/gemini-3.5-flash": {
    "litellm_provider": "vertex_ai", "regional_endpoint_uplift_multiplier": "1.1",
    "input_cost_per_token": 1.5e-06, "output_cost_per_token": 9e-06,
    "cache_read_input_token_cost": 1.5e-07, "cache_read_input_token_cost_batches": 7.5e-08
  },
  "vertex_ai/claude-sonnet-4-5@20250929": {
    "litellm_provider": "vertex_ai-anthropic_models",
    "input_cost_per_token": 3e-06, "input_cost_per_token_batches": 1.5e-06,
    "output_cost_per_token": 1.5e-05, "output_cost_per_token_batches": 7.5e-06,
    "cache_read_input_token_cost": 3e-07, "cache_read_input_token_cost_batches": 1.5e-07,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_batches": 1.875e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06
  },
  "vertex_ai/openai/gpt-oss-120b-maas": {
    "litellm_provider": "vertex_ai-openai_models",
    "input_cost_per_token_batches": 7.5e-08, "output_cost_per_token_batches": 3e-07,
    "cache_read_input_token_cost_batches": 1e-08
  },
  "text-embedding-005": {
    "litellm_provider": "vertex_ai-embedding-models",
    "input_cost_per_token": 1e-07, "input_cost_per_character": 2.5e-08, "output_cost_per_token": 0
  },
  "gemini-embedding-001": {
    "litellm_provider": "vertex_ai-embedding-models", "input_cost_per_token_batches": 1.2e-07
  },
  "gemini/gemini-2.5-flash": {"litellm_provider": "gemini", "input_cost_per_token_batches": 9},
  "claude-sonnet-4-5": {"litellm_provider": "anthropic", "input_cost_per_token_batches": 9}
}"""


def row(model: str | None = FLASH, response_id: str = "", **usage) -> dict:
    answer = {"candidates": [{"content": {"parts": [{"text": "Yes."}]}}], "usageMetadata": usage}
    answer |= {"modelVersion": model} if model else {}
    return {
        "status": "",
        "request": {},
        "response": answer | ({"responseId": response_id} if response_id else {}),
    }


def text_of(*rows) -> bytes:
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows)


@pytest.fixture
def bill(tmp_path, capsys):
    """Write rows to a file, or take paths, and return what ``bill --json`` prints."""
    (tmp_path / "map").write_text(PRICES)

    def run(*rows, paths=(), model=FLASH, location="global") -> dict:
        if rows:
            path = tmp_path / "some rows.jsonl"
            path.write_bytes(text_of(*rows))
            paths = [path]
        words = ["bill", *map(str, paths), "--model", model, "--location", location]
        assert main([*words, "--prices", str(tmp_path / "map"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def short(bill: dict) -> dict[str, str | None]:
    """Line items as ``kind modality tier`` -> ``tokens x rate = amount``, what is usual left out."""
    lines: dict[str, str | None] = {}
    for item in bill["line_items"]:
        name = " ".join(
            [item["kind"], *(item[k] for k in ("modality", "tier") if item[k] not in ("text", "standard"))]
        )
        name += f" #{len(lines)}" if name in lines else ""
        lines[name] = f"{item['tokens']} x {item['unit_price']} = {item['amount']}"
    return lines


def rows_of(**counts: int) -> dict[str, int]:
    return {"ok": 0, "failed": 0, "unreadable": 0, "unrecognized": 0, **counts}


def test_the_bill_has_exactly_the_fields_of_its_contract(bill):
    found = bill(row(promptTokenCount=1000, candidatesTokenCount="100", totalTokenCount=1100))
    assert found == {
        "rows": rows_of(ok=1),
        "line_items": [
            {
                "model": FLASH,
                "kind": "input",
                "modality": "text",
                "tier": "standard",
                "tokens": 1000,
                "unit": "token",
                "unit_price": "0.00000015",
                "amount": "0.00015",
                "basis": "batch_rate",
                "source": "map",
                "reason": None,
            },
            {
                "model": FLASH,
                "kind": "output",
                "modality": "text",
                "tier": "standard",
                "tokens": 100,
                "unit": "token",
                "unit_price": "0.00000125",
                "amount": "0.000125",
                "basis": "batch_rate",
                "source": "map",
                "reason": None,
            },
        ],
        "total": {"amount": "0.000275", "complete": True},
        "flags": [],
    }


def details(**tokens):
    return [{"modality": name.upper(), "tokenCount": n} for name, n in tokens.items()]


CASES = {
    "cached and thoughts": (
        [
            row(
                promptTokenCount=1000,
                cachedContentTokenCount=800,
                candidatesTokenCount=100,
                thoughtsTokenCount=900,
            )
        ],
        {
            "input": "200 x 0.00000015 = 0.00003",
            "cached_input": "800 x 0.00000003 = 0.000024",
            "output": "100 x 0.00000125 = 0.000125",
            "thoughts": "900 x 0.00000125 = 0.001125",
        },
        "0.001304",
    ),
    "cached by modality": (
        [
            row(
                promptTokenCount=1100,
                promptTokensDetails=details(text=100, audio=1000),
                cachedContentTokenCount=650,
                cacheTokensDetails=details(text=50, audio=600),
                candidatesTokenCount=10,
            )
        ],
        {
            "input": "50 x 0.00000015 = 0.0000075",
            "input audio": "400 x 0.0000005 = 0.0002",
            "cached_input": "50 x 0.00000003 = 0.0000015",
            "cached_input audio": "600 x 0.0000001 = 0.00006",
            "output": "10 x 0.00000125 = 0.0000125",
        },
        "0.0002815",
    ),
    "modalities": (
        [
            row(
                promptTokenCount=60,
                promptTokensDetails=details(image=10, video=20, document=25, smell=5),
                candidatesTokenCount=1290,
                candidatesTokensDetails=details(image=1290),
            )
        ],
        {
            "input": "5 x 0.00000015 = 0.00000075",
            "input image": "10 x 0.00000015 = 0.0000015",
            "input video": "20 x 0.00000015 = 0.000003",
            "input document": "25 x 0.00000015 = 0.00000375",
            "output image": "1290 x 0.000015 = 0.01935",
        },
        "0.019359",
    ),
    "tool use without a search": (
        [
            row(
                promptTokenCount=10,
                toolUsePromptTokenCount=1000,
                candidatesTokenCount=1,
                totalTokenCount=1011,
            )
        ],
        {
            "input": "10 x 0.00000015 = 0.0000015",
            "output": "1 x 0.00000125 = 0.00000125",
            "tool_use_input": "1000 x 0.00000015 = 0.00015",
        },
        "0.00015275",
    ),
    "long and short rows of a model with long-context rates": (
        [
            row(PRO, promptTokenCount=250_000, cachedContentTokenCount=50_000, candidatesTokenCount=1000),
            row(PRO, promptTokenCount=200_000, thoughtsTokenCount=10),
        ],
        {
            "input long_context": "200000 x 0.00000125 = 0.25",
            "input": "200000 x 0.000000625 = 0.125",
            "cached_input long_context": "50000 x 0.00000025 = 0.0125",
            "output long_context": "1000 x 0.0000075 = 0.0075",
            "thoughts": "10 x 0.000005 = 0.00005",
        },
        "0.39505",
    ),
    "a long row of a model without long-context rates": (
        [row(promptTokenCount=250_000)],
        {"input": "250000 x 0.00000015 = 0.0375"},
        "0.0375",
    ),
    "the job's model, for rows that name none": (
        [row(None, promptTokenCount=1), row("", promptTokenCount=1), row("@default", promptTokenCount=1)],
        {"input": "3 x 0.00000015 = 0.00000045"},
        "0.00000045",
    ),
    "versions and long names": (
        [
            row(f"{FLASH}@default", promptTokenCount=1),
            row(f"publishers/google/models/{FLASH}", promptTokenCount=1),
            row(f"projects/p/locations/l/publishers/google/models/{FLASH}@001", promptTokenCount=1),
            row(f"vertex_ai/{FLASH}", promptTokenCount=1),
        ],
        {"input": "4 x 0.00000015 = 0.0000006"},
        "0.0000006",
    ),
    "snake case": (
        [
            {
                "response": {
                    "usage_metadata": {
                        "prompt_token_count": "10",
                        "cached_content_token_count": 4,
                        "candidates_token_count": 2.0,
                    },
                    "model_version": FLASH,
                }
            }
        ],
        {
            "input": "6 x 0.00000015 = 0.0000009",
            "cached_input": "4 x 0.00000003 = 0.00000012",
            "output": "2 x 0.00000125 = 0.0000025",
        },
        "0.00000352",
    ),
    "failed rows, whatever they carry": (
        [
            {**row(promptTokenCount=1), "status": 'Bad Request: {"error": {"code": 400}}'},
            {"response": {}, "error": {"code": 3, "message": "no"}},
            {"status": {"code": 13, "message": "no"}, "response": {"usageMetadata": {"promptTokenCount": 1}}},
            {"response": {"error": {"code": 400}, "usageMetadata": {"promptTokenCount": 1}}},
            {"response": {"status_code": 500, "body": {"usage": {"prompt_tokens": 1}}}},
            {"response": {"status_code": "503"}},
            {"response": {}},
            {"response": None},
            {"request": {}, "status": ""},
            {**row(promptTokenCount=7), "status": {"code": 0}},
        ],
        {"input": "7 x 0.00000015 = 0.00000105"},
        "0.00000105",
    ),
    "an answered row whose input has a field of that name": (
        [{**row(promptTokenCount=1), "error": {"code": 3, "message": "no"}}],
        {"input": "1 x 0.00000015 = 0.00000015"},
        "0.00000015",
    ),
    "BigQuery's rows": (
        [
            {"request": "{}", "response": json.dumps(row(promptTokenCount=2)["response"]), "status": ""},
            row(promptTokenCount=3)["response"],
            {"content": "x", "response": row(promptTokenCount="4")["response"], "status": None},
        ],
        {"input": "9 x 0.00000015 = 0.00000135"},
        "0.00000135",
    ),
    "numbers and texts that JSON refuses": (
        [
            b'{"response":{"candidates":[{"avgLogprobs":NaN,"content":"\\ud800"}],"usageMetadata":{"promptTokenCount":1}}}'
        ],
        {"input": "1 x 0.00000015 = 0.00000015"},
        "0.00000015",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rows_are_billed_by_the_rules(bill, case):
    rows, items, amount = case
    found = bill(*rows)
    assert short(found) == items
    assert found["total"] == {"amount": amount, "complete": True}
    assert sum(found["rows"].values()) == len(rows)


def test_search_queries_have_no_amount_and_grounded_tool_use_is_not_billed(bill):
    grounded = row(
        promptTokenCount=10, toolUsePromptTokenCount=500, candidatesTokenCount=2, totalTokenCount=512
    )
    grounded["response"]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    unnamed = json.loads(json.dumps(grounded))
    chunks = ["odd", None, {"web": {"uri": "x"}}]
    unnamed["response"]["candidates"][0]["groundingMetadata"] = {"groundingChunks": chunks}
    found = bill(grounded, unnamed)
    assert short(found) == {
        "input": "20 x 0.00000015 = 0.000003",
        "output": "4 x 0.00000125 = 0.000005",
        "search_query": "2 x None = None",
    }
    assert found["total"] == {"amount": "0.000008", "complete": False}
    assert "allowance" in found["line_items"][-1]["reason"]


@pytest.mark.parametrize(("model", "searches"), [(FLASH, 2), (UPLIFTED, 4)])
def test_searches_are_counted_by_grounded_prompt_before_gemini_3_and_by_query_since(bill, model, searches):
    """Equal and empty queries of a row count once and not at all. An allowance leaves no amount to state."""
    rows = []
    for queries in (["tides", "moon", "tides", ""], ["tides", "sun"], []):
        answered = row(model, promptTokenCount=5, candidatesTokenCount=1, totalTokenCount=6)
        if queries:
            answered["response"]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": queries}
        rows.append(answered)
    found = bill(*rows, model=model)
    [item] = [each for each in found["line_items"] if each["kind"] == "search_query"]
    assert (item["tokens"], item["unit"], item["amount"]) == (searches, "query", None)
    assert not found["total"]["complete"]


@pytest.mark.parametrize(
    ("location", "rates", "amount"),
    [
        ("global", ["0.00000075", "0.000000075", "0.0000045"], "0.000465"),
        ("us-central1", ["0.000000825", "0.0000000825", "0.00000495"], "0.0005115"),
    ],
)
def test_regions_cost_more_where_the_price_map_says_so(bill, location, rates, amount):
    usage = {"promptTokenCount": 150, "cachedContentTokenCount": 130, "candidatesTokenCount": 98}
    usage |= {"promptTokenCount": 130 + 12}
    found = bill(row(UPLIFTED, **usage), location=location)
    assert [item["unit_price"] for item in found["line_items"]] == rates
    bases = [item["basis"] for item in found["line_items"]]
    assert bases == ["derived_half_of_standard", "batch_rate", "derived_half_of_standard"]
    by_hand = 12 * Decimal(rates[0]) + 130 * Decimal(rates[1]) + 98 * Decimal(rates[2])
    assert Decimal(found["total"]["amount"]) == by_hand


def test_claude_has_two_cache_writes_and_input_without_cached_tokens(bill):
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 10,
    }
    rows = [{"custom_id": "a", "request": {}, "response": {"type": "message", "usage": usage}, "status": ""}]
    found = bill(*rows, model="publishers/anthropic/models/claude-sonnet-4-5@20250929", location="us-east5")
    assert short(found) == {
        "input": "100 x 0.0000015 = 0.00015",
        "cached_input": "1000 x 0.00000015 = 0.00015",
        "cache_write": "100 x 0.000003 = 0.0003",
        "cache_write #3": "200 x 0.000001875 = 0.000375",
        "output": "10 x 0.0000075 = 0.000075",
    }
    assert found["total"] == {"amount": "0.00105", "complete": True}


def test_openai_style_bodies_hold_their_details_inside_their_counts(bill):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    rows = [
        {"custom_id": "a", "response": {"status_code": 200, "body": {"usage": usage}}, "error": None},
        {"custom_id": "b", "response": {"usage": {"prompt_tokens": "1", "completion_tokens": 0}}},
    ]
    found = bill(*rows, model="publishers/openai/models/gpt-oss-120b-maas", location="us-central1")
    assert short(found) == {
        "input": "61 x 0.000000075 = 0.000004575",
        "cached_input": "40 x 0.00000001 = 0.0000004",
        "output": "20 x 0.0000003 = 0.000006",
        "thoughts": "30 x 0.0000003 = 0.000009",
    }
    assert found["total"] == {"amount": "0.000019975", "complete": True}


def test_embeddings_of_both_kinds(bill):
    legacy = {
        "instance": {"content": "ab c"},
        "predictions": [{"embeddings": {"statistics": {"token_count": 8}}}],
        "status": "",
    }
    found = bill(legacy, legacy, model="text-embedding-005")
    assert short(found) == {"input_character": "6 x 0.00000002 = 0.00000012"}
    gemini = [
        {"key": "a", "response": {"tokenCount": "2", "embedding": {"values": []}}},
        {"key": "b", "response": {"usageMetadata": {"promptTokenCount": 3}, "embedding": {"values": []}}},
        {"key": "c", "status": "INVALID_ARGUMENT", "request": {}},
    ]
    found = bill(*gemini, model="publishers/google/models/gemini-embedding-001")
    assert (short(found), found["rows"]["failed"]) == ({"input": "5 x 0.00000012 = 0.0000006"}, 1)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("gemini-unheard-of", "no price for model gemini-unheard-of"),
        ("sample_spec", "no price for model"),
        ("projects/p/locations/us-central1/models/123", "a tuned model has its own price"),
    ],
)
def test_an_unknown_price_is_null_with_a_reason_and_the_total_is_incomplete(bill, model, reason):
    stated = None if "/" not in model else FLASH  # the rows of a tuned model name its base
    found = bill(row(stated, promptTokenCount=5), model=model)
    [item] = found["line_items"]
    assert (item["tokens"], item["unit_price"], item["amount"], item["basis"]) == (5, None, None, None)
    assert item["reason"].startswith(reason)
    assert found["total"] == {"amount": "0", "complete": False}


def test_unreadable_rows_are_counted_named_by_line_and_make_the_total_incomplete(bill):
    good = json.dumps(row(promptTokenCount=1)).encode()
    found = bill(good + b"\r", b"", b"{broken\r", good, good[:-9])
    assert found["rows"] == rows_of(ok=2, unreadable=2)
    assert short(found) == {"input": "2 x 0.00000015 = 0.0000003"}  # no line item for what nobody can read
    assert found["total"] == {"amount": "0.0000003", "complete": False}
    assert any("some rows.jsonl:3: not JSON" in flag for flag in found["flags"])
    assert any("some rows.jsonl:5: " in flag for flag in found["flags"])


@pytest.mark.parametrize(
    "usage", [{}, {"totalTokenCount": 12}, {"trafficType": "ON_DEMAND"}], ids=["none", "total", "other"]
)
def test_an_answer_without_usage_is_ok_and_makes_the_total_incomplete(bill, usage):
    found = bill(row(**usage), row(promptTokenCount=1))
    assert found["rows"] == rows_of(ok=2)
    assert found["total"] == {"amount": "0.00000015", "complete": False}
    assert found["flags"] == ["no usage in the row; its cost is not in the amount (1 row)"]


def test_odd_counts_are_billed_by_the_counts_and_flagged(bill):
    found = bill(
        row(promptTokenCount=100, promptTokensDetails=details(audio=30, text=10)),
        row(promptTokenCount=1, totalTokenCount=9, hologramTokenCount=8),
    )
    assert short(found) == {
        "input": "71 x 0.00000015 = 0.00001065",
        "input audio": "30 x 0.0000005 = 0.000015",
    }
    assert len(found["flags"]) == 3
    assert "hologramTokenCount" in str(found["flags"])


def test_a_directory_a_glob_and_files_are_one_bill_each_row_once(bill, tmp_path):
    job = tmp_path / "out" / "prediction-model-2026-02-12T06:52:08.835011Z"
    (job / "incremental_predictions").mkdir(parents=True)
    one, two, three = (text_of(row(promptTokenCount=n, response_id=f"r{n}")) for n in (1, 2, 3))
    (job / "predictions.jsonl").write_bytes(one + two)
    (job / "predictions_00001.jsonl").write_bytes(two)
    (job / "incremental_predictions" / "predictions.jsonl").write_bytes(one)
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "000000000000.jsonl.gz").write_bytes(gzip.compress(one))
    (shards / "000000000001.jsonl").write_bytes(two + three)

    def billed(*paths):
        found = bill(paths=paths)
        return found["rows"]["ok"], sum(item["tokens"] for item in found["line_items"])

    assert billed(job) == billed(tmp_path / "out") == billed(job / "*") == billed(job / "**") == (2, 3)
    assert billed(*sorted(job.glob("*.jsonl"))) == billed(*sorted(job.rglob("*.jsonl"))) == (2, 3)
    assert billed(job, job / "predictions.jsonl", f"file://{job}/predictions.jsonl") == (2, 3)
    assert billed(job / "incremental_predictions" / "predictions.jsonl") == (1, 1)
    assert billed(shards) == billed(shards / "*.gz", shards / "*.jsonl") == (3, 6)
    # The rows of `out` are those of a resumed job, which copied them from `shards`.
    assert billed(shards, job) == billed(job, shards) == (5, 6)


def test_an_id_that_every_row_has_makes_no_row_a_copy(bill, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(text_of(*[row(promptTokenCount=1, response_id="same")] * 2))
    assert bill(paths=[tmp_path / "a.jsonl", tmp_path / "b.jsonl"])["line_items"][0]["tokens"] == 4


def test_a_rate_finer_than_the_cost_table_keeps_is_exact_here(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_bytes(text_of(row(promptTokenCount=3)))
    prices = {
        FLASH: {"input_cost_per_token": "1.000000000000007e-9", "regional_endpoint_uplift_multiplier": 1.1}
    }
    (tmp_path / "map.json").write_text("\ufeff" + json.dumps(prices))
    words = ["bill", str(tmp_path / "rows.jsonl"), "--model", FLASH, "--location", "europe-west4", "--json"]
    assert main([*words, "--prices", str(tmp_path / "map.json")]) == 0
    amount = json.loads(capsys.readouterr().out)["total"]["amount"]
    assert Decimal(amount) == 3 * Decimal("1.000000000000007e-9") * Decimal("0.55")


def test_a_price_map_without_any_vertex_model_prices_nothing(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_bytes(text_of(row(promptTokenCount=3)))
    (tmp_path / "map.json").write_text('{"gpt-4": {"litellm_provider": "openai", "input_cost_per_token": 1}}')
    words = ["bill", str(tmp_path / "rows.jsonl"), "--model", FLASH, "--location", "global", "--json"]
    assert main([*words, "--prices", str(tmp_path / "map.json")]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == {"amount": "0", "complete": False}


@pytest.mark.parametrize("name", ["nowhere.jsonl", "nowhere*.jsonl", "empty"])
def test_a_path_that_is_not_there_is_an_error_and_no_bill(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert main(["bill", str(tmp_path / name), "--model", FLASH, "--location", "global", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert name in printed.err


def test_the_bill_is_a_table_for_people(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_bytes(text_of(row("nobody-knows", promptTokenCount=3), b"{"))
    assert main(["bill", str(tmp_path / "rows.jsonl"), "--model", FLASH, "--location", "global"]) == 0
    printed = capsys.readouterr().out
    for words in ("at least 0.00", "no price for model nobody-knows", "rows.jsonl:2", "1 unreadable"):
        assert words in printed


def test_a_cancelled_job_has_its_state_once_in_the_table():
    job = JobFacts("demo-project", "us-central1", "17", state="CANCELLED", error_message="CANCELED")
    console = Console(width=120)
    with console.capture() as shown:
        console.print(render_bill(make_bill(job, ScanResult(), PriceBook([]))))
    assert re.search(r"^state +CANCELLED *$", shown.get(), re.MULTILINE)


def test_neither_airflow_nor_sqlalchemy_nor_a_connection_is_needed(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(text_of(row(promptTokenCount=3)))
    script = (
        "import sys; from vertex_batch.cli import main\n"
        f"rows = {str(tmp_path / 'rows.jsonl')!r}\n"
        "status = main(['bill', rows, '--model', 'm', '--location', 'l', '--json'])\n"
        "heavy = {'airflow', 'sqlalchemy', 'gcsfs', 'google.auth'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)"
    )
    path = os.pathsep.join([str(REPOSITORY / "plugins"), str(REPOSITORY)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_gcs_uris_are_read_from_the_object_store(emulator, monkeypatch, bill):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.gcs.url)
    place = "gs://demo-bucket/bill/prediction-model-2026-02-12T06:52:08.835011Z"
    emulator.gcs.put(f"{place}/predictions.jsonl", text_of(row(promptTokenCount=1)))
    emulator.gcs.put(f"{place}/incremental_predictions/0.jsonl", text_of(row(promptTokenCount=1)))
    for path in (
        place,
        f"{place}/",
        "gs://demo-bucket/bill",
        f"{place}/*.jsonl",
        f"{place}/predictions.jsonl",
    ):
        found = bill(paths=[path])
        assert (found["rows"]["ok"], found["total"]["amount"]) == (1, "0.00000015")


PAYS = "Bucket is a requester pays bucket but no user project provided."


def test_a_bucket_whose_requester_pays_is_refused_with_what_works_without_a_connection(
    proxy, reply, monkeypatch, tmp_path, capsys
):
    proxy.reply(reply.of({"error": {"code": 400, "message": PAYS, "errors": [{"message": PAYS}]}}, 400))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    words = ["--model", FLASH, "--location", "global"]
    assert main(["bill", "gs://paid/out/predictions.jsonl", *words]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "FSSPEC_GCS_REQUESTER_PAYS" in said
    assert "gs://paid --no-requester-pays" in said
    assert "connection" not in said
    words += ["--input", "gs://paid/in.jsonl", "--to", "gs://paid/answers.jsonl"]
    assert main(["results", "gs://paid/out", *words]) == 1
    assert "FSSPEC_GCS_REQUESTER_PAYS" in capsys.readouterr().err


def test_the_variable_of_the_project_that_pays_reaches_every_request(proxy, reply, tmp_path):
    """In a process of its own: fsspec reads its variables when it is imported."""

    def route(call):
        if call.params.get("userProject") != "payer":
            return reply.of({"error": {"code": 400, "message": PAYS, "errors": [{"message": PAYS}]}}, 400)
        if call.params.get("alt") == "media":
            return reply(body=rows)
        return reply.of({"name": "out.jsonl", "size": len(rows), "generation": "1"})

    rows = text_of(row(promptTokenCount=1))
    (tmp_path / "map").write_text(PRICES)
    proxy.route(route)
    words = ["bill", "gs://paid/out.jsonl", "--model", FLASH, "--location", "global", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "vertex_batch.cli", *words, "--prices", str(tmp_path / "map")],
        env={**os.environ, "STORAGE_EMULATOR_HOST": proxy.url, "FSSPEC_GCS_REQUESTER_PAYS": "payer"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["rows"] == rows_of(ok=1)


def test_rows_in_no_known_format_are_counted_apart_and_named(bill):
    odd = [{"instance": {}, "prediction": "id"}, {"request": {}}]
    found = bill(row(promptTokenCount=1), *odd)
    assert found["rows"] == rows_of(ok=1, unrecognized=2)
    assert found["total"] == {"amount": "0.00000015", "complete": False}
    [flag] = found["flags"]
    assert flag.startswith(
        "2 unrecognized rows (some rows.jsonl:2, some rows.jsonl:3): what they cost is not in"
    )


def test_an_input_by_mistake_is_called_one(bill):
    found = bill({"request": {"contents": []}}, {"request": {"contents": []}})
    assert found["total"] == {"amount": "0", "complete": False}
    assert found["flags"][-1] == (
        "all rows are requests without answers: this is the input of a job, not its output"
    )


@pytest.mark.parametrize(
    ("folder", "words", "usd"),
    [
        ("prediction-model-2026-11-30T23:10:02.123456Z", [], "0.000001"),
        ("prediction-model-2026-12-01T00:10:02.123456Z", [], "0.000002"),
        ("prediction-model-2026-12-01T00:10:02.123456Z", ["--day", "2026-11-30"], "0.000001"),
    ],
)
def test_the_rates_are_those_of_the_day_of_the_output(tmp_path, capsys, folder, words, usd):
    output = tmp_path / folder
    output.mkdir()
    (output / "predictions.jsonl").write_bytes(text_of(row("gemini-4-argon", promptTokenCount=1)))
    assert main(["bill", str(output), "--model", "m", "--location", "global", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["amount"] == usd


def test_the_bill_of_files_names_no_job_and_says_where_its_rates_hold(tmp_path, capsys):
    file = tmp_path / "predictions.jsonl"
    file.write_text('{"response": {"usageMetadata": {"promptTokenCount": 5}}, "status": ""}\n')
    assert main(["bill", str(file), "--model", "gemini-3.8-flash", "--location", "us-central1"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "job" not in names
    assert "location" in names


def test_rows_that_were_answered_after_a_change_of_prices_have_the_price_of_their_day(tmp_path):
    """1,000 tokens at 1 USD per million on 30 November, and at 2 on 1 December."""
    usage = {"promptTokenCount": 1000, "totalTokenCount": 1000}
    rows = [
        {
            "status": "",
            "processed_time": time,
            "response": {"modelVersion": "gemini-4-argon", "usageMetadata": usage},
        }
        for time in ("2026-11-30T23:00:00+00:00", "2026-12-01T00:10:00+00:00")
    ]
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bill = make([str(path)], "gemini-4-argon", "global", day=date(2026, 11, 30))
    items = [(item.tokens, item.priced_on) for item in bill.line_items]
    assert items == [(1000, None), (1000, date(2026, 12, 1))]
    assert bill.total.amount == Decimal("0.003")


def test_an_output_needs_its_model_and_location_and_the_message_says_why(run, tmp_path):
    (tmp_path / "rows.jsonl").write_text("")
    status, _, err = run("bill", tmp_path / "rows.jsonl", "--model", "gemini-3.8-flash")
    assert status == 1
    assert "needs --location: rows may not name the model" in err
    assert "give its id alone" in err
