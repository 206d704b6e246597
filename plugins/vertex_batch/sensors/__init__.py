"""Airflow sensors: wait for a job."""

from vertex_batch.sensors.batch_job import BatchPredictionJobSensor

__all__ = ["BatchPredictionJobSensor"]
