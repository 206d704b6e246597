from __future__ import annotations

import pytest


@pytest.fixture
def dag(bag):
    return bag("vertex_batch_digest.py").dags["vertex_batch_digest"]


def test_it_runs_every_morning_and_for_any_day_by_hand(dag):
    assert dag.timetable.can_be_scheduled
    assert not dag.catchup
    task = dag.get_task("digest")
    task.render_template_fields({"params": dag.params.dump()})
    assert not task.day
    task = dag.get_task("digest").prepare_for_execution()
    task.day = "{{ params.day or '' }}"
    task.render_template_fields({"params": {"day": "2026-11-21"}})
    assert task.day == "2026-11-21"
