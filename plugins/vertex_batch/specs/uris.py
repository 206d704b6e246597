"""Where a job reads and writes: ``gs://`` files and ``bq://`` tables, with wildcards and templates."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from vertex_batch.specs.templates import TEMPLATE_PART, is_template, template_problem

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_TABLE = re.compile(r"[\w:-]+(\.[\w:-]+){2}")
_DATASET_OR_TABLE = re.compile(r"[\w:-]+(\.[\w:-]+){0,2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WILDCARD = re.compile(r"[*?\[]")


def wildcard_folder(uri: str) -> str | None:
    """Return the folder in which a wildcard may find anything; None for a URI that names one file."""
    if uri.startswith("gs://") and uri.endswith("/"):
        return uri
    # What stands in a template is no wildcard: `{{ params["x"] }}`.
    plain = TEMPLATE_PART.sub(lambda part: "_" * len(part[0]), uri)
    first = _WILDCARD.search(plain)
    return uri[: plain.rfind("/", 0, first.start()) + 1] if first else None


def _uri(text: str) -> str:
    if problem := template_problem(text):
        raise ValueError(problem)
    if _CONTROL.search(text):
        raise ValueError("holds a line break or another control character")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"gs", "bq"}:
        raise ValueError(
            f"`{text[:80]}` must begin with `gs://` or `bq://`: the job reads and writes nowhere else"
        )
    bucket = rest.partition("/")[0]
    if scheme == "gs" and not is_template(bucket) and not _BUCKET.fullmatch(bucket):
        raise ValueError(f"`{bucket[:80]}` is no bucket name: write `gs://BUCKET/PATH`")
    return text


def _input_uri(text: str) -> str:
    scheme, _, rest = _uri(text).partition("://")
    if scheme == "gs" and not rest.partition("/")[2]:
        bucket = rest.rstrip("/")
        raise ValueError(f"names no file: write `gs://{bucket}/*.jsonl` for all files of that bucket")
    if scheme == "bq" and not is_template(rest) and not _TABLE.fullmatch(rest):
        raise ValueError("names no table: write `bq://PROJECT.DATASET.TABLE`")
    return text


def _output_uri(text: str) -> str:
    scheme, _, rest = _uri(text).partition("://")
    if scheme == "gs" and not is_template(rest) and any(char in rest for char in "*?[]"):
        raise ValueError("cannot hold a wildcard: it names the folder that Vertex writes into")
    if scheme == "gs" and rest.endswith((".jsonl", ".json", ".csv")):
        raise ValueError("names a file: write the folder, Vertex makes one more within it for each job")
    if scheme == "bq" and not is_template(rest) and not _DATASET_OR_TABLE.fullmatch(rest):
        raise ValueError("is no BigQuery place: write `bq://PROJECT.DATASET` or `bq://PROJECT.DATASET.TABLE`")
    return text


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_SCHEMA = {"type": "string", "pattern": "^(gs|bq)://", "maxLength": 2000}
InputUri = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_input_uri)]
OutputUri = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(_output_uri), WithJsonSchema(_SCHEMA)
]
Inputs = Annotated[
    list[InputUri],
    Field(min_length=1, max_length=1000),
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
]
