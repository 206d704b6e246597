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
