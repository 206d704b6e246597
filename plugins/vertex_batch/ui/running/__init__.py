"""The jobs that are submitted and have not ended: what they are, and what they are likely to cost."""
