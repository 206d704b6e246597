"""The base of all models of a spec."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict


def _described(part: type) -> Iterator[tuple[str, str]]:
    (source,) = ast.parse(inspect.getsource(part)).body
    assert isinstance(source, ast.ClassDef)
    for field, text in pairwise(source.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(description))),
            ):
                yield name, " ".join(description.split())


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the descriptions to a JSON schema.

    pydantic's own `use_attribute_docstrings` would read the source code whenever a DAG file is parsed.
    """
    for part in model.__mro__:
        if issubclass(part, SpecModel):
            for name, text in _described(part):
                schema["properties"][model.model_fields[name].alias or name].setdefault("description", text)


class SpecModel(BaseModel):
    """Keys of a spec. The text below a key describes it, for editors and for ``docs/specs.md``."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra=_describe)
