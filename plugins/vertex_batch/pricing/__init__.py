"""Price book: sources, rules, tiers. Every rate has its basis, its source and its date."""

from vertex_batch.pricing.book import CONTRADICTION as CONTRADICTION
from vertex_batch.pricing.book import PriceBook as PriceBook
from vertex_batch.pricing.exact import add as add
from vertex_batch.pricing.files import price_file as price_file
from vertex_batch.pricing.files import price_folder as price_folder
from vertex_batch.pricing.line_items import LineItem as LineItem
from vertex_batch.pricing.line_items import line_order as line_order
from vertex_batch.pricing.line_items import price as price
from vertex_batch.pricing.proxy import ModelClient as ModelClient
from vertex_batch.pricing.proxy import from_proxy as from_proxy
from vertex_batch.pricing.rates import Basis as Basis
from vertex_batch.pricing.rates import Rate as Rate
from vertex_batch.pricing.rates import Unpriced as Unpriced
from vertex_batch.pricing.retirement import Retirement as Retirement
from vertex_batch.pricing.retirement import Stage as Stage
from vertex_batch.pricing.retirement import retirement_of as retirement_of
from vertex_batch.pricing.snapshot import packaged_prices as packaged_prices
from vertex_batch.pricing.sources import PriceSource as PriceSource
from vertex_batch.pricing.spec_prices import SPEC_PRICE_KEYS as SPEC_PRICE_KEYS
from vertex_batch.pricing.spec_prices import SpecPrices as SpecPrices
from vertex_batch.usage import canonical_model as canonical_model
