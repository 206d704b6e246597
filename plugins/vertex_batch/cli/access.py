"""How a command reaches the proxy and the object store: options, the environment, or Airflow's connections.

A key comes from the environment or from a connection, never from an option: the arguments of a process can
be read by everybody on its machine.
"""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError, SettingsSource
from vertex_batch.storage import named, quiet_libraries
from vertex_batch.vertex.place import Place, missing_of

if TYPE_CHECKING:
    from vertex_batch.hooks.connection import ProxySettings
    from vertex_batch.hooks.storage import InputStorage
    from vertex_batch.vertex.client import BatchClient

# The names that LiteLLM's own command line reads.
PROXY_VARIABLE, KEY_VARIABLE = "LITELLM_PROXY_URL", "LITELLM_PROXY_API_KEY"
DEFAULT_CONNECTION = "litellm_default"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options by which a command finds the proxy."""
    group = command.add_argument_group(
        "proxy",
        f"Without --proxy and ${PROXY_VARIABLE}, the Airflow connection of the spec is used, as this"
        " environment defines it (AIRFLOW_CONN_LITELLM_DEFAULT, say).",
    )
    group.add_argument(
        "--proxy",
        metavar="URL|ID",
        default=os.environ.get(PROXY_VARIABLE),
        help=f"the LiteLLM proxy (default: ${PROXY_VARIABLE}), whose key is read from ${KEY_VARIABLE}; or an"
        " Airflow connection",
    )
    group.add_argument("--route-prefix", metavar="PATH", help="what comes before /projects/... there")
    group.add_argument("--project", metavar="ID", help="Google project of a spec that names none")
    group.add_argument("--location", metavar="NAME", help="location of a spec that names none")


class Access:
    """Opens what a command needs, when it needs it."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._settings: dict[str, ProxySettings] = {}

    def settings(self, connection: str = DEFAULT_CONNECTION) -> ProxySettings:
        """Read where the proxy is.

        :raises ConfigurationError: it is not set anywhere, or it is not usable.
        """
        if connection not in self._settings:
            proxy = self._options.proxy or connection
            found = self._of_options() if "://" in proxy else _of_airflow(proxy)
            self._settings[connection] = found
        return self._settings[connection]

    def client(self, connection: str = DEFAULT_CONNECTION) -> BatchClient:
        """Open a client; use it as a context manager."""
        from vertex_batch.vertex.client import BatchClient  # noqa: PLC0415 - so that `validate` is quick

        return BatchClient(self.settings(connection).config)

    def place(self, project: str | None, location: str | None, connection: str = DEFAULT_CONNECTION) -> Place:
        """Complete what a spec says, by the options, then by the connection.

        :raises ConfigurationError: project or location is set nowhere.
        """
        project, location = project or self._options.project, location or self._options.location
        if not (project and location):
            settings = self.settings(connection)
            project, location = project or settings.project, location or settings.location
        if project and location:
            return Place(project, location)
        raise ConfigurationError(
            f"The {missing_of(project, location)} is not known. Nothing was submitted",
            "set it in the spec, with --project and --location, or as an extra of the connection",
        )

    def _of_options(self) -> ProxySettings:
        from vertex_batch.hooks.connection import ProxySettings  # noqa: PLC0415
        from vertex_batch.vertex.client import DEFAULT_ROUTE_PREFIX, ProxyConfig  # noqa: PLC0415

        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise ConfigurationError(
                f"The proxy is {self._options.proxy}, but its key is missing", f"set {KEY_VARIABLE} to it"
            )
        url_from = PROXY_VARIABLE if self._options.proxy == os.environ.get(PROXY_VARIABLE) else "--proxy"
        config = ProxyConfig(
            self._options.proxy,
            key,
            route_prefix=self._options.route_prefix or DEFAULT_ROUTE_PREFIX,
            source=SettingsSource.of_command_line(url_from, KEY_VARIABLE),
        )
        return ProxySettings(config, self._options.project, self._options.location)


def open_storage(connection: str) -> Any:
    """Open the object store: by its Airflow connection if the environment has it, else as Google's tools do.

    :returns: an fsspec file system.
    """
    quiet_libraries()
    if f"AIRFLOW_CONN_{connection.upper()}" in os.environ:
        from vertex_batch.hooks.storage import open_filesystem  # noqa: PLC0415 - it takes Airflow's seconds

        return open_filesystem(connection)
    from vertex_batch.usage.places import open_object_store  # noqa: PLC0415

    with named("the credentials", connection):
        return open_object_store()


def input_storage(connection: str) -> InputStorage:
    """Open the object store with a job's inputs, for a pre-flight."""
    from vertex_batch.hooks.storage import InputStorage  # noqa: PLC0415

    return InputStorage(open_storage(connection), connection)


def _of_airflow(connection: str) -> ProxySettings:
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    from vertex_batch.hooks.litellm import LiteLLMHook  # noqa: PLC0415 - it takes Airflow's seconds

    try:
        return LiteLLMHook(connection).settings()
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"Where the proxy is, is not set: the Airflow connection {connection!r} is not defined here",
            f"set {PROXY_VARIABLE} and {KEY_VARIABLE}, or AIRFLOW_CONN_{connection.upper()}",
        ) from error
