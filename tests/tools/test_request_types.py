"""The message types that the pre-flight and the emulator know are those of Vertex's discovery document."""

from __future__ import annotations

import json

import pytest

from tools import request_types


def test_the_committed_types_are_those_of_the_discovery_document():
    committed = json.loads(request_types.FILE.read_text())
    current = request_types.request_types()
    if committed["revision"] != current["revision"]:
        pytest.skip("another revision is installed; run `python -m tools.request_types`")
    assert request_types.FILE.read_text() == request_types.text()
