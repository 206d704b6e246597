#!/usr/bin/env bash
# The cost table's own role and database, on a server that Airflow's metadata shares.
# The image runs this once, when the data directory is empty. On a server that already has data, run the same
# statements by hand (docs/deployment.md).
set -euo pipefail

psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="${BATCH_COSTS_PASSWORD:?}" \
  --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE ROLE batch_costs LOGIN PASSWORD :'password';
CREATE DATABASE batch_costs OWNER batch_costs;
-- Whoever reads costs need not reach Airflow's connections and variables, and the other way round.
REVOKE CONNECT ON DATABASE batch_costs FROM PUBLIC;
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SQL
