"""Reading what jobs have left, as tasks do it."""

from __future__ import annotations

import pytest

from vertex_batch.billing.outputs import PROCESSES_VARIABLE, OutputReader
from vertex_batch.errors import ConfigurationError


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused_before_anything_is_read(monkeypatch, text):
    monkeypatch.setenv(PROCESSES_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"{PROCESSES_VARIABLE} is '{text}'"):
        OutputReader(lambda: None)
