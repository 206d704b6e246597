"""``vertex-batch results``: deliver the answers of any output, without Airflow, a proxy or a cost table."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType

from vertex_batch.cli import arguments
from vertex_batch.cli.bill import day_in, price_book
from vertex_batch.cli.output import print_json, say
from vertex_batch.cli.paths import open_local, open_object_store
from vertex_batch.errors import ConfigurationError, OutputMissingError
from vertex_batch.pricing import PriceBook
from vertex_batch.results import (
    AnswerForm,
    AttemptOutput,
    Counts,
    DeliveryPlace,
    JobPrices,
    ResultSettings,
    deliver,
    join,
    of_paid_answers,
    other_prompts,
    read_schema,
    why_bad,
    without_keys,
)
from vertex_batch.specs.results import OWN_COLUMNS
from vertex_batch.storage import ENVIRONMENT, ObjectStorage, named
from vertex_batch.vertex.names import JobId

_GCS = "gs://"
_OUTLOOK = "The command costs nothing. It gives the same result each time."
_INTERRUPTED = "Interrupted: the delivery is not complete. It costs nothing to run the command again."


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Join the answers of batch prediction jobs to their input rows, in the order of the"
        " input, and write them to a file. A second file has the rows without a good answer, each with the"
        " reason. Always: input rows = delivered + exceptions. Needs the extra `results`."
    )
    command.add_argument(
        "outputs",
        nargs="+",
        metavar="OUTPUT",
        help="the output of a job: a directory or file, local or gs://. Of several, a later one counts only"
        " for rows that an earlier one has not answered",
    )
    command.add_argument(
        "--input",
        dest="inputs",
        action="append",
        required=True,
        metavar="FILE",
        help="what the first job read: a file, gs:// URI or quoted glob; may be repeated",
    )
    command.add_argument(
        "--to", required=True, metavar="FILE", help="where to write: .parquet, .jsonl, .jsonl.gz or .csv"
    )
    command.add_argument(
        "--key",
        default="",
        metavar="PATH",
        help="where a row's id is: a key beside `request`, or a path inside it (default: rows are joined by"
        " their request)",
    )
    command.add_argument(
        "--answer",
        choices=["text", "json", "raw"],
        default="text",
        help="what is delivered: the text, the text as JSON, or the whole response (default: text)",
    )
    command.add_argument("--schema", metavar="FILE", help="a JSON Schema that answers must match")
    command.add_argument(
        "--keep", action="append", default=[], metavar="PATH", help="a field of the input to carry over"
    )
    arguments.add_rates(command, required=False)
    command.add_argument(
        "--replace", action="store_true", help="replace what is at --to, also if it has more answers"
    )
    command.add_argument("--json", action="store_true", help="print the manifest as JSON")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Join, deliver and print the numbers; 1 if no row has a good answer."""
    outputs = list({_plain(output): output for output in options.outputs}.values())
    _check(options, outputs)
    settings = ResultSettings(
        options.key, AnswerForm(options.answer), read_schema(options.schema), tuple(options.keep)
    )
    # Which output is of a job that resumed another one is not known here; Google never gives an id twice.
    attempts = [AttemptOutput(n, None, (output,), resumes=n > 0) for n, output in enumerate(outputs)]
    uris = [*options.inputs, *outputs]
    try:
        with (
            _interruptible(),
            of_paid_answers("Then run the command again."),
            named(", ".join(uris), ENVIRONMENT),
            tempfile.TemporaryDirectory(prefix="results-") as folder,
        ):
            day = options.day or day_in(options.outputs)
            book = PriceBook(price_book(options.prices).sources)  # a delivery keeps amounts, unlike `bill`
            prices: dict[JobId | None, JobPrices] = {
                None: JobPrices.of_book(book, options.model, options.location, day)
            }
            with join(
                options.inputs,
                attempts,
                settings,
                store=_storage(uris),
                work=Path(folder) / "join",
                prices=prices,
            ) as joined:
                written = deliver(joined, options.to, _storage([options.to]), {}, replace=options.replace)
                counts = joined.counts
    except FileNotFoundError as error:
        raise OutputMissingError(", ".join(uris), f"it does not exist: {error}") from error
    bad = why_bad(counts, outlook=_OUTLOOK)
    if options.json:
        print_json(written.manifest)
    else:
        lower = "" if written.manifest["rows_cost_complete"] else "at least "
        sys.stdout.write(
            f"{counts}\n"
            f"answers     {written.place.answers}\n"
            f"exceptions  {written.place.exceptions}\n"
            f"cost        {lower}{written.manifest['rows_cost_usd']} USD\n"
        )
    for each in (*_warnings(options, counts), bad):
        if each:
            say(each)
    return 1 if bad else 0


def _check(options: Namespace, outputs: Sequence[str]) -> None:
    """Refuse what a spec refuses: nothing that was paid for is replaced.

    :raises ConfigurationError: with all problems.
    """
    problems = []
    if options.schema and options.answer != "json":
        problems.append("`--schema` needs `--answer json`")
    for path in dict.fromkeys(options.keep):
        if path in OWN_COLUMNS:
            problems.append(f"`--keep {path}` is already a column of each delivery; rename the field")
        elif options.keep.count(path) > 1:
            problems.append(f"`--keep {path}` is there twice; remove one of them")
    place = DeliveryPlace(options.to)
    files = [_plain(uri) for uri in (place.answers, place.exceptions, place.extra, place.manifest)]
    if any(fnmatchcase(file, _plain(uri)) or file == _plain(uri) for file in files for uri in options.inputs):
        problems.append(f"`--to {options.to}` would replace an input; write to another file")
    for output in outputs:
        folder = _plain(output).rstrip("/")
        if any(file == folder or file.startswith(f"{folder}/") for file in files):
            problems.append(
                f"`--to {options.to}` would write into the output {output}, whose files are read as answers;"
                " write to another folder"
            )
    if not options.to.startswith(_GCS) and any(Path(file).is_dir() for file in files):
        problems.append(f"`--to {options.to}` is a folder; name a file")
    if problems:
        raise ConfigurationError("Nothing was delivered", *problems)


def _plain(uri: str) -> str:
    """A path or URI, the same for all ways of writing it."""
    return uri if uri.startswith(_GCS) else os.path.realpath(uri)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a delivery with one line, and remove its temporary files.

    :raises KeyboardInterrupt: the user, or the system, has ended it.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        before = None
    try:
        yield
    except KeyboardInterrupt:
        say(_INTERRUPTED)
        raise
    except RuntimeError as error:
        if "interrupted" not in str(error).lower():
            raise
        say(_INTERRUPTED)  # DuckDB has taken the signal
        raise KeyboardInterrupt from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _warnings(options: Namespace, counts: Counts) -> Iterator[str]:
    if not why_bad(counts):
        yield from filter(None, (options.key and without_keys(counts), other_prompts(counts)))
    if counts.unpriced_rows:
        yield (
            f"The cost of {counts.unpriced_rows:,} answered rows is not known, or only a part of it. Name the"
            " job's model with --model, or a price map that has it with --prices"
        )


def _storage(uris: Sequence[str]) -> ObjectStorage:
    kinds = {uri.startswith(_GCS) for uri in uris}
    if len(kinds) > 1:
        raise ConfigurationError(
            "Inputs and outputs must be in one place, all local or all in Cloud Storage. Nothing was written",
            "copy the files to one place",
        )
    return open_object_store() if kinds == {True} else open_local()
