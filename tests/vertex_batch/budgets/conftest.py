"""The ledger lies beside the bills, so its tests run on the same two databases."""

from tests.vertex_batch.costs.conftest import bill, database_url, line, postgres, table

__all__ = ["bill", "database_url", "line", "postgres", "table"]
