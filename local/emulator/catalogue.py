"""What the emulated project can use: locations, models, and the limits of a batch over each kind of model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .envelope import ApiError

# The endpoints that the Vertex discovery document of revision 20261106 lists, and the global one.
_LOCATIONS = """
    global us eu africa-south1
    asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
    asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2
    europe-central2 europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west2 europe-west3
    europe-west4 europe-west6 europe-west8 europe-west9 europe-west10 europe-west12 europe-west15
    me-central1 me-central2 me-west1
    northamerica-northeast1 northamerica-northeast2 southamerica-east1 southamerica-west1
    us-central1 us-central2 us-east1 us-east4 us-east5 us-east7 us-south1
    us-west1 us-west2 us-west3 us-west4 us-west8
"""
LOCATIONS = frozenset(_LOCATIONS.split())


class Family(StrEnum):
    """What the rows of a job look like."""

    GEMINI = "gemini"
    GEMINI_EMBEDDING = "gemini-embedding"
    TEXT_EMBEDDING = "text-embedding"


# Rows that one job may hold.
MAX_ROWS: dict[Family, int] = {
    Family.GEMINI: 200_000,
    Family.GEMINI_EMBEDDING: 1_000_000,
    Family.TEXT_EMBEDDING: 30_000,
}

_MODELS: dict[Family, str] = {
    Family.GEMINI: """
        gemini-2.0-flash gemini-2.0-flash-001 gemini-2.0-flash-lite gemini-2.0-flash-lite-001
        gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-flash-image
        gemini-3-pro-preview gemini-3-flash-preview gemini-3-pro-image-preview gemini-3.1-pro-preview
        gemini-3.1-flash-lite gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash gemini-3.7-flash
        gemini-3.8-flash gemini-4-argon gemini-4-hydrogen gemini-4-carbon
    """,
    Family.GEMINI_EMBEDDING: "gemini-embedding-001 gemini-embedding-2",
    Family.TEXT_EMBEDDING: "text-embedding-004 text-embedding-005 text-multilingual-embedding-002",
}
MODELS: dict[str, Family] = {model: family for family, text in _MODELS.items() for model in text.split()}

_PUBLISHER = re.compile(
    r"(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/]+)"
)
_TUNED = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/models/(?P<model>[0-9]+)(@[\w-]+)?"
)


@dataclass(frozen=True)
class Place:
    """The project and location in a request's path."""

    project_id: str
    project_number: str
    location: str

    @property
    def parent(self) -> str:
        """The resource name that answers carry: with the project's number, whatever the caller wrote."""
        return f"projects/{self.project_number}/locations/{self.location}"


@dataclass(frozen=True)
class Model:
    """A model that a job may run on; ``name`` is what `modelVersion` in a row says."""

    name: str
    family: Family


def resolve_model(text: str, place: Place) -> Model:
    """Find the model that a job names.

    :raises ApiError: NOT_FOUND for a model that does not exist, a bare model id included; INVALID_ARGUMENT
        for one of another location, or a tuned one where batch does not take it.
    """
    if match := _PUBLISHER.fullmatch(text):
        _check_scope(match, place)
        name = match["model"].partition("@")[0]
        family = MODELS.get(name) if match["publisher"] == "google" else None
        if family is None:
            raise ApiError("NOT_FOUND", f"The PublisherModel {match['model']} does not exist.")
        return Model(name, family)
    if match := _TUNED.fullmatch(text):
        _check_scope(match, place)
        if place.location == "global":
            raise ApiError(
                "INVALID_ARGUMENT",
                "Tuned models are not supported for batch prediction on the global endpoint.",
            )
        return Model(match["model"], Family.GEMINI)
    raise ApiError("NOT_FOUND", f"The Model {text} does not exist.")


def _check_scope(match: re.Match[str], place: Place) -> None:
    if match["project"] and match["project"] not in (place.project_id, place.project_number):
        raise ApiError(
            "PERMISSION_DENIED",
            f"Permission 'aiplatform.models.get' denied on resource '//aiplatform.googleapis.com/{match[0]}' "
            "(or it may not exist).",
        )
    if match["location"] and match["location"] != place.location:
        raise ApiError(
            "INVALID_ARGUMENT",
            f"The model {match[0]} is in location {match['location']}, the job in {place.location}: "
            "they have to be in the same location.",
        )


def host_location(host: str) -> str | None:
    """The location that a Vertex host name serves; None for a host that is not one of Vertex."""
    name = host.partition(":")[0].lower()
    if name == "aiplatform.googleapis.com":
        return "global"
    if match := re.fullmatch(r"([a-z0-9-]+)-aiplatform\.googleapis\.com", name):
        return match[1]
    if match := re.fullmatch(r"aiplatform\.([a-z]+)\.rep\.googleapis\.com", name):
        return match[1]
    return None
