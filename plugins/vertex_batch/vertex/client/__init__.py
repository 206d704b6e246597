"""Vertex AI batch prediction jobs through the LiteLLM proxy, over HTTP. Knows nothing of Airflow."""

from __future__ import annotations

from vertex_batch.vertex.client.answers import interpret
from vertex_batch.vertex.client.config import DEFAULT_ROUTE_PREFIX, ProxyConfig
from vertex_batch.vertex.client.requests import ApiRequest, RequestBuilder
from vertex_batch.vertex.client.shells import AsyncBatchClient, BatchClient, try_proxy
from vertex_batch.vertex.client.versions import find_version

__all__ = [
    "DEFAULT_ROUTE_PREFIX",
    "ApiRequest",
    "AsyncBatchClient",
    "BatchClient",
    "ProxyConfig",
    "RequestBuilder",
    "find_version",
    "interpret",
    "try_proxy",
]
