-- What the pages read of every job, kept with the job: the sums of its line items, written in the same transaction
-- as these, so that a year of jobs is added up from one index. The line items remain what counts.

ALTER TABLE cost_jobs ADD COLUMN amount_picousd BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN unpriced_line_items BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN tokens BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN saved_picousd BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN saved_unknown_line_items BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN failed_samples TEXT NOT NULL DEFAULT '[]';

UPDATE cost_jobs SET
    amount_picousd = COALESCE((
        SELECT SUM(i.amount_picousd) FROM cost_line_items i
        WHERE i.project = cost_jobs.project AND i.location = cost_jobs.location AND i.job_id = cost_jobs.job_id
    ), 0),
    unpriced_line_items = (
        SELECT COUNT(*) - COUNT(i.amount_picousd) FROM cost_line_items i
        WHERE i.project = cost_jobs.project AND i.location = cost_jobs.location AND i.job_id = cost_jobs.job_id
    ),
    tokens = COALESCE((
        SELECT SUM(i.tokens) FROM cost_line_items i
        WHERE i.project = cost_jobs.project AND i.location = cost_jobs.location AND i.job_id = cost_jobs.job_id
          AND i.unit = 'token'
    ), 0),
    saved_picousd = COALESCE((
        SELECT SUM(i.standard_amount_picousd - i.amount_picousd) FROM cost_line_items i
        WHERE i.project = cost_jobs.project AND i.location = cost_jobs.location AND i.job_id = cost_jobs.job_id
    ), 0),
    saved_unknown_line_items = (
        SELECT COUNT(*) - COUNT(i.standard_amount_picousd - i.amount_picousd) FROM cost_line_items i
        WHERE i.project = cost_jobs.project AND i.location = cost_jobs.location AND i.job_id = cost_jobs.job_id
    );

DROP INDEX cost_jobs_day;

CREATE INDEX cost_jobs_day_totals ON cost_jobs (
    day, dag_id, spec, team, state, amount_picousd, unpriced_line_items, tokens, saved_picousd,
    saved_unknown_line_items, rows_ok, rows_failed, rows_unreadable, rows_copied
);

CREATE INDEX cost_jobs_dag_day ON cost_jobs (dag_id, day);

CREATE INDEX cost_jobs_amount ON cost_jobs (amount_picousd, day);

CREATE INDEX cost_jobs_failed ON cost_jobs ((rows_failed + rows_unreadable), day);

CREATE INDEX cost_jobs_state ON cost_jobs (state, day);
