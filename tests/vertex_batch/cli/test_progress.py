"""A person sees how far a scan has come; a program does not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

BILL = "import sys; from vertex_batch.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def bill(tmp_path):
    output = tmp_path / "predictions.jsonl"
    output.write_text('{"status":"no"}\n')
    options = ["bill", str(output), "--model", "gemini-2.5-flash", "--location", "global", "--json"]
    return [sys.executable, "-c", BILL, *options]


def test_a_terminal_gets_a_bar_and_the_output_stays_clean(bill):
    terminal, of_process = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run(bill, stdout=subprocess.PIPE, stderr=of_process, env=env, check=True)
    os.close(of_process)
    drawn = os.read(terminal, 1 << 16)
    os.close(terminal)
    assert b"bytes" in drawn
    assert json.loads(done.stdout)["rows"]["failed"] == 1


def test_no_terminal_gets_nothing(bill):
    done = subprocess.run(bill, capture_output=True, check=True)
    assert done.stderr == b""
