"""Price book: sources, rules, tiers. Every rate has its basis, its source and its date."""

from vertex_batch.pricing.book import CONTRADICTION, PriceBook
from vertex_batch.pricing.exact import add
from vertex_batch.pricing.files import price_file, price_folder
from vertex_batch.pricing.genai import genai_prices
from vertex_batch.pricing.line_items import LineItem, line_order, price
from vertex_batch.pricing.proxy import ModelInfoPrices, from_proxy
from vertex_batch.pricing.rates import Basis, Rate, Unpriced
from vertex_batch.pricing.retirement import Retirement, Stage, retirement_of
from vertex_batch.pricing.snapshot import packaged_prices
from vertex_batch.pricing.sources import LiteLLMPrices, PriceSource
from vertex_batch.pricing.spec_prices import SPEC_PRICE_KEYS, SpecPrices
from vertex_batch.usage import canonical_model

__all__ = [
    "CONTRADICTION",
    "SPEC_PRICE_KEYS",
    "Basis",
    "LineItem",
    "LiteLLMPrices",
    "ModelInfoPrices",
    "PriceBook",
    "PriceSource",
    "Rate",
    "Retirement",
    "SpecPrices",
    "Stage",
    "Unpriced",
    "add",
    "canonical_model",
    "from_proxy",
    "genai_prices",
    "line_order",
    "packaged_prices",
    "price",
    "price_file",
    "price_folder",
    "retirement_of",
]
