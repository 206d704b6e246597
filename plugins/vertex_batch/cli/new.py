"""``vertex-batch new``: a commented spec from a few answers or options. It never overwrites a file."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from vertex_batch.cli.output import print_json, say
from vertex_batch.cli.validate import DEFAULT_FOLDER
from vertex_batch.errors import ConfigurationError

SCHEMA_NAME = "job-spec.schema.json"
_PLAIN = re.compile(r"[A-Za-z][\w./@-]*(:[\w./@-]+)*|\d{4}-\d{2}-\d{2}", re.ASCII)
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Question:
    """One answer of a spec.

    :param text: asks for it. :param needed: a spec is none without it.
    """

    key: str
    text: str
    example: str
    needed: bool = False


QUESTIONS = (
    Question("model", "Which model answers the rows", "gemini-2.5-flash", needed=True),
    Question(
        "inputs",
        "Which files hold the rows",
        "gs://my-bucket/in/{{ previous_run_date }}/*.jsonl",
        needed=True,
    ),
    Question(
        "output", "Which folder do answers go to", "gs://my-bucket/out/{{ previous_run_date }}/", needed=True
    ),
    Question("schedule", "When does it run, in cron's words (empty: by hand)", "30 2 * * *"),
    Question("timezone", "In which time zone (empty: UTC)", "Europe/Berlin"),
    Question("start_date", "From which day on does the schedule apply (empty: today)", "2026-12-01"),
    Question("project", "In which Google project (empty: the connection's)", "my-project"),
    Question("location", "Where (empty: the connection's)", "us-central1"),
    Question("team", "Who pays (empty: nobody in particular)", "search"),
    Question("description", "What is it for", "Summaries of yesterday's tickets"),
)
# Keys that many specs come to need, with a value that could stand there.
_MORE = {
    "labels": "{product: search}",
    "start_within": "6h",
    "preflight": "strict",
    "deadline": "12h",
    "max_failed_ratio": "0.05",
    "owner": "search-team",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "new",
        help="write a new spec, with comments",
        description="Write a commented spec from options; what is missing is asked for, where somebody can be"
        " asked. The spec is checked before it is written, and no file is ever overwritten.",
    )
    command.add_argument("name", metavar="NAME", help="of the spec, and so of its DAG")
    command.add_argument(
        "--folder", default=str(DEFAULT_FOLDER), help=f"where it is written (default: {DEFAULT_FOLDER})"
    )
    for question in QUESTIONS:
        command.add_argument(
            f"--{question.key.replace('_', '-')}",
            metavar="VALUE",
            help=f"{question.text}, such as {question.example}",
        )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Ask, check, write."""
    from vertex_batch.specs import check_text  # noqa: PLC0415

    path = Path(options.folder) / f"{options.name}.yaml"
    if path.exists():
        raise ConfigurationError(f"{path} is there already. Nothing was written; choose another name.")
    answers = _answers(options)
    if answers.get("schedule"):
        answers.setdefault("start_date", _today(answers.get("timezone", "UTC")))
    text = spec_text(answers, _schema_for(path.parent))
    check_text(text, path)
    _write(path, text)
    if options.json:
        print_json({"file": str(path), "name": options.name})
    else:
        sys.stdout.write(f"{path}\n")
        schema = path.parent / _schema_for(path.parent)
        if not schema.is_file():
            say(f"For your editor's help: vertex-batch schema > {os.path.normpath(schema)}")
        say(f"Check it on a date with `vertex-batch plan {path}`; in Airflow it is the DAG {options.name}.")
    return 0


def spec_text(answers: dict[str, str], schema: str) -> str:
    """Write the spec of these answers, each under what it means.

    :param schema: the place of the JSON schema, as seen from the spec's folder.
    """
    from vertex_batch.specs.model import JobSpec, Spec  # noqa: PLC0415

    fields: dict[str, Any] = {**Spec.model_fields, **JobSpec.model_fields}
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "# All keys: docs/specs.md, or complete them in your editor.",
    ]
    for key in (
        "description",
        "schedule",
        "timezone",
        "start_date",
        "project",
        "location",
        "model",
        "inputs",
        "output",
        "team",
    ):
        if key in answers:
            lines += ["", *_comment(fields[key].description), f"{key}: {_scalar(answers[key])}"]
    lines += ["", "# Further keys that you may want:"]
    for key, example in _MORE.items():
        if key not in answers:
            lines += [*_comment(fields[key].description), f"# {key}: {example}"]
    return "\n".join(lines) + "\n"


def _answers(options: Namespace) -> dict[str, str]:
    given = {question.key: getattr(options, question.key) for question in QUESTIONS}
    answers = {key: value.strip() for key, value in given.items() if value and value.strip()}
    missing = [question for question in QUESTIONS if question.needed and question.key not in answers]
    if missing and not sys.stdin.isatty():
        wanted = ", ".join(f"--{question.key}" for question in missing)
        raise ConfigurationError(f"A spec needs {wanted}; nobody can be asked here. Nothing was written.")
    if missing:
        answers |= _asked([question for question in QUESTIONS if question.key not in answers])
    return answers


def _asked(questions: list[Question]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for question in questions:
        while question.key not in answers:
            sys.stderr.write(f"{question.text}, such as {question.example}: ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise ConfigurationError("The answers ended too early. Nothing was written.")
            if line.strip():
                answers[question.key] = line.strip()
            elif not question.needed:
                break
    return answers


def _today(timezone: str) -> str:
    """Return the day in the spec's time zone: without a start date, a missed first run is not reported."""
    try:
        return f"{datetime.now(ZoneInfo(timezone)):%Y-%m-%d}"
    except (ValueError, KeyError, OSError):
        return f"{datetime.now(UTC):%Y-%m-%d}"  # the time zone is wrong, which is reported with the rest


def _comment(text: str) -> list[str]:
    import textwrap  # noqa: PLC0415

    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as one."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML
    if is_plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # Some of what JSON leaves as it is, YAML takes for the end of a line, or for nothing at all.
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _schema_for(folder: Path) -> str:
    """The schema's place, as seen from a spec's folder: beside the folder, or beside one around it."""
    here = folder.resolve()
    for parent in here.parents:
        if (parent / SCHEMA_NAME).is_file():
            return Path(os.path.relpath(parent / SCHEMA_NAME, here)).as_posix()
    return f"../{SCHEMA_NAME}"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} is there already. Nothing was written.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from error
