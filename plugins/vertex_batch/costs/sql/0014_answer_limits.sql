-- The most tokens of an answer that the rows of an estimated job allowed, on average; NULL where a row stated no limit. A
-- later estimate compares it with its own rows: answers that filled a lower limit say little of those with a higher one.

ALTER TABLE cost_estimates ADD COLUMN answer_limit BIGINT;
