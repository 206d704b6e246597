"""``vertex-batch results``: deliver the answers of any output, without Airflow, a proxy or a cost table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli.output import print_json, say
from vertex_batch.errors import ConfigurationError, OutputMissingError
from vertex_batch.storage import ObjectStorage, named

if TYPE_CHECKING:
    from vertex_batch.results import JobPrices, Written
    from vertex_batch.vertex.names import JobId

_CREDENTIALS = "of the environment (application default credentials)"
_GCS = "gs://"


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], day: Callable[[str], date]
) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "results",
        help="deliver the answers of an output, joined to their inputs",
        description="Join the answers of batch prediction jobs to their input rows, in the order of the"
        " input, and write them to a file. A second file has the rows without a good answer, each with the"
        " reason. Always: input rows = delivered + exceptions. Needs the extra `results`.",
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
    command.add_argument("--model", default="", help="the job's model, for rows that do not name one")
    command.add_argument(
        "--location", default="global", help="where the job ran, for its prices (default: global)"
    )
    command.add_argument(
        "--prices", metavar="FILE", help="a price map in LiteLLM's format (default: the packaged prices)"
    )
    command.add_argument(
        "--day",
        type=day,
        metavar="YYYY-MM-DD",
        help="the UTC day on which the job ran, whose prices are used (default: the day in the name of the"
        " output directory, else today)",
    )
    command.add_argument("--json", action="store_true", help="print the manifest as JSON")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Join, deliver and print the numbers; 1 if no row has a good answer."""
    from vertex_batch.results import AnswerForm, AttemptOutput, ResultSettings, deliver, join, why_bad  # noqa: PLC0415

    settings = ResultSettings(
        options.key, AnswerForm(options.answer), _schema(options.schema), tuple(options.keep)
    )
    # Which output is of a job that resumed another one is not known here; Google never gives an id twice.
    attempts = [AttemptOutput(n, None, (output,), resumes=n > 0) for n, output in enumerate(options.outputs)]
    uris = [*options.inputs, *options.outputs]
    try:
        with named(", ".join(uris), _CREDENTIALS), tempfile.TemporaryDirectory(prefix="results-") as folder:
            prices: dict[JobId | None, JobPrices] = {None: _prices(options)}
            with join(
                options.inputs,
                attempts,
                settings,
                store=_storage(uris),
                work=Path(folder) / "join",
                prices=prices,
            ) as joined:
                written = deliver(joined, options.to, _storage([options.to]), {})
                bad = why_bad(joined.counts)
    except FileNotFoundError as error:
        raise OutputMissingError(", ".join(uris), f"it does not exist: {error}") from error
    if options.json:
        print_json(written.manifest)
    else:
        _print(written, str(joined.counts))
    if bad:
        say(bad)
    return 1 if bad else 0


def _prices(options: Namespace) -> JobPrices:
    from vertex_batch.cli.bill import day_in, price_book  # noqa: PLC0415
    from vertex_batch.results import JobPrices  # noqa: PLC0415 - so that `validate` is quick

    day = options.day or day_in(options.outputs)
    return JobPrices.of_book(price_book(options.prices), options.model, options.location, day)


def _storage(uris: Sequence[str]) -> ObjectStorage:
    from vertex_batch.usage.places import open_local, open_object_store  # noqa: PLC0415

    kinds = {uri.startswith(_GCS) for uri in uris}
    if len(kinds) > 1:
        raise ConfigurationError(
            "Inputs and outputs must be in one place, all local or all in Cloud Storage. Nothing was written",
            "copy the files to one place",
        )
    return ObjectStorage(open_object_store() if kinds == {True} else open_local())


def _schema(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The JSON Schema {path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"The JSON Schema {path} is not an object")
    return found


def _print(written: Written, counts: str) -> None:
    place = written.place
    cost = written.manifest["rows_cost_usd"]
    lower = "" if written.manifest["rows_cost_complete"] else "at least "
    lines = (
        counts,
        f"answers     {place.answers}",
        f"exceptions  {place.exceptions}",
        f"cost        {lower}{cost} USD",
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines))
