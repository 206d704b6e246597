"""Vertex AI batch prediction jobs through the LiteLLM proxy, over HTTP. Knows nothing of Airflow."""

from __future__ import annotations

from vertex_batch.vertex.client.clients import AsyncBatchClient as AsyncBatchClient
from vertex_batch.vertex.client.clients import BatchClient as BatchClient
from vertex_batch.vertex.client.clients import try_proxy as try_proxy
from vertex_batch.vertex.client.config import DEFAULT_ROUTE_PREFIX as DEFAULT_ROUTE_PREFIX
from vertex_batch.vertex.client.config import ProxyConfig as ProxyConfig
from vertex_batch.vertex.client.versions import find_version as find_version
