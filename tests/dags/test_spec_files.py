"""Files in the specs' folder -> what Airflow's DAG processor makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = {"nightly_summaries", "nightly_embeddings", "nightly_text_embeddings", "vertex_batch_cancel"}


def test_the_shipped_dags_parse_and_serialise(bag):
    found = bag()

    assert found.import_errors == {}
    assert found.dags.keys() >= SHIPPED
    for dag in found.dags.values():
        copy = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        assert copy.task_ids == dag.task_ids


def test_a_dropped_file_is_a_dag_and_nothing_else_is_needed(specs, bag, good):
    specs(my_first=good)

    assert "my_first" in bag("vertex_batch_specs.py").dags


def test_a_broken_spec_shows_its_problems_and_hides_no_other_dag(specs, bag, good):
    folder = specs(good=good, broken="model: gemini-2.5-flash\nschedul: '@daily'\n", worse="a: [")

    found = bag()

    assert {"good", "vertex_batch_cancel"} <= found.dags.keys()
    ((file, error),) = found.import_errors.items()
    assert Path(file).name == "vertex_batch_spec_errors.py"
    assert error.startswith(f"BrokenSpecsError: {folder}/broken.yaml:1:1: inputs: is missing")
    assert error.endswith("The DAGs of all other specs are not affected.")
    assert "Traceback" not in error
    assert f"{folder}/broken.yaml:2:1: schedul: is not a known key; did you mean `schedule`?" in error
    assert f"{folder}/worse.yaml:2:1: is not YAML" in error


def test_two_files_with_one_name_are_no_dag_and_both_are_shown(specs, bag, good):
    folder = specs(one=good + "name: same", same=good, other=good)

    found = bag()

    assert "other" in found.dags
    assert "same" not in found.dags
    (error,) = found.import_errors.values()
    assert f"{folder}/one.yaml:" in error
    assert f"{folder}/same.yaml:" in error


def test_a_spec_whose_dag_airflow_refuses_is_shown_and_hides_no_other(specs, bag, good, monkeypatch):
    from vertex_batch.dag_factory import dag

    build = dag.build_dag
    monkeypatch.setattr(
        dag, "build_dag", lambda spec, *rest: build(spec, *rest) if spec.name == "good" else 1 / 0
    )
    folder = specs(good=good, refused=good)

    found = bag()

    assert "good" in found.dags
    (error,) = found.import_errors.values()
    assert f"{folder}/refused.yaml:1:1: Airflow rejects the DAG of this spec: ZeroDivisionError" in error


@pytest.mark.parametrize("name", ["build_dags", "load_specs", "annotations", "vertex_batch_cancel2"])
def test_no_name_of_a_spec_gets_into_the_way_of_the_generator(specs, bag, good, name):
    specs(**{"a": good, name: good, "z": good})

    assert bag("vertex_batch_specs.py").dags.keys() == {"a", name, "z"}


def test_a_folder_that_is_not_there_is_shown(bag, monkeypatch, tmp_path):
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path / "gone"))

    (error,) = bag().import_errors.values()

    assert "the folder does not exist: create it, or set VERTEX_BATCH_SPECS_FOLDER" in error


def test_without_problems_the_error_file_shows_nothing(specs, bag, good):
    specs(good=good)

    found = bag("vertex_batch_spec_errors.py")

    assert (found.dags, found.import_errors) == ({}, {})


def test_a_running_task_reads_its_own_spec_alone(specs, bag, good, monkeypatch):
    specs(wanted=good, other=good, broken="a: [")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "wanted")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "submit")

    assert list(bag("vertex_batch_specs.py").dags) == ["wanted"]


@pytest.mark.parametrize(
    "file", ["vertex_batch_specs.py", "vertex_batch_spec_errors.py", "vertex_batch_cancel.py"]
)
def test_airflow_sees_that_a_file_may_hold_dags(file):
    """In safe mode, the default, Airflow skips a file without these words."""
    text = (REPOSITORY / "dags" / file).read_text().lower()

    assert "airflow" in text
    assert "dag" in text


def test_a_parse_imports_nothing_heavy():
    """What Airflow itself imports is not ours to choose, so only what is new after it counts."""
    code = """
        import json, sys
        import airflow.sdk, airflow.providers_manager
        from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, BaseHook
        from airflow.triggers.base import BaseTrigger
        before = set(sys.modules)
        from vertex_batch.dag_factory import build_dag
        from vertex_batch.specs import load_specs
        dags = [build_dag(spec) for spec in load_specs("include/jobs").specs.values()]
        exec(open("dags/vertex_batch_cancel.py").read())
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(json.dumps([len(dags), sorted(new)]))
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
    done = subprocess.run(
        [sys.executable, "-c", lines],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment,
        check=True,
    )

    dags, new = json.loads(done.stdout.splitlines()[-1])
    heavy = {
        "google",
        "pandas",
        "numpy",
        "sqlalchemy",
        "gcsfs",
        "fsspec",
        "fastapi",
        "rich",
        "litellm",
        "aiohttp",
    }
    assert dags == 3
    assert "vertex_batch" in new
    assert heavy.isdisjoint(new), heavy & set(new)
