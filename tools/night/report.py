"""The figures of a night as tables, for a terminal and for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table

from tools.night.limits import misses
from tools.night.measures import NightResult, Step


@dataclass(frozen=True)
class _Sheet:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def table(results: Sequence[NightResult]) -> Group:
    """The tables for a terminal."""
    return Group(*(_rich(sheet) for sheet in _sheets(results)))


def markdown(results: Sequence[NightResult]) -> str:
    """The same tables in Markdown."""
    return "\n\n".join(_markdown(sheet) for sheet in _sheets(results))


def _sheets(results: Sequence[NightResult]) -> list[_Sheet]:
    rows = _Sheet(
        "Every row, every bill",
        (
            "",
            "rows",
            "jobs",
            "answered",
            "failed",
            "unreadable",
            "missing",
            "billed USD",
            "independent USD",
            "limits",
        ),
        [_row(result) for result in results],
    )
    steps = _Sheet(
        "What it took",
        (
            *("", "step", "processes", "CPU s", "most CPU s", "worker s", "peak MB"),
            *("requests", "MB read", "MB written", "input", "shards"),
        ),
        [line for result in results for line in _steps(result)],
    )
    return [rows, steps]


def _row(result: NightResult) -> tuple[str, ...]:
    account = result.account
    return (
        f"({result.scenario.key}) {result.scenario.title}",
        f"{account.rows:,}",
        f"{result.jobs}",
        f"{account.answered:,}",
        f"{account.failed:,}",
        f"{account.unreadable:,}",
        f"{account.missing:,}",
        f"{result.billed.amount_usd.normalize():f}",
        f"{account.amount_usd.normalize():f}",
        "missed" if misses(result) else "kept",
    )


def _steps(result: NightResult) -> list[tuple[str, ...]]:
    lines = [_step(step) for step in result.steps]
    shards = "-" if result.shard_reads is None else f"{result.shard_reads:.2f}"
    total = (
        f"all, in {result.wall_seconds:,.0f} s",
        f"{sum(step.processes for step in result.steps)}",
        f"{sum(step.cpu_seconds for step in result.steps):,.1f}",
        f"{max((step.most_cpu_seconds for step in result.steps), default=0):,.1f}",
        f"{sum(step.seconds for step in result.steps):,.0f}",
        f"{max((step.peak_bytes for step in result.steps), default=0) / 1e6:,.0f}",
        f"{sum(step.requests for step in result.steps):,}",
        f"{sum(step.read_bytes for step in result.steps) / 1e6:,.0f}",
        f"{sum(step.written_bytes for step in result.steps) / 1e6:,.0f}",
        f"{result.input_reads:.2f}",
        shards,
    )
    return [(f"({result.scenario.key})", *line) for line in [*lines, total]]


def _step(step: Step) -> tuple[str, ...]:
    return (
        step.task_id,
        f"{step.processes}",
        f"{step.cpu_seconds:,.1f}",
        f"{step.most_cpu_seconds:,.1f}",
        f"{step.seconds:,.0f}",
        f"{step.peak_bytes / 1e6:,.0f}",
        f"{step.requests:,}",
        f"{step.read_bytes / 1e6:,.0f}",
        f"{step.written_bytes / 1e6:,.0f}",
        "",
        "",
    )


def _rich(sheet: _Sheet) -> Table:
    shown = Table(title=sheet.title, title_justify="left")
    for number, name in enumerate(sheet.columns):
        shown.add_column(name, justify="left" if number == 0 or name == "step" else "right", no_wrap=True)
    for row in sheet.rows:
        shown.add_row(*row)
    return shown


def _markdown(sheet: _Sheet) -> str:
    lines = [sheet.columns, tuple("---" for _ in sheet.columns), *sheet.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
