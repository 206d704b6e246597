"""What a folder's specs have in common, and where its problems are shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vertex_batch.specs import SpecError, load_spec, load_specs

SMALL = "inputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\n"
SHARED = """\
model: gemini-2.5-flash
team: support
schedule: "@daily"
deadline: 12h
labels: {env: prod, product: tickets}
tags: [nightly]
"""


def test_a_spec_takes_over_what_it_does_not_say(write, tmp_path):
    write(SHARED, "_defaults.yaml")
    write(SMALL, "plain.yaml")
    write(SMALL + "team: search\nlabels: {env: test}\ntags: [mine]", "own.yaml")

    specs = load_specs(tmp_path).specs
    plain, own = specs["plain"], specs["own"]

    assert (plain.schedule, plain.job.model, plain.job.deadline) == (
        "@daily",
        "gemini-2.5-flash",
        timedelta(hours=12),
    )
    assert plain.job.job_labels == {"team": "support", "env": "prod", "product": "tickets"}
    assert own.job.job_labels == {"team": "search", "env": "test", "product": "tickets"}
    assert (plain.tags, own.tags) == (["nightly"], ["mine"])


def test_an_empty_value_takes_a_default_away(write, tmp_path):
    write(SHARED, "_defaults.yaml")
    write(SMALL + "schedule: null\nteam: null\ndeadline: null\nlabels: {env: null}", "spec.yaml")

    spec = load_specs(tmp_path).specs["spec"]

    assert (spec.schedule, spec.job.team, spec.job.deadline) == (None, None, timedelta(hours=97))
    assert spec.job.labels == {"product": "tickets"}


def test_the_nearer_folder_wins(write, tmp_path):
    write(SHARED, "_defaults.yaml")
    write("team: shop\nlabels: {env: null}", "shop/_defaults.yaml")
    write(SMALL, "shop/night/one.yaml")
    write(SMALL + "deadline: 1h", "two.yaml")

    one = load_specs(tmp_path).specs["one"]

    assert (one.job.team, one.job.labels, one.job.deadline) == (
        "shop",
        {"product": "tickets"},
        timedelta(hours=12),
    )


def test_they_hold_below_jobs_and_in_a_matrix_as_well(write, tmp_path):
    write(SHARED, "_defaults.yaml")
    write(SMALL + "jobs: {a: {matrix: {model: [m1, m2]}}, b: {team: other}}", "spec.yaml")

    jobs = load_specs(tmp_path).specs["spec"].jobs

    assert [(job.name, job.model, job.team) for job in jobs] == [
        ("a_m1", "m1", "support"),
        ("a_m2", "m2", "support"),
        ("b", "gemini-2.5-flash", "other"),
    ]


def test_a_file_that_is_checked_alone_has_its_defaults_too(write, tmp_path, monkeypatch):
    write(SHARED, "_defaults.yaml")
    path = write(SMALL, "team/spec.yaml")
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))

    assert load_spec(path).job.team == "support"
    monkeypatch.chdir(tmp_path)
    assert load_spec("team/spec.yaml").job.team == "support"


def test_nothing_above_the_specs_folder_is_a_default(write, tmp_path):
    write(SHARED, "_defaults.yaml")
    write(SMALL, "jobs/spec.yaml")

    found = load_specs(tmp_path / "jobs")

    assert "model: is missing" in str(found.errors[0])


def test_a_problem_of_a_default_is_shown_once_and_where_it_stands(write, tmp_path):
    shared = write("model: two words\ntaem: x\nname: y\ndeadline: 1m\n", "_defaults.yaml")
    for number in range(5):
        write(SMALL, f"s{number}.yaml")
    write(SMALL + "model: gemini-2.5-flash\ndeadline: 1h\nrun_deadline: soon", "t.yaml")

    own, defaults = sorted(load_specs(tmp_path).errors, key=lambda error: error.file == str(shared))

    assert [str(each)[:30] for each in own.problems] == ["5:15: run_deadline: is not a v"]
    assert defaults.file == str(shared)
    model, typo, name, deadline = map(str, defaults.problems)
    assert model.startswith("1:8: model: `two words` is not a valid model")
    assert model.endswith("s0.yaml, " + f"{tmp_path}/s1.yaml, {tmp_path}/s2.yaml and 2 more, which use it")
    assert typo.startswith("2:1: taem: is not a known key; did you mean `team`?")
    assert name.startswith("3:1: name: cannot be a default")
    assert deadline.startswith("4:11: deadline: (1m) must be longer than poll_interval")


def test_a_default_that_a_specs_own_value_contradicts_names_the_spec(write, tmp_path):
    shared = write("model: m\ndeadline: 5m\n", "_defaults.yaml")
    spec = write(SMALL + "poll_interval: 10m", "s.yaml")

    (error,) = load_specs(tmp_path).errors

    assert str(error) == (
        f"{shared}:2:11: deadline: (5m) must be longer than poll_interval (10m), or the job is cancelled"
        f" before its first poll; no DAG is created for {spec}, which uses it"
    )


def test_one_file_shows_the_places_in_both(write):
    shared = write("model: two words\n", "_defaults.yaml")
    spec = write(SMALL + "owner: 1", "s.yaml")

    with pytest.raises(SpecError) as error:
        load_spec(spec)

    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == [
        f"{spec}:3:8",
        f"{shared}:1:8",
    ]


@pytest.mark.parametrize("text", ["- a", "a: [", "jobs: {a: {}}", "", "\x00"])
def test_defaults_that_are_none_are_an_error(write, tmp_path, text):
    shared = write(text, "_defaults.yaml")
    write(SMALL + "model: m", "s.yaml")

    (error,) = load_specs(tmp_path).errors

    assert error.file == str(shared)
