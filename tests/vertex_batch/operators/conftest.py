from __future__ import annotations

import json

import pytest

from vertex_batch.costs import CostTable


@pytest.fixture
def table(tmp_path, monkeypatch) -> CostTable:
    """The cost table that Airflow's connection `batch_costs` leads to."""
    file = tmp_path / "costs.db"
    connection = {"conn_type": "sqlite", "host": str(file)}
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", json.dumps(connection))
    return CostTable(f"sqlite:///{file}")
