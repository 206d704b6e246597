-- A delivery that was put beside a better one of the same input: where the better one is, and how many answers it has.

ALTER TABLE cost_deliveries ADD COLUMN kept_at TEXT NOT NULL DEFAULT '';
ALTER TABLE cost_deliveries ADD COLUMN kept_answers BIGINT NOT NULL DEFAULT 0;
