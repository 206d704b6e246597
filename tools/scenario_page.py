"""The tables of what a test can ask of the emulator, made from the classes of `local.emulator.script`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from local.emulator.script import (
    Cancel,
    Fault,
    Listing,
    Match,
    Order,
    Output,
    Plain,
    RowRule,
    Scenario,
    Settings,
    Step,
    Trait,
)
from tools.api_page import parameters

_STRUCTS: tuple[type[Plain], ...] = (Scenario, Match, Step, Cancel, RowRule, Output, Fault, Settings)
_VALUES = (Trait, Order, Listing)
_BOUNDED = re.compile(r"Annotated\[(\w+), .*\]")
_VALUE = re.compile(r'^    [A-Z_]+ = "(?P<value>\w+)"(?:  # (?P<meaning>.+))?$', re.MULTILINE)


def scenario_fields() -> str:
    """Every field of a scenario, a fault and the settings, and the values of their enumerations."""
    return (
        "\n".join(
            line for lines in (*map(_fields, _STRUCTS), *map(_values, _VALUES)) for line in ("", *lines)
        )
        + "\n\n"
    )


def _fields(struct: type[Plain]) -> Iterator[str]:
    meanings = parameters(struct)
    types = inspect.get_annotations(struct)
    yield f"| `{struct.__name__}` | type | default | meaning |"
    yield "|---|---|---|---|"
    for each in msgspec.structs.fields(struct):
        shown = _BOUNDED.sub(r"\1", types[each.name]).replace("|", "\\|")
        yield f"| `{each.name}` | `{shown}` | {_default(each)} | {meanings[each.name]} |"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "**required**"
    default = field.default
    return f"`{default}`" if isinstance(default, (str, int, float)) and default != "" else ""


def _values(enumeration: type[StrEnum]) -> Iterator[str]:
    yield f"| `{enumeration.__name__}` | meaning |"
    yield "|---|---|"
    for found in _VALUE.finditer(inspect.getsource(enumeration)):
        yield f"| `{found['value']}` | {found['meaning'] or ''} |"
