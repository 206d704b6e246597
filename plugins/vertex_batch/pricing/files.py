"""Price maps in files: LiteLLM's format, JSON or YAML."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from vertex_batch.errors import ConfigurationError
from vertex_batch.pricing.exact import load_exact
from vertex_batch.pricing.sources import LiteLLMPrices

_SUFFIXES = {".json", ".yaml", ".yml"}


def price_file(path: Path, *, may_be_empty: bool = False) -> LiteLLMPrices:
    """Read a price map: model -> LiteLLM's price keys, USD per token, or a list of such entries with days.

    Its date is its ``as_of`` key, or the day on which the file was last changed.

    :param may_be_empty: whether it may price no model of Vertex AI; then nothing has a price.
    :raises ConfigurationError: the file is not a valid price map.
    """
    subject = f"Price file {path} is not usable"
    try:
        document = load_exact(path)
        changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()
    except OSError as error:
        raise ConfigurationError(subject, error.strerror or str(error)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(subject, f"it is neither JSON nor YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(subject, "it must map models to price keys")
    stated = document.pop("as_of", None)
    try:
        as_of = stated if isinstance(stated, date) else date.fromisoformat(stated) if stated else changed
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            subject, f"as_of must be a date such as 2026-11-22, not {stated!r}"
        ) from error
    try:
        prices = LiteLLMPrices(document, path.name, as_of)
    except ValueError as error:
        raise ConfigurationError(subject, str(error)) from error
    if not len(prices) and not may_be_empty:
        raise ConfigurationError(
            subject, "it prices no model; use LiteLLM's keys, such as input_cost_per_token_batches: 1.5e-07"
        )
    return prices


def price_folder(folder: Path) -> list[LiteLLMPrices]:
    """Read all price files of a folder, by name. A folder that is not there holds none."""
    return [price_file(path) for path in sorted(folder.glob("*")) if path.suffix in _SUFFIXES]
