"""The fields of a spec that define the batch prediction job."""

from __future__ import annotations

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.templates import is_template, template_problem
from vertex_batch.specs.uris import Inputs, OutputUri, check_outside
from vertex_batch.specs.values import (
    LabelKey,
    LabelValue,
    Location,
    ModelName,
    ProjectId,
    TeamName,
    model_parts,
    once_each,
)
from vertex_batch.vertex.labels import MAX_LABELS, RESERVED_PREFIXES, too_many_labels


class JobFields(SpecModel):
    """The job: its model, inputs and output."""

    # The order matters: a field's cross-check sees the fields above it.
    project: ProjectId | None = Field(default=None, examples=["my-project"])
    """Google Cloud project id that the proxy is configured with. Default: the connection's."""
    location: Location | None = Field(default=None, examples=["us-central1", "europe-west4", "global"])
    """Vertex AI location. Default: the connection's."""
    model: ModelName = Field(
        examples=["gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash", "text-embedding-005"]
    )
    """The model's name, its publisher path, or the full path of a tuned model."""
    inputs: Inputs = Field(
        examples=[
            "gs://my-bucket/input/{{ run_date }}.jsonl",
            ["gs://my-bucket/a/*.jsonl", "gs://my-bucket/b.jsonl"],
        ]
    )
    """The JSONL files to read (`gs://`, wildcards and templates allowed), or one BigQuery table
    (`bq://project.dataset.table`)."""
    output: OutputUri = Field(examples=["gs://my-bucket/output/{{ run_date }}/"])
    """The folder to write to (`gs://`, templates allowed), or a BigQuery dataset or table. Vertex creates a
    new folder in it for each job."""
    team: TeamName | None = Field(default=None, examples=["search"])
    """The team that pays: a label of each job and a column of the cost table."""
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=MAX_LABELS, examples=[{"product": "search", "env": "prod"}]
    )
    """Labels of the job, shown in Google's billing export and in the cost table. At most 48, with the team
    and those of the form."""
    generation: dict[str, JsonValue] = Field(
        default_factory=dict, examples=[{"temperature": 0.2, "maxOutputTokens": 1024}]
    )
    """Sent as the job's `modelParameters`. Gemini takes its settings from each row's `generationConfig`
    instead."""

    @field_validator("model")
    @classmethod
    def _where_the_model_is(cls, value: str, info: ValidationInfo) -> str:
        project, location, tuned = model_parts(value)
        wanted = info.data.get("location")
        if tuned and wanted == "global":
            raise ValueError(f"is a tuned model, which does not run in `global`; set `location: {location}`")
        if location and wanted and location != wanted:
            raise ValueError(f"is in {location}, but `location` is {wanted}: they must be the same")
        if project and not project.isdigit() and info.data.get("project") not in {None, project}:
            raise ValueError(
                f"is in project {project}, but `project` is {info.data['project']}: they must be the same"
            )
        return value

    @field_validator("inputs")
    @classmethod
    def _one_kind_of_source(cls, value: list[str]) -> list[str]:
        tables = [uri for uri in value if uri.startswith("bq://")]
        if tables and len(tables) < len(value):
            raise ValueError("mixes gs:// and bq://; a job reads either files or a table, so write two specs")
        if len(tables) > 1:
            raise ValueError("names several tables; a job reads only one, so write a spec for each")
        return once_each(value, "; its rows would be paid for twice")

    @field_validator("output")
    @classmethod
    def _apart_from_inputs(cls, value: str, info: ValidationInfo) -> str:
        for uri in info.data.get("inputs", ()):
            if uri[:5] != value[:5]:
                kind = "a table" if uri.startswith("bq") else "files"
                raise ValueError(
                    f"must begin with `{uri[:5]}` like `inputs`: a job that reads {kind} also writes {kind}"
                )
            check_outside(value, uri, verb="is inside", paid="reading these answers as input")
            if value.rstrip("/") == uri:
                raise ValueError("is the same as `inputs`; write to another folder")
        return value

    @field_validator("labels")
    @classmethod
    def _not_ours(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for key in value:
            if key.startswith(RESERVED_PREFIXES):
                raise ValueError(
                    f"`{key}` is reserved: such labels are used to find a job again; choose another name"
                )
        team = info.data.get("team")
        if team and value.get("team") not in {None, team}:
            raise ValueError(
                f"sets `team` to `{value['team']}`, but the spec's `team` is `{team}`: set it once"
            )
        if problem := too_many_labels({*value, "team"} if team else value):
            raise ValueError(f"together with `team`: {problem}")
        return value

    @field_validator("generation")
    @classmethod
    def _templates_render(cls, value: dict[str, object]) -> dict[str, object]:
        for key, problem in _template_problems(value):
            raise ValueError(f"`{key}` {problem}")
        return value


def _template_problems(value: object, key: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in _template_problems(inner, name)]
    if isinstance(value, list):
        return [found for inner in value for found in _template_problems(inner, key)]
    problem = template_problem(value) if isinstance(value, str) and is_template(value) else None
    return [(key, problem)] if problem else []
