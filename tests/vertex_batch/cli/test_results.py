"""``vertex-batch results``: from files on disk to a delivery."""

from __future__ import annotations

import json

import pytest

from tests.vertex_batch.results.nights import Night, a_request, answered, failed


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
    assert out.splitlines()[0] == "3 input rows = 2 delivered + 1 exceptions (1 transient)"
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
