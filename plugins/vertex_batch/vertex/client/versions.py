"""The LiteLLM version that a proxy reports, and the versions known to be malicious."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

from vertex_batch.errors import ApiError

log = logging.getLogger(__name__)

VERSION_HEADER = "x-litellm-version"
# Releases on PyPI and GHCR that contained malicious code and were withdrawn.
MALICIOUS_VERSIONS = frozenset({"1.82.7", "1.82.8", "1.107.0"})
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})[\w.+-]{0,40}", re.ASCII)


_warned: set[tuple[str, str]] = set()


class ReadinessClient(Protocol):
    """The part of `BatchClient` that is needed here."""

    proxy_version: str

    def readiness(self, *, details: bool) -> Mapping[str, Any]: ...


def version_in(value: object) -> str:
    """Read a version from a header or an answer; empty if it is not a version."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else ""


def release(version: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version; None if it is not known."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def find_version(client: ReadinessClient) -> str:
    """Return the proxy's version: from an earlier answer, else from the proxy's readiness.

    LiteLLM 1.106 shows it only to admins, unless `allow_public_health_readiness_details` is set, and omits it
    from the answers of Vertex that it relays.

    :returns: the version; empty if the proxy does not report it.
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
    """Explain what to do about a proxy that runs a malicious release; empty if it does not."""
    if version not in MALICIOUS_VERSIONS:
        return ""
    return (
        f"The proxy at {base_url} reports LiteLLM {version}, a malicious release that has been withdrawn:"
        " stop the proxy, install another version, and replace every key and credential that it had access to"
    )


def warn_of_malicious(base_url: str, version: str) -> None:
    """Log a warning of a malicious release, once per proxy and process."""
    notice = malicious_notice(base_url, version)
    if notice and (base_url, version) not in _warned:
        _warned.add((base_url, version))
        log.warning("%s.", notice)


def note_version(headers: Mapping[str, str], base_url: str) -> str:
    """Read the version from an answer's headers, and warn of a malicious one.

    :returns: the version; empty if the answer does not contain it.
    """
    version = version_in(headers.get(VERSION_HEADER))
    warn_of_malicious(base_url, version)
    return version
