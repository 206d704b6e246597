import pytest

from local.emulator.envelope import ApiError
from local.emulator.rules import check_job


def job(**fields):
    return {
        "displayName": "nightly",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://in/x.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://out/"}},
    } | fields


def violations(**fields):
    with pytest.raises(ApiError) as caught:
        check_job({key: value for key, value in job(**fields).items() if value is not None})
    assert caught.value.status == "INVALID_ARGUMENT"
    assert caught.value.message.startswith("List of found errors:\t1.Field: batch_prediction_job.")
    return {
        violation["field"].removeprefix("batch_prediction_job."): violation["description"]
        for violation in caught.value.details[0]["fieldViolations"]
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"displayName": "x" * 128},
        {"labels": {"airflow-job-key": "a" * 63, "größe": "größe", "empty": ""}},
        {"inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": "bq://p.d.t"}}},
        {"outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": "bq://p"}}},
    ],
)
def test_a_good_job_passes(fields):
    check_job(job(**fields))


def test_every_missing_field_is_named():
    missing = dict.fromkeys(("displayName", "model", "inputConfig", "outputConfig"))
    assert set(violations(**missing)) == {"display_name", "model", "input_config", "output_config"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"displayName": "x" * 129}, "display_name"),
        ({"inputConfig": {"instancesFormat": "jsonl"}}, "input_config"),
        ({"inputConfig": {"gcsSource": {"uris": ["gs://in/x"]}}}, "input_config.instances_format"),
        ({"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {}}}, "input_config.gcs_source.uris"),
        (
            {"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["s3://in/x"]}}},
            "input_config.gcs_source.uris[0]",
        ),
        (
            {"inputConfig": {"instancesFormat": "csv", "gcsSource": {"uris": ["gs://in/x"]}}},
            "input_config.instances_format",
        ),
        (
            {"inputConfig": {"instancesFormat": "jsonl", "bigquerySource": {"inputUri": "bq://p.d.t"}}},
            "input_config.instances_format",
        ),
        (
            {"inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": "p.d.t"}}},
            "input_config.bigquery_source.input_uri",
        ),
        ({"outputConfig": {"predictionsFormat": "jsonl"}}, "output_config"),
        (
            {"outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "out"}}},
            "output_config.gcs_destination.output_uri_prefix",
        ),
        ({"labels": {"Upper": "a"}}, "labels"),
        ({"labels": {"1st": "a"}}, "labels"),
        ({"labels": {"a": "With Space"}}, "labels"),
        ({"labels": {"a": "x" * 64}}, "labels"),
        ({"labels": {"a" * 64: "x"}}, "labels"),
        ({"labels": {f"k{number}": "" for number in range(65)}}, "labels"),
        ({"serviceAccount": "a@b"}, "service_account"),
        ({"encryptionSpec": {"kmsKeyName": "k"}}, "encryption_spec"),
    ],
)
def test_a_bad_job_is_refused_with_the_field_named(fields, expected):
    assert list(violations(**fields)) == [expected]
