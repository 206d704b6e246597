"""``vertex-batch results``: from files on disk to a delivery."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.vertex_batch.results.nights import MODEL, Night, a_request, answered, failed, lines_of
from vertex_batch.cli.results import _interruptible


@pytest.fixture
def night(tmp_path):
    night = Night(tmp_path)
    asked = [{"ticket": f"t{n}", "request": a_request(f"question {n}")} for n in range(3)]
    night.add_input(asked)
    night.add_output(0, [answered(asked[2], "two"), failed(asked[1]), answered(asked[0], "zero")])
    night.add_output(1, [answered(asked[1], "one")])
    return night


def results(run, night, *more, outputs=2):
    paths = [output for attempt in night.attempts[:outputs] for output in attempt.outputs]
    to = night.root / "answers.jsonl"
    return to, run("results", *paths, "--input", night.inputs[0], "--to", to, "--key", "ticket", *more)


def test_it_prints_the_numbers_and_where_the_files_are(run, night):
    to, (status, out, err) = results(run, night, outputs=1)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "3 input rows = 2 delivered + 1 exception (1 transient)"
    assert str(to) in out
    assert [json.loads(line)["answer"] for line in to.read_text().splitlines()] == ["zero", "two"]


def test_a_later_output_fills_what_the_earlier_left(run, night):
    to, (status, out, _) = results(run, night, "--json")
    assert status == 0
    assert json.loads(out)["delivered"] == 3
    assert [json.loads(line)["answer"] for line in to.read_text().splitlines()] == ["zero", "one", "two"]
    assert [json.loads(line)["attempt"] for line in to.read_text().splitlines()] == [0, 1, 0]


def test_without_any_good_answer_it_exits_with_1(run, night):
    _, (status, out, err) = results(run, night, "--answer", "json")
    assert status == 1
    assert "0 delivered" in out
    assert "None of the 3 input rows has a good answer" in err


def test_an_output_that_does_not_exist_is_named(run, night):
    status, _, err = run(
        "results", night.root / "none", "--input", night.inputs[0], "--to", night.root / "a.csv"
    )
    assert status == 1
    assert "none" in err


def test_places_of_two_kinds_are_refused(run, night):
    status, _, err = run("results", "gs://b/out/", "--input", night.inputs[0], "--to", "a.csv")
    assert status == 1
    assert "Inputs and outputs must be in one place" in err


def test_what_a_spec_refuses_is_refused_before_anything_is_read(run, night):
    source, [output] = night.inputs[0], night.attempts[0].outputs
    folder = night.root / "a.jsonl"
    folder.mkdir()
    kept = Path(source).read_bytes()
    for more, words in (
        (("--to", source), "would replace an input"),
        (("--to", f"{output}/answers.jsonl"), "would write into the output"),
        (("--to", folder), "is a folder"),
        (("--keep", "answer"), "`--keep answer` is already a column"),
        (("--keep", "who", "--keep", "who"), "`--keep who` is there twice"),
        (("--schema", "s.json"), "needs `--answer json`"),
    ):
        to = () if more[0] == "--to" else ("--to", night.root / "b.csv")
        status, _, err = run("results", output, "--input", source, "--key", "ticket", *to, *more)
        assert (status, words in err) == (1, True), (more, err)
    assert Path(source).read_bytes() == kept
    assert not list(folder.iterdir())


def test_a_missing_input_does_not_mean_that_nothing_was_submitted(run, night):
    Path(night.inputs[0]).unlink()
    _, (status, _, err) = results(run, night)
    assert status == 1
    assert "answers are safe in the outputs" in err
    assert "Nothing was submitted" not in err
    assert "task" not in err


@pytest.mark.parametrize("model", ["other-model", MODEL])
def test_an_unknown_price_is_not_zero_nor_one_that_is_too_fine_to_be_kept(run, night, model):
    to, (status, _, err) = results(run, night, "--prices", _prices(night, model))
    assert status == 0
    assert {json.loads(line)["cost_usd"] for line in to.read_text().splitlines()} == {None}
    assert "The cost of 3 answered rows is not known" in err


def _prices(night, model):
    path = night.root / "prices.json"
    fine = 1e-7 / 3
    rates = {"input_cost_per_token_batches": fine, "output_cost_per_token_batches": fine, "mode": "chat"}
    path.write_text(json.dumps({model: {"litellm_provider": "vertex_ai", **rates}}))
    return path


def test_an_output_that_is_named_twice_is_read_once(run, night):
    [output] = night.attempts[0].outputs
    arguments = ("--input", night.inputs[0], "--to", night.root / "answers.jsonl", "--json")
    once = json.loads(run("results", output, *arguments)[1])
    twice = json.loads(run("results", output, f"{output}/", *arguments)[1])
    assert twice == once


def test_a_key_that_no_row_has_is_reported(run, night):
    _, (status, _, err) = results(run, night, "--key", "nope")
    assert status == 1
    assert "None of the 3 input rows has the field that the key names" in err


def test_no_task_is_named_where_there_is_none(run, night):
    _, (_, _, err) = results(run, night, "--answer", "json")
    assert "The command costs nothing" in err
    assert "task" not in err


def test_a_folder_that_cannot_be_written_is_not_an_input_that_cannot_be_read(run, night):
    [output] = night.attempts[0].outputs
    status, _, err = run("results", output, "--input", night.inputs[0], "--to", "/proc/a.jsonl")
    assert status == 1
    assert "The delivery cannot be written" in err
    assert "No output" not in err


def test_a_schema_that_is_not_valid_is_named_in_one_line(run, night):
    schema = night.root / "schema.json"
    schema.write_text('{"type": "no such type"}')
    _, (status, _, err) = results(run, night, "--answer", "json", "--schema", schema)
    assert status == 1
    assert str(schema) in err
    assert len(err.splitlines()) == 1


def test_a_schema_that_is_missing_is_named_once(run, night):
    _, (status, _, err) = results(run, night, "--answer", "json", "--schema", night.root / "none.json")
    assert (status, err.count("none.json")) == (1, 1)


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_answers_to_another_prompt_under_the_same_key_are_reported(run, night, changed):
    asked = [
        {"ticket": f"t{n}", "request": a_request(f"new {n}" if n < changed else f"question {n}")}
        for n in range(3)
    ]
    Path(night.inputs[0]).write_bytes(lines_of(asked))
    _, (status, _, err) = results(run, night)
    assert status == (changed > 1)
    assert f"{changed} of 3 answers that were compared answer another prompt" in err


def test_prompts_that_google_echoes_in_another_form_are_the_same(run, night):
    _, (status, _, err) = results(run, night)
    assert (status, err) == (0, "")


def test_a_delivery_that_is_interrupted_says_so_in_one_line(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert capsys.readouterr().err.startswith("Interrupted: the delivery is not complete.")
    assert signal.getsignal(signal.SIGTERM) is before
