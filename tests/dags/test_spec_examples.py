"""The examples of `include/jobs/examples/`: DAGs once they are copied, and named where people look."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import load_specs

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "include" / "jobs" / "examples"
FOUND = load_specs(FOLDER)
DAGS = {dag.dag_id: dag for dag in build_dags(FOUND)}


def test_all_of_them_are_good():
    FOUND.raise_for_errors()

    assert DAGS.keys() == FOUND.specs.keys()
    assert len(DAGS) >= 8


def test_none_is_a_dag_where_it_lies():
    assert not any(
        FOLDER in Path(str(spec.file)).parents for spec in load_specs(FOLDER.parent).specs.values()
    )


@pytest.mark.parametrize("name", sorted(DAGS))
def test_airflow_takes_it(name):
    copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(DAGS[name]))

    assert copy.task_ids == DAGS[name].task_ids


@pytest.mark.parametrize("name", sorted(DAGS))
def test_it_is_named_in_the_documents(name):
    path = Path(str(FOUND.specs[name].file)).relative_to(REPOSITORY)

    assert f"(../{path})" in (REPOSITORY / "docs" / "specs.md").read_text()
