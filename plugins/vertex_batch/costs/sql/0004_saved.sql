-- What the same tokens cost without batch, and so what batch has saved. NULL: no price list says it.
-- Where a recorded rate was derived from the standard rate, it is known already; the rest is known once priced again.

ALTER TABLE cost_line_items ADD COLUMN standard_unit_price_picousd BIGINT;

ALTER TABLE cost_line_items ADD COLUMN standard_amount_picousd BIGINT
    CHECK (standard_amount_picousd = tokens * standard_unit_price_picousd);

ALTER TABLE cost_line_items ADD COLUMN standard_source TEXT NOT NULL DEFAULT ''
    CHECK ((standard_amount_picousd IS NULL) = (standard_unit_price_picousd IS NULL));

ALTER TABLE cost_price_history ADD COLUMN standard_unit_price_picousd BIGINT;

ALTER TABLE cost_price_history ADD COLUMN standard_amount_picousd BIGINT;

ALTER TABLE cost_price_history ADD COLUMN standard_source TEXT NOT NULL DEFAULT '';

UPDATE cost_line_items
SET standard_unit_price_picousd = CASE basis WHEN 'standard_cache_rate' THEN 1 ELSE 2 END * unit_price_picousd,
    standard_amount_picousd = CASE basis WHEN 'standard_cache_rate' THEN 1 ELSE 2 END * amount_picousd,
    standard_source = source
WHERE basis IN ('standard_cache_rate', 'derived_half_of_standard');

CREATE OR REPLACE VIEW cost_lines AS
SELECT i.project, i.location, i.job_id, i.model, i.kind, i.modality, i.tier, i.cache_ttl, i.tokens, i.unit,
       i.unit_price_picousd / 1000000000000.000000000000 AS unit_price_usd,
       i.amount_picousd / 1000000000000.000000000000 AS amount_usd,
       i.unit_price_picousd, i.amount_picousd, i.basis, i.source, i.price_date, i.reason,
       j.day, j.spec, j.team, j.dag_id, j.run_id, j.task_id, j.map_index, j.logical_date, j.state,
       i.standard_unit_price_picousd / 1000000000000.000000000000 AS standard_unit_price_usd,
       i.standard_amount_picousd / 1000000000000.000000000000 AS standard_amount_usd,
       (i.standard_amount_picousd - i.amount_picousd) / 1000000000000.000000000000 AS saved_usd,
       i.standard_unit_price_picousd, i.standard_amount_picousd,
       i.standard_amount_picousd - i.amount_picousd AS saved_picousd,
       i.standard_source
FROM cost_line_items i
JOIN cost_jobs j ON j.project = i.project AND j.location = i.location AND j.job_id = i.job_id;

CREATE OR REPLACE VIEW cost_by_job AS
SELECT j.project, j.location, j.job_id, j.day, j.spec, j.team, j.model, j.state, j.dag_id, j.run_id, j.task_id,
       j.map_index, j.logical_date, j.rows_ok, j.rows_failed, j.rows_unreadable, j.flags,
       COALESCE(t.amount_picousd, 0) / 1000000000000.000000000000 AS amount_usd,
       COALESCE(t.unpriced, 0) = 0 AS is_complete,
       COALESCE(t.tokens, 0) AS tokens,
       COALESCE(t.amount_picousd, 0) AS amount_picousd,
       COALESCE(t.unpriced, 0) AS unpriced_line_items,
       COALESCE(t.saved_picousd, 0) / 1000000000000.000000000000 AS saved_usd,
       COALESCE(t.saved_unknown, 0) = 0 AS saved_is_complete,
       COALESCE(t.saved_picousd, 0) AS saved_picousd,
       COALESCE(t.saved_unknown, 0) AS saved_unknown_line_items,
       j.rows_failed * 1.000000 / NULLIF(j.rows_ok + j.rows_failed + j.rows_unreadable, 0) AS failed_share,
       COALESCE(t.amount_picousd, 0) / 1000000000.000000000000 / NULLIF(j.rows_ok, 0) AS usd_per_thousand_rows
FROM cost_jobs j
LEFT JOIN (
    SELECT project, location, job_id,
           SUM(amount_picousd) AS amount_picousd,
           SUM(CASE WHEN unit = 'token' THEN tokens ELSE 0 END) AS tokens,
           COUNT(*) - COUNT(amount_picousd) AS unpriced,
           SUM(standard_amount_picousd - amount_picousd) AS saved_picousd,
           COUNT(*) - COUNT(standard_amount_picousd - amount_picousd) AS saved_unknown
    FROM cost_line_items
    GROUP BY project, location, job_id
) t ON t.project = j.project AND t.location = j.location AND t.job_id = j.job_id;

CREATE OR REPLACE VIEW cost_by_spec_day AS
SELECT spec, day, COUNT(*) AS jobs,
       SUM(rows_ok) AS rows_ok, SUM(rows_failed) AS rows_failed, SUM(rows_unreadable) AS rows_unreadable,
       SUM(tokens) AS tokens,
       SUM(amount_picousd) / 1000000000000.000000000000 AS amount_usd,
       SUM(unpriced_line_items) = 0 AS is_complete,
       SUM(amount_picousd) AS amount_picousd,
       SUM(saved_picousd) / 1000000000000.000000000000 AS saved_usd,
       SUM(saved_unknown_line_items) = 0 AS saved_is_complete,
       SUM(saved_picousd) AS saved_picousd,
       SUM(rows_failed) * 1.000000 / NULLIF(SUM(rows_ok + rows_failed + rows_unreadable), 0) AS failed_share,
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok), 0) AS usd_per_thousand_rows
FROM cost_by_job
GROUP BY spec, day;

CREATE OR REPLACE VIEW cost_by_team AS
SELECT team, COUNT(*) AS jobs,
       SUM(rows_ok) AS rows_ok, SUM(rows_failed) AS rows_failed, SUM(rows_unreadable) AS rows_unreadable,
       SUM(tokens) AS tokens,
       SUM(amount_picousd) / 1000000000000.000000000000 AS amount_usd,
       SUM(unpriced_line_items) = 0 AS is_complete,
       SUM(amount_picousd) AS amount_picousd,
       SUM(saved_picousd) / 1000000000000.000000000000 AS saved_usd,
       SUM(saved_unknown_line_items) = 0 AS saved_is_complete,
       SUM(saved_picousd) AS saved_picousd,
       SUM(rows_failed) * 1.000000 / NULLIF(SUM(rows_ok + rows_failed + rows_unreadable), 0) AS failed_share,
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok), 0) AS usd_per_thousand_rows
FROM cost_by_job
GROUP BY team;

CREATE OR REPLACE VIEW cost_by_model AS
SELECT model, COUNT(DISTINCT project || '/' || location || '/' || job_id) AS jobs,
       SUM(CASE WHEN unit = 'token' THEN tokens ELSE 0 END) AS tokens,
       COALESCE(SUM(amount_picousd), 0) / 1000000000000.000000000000 AS amount_usd,
       COUNT(*) = COUNT(amount_picousd) AS is_complete,
       COALESCE(SUM(amount_picousd), 0) AS amount_picousd,
       COALESCE(SUM(standard_amount_picousd - amount_picousd), 0) / 1000000000000.000000000000 AS saved_usd,
       COUNT(*) = COUNT(standard_amount_picousd - amount_picousd) AS saved_is_complete,
       COALESCE(SUM(standard_amount_picousd - amount_picousd), 0) AS saved_picousd
FROM cost_line_items
GROUP BY model;
