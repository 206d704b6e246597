"""Where things stand in the repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STATE = REPOSITORY / ".local"
MAIN_BIN = REPOSITORY / ".venv" / "bin"
PROXY_BIN = REPOSITORY / ".venv-proxy" / "bin"
