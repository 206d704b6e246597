"""Which specs read an object, and on which date."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from vertex_batch.specs import load_spec
from vertex_batch.specs.readers import readers

DAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("inputs", "name", "when"),
    [
        ("{{ run_date }}.jsonl", "2026-11-29.jsonl", DAY),
        ("{{ run_date }}.jsonl", "long.jsonl", None),
        ("{{ run_date }}.jsonl", "2026-13-29.jsonl", None),
        ("{{ run_date }}.jsonl", "2026-11-31.jsonl", None),
        ("{{ run_date }}.jsonl", "2026-11-29-long.jsonl", None),
        ("{{ run_date }}.jsonl", "20261129.jsonl", None),
        ("{{ run_date | replace('-', '') }}.jsonl", "20261129.jsonl", DAY),
        ("{{ run_date | replace('-', '/') }}/a.jsonl", "2026/11/29/a.jsonl", DAY),
        ("{{ run_date }}/{{ run_date }}.jsonl", "2026-11-29/2026-11-28.jsonl", None),
        ("{{ previous_run_date }}.jsonl", "2026-11-28.jsonl", DAY),
        ("{{ next_run_date }}.jsonl", "2026-11-30.jsonl", DAY),
        ("{{ run_month }}/a.jsonl", "2026-10/a.jsonl", date(2026, 10, 1)),
        ("{{ run_date }}/", "2026-11-29/long.jsonl", DAY),
        ("{{ run_date }}/{{ run_hour }}.jsonl", "2026-11-29/02.jsonl", DAY),  # the hour of the schedule
        ("{{ run_date }}/{{ run_hour }}.jsonl", "2026-11-29/17.jsonl", datetime(2026, 11, 29, 17)),
        ("{{ run_timestamp }}.jsonl", "20261129T170501.jsonl", datetime(2026, 11, 29, 17, 5, 1)),
        ("{{ job_name }}/{{ run_date }}.jsonl", "reviews/2026-11-29.jsonl", DAY),
        ("{{ job_name }}/{{ run_date }}.jsonl", "others/2026-11-29.jsonl", None),
        ("{{ run_id }}/{{ run_date }}.jsonl", "any/2026-11-29.jsonl", DAY),
        ("{{ '%s' % run_date }}x.jsonl", "2026-11-29x.jsonl", DAY),
    ],
)
def test_a_date_in_a_spec_matches_dates_only(tmp_path, inputs, name, when):
    path = tmp_path / "reviews.yaml"
    path.write_text(
        f'model: gemini-3.8-flash\ninputs: "gs://bucket-20261/in/{inputs}"\noutput: gs://bucket/out/\n'
        'schedule: "30 2 * * *"\ntimezone: Europe/Berlin\n'
    )
    found = [each.when for each in readers([load_spec(path)], f"gs://bucket-20261/in/{name}")]
    assert found == ([when] if when else [])


@pytest.mark.parametrize("inputs", ["*.jsonl", "", "{{ run_id }}.jsonl", "{{ job_name }}.jsonl"])
def test_a_spec_without_a_date_reads_the_object_in_every_run(tmp_path, inputs):
    path = tmp_path / "reviews.yaml"
    text = f'model: gemini-3.8-flash\ninputs: "gs://bucket/in/{inputs}"\noutput: gs://bucket/out/\n'
    path.write_text(text)
    [found] = readers([load_spec(path)], "gs://bucket/in/reviews.jsonl")
    assert (found.spec.name, found.when) == ("reviews", None)
