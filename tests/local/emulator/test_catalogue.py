import pytest

from local.emulator.catalogue import Family, Model, Place, host_location, resolve_model
from local.emulator.envelope import ApiError

HERE = Place("demo-project", "100000000001", "us-central1")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("publishers/google/models/gemini-2.5-flash", Model("gemini-2.5-flash", Family.GEMINI)),
        (
            "projects/demo-project/locations/us-central1/publishers/google/models/gemini-embedding-001",
            Model("gemini-embedding-001", Family.GEMINI_EMBEDDING),
        ),
        (
            "projects/100000000001/locations/us-central1/publishers/google/models/text-embedding-005",
            Model("text-embedding-005", Family.TEXT_EMBEDDING),
        ),
        ("projects/demo-project/locations/us-central1/models/4711", Model("4711", Family.GEMINI)),
    ],
)
def test_each_form_of_a_model_is_found(text, model):
    assert resolve_model(text, HERE) == model


@pytest.mark.parametrize(
    ("text", "place", "status", "message"),
    [
        (
            "publishers/google/models/gemini-does-not-exist",
            HERE,
            "NOT_FOUND",
            "The PublisherModel gemini-does-not-exist does not exist.",
        ),
        ("gemini-2.5-flash", HERE, "NOT_FOUND", "gemini-2.5-flash"),
        ("publishers/openai/models/gemini-2.5-flash", HERE, "NOT_FOUND", "does not exist"),
        (
            "projects/other/locations/us-central1/publishers/google/models/gemini-2.5-flash",
            HERE,
            "PERMISSION_DENIED",
            "projects/other",
        ),
        (
            "projects/demo-project/locations/europe-west4/models/1",
            HERE,
            "INVALID_ARGUMENT",
            "europe-west4",
        ),
        (
            "projects/demo-project/locations/global/models/1",
            Place("demo-project", "100000000001", "global"),
            "INVALID_ARGUMENT",
            "Tuned models are not supported",
        ),
    ],
)
def test_other_models_are_refused(text, place, status, message):
    with pytest.raises(ApiError, match=message) as caught:
        resolve_model(text, place)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("host", "location"),
    [
        ("us-central1-aiplatform.googleapis.com", "us-central1"),
        ("aiplatform.googleapis.com:443", "global"),
        ("aiplatform.eu.rep.googleapis.com", "eu"),
        ("127.0.0.1:9100", None),
        ("storage.googleapis.com", None),
    ],
)
def test_a_host_name_tells_its_location(host, location):
    assert host_location(host) == location
