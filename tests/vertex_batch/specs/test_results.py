"""The key `results` of a spec: what it accepts, and where each problem is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vertex_batch.specs import SpecError, load_spec, spec_of

TO = "gs://bucket/answers/{{ run_date }}/answers.parquet"


def job(**results: Any):
    given = {"model": "gemini-2.5-flash", "inputs": "gs://bucket/in/*.jsonl", "output": "gs://bucket/out/"}
    return spec_of({**given, "name": "nightly", "results": {"to": TO, **results}}).job


def test_only_the_place_is_needed():
    results = job().results
    assert (results.to, results.key, results.answer, results.keep) == (TO, None, "text", [])
    assert (results.answer_schema, results.max_exceptions_ratio) == (None, 1.0)


@pytest.mark.parametrize(
    "to",
    [
        "gs://b-1/a.csv",
        "gs://bucket/a.jsonl.gz",
        "gs://bucket/{{ run_date }}.jsonl",
    ],
)
def test_a_file_of_each_format_is_accepted(to):
    assert job(to=to).results.to == to


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"to": "gs://bucket/answers.xlsx"}, "must name a file that ends with .parquet"),
        ({"to": "gs://bucket/answers/"}, "must name a file that ends with"),
        ({"to": "answers.csv"}, "must begin with `gs://`"),
        ({"to": "bq://p.d.t"}, "cannot be a BigQuery table"),
        ({"to": "gs://bucket/*/answers.csv"}, "cannot contain a wildcard"),
        ({"to": "gs://bucket/answers/.csv"}, "has no name before its ending"),
        ({"to": "gs://bucket/{run_date}.csv"}, "{{ run_date }}"),
        ({"to": "gs://bucket/in/answers.jsonl"}, "which `inputs` reads"),
        ({"to": "gs://bucket/out/answers.jsonl"}, "the folder `output`"),
        ({"key": "a..b"}, "is not a path in a row"),
        ({"keep": ["answer"]}, "is already a column"),
        ({"keep": ["a", "a"]}, "contains `a` twice"),
        ({"answer": "xml"}, "text"),
        ({"schema": "s.json"}, "needs `answer: json`"),
        ({"max_exceptions_ratio": 2}, "less than or equal to 1"),
        ({"too": "x"}, "did you mean `to`"),
    ],
)
def test_what_cannot_be_delivered_is_refused(results, message):
    with pytest.raises(SpecError) as error:
        job(**results)
    assert message in str(error.value)


def test_a_bigquery_job_has_its_answers_in_a_table():
    table = {"model": "gemini-2.5-flash", "inputs": "bq://p.d.t", "output": "bq://p.d", "name": "nightly"}
    with pytest.raises(SpecError, match="not allowed for BigQuery inputs"):
        spec_of({**table, "results": {"to": TO}})


class TestSchema:
    def load(self, folder: Path, content: str | None):
        if content is not None:
            (folder / "s.json").write_text(content)
        path = folder / "nightly.yaml"
        path.write_text(
            "model: gemini-2.5-flash\ninputs: gs://bucket/in/*.jsonl\noutput: gs://bucket/out/\n"
            "results:\n  to: gs://bucket/a.csv\n  answer: json\n  schema: s.json\n"
        )
        return load_spec(path)

    def test_it_is_found_beside_the_spec(self, tmp_path):
        assert self.load(tmp_path, '{"type": "object"}').job.results.answer_schema == "s.json"

    @pytest.mark.parametrize(
        ("content", "message"), [(None, "does not exist"), ("{", "is not JSON"), ("[]", "expected an object")]
    )
    def test_one_that_cannot_be_used_has_a_place(self, tmp_path, content, message):
        with pytest.raises(SpecError, match=message) as error:
            self.load(tmp_path, content)
        assert (error.value.problems[0].line, error.value.problems[0].column) == (7, 11)
