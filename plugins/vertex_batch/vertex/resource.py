"""Vertex's batch prediction job, typed.

Requests are strict: an unknown field is refused here, before it costs a round trip.
Answers are tolerant: an unknown field or state is kept, since Google adds both without notice.
Field names and rules: the Vertex AI v1 discovery document, revision 20261106, schema
``GoogleCloudAiplatformV1BatchPredictionJob``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from vertex_batch.vertex.names import JobId

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LABEL_MAX_CHARS = 63
_LABEL = re.compile(r"[^\w-]")


LONG_AGO = datetime.min.replace(tzinfo=UTC)
STATE_PREFIX = "JOB_STATE_"
"""What Vertex writes before each state. It is removed where an answer is read."""


class JobState(StrEnum):
    """The 12 states of a job. ``UNSPECIFIED`` is also used for a state that is newer than this code."""

    UNSPECIFIED = "UNSPECIFIED"
    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    PAUSED = "PAUSED"
    EXPIRED = "EXPIRED"
    UPDATING = "UPDATING"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"

    @classmethod
    def parse(cls, text: str) -> JobState:
        """Parse a state without its prefix; one that is not in this enum becomes ``UNSPECIFIED``."""
        try:
            return cls(text)
        except ValueError:
            return cls.UNSPECIFIED

    @property
    def is_terminal(self) -> bool:
        """Whether the state is final. PAUSED is not: it can be resumed."""
        return self in TERMINAL_STATES

    @property
    def has_results(self) -> bool:
        """Whether the job ended with output. The output shows how many rows were answered."""
        return self in STATES_WITH_RESULTS


STATES_WITH_RESULTS = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED})
TERMINAL_STATES = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.PARTIALLY_SUCCEEDED}
)
DELETED = "DELETED"
"""On a bill: Vertex no longer had the job, so that its last state is not known. Vertex has no such state."""
STATES_WITHOUT_RESULTS: tuple[str, ...] = (*sorted(TERMINAL_STATES - STATES_WITH_RESULTS), DELETED)
HAS_NOT_ENDED = " AND ".join(f'state!="{STATE_PREFIX}{state}"' for state in sorted(TERMINAL_STATES))
"""A filter of the list call, in Vertex's grammar."""


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)


class GcsSource(_Request):
    """Input objects; each URI may contain the wildcards that Vertex documents."""

    uris: Annotated[list[str], Field(min_length=1)]


class BigQuerySource(_Request):
    input_uri: Annotated[str, Field(pattern=r"^bq://")]


class InputConfig(_Request):
    """Where the rows come from: exactly one source."""

    instances_format: str = "jsonl"
    gcs_source: GcsSource | None = None
    bigquery_source: BigQuerySource | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.gcs_source is None) == (self.bigquery_source is None):
            raise ValueError("set exactly one of gcsSource and bigquerySource")
        return self


class GcsDestination(_Request):
    output_uri_prefix: Annotated[str, Field(pattern=r"^gs://")]


class BigQueryDestination(_Request):
    output_uri: Annotated[str, Field(pattern=r"^bq://")]


class OutputConfig(_Request):
    """Where Vertex writes: exactly one destination."""

    predictions_format: str = "jsonl"
    gcs_destination: GcsDestination | None = None
    bigquery_destination: BigQueryDestination | None = None

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        if (self.gcs_destination is None) == (self.bigquery_destination is None):
            raise ValueError("set exactly one of gcsDestination and bigqueryDestination")
        return self


def _known(kind: type[_Request], data: dict[str, object]) -> dict[str, object]:
    names = {to_camel(name) for name in kind.model_fields}
    return {name: value for name, value in data.items() if name in names}


class CreateJobRequest(_Request):
    """The body of a create call.

    :param model: ``publishers/google/models/M``, the project-scoped form of it, or a tuned
        ``projects/P/locations/L/models/ID``. Vertex answers 404 to a bare model name.
    :param labels: lowercase letters, digits, ``-`` and ``_``, at most 63 characters a key or value.
    """

    display_name: Annotated[str, Field(min_length=1, max_length=128)]
    model: Annotated[str, Field(min_length=1)]
    input_config: InputConfig
    output_config: OutputConfig
    model_parameters: dict[str, Any] | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def again(cls, job: BatchPredictionJob) -> CreateJobRequest:
        """The request for the same work as an existing job, without labels."""
        source, destination = job.input_config, job.output_config
        return cls(
            display_name=job.display_name,
            model=job.model,
            input_config=InputConfig.model_validate(_known(InputConfig, source)),
            output_config=OutputConfig.model_validate(_known(OutputConfig, destination)),
            model_parameters=job.model_parameters or None,
        )

    @classmethod
    def resuming(cls, job: BatchPredictionJob) -> CreateJobRequest:
        """The request for what an existing job left unanswered: its output folder is the input. No labels.

        Vertex copies the answered rows and runs the others (batch-inference/resume-job).

        :raises ValueError: the job has no output folder.
        """
        if not job.output_directory:
            raise ValueError(f"job {job.job_id} has no output folder that a job could resume")
        source = GcsSource(uris=[f"{job.output_directory.rstrip('/')}/*.jsonl"])
        return cls.again(job).model_copy(update={"input_config": InputConfig(gcs_source=source)})

    def to_wire(self) -> dict[str, object]:
        """The JSON body with the API's own names, without unset fields."""
        body: dict[str, object] = self.model_dump(by_alias=True, exclude_none=True)
        if not self.labels:
            del body["labels"]
        return body

    def fingerprint(self) -> str:
        """A digest of the job's work: the same work gives the same digest.

        Labels and the display name are left out, since they do not affect the work.
        """
        work = self.model_dump(by_alias=True, exclude_none=True, exclude={"labels", "display_name"})
        return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:40]


class Status(_Answer):
    """A ``google.rpc.Status``: ``code`` is a google.rpc.Code, not an HTTP status."""

    code: int = 0
    message: str = ""


class CompletionStats(_Answer):
    """Row counts. Google sends int64 as strings and omits zeros. ``-1`` means unknown."""

    successful_count: int = 0
    failed_count: int = 0
    incomplete_count: int = 0


class OutputInfo(_Answer):
    gcs_output_directory: str | None = None
    bigquery_output_dataset: str | None = None
    bigquery_output_table: str | None = None


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


def _without_prefix(state: str) -> str:
    return state.removeprefix(STATE_PREFIX)


class BatchPredictionJob(_Answer):
    """A job as Google describes it. Unknown fields are kept in ``model_extra``.

    :param raw_state: as Vertex names it, without its prefix; it may be newer than `JobState`.
    """

    name: str
    display_name: str = ""
    model: str = ""
    raw_state: Annotated[str, Field(alias="state"), AfterValidator(_without_prefix)] = (
        JobState.UNSPECIFIED.value
    )
    error: Status | None = None
    input_config: dict[str, Any] = Field(default_factory=dict)
    output_config: dict[str, Any] = Field(default_factory=dict)
    model_parameters: Any = None
    output_info: OutputInfo | None = None
    completion_stats: CompletionStats | None = None
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    update_time: datetime | None = None
    labels: Annotated[dict[str, str], BeforeValidator(_none_is_empty)] = Field(default_factory=dict)

    @property
    def state(self) -> JobState:
        return JobState.parse(self.raw_state)

    @property
    def job_id(self) -> str:
        """The last segment of ``name``. The rest has the project number, which the proxy does not know."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def input_uris(self) -> tuple[str, ...]:
        """The URIs that the job read; empty for a table."""
        return tuple((self.input_config.get("gcsSource") or {}).get("uris", ()))

    @property
    def output_directory(self) -> str | None:
        """The output's directory. Never build it from the prefix: its time stamp is not the create time."""
        return self.output_info.gcs_output_directory if self.output_info else None

    @property
    def output_table(self) -> str | None:
        """The table of an output in BigQuery, as ``bq://PROJECT.DATASET.TABLE``.

        Vertex gives the dataset and the table separately, or the full name of the table.
        """
        info = self.output_info
        if not info or not info.bigquery_output_table:
            return None
        table = info.bigquery_output_table
        if table.startswith("bq://") or not info.bigquery_output_dataset:
            return table
        return f"{info.bigquery_output_dataset}.{table.rpartition('.')[2]}"

    @property
    def created_at(self) -> datetime:
        """When it was created, to sort by; long ago if that is unknown."""
        return self.create_time or LONG_AGO

    @property
    def ended_at(self) -> datetime | None:
        """The end time. EXPIRED and PARTIALLY_SUCCEEDED jobs may have none; then it is the last update."""
        if not self.state.is_terminal:
            return None
        return self.end_time or self.update_time


@dataclass(frozen=True, slots=True)
class JobReference:
    """A reference to a job that tasks pass to each other: enough to find it again, never rows or keys.

    :param project: the project *id* as the proxy has it configured, not the number in the job's name.
    :param map_index: of the task that submitted it; -1 if that task is not mapped.
    :param may_cancel: whether the job is cancelled when no task waits for it. False for an adopted job.
    :param input_rows: rows of its input; None if they were not counted before it was submitted.
    """

    project: str
    location: str
    job_id: str
    job_key: str = ""
    model: str = ""
    output_prefix: str = ""
    input_uris: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    map_index: int = -1
    may_cancel: bool = True
    input_rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data for XCom."""
        return {**asdict(self), "input_uris": list(self.input_uris)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> JobReference:
        """Read the data of `to_dict`; keys of a newer version are ignored."""
        values = known_fields(cls, data)
        values["input_uris"] = tuple(values.get("input_uris", ()))
        return cls(**values)

    @property
    def id(self) -> JobId:
        return JobId(self.project, self.location, self.job_id)

    def __str__(self) -> str:
        return str(self.id)


def known_fields(kind: type[DataclassInstance], data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what a class has fields for, of plain data that a newer version may have written."""
    return {each.name: data[each.name] for each in fields(kind) if each.name in data}


def label_value(text: str) -> str:
    """Convert a text to a valid label value: lowercase, ``-`` for invalid characters, cut at 63."""
    return _LABEL.sub("-", text.lower())[:LABEL_MAX_CHARS]
