"""What Airflow is told about this package: its connection type and its links."""

from __future__ import annotations

from typing import Any

from vertex_batch import __version__

_OPTIONAL_TEXT = {"type": ["string", "null"]}
_OPTIONAL_SECONDS = {"type": ["number", "null"], "exclusiveMinimum": 0}


def get_provider_info() -> dict[str, Any]:
    """Describe the package in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-vertex-batch",
        "name": "Vertex AI batch through LiteLLM",
        "description": "Vertex AI batch prediction jobs through the LiteLLM proxy, billed to the cent.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "litellm",
                "hook-class-name": "vertex_batch.hooks.litellm.LiteLLMHook",
                "hook-name": "LiteLLM proxy",
                "conn-fields": _connection_fields(),
                "ui-field-behaviour": {
                    "hidden-fields": ["login"],
                    "relabeling": {
                        "host": "LiteLLM proxy URL",
                        "schema": "http or https",
                        "password": "LiteLLM virtual key",
                    },
                    "placeholders": {
                        "host": "http://litellm:4000",
                        "schema": "only if the host is a name, not a URL",
                        "port": "only if the host is a name, not a URL",
                        "password": "sk-...",
                    },
                },
            }
        ],
        "extra-links": ["vertex_batch.observability.links.ConsoleJobLink"],
    }


def _connection_fields() -> dict[str, Any]:
    return {
        "project": {
            "label": "Default project",
            "description": "The Google Cloud project id (not the number) as the proxy is configured with it.",
            "schema": _OPTIONAL_TEXT,
        },
        "location": {
            "label": "Default location",
            "description": "Such as us-central1, or global.",
            "schema": _OPTIONAL_TEXT,
        },
        "route_prefix": {
            "label": "Route prefix",
            "description": "/vertex_ai/v1 is built into the proxy; /v1 needs a pass-through route there.",
            "schema": {**_OPTIONAL_TEXT, "default": "/vertex_ai/v1"},
        },
        "verify": {
            "label": "Verify TLS",
            "description": "true, false, or the path of a PEM file with the authority to trust.",
            "schema": {**_OPTIONAL_TEXT, "default": "true"},
        },
        "timeout_seconds": {
            "label": "Timeout (seconds)",
            "description": "How long the proxy may be silent before an answer counts as lost.",
            "schema": {**_OPTIONAL_SECONDS, "default": 60},
        },
        "connect_timeout_seconds": {
            "label": "Connect timeout (seconds)",
            "description": "How long connecting to the proxy may take.",
            "schema": {**_OPTIONAL_SECONDS, "default": 10},
        },
    }
