"""Where the proxy is and how to talk to it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field, replace
from functools import cache
from urllib.parse import urlsplit

import httpx

from vertex_batch.errors import ConfigurationError, SettingsSource

DEFAULT_ROUTE_PREFIX = "/vertex_ai/v1"

_SEGMENTS = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_UNVERSIONED_BUILT_IN = re.compile(r"/vertex[_-]ai")
_POSITIVE = ("timeout_seconds", "connect_timeout_seconds", "max_tries")
_DAY_SECONDS = 86_400
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """How to reach a LiteLLM proxy. One `ConfigurationError` lists all problems of the settings.

    LiteLLM has a bug that no setting here can fix: on the built-in route it treats a path that contains
    ``stream``, such as that of a project called ``upstream-ml``, as a streaming call. It sends a read of such
    a path to Google with ``?alt=sse`` and a body.

    :param base_url: ``http://litellm:4000``; a path is allowed, for a proxy behind a gateway.
    :param api_key: the virtual key; sent as ``Authorization: Bearer``, never shown.
    :param route_prefix: what comes before ``/projects/...``. ``/vertex_ai/v1`` is LiteLLM's built-in route
        (``/vertex-ai/v1`` and ``/vertex_ai/v1beta1`` work too); ``/v1``, the form in LiteLLM's documentation,
        needs a pass-through route in the proxy's configuration.
    :param verify: whether to check the TLS certificate, or the path of a file with the authority to trust.
    :param timeout_seconds: how long the proxy may be silent before the answer counts as lost.
    :param max_tries: how often a repeatable call is sent at most. A create is always sent once.
    :param max_retry_wait_seconds: the longest pause between two tries, even if ``Retry-After`` is longer.
    :param source: where these settings can be changed; it is ignored when two configurations are compared.
    """

    base_url: str
    api_key: str = field(repr=False)
    route_prefix: str = DEFAULT_ROUTE_PREFIX
    verify: bool | str = True
    timeout_seconds: float = 60.0
    connect_timeout_seconds: float = 10.0
    max_tries: int = 4
    max_retry_wait_seconds: float = 60.0
    source: SettingsSource = field(default_factory=SettingsSource, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        prefix = "/" + "/".join(part for part in self.route_prefix.split("/") if part)
        object.__setattr__(self, "route_prefix", prefix.rstrip("/"))
        problems = [
            *_base_url_problems(self.base_url, self.source),
            *_key_problems(self.api_key, self.source),
            *_prefix_problems(self.route_prefix),
        ]
        numbers = {name: getattr(self, name) for name in _POSITIVE}
        problems += [
            f"{name} is {value}: use a number above 0, at most {_DAY_SECONDS}"
            for name, value in numbers.items()
            if not 0 < value <= _DAY_SECONDS
        ]
        if problems:
            raise ConfigurationError("The settings of the LiteLLM proxy are not usable", *problems)

    def with_short_timeouts(self, seconds: float, connect_seconds: float) -> ProxyConfig:
        """Return a copy for interactive use, such as a page: one try, with these time-outs at most."""
        return replace(
            self,
            max_tries=1,
            timeout_seconds=min(self.timeout_seconds, seconds),
            connect_timeout_seconds=min(self.connect_timeout_seconds, connect_seconds),
        )

    def tls(self) -> ssl.SSLContext | bool:
        """Return the TLS setting for httpx.

        :raises ConfigurationError: the file in `verify` cannot be read.
        """
        if isinstance(self.verify, bool):
            return self.verify and _usual_authorities()
        try:
            return ssl.create_default_context(cafile=self.verify)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                "The settings of the LiteLLM proxy are not usable",
                f"verify is {self.verify!r}, which contains no certificates ({error.strerror or error}):"
                " set the path of a PEM file, or true",
            ) from error


@cache
def _usual_authorities() -> ssl.SSLContext:
    # Reading them takes 60 ms: too long to block an event loop for each client.
    return httpx.create_ssl_context()


def _base_url_problems(url: str, source: SettingsSource) -> list[str]:
    # The URL itself is left out of messages if it may contain a password.
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return ["the base URL cannot be read: write http://HOST:PORT"]
    if parts.username is not None or parts.password is not None:
        return [f"the base URL contains a user or a password: put the key in {source.key}"]
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        return [f"the base URL is {url!r}: write http://HOST:PORT or https://HOST"]
    if parts.query or parts.fragment or re.search(r"\s", url):
        return [f"the base URL is {url!r}: write it without spaces, `?` and `#`"]
    return []


def _key_problems(key: str, source: SettingsSource) -> list[str]:
    if not key:
        return [f"the LiteLLM key is missing: put a virtual key in {source.key}"]
    if not _KEY.fullmatch(key):
        wrong = "the LiteLLM key has a space, a line break or a character that is not allowed in a header"
        return [f"{wrong}: paste it again into {source.key}"]
    return []


def _prefix_problems(prefix: str) -> list[str]:
    if not _SEGMENTS.fullmatch(prefix):
        return [f"route_prefix is {prefix!r}: write a plain path such as {DEFAULT_ROUTE_PREFIX}"]
    if _UNVERSIONED_BUILT_IN.fullmatch(prefix):
        return [f"route_prefix is {prefix!r}, for which the proxy has no credential: write {prefix}/v1"]
    if prefix.endswith("/projects"):
        fix = prefix.removesuffix("/projects") or DEFAULT_ROUTE_PREFIX
        return [f"route_prefix is {prefix!r}, but /projects is added automatically: write {fix}"]
    return []
