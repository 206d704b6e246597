"""The emulated job service of Vertex AI (``local/emulator``), as a process."""

from __future__ import annotations

import sys
from pathlib import Path

from local.stack.certificates import Certificates
from local.stack.ports import LOOPBACK
from local.stack.processes import Service, answers

PROJECT = "demo-project"
PROJECT_NUMBER = "100000000001"
LOCATION = "us-central1"


def emulator_service(
    *, port: int, tunnel_port: int, certificates: Certificates, storage_url: str, token: str, speed: float
) -> Service:
    """Describe the emulator.

    :param port: plain HTTP: the API, the token endpoint and the administration.
    :param tunnel_port: the CONNECT proxy behind which it speaks TLS as googleapis.com.
    :param token: a bearer token that is good for ever, beside those of the token endpoint.
    :param speed: what all durations are divided by; at 1 a job takes three and a half minutes.
    """
    command: list[str | Path] = [
        sys.executable,
        *("-m", "local.emulator", "--port", str(port), "--tls-port", str(tunnel_port)),
        *("--cert", certificates.certificate, "--key", certificates.key),
        *("--storage-url", storage_url, "--project", PROJECT, "--project-number", PROJECT_NUMBER),
        *("--static-token", token, "--speed", str(speed)),
        # Repeatable, ids included: a stack begins with an empty cost table.
        *("--seed", "0"),
    ]
    health = f"http://{LOOPBACK}:{port}/_admin/settings"
    return Service("emulator", command, answers(health), ready_within_seconds=120)
