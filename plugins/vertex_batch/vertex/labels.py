"""The labels of a job: those by which this project finds its jobs again, and the room for all others.

Jobs of earlier versions carry the same keys, so a key never changes. Their prefixes are reserved: neither a
spec nor the trigger form may set such labels.
"""

from __future__ import annotations

from collections.abc import Collection

MANAGED_BY_LABEL = "managed_by"
MANAGED_BY = "vertex-batch"
IDEMPOTENCY_KEY_LABEL = "airflow_job_key"
TASK_KEY_LABEL = "airflow_task_key"
GROUP_KEY_LABEL = "airflow_group_key"
MAP_INDEX_LABEL = "airflow_map_index"
REQUEST_LABEL = "airflow_request"
ATTEMPT_LABEL = "airflow_attempt"
DEPLOYMENT_LABEL = "airflow_deployment"
SPEC_LABEL = "airflow_spec"
DAG_LABEL = "airflow_dag"
RUN_LABEL = "airflow_run"
TASK_LABEL = "airflow_task"
SHARD_LABEL = "airflow_shard"
SAMPLE_LABEL = "airflow_sample"
RETRY_LABEL = "airflow_retry_round"
RETRY_OF_LABEL = "airflow_retry_of"
"""The key of the submit task, in another run, whose rows a job runs again."""

OUR_LABELS = frozenset(
    {
        MANAGED_BY_LABEL,
        IDEMPOTENCY_KEY_LABEL,
        TASK_KEY_LABEL,
        GROUP_KEY_LABEL,
        MAP_INDEX_LABEL,
        REQUEST_LABEL,
        ATTEMPT_LABEL,
        DEPLOYMENT_LABEL,
        SPEC_LABEL,
        DAG_LABEL,
        RUN_LABEL,
        TASK_LABEL,
        SHARD_LABEL,
        SAMPLE_LABEL,
        RETRY_LABEL,
        RETRY_OF_LABEL,
    }
)
"""Every key that this project sets. The first job of a run lacks some that a later one of its rows has."""
RESERVED_PREFIXES = ("managed_by", "airflow_", "managed-by", "airflow-", "goog-")
VERTEX_MAX_LABELS = 64
MAX_LABELS = VERTEX_MAX_LABELS - len(OUR_LABELS)
"""The most labels that spec, team and form may give a job, so that ours have room on each later job."""


def too_many_labels(names: Collection[str]) -> str:
    """Explain that a job has more labels than there is room for; empty if it has not.

    :param names: the keys of its labels; our own do not count.
    """
    number = len(set(names) - OUR_LABELS)
    if number <= MAX_LABELS:
        return ""
    return (
        f"the job has {number} labels of its own, and at most {MAX_LABELS} are possible: Vertex allows"
        f" {VERTEX_MAX_LABELS}, and {len(OUR_LABELS)} are kept free to find the job again; remove"
        f" {number - MAX_LABELS}"
    )
