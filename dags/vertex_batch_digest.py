"""Airflow DAG of operations. Reports every morning what the jobs of the day before cost."""

from vertex_batch.dags import digest_dag

dag = digest_dag(__file__)
