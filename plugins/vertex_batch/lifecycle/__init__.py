"""The life of a job, without Airflow: decisions over plain data, and what carries them out."""
