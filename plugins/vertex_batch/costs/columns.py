"""Column types that are exact in SQLite and in PostgreSQL."""

# ruff: noqa: ARG002 - the signatures are SQLAlchemy's

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.ext.compiler import compiles  # noqa: TID253
from sqlalchemy.sql.compiler import SQLCompiler  # noqa: TID253
from sqlalchemy.sql.functions import FunctionElement  # noqa: TID253
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine  # noqa: TID253

_PICO_DECIMALS = 12
_BIGGEST = 2**63 - 1


class PicoUsd(TypeDecorator[Decimal]):
    """Decimal USD, stored as whole picodollars. An amount that would have to be rounded is refused."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> int | None:
        if value is None:
            return None
        whole = int(value.scaleb(_PICO_DECIMALS))
        if usd(whole) != value or abs(whole) > _BIGGEST:  # compared, since scaling may have rounded
            raise ValueError(
                f"{value} USD cannot be stored exactly: it is finer than 1e-12 or more than 9 million USD"
            )
        return whole

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> Decimal | None:
        return None if value is None else usd(value)


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC; in SQLite ISO 8601 text, which sorts."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> object:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        moment = value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return None if moment is None else moment.astimezone(UTC)


def storable(text: str) -> str:
    """Replace what PostgreSQL or UTF-8 cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


class AnyText(TypeDecorator[str]):
    """Any text, also one from a service, a row or a form."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else storable(value)


class DayText(TypeDecorator[date]):
    """A day as text that may be part of a primary key; None is the empty text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: sa.Dialect) -> str:
        return value.isoformat() if value else ""

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> date | None:
        return date.fromisoformat(value) if value else None


class JsonText(TypeDecorator[Any]):
    """Plain data as JSON text with sorted keys, so that the same data always gives the same text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: sa.Dialect) -> str:
        return storable(json.dumps(value, sort_keys=True, ensure_ascii=False))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> object:
        return json.loads(value)


class _OneOf(FunctionElement[Any]):
    """The same condition twice; a database gets the one that it runs faster."""

    type = NullType()  # SQLite would be asked for "... = 1", which uses no index
    inherit_cache = True


@compiles(_OneOf)
def _as_array(element: _OneOf, compiler: SQLCompiler, **options: object) -> str:
    _, array = element.clauses
    return compiler.process(array, **options)


@compiles(_OneOf, "sqlite")
def _as_list(element: _OneOf, compiler: SQLCompiler, **options: object) -> str:
    values, _ = element.clauses
    return compiler.process(values, **options)


def one_of(column: sa.ColumnElement[str], texts: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a column is one of many texts.

    PostgreSQL gets them as one value. To bind each of them, as SQLAlchemy does it, took longer than the
    query.
    """
    values = sorted(texts)
    return _OneOf(column.in_(values), column == sa.any_(sa.literal(values, sa.ARRAY(sa.Text))))


def usd(pico: int | Decimal) -> Decimal:
    """Convert picodollars, or a sum of them, to Decimal USD."""
    return Decimal(int(pico)).scaleb(-_PICO_DECIMALS)
