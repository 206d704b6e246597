"""``python -m tools.screenshots``: the pictures of the documents, from the demo's own nights.

Runs the demo with two weeks of nights, which takes some minutes, and looks at the pages with a headless
Chromium. ``--all FOLDER`` takes every page in every appearance instead, for work on them: of an API
server whose cost table holds made-up nights, which takes half a minute.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, ViewportSize
from rich.console import Console

from local.demo import EMULATOR_SPEED, run_examples
from local.examples import EXAMPLES, put_example_input
from local.nights import WORKLOADS, bills
from local.stack import Stack, StackOptions
from local.stack.airflow import API_SERVER, DAG_PROCESSOR
from local.stack.paths import REPOSITORY
from tools import pictures
from tools.browser import FULL_HD, NARROW, WIDE, open_browser, visit
from vertex_batch.costs import Bill, CostTable
from vertex_batch.specs import load_spec
from vertex_batch.specs.rendering import latest_moment

NIGHTS = 14
LEAST_ROWS = 1_000
IMAGES = REPOSITORY / "docs" / "images"


@dataclass(frozen=True)
class Shot:
    """A picture: of what, and how.

    :param ready: a JavaScript function that returns true when there is something to see. The pages' policy
        forbids expressions.
    """

    name: str
    path: str
    size: ViewportSize = field(default_factory=lambda: WIDE)
    dark: bool = False
    ready: str = "() => true"


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("--all", type=Path, help="take every page in every appearance, into this folder")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as home:
        return _of_made_up_nights(Path(home), given.all) if given.all else _of_the_demo(Path(home))


def _of_the_demo(home: Path) -> int:
    with Stack(StackOptions(home=home, emulator_speed=EMULATOR_SPEED), print) as stack:
        _put_larger_nights(stack)
        if not run_examples(stack, Console(), NIGHTS):
            return 1
        table = CostTable(stack.cost_table_url)
        made = [bill for cost in table.jobs() if (bill := table.bill(cost.job.key))]
        pictures.main(["--url", stack.cost_table_url])
        return _take(stack, _for_documents(made), IMAGES)


def _put_larger_nights(stack: Stack) -> None:
    """Give each night more rows than the demo does.

    Of a hundred rows, so many fail by chance in some nights that the overview warns of little else.
    """
    for name, usual in EXAMPLES.items():
        spec = load_spec(REPOSITORY / "include" / "jobs" / f"{name}.yaml")
        last = latest_moment(spec, datetime.now(UTC))
        for back in range(NIGHTS):
            night = last - timedelta(days=back)
            most = max(usual, LEAST_ROWS)
            rows = random.Random(back).randint(most // 2, most) if back else most  # noqa: S311 - no secret
            put_example_input(stack.gcs, spec, night, rows)


def _of_made_up_nights(home: Path, folder: Path) -> int:
    options = StackOptions(home=home, roles=frozenset({API_SERVER, DAG_PROCESSOR}))
    with Stack(options, print) as stack:
        made = list(bills(datetime.now(UTC).date()))
        table = CostTable(stack.cost_table_url)
        for bill in made:
            table.record(bill)
        for workload in WORKLOADS:
            stack.airflow.wait_for_dag(workload.spec)
        return _take(stack, _all(made), folder)


def _take(stack: Stack, shots: list[Shot], folder: Path) -> int:
    token = stack.airflow.token()
    with open_browser() as browser:
        errors = [
            error
            for shot in shots
            for error in _take_one(browser, stack.site.url, token, shot, folder / f"{shot.name}.png")
        ]
    for error in errors:
        print(f"The console reports: {error}", file=sys.stderr)
    return 1 if errors else 0


def _take_one(browser: Browser, url: str, token: str, shot: Shot, file: Path) -> list[str]:
    with visit(browser, url=url, token=token, viewport=shot.size, dark=shot.dark) as visitor:
        visitor.page.goto(f"{url}{shot.path}")
        visitor.page.wait_for_function(shot.ready)
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.screenshot(path=file)
        print(f"{file} ({file.stat().st_size / 1000:.0f} kB)")
        # A browser calls it an error when a page is answered with 400, which the one about errors is.
        return [error for error in visitor.errors if "status of 400" not in error]


def _for_documents(made: list[Bill]) -> list[Shot]:
    loaded = "document.querySelector('iframe')?.contentDocument?.querySelector('main')"
    return [
        Shot("overview", "/plugin/batch-costs", ready=f"() => !!{loaded}"),
        Shot("bill", _bill_path(made), dark=True),
    ]


def _all(made: list[Bill]) -> list[Shot]:
    paths = {
        "overview": "/vertex-batch/",
        "by-model": "/vertex-batch/?by=model",
        "a-spec": f"/vertex-batch/?spec={made[-1].job.spec}",
        "a-year": "/vertex-batch/?by=kind&from=2026-01-01&to=2026-11-22&compare=previous",
        "jobs": "/vertex-batch/jobs",
        "nothing-found": "/vertex-batch/jobs?q=nothing-like-this",
        "bill": _bill_path(made),
        "error": "/vertex-batch/?from=x",
    }
    looks = {
        "light": (WIDE, False),
        "dark": (WIDE, True),
        "narrow": (NARROW, False),
        "full-hd": (FULL_HD, True),
    }
    ready = "() => !document.querySelector('[aria-busy=true]')"
    return [
        Shot(f"{name}-{look}", path, size, dark, ready)
        for name, path in paths.items()
        for look, (size, dark) in looks.items()
    ]


def _bill_path(made: list[Bill]) -> str:
    """Choose a bill that has something of everything."""
    job = max(
        made,
        key=lambda bill: (bill.rows.unreadable, len(bill.line_items), bill.rows.failed, bill.day),
    ).job
    place = urlencode({"project": job.project, "location": job.location, "job": job.job_id})
    return f"/vertex-batch/bill?{place}"


if __name__ == "__main__":
    sys.exit(main())
