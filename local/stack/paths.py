"""Where things are in the repository."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STATE = REPOSITORY / ".local"
# `tools.versions` runs the stack with environments of other versions.
MAIN_BIN = Path(os.environ.get("STACK_AIRFLOW_ENVIRONMENT") or REPOSITORY / ".venv") / "bin"
PROXY_BIN = Path(os.environ.get("STACK_PROXY_ENVIRONMENT") or REPOSITORY / ".venv-proxy") / "bin"
