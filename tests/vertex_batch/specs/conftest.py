from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from vertex_batch.specs import JobSpec, Problem, Spec, SpecError, load_spec

MINIMAL = {
    "model": "gemini-2.5-flash",
    "inputs": "gs://bucket/in/a.jsonl",
    "output": "gs://bucket/out/",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a spec file of the given text below the test's folder."""

    def write(text: str, name: str = "nightly.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(write: Callable[..., Path]) -> Callable[[str], list[Problem]]:
    """Load a text that must be broken, and return what is wrong with it."""

    def problems(text: str) -> list[Problem]:
        with pytest.raises(SpecError) as error:
            load_spec(write(text))
        return error.value.problems

    return problems


class Both:
    """A spec of one job: its own fields, and those of its job."""

    def __init__(self, spec: Spec, job: JobSpec) -> None:
        self._spec, self._job = spec, job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job if hasattr(self._job, name) and name != "name" else self._spec, name)


@pytest.fixture
def make() -> Callable[..., Both]:
    """Make a valid spec with the given fields, by the models alone: their errors are pydantic's."""

    def make(**fields: object) -> Both:
        given = {"name": "nightly", **MINIMAL, **fields}
        spec = Spec.model_validate({key: given[key] for key in given if key in Spec.model_fields})
        of_spec = Spec.model_fields.keys() - {"name"}
        job = {key: given[key] for key in given if key not in of_spec}
        return Both(spec, JobSpec.model_validate({**job, "name": "job"}))

    return make
