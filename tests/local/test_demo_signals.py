"""How a person ends the demo."""

from __future__ import annotations

import signal
import subprocess
import sys

SCRIPT = """
import pathlib, sys
from rich.console import Console
from local import demo
try:
    demo.main(["--help"])
except SystemExit:
    pass
demo.wait_for_interrupt(Console(), pathlib.Path(sys.argv[1]))
"""


def test_sigint_ends_a_demo_that_a_script_started_in_the_background(tmp_path):
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    demo = subprocess.Popen(
        [*ignoring, sys.executable, "-u", "-c", SCRIPT, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        while "until Ctrl-C" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        assert "Stopping" in demo.communicate(timeout=60)[0]
        assert demo.returncode == 0
    finally:
        demo.kill()
        demo.communicate()
