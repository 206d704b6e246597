"""The Airflow DAGs of the package. A DAG file of two lines imports one of these functions and calls it."""

from __future__ import annotations

from vertex_batch.dags.adopt import adopt_dag
from vertex_batch.dags.cancel import cancel_dag
from vertex_batch.dags.digest import digest_dag
from vertex_batch.dags.reap import reap_dag
from vertex_batch.dags.recorded import recount_dag, reprice_dag
from vertex_batch.dags.specs import spec_dags, spec_errors

__all__ = [
    "adopt_dag",
    "cancel_dag",
    "digest_dag",
    "reap_dag",
    "recount_dag",
    "reprice_dag",
    "spec_dags",
    "spec_errors",
]
