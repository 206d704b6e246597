from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from vertex_batch.lifecycle.waiting import PASSING_JOB_ERRORS
from vertex_batch.specs import json_schema, load_spec
from vertex_batch.specs.document import read_document
from vertex_batch.specs.jobs_key import JOB_KEYS, SPEC_KEYS

INCLUDE = Path(__file__).resolve().parents[3] / "include"
SCHEMA_FILE = INCLUDE / "job-spec.schema.json"
EXAMPLES = sorted((INCLUDE / "jobs").rglob("*.yaml"))


def test_the_committed_schema_is_fresh():
    fresh = json.dumps(json_schema(), indent=2) + "\n"

    assert SCHEMA_FILE.read_text() == fresh, (
        "the models have changed: run `vertex-batch schema > include/job-spec.schema.json`"
    )


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", list(json_schema()["properties"]))
def test_every_key_is_described(name):
    described = json_schema()["properties"][name]

    assert len(described["description"]) > 10


def test_the_codes_of_a_job_that_is_submitted_again_are_named():
    codes = ", ".join(map(str, sorted(PASSING_JOB_ERRORS)))

    assert f"(codes {codes})" in json_schema()["properties"]["resubmits"]["description"]


NEEDED: dict[str, dict[str, object]] = {
    "end_date": {"start_date": "2026-01-01"},
    "retry_rows": {"results": {"to": "gs://bucket/answers/a.parquet"}},
}


def test_every_example_of_a_key_is_valid_in_the_schema_and_in_the_model(make):
    for name, field in {**SPEC_KEYS, **JOB_KEYS}.items():
        for example in field.examples or []:
            schema = json_schema()["properties"][name]
            Draft202012Validator({**schema, "$defs": json_schema()["$defs"]}).validate(example)
            make(**NEEDED.get(name, {}), **{name: example})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
class TestExample:
    def test_it_loads(self, path):
        if path.stem != "_defaults":
            assert load_spec(path).name == path.stem

    def test_it_is_valid_in_the_schema_that_editors_use(self, path):
        Draft202012Validator(json_schema()).validate(read_document(path.read_text()).data)

    def test_its_first_line_leads_the_editor_to_the_schema(self, path):
        first, _, target = path.read_text().splitlines()[0].partition("$schema=")

        assert first == "# yaml-language-server: "
        assert (path.parent / target).resolve() == SCHEMA_FILE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shedule", "@daily"),
        ("location", "us_central1"),
        ("deadline", "soon"),
        ("inputs", []),
        ("retries", "3"),
    ],
)
def test_an_editor_marks_a_common_mistake(key, value):
    spec = {"model": "gemini-2.5-flash", "inputs": "gs://b/a", "output": "gs://b/o/", key: value}

    assert not Draft202012Validator(json_schema()).is_valid(spec)
