"""A job spec -> an Airflow DAG: its tasks, its trigger form, its notices."""

from vertex_batch.dag_factory.dag import TAG, build_dag, build_dags

__all__ = ["TAG", "build_dag", "build_dags"]
