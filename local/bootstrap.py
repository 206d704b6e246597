"""Make the project's environments with uv: ``python3 -m local.bootstrap``, from the repository's root.

``.venv`` holds Airflow, the package and the development tools; ``.venv-proxy`` holds the LiteLLM proxy, whose
pins conflict with Airflow's; ``.venv-bench``, made when it is named, adds the contestants of ``make bench``.
Each has lock files with hashes, and a stamp of what it was made from: while it matches, nothing is done.
``python3 -m local.bootstrap lock`` regenerates the lock files.

Only the standard library is imported here, and an old Python can run it: uv finds a newer one.
uv itself is pinned in ``local/uv.txt`` and gets an environment of its own below ``.local``.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
UV = STATE / "uv" / "bin" / "uv"
OLDEST, NEWEST = (3, 11), (3, 14)
STAMP = ".made-from"
# What the installed project is described by; the package's own file has its version.
DESCRIBED_IN = ("pyproject.toml", "setup.py", "plugins/vertex_batch/__init__.py")
# A lock leaves out what the locks it builds upon have: lock file -> (what to resolve, the locks below it).
LOCKS = {
    "requirements.txt": (["pyproject.toml", "--extra=airflow"], []),
    "requirements-dev.txt": (["pyproject.toml", "--extra=dev"], ["requirements.txt"]),
    "tools/bench/requirements.txt": (
        ["pyproject.toml", "--extra=bench"],
        ["requirements.txt", "requirements-dev.txt"],
    ),
    "local/proxy/requirements.txt": (["local/proxy/requirements.in"], []),
    "deploy/image/requirements.txt": (
        ["pyproject.toml", "--extra=airflow", "deploy/image/requirements.in"],
        ["requirements.txt"],
    ),
    "deploy/image/build.txt": (["deploy/image/build.in"], []),
    "local/proxy/database/requirements.txt": (
        ["local/proxy/database/requirements.in"],
        ["local/proxy/requirements.txt"],
    ),
    # pandasql is published as source only, and the validator does not import it.
    "tools/focus_validator.txt": (["tools/focus_validator.in", "--no-emit-package=pandasql"], []),
    "local/uv.txt": (["local/uv.in"], []),
}
# Install from a lock. All indexes may be asked, as pip does: the hashes leave no room for another's package.
LOCKED = ["--require-hashes", "--index-strategy=unsafe-best-match"]
NEEDS_PYTHON = {"tools/focus_validator.txt": "3.12"}
# uv does not read pip's files. pip's settings, and the variables through which uv takes the same:
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
}


class Environment(NamedTuple):
    """A virtual environment, the lock files that it is made from, and whether the project is in it."""

    path: Path
    locks: list[Path]
    has_project: bool

    def fingerprint(self) -> str:
        """What the environment would be made from now."""
        files = list(self.locks)
        if self.has_project:
            files += [ROOT / name for name in DESCRIBED_IN]
            files += sorted((ROOT / "plugins").rglob("*.c"))
        parts = [repr(sys.version_info[:2]).encode(), *(file.read_bytes() for file in files)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def is_current(self) -> bool:
        stamp, python = self.path / STAMP, self.path / "bin" / "python"
        return stamp.exists() and python.exists() and stamp.read_text() == self.fingerprint()


DEVELOPMENT = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]
ENVIRONMENTS = {
    "main": Environment(ROOT / ".venv", DEVELOPMENT, has_project=True),
    "proxy": Environment(
        ROOT / ".venv-proxy", [ROOT / "local" / "proxy" / "requirements.txt"], has_project=False
    ),
    "bench": Environment(
        ROOT / ".venv-bench", [*DEVELOPMENT, ROOT / "tools" / "bench" / "requirements.txt"], has_project=True
    ),
}
USUAL = ("main", "proxy")


def main(arguments: list[str]) -> int:
    """Bring the named environments (main and proxy by default) up to date; ``lock`` regenerates the locks."""
    unknown = sorted(set(arguments) - {*ENVIRONMENTS, "lock"})
    if unknown:
        print(f"setup: no environment {', '.join(unknown)}: choose from main, proxy, bench, lock")
        return 2
    wanted = [ENVIRONMENTS[name] for name in arguments or USUAL if name != "lock"]
    if "lock" not in arguments and all(each.is_current() for each in wanted):
        return 0
    STATE.mkdir(exist_ok=True)
    with (STATE / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second `make` in this clone waits for the first
        environ = prepare_uv()
        if "lock" in arguments:
            compile_locks(environ)
        stale = [each for each in wanted if not each.is_current()]
        with ThreadPoolExecutor(len(stale) or 1) as pool:
            list(pool.map(lambda each: make(each, environ), stale))
    return 0


def prepare_uv() -> dict[str, str]:
    """Install uv unless it is there; return its environment variables, with the settings of pip."""
    pip = [str(UV.parent / "python"), "-m", "pip", "--disable-pip-version-check"]
    pinned = Environment(UV.parent.parent, [ROOT / "local" / "uv.txt"], has_project=False)
    if not pinned.is_current():
        say("fetching uv, the installer")
        run([sys.executable, "-m", "venv", "--clear", str(pinned.path)])
        options = ["--quiet", "--require-hashes", "--only-binary=:all:"]
        run([*pip, "install", *options, f"--requirement={pinned.locks[0]}"])
        (pinned.path / STAMP).write_text(pinned.fingerprint())
    listing = subprocess.run([*pip, "config", "list"], stdout=subprocess.PIPE, check=True, text=True).stdout
    usual = {"PATH": os.defpath, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    return {**usual, **os.environ, **uv_settings(listing, os.environ)}


def make(environment: Environment, environ: Mapping[str, str]) -> None:
    """Make the environment hold what its locks say, and nothing else but the project."""
    names = ", ".join(lock.name for lock in environment.locks)
    say(f"{environment.path.name}: installing {names}")
    started = time.monotonic()
    stamp = environment.path / STAMP
    stamp.unlink(missing_ok=True)
    if not has_wanted_python(environment):
        venv = ["venv", "--quiet", "--clear", f"--python={wanted_python()}"]
        run([str(UV), *venv, str(environment.path)], environ)
    from_each_index(environment.path.name, environ, lambda indexes: install(environment, indexes))
    stamp.write_text(environment.fingerprint())
    say(f"{environment.path.name}: ready after {time.monotonic() - started:.0f} s")


def from_each_index(
    name: str, environ: Mapping[str, str], install: Callable[[Mapping[str, str]], None]
) -> None:
    """Ask the main index alone first, then all.

    Of one version uv takes the files of one index, and a second one may have fewer of them, such as a wheel
    without the library that another wheel has.
    """
    main_index = only_the_main_index(environ)
    try:
        install(main_index)
    except subprocess.CalledProcessError:
        if main_index == environ:
            raise
        say(f"{name}: trying again with all indexes that pip is configured with")
        install(environ)


def install(environment: Environment, environ: Mapping[str, str]) -> None:
    """Let uv install the packages, and then the project."""
    into = f"--python={environment.path / 'bin' / 'python'}"
    run([str(UV), "pip", "sync", "--quiet", into, *LOCKED, *map(str, environment.locks)], environ)
    if environment.has_project:
        # The build tool is in the lock, so that nothing without a hash is fetched.
        project = ["--no-deps", "--no-build-isolation", f"--editable={ROOT}"]
        run([str(UV), "pip", "install", "--quiet", into, *project], environ)


def has_wanted_python(environment: Environment) -> bool:
    """Whether the environment's Python has this one's version, or is supported where this one is not."""
    probe = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [str(environment.path / "bin" / "python"), "-c", probe], stdout=subprocess.PIPE, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    version, this = tuple(int(part) for part in answer.stdout.split()), sys.version_info[:2]
    return OLDEST <= version <= NEWEST and (version == this or not OLDEST <= this <= NEWEST)


def wanted_python() -> str:
    """This interpreter, also where it runs in an environment, or a supported one for uv to find."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return str(getattr(sys, "_base_executable", None) or sys.executable)
    return f">={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"


def compile_locks(environ: Mapping[str, str]) -> None:
    """Write all lock files. Versions in force stay, unless UPGRADE is set.

    They come from one index: a second one may hold the files of one system only, and a lock for all systems
    needs the hashes of all files.
    """
    command = [
        str(UV),
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--no-emit-index-url",
    ]
    command += ["--custom-compile-command=make lock"]
    command += ["--no-annotate"] + (["--upgrade"] if environ.get("UPGRADE") else [])
    for lock, (sources, below) in LOCKS.items():
        say(f"compiling {lock}")
        constraints = [f"--constraint={each}" for each in below]
        known = [name for each in below for name in locked_names(ROOT / each)]
        left_out = [f"--no-emit-package={name}" for name in known]
        python = f"--python-version={NEEDS_PYTHON.get(lock, f'{OLDEST[0]}.{OLDEST[1]}')}"
        run(
            [*command, python, *sources, *constraints, *left_out, f"--output-file={lock}"],
            only_the_main_index(environ),
        )


def locked_names(lock: Path) -> list[str]:
    """Return what the lock installs; what it has for another system only may still be needed here."""
    return re.findall(r"(?m)^([a-z0-9._-]+)==(?!.*sys_platform == )", lock.read_text())


def only_the_main_index(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the further places to look for packages."""
    return {key: environ[key] for key in environ if key not in ("UV_INDEX", "UV_FIND_LINKS")}


def uv_settings(pip_config: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Translate what pip's files and variables say into uv's variables.

    :param pip_config: what ``pip config list`` prints.
    :param environ: uv's own variables there take precedence.
    """
    settings: dict[str, str] = {}
    # From weak to strong: the settings of all commands, those of `pip install`, the environment.
    for section in ("global.", "install.", ":env:."):
        for line in pip_config.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section):
                settings[key[len(section) :]] = ast.literal_eval(value)
    return {
        variable: (" " if name != "find-links" else ",").join(settings[name].split())
        for name, variable in UV_VARIABLES.items()
        if name in settings and variable not in environ
    }


def run(command: list[str], environ: Mapping[str, str] = os.environ) -> None:
    subprocess.run(command, cwd=str(ROOT), env=dict(environ), stdin=subprocess.DEVNULL, check=True)


def say(text: str) -> None:
    sys.stdout.write(f"setup: {text}\n")  # in one piece, because two threads report
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        sys.exit(
            f"setup: the command ended with status {error.returncode}; its message is above:\n    {command}"
        )
    except KeyboardInterrupt:
        sys.exit(130)
