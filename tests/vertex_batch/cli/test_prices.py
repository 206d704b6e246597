"""`vertex-batch prices` on the packaged lists and on price files."""

from __future__ import annotations

import json

import pytest

from vertex_batch.cli import main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs"


def asked(capsys, *arguments):
    status = main(["prices", *map(str, arguments)])
    return status, capsys.readouterr()


def test_each_rate_has_its_list_its_days_and_what_comes_next(folder, capsys):
    _, said = asked(capsys, "gemini-4-argon", "--on", "2026-11-30", "--specs", folder, "--json")
    found = json.loads(said.out)
    rates = {(each["kind"], each["modality"]): each for each in found["rates"]}
    text = rates["input", "text"]
    assert (text["unit_price"], text["standard_unit_price"]) == ("0.000001", "0.000002")
    assert (text["source"], text["valid_from"], text["valid_until"]) == ("genai_prices", None, "2026-11-30")
    assert text["next"] == {"first_day": "2026-12-01", "unit_price": "0.000002"}
    assert len(text["list_digest"]) == 32
    assert rates["input", "audio"]["source"] == "published"
    assert rates.keys() == {
        ("input", "text"),
        ("input", "audio"),
        ("cached_input", "text"),
        ("output", "text"),
    }


def test_a_region_costs_more_and_the_table_says_what_changes(folder, capsys):
    status, said = asked(
        capsys, "gemini-3.8-flash", "--location", "eu", "--on", "2026-12-31", "--specs", folder
    )
    assert status == 0
    assert "0.4125" in said.out  # 10 % more than 0.375
    assert "0.825 from 2027-01-01" in said.out
    assert "until 2026-12-31" in said.out
    assert "..." not in said.out


@pytest.mark.parametrize(
    ("model", "arguments", "heading", "regional"),
    [
        ("gemini-3.8-flash", [], True, "0.0000004125"),
        ("gemini-3.8-flash", ["--location", "us-central1"], False, None),
        ("gemini-3.8-flash", ["--location", "global"], False, None),
        ("gemini-2.5-flash", [], False, "0.00000015"),  # it costs the same everywhere
    ],
)
def test_without_a_location_the_rates_of_a_region_are_beside_the_global_ones(
    folder, capsys, model, arguments, heading, regional
):
    day = ["--on", "2026-12-31", "--specs", folder]
    assert ("in a region" in asked(capsys, model, *arguments, *day)[1].out) is heading
    found = json.loads(asked(capsys, model, *arguments, *day, "--json")[1].out)
    assert found["rates"][0]["regional_unit_price"] == regional


def test_a_price_file_comes_first_and_its_contradiction_is_said(folder, capsys):
    pricing = folder.parent / "pricing"
    pricing.mkdir()
    (pricing / "own.yaml").write_text("gemini-4-argon: {input_cost_per_token_batches: 9.0e-07}\n")
    _, said = asked(capsys, "gemini-4-argon", "--on", "2026-12-01", "--specs", folder, "--json")
    found = json.loads(said.out)
    assert found["rates"][0]["source"] == "own.yaml"
    assert any("USD per token (own.yaml), for the day" in note for note in found["notes"])


def test_a_model_that_stops_says_so_and_one_without_a_rate_is_an_error(folder, capsys):
    _, said = asked(capsys, "gemini-2.5-pro", "--on", "2026-11-27", "--specs", folder)
    assert "its last day is 2027-03-31" in " ".join(said.out.split())
    status, said = asked(capsys, "gemini-x", "--specs", folder)
    assert status == 1
    assert "No list has a batch rate of gemini-x" in said.err
