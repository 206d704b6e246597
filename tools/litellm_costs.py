"""What other versions of LiteLLM charge for the golden rows: ``python -m tools.litellm_costs PYTHON...``.

Each PYTHON is the interpreter of a throwaway environment with one version in it.
`calculate_vertex_ai_batch_cost_and_usage` of that version is run over the rows, with the price map it packs.

    for version in 1.106.2 1.108.0 1.110.2; do
        python3 -m venv /tmp/litellm-$version
        /tmp/litellm-$version/bin/pip install litellm==$version
    done
    python -m tools.litellm_costs --write /tmp/litellm-*/bin/python
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from tools.golden import DOCUMENT, Case, cases, link, litellm_figures, rounded

_PART = re.compile(r"(<!-- made by tools\.litellm_costs -->\n).*?(<!-- end -->)", re.DOTALL)
_VERSION = "import importlib.metadata; print(importlib.metadata.version('litellm'))"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one version, in the order of the cases."""

    version: str
    amounts: tuple[str, ...]


def figures_of(python: Path, chosen: list[Case]) -> Figures:
    """Run one version over the cases."""
    asked = subprocess.run([str(python), "-c", _VERSION], capture_output=True, text=True, check=True)
    return Figures(asked.stdout.strip(), tuple(map(rounded, litellm_figures(chosen, python))))


def table(chosen: list[Case], versions: list[Figures], day: date) -> str:
    """The cases for which not all versions have the same figure, and ours."""
    names = " | ".join(each.version for each in versions)
    lines = [f"| rows, on {day} | ours | {names} |", f"|---|---:|{'---:|' * len(versions)}"]
    same = 0
    for case, amounts in zip(chosen, zip(*(each.amounts for each in versions), strict=True), strict=True):
        if len(set(amounts)) == 1:
            same += 1
            continue
        ours = case.ours()
        cells = f"[{case.what}]({link(case)})", f"{'' if ours.complete else 'at least '}{ours.text}", *amounts
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines.append(
        f"For the other {same} of {len(chosen)} the figure of each version is that of the table above."
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table; with --write also put it into the document."""
    parser = argparse.ArgumentParser(description="What versions of LiteLLM charge for the golden rows.")
    parser.add_argument("pythons", nargs="+", type=Path, metavar="PYTHON")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.name}")
    options = parser.parse_args()
    chosen = cases()
    made = table(
        chosen, [figures_of(python, chosen) for python in options.pythons], datetime.now(tz=UTC).date()
    )
    if options.write:
        DOCUMENT.write_text(_PART.sub(lambda part: part[1] + made + part[2], DOCUMENT.read_text()))
    sys.stdout.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
