from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from vertex_batch.specs import JobSpec, Problem, SpecError, load_spec

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


@pytest.fixture
def make() -> Callable[..., JobSpec]:
    """Make a valid spec with the given fields."""

    def make(**fields: object) -> JobSpec:
        return JobSpec.model_validate({"name": "nightly", **MINIMAL, **fields})

    return make
