"""A run that was triggered with keys that its form does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.dag_factory import build_dag
from vertex_batch.specs import spec_of
from vertex_batch.tasks.forms import refuse_unknown_params

SPEC = {
    "name": "nightly",
    "model": "gemini-3.8-flash",
    "inputs": "gs://bkt/in.jsonl",
    "output": "gs://bkt/o/",
}


def run_of(conf: Any, **fields: Any) -> Any:
    """The context of the first task of a spec's DAG, in a run with this conf."""
    dag = build_dag(spec_of({**SPEC, **fields}))
    task = dag.topological_sort()[0]
    assert task._pre_execute_hook is refuse_unknown_params
    return {"dag": dag, "task": task, "dag_run": SimpleNamespace(conf=conf)}


@pytest.mark.parametrize("split", ["auto", "off"])
@pytest.mark.parametrize(
    ("conf", "suggestion"),
    [
        ({"dryrun": True}, "`dryrun`; did you mean `dry_run`?"),
        ({"inputs": ["gs://bkt/other.jsonl"]}, "`inputs`; did you mean `input`?"),
        ({"modle": "gemini-2.5-pro", "note": "x"}, "`modle`; did you mean `model`?"),
        ({"jobs": ["a"]}, "`jobs`"),  # the form of a spec with one job has no such field
    ],
)
def test_a_misspelled_key_stops_the_run_before_anything_is_submitted(split, conf, suggestion):
    with pytest.raises(AirflowFailException) as caught:
        refuse_unknown_params(run_of(conf, split=split))
    assert suggestion in str(caught.value)
    assert "Nothing was submitted" in str(caught.value)


@pytest.mark.parametrize(
    "conf",
    [None, {}, {"dry_run": True, "note": "x", "input": ["gs://bkt/o.jsonl"], "run_date": "2026-11-01"}],
)
def test_the_keys_of_the_form_pass(conf):
    refuse_unknown_params(run_of(conf))
