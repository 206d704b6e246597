"""Draw the bill that the README shows: ``python -m tools.pictures [--url URL]``.

It is the latest bill of a spec in a cost table, by default the one that ``make demo`` left behind, drawn as
``vertex-batch bill`` prints it. The picture refers to no font and no host outside itself.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from local.stack.paths import REPOSITORY, STATE
from vertex_batch.cli.tables import render_bill
from vertex_batch.costs import Bill, CostTable, JobFilter

PICTURE = REPOSITORY / "docs" / "images" / "bill.svg"
COLUMNS = 112
# Rich's own frame loads a font from another host; this one takes what the reader's machine has.
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; }}
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_BLACK, _WHITE = (22, 27, 34), (230, 237, 243)
_COLOURS = [_BLACK, (255, 123, 114), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255)]
_THEME = TerminalTheme(_BLACK, _WHITE, [*_COLOURS, (86, 212, 221), (177, 186, 196)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    parser.add_argument("--url", default=f"sqlite:///{STATE / 'demo' / 'costs.db'}", help="the cost table")
    parser.add_argument("--spec", default="nightly_summaries")
    parser.add_argument("--output", type=Path, default=PICTURE)
    given = parser.parse_args(arguments)
    table = CostTable(given.url)
    latest = table.jobs(JobFilter(spec=given.spec), limit=1)
    bill = table.bill(latest[0].job.key) if latest else None
    if bill is None:
        parser.error(f"the cost table has no job of {given.spec}: run `make demo ONCE=1` first")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(draw(bill))
    return 0


def draw(bill: Bill) -> str:
    """Return the picture of a bill as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    console.print(render_bill(bill))
    title = f"vertex-batch bill {bill.job.spec}"
    drawn = console.export_svg(
        title=title,
        theme=_THEME,
        code_format=_FRAME,
        unique_id="bill",
    )
    return "".join(f"{line.strip()}\n" for line in drawn.splitlines() if line.strip())


if __name__ == "__main__":
    sys.exit(main())
