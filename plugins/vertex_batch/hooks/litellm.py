"""The LiteLLM proxy, as an Airflow connection."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseHook
from airflow.sdk.log import amask_secret, mask_secret

from vertex_batch.errors import VertexBatchError, scrub
from vertex_batch.hooks.connection import ProxySettings, read_settings
from vertex_batch.hooks.diagnosis import diagnose
from vertex_batch.vertex.client import AsyncBatchClient, BatchClient, ProxyConfig


class LiteLLMHook(BaseHook):
    """Opens clients for Vertex AI batch prediction jobs through a LiteLLM proxy.

    In the connection, ``host`` is a URL (``http://litellm:4000``), or a name combined with ``schema`` and
    ``port``; ``password`` is the virtual key; the extras are ``route_prefix``, ``project``, ``location``,
    ``verify``, ``timeout_seconds`` and ``connect_timeout_seconds``. Each hook reads it once.

    In a trigger, ``on_kill`` included, use the methods that begin with ``a``: there, Airflow serves
    connections to the event loop only.

    :param litellm_conn_id: the connection, of type ``litellm``.
    """

    conn_name_attr: ClassVar[str] = "litellm_conn_id"
    default_conn_name: ClassVar[str] = "litellm_default"
    conn_type: ClassVar[str] = "litellm"
    hook_name: ClassVar[str] = "LiteLLM proxy"

    def __init__(self, litellm_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.litellm_conn_id = litellm_conn_id
        self._settings: ProxySettings | None = None

    def settings(self) -> ProxySettings:
        """Read the connection.

        :raises ConfigurationError: names everything that is missing or wrong.
        """
        if self._settings is None:
            connection = self.get_connection(self.litellm_conn_id)
            if connection.password:
                mask_secret(connection.password.strip())
            self._settings = read_settings(connection, connection.extra_dejson)
        return self._settings

    async def asettings(self) -> ProxySettings:
        """Read the connection, in the event loop."""
        if self._settings is None:
            connection = await self.aget_connection(self.litellm_conn_id)
            if connection.password:
                await amask_secret(connection.password.strip())
            self._settings = read_settings(connection, await connection.aextra_dejson())
        return self._settings

    def config(self) -> ProxyConfig:
        """Return where the proxy is and how to talk to it."""
        return self.settings().config

    @property
    def default_project(self) -> str | None:
        return self.settings().project

    @property
    def default_location(self) -> str | None:
        return self.settings().location

    def client(self) -> BatchClient:
        """Open a client; use it as a context manager."""
        return BatchClient(self.config())

    async def aclient(self) -> AsyncBatchClient:
        """Open a client for the event loop; use it as an asynchronous context manager."""
        return AsyncBatchClient((await self.asettings()).config)

    def get_conn(self) -> BatchClient:
        """Open a client, under the name that Airflow's hooks give it."""
        return self.client()

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection for the Test button. Never raises and never shows the key."""
        try:
            return diagnose(self.settings())
        except VertexBatchError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - the form shows the return value only
            return False, scrub(f"{type(error).__name__}: {error}")
