"""Where the answers of a job are delivered, and what is taken from each row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, WithJsonSchema, field_validator

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.templates import TEMPLATE_PART, is_template
from vertex_batch.specs.uris import check_outside, checked_uri
from vertex_batch.specs.values import Line, once_each

FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".csv")
"""How the name of a delivery's file may end, which decides its format."""
ANSWER_COLUMNS = (
    *("answer", "model", "finish_reason"),
    *("input_tokens", "cached_tokens", "output_tokens", "thoughts_tokens"),
    *("cost_usd", "cost_complete", "attempt"),
)
EXCEPTION_COLUMNS = (
    *("reason", "message", "schema_path", *ANSWER_COLUMNS),
    *("input_file", "input_line", "output_file", "output_line"),
)
OWN_COLUMNS = frozenset({"row", "key", *EXCEPTION_COLUMNS})
"""The columns of a delivery; a field that is carried over cannot have one of these names."""
MAX_SCHEMA_BYTES = 1 << 20
_PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")


def _delivery_uri(text: str) -> str:
    checked_uri(text)
    if text.startswith("bq://"):
        raise ValueError("cannot be a BigQuery table: deliver to a file, and load it from there")
    if not text.endswith(FORMATS):
        raise ValueError(f"must name a file that ends with {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    path = TEMPLATE_PART.sub("", text).partition("://")[2]
    if any(char in path for char in "*?[]"):
        raise ValueError("cannot contain a wildcard: it names one file")
    if not is_template(text) and path.rpartition("/")[2] in FORMATS:
        raise ValueError("has no name before its ending; expected a name such as `answers.parquet`")
    return text


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(
            f"`{text[:80]}` is not a path in a row; expected a name such as `ticket_id`, or names joined by"
            " dots such as `request.labels.ticket_id`"
        )
    return text


DeliveryUri = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(_delivery_uri),
    WithJsonSchema(
        {"type": "string", "pattern": r"^gs://.*\.(parquet|jsonl|jsonl\.gz|csv)$", "maxLength": 2000}
    ),
]
RowPath = Annotated[str, StringConstraints(max_length=200), AfterValidator(_path)]


class Results(SpecModel):
    """The delivery of a job's answers: joined to their input rows, in the order of the input."""

    to: DeliveryUri = Field(examples=["gs://my-bucket/summaries/{{ run_date }}/answers.parquet"])
    """The file to write (`gs://`, templates allowed). Its ending is the format: `.parquet`, `.jsonl`,
    `.jsonl.gz` or `.csv`. The rows without a good answer are in a second file beside it."""
    key: RowPath | None = Field(default=None, examples=["ticket_id", "request.labels.ticket_id"])
    """Where a row's id is: the name of a key beside `request`, or a path inside it. A job is not
    submitted if no row has it. Default: answers are joined to their rows by the request itself."""
    answer: Literal["text", "json", "raw"] = "text"
    """What is delivered: the text of the answer, the text as JSON (an answer that is not JSON is an
    exception), or the whole response. Embeddings are a list of numbers."""
    answer_schema: Line | None = Field(default=None, alias="schema", examples=["schemas/summary.json"])
    """File with a JSON Schema, relative to the spec's folder. An answer that does not match it is an
    exception. Needs `answer: json`."""
    keep: list[RowPath] = Field(default_factory=list, max_length=100, examples=[["customer", "opened_at"]])
    """Fields of the input row that become columns of the delivery, each a path like `key`."""
    max_exceptions_ratio: float = Field(default=1.0, ge=0, le=1, examples=[0.01])
    """Fail the run, after the delivery is written, if a larger share of the input rows has no good answer. A
    run without any good answer always fails."""

    @field_validator("answer_schema")
    @classmethod
    def _only_of_json(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("answer") not in {None, "json"}:
            raise ValueError("needs `answer: json`")
        return value

    @field_validator("keep")
    @classmethod
    def _columns_of_their_own(cls, value: list[str]) -> list[str]:
        for path in value:
            if path in OWN_COLUMNS:
                raise ValueError(f"`{path}` is already a column of each delivery; rename the field")
        return once_each(value, "; remove one of them")

    def describe(self, to: str) -> str:
        """Say where answers go, and how; see `put_elsewhere`, too.

        :param to: the rendered `to`.
        """
        how = f"joined by `{self.key}`" if self.key else "joined by their requests"
        return f"delivered to {to} as {self.answer}, {how}"


def put_elsewhere(*, is_sample: bool, input_is_chosen: bool) -> list[str]:
    """Say when the answers of a run are not put where its spec says.

    :param is_sample: the run reads a sample of its input.
    :param input_is_chosen: the run reads another input than its spec names.
    """
    found = ["those of a sample are put into the folder `_samples` beside it"] if is_sample else []
    if input_is_chosen:
        found.append("put beside the answers to the spec's input, if there are any: this is another input")
    return found


def answer_schema_file(folder: Path | None, results: Results | None) -> Path | None:
    """The file with the JSON Schema of the answers; None if there is none.

    :param folder: of the spec.
    """
    if results is None or results.answer_schema is None:
        return None
    return (folder or Path()) / results.answer_schema


def schema_problem(path: Path) -> str | None:
    """Explain why a file cannot be used as a JSON Schema; None if it looks like one."""
    try:
        if not path.is_file():
            return f"the file `{path}` does not exist"
        if path.stat().st_size > MAX_SCHEMA_BYTES:
            return f"`{path}` is larger than {MAX_SCHEMA_BYTES // 1024} kB"
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"`{path}` cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        return f"`{path}` is not JSON: {error}"
    return None if isinstance(found, dict) else f"`{path}` is not a JSON Schema; expected an object"


class DeliveryFields(SpecModel):
    """What becomes of the answers."""

    results: Results | None = Field(
        default=None, examples=[{"to": "gs://my-bucket/answers/{{ run_date }}.parquet", "key": "ticket_id"}]
    )
    """Deliver the answers to a file: each joined to its input row, in the order of the input, with its tokens
    and cost. Default: the answers stay in the output of the job."""

    @field_validator("results")
    @classmethod
    def _files_beside_the_input(cls, value: Results | None, info: ValidationInfo) -> Results | None:
        if value is None:
            return None
        for uri in info.data.get("inputs", ()):
            if uri.startswith("bq://"):
                raise ValueError(
                    "is not allowed for BigQuery inputs, whose answers are in a table; remove it"
                )
            check_outside(value.to, uri, verb="delivers into", paid="reading these answers as input")
            if value.to == uri:
                raise ValueError("would replace the input; write to another file")
        output = info.data.get("output")
        if output and value.to.startswith(f"{output.rstrip('/')}/"):
            raise ValueError(
                "delivers into the folder `output`, whose files are read as the answers of jobs; write to"
                " another folder"
            )
        return value
