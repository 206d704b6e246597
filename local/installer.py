"""Install lock files: with uv, which takes seconds, or with pip, which is always there.

Standard library only, like ``bootstrap.py``, its one user. uv itself is pinned by hash in ``local/uv.txt``
and lives in an environment of its own, whose pip is also the fallback.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# pip's settings, and the variable through which uv takes the same. uv does not read pip's files.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
}
STAMP = ".made-from"
# What an installed project is described by; the package's own file has its version.
DESCRIBED_IN = ("pyproject.toml", "setup.py", "plugins/vertex_batch/__init__.py")
LOCKED_FROM_PYTHON = "3.11"
LOCKS = {
    "requirements.txt": ["pyproject.toml", "--extra=airflow", "--extra=results"],
    "requirements-dev.txt": ["pyproject.toml", "--extra=dev", "--constraint=requirements.txt"],
    "requirements-bench.txt": ["pyproject.toml", "--extra=bench", "--constraint=requirements-dev.txt"],
    "requirements-proxy.txt": ["local/proxy/requirements.in"],
    "local/uv.txt": ["local/uv.in"],
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the lock file that it is made from.

    :param project: the folder of a project that is installed into it, editable.
    """

    path: Path
    lock: Path
    project: Path | None = None

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def is_current(self) -> bool:
        """Whether it was made, to the end, from what it would be made from now."""
        try:
            return (self.path / STAMP).read_text() == self._fingerprint() and self.python.exists()
        except FileNotFoundError:
            return False

    def mark_stale(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / STAMP).unlink()

    def mark_current(self) -> None:
        (self.path / STAMP).write_text(self._fingerprint())

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
        digest.update(self.lock.read_bytes())
        if self.project:
            described = [self.project / name for name in DESCRIBED_IN if (self.project / name).exists()]
            for path in [*described, *sorted((self.project / "plugins").rglob("*.c"))]:
                digest.update(path.read_bytes())
        return digest.hexdigest()


class Installer:
    """uv in a folder of its own, told what pip knows about the network; pip where uv will not do."""

    def __init__(self, root: Path, folder: Path, python: str, say: Callable[[str], None]) -> None:
        self._root = root
        self._base_python = python
        self._say = say
        self._tools = Environment(folder, root / "local" / "uv.txt")
        self._pip = [str(self._tools.python), "-m", "pip", "--disable-pip-version-check"]
        self._uv = str(folder / "bin" / "uv") if self._prepare() else ""
        self._environ = {**os.environ, **(self._network_settings() if self._uv else {})}

    def install(self, environment: Environment) -> None:
        """Make the environment hold what its lock says, and the project.

        uv also removes what a former lock left behind; pip only adds and replaces.

        :raises subprocess.CalledProcessError: when pip fails too.
        """
        if self._uv and any(self._installs_with_uv(environment, indexes) for indexes in self._indexes()):
            return
        self._install_with_pip(environment)

    def compile_locks(self, *, upgrade: bool) -> None:
        """Write all lock files. Versions in force stay, unless ``upgrade`` is set.

        They come from one index, because a second one may hold the files of one system only, and a lock for
        all systems needs the hashes of all files.
        """
        if not self._uv:
            sys.exit("setup: the locks are compiled by uv, which could not be installed")
        one_index = only_the_main_index(self._environ)
        command = [
            self._uv,
            "pip",
            "compile",
            "--quiet",
            "--system-certs",
            "--universal",
            "--generate-hashes",
        ]
        command += ["--no-emit-index-url", f"--python-version={LOCKED_FROM_PYTHON}"]
        command += ["--custom-compile-command=make lock"] + (["--upgrade"] if upgrade else [])
        for output, sources in LOCKS.items():
            self._say(f"compiling {output}")
            self._run([*command, *sources, f"--output-file={output}"], one_index)

    def _indexes(self) -> list[Mapping[str, str]]:
        """The main index alone, then all of them.

        Of one version uv takes the files of one index, and a second one may hold less of them than the main
        index: a wheel without the library that another wheel brings along.
        """
        main = only_the_main_index(self._environ)
        return [main] if main == self._environ else [main, self._environ]

    def _installs_with_uv(self, environment: Environment, environ: Mapping[str, str]) -> bool:
        try:
            self._install_with_uv(environment, environ)
        except subprocess.CalledProcessError as error:
            self._say(f"uv ended with status {error.returncode}; going on with what else there is")
            return False
        return True

    def _install_with_uv(self, environment: Environment, environ: Mapping[str, str]) -> None:
        if not self._is_usable(environment):
            venv = [self._uv, "venv", "--quiet", "--clear", "--python", self._base_python]
            self._run([*venv, str(environment.path)], environ)
        options = ["--quiet", "--system-certs", f"--python={environment.python}"]
        # All indexes may be asked, as pip does: the hashes leave no room for a stranger's package.
        lock = ["--require-hashes", "--index-strategy=unsafe-best-match", str(environment.lock)]
        self._run([self._uv, "pip", "sync", *options, *lock], environ)
        if environment.project:
            self._run([self._uv, "pip", "install", *options, *self._editable(environment.project)], environ)

    def _install_with_pip(self, environment: Environment) -> None:
        self._say("going on with pip, which takes minutes")
        if not self._is_usable(environment):
            venv = [self._base_python, "-m", "venv", "--without-pip", "--clear"]
            self._run([*venv, str(environment.path)])
        install = [*self._pip, f"--python={environment.python}", "install", "--quiet"]
        self._run([*install, "--no-compile", "--require-hashes", f"--requirement={environment.lock}"])
        if environment.project:
            self._run([*install, *self._editable(environment.project)])

    @staticmethod
    def _editable(project: Path) -> list[str]:
        # The build tool is in the lock, so that nothing is fetched that has no hash.
        return ["--no-deps", "--no-build-isolation", f"--editable={project}"]

    def _is_usable(self, environment: Environment) -> bool:
        """Whether the environment's interpreter runs, and is of the wanted version."""
        probe = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
        try:
            return subprocess.run([str(environment.python), "-c", probe], check=False).returncode == 0
        except OSError:
            return False

    def _prepare(self) -> bool:
        """Install uv unless it is there; return whether it is."""
        if self._tools.is_current():
            return True
        self._say("fetching uv, the installer")
        self._run([self._base_python, "-m", "venv", "--clear", str(self._tools.path)], os.environ)
        install = [*self._pip, "install", "--quiet", "--require-hashes", "--only-binary=:all:"]
        try:
            self._run([*install, f"--requirement={self._tools.lock}"], os.environ)
        except subprocess.CalledProcessError:
            self._say("uv could not be installed")
            return False
        self._tools.mark_current()
        return True

    def _network_settings(self) -> dict[str, str]:
        command = [*self._pip, "config", "list"]
        listing = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        return uv_settings(listing, os.environ)

    def _run(self, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        environ = self._environ if environ is None else environ
        subprocess.run(command, cwd=str(self._root), env=environ, stdin=subprocess.DEVNULL, check=True)


def only_the_main_index(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the further places to look for packages."""
    return {key: environ[key] for key in environ if key not in ("UV_INDEX", "UV_FIND_LINKS")}


def uv_settings(pip_config: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Say to uv, in its variables, what pip's files and variables say.

    :param pip_config: what ``pip config list`` prints.
    :param environ: what the caller has told uv himself there is left alone.
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
