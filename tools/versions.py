"""Run the system tests with other versions of LiteLLM and Airflow, and print what differs: ``make versions``.

Each version has an environment of its own below `.local/versions`. What a test has recorded of an answer
(`record_property`) is compared, too, so that a changed status or header is seen although the test passes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import Parser
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from packaging.requirements import Requirement
from packaging.version import Version

from local import bootstrap
from local.stack.paths import REPOSITORY, STATE
from vertex_batch.vertex.proxy_versions import MALICIOUS_VERSIONS

LITELLM = ("1.106.2", "1.108.0", "1.108.7", "1.110.2")
AIRFLOW = ("3.3.0", "3.3.1", "3.3.2", "3.4.0b2")
SYSTEM = REPOSITORY / "tests" / "system"
# Of these, the tests marked `proxy_only`: without Airflow, a version takes a few minutes.
OF_LITELLM = ("test_proxy.py", "test_proxy_database.py", "test_command_line.py")
OF_AIRFLOW = ("test_proxy.py", "test_command_line.py", "test_runs.py")
FOLDER = STATE / "versions"
Program = Literal["LiteLLM", "Airflow"]
Result = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Report:
    """What the tests did with one version.

    :param note: what is unusual about its environment.
    :param results: by the name of the test.
    :param facts: what tests have recorded, by the name of the fact.
    """

    program: Program
    version: str
    note: str = ""
    seconds: float = 0.0
    results: Mapping[str, Result] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def count(self, result: Result) -> int:
        return sum(each == result for each in self.results.values())


def read_junit(text: str) -> tuple[float, dict[str, Result], dict[str, str]]:
    """Read the seconds, the results and the recorded facts from pytest's XML."""
    results: dict[str, Result] = {}
    facts: dict[str, str] = {}
    root = ET.fromstring(text)  # noqa: S314 - our own pytest wrote it
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        kinds = {child.tag for child in case}
        results[name] = "failed" if kinds & {"failure", "error"} else "passed"
        if "skipped" in kinds:
            results[name] = "skipped"
        for each in case.iter("property"):
            facts[each.get("name", "")] = each.get("value", "")
    return sum(float(suite.get("time", 0)) for suite in root.iter("testsuite")), results, facts


def table(reports: Sequence[Report]) -> str:
    """Make the Markdown table of all versions."""
    lines = ["| version | passed | failed | skipped | seconds | note |", "|---|---|---|---|---|---|"]
    for each in reports:
        passed, failed, skipped = (each.count(result) for result in ("passed", "failed", "skipped"))
        numbers = f"{passed} | {failed} | {skipped} | {each.seconds:.0f}"
        lines.append(f"| {each.program} {each.version} | {numbers} | {each.note} |")
    return "\n".join(lines)


def differences(reports: Sequence[Report]) -> list[str]:
    """Name each test and each fact that is not the same for all versions of a program.

    A test that no version has passed differs too.
    """
    lines = []
    for program in dict.fromkeys(each.program for each in reports):
        group = [each for each in reports if each.program == program and each.results]
        results = {each.version: each.results for each in group}
        facts = {each.version: each.facts for each in group}
        lines += [f"{program}: {line}" for line in (*_unequal(results, "passed"), *_unequal(facts))]
    return lines


def _unequal(by_version: Mapping[str, Mapping[str, str]], wanted: str | None = None) -> Iterator[str]:
    for name in dict.fromkeys(name for found in by_version.values() for name in found):
        seen: dict[str, list[str]] = {}
        for version, found in by_version.items():
            seen.setdefault(found.get(name, "not there"), []).append(version)
        if len(seen) > 1 or (wanted and wanted not in seen):
            yield f"{name}: " + "; ".join(f"{what} ({', '.join(who)})" for what, who in seen.items())


def without_core(lock: str) -> list[str]:
    """Return the requirements of a lock without hashes, and without the packages of one Airflow release."""
    lines = [line.rstrip(" \\") for line in lock.splitlines() if re.match(r"[a-z0-9]", line)]
    return [line for line in lines if not re.match(r"apache-airflow(-core|-task-sdk)?==", line)]


def proxy_requirements(metadata: str) -> list[str]:
    """Return what a LiteLLM's extra `proxy` requires beyond packages of its own, from its METADATA."""
    required = [Requirement(line) for line in Parser().parsestr(metadata).get_all("Requires-Dist", [])]
    found = [
        each
        for each in required
        if not each.name.startswith("litellm")
        and each.marker
        and each.marker.evaluate({"extra": "proxy"})
        and not each.marker.evaluate({"extra": ""})
    ]
    return [f"{each.name}{each.specifier}" for each in found]


class CannotInstallError(Exception):
    """A version cannot be installed; the message is the installer's."""


def _uv(*words: str | Path) -> None:
    # Without the constraints of pyproject.toml, which name one Airflow.
    command = [bootstrap.UV, "--no-config", *words]
    done = subprocess.run(
        command, env=bootstrap.prepare_uv(), capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    if done.returncode:
        raise CannotInstallError(" ".join(done.stderr.split())[:400])


def _fresh(path: Path) -> str:
    _uv("venv", "--quiet", "--clear", f"--python={bootstrap.wanted_python()}", path)
    return f"--python={path / 'bin' / 'python'}"


def install_litellm(path: Path, version: str) -> str:
    """Install a proxy; returns a note if packages of another version had to be used.

    :raises CannotInstallError: also for a malicious release.
    """
    if version in MALICIOUS_VERSIONS:
        raise CannotInstallError("a malicious release that has been withdrawn")
    into = ("pip", "install", "--quiet", "--index-strategy=unsafe-best-match", _fresh(path))
    try:
        _uv(*into, f"litellm[proxy]=={version}", "google-auth")
    except CannotInstallError:
        # Its own further packages are not on every index; the newest that are there are close.
        _uv(*into, f"litellm=={version}", "google-auth", "litellm-proxy-extras", "litellm-enterprise")
        site_packages = next((path / "lib").glob("*/site-packages"))
        metadata = (site_packages / f"litellm-{version}.dist-info" / "METADATA").read_text()
        _uv(*into, *proxy_requirements(metadata))
        extras = next(site_packages.glob("litellm_proxy_extras-*.dist-info")).name
        return (
            f"without its own packages, which cannot be installed; with {extras.removesuffix('.dist-info')}"
        )
    return ""


def install_airflow(path: Path, version: str) -> str:
    """Install Airflow, the other packages of the lock files, and this project; returns a note like above."""
    into = ("pip", "install", "--quiet", "--index-strategy=unsafe-best-match", _fresh(path))
    locks = [(REPOSITORY / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    pinned = [line for lock in locks for line in without_core(lock)]
    wanted = [f"apache-airflow=={version}"]
    if Version(version).is_prerelease:
        # uv takes pre-releases only of packages for which one is asked by name.
        wanted += [f"apache-airflow-core=={version}", "apache-airflow-task-sdk>=1.0.0b1"]
    note = ""
    try:
        _uv(*into, *wanted, *pinned)
    except CannotInstallError:
        _uv(*into, *wanted, *(re.sub(r"==[^ ;]+", "", line) for line in pinned))
        note = "with other packages than those of the lock files, which it does not accept"
    _uv(*into, "--no-deps", "--no-build-isolation", f"--editable={REPOSITORY}")
    return note


def run(program: Program, version: str, tests: Sequence[str]) -> None:
    """Make the environment if it is missing, and run the tests with it; `load` reads what came of it."""
    path = _folder(program, version)
    path.mkdir(parents=True, exist_ok=True)
    environment, note = path / "environment", path / "note.txt"
    junit = path / f"report-{'-'.join(tests)}.xml"
    if not (environment.exists() and note.exists()):
        install = install_litellm if program == "LiteLLM" else install_airflow
        try:
            note.write_text(install(environment, version))
        except CannotInstallError as error:
            shutil.rmtree(environment, ignore_errors=True)
            note.write_text(f"cannot be installed: {error}")
            return
    python = (environment if program == "Airflow" else REPOSITORY / ".venv") / "bin" / "python"
    variable = "STACK_PROXY_ENVIRONMENT" if program == "LiteLLM" else "STACK_AIRFLOW_ENVIRONMENT"
    with (path / "tests.log").open("wb") as output:
        subprocess.run(
            [
                python,
                "-m",
                "pytest",
                "-p",
                "no:xdist",
                "-v",
                f"--junitxml={junit}",
                *(SYSTEM / name for name in tests),
                *(("-m", "proxy_only") if tests == OF_LITELLM else ()),
            ],
            cwd=REPOSITORY,
            env={**os.environ, variable: str(environment)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )


def load(program: Program, version: str) -> Report:
    """Read what the last runs of a version have left, those with different tests together."""
    path = _folder(program, version)
    note = (path / "note.txt").read_text() if (path / "note.txt").exists() else "has not run"
    seconds, results, facts = 0.0, dict[str, Result](), dict[str, str]()
    for junit in sorted(path.glob("report-*.xml"), key=lambda each: each.stat().st_mtime):
        took, found, recorded = read_junit(junit.read_text())
        seconds, results, facts = seconds + took, {**results, **found}, {**facts, **recorded}
    log = path / "tests.log"
    if not results and log.exists():
        note = f"the tests did not start: see {log.relative_to(REPOSITORY)}"
    return Report(program, version, note, seconds, results, facts)


def _folder(program: Program, version: str) -> Path:
    return FOLDER / f"{program.lower()}-{version}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests with each version; the status is 1 if a test failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.versions", description=__doc__)
    parser.add_argument("--litellm", nargs="*", default=list(LITELLM), metavar="VERSION")
    parser.add_argument("--airflow", nargs="*", default=list(AIRFLOW), metavar="VERSION")
    parser.add_argument("--tests", nargs="*", metavar="FILE", help="of tests/system; by default the border's")
    parser.add_argument("--all", action="store_true", help="every system test")
    parser.add_argument("--last", action="store_true", help="run nothing, print the last results again")
    options = parser.parse_args(arguments)
    wanted: list[tuple[Program, list[str], tuple[str, ...]]] = [
        ("LiteLLM", options.litellm, OF_LITELLM),
        ("Airflow", options.airflow, OF_AIRFLOW),
    ]
    reports = []
    for program, versions, tests in wanted:
        files = ["."] if options.all else options.tests or tests
        for version in versions:
            if not options.last:
                print(f"{program} {version}", flush=True)
                run(program, version, files)
            reports.append(load(program, version))
    print(f"{table(reports)}\n")
    print("\n".join(differences(reports)) or "No test and no answer differs.")
    return int(any(each.count("failed") or not each.results for each in reports))


if __name__ == "__main__":
    sys.exit(main())
