from __future__ import annotations

import pytest

from tests.vertex_batch.results.nights import Night


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)
