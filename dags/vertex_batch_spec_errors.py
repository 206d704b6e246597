"""Shows broken job specs and budgets as an import error in Airflow's UI. It defines no DAG."""

from vertex_batch.dags import spec_errors

errors = spec_errors(__file__)
