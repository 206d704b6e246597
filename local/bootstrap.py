"""Make the project's environments: ``python3 -m local.bootstrap``, from the repository's root.

Nothing but the standard library runs here, and no syntax newer than Python 3.7's stands here or in
``installer.py``, so that an old interpreter can say what is missing instead of failing on a line.

``.venv`` holds Airflow, the package and the development tools; ``.venv-proxy`` holds the LiteLLM proxy, whose
pins clash with Airflow's; ``.venv-bench``, made when it is named, holds whom we are measured against. Each is
made from a lock file with hashes and carries a stamp of what it was made from; while the stamp matches,
nothing is done. ``python3 -m local.bootstrap lock`` writes the lock files.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.installer import Environment, Installer

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
OLDEST, NEWEST = (3, 11), (3, 14)
CANDIDATES = ("python3", "python3.13", "python3.12", "python3.11", "python3.14")
ENVIRONMENTS = {
    "main": Environment(ROOT / ".venv", ROOT / "requirements-dev.txt", project=ROOT),
    "proxy": Environment(ROOT / ".venv-proxy", ROOT / "requirements-proxy.txt"),
    "bench": Environment(ROOT / ".venv-bench", ROOT / "requirements-bench.txt", project=ROOT),
}
USUAL = ("main", "proxy")


def main(arguments: list[str]) -> int:
    """Bring the named environments (main and proxy by default) up to date; ``lock`` writes the locks."""
    use_a_supported_python()
    unknown = sorted(set(arguments) - {*ENVIRONMENTS, "lock"})
    if unknown:
        named = ", ".join(unknown)
        print(f"setup: there is no {named}: choose from main, proxy, bench, lock", file=sys.stderr)
        return 2
    if "lock" in arguments:
        with one_at_a_time():
            installer().compile_locks(upgrade=bool(os.environ.get("UPGRADE")))
        return 0
    wanted = [ENVIRONMENTS[name] for name in arguments or USUAL]
    if not all(environment.is_current() for environment in wanted):
        with one_at_a_time():
            make([environment for environment in wanted if not environment.is_current()])
    return 0


def make(environments: list[Environment]) -> None:
    """Install all of them, at the same time."""
    if not environments:
        return  # another run has just done it
    started = time.monotonic()
    tool = installer()

    def make_one(environment: Environment) -> None:
        say(f"{environment.path.name}: installing {environment.lock.name}")
        environment.mark_stale()
        tool.install(environment)
        environment.mark_current()
        say(f"{environment.path.name}: ready after {time.monotonic() - started:.0f} s")

    with ThreadPoolExecutor(len(environments)) as pool:
        for done in [pool.submit(make_one, environment) for environment in environments]:
            done.result()


def installer() -> Installer:
    # The interpreter itself, also when this runs inside an environment that may be replaced.
    python = getattr(sys, "_base_executable", None) or sys.executable
    say(f"Python {sys.version.split()[0]} at {python}")
    return Installer(ROOT, STATE / "uv", python, say)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second ``make`` in the same clone wait for the first instead of writing into its environments."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup is running in this folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def use_a_supported_python() -> None:
    """Go on under the first interpreter that will do; say what is missing when there is none."""
    if OLDEST <= sys.version_info[:2] <= NEWEST and importlib.util.find_spec("ensurepip"):
        return
    for name in CANDIDATES:
        probe = [name, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"]
        try:
            answer = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        if OLDEST <= tuple(int(part) for part in answer.stdout.split()) <= NEWEST:
            os.execvp(name, [name, "-m", "local.bootstrap", *sys.argv[1:]])  # noqa: S606
    oldest, newest = (".".join(str(part) for part in bound) for bound in (OLDEST, NEWEST))
    lacking = "" if importlib.util.find_spec("ensurepip") else " without the module ensurepip"
    sys.exit(
        f"setup: this project needs Python {oldest} to {newest} with its modules venv and ensurepip.\n"
        f"{sys.executable} is {sys.version.split()[0]}{lacking};\n"
        f"none of {', '.join(CANDIDATES)} will do.\n"
        "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name one that you have:\n"
        "    make demo PYTHON=/path/to/python3.12"
    )


def say(text: str) -> None:
    sys.stdout.write(f"setup: {text}\n")  # in one piece, because two threads report
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        sys.exit(f"setup: this ended with status {error.returncode}, its reason stands above:\n    {command}")
    except KeyboardInterrupt:
        sys.exit(130)
