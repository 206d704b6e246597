"""Bills and totals as tables for a terminal. Amounts are exact, never rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType  # noqa: TID253 - never imported by a DAG parse
from rich.markup import escape  # noqa: TID253
from rich.table import Table  # noqa: TID253
from rich.text import Text  # noqa: TID253

from vertex_batch.costs import Bill, Delivery, RowCounts, Total, exact, per_million
from vertex_batch.errors import count_of
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.usage import Unit
from vertex_batch.vertex.names import short_model

if TYPE_CHECKING:  # they bring SQLAlchemy along, which a bill of local files does not need
    from vertex_batch.costs import GroupTotal, JobCost

_NOTHING = "-"
_DERIVED = {
    Basis.DERIVED_HALF_OF_STANDARD: ", half of standard",
    Basis.DERIVED_FOUR_FIFTHS_OF_STANDARD: ", four fifths of standard",
}


def total_text(total: Total) -> str:
    """Write a sum; a lower bound is preceded by ``at least``."""
    return f"{'' if total.complete else 'at least '}{exact(total.amount)}"


def saved_text(saved: Total) -> str:
    """Write what batch pricing saved, if the price lists say it."""
    return total_text(saved) if saved.complete or saved.amount else "unknown"


def totals_table(totals: Sequence[GroupTotal], by: str, whole: Total, saved: Total) -> Table:
    headings = (
        f"={by}",
        "=days",
        ">jobs",
        ">failed rows",
        ">tokens",
        ">USD per 1,000 rows",
        ">saved by batch",
        ">USD",
    )
    table = _table(f"Cost by {by}", *headings)
    for group in totals:
        last = "" if group.first_day == group.last_day else f" to {group.last_day}"
        table.add_row(
            escape(str(group.group[0]) or _NOTHING),
            f"{group.first_day}{last}",
            f"{group.jobs:,}",
            _share(group.rows),
            _tokens(group.tokens),
            total_text(group.per_thousand_rows) if group.per_thousand_rows else _NOTHING,
            saved_text(group.saved),
            total_text(group.total),
        )
    table.add_section()
    tokens = sum(group.tokens for group in totals)
    amount = f"[bold]{total_text(whole)}[/]"
    table.add_row("[bold]total[/]", "", "", "", _tokens(tokens), "", saved_text(saved), amount)
    return table


def _tokens(count: int) -> str:
    """Write a number of tokens; a dash for none, as of embeddings that are billed by characters."""
    return f"{count:,}" if count else _NOTHING


def jobs_table(jobs: Sequence[JobCost], *, more: bool = False) -> Table:
    """Build the table of jobs, the latest first. Unreadable and unrecognized rows share a column."""
    headings = (
        "=day",
        "=spec",
        "=run",
        "=model",
        "=state",
        ">rows ok",
        ">failed",
        ">not read",
        ">tokens",
        ">saved",
        ">USD",
        "=job",
    )
    table = _table("Jobs", *headings)
    for job in jobs:
        facts, rows = job.job, job.rows
        moment = facts.logical_date or facts.create_time
        table.add_row(
            f"{moment:%Y-%m-%d}" if moment else _NOTHING,
            *(escape(text) or _NOTHING for text in (facts.spec, facts.run_id, short_model(facts.model))),
            facts.state or _NOTHING,
            *(f"{count:,}" for count in (rows.ok, rows.failed, rows.not_counted)),
            _tokens(job.tokens),
            saved_text(job.saved),
            total_text(job.total),
            facts.job_id,
        )
    if more:
        table.caption = "There are more jobs: raise --limit, or narrow with --since and --until."
    return table


def render_bill(bill: Bill, expected: str = "", deliveries: Sequence[Delivery] = ()) -> RenderableType:
    """Build the whole bill of one job: its facts, its line items, and its problems.

    :param expected: its expected cost; empty if there is no estimate.
    :param deliveries: what was delivered of it.
    """
    parts: list[RenderableType] = [_facts(bill, expected, deliveries), _items(bill)]
    parts += [Text(f"! {flag}", style="yellow") for flag in bill.flags]
    parts += [
        Text(f"! {count_of(count, 'row')} failed: {reason}") for reason, count in bill.failed_reasons.items()
    ]
    parts += [Text(f"! {row.file}:{row.line}: {row.reason}") for row in bill.problems]
    return Group(*parts)


def _facts(bill: Bill, expected: str, deliveries: Sequence[Delivery]) -> Table:
    job = bill.job
    facts = {
        "job": f"{job} {job.display_name}" if job.job_id else "",
        "location": "" if job.job_id else job.location,
        "state": f"{job.state} {job.end_message}",
        "model": job.model,
        "spec": job.spec,
        "team": job.team,
        "run": " ".join(filter(None, (job.dag_id, job.run_id))),
        "rows": _rows(bill.rows),
        "output": job.output_directory,
        "expected": expected,
        "delivered": "\n".join(f"{delivery}\n{delivery.answers_uri}" for delivery in deliveries),
        "note": job.note,
        "recorded": f"{bill.recorded_at:%Y-%m-%d %H:%M} UTC",
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")  # a long name is wrapped, never cut
    for name, text in facts.items():
        if text.strip():
            grid.add_row(f"[dim]{name}[/]", escape(text.strip()))
    return grid


def _items(bill: Bill) -> Table:
    table = _table("", "=model", "what", ">count", ">USD per million", ">USD", "price from")
    for item in bill.line_items:
        unit_price = _NOTHING if item.unit_price_usd is None else per_million(item.unit_price_usd)
        amount = "unknown" if item.amount_usd is None else exact(item.amount_usd)
        table.add_row(escape(item.model), _what(item), f"{item.tokens:,}", unit_price, amount, _origin(item))
    table.add_section()
    table.add_row("[bold]total[/]", "", "", "", f"[bold]{total_text(bill.total)}[/]", "")
    sources = sorted({item.standard_source for item in bill.line_items if item.standard_source})
    lists = escape(f"standard rates of {', '.join(sources)}") if sources else ""
    table.add_row("saved by batch", "", "", "", saved_text(bill.saved), lists)
    if bill.per_thousand_rows:
        table.add_row("1,000 rows", "", "", "", total_text(bill.per_thousand_rows), "")
    return table


def _share(rows: RowCounts | None) -> str:
    return _NOTHING if rows is None or rows.failed_share is None else f"{100 * rows.failed_share:.2f} %"


def _what(item: LineItem) -> str:
    words = [
        item.kind,
        item.modality if item.unit is Unit.TOKEN else "",
        f"({item.tier})" if item.tier != "standard" else "",
        f"({item.cache_ttl})" if item.cache_ttl else "",
    ]
    return " ".join(filter(None, words)).replace("_", " ")


def _origin(item: LineItem) -> str:
    if item.unit_price_usd is None:
        return escape(item.reason)
    derived = _DERIVED.get(item.basis, "") if item.basis else ""
    of_day = f" of {item.price_date}" if item.price_date else ""
    return escape(f"{item.source}{of_day}{derived}")


def _rows(rows: RowCounts) -> str:
    share = f" ({_share(rows)})" if rows.failed else ""
    text = f"{rows.ok:,} ok, {rows.failed:,} failed{share}, {rows.unreadable:,} unreadable"
    if rows.unrecognized:
        text += f", {rows.unrecognized:,} unrecognized"
    if rows.copied:
        text += f"; {rows.copied:,} from an earlier job, billed there"
    if rows.input_rows is not None:
        text += f"; {rows.input_rows:,} in the input"
    return f"{text}, {rows.missing:,} missing from the output" if rows.missing else text


def _table(title: str, *headings: str) -> Table:
    """Make a table.

    :param headings: of the columns. ``>`` before one: numbers; ``=``: names and ids. Both stay in one line.
    """
    table = Table(title=title or None, title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(
            heading.lstrip(">="),
            justify="right" if heading.startswith(">") else "left",
            no_wrap=heading.startswith((">", "=")),
            overflow="fold",
        )
    return table
