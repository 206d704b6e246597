"""docs/settings.md and what Airflow is told of options, against what the code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from vertex_batch.lifecycle.finding import LookPolicy
from vertex_batch.provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
SOURCES = sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").glob("*.py")])
OF_THE_SHELL = {"COMP_LINE"}
"""What a shell sets while it completes a command, and no person."""
OPTIONS = get_provider_info()["config"]["vertex_batch"]["options"]


def constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module gives a name, also several at once."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        pairs = [(target, node.value) for target in node.targets]
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(node.targets[0].elts, node.value.elts, strict=True))
        for target, value in pairs:
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                found[target.id] = str(value.value)
    return found


def reads(source: str) -> Iterator[str]:
    """What a module reads: ``[section] option`` and names of environment variables.

    :raises KeyError: a name is neither written out nor a constant of the module.
    """
    tree = ast.parse(source)
    named = constants(tree)

    def text(node: ast.expr) -> str:
        return str(node.value) if isinstance(node, ast.Constant) else named[ast.unparse(node)]

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            if owner == "conf" and node.func.attr.startswith("get"):
                yield f"[{text(node.args[0])}] {text(node.args[1])}"
            elif (owner, node.func.attr) in {("os.environ", "get"), ("os", "getenv")}:
                yield text(node.args[0])
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            environ = ast.unparse(node.value) == "os.environ"
            yield from [text(node.slice)] if environ else []


def in_code() -> set[str]:
    return {setting for path in SOURCES for setting in reads(path.read_text())} - OF_THE_SHELL


def in_page() -> set[str]:
    """The settings in the first cells of the tables."""
    names = set(re.findall(r"^\| `(.+?)` \|", PAGE.read_text(), re.MULTILINE)) - {"[vertex_batch]"}
    return {f"[vertex_batch] {name}" if name in OPTIONS else name for name in names}


def test_the_page_lists_every_setting_that_the_code_reads_and_no_other():
    assert in_page() == in_code()


def test_airflow_knows_every_option_of_the_package_and_no_other():
    ours = {name.removeprefix("[vertex_batch] ") for name in in_code() if name.startswith("[vertex_batch]")}
    assert set(OPTIONS) == ours


def test_the_default_that_airflow_shows_is_the_one_of_the_code():
    assert float(OPTIONS["look_seconds"]["default"]) == LookPolicy().window_seconds
    assert f"| `look_seconds` | `{LookPolicy().window_seconds:.0f}` |" in PAGE.read_text()


def test_every_way_to_read_a_setting_is_seen():
    source = (
        "A, B = 'FIRST', 'SECOND'\nC = 'section'\n"
        "os.environ.get(A); os.environ[B]; os.getenv('THIRD'); conf.getint(C, 'option')\n"
        "os.environ['WRITTEN'] = '1'\n"
    )
    assert set(reads(source)) == {"FIRST", "SECOND", "THIRD", "[section] option"}
