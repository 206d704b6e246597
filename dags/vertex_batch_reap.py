"""Airflow DAG of operations. Finds jobs whose run is over, and records jobs without a bill."""

from vertex_batch.dags import reap_dag

dag = reap_dag(__file__)
