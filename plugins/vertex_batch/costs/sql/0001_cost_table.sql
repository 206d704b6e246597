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

-- amount_usd is exact in PostgreSQL (NUMERIC). SQLite has no such type: there it is the nearest double, for the eye;
-- amount_picousd is exact everywhere.

CREATE VIEW cost_lines AS
SELECT i.project, i.location, i.job_id, i.model, i.kind, i.modality, i.tier, i.cache_ttl, i.tokens, i.unit,
       i.unit_price_picousd / 1000000000000.000000000000 AS unit_price_usd,
       i.amount_picousd / 1000000000000.000000000000 AS amount_usd,
       i.unit_price_picousd, i.amount_picousd, i.basis, i.source, i.price_date, i.reason,
       j.day, j.spec, j.team, j.dag_id, j.run_id, j.task_id, j.map_index, j.logical_date, j.state
FROM cost_line_items i
JOIN cost_jobs j ON j.project = i.project AND j.location = i.location AND j.job_id = i.job_id;

CREATE VIEW cost_by_job AS
SELECT j.project, j.location, j.job_id, j.day, j.spec, j.team, j.model, j.state, j.dag_id, j.run_id, j.task_id,
       j.map_index, j.logical_date, j.rows_ok, j.rows_failed, j.rows_unreadable, j.flags,
       COALESCE(t.amount_picousd, 0) / 1000000000000.000000000000 AS amount_usd,
       COALESCE(t.unpriced, 0) = 0 AS is_complete,
       COALESCE(t.tokens, 0) AS tokens,
       COALESCE(t.amount_picousd, 0) AS amount_picousd,
       COALESCE(t.unpriced, 0) AS unpriced_line_items
FROM cost_jobs j
LEFT JOIN (
    SELECT project, location, job_id,
           SUM(amount_picousd) AS amount_picousd,
           SUM(CASE WHEN unit = 'token' THEN tokens ELSE 0 END) AS tokens,
           COUNT(*) - COUNT(amount_picousd) AS unpriced
    FROM cost_line_items
    GROUP BY project, location, job_id
) t ON t.project = j.project AND t.location = j.location AND t.job_id = j.job_id;

CREATE VIEW cost_by_spec_day AS
SELECT spec, day, COUNT(*) AS jobs,
       SUM(rows_ok) AS rows_ok, SUM(rows_failed) AS rows_failed, SUM(rows_unreadable) AS rows_unreadable,
       SUM(tokens) AS tokens,
       SUM(amount_picousd) / 1000000000000.000000000000 AS amount_usd,
       SUM(unpriced_line_items) = 0 AS is_complete,
       SUM(amount_picousd) AS amount_picousd
FROM cost_by_job
GROUP BY spec, day;

CREATE VIEW cost_by_team AS
SELECT team, COUNT(*) AS jobs,
       SUM(rows_ok) AS rows_ok, SUM(rows_failed) AS rows_failed, SUM(rows_unreadable) AS rows_unreadable,
       SUM(tokens) AS tokens,
       SUM(amount_picousd) / 1000000000000.000000000000 AS amount_usd,
       SUM(unpriced_line_items) = 0 AS is_complete,
       SUM(amount_picousd) AS amount_picousd
FROM cost_by_job
GROUP BY team;

CREATE VIEW cost_by_model AS
SELECT model, COUNT(DISTINCT project || '/' || location || '/' || job_id) AS jobs,
       SUM(CASE WHEN unit = 'token' THEN tokens ELSE 0 END) AS tokens,
       COALESCE(SUM(amount_picousd), 0) / 1000000000000.000000000000 AS amount_usd,
       COUNT(*) = COUNT(amount_picousd) AS is_complete,
       COALESCE(SUM(amount_picousd), 0) AS amount_picousd
FROM cost_line_items
GROUP BY model;
