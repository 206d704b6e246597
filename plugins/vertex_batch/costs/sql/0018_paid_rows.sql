-- A thousand rows cost what the job has paid, by the rows that it has paid for: rows that a resumed job copied were
-- billed with an earlier one. A new column of a view comes last.

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
       j.rows_failed * 1.000000 / NULLIF(j.rows_ok + j.rows_failed + j.rows_unreadable + j.rows_unrecognized, 0) AS failed_share,
       COALESCE(t.amount_picousd, 0) / 1000000000.000000000000 / NULLIF(j.rows_ok - j.rows_copied, 0) AS usd_per_thousand_rows,
       j.rows_unrecognized, j.rows_copied
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
       SUM(rows_failed) * 1.000000 / NULLIF(SUM(rows_ok + rows_failed + rows_unreadable + rows_unrecognized), 0) AS failed_share,
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok - rows_copied), 0) AS usd_per_thousand_rows,
       SUM(rows_unrecognized) AS rows_unrecognized
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
       SUM(rows_failed) * 1.000000 / NULLIF(SUM(rows_ok + rows_failed + rows_unreadable + rows_unrecognized), 0) AS failed_share,
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok - rows_copied), 0) AS usd_per_thousand_rows,
       SUM(rows_unrecognized) AS rows_unrecognized
FROM cost_by_job
GROUP BY team;

CREATE OR REPLACE VIEW cost_of_rows AS
SELECT project, location, job_id, day, spec, team, model, rows_ok, rows_failed, rows_unreadable, is_complete,
       rows_failed * 1.000000 / NULLIF(rows_ok + rows_failed + rows_unreadable + rows_unrecognized, 0) AS failed_share,
       amount_picousd / 1000000000.000000000000 / NULLIF(rows_ok - rows_copied, 0) AS usd_per_thousand_rows,
       rows_unrecognized
FROM cost_by_job;
