"""Airflow DAG of operations. Recounts the rows of recorded jobs from their outputs."""

from vertex_batch.dags import recount_dag

dag = recount_dag(__file__)
