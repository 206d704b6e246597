"""What each rule of the bill comes to, ours beside LiteLLM's: ``python -m tools.golden`` writes the table.

The rows are the golden files in ``tests/data/golden``. LiteLLM's figure is that of the function by which its
proxy costs batches, run in the proxy's environment over the same rows with the same price map.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from local.stack.paths import REPOSITORY
from vertex_batch.cli.bill import make
from vertex_batch.costs import Total, in_full

FOLDER = REPOSITORY / "tests" / "data" / "golden"
DOCUMENT = REPOSITORY / "docs" / "bill.md"
PROXY_PYTHON = REPOSITORY / ".venv-proxy" / "bin" / "python"
_PART = re.compile(r"(<!-- made by tools\.golden -->\n).*?(<!-- end -->)", re.DOTALL)
# Runs in the proxy's environment: one process for all cases, since its imports take seconds.
_ORACLE = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from litellm.batches.batch_utils import calculate_vertex_ai_batch_cost_and_usage as calculate

def rows(path):
    with open(path, "rb") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except ValueError:
                pass

def cost(path, model, location):
    return calculate(rows(path), model, vertex_location=location).cost

out = sys.stdout
sys.stdout = sys.stderr
figures = []
for case in json.load(sys.stdin):
    try:
        figures.append(repr(sum(cost(path, case["model"], case["location"]) for path in case["files"])))
    except Exception as error:
        figures.append(type(error).__name__)
json.dump(figures, out)
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One golden file, or folder of outputs.

    :param rule: which rule it is about.
    :param why: why LiteLLM's figure is another one; empty where it is the same.
    """

    path: str
    rule: int
    model: str
    location: str
    what: str
    why: str

    @property
    def place(self) -> Path:
        return FOLDER / self.path

    def ours(self) -> Total:
        """What ``vertex-batch bill`` says, at the packaged prices."""
        return make([str(self.place)], self.model, self.location).total

    def files(self) -> list[str]:
        """What LiteLLM would read: the ``predictions.jsonl`` of each job."""
        return [str(path) for path in sorted(self.place.rglob("predictions.jsonl"))] or [str(self.place)]


def cases() -> list[Case]:
    """All cases, in the order of the rules."""
    return [Case(**case) for case in json.loads((FOLDER / "cases.json").read_text())]


def litellm_figures(chosen: list[Case], python: Path = PROXY_PYTHON) -> list[str]:
    """LiteLLM's figures: floats as it gives them, or the name of what it raised.

    :param python: the interpreter of an environment that has LiteLLM.
    """
    asked = [{"files": case.files(), "model": case.model, "location": case.location} for case in chosen]
    done = subprocess.run(
        [str(python), "-c", _ORACLE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    figures: list[str] = json.loads(done.stdout)
    return figures


def table(chosen: list[Case], figures: list[str]) -> str:
    """Both figures of each case, in USD."""
    lines = ["| rule | rows | ours | LiteLLM | LiteLLM's difference |", "|---:|---|---:|---:|---|"]
    for case, figure in zip(chosen, figures, strict=True):
        ours = case.ours()
        at_least = "" if ours.complete else "at least "
        cells = f"[{case.what}]({link(case)})", f"{at_least}{ours.text}", rounded(figure), case.why
        lines.append(f"| {case.rule} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def link(case: Case) -> str:
    """Where the rows of a case are, from the document."""
    return f"../tests/data/golden/{case.path}"


def rounded(figure: str) -> str:
    """A float to twelve decimals, the finest that the cost table keeps: what is beyond is its own noise."""
    try:
        return in_full(round(Decimal(figure), 12))
    except ArithmeticError:
        return figure


def main() -> int:
    """Write the table into the document."""
    chosen = cases()
    made = table(chosen, litellm_figures(chosen))
    DOCUMENT.write_text(_PART.sub(lambda part: part[1] + made + part[2], DOCUMENT.read_text()))
    sys.stdout.write(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
