"""Airflow connections, as the objects that the operators use."""

from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.litellm import LiteLLMHook

__all__ = ["CostTableHook", "LiteLLMHook"]
