"""Airflow DAG of operations. Reprices recorded jobs, or compares them with today's prices."""

from vertex_batch.dags import reprice_dag

dag = reprice_dag(__file__)
