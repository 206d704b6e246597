-- Money is counted in whole picodollars (1e-12 USD): an integer is exact, and so is its sum, in every database.

CREATE TABLE cost_jobs (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    job_key TEXT NOT NULL,
    job_name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    error_code INTEGER,
    error_message TEXT NOT NULL,
    spec TEXT NOT NULL,
    team TEXT NOT NULL,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    try_number INTEGER,
    run_type TEXT NOT NULL,
    logical_date TIMESTAMP WITH TIME ZONE,
    day DATE NOT NULL,
    labels TEXT NOT NULL,
    input_uris TEXT NOT NULL,
    output_directory TEXT NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE,
    start_time TIMESTAMP WITH TIME ZONE,
    end_time TIMESTAMP WITH TIME ZONE,
    note TEXT NOT NULL,
    rows_ok BIGINT NOT NULL,
    rows_failed BIGINT NOT NULL,
    rows_unreadable BIGINT NOT NULL,
    rows_copied BIGINT NOT NULL,
    rows_input BIGINT,
    failed_reasons TEXT NOT NULL,
    problems TEXT NOT NULL,
    flags TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (project, location, job_id)
);

CREATE INDEX cost_jobs_day ON cost_jobs (day);

CREATE INDEX cost_jobs_spec_day ON cost_jobs (spec, day);

CREATE INDEX cost_jobs_run ON cost_jobs (dag_id, run_id);

CREATE TABLE cost_usage (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    tier TEXT NOT NULL,
    cache_ttl TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl),
    FOREIGN KEY (project, location, job_id) REFERENCES cost_jobs (project, location, job_id) ON DELETE CASCADE
);

CREATE TABLE cost_line_items (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    tier TEXT NOT NULL,
    cache_ttl TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    unit TEXT NOT NULL,
    unit_price_picousd BIGINT,
    amount_picousd BIGINT,
    basis TEXT,
    source TEXT NOT NULL,
    price_date DATE,
    reason TEXT NOT NULL,
    PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl),
    FOREIGN KEY (project, location, job_id) REFERENCES cost_jobs (project, location, job_id) ON DELETE CASCADE,
    CHECK (amount_picousd = tokens * unit_price_picousd),
    CHECK ((amount_picousd IS NULL) = (unit_price_picousd IS NULL))
);

CREATE INDEX cost_line_items_model ON cost_line_items (model);
