-- All views, each as it is now. An older table has earlier ones, which are replaced: a new column of a view comes last.
-- amount_usd is exact in PostgreSQL (NUMERIC). SQLite has no such type: there it is the nearest double, for the eye;
-- amount_picousd is exact everywhere.

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

CREATE OR REPLACE VIEW cost_by_model AS
SELECT model, COUNT(DISTINCT project || '/' || location || '/' || job_id) AS jobs,
       SUM(CASE WHEN unit = 'token' THEN tokens ELSE 0 END) AS tokens,
       COALESCE(SUM(amount_picousd), 0) / 1000000000000.000000000000 AS amount_usd,
       COUNT(*) = COUNT(amount_picousd) AS is_complete,
       COALESCE(SUM(amount_picousd), 0) AS amount_picousd,
       COALESCE(SUM(standard_amount_picousd - amount_picousd), 0) / 1000000000000.000000000000 AS saved_usd,
       COUNT(*) = COUNT(standard_amount_picousd - amount_picousd) AS saved_is_complete,
       COALESCE(SUM(standard_amount_picousd - amount_picousd), 0) AS saved_picousd
FROM cost_line_items
GROUP BY model;

-- What rows cost, and how many of them fail; NULL if there are none. usd_per_thousand_rows divides by the rows that this
-- job was billed for: rows that it copied when it resumed another one were billed with that one.

CREATE OR REPLACE VIEW cost_of_rows AS
SELECT project, location, job_id, day, spec, team, model, rows_ok, rows_failed, rows_unreadable, is_complete,
       rows_failed * 1.000000 / NULLIF(rows_ok + rows_failed + rows_unreadable + rows_unrecognized, 0) AS failed_share,
       amount_picousd / 1000000000.000000000000 / NULLIF(rows_ok - rows_copied, 0) AS usd_per_thousand_rows,
       rows_unrecognized
FROM cost_by_job;

CREATE OR REPLACE VIEW cost_estimated AS
SELECT e.project, e.location, e.job_id, j.day, e.spec, e.team, e.model, e.dag_id, e.run_id, e.task_id, e.map_index,
       e.expected_picousd / 1000000000000.000000000000 AS expected_usd,
       e.low_picousd / 1000000000000.000000000000 AS low_usd,
       e.high_picousd / 1000000000000.000000000000 AS high_usd,
       e.unpriced = 0 AS expected_is_complete,
       b.amount_usd, b.is_complete,
       (b.amount_picousd - e.expected_picousd) / 1000000000000.000000000000 AS difference_usd,
       e.method, e.verdict, e.reason, e.approved_by, e.estimated_at
FROM cost_estimates e
LEFT JOIN cost_jobs j ON j.project = e.project AND j.location = e.location AND j.job_id = e.job_id
LEFT JOIN cost_by_job b ON b.project = e.project AND b.location = e.location AND b.job_id = e.job_id
WHERE e.released_at IS NULL;

-- The cost table in the columns of FOCUS 1.2 and 1.4, from one definition. Columns of ours begin with x_. Amounts and
-- quantities are exact: NUMERIC in PostgreSQL, and decimals as text in SQLite, which has no such type; moments there are
-- text, too. The first view, focus_cost_and_usage, stays as it was: dropping it would fail where a view of a user's is
-- based on it.
--
-- ListCost and ContractedCost are at the standard rate, since no price was negotiated; BilledCost and EffectiveCost are
-- at the batch rate. Where no price list has a standard rate, the batch rate stands in: x_ListPriceBasis says which.
-- FOCUS has no unknown cost: a meter without a price is in focus_unpriced_usage, and x_IsComplete of its job is false.
-- BillingAccountId is the project: the account that pays for it is not known here. Prices are for as many units as
-- Google's price list has them.

CREATE OR REPLACE VIEW focus_charges AS
SELECT {usd: i.amount_picousd} AS "BilledCost",
       i.project AS "BillingAccountId",
       CAST(NULL AS TEXT) AS "BillingAccountName",
       'USD' AS "BillingCurrency",
       {month_end: i.started} AS "BillingPeriodEnd",
       {month_start: i.started} AS "BillingPeriodStart",
       'Usage' AS "ChargeCategory",
       CAST(NULL AS TEXT) AS "ChargeClass",
       'Batch prediction with ' || i.model || ': ' || i.kind || ', ' || i.modality || ', ' || i.tier
           || CASE WHEN i.cache_ttl = '' THEN '' ELSE ', ' || i.cache_ttl END AS "ChargeDescription",
       'Usage-Based' AS "ChargeFrequency",
       {next_second: i.ended} AS "ChargePeriodEnd",
       {second: i.started} AS "ChargePeriodStart",
       CAST(NULL AS TEXT) AS "CommitmentDiscountStatus",
       {quantity: i.tokens, 1} AS "ConsumedQuantity",
       CASE i.unit WHEN 'query' THEN 'Queries' WHEN 'character' THEN 'Characters'
           WHEN 'prompt' THEN 'Prompts' ELSE 'Tokens' END AS "ConsumedUnit",
       {usd: i.list_amount_picousd} AS "ContractedCost",
       {price: i.list_price_picousd, i.priced_units} AS "ContractedUnitPrice",
       {usd: i.amount_picousd} AS "EffectiveCost",
       'Google Cloud' AS "HostProviderName",
       CAST(NULL AS TEXT) AS "InvoiceId",
       'Google Cloud' AS "InvoiceIssuerName",
       {usd: i.list_amount_picousd} AS "ListCost",
       {price: i.list_price_picousd, i.priced_units} AS "ListUnitPrice",
       'Standard' AS "PricingCategory",
       'USD' AS "PricingCurrency",
       {price: i.list_price_picousd, i.priced_units} AS "PricingCurrencyContractedUnitPrice",
       {usd: i.amount_picousd} AS "PricingCurrencyEffectiveCost",
       {price: i.list_price_picousd, i.priced_units} AS "PricingCurrencyListUnitPrice",
       {quantity: i.tokens, i.priced_units} AS "PricingQuantity",
       CASE i.unit WHEN 'query' THEN '1000 Queries' WHEN 'character' THEN '1000 Characters'
           WHEN 'prompt' THEN '1000 Prompts' ELSE '1000000 Tokens' END AS "PricingUnit",
       'Google Cloud' AS "ProviderName",
       CASE WHEN substr(i.model, 1, 6) = 'claude' THEN 'Anthropic'
            WHEN substr(i.model, 1, 5) = 'llama' THEN 'Meta'
            WHEN substr(i.model, 1, 7) = 'gpt-oss' THEN 'OpenAI'
            WHEN substr(i.model, 1, 7) = 'mistral' THEN 'Mistral AI'
            WHEN substr(i.model, 1, 8) = 'deepseek' THEN 'DeepSeek'
            WHEN substr(i.model, 1, 4) = 'qwen' THEN 'Alibaba'
            ELSE 'Google' END AS "PublisherName",
       i.location AS "RegionId",
       i.location AS "RegionName",
       'projects/' || i.project || '/locations/' || i.location || '/batchPredictionJobs/' || i.job_id AS "ResourceId",
       NULLIF(i.display_name, '') AS "ResourceName",
       'Batch Prediction Job' AS "ResourceType",
       'AI and Machine Learning' AS "ServiceCategory",
       'Gemini Enterprise Agent Platform' AS "ServiceName",
       'Google Cloud' AS "ServiceProviderName",
       'Generative AI' AS "ServiceSubcategory",
       i.model || '/' || i.kind || '/' || i.modality AS "SkuId",
       i.kind AS "SkuMeter",
       '{"x_Kind": "' || i.kind || '", "x_Location": ' || {json: i.location} || ', "x_Modality": "' || i.modality
           || '", "x_Model": ' || {json: i.model} || ', "x_Rate": "' || i.list_basis || '", "x_Tier": "' || i.tier
           || CASE WHEN i.cache_ttl = '' THEN '' ELSE '", "x_CacheTtl": "' || i.cache_ttl END || '"}'
           AS "SkuPriceDetails",
       i.model || '/' || i.kind || '/' || i.modality || '/' || i.tier || '/' || i.cache_ttl || '/' || i.location
           || CASE i.list_basis WHEN 'batch' THEN '/batch' ELSE '' END AS "SkuPriceId",
       i.project AS "SubAccountId",
       i.project AS "SubAccountName",
       i.labels AS "Tags",
       i.amount_picousd AS "x_BilledPicoUsd",
       {price: i.price_picousd, i.priced_units} AS "x_EffectiveUnitPrice",
       i.list_basis AS "x_ListPriceBasis",
       i.model AS "x_Model",
       i.modality AS "x_Modality",
       i.tier AS "x_Tier",
       i.cache_ttl AS "x_CacheTtl",
       i.basis AS "x_PriceBasis",
       i.source AS "x_PriceSource",
       i.price_date AS "x_PriceDate",
       NULLIF(i.priced_on, '') AS "x_PricedOn",
       NULLIF(i.list_digest, '') AS "x_PriceListDigest",
       i.job_id AS "x_JobId",
       i.state AS "x_JobState",
       i.spec AS "x_Spec",
       i.team AS "x_Team",
       i.dag_id AS "x_DagId",
       i.run_id AS "x_RunId",
       i.task_id AS "x_TaskId",
       i.map_index AS "x_MapIndex",
       {second: i.logical_date} AS "x_LogicalDate",
       i.day AS "x_Day",
       i.is_complete AS "x_IsComplete"
FROM (
    SELECT l.project, l.location, l.job_id, l.model, l.kind, l.modality, l.tier, l.cache_ttl, l.tokens, l.unit,
           l.amount_picousd, l.unit_price_picousd AS price_picousd, l.basis, l.source, l.price_date,
           l.priced_on, l.list_digest,
           CASE l.unit WHEN 'token' THEN 1000000 ELSE 1000 END AS priced_units,
           COALESCE(l.standard_unit_price_picousd, l.unit_price_picousd) AS list_price_picousd,
           COALESCE(l.standard_amount_picousd, l.amount_picousd) AS list_amount_picousd,
           CASE WHEN l.standard_amount_picousd IS NULL THEN 'batch' ELSE 'standard' END AS list_basis,
           j.display_name, j.labels, j.state, j.spec, j.team, j.dag_id, j.run_id, j.task_id, j.map_index,
           j.logical_date, j.day, j.unpriced_line_items = 0 AS is_complete,
           COALESCE(j.start_time, j.create_time, j.end_time, j.recorded_at) AS started,
           COALESCE(j.end_time, j.recorded_at) AS ended
    FROM cost_line_items l
    JOIN cost_jobs j ON j.project = l.project AND j.location = l.location AND j.job_id = l.job_id
    WHERE l.amount_picousd IS NOT NULL
) i;

CREATE OR REPLACE VIEW focus_1_2 AS
SELECT "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
       "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
       "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountStatus", "ConsumedQuantity", "ConsumedUnit",
       "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
       "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
       "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit",
       "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
       "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
       "SubAccountId", "SubAccountName", "Tags", "x_BilledPicoUsd", "x_EffectiveUnitPrice", "x_ListPriceBasis",
       "x_Model", "x_Modality", "x_Tier", "x_CacheTtl", "x_PriceBasis", "x_PriceSource", "x_PriceDate", "x_PricedOn",
       "x_PriceListDigest", "x_JobId", "x_JobState", "x_Spec", "x_Team", "x_DagId", "x_RunId", "x_TaskId",
       "x_MapIndex", "x_LogicalDate", "x_Day", "x_IsComplete"
FROM focus_charges;

CREATE OR REPLACE VIEW focus_1_4 AS
SELECT "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
       "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
       "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountStatus", "ConsumedQuantity", "ConsumedUnit",
       "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "HostProviderName", "InvoiceId", "InvoiceIssuerName",
       "ListCost", "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
       "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "RegionId",
       "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
       "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
       "SubAccountId", "SubAccountName", "Tags", "x_BilledPicoUsd", "x_EffectiveUnitPrice", "x_ListPriceBasis",
       "x_Model", "x_Modality", "x_Tier", "x_CacheTtl", "x_PriceBasis", "x_PriceSource", "x_PriceDate", "x_PricedOn",
       "x_PriceListDigest", "x_JobId", "x_JobState", "x_Spec", "x_Team", "x_DagId", "x_RunId", "x_TaskId",
       "x_MapIndex", "x_LogicalDate", "x_Day", "x_IsComplete"
FROM focus_charges;

CREATE OR REPLACE VIEW focus_unpriced_usage AS
SELECT l.project, l.location, l.job_id, l.model, l.kind, l.modality, l.tier, l.cache_ttl, l.tokens, l.unit, l.reason,
       j.day, j.spec, j.team, j.dag_id, j.run_id
FROM cost_line_items l
JOIN cost_jobs j ON j.project = l.project AND j.location = l.location AND j.job_id = l.job_id
WHERE l.amount_picousd IS NULL;

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
