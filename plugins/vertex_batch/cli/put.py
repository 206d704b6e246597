"""``vertex-batch put``: puts an input of your own where a spec can read it."""

from __future__ import annotations

import argparse
import io
import itertools
import re
import sys
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from vertex_batch.cli import access, arguments
from vertex_batch.cli.new import BUCKET, USUAL_MODEL, command_for
from vertex_batch.cli.output import print_json, say
from vertex_batch.cli.progress import with_progress
from vertex_batch.errors import ConfigurationError, count_of
from vertex_batch.preflight import (
    RowRules,
    Severity,
    is_missing,
    key_at,
    key_hint,
    lacking_keys,
    likely_key,
    not_an_object,
    path_names,
    why_not_json,
)
from vertex_batch.specs import load_specs
from vertex_batch.specs.load import working_folder
from vertex_batch.specs.readers import SpecReader, readers
from vertex_batch.storage import TOO_LONG, blocks_of, lines_of, unpacked


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Upload a file of rows, one JSON request per line, plain or gzip. The address is printed,"
        " and what to write into a spec. A file with a row that no job can read is refused, no object is"
        " overwritten, and nothing is submitted."
    )
    command.add_argument("file", metavar="FILE", type=Path, help="the file to upload")
    command.add_argument(
        "to",
        metavar="gs://BUCKET/NAME",
        nargs="?",
        help="where to put it; a folder, which ends in `/`, keeps the file's name (default: the folder"
        f" `input` in the bucket that the specs in {working_folder()} read, if it is only one)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace an object that has this name")
    arguments.add_storage(command, "writes")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Upload the file, and print its address and what to do next."""
    file: Path = options.file
    uri = _address(options.to or _usual_folder(), file)
    specs = load_specs(working_folder()).specs
    reads = list(readers(specs.values(), uri))
    checked = _check(file, [each.key for each in reads if each.key])
    rows, first = checked.rows, checked.first
    storage = access.input_storage(options.storage)
    storage.check_output(uri, "Nothing was uploaded")
    if not options.overwrite and storage.look_up([uri])[0]:
        raise ConfigurationError(
            f"{uri} already exists. Nothing was uploaded", "choose another name, or add --overwrite"
        )
    size = file.stat().st_size
    storage.write(uri, with_progress(file.name, size, blocks_of(file)))
    misfit = _misfit(first, reads[0].model if reads else USUAL_MODEL)
    if misfit:
        again = "upload the file again with --overwrite"
        say(f"Warning: {misfit}. Correct the rows and {again}, or use another model.")
    keyless = checked.without_keys()
    for each in keyless:
        say(f"Warning: {each}. Correct `results.key` in the spec, or the rows, before you run it.")
    if options.json:
        problem = misfit or " ".join(keyless) or None
        print_json({"uri": uri, "bytes": size, "rows": rows, "problem": problem})
        return 0
    sys.stdout.write(f"{uri}\n")
    next_step = _what_next(uri, reads, likely_key(first), specs)
    say(f"Uploaded {count_of(rows, 'row')}, {size:,} bytes. {next_step}")
    return 0


def _misfit(row: Mapping[str, object], model: str) -> str:
    """Say that a model does not answer such a row; empty if it may."""
    rules = RowRules(model)
    report = rules.new_report()
    rules.check(report).file(io.BytesIO(msgspec.json.encode(row)), "")
    found = next((each for each in report.shown if each.severity in (Severity.JOB, Severity.ROW)), None)
    return f"{model} does not answer the first row: `{found.path}` {found.message}" if found else ""


def _what_next(uri: str, reads: Sequence[SpecReader], key: str, taken: Collection[str]) -> str:
    """Say which specs read the object already, and how to start one; else how to write one that does.

    :param key: the field with the id of a row; empty if it has none.
    :param taken: the names of all specs.
    """
    if not reads:
        usual = re.sub(r"\W", "_", uri.rpartition("/")[2].partition(".")[0])
        names = itertools.chain([usual], (f"{usual}_{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in taken)
        return (
            f"A spec reads them with the line\n  inputs: {uri}\n"
            f"Next, write such a spec:\n  {command_for(name, uri, key)}\n"
            f"or see what the rows cost with a spec that you have: `vertex-batch plan SPEC --input {uri}`."
        )
    specs = "".join(f"  {each.spec.name}, with `inputs: {each.pattern}`\n" for each in reads)
    name, when = reads[0].spec.name, reads[0].when
    dated, conf, others = "", "", ""
    if when is not None:
        dated = f" --date {when.isoformat()}"
        # The form takes a day only.
        conf = "" if isinstance(when, datetime) else f""" --conf '{{"run_date": "{when}"}}'"""
        others = " On other days, they read other objects."
    by_airflow = ""
    if conf or not when:
        by_airflow = f" `airflow dags trigger {name}{conf}` starts one once the DAG is unpaused."
    return (
        f"A spec reads them already:\n{specs}"
        f"Next: `vertex-batch plan {name}{dated}` shows what a run submits and costs.{by_airflow}"
        f" `vertex-batch run {name}{dated}` runs it without the scheduler.{others}"
    )


def _address(to: str, file: Path) -> str:
    if not BUCKET.match(to) or "*" in to or "{" in to:
        raise ConfigurationError(
            f"{to!r} is not a valid address. Nothing was uploaded",
            "write it like gs://my-bucket/input/my.jsonl",
        )
    return f"{to}{file.name}" if to.endswith("/") else to


def _usual_folder() -> str:
    """The folder `input` in the bucket of the specs' inputs.

    :raises ConfigurationError: they read several buckets, or none.
    """
    folder = working_folder()
    inputs = [uri for spec in load_specs(folder).specs.values() for job in spec.jobs for uri in job.inputs]
    buckets = sorted({found[0] for uri in inputs if (found := BUCKET.match(uri))})
    if len(buckets) != 1:
        read = ", ".join(buckets) or "no bucket"
        raise ConfigurationError(
            f"The address is missing, and the specs in {folder} read {read}. Nothing was uploaded",
            "add it, such as gs://my-bucket/input/",
        )
    return f"{buckets[0]}input/"


@dataclass(slots=True)
class _Checked:
    """What was found in a file.

    :param rows: the lines that are not empty.
    :param keyless: path of a key -> how many rows lack it, the place of the first, and what it has instead.
    """

    rows: int = 0
    first: Mapping[str, object] = field(default_factory=dict)
    keyless: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def add_row(self, row: Mapping[str, object], keys: Sequence[str], place: str) -> None:
        self.rows += 1
        self.first = self.first or row
        for key in keys:
            if is_missing(key_at(row, path_names(key))):
                count, where, why = self.keyless.get(key) or (0, place, key_hint(key, row))
                self.keyless[key] = (count + 1, where, why)

    def without_keys(self) -> list[str]:
        return [
            lacking_keys(key, count, self.rows, place, why)
            for key, (count, place, why) in self.keyless.items()
        ]


def _check(file: Path, keys: Sequence[str]) -> _Checked:
    """Count the rows, and find those without a key; the pre-flight checks all else.

    :param keys: the paths of keys that the rows should have.
    :raises ConfigurationError: the file cannot be read, has no rows, or has a row that is no JSON object.
    """
    number, checked, keys = 0, _Checked(), list(dict.fromkeys(keys))
    try:
        for block in lines_of(unpacked(blocks_of(file), keep_bom=True)):
            for line in () if block.damage and not block.data else block.lines:
                number += 1
                if line != TOO_LONG and line.isspace():
                    continue
                row, why = _row(line)
                if why:
                    raise _refusal(f"Line {number} of {file} {why}")
                checked.add_row(row, keys, f"{file}:{number}")
            if block.damage:
                raise _refusal(f"{file}: {block.damage}")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}. Nothing was uploaded.") from error
    if checked.rows == 0:
        raise _refusal(f"{file} has no rows")
    return checked


def _row(line: bytes) -> tuple[Mapping[str, object], str]:
    """A row, and why it is none; one of both is empty."""
    if line == TOO_LONG:
        return {}, "is too long for a row"
    try:
        row = msgspec.json.decode(line)
    except RecursionError:
        return {}, "is nested too deeply to be read"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return {}, f"is not JSON: {why_not_json(line, error)}"
    return (row, "") if isinstance(row, dict) else ({}, not_an_object(row))


def _refusal(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what}. Nothing was uploaded", "write one JSON object per line; docs/specs.md describes the rows"
    )
