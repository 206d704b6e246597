"""docker-compose.yaml as Compose reads it, for the checks that need no Docker engine.

Of Compose's interpolation only what the file uses: ``${NAME}``, ``:-``, ``:+``, ``:?``, nested, and ``$$``.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "docker-compose.yaml"
EXAMPLE = ROOT / ".env.example"
WRITE_ENV = ROOT / "config" / "write_env.py"
VARIABLE = re.compile(r"(?P<name>\w+)(?::(?P<operator>[-+?])(?P<argument>.*))?", re.DOTALL)


class InterpolationError(ValueError):
    """A ``$`` that Compose would refuse, or a required variable without a value."""


def raw() -> dict[str, Any]:
    """Return the file with its YAML anchors merged and its variables as they are."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def fresh_settings() -> dict[str, str]:
    """Return the settings of an ``.env`` that was just written."""
    filled: str = runpy.run_path(str(WRITE_ENV))["filled"](EXAMPLE.read_text(), 0)
    return parse_settings(filled)


def parse_settings(text: str) -> dict[str, str]:
    """Return what an environment file sets; single quotes around a value are not part of it."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = (line.split("=", 1) for line in lines)
    return {name: value[1:-1] if value.startswith("'") else value for name, value in pairs}


def resolve(node: object, settings: Mapping[str, str]) -> Any:
    """Return the node with every variable filled in.

    :raises InterpolationError: for a required variable that is missing, and for a ``$`` without braces.
    """
    if isinstance(node, dict):
        return {key: resolve(value, settings) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(item, settings) for item in node]
    return interpolate(node, settings) if isinstance(node, str) else node


def interpolate(text: str, settings: Mapping[str, str]) -> str:
    """Fill the variables of one text in."""
    result, end = "", 0
    for start, stop in _spans(text):
        result += text[end:start].replace("$$", "$") + _value(variable(text[start + 2 : stop - 1]), settings)
        end = stop
    return result + text[end:].replace("$$", "$")


def expressions(text: str) -> list[str]:
    """Return the outermost ``${...}`` of a text, without the braces."""
    return [text[start + 2 : stop - 1] for start, stop in _spans(text)]


def variable(expression: str) -> re.Match[str]:
    """Split the text between the braces into name, operator and argument."""
    match = VARIABLE.fullmatch(expression)
    if match is None:
        raise InterpolationError(f"${{{expression}}} is not a variable")
    return match


def strings(node: object) -> Iterator[str]:
    """Yield every text value below a node."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for item in node.values() if isinstance(node, dict) else node:
            yield from strings(item)


def _value(match: re.Match[str], settings: Mapping[str, str]) -> str:
    value, argument = settings.get(match["name"], ""), match["argument"] or ""
    if match["operator"] == "?" and not value:
        raise InterpolationError(f"{match['name']} {argument}")
    if match["operator"] == ("+" if value else "-"):
        return interpolate(argument, settings)
    return value


def _spans(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while (start := text.find("$", position)) >= 0:
        if text.startswith("$$", start):
            position = start + 2
            continue
        if not text.startswith("${", start):
            raise InterpolationError(f"a $ without braces in {text!r}")
        depth, position = 1, start + 2
        while depth and position < len(text):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
        if depth:
            raise InterpolationError(f"a brace is not closed in {text!r}")
        yield start, position
