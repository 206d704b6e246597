"""The no-cloud stack: real Airflow, real LiteLLM proxy, a real object store, and an emulated Vertex AI.

Nothing in it leaves the loopback interface, and nothing it starts outlives it.
"""

from local.stack.processes import StackError
from local.stack.stack import Stack, StackOptions

__all__ = ["Stack", "StackError", "StackOptions"]
