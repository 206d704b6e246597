-- The digest of the price list of each line item, and the day whose prices hold for rows that were answered after a
-- change of prices: empty for those of the day on which the job started.

ALTER TABLE cost_usage ADD COLUMN priced_on TEXT NOT NULL DEFAULT '';

ALTER TABLE cost_usage DROP CONSTRAINT cost_usage_pkey;

ALTER TABLE cost_usage ADD PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl, priced_on);

ALTER TABLE cost_line_items ADD COLUMN priced_on TEXT NOT NULL DEFAULT '';

ALTER TABLE cost_line_items DROP CONSTRAINT cost_line_items_pkey;

ALTER TABLE cost_line_items ADD PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl, priced_on);

ALTER TABLE cost_price_history ADD COLUMN priced_on TEXT NOT NULL DEFAULT '';

ALTER TABLE cost_price_history DROP CONSTRAINT cost_price_history_pkey;

ALTER TABLE cost_price_history ADD PRIMARY KEY (project, location, job_id, replaced_at, model, kind, modality, tier, cache_ttl, priced_on);

ALTER TABLE cost_line_items ADD COLUMN list_digest TEXT NOT NULL DEFAULT '';

ALTER TABLE cost_price_history ADD COLUMN list_digest TEXT NOT NULL DEFAULT '';

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
       i.standard_source, i.priced_on, i.list_digest
FROM cost_line_items i
JOIN cost_jobs j ON j.project = i.project AND j.location = i.location AND j.job_id = i.job_id;
