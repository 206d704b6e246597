-- The digest of the price list of each line item, and the day whose prices hold for rows that were answered after a
-- change of prices: empty for those of the day on which the job started.
-- SQLite cannot change a primary key, so that the tables are written again. A table cannot be renamed under a view.

CREATE TABLE cost_usage_before AS SELECT * FROM cost_usage;

DROP TABLE cost_usage;

CREATE TABLE cost_usage (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    tier TEXT NOT NULL,
    cache_ttl TEXT NOT NULL,
    priced_on TEXT NOT NULL DEFAULT '',
    tokens BIGINT NOT NULL,
    PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl, priced_on),
    FOREIGN KEY (project, location, job_id) REFERENCES cost_jobs (project, location, job_id) ON DELETE CASCADE
);

INSERT INTO cost_usage (
    project, location, job_id, model, kind, modality, tier, cache_ttl, tokens
)
SELECT
    project, location, job_id, model, kind, modality, tier, cache_ttl, tokens
FROM cost_usage_before;

DROP TABLE cost_usage_before;

CREATE TABLE cost_line_items_before AS SELECT * FROM cost_line_items;

DROP TABLE cost_line_items;

CREATE TABLE cost_line_items (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    tier TEXT NOT NULL,
    cache_ttl TEXT NOT NULL,
    priced_on TEXT NOT NULL DEFAULT '',
    tokens BIGINT NOT NULL,
    unit TEXT NOT NULL,
    unit_price_picousd BIGINT,
    amount_picousd BIGINT,
    basis TEXT,
    source TEXT NOT NULL,
    price_date DATE,
    reason TEXT NOT NULL,
    standard_unit_price_picousd BIGINT,
    standard_amount_picousd BIGINT,
    standard_source TEXT NOT NULL DEFAULT '',
    list_digest TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project, location, job_id, model, kind, modality, tier, cache_ttl, priced_on),
    FOREIGN KEY (project, location, job_id) REFERENCES cost_jobs (project, location, job_id) ON DELETE CASCADE,
    CHECK (amount_picousd = tokens * unit_price_picousd),
    CHECK ((amount_picousd IS NULL) = (unit_price_picousd IS NULL)),
    CHECK (standard_amount_picousd = tokens * standard_unit_price_picousd),
    CHECK ((standard_amount_picousd IS NULL) = (standard_unit_price_picousd IS NULL))
);

INSERT INTO cost_line_items (
    project, location, job_id, model, kind, modality, tier, cache_ttl,
    tokens, unit, unit_price_picousd, amount_picousd, basis, source, price_date, reason, standard_unit_price_picousd,
    standard_amount_picousd, standard_source
)
SELECT
    project, location, job_id, model, kind, modality, tier, cache_ttl,
    tokens, unit, unit_price_picousd, amount_picousd, basis, source, price_date, reason, standard_unit_price_picousd,
    standard_amount_picousd, standard_source
FROM cost_line_items_before;

DROP TABLE cost_line_items_before;

CREATE INDEX cost_line_items_model ON cost_line_items (model);

CREATE TABLE cost_price_history_before AS SELECT * FROM cost_price_history;

DROP TABLE cost_price_history;

CREATE TABLE cost_price_history (
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    job_id TEXT NOT NULL,
    replaced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    tier TEXT NOT NULL,
    cache_ttl TEXT NOT NULL,
    priced_on TEXT NOT NULL DEFAULT '',
    tokens BIGINT NOT NULL,
    unit TEXT NOT NULL,
    unit_price_picousd BIGINT,
    amount_picousd BIGINT,
    basis TEXT,
    source TEXT NOT NULL,
    price_date DATE,
    reason TEXT NOT NULL,
    standard_unit_price_picousd BIGINT,
    standard_amount_picousd BIGINT,
    standard_source TEXT NOT NULL DEFAULT '',
    list_digest TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project, location, job_id, replaced_at, model, kind, modality, tier, cache_ttl, priced_on)
);

INSERT INTO cost_price_history (
    project, location, job_id, replaced_at, model, kind, modality, tier, cache_ttl,
    tokens, unit, unit_price_picousd, amount_picousd, basis, source, price_date, reason, standard_unit_price_picousd,
    standard_amount_picousd, standard_source
)
SELECT
    project, location, job_id, replaced_at, model, kind, modality, tier, cache_ttl,
    tokens, unit, unit_price_picousd, amount_picousd, basis, source, price_date, reason, standard_unit_price_picousd,
    standard_amount_picousd, standard_source
FROM cost_price_history_before;

DROP TABLE cost_price_history_before;
