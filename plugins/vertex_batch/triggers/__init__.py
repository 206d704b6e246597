"""The trigger that waits for a job in the triggerer."""

from vertex_batch.triggers.batch_job import BatchPredictionJobTrigger

__all__ = ["BatchPredictionJobTrigger"]
