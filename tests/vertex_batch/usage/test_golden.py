"""Golden files, one or more for each rule of the bill; amounts are computed by hand from the list's rates.

The rates are USD for a million tokens, from the packaged prices; `python -m tools.golden` sets LiteLLM's
figures beside ours.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tools import golden
from vertex_batch.cli.bill import as_data, make

PLAIN = [("input", 1000, "0.15"), ("output", 100, "1.25")]
# path -> (kind, tokens, USD for a million), in the order of the bill. A rate of None: not known.
EXPECTED = {
    "kinds.jsonl": [
        ("input", 200, "0.15"),
        ("cached_input", 800, "0.03"),
        ("output", 100, "1.25"),
        ("thoughts", 900, "1.25"),
    ],
    "as_google_sends_it.jsonl": [
        ("input", 1200, "0.15"),
        ("input document", 800, "0.15"),
        ("output", 200, "1.25"),
    ],
    # 1,000 tokens of prompt, of which 800 are explained: 200 more are text
    "details.jsonl": [
        ("input", 100 + 200 - 50, "0.15"),
        ("input audio", 700 - 100, "0.5"),
        ("cached_input", 50, "0.03"),
        ("cached_input audio", 100, "0.1"),
        ("output", 10, "1.25"),
    ],
    # half of 2.50 and of 15 for the row above 200,000; exactly 200,000 is not above
    "long_context.jsonl": [
        ("input long_context", 250_000, "1.25"),
        ("input", 200_000, "0.625"),
        ("output long_context", 1000, "7.5"),
        ("output", 1000, "5"),
    ],
    "claude_flat.jsonl": [("input", 250_000, "2.5"), ("output", 1000, "12.5")],  # half of 5 and 25
    "derived_rate.jsonl": [("input", 100, "0.15"), ("output image", 1290, "15")],  # half of 30
    "cache_without_batch_rate.jsonl": [("input", 600, "0.15"), ("cached_input", 400, "0.03")],
    "cache_with_batch_rate.jsonl": [("input", 600, "0.125"), ("cached_input", 400, "0.0125")],
    "lite_cache.jsonl": [("input", 600, "0.15"), ("cached_input", 400, "0.02"), ("output", 100, "1.25")],
    "audio.jsonl": [("input audio", 1000, "0.5"), ("output", 10, "1.25")],
    "audio_derived.jsonl": [("input audio", 1000, "0.5"), ("output", 10, "1.25")],  # half of 1.00
    "region.jsonl": [("input", 1000, "0.825"), ("output", 100, "4.95")],  # 0.75 and 4.50, and 10 % more
    "tuned.jsonl": [("input", 1000, None), ("output", 100, None)],
    "search.jsonl": [*PLAIN, ("search_query", 1, None)],  # Gemini 2.x: one grounded prompt
    # two distinct web queries and an image query; batch 0.25 and 1.50
    "search_per_query.jsonl": [
        ("input", 1000, "0.25"),
        ("output", 100, "1.5"),
        ("search_query", 3, None),
    ],
    "maps.jsonl": [*PLAIN, ("maps_grounding", 1, None)],
    "failed.jsonl": PLAIN,
    "first_row_failed.jsonl": PLAIN,
    "model_names.jsonl": [("input", 5000, "0.15"), ("output", 500, "1.25")],
    "gemini_embedding.jsonl": [("input", 10, "0.12")],
    "text_embedding.jsonl": [("input_character", 2, "0.02")],  # 0.00002 per 1,000 characters
    "text_characters.jsonl": [("input_character", 16 + 33, "0.02")],
    "text_without_text.jsonl": [("input", 9, None), ("input_character", 16, "0.02")],
    "lite_audio.jsonl": [("input audio", 1000, "0.15"), ("output", 10, "0.2")],
    "no_known_discount.jsonl": [("input", 1000, None), ("output", 100, None)],
    # 1.50, 0.15 (a tenth of it, and half of 0.30), 7.50
    "anthropic_results.jsonl": [
        ("input", 2000, "1.5"),
        ("cached_input", 1000, "0.15"),
        ("output", 200, "7.5"),
    ],
    "custom_container.jsonl": [("input", 800, None), ("output", 40, None)],
    "unrecognized.jsonl": PLAIN,
    # 1.50, 0.15, 1.88, half of 6, and 7.50, and 10 % more
    "claude.jsonl": [
        ("input", 1000, "1.65"),
        ("cached_input", 2000, "0.165"),
        ("cache_write", 100, "3.3"),
        ("cache_write", 500, "2.068"),
        ("output", 300, "8.25"),
    ],
    "openai.jsonl": [("input", 1000, "0.045"), ("output", 70, "0.18"), ("thoughts", 30, "0.18")],
    "bigquery.jsonl": [("input", 2000, "0.15"), ("output", 200, "1.25")],
    "broken_lines.jsonl": [("input", 2000, "0.15"), ("output", 200, "1.25")],
    "resumed": [("input", 2000, "0.15"), ("output", 200, "1.25")],
    # 1, 0.05 and 5; from 2026-12-01 on 2, 0.10 and 10
    "prediction-model-2026-11-30T200000Z": [
        ("input", 600, "1"),
        ("cached_input", 400, "0.05"),
        ("output", 100, "5"),
    ],
    "prediction-model-2026-12-01T040000Z": [
        ("input", 600, "2"),
        ("cached_input", 400, "0.1"),
        ("output", 100, "10"),
    ],
    # 0.375, 0.0375 and 1.875, and 10 % more outside `global`; from 2027-01-01 on twice as much
    "prediction-model-2026-12-31T220000Z": [
        ("input", 600, "0.4125"),
        ("cached_input", 400, "0.04125"),
        ("output", 100, "2.0625"),
    ],
    "prediction-model-2027-01-01T020000Z": [
        ("input", 600, "0.825"),
        ("cached_input", 400, "0.0825"),
        ("output", 100, "4.125"),
    ],
    # half of 1.50, of 0.075 and of 7.50
    "hydrogen.jsonl": [("input", 600, "0.75"), ("cached_input", 400, "0.0375"), ("output", 100, "3.75")],
    "wrong_total.jsonl": PLAIN,
    "unknown_model.jsonl": [("input", 1000, None), ("output", 100, None)],
}
ROWS = {
    "as_google_sends_it.jsonl": (2, 0, 0),
    "long_context.jsonl": (2, 0, 0),
    "failed.jsonl": (1, 1, 0),
    "first_row_failed.jsonl": (1, 2, 0),
    "model_names.jsonl": (5, 0, 0),
    "gemini_embedding.jsonl": (2, 0, 0),
    "text_embedding.jsonl": (2, 0, 0),
    "text_characters.jsonl": (2, 0, 0),
    "text_without_text.jsonl": (2, 0, 0),
    "anthropic_results.jsonl": (1, 2, 0),
    "unrecognized.jsonl": (1, 0, 0, 2),
    "bigquery.jsonl": (2, 0, 0),
    "broken_lines.jsonl": (2, 0, 2),
    "resumed": (3, 0, 0),
}
FLAGS = {
    "unrecognized.jsonl": (
        "2 unrecognized rows (unrecognized.jsonl:2, unrecognized.jsonl:3): what they cost is not in the"
        " amount. a prediction without usage; a request without an answer, as in a job's input"
    ),
    "text_without_text.jsonl": (
        "the model is billed by character, and the row does not hold the text; its cost is not in the amount"
        " (1 row)"
    ),
    "details.jsonl": "the prompt details do not add up to the count; the rest was taken as text (1 row)",
    "search.jsonl": "tool-use tokens of search-grounded rows are not billed (1 row)",
    "resumed": "copied from another output, billed once (1 row)",
    "wrong_total.jsonl": "the token counts do not add up to the total (1 row)",
}
CASES = {case.path: case for case in golden.cases()}


def test_every_rule_has_a_golden_file_and_every_file_its_amounts():
    assert {case.rule for case in CASES.values()} == set(range(1, 15))
    assert CASES.keys() == EXPECTED.keys()
    files = {path.relative_to(golden.FOLDER).parts[0] for path in golden.FOLDER.rglob("*.jsonl")}
    assert files == CASES.keys()


@pytest.mark.parametrize("path", EXPECTED)
def test_the_bill_is_what_a_hand_computes(path):
    case = CASES[path]
    bill = make([str(case.place)], case.model, case.location)
    items = [(_name(item), item.tokens, item.unit_price_usd, item.amount_usd) for item in bill.line_items]
    expected = []
    for name, tokens, per_million in EXPECTED[path]:
        rate = None if per_million is None else Decimal(per_million) / 1_000_000
        expected.append((name, tokens, rate, None if rate is None else tokens * rate))
    assert items[: len(expected)] == expected
    assert [item.tokens for item in bill.line_items[len(expected) :]] in ([], [0])  # what is not known
    known = sum((amount for *_, amount in expected if amount is not None), Decimal(0))
    complete = all(amount is not None for *_, amount in expected) and not bill.rows.not_counted
    assert (bill.total.amount, bill.total.complete) == (known, complete)
    ok, failed, unreadable, *unrecognized = ROWS.get(path, (1, 0, 0))
    counts = ok, failed, unreadable, *(unrecognized or [0])
    assert counts == (bill.rows.ok, bill.rows.failed, bill.rows.unreadable, bill.rows.unrecognized)
    if path in FLAGS:
        assert FLAGS[path] in as_data(bill)["flags"]


def _name(item) -> str:
    unusual = [word for word in (item.modality, item.tier) if word not in ("text", "standard")]
    return " ".join([item.kind, *unusual])


def test_the_document_shows_our_figure_of_each_case():
    document = golden.DOCUMENT.read_text()
    for case in CASES.values():
        at_least = "" if case.ours().complete else "at least "
        assert f"({golden.link(case)}) | {at_least}{case.ours().text} |" in document, case.path


def test_the_document_shows_litellms_figures():
    if not golden.PROXY_PYTHON.exists():
        pytest.skip("the proxy's environment is not here")
    chosen = golden.cases()
    assert golden.table(chosen, golden.litellm_figures(chosen)) in golden.DOCUMENT.read_text()


def test_a_figure_that_is_the_same_needs_no_reason_and_another_one_has_one():
    made = golden.DOCUMENT.read_text().split("<!-- made by tools.golden -->")[1].split("<!-- end -->")[0]
    for line in made.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "tests/data/golden" in line:
            assert (cells[2] == cells[3]) != bool(cells[4]) or cells[0] == "12", line


def test_the_golden_rows_are_json_but_for_those_that_are_broken_on_purpose():
    for path in golden.FOLDER.rglob("*.jsonl"):
        if path.name != "broken_lines.jsonl":
            assert [json.loads(line) for line in Path(path).read_text().splitlines()]
