"""The base classes of all errors, and the functions that keep keys out of messages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

MESSAGE_MAX_CHARS = 500

# LiteLLM keys, Google access tokens and API keys, JSON web tokens, and any word that follows "Bearer".
_SECRETS = re.compile(
    r"(?P<scheme>\bbearer\s+)[\w.~+/=-]{4,}"
    r"|\bsk-[\w-]{4,}"
    r"|\bya29\.[\w.-]+"
    r"|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)
_SECRET_MIN_CHARS = 4


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Write a number of things.

    >>> count_of(1, "row"), count_of(1234, "row"), count_of(2, "row is", "rows are")
    ('1 row', '1,234 rows', '2 rows are')

    :param plural: default: the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def scrub(text: str, secret: str = "") -> str:
    """Replace everything in a text that looks like a key, and the given key, by ``***``.

    Unprintable characters become spaces, so that no upstream server can write lines of its own into a log.
    """
    printable = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(secret) >= _SECRET_MIN_CHARS:
        for written in (secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe="")):
            printable = printable.replace(written, "***")
    return _SECRETS.sub(lambda match: (match["scheme"] or "") + "***", printable)


def quoted(text: str) -> str:
    """Put another program's message in double quotes; double quotes within it become single quotes."""
    return '"' + text.replace('"', "'") + '"'


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """Where a person can change the settings of the proxy; messages name these places.

    :param url: the address of the proxy, with scheme and TLS settings.
    :param key: the LiteLLM key.
    :param route_prefix: the path in front of ``/projects/...``.
    :param timeout: how long an answer may take.
    """

    url: str = "the connection's host, port, http or https, and `verify`"
    key: str = "the connection's password field"
    route_prefix: str = "the connection's extra `route_prefix`"
    timeout: str = "the connection's `timeout_seconds`"

    @classmethod
    def of_connection(cls, conn_id: str, variable: str = "") -> SettingsSource:
        """Point to an Airflow connection.

        :param variable: the environment variable that defines it; empty if it is defined elsewhere.
        """
        where = f"the environment variable {variable}" if variable else f"the connection {conn_id!r}"
        return cls(
            url=f"host, port, http or https, and `verify` in {where}",
            key=f"the password{'' if variable else ' field'} of {where}",
            route_prefix=f"the extra `route_prefix` of {where}",
            timeout=f"`timeout_seconds` in {where}",
        )

    @classmethod
    def of_command_line(cls, url: str, key_variable: str) -> SettingsSource:
        """Point to the option or environment variable with the URL, and to the variable with the key."""
        return cls(
            url=f"the URL in {url}",
            key=f"the environment variable {key_variable}",
            route_prefix="the option --route-prefix",
            timeout="the network between here and the proxy",
        )


def _restore(kind: type[VertexBatchError], args: tuple[Any, ...], state: dict[str, Any]) -> VertexBatchError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class VertexBatchError(Exception):
    """The base class of everything that this package raises on purpose."""

    others = ""
    """What became of others that were handled together with the one that failed, as sentences."""

    def __str__(self) -> str:
        return f"{super().__str__()} {self.others}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class PermanentError(VertexBatchError):
    """A retry fails the same way until a person changes something."""


class TransientError(VertexBatchError):
    """A retry may succeed."""


def passing_first(errors: Iterable[VertexBatchError]) -> VertexBatchError:
    """The error to raise for several: the first that a retry can pass, else the first."""
    return min(errors, key=lambda error: isinstance(error, PermanentError))


class ConfigurationError(PermanentError):
    """A connection or a setting is wrong. The message lists all of its problems at once.

    :param subject: what is wrong, such as "Connection litellm_default is not usable".
    :param problems: each with its remedy.
    """

    def __init__(self, subject: str, *problems: str) -> None:
        self.subject, self.problems = subject, problems
        super().__init__(f"{subject}: {'; '.join(problems)}." if problems else subject)
