"""The message types of rows, for the pre-flight and the emulator: ``python -m tools.request_types``.

They come from the two Vertex discovery documents of the installed google-api-python-client. A field that
only v1beta1 has is among them, since rows may be served by either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import googleapiclient.discovery_cache

from local.stack.paths import REPOSITORY

FILE = REPOSITORY / "plugins/vertex_batch/preflight/request_types.json"
ROOTS = ("GenerateContentRequest", "EmbedContentRequest")
_PREFIXES = {"v1beta1": "GoogleCloudAiplatformV1beta1", "v1": "GoogleCloudAiplatformV1"}


def request_types() -> dict[str, Any]:
    """The types by name, each field as ``string``, ``repeated Content``, ``map Schema`` or ``enum A|B``."""
    types: dict[str, dict[str, str]] = {}
    revision = ""
    for version, prefix in _PREFIXES.items():
        document = _document(version)
        revision = document["revision"]
        for name, fields in _reachable(document["schemas"], prefix).items():
            types[name] = {**types.get(name, {}), **fields}
    return {"revision": revision, "types": types}


def text() -> str:
    """What the file holds."""
    return json.dumps(request_types(), indent=1, sort_keys=True) + "\n"


def _document(version: str) -> dict[str, Any]:
    folder = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
    document: dict[str, Any] = json.loads((folder / f"aiplatform.{version}.json").read_text())
    return document


def _reachable(schemas: dict[str, Any], prefix: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    open_names = list(ROOTS)
    while open_names:
        name = open_names.pop()
        schema = schemas.get(f"{prefix}{name}") or schemas.get(name)
        if schema is None or name in found:
            continue
        properties = schema.get("properties", {})
        found[name] = {field: _type(described, prefix) for field, described in properties.items()}
        open_names += [kind.split()[-1] for kind in found[name].values()]
    return found


def _type(described: dict[str, Any], prefix: str) -> str:
    if "$ref" in described:
        return str(described["$ref"]).removeprefix(prefix)
    if described.get("type") == "array":
        return f"repeated {_type(described['items'], prefix)}"
    if described.get("type") == "object" and "additionalProperties" in described:
        return f"map {_type(described['additionalProperties'], prefix)}"
    if "enum" in described:
        return f"enum {'|'.join(described['enum'])}"
    kind = str(described.get("format") or described["type"])
    return "any" if kind == "object" else kind


if __name__ == "__main__":
    FILE.write_text(text())
