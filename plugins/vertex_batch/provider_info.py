"""Describes this package to Airflow: its connection type, its classes, its links and its settings."""

from __future__ import annotations

from typing import Any

from vertex_batch import __version__

_INTEGRATION = "Vertex AI batch prediction"
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_OPTIONAL_SECONDS = {"type": ["number", "null"], "exclusiveMinimum": 0}


def get_provider_info() -> dict[str, Any]:
    """Describe the package in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-vertex-batch",
        "name": "Vertex AI batch through LiteLLM",
        "description": "Vertex AI batch prediction jobs through the LiteLLM proxy, billed to the cent.",
        "versions": [__version__],
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["ai", "gcp", "llm"]}],
        "hooks": _modules("hooks.litellm", "hooks.cost_table", "hooks.storage", "hooks.bigquery"),
        "operators": _modules(
            "operators.adopt",
            "operators.announce",
            "operators.cancel",
            "operators.deliver",
            "operators.digest",
            "operators.plan",
            "operators.reap",
            "operators.recalculate",
            "operators.record",
            "operators.retry_rows",
            "operators.submit",
        ),
        "sensors": _modules("sensors.batch_job"),
        "triggers": _modules("triggers.batch_job"),
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
        "extra-links": [
            f"vertex_batch.observability.links.{name}"
            for name in ("ConsoleJobLink", "BillLink", "OutputLink", "DeliveryLink")
        ],
        "config": {
            "vertex_batch": {"description": "Vertex AI batch prediction jobs.", "options": _settings()}
        },
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"vertex_batch.{name}" for name in names]}]


def _settings() -> dict[str, Any]:
    """Describe the options of ``[vertex_batch]``. docs/settings.md lists them for people."""
    return {
        "deployment": _setting(
            "Name of this Airflow, which is part of the labels by which its jobs are found again. Set it"
            " where two installations share a Google project, and do not change it while jobs run. Default:"
            " the base URL of the API server. Where that is an address such as localhost, the reaper cancels"
            " nothing.",
            example="batch-production",
        ),
        "look_seconds": _setting(
            "How many seconds a job is looked for, after the answer to its creation was lost, before the"
            " request is sent again. It must cover the proxy's own timeout.",
            kind="float",
            example="600",
            default="180.0",
        ),
        "digest_notifier": _setting(
            "Import path of the Airflow notifier that sends the daily digest. Default: the digest is only"
            " in the task's log.",
            example="airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        ),
        "digest_arguments": _setting(
            "Arguments of that notifier, as a JSON object. {{ digest }} stands for the text.",
            example='{"to": "team@example.com", "html_content": "<pre>{{ digest | e }}</pre>"}',
        ),
    }


def _setting(
    description: str, *, example: str, kind: str = "string", default: str | None = None
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
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
