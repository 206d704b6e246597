"""Airflow connections, as the objects that the operators use."""

from __future__ import annotations

from vertex_batch.hooks.cost_table import CostTableHook, cost_table_url
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import (
    InputStorage,
    check_inputs,
    check_output_bucket,
    open_filesystem,
    open_storage,
)

__all__ = [
    "CostTableHook",
    "InputStorage",
    "LiteLLMHook",
    "check_inputs",
    "check_output_bucket",
    "cost_table_url",
    "open_filesystem",
    "open_storage",
]
