"""What waits in the triggerer."""

from vertex_batch.triggers.batch_job import BatchPredictionJobTrigger

__all__ = ["BatchPredictionJobTrigger"]
