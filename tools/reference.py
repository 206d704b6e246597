"""The parts of the documents that are made from the code: ``python -m tools.reference`` regenerates them.

Each is between two comments, ``<!-- made by tools.reference: NAME -->`` and ``<!-- end -->``; a test
fails while one of them is not what the code says.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from local.stack.paths import REPOSITORY
from tools.api_page import api
from tools.decision_tables import looks, submit_rules
from tools.scenario_page import scenario_fields
from vertex_batch.pricing import SPEC_PRICE_KEYS
from vertex_batch.specs import TEMPLATE_DATES, json_schema
from vertex_batch.specs.budget import BudgetFields, LimitFields
from vertex_batch.specs.durations import DURATION_PATTERN
from vertex_batch.specs.jobs_key import ENTRY_KEYS, JOB_KEYS, JOBS, SPEC_KEYS
from vertex_batch.specs.matrix import MATRIX

DOCUMENTS = tuple(
    REPOSITORY / "docs" / name
    for name in ("specs.md", "budgets.md", "lifecycle.md", "api.md", "local-stack.md")
)
_PART = re.compile(r"(<!-- made by tools\.reference: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NUMBERS = {"integer": "whole number", "number": "number"}
_FIELDS = {**SPEC_KEYS, **ENTRY_KEYS}
_TEXTS = {"^(gs|bq)://": "URI", r"^\d{4}-": "day or moment"}


def fields() -> str:
    """Every key of a spec, as a table."""
    return _table(json_schema()["properties"])


def job_fields() -> str:
    """The keys that only a job below ``jobs`` has, as a table."""
    keys = json_schema()["$defs"]["job"]["properties"]
    return _table({name: schema for name, schema in keys.items() if name not in {**JOB_KEYS, MATRIX: None}})


def dates() -> str:
    """Every date name of a template, as a table."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in TEMPLATE_DATES.items()]
    return "\n".join(["| name | meaning |", "|---|---|", *rows]) + "\n"


def price_kinds() -> str:
    """The kinds that a spec may price. Those that also exist for long context are listed once."""
    long = "_long_context"
    names = [name for name in SPEC_PRICE_KEYS if not name.endswith(long)]
    both = [f"`{name}`" for name in names if f"{name}{long}" in SPEC_PRICE_KEYS]
    single = [f"`{name}`" for name in names if f"{name}{long}" not in SPEC_PRICE_KEYS]
    return f"{', '.join(both)}, each also with `{long}` at its end; {', '.join(single)}.\n"


def budget_fields() -> str:
    """The keys of a budget, as a table."""
    schema = BudgetFields.model_json_schema()["properties"]
    return _table(schema, BudgetFields.model_fields)


def limit_fields() -> str:
    """What may happen above an amount, as a table."""
    schema = LimitFields.model_json_schema()["properties"]
    return _table(schema, LimitFields.model_fields)


MAKERS: Mapping[str, Callable[[], str]] = {
    "fields": fields,
    "job_fields": job_fields,
    "dates": dates,
    "price_kinds": price_kinds,
    "submit_rules": submit_rules,
    "looks": looks,
    "budget_fields": budget_fields,
    "limit_fields": limit_fields,
    "api": api,
    "scenario_fields": scenario_fields,
}


def refreshed(text: str) -> str:
    """Return a document with all its made parts as the code says now."""
    return _PART.sub(lambda part: f"{part[1]}{MAKERS[part[2]]()}{part[3]}", text)


def main() -> int:
    """Write the documents."""
    for path in DOCUMENTS:
        path.write_text(refreshed(path.read_text()))
    return 0


def _table(keys: Mapping[str, Mapping[str, Any]], fields: Mapping[str, FieldInfo] = _FIELDS) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, schema in keys.items():
        cells = (f"`{name}`", _kind(schema), _default(name, schema, fields), schema["description"])
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _default(name: str, schema: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    if name in {JOBS, MATRIX}:
        return ""
    default = fields[name].default
    if name == "name":
        return "the file's name"
    if fields[name].is_required():
        return "**required**"
    if default is PydanticUndefined or default in (None, "", ()):
        return ""
    shown = schema["default"]
    return f"`{shown if isinstance(shown, str) else json.dumps(shown)}`"


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = list(dict.fromkeys(_kinds(schema)))
    return " or ".join(kinds)


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    choices = schema.get("anyOf")
    if choices and schema.get("type") is None:
        if any(choice.get("pattern") == DURATION_PATTERN for choice in choices):
            yield "duration"
            return
        for choice in choices:
            if choice.get("type") != "null":
                yield from _kinds(choice)
        return
    kind = schema.get("type")
    if kind == "boolean":
        yield "`true` or `false`"
    elif kind in _NUMBERS:
        yield f"{_NUMBERS[kind]}{_bounds(schema)}"
    elif kind == "array":
        yield f"list of {_kind(schema['items'])}s"
    elif kind == "object" or "$ref" in schema:
        yield "mapping"
    else:
        pattern = schema.get("pattern", "")
        yield next((name for start, name in _TEXTS.items() if pattern.startswith(start)), "text")


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is None:
        return "" if low is None else f", {low:g} or more"
    return f", {low:,.10g} to {high:,.10g}"


if __name__ == "__main__":
    sys.exit(main())
