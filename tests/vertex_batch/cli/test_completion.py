"""What a shell completes, asked for as `argcomplete` asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vertex-batch pl", {"plan"}),
        ("vertex-batch jobs ", {"list", "show", "cancel"}),
        ("vertex-batch run x.yaml --on-interrupt ", {"ask", "cancel", "leave"}),
        ("vertex-batch validate --format ", {"text", "json", "github"}),
        ("vertex-batch plan --off", {"--offline"}),
        ("vertex-batch cost --by ", {"spec", "day", "model", "team"}),
    ],
)
def test_commands_options_and_choices_complete(line, expected, tmp_path):
    found = tmp_path / "completions"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    words = [sys.executable, "-c", "import sys; from vertex_batch.cli import main; sys.exit(main())"]
    subprocess.run(words, env=environment, check=False, timeout=60)
    offered = {word.strip() for word in found.read_text().split("\n")}
    assert expected <= offered
    assert len(offered - expected - {"-h", "--help"}) == 0
