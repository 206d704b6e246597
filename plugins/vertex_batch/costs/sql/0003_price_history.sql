-- What a job's line items were before they were priced again. Nothing is ever removed from here.

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
    tokens BIGINT NOT NULL,
    unit TEXT NOT NULL,
    unit_price_picousd BIGINT,
    amount_picousd BIGINT,
    basis TEXT,
    source TEXT NOT NULL,
    price_date DATE,
    reason TEXT NOT NULL,
    PRIMARY KEY (project, location, job_id, replaced_at, model, kind, modality, tier, cache_ttl)
);
