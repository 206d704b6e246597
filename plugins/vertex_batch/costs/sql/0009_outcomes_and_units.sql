-- Rows in no known output format, which earlier bills counted as failed or not at all, and units beside tokens and
-- queries: characters, and prompts that were grounded in something. A new column of a view comes last.

ALTER TABLE cost_jobs ADD COLUMN rows_unrecognized BIGINT NOT NULL DEFAULT 0;

ALTER TABLE cost_jobs ADD COLUMN unrecognized_samples TEXT NOT NULL DEFAULT '[]';

DROP INDEX cost_jobs_day_totals;

CREATE INDEX cost_jobs_day_totals ON cost_jobs (
    day, dag_id, spec, team, state, amount_picousd, unpriced_line_items, tokens, saved_picousd,
    saved_unknown_line_items, rows_ok, rows_failed, rows_unreadable, rows_unrecognized, rows_copied
);

DROP INDEX cost_jobs_failed;

CREATE INDEX cost_jobs_failed ON cost_jobs ((rows_failed + rows_unreadable + rows_unrecognized), day);

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
       COALESCE(t.amount_picousd, 0) / 1000000000.000000000000 / NULLIF(j.rows_ok, 0) AS usd_per_thousand_rows,
       j.rows_unrecognized
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
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok), 0) AS usd_per_thousand_rows,
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
       SUM(amount_picousd) / 1000000000.000000000000 / NULLIF(SUM(rows_ok), 0) AS usd_per_thousand_rows,
       SUM(rows_unrecognized) AS rows_unrecognized
FROM cost_by_job
GROUP BY team;

CREATE OR REPLACE VIEW focus_cost_and_usage AS
SELECT i.amount_picousd / 1000000000000.000000000000 AS "BilledCost",
       i.project AS "BillingAccountId",
       CAST(NULL AS TEXT) AS "BillingAccountName",
       'USD' AS "BillingCurrency",
       {month_end} AS "BillingPeriodEnd",
       {month_start} AS "BillingPeriodStart",
       'Usage' AS "ChargeCategory",
       CAST(NULL AS TEXT) AS "ChargeClass",
       'Batch prediction with ' || i.model || ': ' || i.kind || ', ' || i.modality || ', ' || i.tier
           || CASE WHEN i.cache_ttl = '' THEN '' ELSE ', ' || i.cache_ttl END AS "ChargeDescription",
       'Usage-Based' AS "ChargeFrequency",
       COALESCE(j.end_time, j.recorded_at) AS "ChargePeriodEnd",
       COALESCE(j.create_time, j.recorded_at) AS "ChargePeriodStart",
       i.tokens AS "ConsumedQuantity",
       CASE i.unit WHEN 'query' THEN 'Queries' WHEN 'prompt' THEN 'Prompts' WHEN 'character' THEN 'Characters'
            ELSE 'Tokens' END AS "ConsumedUnit",
       i.amount_picousd / 1000000000000.000000000000 AS "ContractedCost",
       i.unit_price_picousd / 1000000000000.000000000000 AS "ContractedUnitPrice",
       i.amount_picousd / 1000000000000.000000000000 AS "EffectiveCost",
       'Google Cloud' AS "InvoiceIssuerName",
       i.amount_picousd / 1000000000000.000000000000 AS "ListCost",
       i.unit_price_picousd / 1000000000000.000000000000 AS "ListUnitPrice",
       'Standard' AS "PricingCategory",
       i.tokens AS "PricingQuantity",
       CASE i.unit WHEN 'query' THEN 'Queries' WHEN 'prompt' THEN 'Prompts' WHEN 'character' THEN 'Characters'
            ELSE 'Tokens' END AS "PricingUnit",
       'Google Cloud' AS "ProviderName",
       'Google' AS "PublisherName",
       i.location AS "RegionId",
       i.location AS "RegionName",
       'projects/' || i.project || '/locations/' || i.location || '/batchPredictionJobs/' || i.job_id AS "ResourceId",
       NULLIF(j.display_name, '') AS "ResourceName",
       'Batch Prediction Job' AS "ResourceType",
       'AI and Machine Learning' AS "ServiceCategory",
       'Vertex AI' AS "ServiceName",
       'Generative AI' AS "ServiceSubcategory",
       i.model || '/' || i.kind || '/' || i.modality AS "SkuId",
       i.kind AS "SkuMeter",
       i.model || '/' || i.kind || '/' || i.modality || '/' || i.tier || '/' || i.cache_ttl || '/' || i.location
           AS "SkuPriceId",
       i.project AS "SubAccountId",
       CAST(NULL AS TEXT) AS "SubAccountName",
       j.labels AS "Tags",
       i.amount_picousd AS "x_BilledPicoUsd",
       i.model AS "x_Model",
       i.modality AS "x_Modality",
       i.tier AS "x_Tier",
       i.cache_ttl AS "x_CacheTtl",
       i.basis AS "x_PriceBasis",
       i.source AS "x_PriceSource",
       i.price_date AS "x_PriceDate",
       j.job_id AS "x_JobId",
       j.state AS "x_JobState",
       j.spec AS "x_Spec",
       j.team AS "x_Team",
       j.dag_id AS "x_DagId",
       j.run_id AS "x_RunId",
       j.task_id AS "x_TaskId",
       j.map_index AS "x_MapIndex",
       j.logical_date AS "x_LogicalDate",
       NOT EXISTS (
           SELECT 1 FROM cost_line_items u
           WHERE u.project = i.project AND u.location = i.location AND u.job_id = i.job_id
             AND u.amount_picousd IS NULL
       ) AS "x_IsComplete"
FROM cost_line_items i
JOIN cost_jobs j ON j.project = i.project AND j.location = i.location AND j.job_id = i.job_id
WHERE i.amount_picousd IS NOT NULL;

CREATE OR REPLACE VIEW cost_of_rows AS
SELECT project, location, job_id, day, spec, team, model, rows_ok, rows_failed, rows_unreadable, is_complete,
       rows_failed * 1.000000 / NULLIF(rows_ok + rows_failed + rows_unreadable + rows_unrecognized, 0) AS failed_share,
       amount_picousd / 1000000000.000000000000 / NULLIF(rows_ok, 0) AS usd_per_thousand_rows,
       rows_unrecognized
FROM cost_by_job;
