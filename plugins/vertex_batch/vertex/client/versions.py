"""Find the LiteLLM version that a proxy reports, and warn of a malicious one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from vertex_batch.errors import ApiError
from vertex_batch.vertex.proxy_versions import malicious_notice, version_in

log = logging.getLogger(__name__)

VERSION_HEADER = "x-litellm-version"

_warned: set[tuple[str, str]] = set()


class ReadinessClient(Protocol):
    """The part of `BatchClient` that is needed here."""

    proxy_version: str

    def readiness(self, *, details: bool) -> Mapping[str, object]: ...


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
