"""Nightly LLM batches on Vertex AI through the LiteLLM proxy: run by Airflow, billed to the cent."""

__version__ = "0.1.0"
