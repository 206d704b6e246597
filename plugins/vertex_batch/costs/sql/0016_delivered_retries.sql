-- The earlier run whose rows the run of a delivery has sent again. Both have the same input, which counts once.

ALTER TABLE cost_deliveries ADD COLUMN retry_of TEXT NOT NULL DEFAULT '';
