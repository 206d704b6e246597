"""``vertex-batch doctor``: checks everything that the specs need, and says how to fix what is wrong."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vertex_batch.cli import access, arguments
from vertex_batch.cli.output import logs_aside, print_json, say

if TYPE_CHECKING:
    from vertex_batch.doctor import CheckedSetup

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "not checked": "dim"}


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Check everything that the specs of a folder need: the proxy and its version, the key,"
        " projects, prices, buckets, the cost table, triggerers, pools and the deployment's name. Nothing is"
        " submitted. One small object is written, read and deleted in each bucket of outputs. Exit status 1"
        " if a check failed; warnings do not count."
    )
    command.add_argument(
        "--specs",
        metavar="FOLDER",
        help="the specs (default: include/jobs here, else the one next to Airflow's DAGs folder)",
    )
    access.add_options(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    arguments.add_table(command, apart=True)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    with logs_aside():
        from airflow.sdk import conf  # noqa: PLC0415 - it takes Airflow's seconds

        from vertex_batch.doctor import CheckStatus, SetupAccess, check_setup  # noqa: PLC0415
        from vertex_batch.hooks.cost_table import cost_table_url  # noqa: PLC0415
        from vertex_batch.specs import specs_folder  # noqa: PLC0415
        from vertex_batch.specs.load import working_folder  # noqa: PLC0415

        say("Checking; this takes up to a minute.")
        reach = access.Access(options)
        folder = Path(options.specs) if options.specs else working_folder()
        found = check_setup(
            SetupAccess(
                reach.settings, access.input_storage, lambda name: options.url or cost_table_url(name)
            ),
            folder if folder.is_dir() or options.specs else specs_folder(conf.get("core", "dags_folder")),
        )
    has_failed = any(each.status is CheckStatus.FAILED for each in found)
    if options.json:
        print_json({"ok": not has_failed, "checks": [each.to_dict() for each in found]})
    else:
        _print(found)
    return int(has_failed)


def _print(found: Sequence[CheckedSetup]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for each in found:
        title = " ".join(part for part in (each.name, each.subject) if part)
        line = Text.assemble((f"{each.status:<12}", _STYLES[each.status]), (title, "bold"))
        console.print(line, soft_wrap=True)
        sys.stdout.write(f"            {each.diagnosis.found}\n")
        if each.diagnosis.fix:
            sys.stdout.write(f"            To do: {each.diagnosis.fix}.\n")
    counts = Counter(each.status for each in found)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    sys.stdout.write(f"\n{len(found)} checks: {summary}\n")
