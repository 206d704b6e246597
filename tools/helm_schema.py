"""Reduce the schema of Airflow's Helm chart to what our values use: ``python -m tools.helm_schema FOLDER``.

The chart's ``values.schema.json`` is 800 kB and not part of this repository. The reduced schema knows the
keys that ``deploy/kubernetes/values*.yaml`` set, with their types, and refuses every other key. Run this
again after a change of those files, with the newest chart unpacked (``helm pull apache-airflow/airflow
--untar``): it first validates them against the complete schema.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "deploy" / "kubernetes"
REDUCED = ROOT / "tests" / "data" / "helm-values.schema.json"
# What says of which form a value is. Descriptions, defaults and examples are left out.
KEPT = ("type", "enum", "pattern", "required", "anyOf", "oneOf")


class UnknownKeyError(ValueError):
    """The chart has no such key."""


def load_values() -> dict[str, Any]:
    """Return the values of each file by its name."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(VALUES.glob("values*.yaml"))}


def problems(schema: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Return what a schema has against the values, with the place of each."""
    validator = jsonschema.Draft7Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(values)]


def reduced(schema: Mapping[str, Any], root: Mapping[str, Any], used: Iterable[Any], at: str = "") -> Any:
    """Return the part of a schema that is about the values.

    :param root: the complete schema, where references lead.
    :param used: all values that are set at this place.
    :param at: the place, for the error.
    :raises UnknownKeyError: a key is not in the schema, and the schema allows no others.
    """
    if reference := schema.get("$ref"):
        schema = {**root["definitions"][reference.removeprefix("#/definitions/")], **schema}
    result = {key: schema[key] for key in KEPT if key in schema and "$ref" not in json.dumps(schema[key])}
    used = list(used)
    objects = [value for value in used if isinstance(value, dict)]
    if objects and "properties" in schema:
        result["properties"] = {}
        for key in sorted({key for value in objects for key in value}):
            if key not in schema["properties"]:
                raise UnknownKeyError(f"{at}.{key} is not a value of the chart")
            below = [value[key] for value in objects if key in value]
            result["properties"][key] = reduced(schema["properties"][key], root, below, f"{at}.{key}")
        result["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        of_each = [each for value in objects for each in value.values()]
        result["additionalProperties"] = reduced(schema["additionalProperties"], root, of_each, f"{at}.*")
    items = [item for value in used if isinstance(value, list) for item in value]
    if items and isinstance(schema.get("items"), dict):
        result["items"] = reduced(schema["items"], root, items, f"{at}[]")
    return result


def main() -> int:
    """Validate the values against the chart in a folder, and write the reduced schema."""
    parser = argparse.ArgumentParser(prog="python -m tools.helm_schema", description=__doc__)
    parser.add_argument("chart", type=Path, help="folder with the chart's values.schema.json and Chart.yaml")
    folder = parser.parse_args().chart
    schema = json.loads((folder / "values.schema.json").read_text())
    version = yaml.safe_load((folder / "Chart.yaml").read_text())["version"]
    values = load_values()
    found = [f"{name}: {problem}" for name, each in values.items() for problem in problems(schema, each)]
    if found:
        print("\n".join(found))
        return 1
    source = f"the keys used here of values.schema.json in Apache Airflow's Helm chart {version}, Apache-2.0"
    content = {"$comment": source, **reduced(schema, schema, values.values())}
    REDUCED.write_text(json.dumps(content, indent=1) + "\n")
    print(f"{REDUCED.relative_to(ROOT)}: written from chart {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
