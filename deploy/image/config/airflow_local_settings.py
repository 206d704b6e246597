"""Airflow imports this when a process starts."""  # noqa: INP001

import vertex_batch.preload  # noqa: F401 - workers import the package once, not once for each task
