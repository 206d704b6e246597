"""Check exports with the official validator of FOCUS: ``python -m tools.focus_validator costs.csv``.

It needs Python 3.12, and its pins clash with Airflow's, so it has an environment of its own:
`.venv-focus`, made from `tools/focus_validator.txt` on first use. The package has the rules of FOCUS 1.2
only; those of later versions would have to be downloaded.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import bootstrap
from local.stack.paths import REPOSITORY

LOCK = REPOSITORY / "tools" / "focus_validator.txt"
ENVIRONMENT = REPOSITORY / ".venv-focus"
RULES = "1.2.0.1"
CRITERIA = (
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "REGION_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "VIRTUAL_CURRENCY_SUPPORTED",
)
"""What our data can declare. The rest are things that batches do not have, such as commitments."""
CONTRADICTIONS = {
    "InvoiceId-C-005-C": "InvoiceId-C-003-C asks for this rule or for its opposite, InvoiceId-C-004-C",
}
"""Rules that the validator checks although another one, which passes, makes them optional."""
_PYTHON = "3.12"
"""It asks for this one at least, and the NumPy that it pins has no wheel for a later one."""
_STAMP = ENVIRONMENT / ".made-from"
_VALIDATOR = re.compile(r"(?m)^focus-validator==.*\n(?:[ ].*\n)*")
# Runs in the validator's environment, in the folder where the validator looks for its list of currencies.
_CHECK = """
import contextlib, json, sys
from focus_validator.validator import Validator

path, version, criteria = sys.argv[1:]
with contextlib.redirect_stdout(sys.stderr):
    results = Validator(
        data_filename=path,
        output_destination=None,
        output_type="console",
        rules_version=version,
        rules_block_remote_download=True,
        focus_dataset="CostAndUsage",
        applicability_criteria=criteria or None,
    ).validate()
entries = []
for rule, entry in results.by_rule_id.items():
    details = entry.get("details") or {}
    status = "skipped" if details.get("skipped") else "passed" if entry.get("ok") else "failed"
    entries.append([rule, status, str(details.get("message") or "")])
json.dump(entries, sys.stdout)
"""


class NoPythonError(Exception):
    """No interpreter here can run the validator."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the validator found.

    :param failures: the ids of rules that failed, with its message.
    """

    passed: int
    skipped: int
    failures: dict[str, str]

    def __str__(self) -> str:
        return f"{self.passed} rules passed, {len(self.failures)} failed, {self.skipped} do not apply"


def validate(path: Path, criteria: tuple[str, ...] = CRITERIA) -> Report:
    """Run the validator over a file, with the rules of FOCUS 1.2.

    :raises NoPythonError: Python 3.12 was not found.
    :raises subprocess.CalledProcessError: the validator crashed.
    """
    python = environment()
    done = subprocess.run(
        [str(python), "-c", _CHECK, str(path.resolve()), RULES, ",".join(criteria)],
        cwd=next(ENVIRONMENT.glob("lib/python*/site-packages")),
        capture_output=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        sys.stderr.write(done.stderr.decode(errors="replace")[-2000:])
        done.check_returncode()
    entries = json.loads(done.stdout)
    states = [state for _, state, _ in entries]
    failures = {rule: message for rule, state, message in entries if state == "failed"}
    for rule in CONTRADICTIONS:
        failures.pop(rule, None)
    return Report(states.count("passed"), states.count("skipped"), failures)


def environment() -> Path:
    """Make the validator's environment unless it is up to date; return its interpreter.

    :raises NoPythonError: Python 3.12 was not found.
    """
    python = ENVIRONMENT / "bin" / "python"
    made_from = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    (REPOSITORY / ".local").mkdir(exist_ok=True)
    with (REPOSITORY / ".local" / "focus-validator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests may need it at the same time
        if not (python.exists() and _STAMP.exists() and _STAMP.read_text() == made_from):
            environ = bootstrap.prepare_uv()
            venv = ["venv", "--quiet", "--clear", f"--python={interpreter()}", str(ENVIRONMENT)]
            bootstrap.run([str(bootstrap.UV), *venv], environ)
            bootstrap.from_each_index(ENVIRONMENT.name, environ, _install)
            _STAMP.write_text(made_from)
    return python


def _install(environ: Mapping[str, str]) -> None:
    # The validator is published as source only. What builds it is in the lock, and has to be there first.
    wheels = ENVIRONMENT / "wheels.txt"
    wheels.write_text(_VALIDATOR.sub("", LOCK.read_text()))
    install = [str(bootstrap.UV), "pip", "install", "--quiet", f"--python={ENVIRONMENT}", "--no-deps"]
    for options in (["--only-binary=:all:", f"-r{wheels}"], ["--no-build-isolation", f"-r{LOCK}"]):
        bootstrap.run([*install, *bootstrap.LOCKED, *options], environ)


def interpreter() -> str:
    """An interpreter that can run the validator: this one, one on the path, or one that pyenv has installed.

    :raises NoPythonError: there is none.
    """
    for candidate in _candidates():
        probe = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(probe, capture_output=True, check=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue  # such as pyenv's stand-ins for versions that are not chosen
        if answer.strip() == _PYTHON:
            return candidate
    raise NoPythonError(
        f"The validator of FOCUS needs Python {_PYTHON}: none is on the path or installed by pyenv."
    )


def _candidates() -> Iterator[str]:
    yield getattr(sys, "_base_executable", None) or sys.executable
    yield from filter(None, [shutil.which(f"python{_PYTHON}")])
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/*/bin/python{_PYTHON}")))


def main() -> int:
    """Print what fails in each file. The exit status is 1 if anything does."""
    parser = argparse.ArgumentParser(description="Check exports with the rules of FOCUS 1.2.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--no-criteria", action="store_true", help="declare nothing about the data")
    options = parser.parse_args()
    failed = False
    for path in options.files:
        report = validate(path, () if options.no_criteria else CRITERIA)
        print(f"{path}: {report}")
        for rule, message in report.failures.items():
            print(f"  {rule}: {message}")
        failed |= bool(report.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
