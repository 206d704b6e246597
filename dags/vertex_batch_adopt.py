"""Airflow DAG of operations. Adopts a job that was created outside Airflow, and records its cost."""

from vertex_batch.dags import adopt_dag

dag = adopt_dag(__file__)
