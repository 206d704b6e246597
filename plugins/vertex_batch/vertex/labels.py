"""The labels that this project uses to find its jobs again. They are reserved: a spec may not set them."""

from __future__ import annotations

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
