-- What each job was expected to cost before it was submitted, and what became of that. The row is written before the
-- job is created, so that jobs that begin at the same moment see each other's claim on a budget; the job's id follows.

CREATE TABLE cost_estimates (
    job_key TEXT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT,
    model TEXT NOT NULL,
    spec TEXT NOT NULL,
    team TEXT NOT NULL,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    expected_picousd BIGINT NOT NULL,
    low_picousd BIGINT NOT NULL,
    high_picousd BIGINT NOT NULL,
    unpriced INTEGER NOT NULL,
    rows_input BIGINT NOT NULL,
    input_bytes BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    method TEXT NOT NULL,
    unknown TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    estimated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    released_at TIMESTAMP WITH TIME ZONE
);

CREATE INDEX cost_estimates_at ON cost_estimates (estimated_at);

CREATE INDEX cost_estimates_job ON cost_estimates (project, location, job_id);

CREATE INDEX cost_estimates_run ON cost_estimates (dag_id, run_id);

-- Budgets add up by the moment of a job's creation, regardless of the run's logical date.

CREATE INDEX cost_jobs_created ON cost_jobs (create_time);
