"""Our batch prices beside those of genai-prices, by model and day: ``python -m tools.price_matrix``.

It prints every difference with its reason, and fails if there is one without.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from vertex_batch.pricing import PriceBook, Rate, from_proxy
from vertex_batch.pricing.genai import BATCH, PRICE_KEYS, google, prices_on, tiers
from vertex_batch.pricing.snapshot import snapshot_entries
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, UsageKey, canonical_model

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

DAYS = tuple(
    date.fromisoformat(day)
    for day in ("2026-11-27", "2026-11-30", "2026-12-01", "2026-12-31", "2027-01-01", "2027-04-01")
)
_MILLION = 1_000_000
_USAGE: dict[str, tuple[Kind, Modality, CacheTtl]] = {
    "input_mtok": (Kind.INPUT, Modality.TEXT, CacheTtl.NONE),
    "input_audio_mtok": (Kind.INPUT, Modality.AUDIO, CacheTtl.NONE),
    "input_image_mtok": (Kind.INPUT, Modality.IMAGE, CacheTtl.NONE),
    "input_video_mtok": (Kind.INPUT, Modality.VIDEO, CacheTtl.NONE),
    "output_mtok": (Kind.OUTPUT, Modality.TEXT, CacheTtl.NONE),
    "output_audio_mtok": (Kind.OUTPUT, Modality.AUDIO, CacheTtl.NONE),
    "output_image_mtok": (Kind.OUTPUT, Modality.IMAGE, CacheTtl.NONE),
    "output_video_mtok": (Kind.OUTPUT, Modality.VIDEO, CacheTtl.NONE),
    "cache_read_mtok": (Kind.CACHED_INPUT, Modality.TEXT, CacheTtl.NONE),
    "cache_audio_read_mtok": (Kind.CACHED_INPUT, Modality.AUDIO, CacheTtl.NONE),
    "cache_image_read_mtok": (Kind.CACHED_INPUT, Modality.IMAGE, CacheTtl.NONE),
    "cache_write_mtok": (Kind.CACHE_WRITE, Modality.TEXT, CacheTtl.FIVE_MINUTES),
    "cache_write_1h_mtok": (Kind.CACHE_WRITE, Modality.TEXT, CacheTtl.ONE_HOUR),
}
assert _USAGE.keys() == PRICE_KEYS.keys()

# Why prices differ that genai-prices does state for a batch: the first pattern that matches the model.
REASONS: tuple[tuple[str, str], ...] = (
    (
        "gemini-3.8-flash-cyber",
        "genai-prices takes it for gemini-3.8-flash; LiteLLM's map has a price of its own for it",
    ),
)
_NO_BATCH = (
    "genai-prices has no batch price of it and answers with the standard one; the price here is that of"
    " Google's page or of LiteLLM's map, or the standard one less the discount of its family"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One price of one model on one day, in USD per million tokens in a batch.

    :param ours: None: not known here.
    :param is_batch: whether genai-prices has batch prices of the model; else `theirs` is the standard price.
    """

    model: str
    day: date
    what: str
    ours: Decimal | None
    theirs: Decimal
    is_batch: bool

    @property
    def reason(self) -> str:
        """Why the two differ; empty if they are the same, or if no reason is known."""
        if self.ours == self.theirs:
            return ""
        if not self.is_batch:
            return _NO_BATCH
        return next((reason for model, reason in REASONS if re.fullmatch(model, self.model)), "")

    @property
    def is_explained(self) -> bool:
        return self.ours == self.theirs or bool(self.reason)

    def __str__(self) -> str:
        ours = "unknown" if self.ours is None else f"{self.ours.normalize():f}"
        text = (
            f"{self.model}  {self.day}  {self.what}: {ours} here, {self.theirs.normalize():f} in genai-prices"
        )
        return text if self.ours == self.theirs else f"{text}: {self.reason or 'NO REASON IS KNOWN'}"


def matrix(days: Sequence[date] = DAYS) -> list[Cell]:
    """Compare every price of every model with batch prices that both lists have."""
    book = PriceBook(from_proxy(None), max_decimals=None)
    models = {name: model for name in _names() if (model := google().find_model(name))}
    return [cell for name, model in models.items() for day in days for cell in _cells(book, name, model, day)]


def _names() -> list[str]:
    """The models that LiteLLM's packaged map has batch prices of, and those of later days."""
    known = {
        canonical_model(name)
        for name, entry in snapshot_entries().items()
        if any(key.endswith("_batches") for key in entry)
    }
    return sorted(known | {"gemini-4-argon", "gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"})


def _cells(book: PriceBook, name: str, model: ModelInfo, day: date) -> Iterator[Cell]:
    theirs = prices_on(model, day, batch=True)
    is_batch = any(variant.when == BATCH for variant in model.price_variants or ())
    for key, (kind, modality, ttl) in _USAGE.items():
        stated = getattr(theirs, key)
        for suffix, usd in tiers(stated) if stated is not None else ():
            tier = Tier.LONG_CONTEXT if suffix else Tier.STANDARD
            rate = book.on(day).rate(UsageKey(name, kind, modality, tier, ttl), "global")
            ours = rate.usd_per_unit * _MILLION if isinstance(rate, Rate) else None
            yield Cell(name, day, f"{key.removesuffix('_mtok')}{suffix}", ours, usd, is_batch)


def main() -> int:
    """Print the matrix's differences, and how much is the same."""
    cells = matrix()
    different = [cell for cell in cells if cell.ours != cell.theirs]
    for cell in different:
        sys.stdout.write(f"{cell}\n")
    models = len({cell.model for cell in cells})
    same = len(cells) - len(different)
    sys.stdout.write(
        f"{models} models, {len(DAYS)} days: {len(cells):,} prices, {same:,} the same to the last digit,"
        f" {len(different):,} different\n"
    )
    return int(not all(cell.is_explained for cell in cells))


if __name__ == "__main__":
    raise SystemExit(main())
