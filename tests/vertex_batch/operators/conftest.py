from __future__ import annotations

import json

import pytest

from vertex_batch.costs import CostTable
from vertex_batch.vertex.client import BatchClient

MODEL = "gemini-3.5-flash"  # no dated list has it, so that the proxy's list is what counts


@pytest.fixture
def table(tmp_path, monkeypatch) -> CostTable:
    """The cost table that Airflow's connection `batch_costs` leads to."""
    file = tmp_path / "costs.db"
    connection = {"conn_type": "sqlite", "host": str(file)}
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", json.dumps(connection))
    return CostTable(f"sqlite:///{file}")


@pytest.fixture
def prices(monkeypatch):
    """What the proxy's price list says; the emulator has none."""
    said = {MODEL: {"litellm_provider": "vertex_ai", "input_cost_per_token_batches": 1e-06}}
    monkeypatch.setattr(BatchClient, "model_info", lambda _: [])
    monkeypatch.setattr(BatchClient, "price_map", lambda _: said)
    return said[MODEL]
