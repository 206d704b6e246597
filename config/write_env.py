"""Write ``.env`` from ``.env.example`` with fresh secrets: ``python3 config/write_env.py``.

Standard library only: it runs before anything is installed. An ``.env`` that is there is kept as it is,
and what it lacks is added, so a second run after an upgrade is safe.
"""  # noqa: INP001 - a script, not part of a package

import base64
import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Hexadecimal, because the values are put into URLs and JSON without further quoting.
GENERATED = {
    "DEPLOYMENT": lambda: "compose-" + secrets.token_hex(4),
    "AIRFLOW_PASSWORD": lambda: secrets.token_hex(8),
    "FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "JWT_SECRET": lambda: secrets.token_hex(64),
    "API_SECRET_KEY": lambda: secrets.token_hex(32),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(24),
    "BATCH_COSTS_PASSWORD": lambda: secrets.token_hex(24),
    "LITELLM_MASTER_KEY": lambda: "sk-" + secrets.token_hex(24),
}


def filled(text: str, uid: int) -> str:
    """Return an environment file with what is empty and can be made up filled in."""
    return "".join(f"{_filled_line(line, uid)}\n" for line in text.splitlines())


def missing(present: str, example: str) -> str:
    """Return the settings of the example that the present file does not have, without their comments."""
    known = {line.partition("=")[0] for line in present.splitlines()}
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]
    return "".join(f"{line}\n" for line in lines if line.partition("=")[0] not in known)


def _filled_line(line: str, uid: int) -> str:
    name, equals, value = line.partition("=")
    if equals and not value and name in GENERATED:
        return f"{name}={GENERATED[name]()}"
    # Not for root: running as root inside the containers is what AIRFLOW_UID is there to avoid.
    if name == "AIRFLOW_UID" and equals and uid:
        return f"AIRFLOW_UID={uid}"
    return line


def main(target: Path = ROOT / ".env", example: Path = ROOT / ".env.example") -> None:
    """Create the file, readable for its owner alone, or complete it."""
    present = target.read_text() if target.exists() else ""
    wanted = example.read_text()
    addition = filled(missing(present, wanted) if present else wanted, _uid())
    newline = "\n" if addition and present and not present.endswith("\n") else ""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        file.write(newline + addition)
    done = "kept" if not addition else "completed" if present else "written"
    sys.stdout.write(f"{target}: {done}\n")


def _uid() -> int:
    return os.getuid() if sys.platform == "linux" else 0


if __name__ == "__main__":
    main()
