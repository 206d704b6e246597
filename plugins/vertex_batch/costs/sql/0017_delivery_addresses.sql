-- Which delivery is at an address, which one was there before, what runs for the rest of another run have delivered, and
-- which jobs have sent rows again: found without a look at all deliveries and jobs of the DAG.

CREATE INDEX cost_deliveries_address ON cost_deliveries (dag_id, answers_uri, delivered_at);

CREATE INDEX cost_deliveries_retries ON cost_deliveries (dag_id, retry_of) WHERE retry_of <> '';

CREATE INDEX cost_jobs_retries ON cost_jobs (dag_id, create_time) WHERE replace(labels, 'airflow_retry_', '') <> labels;
