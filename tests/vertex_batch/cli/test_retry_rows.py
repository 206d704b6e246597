"""``vertex-batch retry-rows``."""

from __future__ import annotations

import json
import shlex

import pytest

from vertex_batch.cli import main
from vertex_batch.cli.retry_rows import missing_tasks, triggered_run

SPEC = "model: gemini-2.5-flash\ninputs: gs://bucket/in/a.jsonl\noutput: gs://bucket/out/\n"
SPEC += "results: {to: gs://bucket/answers/a.parquet}\n"


@pytest.fixture
def spec(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "nightly.yaml"
        path.write_text(SPEC + text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("more", "params"), [([], {}), (["--date", "2026-11-22"], {"run_date": "2026-11-22"})]
)
def test_the_run_is_triggered_with_the_params_of_the_form(spec, capsys, more, params):
    """Without a date, the run takes that of the earlier run."""
    assert main(["retry-rows", spec("retry_rows: {rounds: 1}\n"), "manual__1", "--dry-run", *more]) == 0
    shown = capsys.readouterr().err
    assert shown.startswith("airflow dags trigger nightly --conf ")
    *command, conf = shlex.split(shown)  # it can be pasted into a shell
    assert json.loads(conf) == {"retry_of": "manual__1", **params}
    assert command == ["airflow", "dags", "trigger", "nightly", "--conf"]


@pytest.mark.parametrize(
    ("text", "more", "problem"),
    [
        ("", [], "add `retry_rows: {rounds: 1}` to the spec."),
        ("max_failed_ratio: 0.1\n", [], "rounds: 1}` to the spec in place of `max_failed_ratio`."),
        ("retry_rows: {}\n", ["--job", "other"], "has no job 'other'"),
    ],
)
def test_what_cannot_be_triggered_is_refused(spec, capsys, text, more, problem):
    assert main(["retry-rows", spec(text), "manual__1", "--dry-run", *more]) == 1
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["submit", "retry_1.submit", "deliver"], ""),
        (["submit", "retry_1.submit", "deliver", "of_before"], ""),
        (["submit", "deliver"], "it lacks retry_1.submit"),
        ([], "it lacks deliver, retry_1.submit, submit"),
        (None, "Airflow does not have the DAG nightly yet"),
    ],
)
def test_a_run_is_not_triggered_before_the_scheduler_has_the_rounds(known, said):
    """It would begin with the DAG of before, and may deliver before the rounds have run."""
    found = missing_tasks(["submit", "retry_1.submit", "deliver"], known, "nightly")
    assert said in found if said else not found


@pytest.mark.parametrize(
    ("printed", "run_id"),
    [
        ('Could not import graphviz.\n[{"conf": {}, "dag_run_id": "manual__2"}]\n', "manual__2"),
        ('[warning] x\n[{"dag_run_id": "manual__2"}]', "manual__2"),
        ("Dag id nightly not found", ""),
        ("[{", ""),
        ("", ""),
    ],
)
def test_the_run_is_read_from_what_airflow_prints(printed, run_id):
    assert triggered_run(printed) == run_id
