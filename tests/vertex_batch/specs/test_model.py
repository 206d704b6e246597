from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from vertex_batch.specs import spec_of
from vertex_batch.vertex import labels

MINIMAL = {"model": "gemini-2.5-flash", "inputs": "gs://bucket/in/a.jsonl", "output": "gs://bucket/out/"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a" * 63),
        ("schedule", None),
        ("schedule", "30 2 * * MON-FRI"),
        ("schedule", "0 0 L * *"),
        ("schedule", "@daily"),
        ("schedule", "@once"),
        ("timezone", "America/Argentina/Buenos_Aires"),
        ("project", "example.com:my-project"),
        ("location", "global"),
        ("location", "eu"),
        ("location", "mars-north12"),
        ("model", "gemini-2.5-flash"),
        ("model", "claude-sonnet-4-5@20250929"),
        ("model", "publishers/anthropic/models/claude-sonnet-4-5@20250929"),
        ("model", "projects/my-project/locations/us-central1/models/1234567890123"),
        ("model", "projects/123/locations/us-central1/publishers/google/models/gemini-2.5-flash"),
        ("inputs", ["gs://bucket/a.jsonl", "gs://bucket/{{ run_date }}/*.jsonl"]),
        ("inputs", "gs://{{ params.bucket }}/a.jsonl"),
        ("inputs", "gs://bucket/with space/ü?.jsonl"),
        ("inputs", "gs://bucket/%20%d0/100%done/price$.jsonl"),
        ("inputs", "gs://bucket/{{ macros.ds_format(run_date, '%Y-%m-%d', '%Y/%m/%d') }}.jsonl"),
        ("start_within", timedelta(hours=6)),
        ("output", "gs://bucket/no-slash"),
        ("labels", {"product": "tickets", "größe": "", "day": "{{ run_date }}"}),
        ("team", "search-2"),
        ("generation", {"temperature": 0.2, "stopSequences": ["a"], "nested": {"x": None}}),
        ("retries", 0),
        ("deadline", 3600),
        ("max_failed_ratio", 0),
    ],
)
def test_a_good_value_is_kept_as_it_was_written(make, field, value):
    written = timedelta(seconds=value) if field == "deadline" else [value] if field == "inputs" else value
    kept = getattr(make(**{field: value}), field)

    assert kept == (value if isinstance(value, list) else written)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "Nightly", "must begin with a letter and contain only lowercase letters"),
        ("name", "a" * 64, "at most 63 characters"),
        (
            "schedule",
            "30 2 * *",
            'a cron expression has 5 fields (minute, hour, day, month, weekday), such as "30',
        ),
        ("schedule", "* * * * * *", "5 fields"),
        ("schedule", "61 2 * * *", "is not a valid cron expression"),
        ("schedule", "0 0 30 2 *", "never occurs"),
        ("schedule", "R R * * *", "would change on every parse"),
        ("schedule", "H 2 * * *", "would change on every parse"),
        ("schedule", "@dayly", "did you mean `@daily`?"),
        ("schedule", "@midnight", "did you mean `@daily`?"),
        ("schedule", "@continuous", "is not one of @hourly"),
        ("timezone", "Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("timezone", "../etc/passwd", "is not a valid time zone"),
        ("timezone", "America", "is not a valid time zone"),
        ("start_date", "01.11.2026", "must be a day such as 2026-11-01"),
        ("start_date", 20261101, "must be a day"),
        ("catchup", True, "needs a schedule: set `schedule`"),
        ("project", "510528649030", "is a project number: use the project id"),
        ("project", 510528649030, "is a project number: use the project id"),
        ("project", "My_Project", "is not a valid project id"),
        ("location", "us-centrall", "did you mean `us-central1`?"),
        ("location", "moon", "is not a valid location"),
        ("model", "vertex_ai/gemini-2.5-flash", "did you mean `gemini-2.5-flash`?"),
        ("model", "gemini 2.5", "is not a valid model"),
        ("model", "models/123", "a tuned model needs its project"),
        ("inputs", [], "at least 1 item"),
        ("inputs", "/data/a.jsonl", "must begin with `gs://` or `bq://`"),
        ("inputs", "gs://bucket", "does not name a file: use `gs://bucket/*.jsonl`"),
        ("inputs", "gs://bucket/", "does not name a file: use `gs://bucket/*.jsonl`"),
        ("split", "on", "'auto' or 'off'"),
        ("max_rows_per_job", 0, "greater than or equal to 1"),
        ("staging", "bq://project.dataset", "must begin with `gs://`"),
        ("inputs", "gs://B/a", "is not a valid bucket name"),
        ("inputs", "gs://My-Bucket/a", "did you mean `gs://my-bucket/a`?"),
        ("inputs", "gs://my bucket/a", "did you mean `gs://my-bucket/a`?"),
        ("inputs", "gs://in-*/a", "a bucket name cannot contain a wildcard"),
        ("start_within", "1m", "must be at least 5m"),
        ("inputs", "bq://project.dataset", "is not a valid table"),
        ("inputs", ["gs://bucket/a", "bq://p.d.t"], "mixes gs:// and bq://"),
        ("inputs", ["bq://p.d.t", "bq://p.d.u"], "a job reads only one"),
        ("inputs", ["gs://bucket/a", "gs://bucket/a"], "its rows would be paid for twice"),
        ("inputs", "gs://bucket/{{ ds }}.jsonl", "use `run_date`"),
        ("inputs", "gs://bucket/a\nb", "control character"),
        ("inputs", "gs://bucket/a.jsonl ", "use `gs://bucket/a.jsonl`"),
        ("output", " gs://bucket/out/", "use `gs://bucket/out/`"),
        ("inputs", "gs://bucket/{run_date}.jsonl", "use `{{ run_date }}`"),
        ("output", "gs://bucket/${ENV}/", "use `{{ var.value.env }}`"),
        ("staging", "gs://other/%Y%m%d/", "use `{{ run_date | replace('-', '') }}`"),
        ("output", "bq://p.d", "must begin with `gs://` like `inputs`"),
        ("output", "gs://bucket/out/*", "cannot contain a wildcard"),
        ("output", "gs://bucket/out.jsonl", "names a file"),
        ("output", "gs://bucket/in/a.jsonl/", "is the same as `inputs`"),
        ("labels", {"Product": "x"}, "is not a valid label key"),
        ("labels", {"1st": "x"}, "is not a valid label key"),
        ("labels", {"product": "My Product"}, "is not a valid label value"),
        ("labels", {"product": "x" * 64}, "at most 63 characters"),
        ("labels", {"product": 1}, "should be a valid string"),
        ("labels", {"day": "{{ ds }}"}, "use `run_date`"),
        ("labels", {"day": "$(date +%F)"}, "use `{{ run_date }}`"),
        ("labels", {"day": "today "}, "use `today`"),
        ("labels", {"Cost Center": "x"}, "did you mean `cost-center`?"),
        ("labels", {f"l{n}": "" for n in range(49)}, "at most 48 items"),
        ("team", "Search Team", "did you mean `search-team`?"),
        ("team", "${TEAM}", "cannot be a template"),
        ("team", "{{ run_date }}", "cannot be a template"),
        ("generation", {"a": [{"b": "{{ ds }}"}]}, "`b` `ds` is undefined"),
        ("retries", -1, "greater than or equal to 0"),
        ("retries", True, "valid integer"),
        ("retries", "3", "valid integer"),
        ("tags", ["a", "a"], "contains `a` twice"),
        ("poll_interval", "500ms", "is not a valid duration"),
        ("poll_interval", 0, "must be at least 1s"),
        ("poll_interval", True, "must be a duration"),
        ("deadline", "1m", "must be longer than poll_interval (1m)"),
        ("connection", "my conn", "is not a valid Airflow connection id"),
        ("owner", "a\nb", "must be a single line"),
        ("cancel_on_kill", "yes", "valid boolean"),
        ("max_failed_ratio", 1.5, "less than or equal to 1"),
        ("prices", {"m": {"inputs": 1}}, "`inputs` is not a kind that has a price; did you mean `input`?"),
        ("prices", {"m": {"input": -1}}, "must be between 0 and 100000 US dollars"),
        ("prices", {"m": {"input": 1e-7}}, "has more than 6 decimals"),
        ("prices", {"m": {"input": "0.1"}}, "must be a number"),
        ("max_unreadable_rows", -1, "greater than or equal to 0"),
        ("max_unrecognized_rows", -1, "greater than or equal to 0"),
    ],
)
def test_a_bad_value_is_refused_with_its_repair(make, field, value, message):
    with pytest.raises(ValidationError) as error:
        make(**{field: value})

    (found,) = [details for details in error.value.errors() if details["loc"][0] == field]
    assert message in found["msg"]


@pytest.mark.parametrize("label", [text for name, text in vars(labels).items() if name.endswith("_LABEL")])
def test_the_labels_by_which_a_job_is_found_cannot_be_set(make, label):
    with pytest.raises(ValidationError, match="is reserved"):
        make(labels={label: "x"})


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ("gs://bucket/data/*.jsonl", "gs://bucket/data/out/"),
        ("gs://bucket/data/*.jsonl", "gs://bucket/data"),
        ("gs://bucket/**", "gs://bucket/out/"),
        ("gs://bucket/data/{{ run_date }}/*.jsonl", "gs://bucket/data/{{ run_date }}/out/"),
        (["gs://bucket/x.jsonl", "gs://bucket/data/part-?.jsonl"], "gs://bucket/data/out/"),
    ],
)
def test_the_output_cannot_lie_where_a_later_run_would_read_it(make, inputs, output):
    with pytest.raises(ValidationError, match="write to a folder outside it"):
        make(inputs=inputs, output=output)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ("gs://bucket/data/*.jsonl", "gs://bucket/data-out/"),
        ("gs://bucket/data/in.jsonl", "gs://bucket/data/out/"),
        ("gs://bucket/{{ params['x'] }}/in.jsonl", "gs://bucket/out/"),
        ("gs://bucket/in/*.jsonl", "gs://other/in/"),
        ("bq://p.d.t", "bq://p.answers"),
    ],
)
def test_an_output_beside_the_input_is_fine(make, inputs, output):
    assert make(inputs=inputs, output=output).output == output


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"location": "global", "model": "projects/p/locations/us-central1/models/1"},
            "set `location: us-central1`",
        ),
        (
            {"location": "us-east1", "model": "projects/p/locations/us-central1/models/1"},
            "is in us-central1, but `location` is us-east1",
        ),
        (
            {
                "project": "mine-1",
                "model": "projects/other-1/locations/us-central1/publishers/google/models/m",
            },
            "is in project other-1, but `project` is mine-1",
        ),
        ({"team": "search", "labels": {"team": "ads"}}, "set it once"),
        (
            {"team": "search", "labels": {f"l{n}": "" for n in range(48)}},
            "has 49 labels of its own.*remove 1",
        ),
        ({"start_date": "2026-11-02", "end_date": "2026-11-01"}, "must be after start_date"),
        ({"schedule": "@daily", "catchup": True}, "needs a first day: set `start_date`"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(make, fields, message):
    with pytest.raises(ValidationError, match=message):
        make(**fields)


def test_a_cross_check_is_silent_about_a_field_that_is_wrong_itself(make):
    with pytest.raises(ValidationError) as error:
        make(inputs="s3://bucket/a", output="bq://p.d")

    assert [details["loc"][0] for details in error.value.errors()] == ["inputs"]


def test_a_start_date_is_of_the_specs_time_zone(make):
    assert make(start_date="2026-11-01").start_date == datetime(2026, 11, 1, tzinfo=UTC)
    assert make(start_date="2026-11-01", timezone="Europe/Berlin").start_date == datetime(
        2026, 11, 1, tzinfo=ZoneInfo("Europe/Berlin")
    )
    assert make(start_date="2026-11-01T02:00:00+03:00").start_date.utcoffset() == timedelta(hours=3)


def test_a_price_keeps_the_digits_that_were_written(make):
    prices = make(prices={"m": {"input": 0.1, "output": 3}}).prices

    assert prices == {"m": {"input": Decimal("0.1"), "output": Decimal(3)}}


def test_a_team_becomes_a_label(make):
    assert make(team="search", labels={"env": "prod"}).job_labels == {"team": "search", "env": "prod"}
    assert make(labels={"env": "prod"}).job_labels == {"env": "prod"}


def test_a_spec_cannot_be_changed():
    spec = spec_of({**MINIMAL, "name": "nightly"})
    with pytest.raises(ValidationError):
        spec.owner = "other"
    with pytest.raises(ValidationError):
        spec.job.model = "other"


@pytest.mark.parametrize("name", ["a.jsonl.gz", "{{ run_date }}/*.gz", "a.gzip"])
def test_gzip_needs_an_input_that_may_be_split(make, name):
    inputs = ["gs://bucket/in/b.jsonl", f"gs://bucket/in/{name}"]
    assert make(inputs=inputs).may_be_split
    with pytest.raises(ValidationError, match="and Vertex reads plain JSONL only: remove `split: off`"):
        make(inputs=inputs, split="off")
