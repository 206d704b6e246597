"""Price lists in files, with numbers exactly as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

# No price has more digits, or is that far from 1. With this limit EXACT holds every rate, amount and sum.
_MAX_DIGITS = 50
EXACT = Context(prec=400, traps=[Inexact])


def add(amounts: Iterable[Decimal]) -> Decimal:
    """Add up exactly: Python's own context would round a sum to 28 digits."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


def times(tokens: int, usd: Decimal) -> Decimal:
    with localcontext(EXACT):
        return tokens * usd


def exact(value: object) -> Decimal | None:
    """Read a price as the exact decimal that was written; None if it is not a price.

    A float from another parser is read by its shortest form, which is the text that it came from.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    if not number.is_finite() or number < 0:
        return None
    is_sane = len(number.as_tuple().digits) <= _MAX_DIGITS and abs(number.adjusted()) <= _MAX_DIGITS
    return number if is_sane or not number else None


class _ExactLoader(yaml.SafeLoader):
    """YAML whose numbers with a point keep their text."""


def _float_text(loader: _ExactLoader, node: yaml.ScalarNode) -> object:
    text = str(loader.construct_scalar(node)).replace("_", "")
    return Decimal(text) if exact(text) is not None else text


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _float_text)


def read_packaged(file: str) -> dict[str, Any]:
    """Read a price list that is in the package."""
    text = resources.files("vertex_batch.pricing").joinpath(file).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def load_exact(path: Path) -> object:
    """Read a JSON or YAML file, numbers exactly as written."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        if path.suffix == ".json":
            raise
    return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - a SafeLoader
