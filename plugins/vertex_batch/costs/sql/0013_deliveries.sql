-- One row for each delivery of answers: its three numbers, why rows have no good answer, and where its files are.

CREATE TABLE cost_deliveries (
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    spec TEXT NOT NULL,
    team TEXT NOT NULL,
    job_name TEXT NOT NULL,
    input_rows BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    exceptions BIGINT NOT NULL,
    reasons TEXT NOT NULL,
    answers_uri TEXT NOT NULL,
    exceptions_uri TEXT NOT NULL,
    manifest_uri TEXT NOT NULL,
    usd TEXT NOT NULL,
    is_complete BOOLEAN NOT NULL,
    delivered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (dag_id, run_id, task_id, map_index),
    CHECK (input_rows = delivered + exceptions)
);

CREATE INDEX cost_deliveries_at ON cost_deliveries (delivered_at);

CREATE INDEX cost_deliveries_dag_at ON cost_deliveries (dag_id, delivered_at);
