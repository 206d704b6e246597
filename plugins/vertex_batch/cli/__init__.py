# PYTHON_ARGCOMPLETE_OK
"""The command line ``vertex-batch``. Commands are imported when they run, so that ``validate`` is fast."""

from vertex_batch.cli.main import main

__all__ = ["main"]
