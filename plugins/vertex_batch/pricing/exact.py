"""Numbers exactly as a price list writes them."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml


def exact(value: Any) -> Decimal | None:
    """Read a price: the decimal that was written, never a binary approximation of it; None if it is no price.

    A float that somebody else's parser made is read by its shortest form: the text that it came from.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None


class _ExactLoader(yaml.SafeLoader):
    """YAML whose numbers with a point keep their text."""


def _float_text(loader: _ExactLoader, node: yaml.ScalarNode) -> Any:
    text = str(loader.construct_scalar(node)).replace("_", "")
    return Decimal(text) if exact(text) is not None else text


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _float_text)


def load_exact(path: Path) -> Any:
    """Read a JSON or YAML file, numbers exactly as written."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        if path.suffix == ".json":
            raise
    return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - a SafeLoader
