-- Rows in no known output format, which earlier bills counted as failed or not at all.

ALTER TABLE cost_jobs ADD COLUMN rows_unrecognized BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN unrecognized_samples TEXT NOT NULL DEFAULT '[]';

DROP INDEX cost_jobs_day_totals;

CREATE INDEX cost_jobs_day_totals ON cost_jobs (
    day, dag_id, spec, team, state, amount_picousd, unpriced_line_items, tokens, saved_picousd,
    saved_unknown_line_items, rows_ok, rows_failed, rows_unreadable, rows_unrecognized, rows_copied
);

DROP INDEX cost_jobs_failed;

CREATE INDEX cost_jobs_failed ON cost_jobs ((rows_failed + rows_unreadable + rows_unrecognized), day);
