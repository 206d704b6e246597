"""The real LiteLLM proxy, in its own environment, with Google's host names led to the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.stack.certificates import Certificates
from local.stack.paths import PROXY_BIN, REPOSITORY
from local.stack.ports import LOOPBACK
from local.stack.processes import Service, answers

CONFIG = REPOSITORY / "local" / "proxy" / "config.yaml"


@dataclass(frozen=True)
class GoogleStandIn:
    """Where the emulated Google is, and what the proxy shows there as its identity.

    :param url: the emulator's plain address; the generic pass-through goes there.
    :param tunnel_url: the emulator's CONNECT proxy, behind which it answers as googleapis.com.
    :param token: what the generic pass-through shows; the built-in route fetches tokens of its own.
    """

    url: str
    tunnel_url: str
    token: str
    project: str
    location: str
    certificates: Certificates
    service_account: Path


def proxy_service(
    *,
    home: Path,
    port: int,
    master_key: str,
    google: GoogleStandIn,
    database: Mapping[str, str] | None = None,
) -> Service:
    """Describe the proxy. Only this process believes that the emulator is Google.

    :param home: a folder of the proxy's own. LiteLLM imports first from two folders above its working
        directory, which is therefore two folders below this one.
    :param database: the environment variables for its database, if it has one.
    """
    environment = {
        "LITELLM_MASTER_KEY": master_key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the packaged price map, not a download at the start
        "VERTEX_PROJECT": google.project,
        "VERTEX_LOCATION": google.location,
        "VERTEX_CREDENTIALS": str(google.service_account),
        "VERTEX_GENERIC_TARGET": f"{google.url}/v1/projects",
        "VERTEX_GENERIC_AUTHORIZATION": f"Bearer {google.token}",
        "HTTPS_PROXY": google.tunnel_url,
        "NO_PROXY": f"{LOOPBACK},localhost",
        "SSL_CERT_FILE": str(google.certificates.authority),
        **(database or {}),
    }
    command: list[str | Path] = [
        PROXY_BIN / "litellm",
        *("--config", CONFIG, "--host", LOOPBACK, "--port", str(port), "--telemetry", "False"),
    ]
    health = f"http://{LOOPBACK}:{port}/health/liveliness"
    return Service(
        "proxy",
        command,
        answers(health),
        environment,
        ready_within_seconds=300,
        folder=home / "working" / "here",
    )
