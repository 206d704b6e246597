"""What is known about LiteLLM's releases: which are malicious, and which have security flaws. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

# Releases on PyPI and GHCR that contained malicious code and were withdrawn.
MALICIOUS_VERSIONS = frozenset({"1.82.7", "1.82.8", "1.107.0"})
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?[\w.+-]{0,40}", re.ASCII)


class SecurityFlaw(NamedTuple):
    """A published security flaw of the proxy that a holder of a key, or any caller, can use.

    :param cve: its id.
    :param what: what it allows.
    :param fixed_in: the first version without it; None if no such version is known.
    """

    cve: str
    what: str
    fixed_in: tuple[int, int, int] | None

    def __str__(self) -> str:
        fix = "no version is known to fix it"
        if self.fixed_in:
            fix = f"fixed in {'.'.join(map(str, self.fixed_in))}"
        return f"{self.cve} ({self.what}; {fix})"


FLAWS = (
    SecurityFlaw("CVE-2026-42208", "SQL injection without a key", (1, 83, 7)),
    SecurityFlaw("CVE-2026-47101", "any user can make a key for admin routes", (1, 83, 14)),
    SecurityFlaw("CVE-2026-49468", "a forged Host header bypasses the key check", (1, 84, 0)),
    SecurityFlaw("CVE-2026-114612", "a user can become proxy admin", None),
)


def version_in(value: object) -> str:
    """Read a version from a header or an answer; empty if it is not a version."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else ""


def release(version: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version; None if it is not known."""
    numbers = _numbers(version)
    return numbers[:2] if numbers else None


def flaws_of(version: str) -> list[SecurityFlaw]:
    """Return the known flaws that a version may have; none if the version is not known.

    A flaw without a known fix is returned for every version.
    """
    numbers = _numbers(version)
    return [each for each in FLAWS if numbers and (each.fixed_in is None or numbers < each.fixed_in)]


def malicious_notice(base_url: str, version: str) -> str:
    """Explain what to do about a proxy that runs a malicious release; empty if it does not."""
    if version not in MALICIOUS_VERSIONS:
        return ""
    return (
        f"The proxy at {base_url} reports LiteLLM {version}, a malicious release that has been withdrawn:"
        " stop the proxy, install another version, and replace every key and credential that it had access to"
    )


def _numbers(version: str) -> tuple[int, int, int] | None:
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
