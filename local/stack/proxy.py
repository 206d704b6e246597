"""The real LiteLLM proxy, in its own environment, with Google's host names led to the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from local.stack.certificates import Certificates
from local.stack.emulator import LOCATION, PROJECT
from local.stack.paths import PROXY_BIN, REPOSITORY
from local.stack.ports import LOOPBACK
from local.stack.processes import Service, answers

CONFIG = REPOSITORY / "local" / "proxy" / "config.yaml"


def proxy_service(
    *,
    home: Path,
    port: int,
    master_key: str,
    google_url: str,
    tunnel_url: str,
    token: str,
    certificates: Certificates,
    service_account: Path,
    database: Mapping[str, str] | None = None,
) -> Service:
    """Describe the proxy. Only this process believes that the emulator is Google.

    :param home: a folder of the proxy's own. LiteLLM imports first from two folders above its working
        directory, which is therefore two folders below this one.
    :param google_url: the emulator's plain address; the generic pass-through goes there.
    :param tunnel_url: the emulator's CONNECT proxy, behind which it answers as googleapis.com.
    :param token: what the generic pass-through shows; the built-in route fetches tokens of its own.
    :param database: the environment variables for its database, if it has one.
    """
    environment = {
        "LITELLM_MASTER_KEY": master_key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the packaged price map, not a download at the start
        "VERTEX_PROJECT": PROJECT,
        "VERTEX_LOCATION": LOCATION,
        "VERTEX_CREDENTIALS": str(service_account),
        "VERTEX_GENERIC_TARGET": f"{google_url}/v1/projects",
        "VERTEX_GENERIC_AUTHORIZATION": f"Bearer {token}",
        "HTTPS_PROXY": tunnel_url,
        "NO_PROXY": f"{LOOPBACK},localhost",
        "SSL_CERT_FILE": str(certificates.authority),
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
