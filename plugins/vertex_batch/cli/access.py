"""How a command reaches the proxy and the object store: options, the environment, or Airflow's connections.

A key comes from the environment or from a connection, never from an option: every user of a machine can read
the arguments of its processes.
"""

from __future__ import annotations

import argparse
import os
import re
from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from vertex_batch.cli.output import demo_hint
from vertex_batch.cli.paths import open_object_store
from vertex_batch.errors import ConfigurationError, SettingsSource
from vertex_batch.storage import ObjectStorage
from vertex_batch.vertex.client import DEFAULT_ROUTE_PREFIX, BatchClient, ProxyConfig
from vertex_batch.vertex.names import Place, missing_of

if TYPE_CHECKING:
    from vertex_batch.hooks.connection import ProxySettings

# The names that LiteLLM's own command line reads.
PROXY_VARIABLE, KEY_VARIABLE = "LITELLM_PROXY_URL", "LITELLM_PROXY_API_KEY"
DEFAULT_CONNECTION = "litellm_default"
_CONNECTION_ID = re.compile(r"[\w.-]*", re.ASCII)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options with which a command finds the proxy."""
    group = command.add_argument_group(
        "proxy",
        f"Without --proxy and ${PROXY_VARIABLE}, the spec's Airflow connection is used, as this environment"
        " defines it (for example in AIRFLOW_CONN_LITELLM_DEFAULT).",
    )
    group.add_argument(
        "--proxy",
        type=proxy_option,
        metavar="URL|ID",
        default=os.environ.get(PROXY_VARIABLE),
        help=f"the URL of the LiteLLM proxy (default: ${PROXY_VARIABLE}), with the key in ${KEY_VARIABLE}; or"
        " the id of an Airflow connection",
    )
    group.add_argument("--route-prefix", metavar="PATH", help="the proxy's path before /projects/...")
    group.add_argument("--project", metavar="ID", help="Google project, if the spec does not name one")
    group.add_argument("--location", metavar="NAME", help="location, if the spec does not name one")


class Access:
    """Opens the proxy and the object store when a command needs them."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._settings: dict[str, ProxySettings] = {}

    def settings(self, connection: str = DEFAULT_CONNECTION) -> ProxySettings:
        """Read the proxy's settings.

        :raises ConfigurationError: no proxy is configured, or its settings are not usable.
        """
        if connection not in self._settings:
            proxy = self._options.proxy or connection
            found = settings_of(proxy, self._options.route_prefix)
            if "://" in proxy:
                found = replace(found, project=self._options.project, location=self._options.location)
            self._settings[connection] = found
        return self._settings[connection]

    @property
    def names_proxy(self) -> bool:
        """Whether the user named a proxy, which therefore must be usable."""
        return bool(self._options.proxy)

    def client(self, connection: str = DEFAULT_CONNECTION) -> BatchClient:
        """Open a client; use it as a context manager."""
        return BatchClient(self.settings(connection).config)

    def place(self, project: str | None, location: str | None, connection: str = DEFAULT_CONNECTION) -> Place:
        """Complete a spec's project and location with the options, then with the connection.

        :raises ConfigurationError: project or location is not set anywhere.
        """
        project, location = project or self._options.project, location or self._options.location
        if not (project and location):
            settings = self.settings(connection)
            project, location = project or settings.project, location or settings.location
        if project and location:
            return Place(project, location)
        raise ConfigurationError(
            f"The {missing_of(project, location)} is not set. Nothing was submitted",
            "set it in the spec, with --project and --location, or as an extra of the connection",
        )


def proxy_option(text: str) -> str:
    """Check the form of a proxy that is given as an option or in the environment.

    :raises argparse.ArgumentTypeError: it is neither a URL nor the id of a connection. The text is left out:
        it may contain a password.
    """
    if "://" not in text and not _CONNECTION_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"neither a URL (http:// or https:// is missing) nor the id of an Airflow connection; set --proxy"
            f" or {PROXY_VARIABLE}"
        )
    return text


def default_proxy() -> str:
    """The proxy of a command that reads no spec, if none is named."""
    return os.environ.get(PROXY_VARIABLE) or DEFAULT_CONNECTION


def settings_of(proxy: str, route_prefix: str | None = None) -> ProxySettings:
    """Read the settings of a proxy.

    :param proxy: its URL, whose key is in the environment, or the id of an Airflow connection.
    :param route_prefix: of a URL: the proxy's path before ``/projects/...``.
    :raises ConfigurationError: they are missing, or not usable.
    """
    if "://" not in proxy:
        return airflow_settings(proxy)
    from vertex_batch.hooks.connection import ProxySettings  # noqa: PLC0415 - it takes Airflow's seconds

    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        # The URL is left out: it may contain a password.
        raise ConfigurationError("The key of the proxy is missing", f"set {KEY_VARIABLE} to the key")
    url_from = PROXY_VARIABLE if proxy == os.environ.get(PROXY_VARIABLE) else "--proxy"
    config = ProxyConfig(
        proxy,
        key,
        route_prefix=route_prefix or DEFAULT_ROUTE_PREFIX,
        source=SettingsSource.of_command_line(url_from, KEY_VARIABLE),
    )
    return ProxySettings(config, None, None)


def input_storage(connection: str) -> ObjectStorage:
    """Open the object store with its Airflow connection, if the environment has it, else as `bill` does."""
    if f"AIRFLOW_CONN_{connection.upper()}" in os.environ:
        from vertex_batch.hooks.storage import open_storage  # noqa: PLC0415 - it takes Airflow's seconds

        return open_storage(connection)
    return open_object_store()


def airflow_settings(connection: str) -> ProxySettings:
    """Read the proxy's settings from an Airflow connection.

    :raises ConfigurationError: it is not defined, or not usable.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    from vertex_batch.hooks.litellm import LiteLLMHook  # noqa: PLC0415 - it takes Airflow's seconds

    try:
        return LiteLLMHook(connection).settings()
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"No proxy configured: the Airflow connection {connection!r} is not defined in this environment",
            f"set {PROXY_VARIABLE} and {KEY_VARIABLE}, or AIRFLOW_CONN_{connection.upper()}",
            *demo_hint(),
        ) from error
