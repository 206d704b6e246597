"""The database of a LiteLLM proxy, for virtual keys, budgets and spend logs.

LiteLLM reaches PostgreSQL through Prisma, whose query engine is a binary that no package registry has. npm
has it as WASM, so that Node.js runs it here (`local/proxy/database/engine.mjs`). The Python client is made
for the schema of the installed LiteLLM. ``make proxy-db`` installs both below `.local`; the environment of
the proxy is not changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from local import bootstrap
from local.stack.metadata import migrated_data
from local.stack.paths import PROXY_BIN, REPOSITORY, STATE
from local.stack.postgres import copy_data, postgres_service, running, start_postgres
from local.stack.processes import Service

PROXY_DATABASE = "proxy database"
NAME = "litellm"
SOURCES = REPOSITORY / "local" / "proxy" / "database"
PARTS = STATE / "proxy-db"
ENGINE = PARTS / "engine.mjs"
PRISMA = PARTS / "node_modules" / "prisma" / "build" / "index.js"
# LiteLLM calls it at the start to migrate; the schema is there already.
NO_PRISMA = PARTS / "bin" / "prisma"


class PartsError(Exception):
    """A part could not be installed; the message quotes the installer."""


def missing_programs() -> str:
    """Return what has to be installed before `install` can work; empty if it is there."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"a proxy with a database needs Node.js: {' and '.join(missing)} not found" if missing else ""


def install(say: Callable[[str], None]) -> None:
    """Install what is missing: npm's packages, and the Python client for this LiteLLM. Harmless to repeat.

    :raises PartsError: Node.js is missing, or an installer failed.
    """
    if missing := missing_programs():
        raise PartsError(missing)
    PARTS.mkdir(parents=True, exist_ok=True)
    with (PARTS / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = PARTS / ".made-from"
        wanted = _digest(*(SOURCES / name for name in ("engine.mjs", "package.json", "package-lock.json")))
        if not stamp.exists() or stamp.read_text() != wanted:
            say("installing the packages of the query engine from npm")
            _install_engine()
            stamp.write_text(wanted)
        if not _client().exists():
            say("generating LiteLLM's database client")
            _generate_client()


def database_service(folder: Path, port: int, say: Callable[[str], None]) -> Service:
    """Describe the server; a copy of LiteLLM's migrated schema is put into the folder unless it is there."""
    install(say)
    if not (folder / "data").exists():
        name = f"litellm-{_digest(*_migrations())}"
        copy_data(migrated_data(name, _migrate, say), folder)
    return replace(postgres_service(folder, port), role=PROXY_DATABASE)


def proxy_settings(folder: Path, port: int, salt: str) -> Mapping[str, str]:
    """Return the proxy's environment variables, once `database_service` has prepared the folder.

    :param salt: encrypts what LiteLLM stores; any text that stays the same while the data are used.
    """
    return {
        "DATABASE_URL": running(folder, port).url(NAME),
        "DISABLE_SCHEMA_UPDATE": "true",
        "LITELLM_SALT_KEY": salt,
        "PRISMA_QUERY_ENGINE_BINARY": str(ENGINE),
        "PROXY_BATCH_WRITE_AT": "2",  # the seconds between writes of spend logs
        "PYTHONPATH": str(_client()),
        "PATH": _path(NO_PRISMA.parent),
    }


def _install_engine() -> None:
    for source in SOURCES.iterdir():
        shutil.copy(source, PARTS)
    ENGINE.chmod(0o755)
    NO_PRISMA.parent.mkdir(exist_ok=True)
    NO_PRISMA.write_text("#!/bin/sh\nexit 0\n")
    NO_PRISMA.chmod(0o755)
    # Scripts of packages would download the binaries.
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], os.environ, PARTS)


def _client() -> Path:
    return PARTS / f"client-{_digest(_schema(), SOURCES / 'requirements.txt', PROXY_BIN / 'python')}"


def _generate_client() -> None:
    with tempfile.TemporaryDirectory(dir=PARTS) as folder:
        client, environ = Path(folder) / "client", bootstrap.prepare_uv()
        into = [f"--target={client}", f"--python={PROXY_BIN / 'python'}", "--no-deps"]
        locked = [f"--requirement={SOURCES / 'requirements.txt'}", *bootstrap.LOCKED]
        _run([bootstrap.UV, "pip", "install", "--quiet", *into, *locked], environ)
        # Prisma's command line asks its engines for their versions only; it reads schemas with its own WASM.
        kinds = ("QUERY_ENGINE_BINARY", "SCHEMA_ENGINE_BINARY", "QUERY_ENGINE_LIBRARY")
        settings = {
            **os.environ,
            **{f"PRISMA_{kind}": str(ENGINE) for kind in kinds},
            "PRISMA_CLI_QUERY_ENGINE_TYPE": "binary",
            "PRISMA_HIDE_UPDATE_MESSAGE": "1",
            "CHECKPOINT_DISABLE": "1",
            "PYTHONPATH": str(client),
            "PATH": _path(client / "bin", PROXY_BIN),
        }
        _run(["node", PRISMA, "generate", f"--schema={_schema()}"], settings)
        client.replace(_client())


def _migrate(server_folder: Path) -> None:
    files = [word for file in _migrations() for word in ("-f", file)]
    with start_postgres(server_folder) as server:
        command: list[str | Path] = [server.binaries / "psql", server.create_database(NAME)]
        _run([*command, "-q", "-v", "ON_ERROR_STOP=1", *files], os.environ)


def _site_packages() -> Path:
    return next((PROXY_BIN.parent / "lib").glob("python3*/site-packages"))


def _schema() -> Path:
    return _site_packages() / "litellm" / "proxy" / "schema.prisma"


def _migrations() -> list[Path]:
    return sorted((_site_packages() / "litellm_proxy_extras" / "migrations").glob("*/migration.sql"))


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _path(*first: Path) -> str:
    return os.pathsep.join([*map(str, first), os.environ.get("PATH", os.defpath)])


def _run(command: list[str | Path], environ: Mapping[str, str], cwd: Path = REPOSITORY) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-15:])
        raise PartsError(f"{Path(command[0]).name} ended with status {done.returncode}:\n{end}")
