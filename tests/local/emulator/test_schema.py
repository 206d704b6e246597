import json
from typing import Any

import pytest

from local.emulator.envelope import ApiError
from local.emulator.schema import messages, parse_job

PREFIX = "GoogleCloudAiplatform"
FORMATS = {"google-datetime": "timestamp", "google-duration": "duration"}


def table_of_discovery(version):
    """What a discovery document reaches from BatchPredictionJob, in the notation of our table."""
    import googleapiclient.discovery_cache as cache

    document = json.loads(cache.get_static_doc("aiplatform", version))
    prefix = PREFIX + version.capitalize()
    schemas, table = document["schemas"], dict[str, Any]()

    def written(field):
        if "$ref" in field:
            return field["$ref"].removeprefix(prefix)
        if field["type"] == "array":
            return f"repeated {written(field['items'])}"
        if field["type"] == "object":
            return f"map {written(field['additionalProperties'])}"
        if field.get("enum"):
            return f"enum {'|'.join(field['enum'])}"
        known = ("int32", "int64", "float", "double", *FORMATS)
        return FORMATS.get(
            field.get("format"), field["format"] if field.get("format") in known else field["type"]
        )

    def visit(name):
        schema = schemas.get(prefix + name) or schemas[name]
        table[name] = {}
        for key, field in schema["properties"].items():
            kind = written(field)
            table[name][key] = ("readonly " if field.get("readOnly") else "") + kind
            last = kind.rpartition(" ")[2]
            if last[0].isupper() and "|" not in last and last not in table:
                visit(last)

    visit("BatchPredictionJob")
    return document["revision"], table


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_table_is_what_the_installed_discovery_document_says(version):
    revision, table = table_of_discovery(version)
    assert {name: dict(messages(version)[name]) for name in table} == table, f"revision {revision}"


def parse(job, version="v1"):
    return parse_job(version, json.dumps(job).encode())


def refusal(job, version="v1"):
    with pytest.raises(ApiError) as caught:
        parse(job, version)
    assert caught.value.http_status == 400
    assert caught.value.details[0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    return caught.value.message


def test_snake_case_and_camel_case_mean_the_same():
    snake = {"display_name": "a", "input_config": {"gcs_source": {"uris": ["gs://b/c"]}}}
    assert parse(snake) == {"displayName": "a", "inputConfig": {"gcsSource": {"uris": ["gs://b/c"]}}}


def test_an_unknown_field_is_refused_wherever_it_stands():
    assert refusal({"colour": "red"}) == (
        "Invalid JSON payload received. Unknown name \"colour\" at 'batch_prediction_job': Cannot find field."
    )
    nested = {"inputConfig": {"gcsSource": {"uri": "gs://b/c"}}}
    assert "Unknown name \"uri\" at 'batch_prediction_job.input_config.gcs_source'" in refusal(nested)


def test_all_violations_are_named_at_once():
    message = refusal({"colour": 1, "displayName": 2})
    assert "colour" in message
    assert "Invalid value at 'batch_prediction_job.display_name' (TYPE_STRING), 2" in message


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"displayName": ["a"]}, "Proto field is not repeating, cannot start list."),
        ({"displayName": {"a": 1}}, "Starting an object on a scalar field."),
        ({"inputConfig": "x"}, "Invalid value at 'batch_prediction_job.input_config'"),
        ({"inputConfig": {"gcsSource": {"uris": "gs://b/c"}}}, "input_config.gcs_source.uris' (TYPE_STRING)"),
        ({"inputConfig": {"gcsSource": {"uris": [1]}}}, "input_config.gcs_source.uris[0]' (TYPE_STRING), 1"),
        ({"labels": {"a": 1}}, "batch_prediction_job.labels[a]' (TYPE_STRING), 1"),
        ({"generateExplanation": "yes"}, "(TYPE_BOOLEAN)"),
        ({"manualBatchTuningParameters": {"batchSize": 1.5}}, "(TYPE_INT32), 1.5"),
        ({"manualBatchTuningParameters": {"batchSize": 2**31}}, "(TYPE_INT32)"),
        ({"createTime": "yesterday"}, "(TYPE_TIMESTAMP)"),
        ({"state": "JOB_STATE_DANCING"}, "(TYPE_ENUM)"),
        ({"displayName": "a", "display_name": "b"}, "cannot set it twice"),
        ({"inputConfig": {"gcsSource": {}, "bigquerySource": {}}}, "oneof field 'source' is already set"),
    ],
)
def test_wrong_types_are_refused(job, expected):
    assert expected in refusal(job)


@pytest.mark.parametrize("payload", [b"{", b"[]", b"", b'"x"', b'{"displayName": NaN}'])
def test_what_is_not_a_json_object_is_refused(payload):
    with pytest.raises(ApiError, match="Invalid JSON payload received"):
        parse_job("v1", payload)


def test_read_only_fields_are_dropped_and_defaults_are_left_out():
    job = {
        "name": "projects/1/locations/x/batchPredictionJobs/2",
        "state": "JOB_STATE_SUCCEEDED",
        "createTime": "2026-01-02T03:04:05Z",
        "displayName": "",
        "generateExplanation": False,
        "labels": {},
        "manualBatchTuningParameters": {"batchSize": 0},
        "model": None,
        "modelParameters": {},
    }
    assert parse(job) == {"manualBatchTuningParameters": {}, "modelParameters": {}}


def test_fields_of_the_beta_are_refused_by_the_stable_version():
    assert parse({"endpoint": "e"}, "v1beta1") == {"endpoint": "e"}
    assert 'Unknown name "endpoint"' in refusal({"endpoint": "e"})


def test_numbers_may_come_as_strings_and_int64_leaves_as_one():
    spec = {"containerSpec": {"imageUri": "i", "sharedMemorySizeMb": 64}}
    parsed = parse({"unmanagedContainerModel": spec, "manualBatchTuningParameters": {"batchSize": "8"}})
    assert parsed["unmanagedContainerModel"]["containerSpec"]["sharedMemorySizeMb"] == "64"
    assert parsed["manualBatchTuningParameters"] == {"batchSize": 8}
