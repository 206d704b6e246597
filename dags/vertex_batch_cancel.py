"""Airflow DAG of operations. Cancels batch prediction jobs by id or by label, from Airflow's trigger form."""

from vertex_batch.dags import cancel_dag

dag = cancel_dag()
