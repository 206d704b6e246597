"""A spec is data: whatever it says, nothing is executed by reading it."""

from __future__ import annotations

import pytest

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import SpecSet, load_spec

GOOD = "model: gemini-2.5-flash\ninputs: gs://bucket/in.jsonl\noutput: gs://bucket/out/\n"


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("os.system", "{command: 'touch {}'}"),
        ("subprocess.Popen", "{args: [touch, '{}']}"),
        ("os.mkdir", "{path: '{}'}"),
    ],
)
def test_only_a_timetable_is_made_from_an_import_path(write, tmp_path, path, arguments):
    trace = tmp_path / "called"
    said = arguments.replace("{}", str(trace))
    spec = load_spec(write(f"schedule: {{timetable: {path}, arguments: {said}}}\n{GOOD}"))
    found = SpecSet({spec.name: spec})
    assert build_dags(found) == []
    assert not trace.exists()
    assert f"`{path}` is not an Airflow timetable" in str(found.errors[0])


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!x y", "!!set {a}"]
)
def test_tags_are_refused(problems, tag):
    assert problems(f"{GOOD}description: {tag}\n")


def test_a_list_with_an_unquoted_template_is_told_what_to_quote(problems):
    (problem,) = problems("model: x\ninputs: [gs://b/{{ run_date }}/a.jsonl, gs://b/c.jsonl]\n")
    assert "needs quotes around the whole value" in problem.message


@pytest.mark.parametrize(
    ("value", "hint"), [("strickt", "; did you mean `strict`?"), ("true", ""), ("'yes'", "")]
)
def test_a_word_of_a_closed_set_is_suggested(problems, value, hint):
    (problem,) = problems(f"{GOOD}preflight: {value}\n")
    assert problem.path == "preflight"
    assert problem.message.startswith("must be `strict`, `warn` or `off`, not ")
    assert problem.message.endswith(hint)
