"""Check answers against a JSON Schema, with a compiled validator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vertex_batch.errors import ConfigurationError
from vertex_batch.results.engine import needs

_WORDS_CHARS = 300


class SchemaCheck:
    """A JSON Schema, compiled once.

    :raises ConfigurationError: it is not a valid schema, or the package that checks it is not installed.
    """

    def __init__(self, schema: Mapping[str, object]) -> None:
        with needs("jsonschema_rs"):
            import jsonschema_rs
        try:
            self._validator: Any = jsonschema_rs.validator_for(dict(schema), retriever=_refuse)
        except (ValueError, TypeError) as error:
            words = " ".join(str(error).split())[:_WORDS_CHARS]
            raise ConfigurationError(
                f"The schema of the answers is not a valid JSON Schema: {words}"
            ) from None

    def violation(self, answer: str) -> tuple[str, str] | None:
        """The first violation in an answer that is JSON: its path, and words; None if it is valid."""
        error = next(iter(self._validator.iter_errors(msgspec.json.decode(answer))), None)
        if error is None:
            return None
        path = "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in error.instance_path)
        return f"/{path}" if path else "/", str(error.message)[:_WORDS_CHARS]


def read_schema(schema: Mapping[str, object] | str | None) -> Mapping[str, object] | None:
    """Return the schema, read from a file if it is a path.

    :raises ConfigurationError: the file cannot be read, or holds no valid schema.
    """
    if not isinstance(schema, str):
        return schema
    try:
        found = json.loads(Path(schema).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"The JSON Schema {schema} cannot be read: {why}. Nothing was delivered or submitted, and no"
            " job is affected. A retry fails the same way until the file is fixed"
        ) from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"The JSON Schema {schema} is not an object. Nothing was delivered")
    try:
        SchemaCheck(found)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The file {schema} cannot be used. {error}. Nothing was delivered"
        ) from None
    return found


def _refuse(uri: str) -> Any:
    """A schema is one document: nothing is fetched from elsewhere."""
    raise ValueError(f"it refers to {uri}, and references to other documents are not followed")
