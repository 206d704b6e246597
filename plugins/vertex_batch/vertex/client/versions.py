"""Which LiteLLM a proxy runs, as it says itself, and what is known of some versions."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

from vertex_batch.errors import ApiError

log = logging.getLogger(__name__)

VERSION_HEADER = "x-litellm-version"
# Releases on PyPI and GHCR that carried foreign code, and were removed there.
MALICIOUS_VERSIONS = frozenset({"1.82.7", "1.82.8", "1.107.0"})
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})[\w.+-]{0,40}", re.ASCII)


_warned: set[tuple[str, str]] = set()


class ReadinessClient(Protocol):
    """What is needed of `BatchClient`."""

    proxy_version: str

    def readiness(self, *, details: bool) -> Mapping[str, Any]: ...


def version_in(value: object) -> str:
    """Read a version from a header or an answer; empty: it is not one."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else ""


def release(version: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version; None: it is not known."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def find_version(client: ReadinessClient) -> str:
    """Return the proxy's version: as an answer has named it, else as the proxy's readiness does.

    LiteLLM 1.106 shows it to admins only, unless `allow_public_health_readiness_details` is set, and does not
    name it in the answers of Vertex that it relays.

    :returns: empty: the proxy does not say.
    """
    for details in (False, True):
        if not client.proxy_version:
            try:
                answer = client.readiness(details=details)
            except ApiError:
                continue
            client.proxy_version = version_in(answer.get("litellm_version"))
    return client.proxy_version


def malicious_notice(base_url: str, version: str) -> str:
    """Say what to do about a proxy that runs a malicious release; empty: it does not."""
    if version not in MALICIOUS_VERSIONS:
        return ""
    return (
        f"The proxy at {base_url} reports LiteLLM {version}, a malicious release that has been withdrawn:"
        " stop the proxy, install another version, and replace every key and credential that it has had"
    )


def warn_of_malicious(base_url: str, version: str) -> None:
    """Log a warning of a malicious release, once per proxy and process."""
    notice = malicious_notice(base_url, version)
    if notice and (base_url, version) not in _warned:
        _warned.add((base_url, version))
        log.warning("%s.", notice)


def note_version(headers: Mapping[str, str], base_url: str) -> str:
    """Read the version from an answer's headers, and warn of a malicious one.

    :returns: the version; empty: the answer does not say.
    """
    version = version_in(headers.get(VERSION_HEADER))
    warn_of_malicious(base_url, version)
    return version
