"""``vertex-batch prices`` shows the rates of a model on a day: their lists, their days, and what is next."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from vertex_batch.cli import access, arguments
from vertex_batch.cli.output import print_json
from vertex_batch.costs import in_full, per_million
from vertex_batch.errors import ConfigurationError
from vertex_batch.pricing import Basis, PriceBook, Rate, Unpriced, from_proxy, price_folder, retirement_of
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.usage import Tier, Unit, UsageKey, canonical_model

_WIDTH = 160
_GLOBAL, _ANY_REGION = "global", "any region"


@dataclass(frozen=True, slots=True)
class Change:
    """The next price of something, and its first day; None: from then on it has none."""

    first_day: date
    usd_per_unit: Decimal | None


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One rate of a model on a day.

    :param change: what it costs next; None: no list says that it changes.
    :param regional: in a region, where no location was named; None: one was.
    """

    usage: UsageKey
    rate: Rate | Unpriced
    change: Change | None
    regional: Rate | Unpriced | None = None


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Show each batch rate of a model on a day: the list that it is from, from when to when it"
        " holds, and what changes next. The lists are, in this order: price files, a proxy's deployments, the"
        " packaged lists with dates, the proxy's price map, and the packaged snapshot of that. The proxy's"
        " prices are used with --proxy only. Exit status 1 if the model has no rate."
    )
    command.add_argument("model", metavar="MODEL", help="the model, in any form of its name")
    command.add_argument(
        "--on", type=arguments.day, metavar="DAY", help="the UTC day, such as 2026-12-01 (default: today)"
    )
    command.add_argument(
        "--location",
        metavar="NAME",
        help="where the job runs (default: both `global` and, where the rates differ, a region)",
    )
    command.add_argument(
        "--specs", metavar="FOLDER", help="the specs, next to which `pricing` has the price files"
    )
    command.add_argument(
        "--proxy",
        type=access.proxy_option,
        metavar="URL|ID",
        help="also use the prices of this proxy: a URL, or an Airflow connection",
    )
    command.add_argument("--json", action="store_true", help="print JSON; prices are exact decimal strings")
    command.set_defaults(run=run, route_prefix=None, project=None)


def run(options: Namespace) -> int:
    day = options.on or datetime.now(UTC).date()
    folder = prices_folder(Path(options.specs) if options.specs else specs_folder())
    files = price_folder(folder) if folder.is_dir() else []
    with access.Access(options).client() if options.proxy else nullcontext(None) as client:
        book = PriceBook([*files, *from_proxy(client)], max_decimals=None)
    location = options.location or _GLOBAL
    found = rates_on(book, options.model, location, day, with_regional=not options.location)
    retirement = retirement_of(options.model, book.life_of(options.model))
    notes = [
        *book.flags,
        *book.on(day).contradictions(each.usage for each in found),
        *([retirement.describe(day)] if retirement and retirement.describe(day) else []),
    ]
    if not found:
        lists = ", ".join(source.name for source in book.sources)
        reason = (
            f"No list has a batch rate of {options.model} on {day}. The lists are, in their order: {lists}"
        )
        raise ConfigurationError("; ".join([reason, *notes]))
    if options.json:
        rates = [_rate_data(each) for each in found]
        print_json({"model": options.model, "location": location, "day": day, "rates": rates, "notes": notes})
    else:
        _print(options.model, location, day, found, notes)
    return 0


def rates_on(
    book: PriceBook, model: str, location: str, day: date, *, with_regional: bool = False
) -> list[ListedPrice]:
    """The rates of a model on a day, each with its next change.

    :param with_regional: also the rates in a region. Some models cost more in all regions than in `global`.
    """
    later, today = book.change_days(model, day, date.max), book.on(day)
    return [
        ListedPrice(
            key,
            rate,
            _next_change(book, key, location, rate, later),
            today.rate(key, _ANY_REGION) if with_regional else None,
        )
        for key, rate in today.listed(canonical_model(model), location)
    ]


def _next_change(
    book: PriceBook, key: UsageKey, location: str, rate: Rate | Unpriced, later: Sequence[date]
) -> Change | None:
    now = _usd(rate)
    of_days = ((day, _usd(book.on(day).rate(key, location))) for day in later)
    return next((Change(day, usd) for day, usd in of_days if usd != now), None)


def _usd(rate: Rate | Unpriced) -> Decimal | None:
    return rate.usd_per_unit if isinstance(rate, Rate) else None


def _rate_data(each: ListedPrice) -> dict[str, object]:
    """A rate as plain data; a price is USD for one unit, as a decimal string."""
    usage, rate, change = each.usage, each.rate, each.change
    data: dict[str, object] = {
        "kind": usage.kind,
        "modality": usage.modality,
        "tier": usage.tier,
        "cache_ttl": usage.cache_ttl or None,
        "unit": usage.kind.unit,
    }
    if not isinstance(rate, Rate):
        return {**data, "unit_price": None, "reason": rate.reason}
    following = {"first_day": change.first_day, "unit_price": _text(change.usd_per_unit)} if change else None
    return {
        **data,
        "unit_price": _text(rate.usd_per_unit),
        "regional_unit_price": _text(_usd(each.regional)) if each.regional else None,
        "basis": rate.basis,
        "source": rate.source,
        "list_digest": rate.list_digest,
        "as_of": rate.as_of,
        "valid_from": rate.valid_from,
        "valid_until": rate.valid_until,
        "standard_unit_price": _text(rate.standard.usd_per_unit) if rate.standard else None,
        "next": following,
    }


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else in_full(usd)


def _print(model: str, location: str, day: date, found: Sequence[ListedPrice], notes: Sequence[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"Batch rates of {escape(model)} in {escape(location)} on {day}"
    table = Table(title=title, title_justify="left", title_style="bold")
    differs = any(each.regional and _usd(each.regional) != _usd(each.rate) for each in found)
    numbers = ("USD per million", *(["in a region"] if differs else []), "without batch")
    for heading in ("what", *numbers, "from", "valid", "next"):
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for each in found:
        what, usd, *others = _cells(each)
        regional = [_per_million(_usd(each.regional))] if differs and each.regional else []
        table.add_row(*map(escape, (what, usd, *regional, *others)))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)
    sys.stdout.write("".join(f"! {note}\n" for note in notes))


def _per_million(usd: Decimal | None) -> str:
    return "none" if usd is None else per_million(usd)


def _validity(first: date | None, last: date | None) -> str:
    if first and last:
        return f"{first} to {last}"
    return f"from {first}" if first else f"until {last}" if last else "undated"


def _cells(each: ListedPrice) -> Iterator[str]:
    usage, rate, change = each.usage, each.rate, each.change
    words = [usage.kind, usage.modality if usage.kind.unit is Unit.TOKEN else "", usage.cache_ttl]
    words.append("long context" if usage.tier is Tier.LONG_CONTEXT else "")
    yield " ".join(word for word in words if word).replace("_", " ")
    if not isinstance(rate, Rate):
        yield from ("unknown", "", rate.reason, "", "")
        return
    yield _per_million(rate.usd_per_unit)
    yield _per_million(rate.standard.usd_per_unit) if rate.standard else ""
    how = "" if rate.basis in (Basis.BATCH_RATE, Basis.SPEC) else f", {rate.basis.replace('_', ' ')}"
    yield f"{rate.source} of {rate.as_of}{how}"
    yield _validity(rate.valid_from, rate.valid_until)
    if change is None:
        yield "-"
    else:
        yield f"{_per_million(change.usd_per_unit)} from {change.first_day}"
