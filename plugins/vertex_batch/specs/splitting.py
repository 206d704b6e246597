"""How an input that is too large for one job is split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.uris import OutputUri, check_outside
from vertex_batch.storage import GZIP_SUFFIXES


class SplitFields(SpecModel):
    """Whether, where and into which parts the input is split."""

    split: Literal["auto", "off"] = "auto"
    """`auto`: an input with more rows or bytes than one job may read is split into several jobs with one
    bill. `off`: the input always goes to one job, which fails if it is too large."""
    max_rows_per_job: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, examples=[50_000]
    )
    """Most rows of one job. Default: Vertex's limit, 200,000 for Gemini."""
    max_bytes_per_job: Annotated[int, Field(ge=1_000, le=100_000_000_000)] | None = Field(
        default=None, examples=[500_000_000]
    )
    """Most input bytes of one job. Default: Vertex's limit, 1,000,000,000."""
    staging: OutputUri | None = Field(default=None, examples=["gs://my-bucket/tmp/"])
    """The folder for the parts of a split input and for samples (`gs://`, templates allowed). Default:
    `_shards/` below `output`."""

    @field_validator("split")
    @classmethod
    def _unpacks_gzip(cls, value: str, info: ValidationInfo) -> str:
        packed = [uri for uri in info.data.get("inputs", ()) if uri.endswith(GZIP_SUFFIXES)]
        if value == "off" and packed:
            raise ValueError(
                f"sends `{packed[0][:120]}` as it is, and Vertex reads plain JSONL only: remove `split: off`;"
                " the file is then unpacked before it is submitted"
            )
        return value

    @field_validator("max_rows_per_job", "max_bytes_per_job", "staging")
    @classmethod
    def _only_where_it_is_split(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("split") == "off":
            raise ValueError("cannot be combined with `split: off`; remove one of the two")
        if value is not None and any(uri.startswith("bq://") for uri in info.data.get("inputs", ())):
            raise ValueError("is not allowed for BigQuery inputs; remove it")
        return value

    @field_validator("staging")
    @classmethod
    def _apart_from_what_is_read(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not value.startswith("gs://"):
            raise ValueError("must begin with `gs://`: only files are split")
        for uri in info.data.get("inputs", ()):
            check_outside(value, uri, verb="is inside", paid="these rows again")
        return value

    @property
    def may_be_split(self) -> bool:
        """Whether the input must be measured to know the number of jobs."""
        inputs: list[str] = getattr(self, "inputs", [])
        return self.split == "auto" and not any(uri.startswith("bq://") for uri in inputs)
