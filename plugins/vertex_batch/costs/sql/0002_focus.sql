-- FOCUS 1.2 (FinOps Open Cost and Usage Specification): one row per meter, columns in its spelling, ours with x_.
-- Line items without a price are left out, since FOCUS knows no unknown cost; x_IsComplete says whether their job
-- has any. BillingAccountId is the project: the account that pays for it is not known here.

CREATE VIEW focus_cost_and_usage AS
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
       CASE WHEN i.unit = 'query' THEN 'Queries' ELSE 'Tokens' END AS "ConsumedUnit",
       i.amount_picousd / 1000000000000.000000000000 AS "ContractedCost",
       i.unit_price_picousd / 1000000000000.000000000000 AS "ContractedUnitPrice",
       i.amount_picousd / 1000000000000.000000000000 AS "EffectiveCost",
       'Google Cloud' AS "InvoiceIssuerName",
       i.amount_picousd / 1000000000000.000000000000 AS "ListCost",
       i.unit_price_picousd / 1000000000000.000000000000 AS "ListUnitPrice",
       'Standard' AS "PricingCategory",
       i.tokens AS "PricingQuantity",
       CASE WHEN i.unit = 'query' THEN 'Queries' ELSE 'Tokens' END AS "PricingUnit",
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

-- What rows cost, and how many of them fail. NULL where there are no rows to divide by.

CREATE VIEW cost_of_rows AS
SELECT project, location, job_id, day, spec, team, model, rows_ok, rows_failed, rows_unreadable, is_complete,
       rows_failed * 1.000000 / NULLIF(rows_ok + rows_failed + rows_unreadable, 0) AS failed_share,
       amount_picousd / 1000000000.000000000000 / NULLIF(rows_ok, 0) AS usd_per_thousand_rows
FROM cost_by_job;
