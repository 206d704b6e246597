"""Import what tasks need before a process of Airflow forks for each of them: most of a short task's time.

A module `airflow_local_settings` that imports this one is enough; Airflow imports it when a process starts.
Only a Celery worker, a scheduler (for its LocalExecutor) and a DAG processor import more than this module.
"""

from __future__ import annotations

import sys
from contextlib import suppress

FORKING = frozenset({"celery", "scheduler", "dag-processor"})
"""The subcommands of ``airflow`` whose processes fork."""

if FORKING & set(sys.argv):
    # What is broken fails the tasks that need it, with the reason, and not the process that serves all DAGs.
    with suppress(ImportError):
        import gcsfs
        from airflow.providers.google.cloud.hooks import gcs

        from vertex_batch import dags

        __all__ = ["dags", "gcs", "gcsfs"]
