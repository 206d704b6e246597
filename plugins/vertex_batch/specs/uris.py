"""Where a job reads and writes: ``gs://`` files and ``bq://`` tables, with wildcards and templates."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from vertex_batch.specs.repairs import blank_problem, bucket_suggestion, place_suggestion, placeholder_problem
from vertex_batch.specs.templates import TEMPLATE_PART, is_template, template_problem

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_TABLE = re.compile(r"[\w:-]+(\.[\w:-]+){2}")
_DATASET_OR_TABLE = re.compile(r"[\w:-]+(\.[\w:-]+){0,2}")
_WILDCARD = re.compile(r"[*?\[]")


def wildcard_folder(uri: str) -> str | None:
    """Return the folder that a wildcard searches; None for a URI that names one file."""
    if uri.startswith("gs://") and uri.endswith("/"):
        return uri
    # Brackets in a template are not wildcards: `{{ params["x"] }}`.
    plain = TEMPLATE_PART.sub(lambda part: "_" * len(part[0]), uri)
    first = _WILDCARD.search(plain)
    return uri[: plain.rfind("/", 0, first.start()) + 1] if first else None


def check_outside(place: str, uri: str, *, verb: str, paid: str) -> None:
    """Refuse to write to a folder in which an input's wildcard searches.

    :param verb: how the place is used, for the message.
    :param paid: what a later run would pay for, for the message.
    """
    folder = wildcard_folder(uri)
    if folder is not None and f"{place.rstrip('/')}/".startswith(folder):
        raise ValueError(
            f"{verb} {folder}, which `inputs` reads: a later run would pay for {paid}; write to a folder"
            " outside it"
        )


def checked_uri(text: str) -> str:
    """Check what every URI of a spec has in common."""
    if problem := placeholder_problem(text) or template_problem(text) or blank_problem(text):
        raise ValueError(problem)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"gs", "bq"} or rest.startswith("/"):
        meant = place_suggestion(text)
        raise ValueError(
            f"`{text[:80]}` must begin with `gs://` or `bq://`: "
            + (f"use `{meant}`" if meant else "a job cannot read or write anywhere else")
        )
    bucket, _, path = rest.partition("/")
    if scheme == "gs" and not is_template(bucket) and not _BUCKET.fullmatch(bucket):
        raise ValueError(_bucket_problem(bucket, path))
    return text


def _bucket_problem(bucket: str, path: str) -> str:
    if _WILDCARD.search(bucket):
        return f"`{bucket[:80]}`: a bucket name cannot contain a wildcard; use one URI per bucket"
    meant = bucket_suggestion(bucket)
    if meant and meant != bucket and _BUCKET.fullmatch(meant):
        return f"`{bucket[:80]}` is not a bucket name; did you mean `gs://{meant}/{path[:120]}`?"
    return f"`{bucket[:80]}` is not a valid bucket name; expected `gs://BUCKET/PATH`"


def _input_uri(text: str) -> str:
    scheme, _, rest = checked_uri(text).partition("://")
    if scheme == "gs" and not rest.partition("/")[2]:
        bucket = rest.rstrip("/")
        raise ValueError(f"does not name a file: use `gs://{bucket}/*.jsonl` for all files of that bucket")
    if scheme == "bq" and not is_template(rest) and not _TABLE.fullmatch(rest):
        raise ValueError("is not a valid table; expected `bq://PROJECT.DATASET.TABLE`")
    return text


def _output_uri(text: str) -> str:
    scheme, _, rest = checked_uri(text).partition("://")
    if scheme == "gs" and not is_template(rest) and any(char in rest for char in "*?[]"):
        raise ValueError("cannot contain a wildcard: it names the folder that Vertex writes to")
    if scheme == "gs" and rest.endswith((".jsonl", ".json", ".csv")):
        raise ValueError("names a file: use a folder; Vertex creates a new folder in it for each job")
    if scheme == "bq" and not is_template(rest) and not _DATASET_OR_TABLE.fullmatch(rest):
        raise ValueError(
            "is not a valid BigQuery output; expected `bq://PROJECT.DATASET` or `bq://PROJECT.DATASET.TABLE`"
        )
    return text


_SCHEMA = {"type": "string", "pattern": "^(gs|bq)://", "maxLength": 2000}
InputUri = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_input_uri)]
OutputUri = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(_output_uri), WithJsonSchema(_SCHEMA)
]
Inputs = Annotated[
    list[InputUri],
    Field(min_length=1, max_length=1000),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
]
