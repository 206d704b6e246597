"""``vertex-batch bill`` where prices and rows are at the edge of what can be written."""

from __future__ import annotations

import json

import pytest

from vertex_batch.cli import main

CLAUDE, OPEN = "claude-sonnet-4-5@20250929", "publishers/openai/models/gpt-oss-120b-maas"
PRICES = {
    # 24 decimals: a sum of two amounts has 29 digits, one more than Python's usual context keeps.
    "fine": {
        "input_cost_per_token_batches": "0.00000012345678901234566",
        "output_cost_per_token_batches": "0.000012345678901234568",
    },
    "absurd": {"input_cost_per_token_batches": f"0.{'1234567891' * 7}"},
    "tiny": {"input_cost_per_token_batches": "1e-99999"},
    "vast": {"input_cost_per_token_batches": "1e99999"},
    "vertex_ai/claude-sonnet-4-5": {"input_cost_per_token_batches": "1.5e-06"},
    "gpt-oss-120b-maas": {
        "input_cost_per_token_batches": "7.5e-08",
        "output_cost_per_token_batches": "3e-07",
        "input_cost_per_audio_token_batches": "5e-07",
    },
    "gemini-2.5-flash": {"input_cost_per_token_batches": "1.5e-07"},
}


@pytest.fixture
def bill(tmp_path, capsys):
    (tmp_path / "map.json").write_text(json.dumps(PRICES))

    def run(*answers, model, location="global"):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps({"status": "", "response": answer}) + "\n" for answer in answers))
        words = ["bill", str(path), "--model", model, "--location", location]
        assert main([*words, "--prices", str(tmp_path / "map.json"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def usage(**counts):
    return {"candidates": [{}], "usageMetadata": counts}


def test_a_sum_of_more_digits_than_a_decimal_usually_has_is_exact(bill):
    rows = [usage(promptTokenCount=2147483647, candidatesTokenCount=2147483647)] * 301
    found = bill(*rows, model="fine")
    assert [item["amount"] for item in found["line_items"]] == [
        "79801.55209005761737438802802",
        "7980155.209005763030223958296",
    ]
    assert found["total"] == {"amount": "8059956.76109582064759834632402", "complete": True}


@pytest.mark.parametrize("model", ["absurd", "tiny", "vast"])
def test_a_number_that_nobody_charges_is_no_price(bill, model):
    found = bill(usage(promptTokenCount=3), model=model)
    [item] = found["line_items"]
    assert (item["amount"], found["total"]) == (None, {"amount": "0", "complete": False})
    assert f"model {model}" in item["reason"]


def test_a_new_field_in_claudes_usage_is_reported_and_the_row_billed(bill):
    answer = {"usage": {"input_tokens": 10, "service_tier": "batch", "dreamt_tokens": 7}}
    found = bill(answer, model=CLAUDE)
    assert found["total"]["amount"] == "0.000015"
    assert found["flags"] == ["the usage has a field that is not known here: 'dreamt_tokens' (1 row)"]


def test_audio_in_an_openai_style_answer_has_its_own_rate_and_a_wrong_total_is_flagged(bill):
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 150,
        "prompt_tokens_details": {"audio_tokens": 40},
    }
    found = bill({"status_code": 200, "body": {"usage": counts}}, model=OPEN)
    assert [(i["kind"], i["modality"], i["tokens"], i["amount"]) for i in found["line_items"]] == [
        ("input", "text", 60, "0.0000045"),
        ("input", "audio", 40, "0.00002"),
        ("output", "text", 10, "0.000003"),
    ]
    assert found["flags"] == ["the token counts do not add up to the total (1 row)"]


@pytest.mark.parametrize("queries", ["who won", {"q": 1}, 7])
def test_search_queries_of_an_odd_type_do_not_make_a_paid_row_unreadable(bill, queries):
    answer = usage(promptTokenCount=5)
    answer["candidates"] = [{"groundingMetadata": {"webSearchQueries": queries}}]
    found = bill(answer, model="gemini-2.5-flash")
    assert found["rows"] == {"ok": 1, "failed": 0, "unreadable": 0, "unrecognized": 0}
    assert [(i["kind"], i["tokens"]) for i in found["line_items"]] == [("input", 5), ("search_query", 1)]


def test_global_is_global_however_it_is_written(bill):
    upper = bill(usage(promptTokenCount=5), model="gemini-2.5-flash", location="GLOBAL")
    assert upper["total"]["amount"] == "0.00000075"
