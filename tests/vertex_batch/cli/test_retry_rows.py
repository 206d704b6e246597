"""``vertex-batch retry-rows``."""

from __future__ import annotations

import json
import shlex

import pytest

from vertex_batch.cli import main

SPEC = "model: gemini-2.5-flash\ninputs: gs://bucket/in/a.jsonl\noutput: gs://bucket/out/\n"
SPEC += "results: {to: gs://bucket/answers/a.parquet}\n"


@pytest.fixture
def spec(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "nightly.yaml"
        path.write_text(SPEC + text)
        return str(path)

    return write


def test_the_run_is_triggered_with_the_params_of_the_form(spec, capsys):
    path = spec("retry_rows: {rounds: 1}\n")
    arguments = ["retry-rows", path, "scheduled__2026-11-22", "--date", "2026-11-22", "--dry-run"]
    assert main(arguments) == 0
    shown = capsys.readouterr().err
    assert shown.startswith("airflow dags trigger nightly --conf ")
    *command, conf = shlex.split(shown)  # it can be pasted into a shell
    assert json.loads(conf) == {"retry_of": "scheduled__2026-11-22", "run_date": "2026-11-22"}
    assert command == ["airflow", "dags", "trigger", "nightly", "--conf"]


@pytest.mark.parametrize(
    ("run_id", "more", "day"),
    [
        ("scheduled__2026-11-22T02:30:00+00:00", [], "2026-11-22"),
        ("backfill__2026-11-22T02:30:00+00:00", [], "2026-11-22"),
        ("scheduled__2026-11-22T23:30:00+00:00", [], "2026-11-23"),  # in Berlin
        ("scheduled__2026-11-22T02:30:00+00:00", ["--date", "2026-11-20"], "2026-11-20"),
    ],
)
def test_the_templates_get_the_day_of_the_earlier_run_and_not_today(spec, capsys, run_id, more, day):
    path = spec("retry_rows: {}\ntimezone: Europe/Berlin\n")
    assert main(["retry-rows", path, run_id, "--dry-run", *more]) == 0
    assert json.loads(shlex.split(capsys.readouterr().err)[-1])["run_date"] == day


@pytest.mark.parametrize("run_id", ["manual__2026-11-22T02:30:00+00:00", "scheduled__2026-11-22", "mine"])
def test_a_run_whose_day_is_not_known_needs_a_date(spec, capsys, run_id):
    assert main(["retry-rows", spec("retry_rows: {}\n"), run_id, "--dry-run"]) == 1
    shown = capsys.readouterr().err
    assert "does not say for which day" in shown
    assert "--date" in shown


@pytest.mark.parametrize(
    ("text", "more", "problem"),
    [
        ("", [], "has no `retry_rows`"),
        ("retry_rows: {}\n", ["--job", "other"], "has no job 'other'"),
    ],
)
def test_what_cannot_be_triggered_is_refused(spec, capsys, text, more, problem):
    assert main(["retry-rows", spec(text), "manual__1", "--dry-run", *more]) == 1
    assert problem in capsys.readouterr().err
