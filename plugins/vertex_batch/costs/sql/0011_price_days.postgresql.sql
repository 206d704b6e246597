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
