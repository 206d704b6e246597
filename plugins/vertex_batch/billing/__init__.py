"""From a job's output to its bill: recording, recounting, repricing, reconciling, projection."""
