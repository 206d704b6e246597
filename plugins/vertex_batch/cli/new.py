"""``vertex-batch new``: writes a commented spec from a few answers or options. It never overwrites a file."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import textwrap
from argparse import Namespace
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Thread
from zoneinfo import ZoneInfo

from vertex_batch.cli.output import print_json, say
from vertex_batch.cli.validate import DEFAULT_FOLDER
from vertex_batch.errors import ConfigurationError, VertexBatchError, scrub
from vertex_batch.specs import SpecError, check_text, json_schema
from vertex_batch.specs.model import JobSpec

SCHEMA_NAME = "job-spec.schema.json"
_PLAIN = re.compile(r"[A-Za-z][\w./@-]*(:[\w./@-]+)*|\d{4}-\d{2}-\d{2}", re.ASCII)
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question about one key of a spec.

    :param text: the question.
    :param example: a valid answer.
    :param default: what an empty answer means, for the user; empty if the key is then left out.
    :param required: whether a spec is invalid without it.
    """

    key: str
    text: str
    example: str
    default: str = ""
    required: bool = False

    def prompt(self, default: str) -> str:
        """The line that a terminal shows.

        :param default: the value that an empty answer stands for; empty: `default` describes it.
        """
        shown = default or self.default
        return f"{self.text}{f' [{shown}]' if shown else f', such as {self.example}'}: "


NONE = "none"
"""The answer to an optional question that leaves its key out although there is a default."""
QUESTIONS = (
    Prompt("model", "Model", "gemini-3.8-flash", required=True),
    Prompt("inputs", "Input files", "gs://my-bucket/in/{{ run_date }}/*.jsonl", required=True),
    Prompt("output", "Output folder", "gs://my-bucket/out/{{ run_date }}/", required=True),
    Prompt(
        "results",
        f"File for the answers, or `{NONE}`",
        "gs://my-bucket/answers/{{ run_date }}.parquet",
        "none, they stay in the output",
    ),
    Prompt("key", "Field of a row with its id", "ticket_id", "none, rows are joined by their request"),
    Prompt("schedule", "Schedule as a cron expression", "30 2 * * *", "none, manual runs only"),
    Prompt("timezone", "Time zone", "Europe/Berlin", "UTC"),
    Prompt("start_date", "First day of the schedule", "2026-12-01", "today"),
    Prompt("project", "Google project", "my-project", "the connection's"),
    Prompt("location", "Location", "us-central1", "the connection's"),
    Prompt("team", "Team that pays", "search", "none"),
    Prompt("description", "Description", "Summaries of yesterday's tickets", "none"),
)
USUAL_MODEL = QUESTIONS[0].example
BUCKET = re.compile(r"gs://[^/{}*]+/")
"""The bucket of an address without templates in its name."""
_VALID = {"model": USUAL_MODEL, "inputs": "gs://my-bucket/in.jsonl", "output": "gs://my-bucket/out/"}
"""Stands in for answers that are not there yet, while another is checked."""
_MAX_EXCEPTIONS = (
    "  # Fail the run if a larger share of the rows has no good answer: failed, truncated, missing.",
    "  max_exceptions_ratio: 0.05",
)
_KEEP = (
    "  # The ending is the format: .parquet, .jsonl, .jsonl.gz or .csv, which spreadsheets open.",
    "  # Fields of the input row that become columns beside its answer:",
    "  # keep: [customer, opened_at]",
)
_STORE_VARIABLES = (
    "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "STORAGE_EMULATOR_HOST",
)
"""One of them is set where the object store can be read. Otherwise trying it would take long to fail."""
_LOOK_SECONDS = 6
_FIRST_BYTES = 1 << 20
_NO_KEY = (
    "  # Prefer a key, a field of the row with its id: joining is faster, and people find a row by it.",
    "  # key: id",
)
# Keys that many specs need later, each with an example value.
_MORE = {
    "results": '{to: "gs://my-bucket/answers/{{ run_date }}.parquet", key: id, max_exceptions_ratio: 0.05}',
    "labels": "{product: search}",
    "start_within": "6h",
    "preflight": "strict",
    "deadline": "12h",
    "max_failed_ratio": "0.05",
    "owner": "search-team",
}


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Write a commented spec from options. On a terminal, missing options are prompted for."
        " The spec is checked before it is written, and no file is ever overwritten."
    )
    command.add_argument("name", metavar="NAME", help="name of the spec and of its DAG")
    command.add_argument(
        "--folder", default=str(DEFAULT_FOLDER), help=f"folder to write it to (default: {DEFAULT_FOLDER})"
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
    path = Path(options.folder) / f"{options.name}.yaml"
    if path.exists():
        raise ConfigurationError(f"{path} already exists. Nothing was written; choose another name.")
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
            say(f"For completion in your editor, run: vertex-batch schema > {os.path.normpath(schema)}")
        say(f"Next: `vertex-batch plan {path}` shows what it would submit. Its DAG is {options.name}.")
    return 0


def command_for(name: str, inputs: str, key: str = "") -> str:
    """The command that writes a spec for an input and asks nothing, in the words of a shell.

    :param key: the field with the id of a row; empty if it has none.
    """
    answers = {"inputs": inputs}
    for question in QUESTIONS:
        if question.required or question.key == "results":
            answers.setdefault(question.key, _default(question.key, name, answers))
    answers["key"] = key if answers.get("results") else ""
    words = [word for option, value in answers.items() if value for word in (f"--{option}", value)]
    return shlex.join(["vertex-batch", "new", name, *words])


def spec_text(answers: dict[str, str], schema: str) -> str:
    """Build the text of a spec from the answers. Each key is preceded by its description.

    :param schema: the path of the JSON schema, relative to the spec's folder.
    """
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
        "results",
        "team",
    ):
        if key in answers:
            lines += ["", *_comment(key)]
            lines += (
                _results(answers) if key == "results" else [*_dated(key, answers[key]), _line(key, answers)]
            )
    lines += ["", "# Further keys that you may want:"]
    for key, example in _MORE.items():
        if key not in answers:
            lines += [*_comment(key), f"# {key}: {example}"]
    return "\n".join(lines) + "\n"


def _line(key: str, answers: dict[str, str]) -> str:
    return f"{key}: {_scalar(answers[key])}"


def _results(answers: dict[str, str]) -> list[str]:
    to = answers["results"]
    key = [f"  {_line('key', answers)}"] if "key" in answers else _NO_KEY
    dated = [f"  {line}" for line in _dated("to", to)]
    return ["results:", *dated, f"  to: {_scalar(to)}", *key, *_KEEP, *_MAX_EXCEPTIONS]


def _dated(key: str, uri: str) -> list[str]:
    """A comment with an address that has the date, for a file that is the same for every run."""
    folder, _, name = uri.rpartition("/")
    if (
        key not in ("inputs", "to")
        or not BUCKET.match(uri)
        or "{{" in uri
        or "*" in name
        or not uri.isprintable()
    ):
        return []
    _, dot, ending = name.partition(".")
    verb = "reads" if key == "inputs" else "writes"
    return [f"# With the date, each run {verb} a file of its own: {folder}/{{{{ run_date }}}}{dot}{ending}"]


def _answers(options: Namespace) -> dict[str, str]:
    given = {question.key: getattr(options, question.key) for question in QUESTIONS}
    answers = {key: value.strip() for key, value in given.items() if value and value.strip()}
    for key in ("results", "key"):
        if answers.get(key) == NONE:
            del answers[key]
    found = _problems(options.name, answers)
    if found:
        lines = [f"--{key.replace('_', '-')}: {text}" if key in given else text for key, text in found]
        raise ConfigurationError("\n".join([*lines, "Nothing was written."]))
    missing = [question for question in QUESTIONS if question.required and question.key not in answers]
    if missing and not sys.stdin.isatty():
        wanted = ", ".join(f"--{question.key}" for question in missing)
        raise ConfigurationError(
            f"Missing {wanted}, and there is no terminal for questions. Nothing was written."
        )
    answers = _prompt_for_answers(options.name, answers) if missing else answers
    if "key" in answers and "results" not in answers:
        raise ConfigurationError(
            "--key: it needs --results, the file that has the answers. Nothing was written."
        )
    return answers


def _prompt_for_answers(name: str, answers: dict[str, str]) -> dict[str, str]:
    """Ask for each answer that is missing, until it is a valid one. The others are kept."""
    for question in QUESTIONS:
        while question.key not in answers and (question.key != "key" or "results" in answers):
            default = _default(question.key, name, answers)
            sys.stderr.write(question.prompt(default))
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise ConfigurationError(
                    "The input ended before all questions were answered. Nothing was written."
                )
            answer = line.strip() or default
            if not question.required and answer in ("", NONE):
                break
            found = [text for key, text in _problems(name, {**answers, question.key: answer})]
            if answer and not found:
                answers[question.key] = answer
            for text in found if answer else ():
                say(f"  {text}")
    return answers


def _default(key: str, name: str, answers: dict[str, str]) -> str:
    """A useful answer that is also valid; empty if there is none."""
    if key == "model":
        return USUAL_MODEL
    if key == "output" and (bucket := BUCKET.match(answers.get("inputs", ""))):
        return f"{bucket[0]}output/{name}/{{{{ run_date }}}}/"
    if key == "results" and (bucket := BUCKET.match(answers.get("output", ""))):
        file = f"{bucket[0]}answers/{name}/{{{{ run_date }}}}.parquet"
        return "" if _problems(name, {**answers, key: file}) else file
    if key == "key" and (found := _key_of_input(answers.get("inputs", ""))):
        return "" if _problems(name, {**answers, key: found}) else found
    return ""


def _key_of_input(uri: str) -> str:
    """The field with the id of a row, from the first row of an input; empty if it cannot be read within some
    seconds, since the object store is not needed to write a spec.
    """
    found: list[str] = []

    def read() -> None:
        with suppress(VertexBatchError, OSError, ImportError, ValueError):
            found.append(_first_key(uri))

    is_within_reach = not os.environ.keys().isdisjoint(_STORE_VARIABLES)
    if is_within_reach and BUCKET.match(uri) and "{{" not in uri:
        reader = Thread(target=read, daemon=True)
        reader.start()
        reader.join(_LOOK_SECONDS)
    return next(iter(found), "")


def _first_key(uri: str) -> str:
    """Read the first row of an input.

    :raises ValueError: it is not JSON. The other errors are those of the object store.
    """
    from vertex_batch.cli.access import input_storage  # noqa: PLC0415 - it takes seconds
    from vertex_batch.preflight import likely_key  # noqa: PLC0415

    storage = input_storage(JobSpec.model_fields["storage_connection"].default)
    first = storage.find([uri])[0]
    with storage.open(first, 0, _FIRST_BYTES) as stream:
        row = json.loads(stream.read(_FIRST_BYTES).split(b"\n", 1)[0])
    return likely_key(row) if isinstance(row, dict) else ""


def _problems(name: str, answers: dict[str, str]) -> list[tuple[str, str]]:
    """The problems of the answers so far, each with the key that it is about; empty: the name."""
    try:
        check_text(spec_text({**_VALID, **answers}, SCHEMA_NAME), f"{name}.yaml")
    except SpecError as error:
        return [(_key_of(each.path), scrub(each.message)) for each in error.problems]
    return []


def _key_of(path: str) -> str:
    """The answer that a problem at a path of the spec is about."""
    return "key" if path == "results.key" else re.split(r"[.\[]", path)[0]


def _today(timezone: str) -> str:
    """Today in the spec's time zone. Without a start date, a missed first run is not reported."""
    try:
        return f"{datetime.now(ZoneInfo(timezone)):%Y-%m-%d}"
    except (ValueError, KeyError, OSError):
        return f"{datetime.now(UTC):%Y-%m-%d}"  # an invalid time zone is reported with the other problems


@cache
def _keys() -> dict[str, dict[str, str]]:
    keys: dict[str, dict[str, str]] = json_schema()["properties"]
    return keys


def _comment(key: str) -> list[str]:
    return textwrap.wrap(_keys()[key]["description"], 100, initial_indent="# ", subsequent_indent="# ")


def _scalar(text: str) -> str:
    """Write a string so that YAML reads it as a string."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML
    if is_plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # YAML reads some characters that JSON leaves unescaped as line breaks, or rejects them.
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _schema_for(folder: Path) -> str:
    """The schema's path relative to a spec's folder: it is next to the folder or to one of its parents."""
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
        raise ConfigurationError(f"{path} already exists. Nothing was written.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from error
