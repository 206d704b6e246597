"""What operators read from Airflow's context."""

from __future__ import annotations

from vertex_batch.tasks.context import overridden


def test_a_form_replaces_the_fields_that_were_filled_in_without_the_blanks_around_them():
    params = {"input": [" gs://b/in.jsonl "], "model": "gemini-2.5-pro\n", "output": "  ", "labels": {}}
    overrides = {"inputs": "input", "model": "model", "output_uri": "output", "labels": "labels"}
    assert overridden(params, overrides) == {"inputs": ["gs://b/in.jsonl"], "model": "gemini-2.5-pro"}
