"""One Airflow DAG for each job spec in ``include/jobs/``: dropping a YAML file there is all it takes."""

from vertex_batch.dags import spec_dags

globals().update(spec_dags(__file__))
