-- What each job cost by model and by kind, and the words that a search looks into, for the pages: a year of jobs is
-- added up, or searched, in one index. Written in the same transaction as the line items, which remain what counts.

CREATE TABLE cost_job_sums (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('model', 'kind')),
    name TEXT NOT NULL,
    day DATE NOT NULL,
    dag_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    team TEXT NOT NULL,
    amount_picousd BIGINT NOT NULL,
    unpriced_line_items BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    saved_picousd BIGINT NOT NULL,
    saved_unknown_line_items BIGINT NOT NULL,
    PRIMARY KEY (part, day, dag_id, name, project, location, job_id){covering},
    FOREIGN KEY (project, location, job_id) REFERENCES cost_jobs (project, location, job_id) ON DELETE CASCADE
){clustered};

INSERT INTO cost_job_sums
SELECT i.project, i.location, i.job_id, i.part, i.name, j.day, j.dag_id, j.spec, j.team,
       COALESCE(SUM(i.amount_picousd), 0),
       COUNT(*) - COUNT(i.amount_picousd),
       SUM(CASE WHEN i.unit = 'token' THEN i.tokens ELSE 0 END),
       COALESCE(SUM(i.standard_amount_picousd - i.amount_picousd), 0),
       COUNT(*) - COUNT(i.standard_amount_picousd - i.amount_picousd)
FROM (
    SELECT 'model' AS part, model AS name, l.* FROM cost_line_items l
    UNION ALL
    SELECT 'kind' AS part, kind AS name, l.* FROM cost_line_items l
) i
JOIN cost_jobs j ON j.project = i.project AND j.location = i.location AND j.job_id = i.job_id
GROUP BY i.project, i.location, i.job_id, i.part, i.name, j.day, j.dag_id, j.spec, j.team;

CREATE INDEX cost_job_sums_job ON cost_job_sums (project, location, job_id);

ALTER TABLE cost_jobs ADD COLUMN searched TEXT NOT NULL DEFAULT '';

UPDATE cost_jobs SET searched = substr(lower(
    spec || '|' || team || '|' || dag_id || '|' || run_id || '|' || model || '|' || state || '|' || job_id || '|'
    || display_name || '|' || note
), 1, 500);

CREATE INDEX cost_jobs_searched ON cost_jobs (day, dag_id, searched);

CREATE INDEX cost_jobs_unpriced ON cost_jobs (day, dag_id) WHERE unpriced_line_items > 0;
