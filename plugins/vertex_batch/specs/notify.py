"""Notifications: any Airflow notifier by its import path, else the log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue, WithJsonSchema, field_validator

from vertex_batch.errors import scrub
from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.events import ImportPath
from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.templates import is_template

_SECRET_NAME = re.compile(r"(?i)(passw|secret|token|api_?key|auth|credential|private|webhook_url|dsn)")


class Occasion(StrEnum):
    """An event that a notifier can report."""

    FAILURE = "failure"  # the run has failed
    LATE = "late"  # it takes longer than `expected_duration`
    COST = "cost"  # a job cost more than `expected_cost_usd`


def _occasion(value: object) -> object:
    if isinstance(value, str) and value not in set(Occasion):
        known = [occasion.value for occasion in Occasion]
        raise ValueError(f"`{value[:80]}` is not one of {', '.join(known)}{did_you_mean(value, known)}")
    return Occasion(value) if isinstance(value, str) else value


def _secrets(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, path)
    elif isinstance(value, str) and not is_template(value):
        name = path.rpartition(".")[2]
        if (_SECRET_NAME.search(name) and not name.endswith("conn_id")) or "***" in scrub(value):
            yield path


OneOccasion = Annotated[
    Occasion,
    BeforeValidator(_occasion),
    WithJsonSchema({"type": "string", "enum": [occasion.value for occasion in Occasion]}),
]


class Notice(SpecModel):
    """One notifier, and the events that it reports."""

    on: list[OneOccasion] = Field(
        default_factory=lambda: list(Occasion), min_length=1, max_length=3, examples=[["failure", "cost"]]
    )
    """`failure`: the run failed. `late`: it takes longer than `expected_duration`. `cost`: a job cost more
    than `expected_cost_usd` or, if that is not set, than its estimate. Default: all of them."""
    notifier: ImportPath | None = Field(
        default=None, examples=["airflow.providers.smtp.notifications.smtp.SmtpNotifier"]
    )
    """The import path of an Airflow notifier class. Default: a line in the log."""
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        examples=[{"smtp_conn_id": "mail", "to": "team@example.com", "subject": "{{ dag.dag_id }}"}],
    )
    """The notifier's arguments; its template fields are rendered. Put keys and passwords in an Airflow
    connection, and pass the connection's id here."""

    @field_validator("arguments")
    @classmethod
    def _no_secrets(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if found := next(_secrets(value), None):
            raise ValueError(
                f"seem to contain a secret in `{found[:80]}`: many people can read a spec, so put the secret"
                " in an Airflow connection and use the connection's id"
            )
        return value
