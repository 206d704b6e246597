"""The settings in an Airflow connection of type ``litellm``, as plain data. Nothing here calls Airflow."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vertex_batch.errors import ConfigurationError, SettingsSource
from vertex_batch.vertex.client import DEFAULT_ROUTE_PREFIX, ProxyConfig

if TYPE_CHECKING:
    from airflow.sdk import Connection

HTTPS_PORT = 443
KNOWN_EXTRAS = frozenset(
    {"route_prefix", "project", "location", "verify", "timeout_seconds", "connect_timeout_seconds"}
)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The settings in a connection.

    :param project: the default project; None if the connection has none.
    :param location: the default location; likewise.
    :param unknown_extras: extras that are ignored, such as misspelled ones.
    """

    config: ProxyConfig
    project: str | None
    location: str | None
    unknown_extras: tuple[str, ...] = ()


def read_settings(connection: Connection, extras: Mapping[str, object]) -> ProxySettings:
    """Read a connection.

    :param connection: an Airflow connection. Its host, schema, port, login and password are read.
    :param extras: its extras, parsed.
    :raises ConfigurationError: names everything that is missing or wrong.
    """
    given = {name: value for name, value in extras.items() if value not in (None, "")}
    problems: list[str] = []
    conn_id = str(connection.conn_id)
    # Airflow's default search looks in the environment before it looks in its database.
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    source = SettingsSource.of_connection(conn_id, variable if variable in os.environ else "")
    if connection.login and not connection.password:
        problems.append(f"the login is set but ignored: put the key in {source.key}")
    fields: dict[str, Any] = {
        "base_url": _base_url(connection, problems),
        "api_key": (connection.password or "").strip(),
        "route_prefix": str(given.get("route_prefix", DEFAULT_ROUTE_PREFIX)),
        "verify": _verify(given.get("verify", True)),
        "source": source,
    }
    for name in ("timeout_seconds", "connect_timeout_seconds"):
        if name in given:
            fields[name] = _seconds(name, given[name], problems)
    try:
        config = ProxyConfig(**fields)
    except ConfigurationError as error:
        # If the host is wrong, do not also report the URL that was built from it.
        about_host = any(problem.startswith("the host") for problem in problems)
        problems += [p for p in error.problems if not (about_host and p.startswith("the base URL"))]
    if problems:
        raise ConfigurationError(f"Connection {connection.conn_id!r} is not usable", *problems)
    return ProxySettings(
        config,
        _text(given.get("project")),
        _text(given.get("location")),
        tuple(sorted(extras.keys() - KNOWN_EXTRAS)),
    )


def _base_url(connection: Connection, problems: list[str]) -> str:
    """Combine host, schema and port. The host may be a complete URL or only a name."""
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        problems.append("the host is missing: write http://litellm:4000")
        return ""
    if "://" not in host:
        usual = "https" if connection.port == HTTPS_PORT else "http"
        host = f"{connection.schema or usual}://{_bracketed(host)}"
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        return host
    if not connection.port or port == connection.port or parts.username is not None:
        return host
    if port is not None:
        problems.append(
            f"the host has port {port}, but the port field has {connection.port}: remove one of them"
        )
        return host
    return parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host  # noqa: PLR2004 - IPv6
    except ValueError:
        return host


def _verify(value: object) -> bool | str:
    text = str(value).strip()
    return {"true": True, "false": False}.get(text.lower(), text)


def _seconds(name: str, value: Any, problems: list[str]) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        problems.append(f"{name} is {value!r}, but must be a number of seconds")
        return 1.0


def _text(value: object) -> str | None:
    return str(value).strip() if value is not None else None
