"""The price rules, one by one; amounts are computed by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_batch.pricing import Basis, PriceBook, Rate, SpecPrices, Unpriced, packaged_prices, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, UsageKey

FLASH, PRO, HAIKU = "gemini-2.5-flash", "gemini-2.5-pro", "claude-haiku-5-5"
LONG = Tier.LONG_CONTEXT
TUNED = "projects/1/locations/us-central1/models/123"


def rated(
    book,
    model,
    kind,
    modality=Modality.TEXT,
    tier=Tier.STANDARD,
    *,
    ttl=CacheTtl.NONE,
    location="us-central1",
):
    rate = book.rate(UsageKey(model, kind, modality, tier, ttl), location)
    assert isinstance(rate, Rate), rate
    return str(rate.usd_per_unit.normalize()), rate.basis


@pytest.mark.parametrize(
    ("model", "kind", "modality", "tier", "expected", "basis"),
    [
        # the batch key, else half of the standard rate
        (FLASH, Kind.INPUT, Modality.TEXT, Tier.STANDARD, "1.5E-7", Basis.BATCH_RATE),
        (FLASH, Kind.OUTPUT, Modality.TEXT, Tier.STANDARD, "0.00000125", Basis.BATCH_RATE),
        ("gemini-old", Kind.INPUT, Modality.TEXT, Tier.STANDARD, "1.5E-7", Basis.DERIVED_HALF_OF_STANDARD),
        # thoughts are output, tool-use tokens are input
        (FLASH, Kind.THOUGHTS, Modality.TEXT, Tier.STANDARD, "0.00000125", Basis.BATCH_RATE),
        (FLASH, Kind.TOOL_USE_INPUT, Modality.TEXT, Tier.STANDARD, "1.5E-7", Basis.BATCH_RATE),
        (FLASH, Kind.TOOL_USE_INPUT, Modality.AUDIO, Tier.STANDARD, "5E-7", Basis.BATCH_RATE),
        # long context: half of the long standard rate, not the flat batch rate
        (PRO, Kind.INPUT, Modality.TEXT, LONG, "0.00000125", Basis.DERIVED_HALF_OF_STANDARD),
        (PRO, Kind.OUTPUT, Modality.TEXT, LONG, "0.0000075", Basis.DERIVED_HALF_OF_STANDARD),
        (PRO, Kind.THOUGHTS, Modality.TEXT, LONG, "0.0000075", Basis.DERIVED_HALF_OF_STANDARD),
        (PRO, Kind.CACHED_INPUT, Modality.TEXT, LONG, "2.5E-7", Basis.STANDARD_CACHE_RATE),
        (FLASH, Kind.INPUT, Modality.TEXT, LONG, "1.5E-7", Basis.BATCH_RATE),
        # cached: the batch cache rate where there is one, else the standard one, unreduced
        (FLASH, Kind.CACHED_INPUT, Modality.TEXT, Tier.STANDARD, "3E-8", Basis.STANDARD_CACHE_RATE),
        (FLASH, Kind.CACHED_INPUT, Modality.AUDIO, Tier.STANDARD, "1E-7", Basis.STANDARD_CACHE_RATE),
        # modalities with and without a rate of their own
        (FLASH, Kind.INPUT, Modality.AUDIO, Tier.STANDARD, "5E-7", Basis.BATCH_RATE),
        (FLASH, Kind.INPUT, Modality.IMAGE, Tier.STANDARD, "1.5E-7", Basis.BATCH_RATE),
        (FLASH, Kind.INPUT, Modality.DOCUMENT, Tier.STANDARD, "1.5E-7", Basis.BATCH_RATE),
        (
            "gemini-3-pro-image",
            Kind.OUTPUT,
            Modality.IMAGE,
            Tier.STANDARD,
            "0.00006",
            Basis.DERIVED_HALF_OF_STANDARD,
        ),
    ],
)
def test_each_kind_has_the_rate_of_the_rules(book, *, model, kind, modality, tier, expected, basis):
    assert rated(book, model, kind, modality, tier) == (expected, basis)


def test_cache_writes_have_a_rate_for_each_life(book):
    write = Kind.CACHE_WRITE
    assert rated(book, HAIKU, write, ttl=CacheTtl.FIVE_MINUTES) == ("6.25E-8", Basis.BATCH_RATE)
    assert rated(book, HAIKU, write, ttl=CacheTtl.ONE_HOUR) == ("1E-7", Basis.DERIVED_HALF_OF_STANDARD)


def test_a_published_batch_cache_rate_is_taken_and_regions_cost_more_where_the_map_says_so(book):
    flash = "gemini-3.5-flash"
    assert rated(book, flash, Kind.CACHED_INPUT, location="global") == ("7.5E-8", Basis.BATCH_RATE)
    assert rated(book, flash, Kind.CACHED_INPUT, location="us-central1") == ("8.25E-8", Basis.BATCH_RATE)
    assert rated(book, flash, Kind.INPUT, location="eu") == ("8.25E-7", Basis.BATCH_RATE)
    assert rated(book, FLASH, Kind.INPUT, location="us-central1")[0] == "1.5E-7"


def test_the_long_context_limit_is_the_models_own(book):
    assert book.thresholds() == {PRO: 200_000, HAIKU: 100_000}
    assert rated(book, HAIKU, Kind.INPUT, tier=LONG) == ("2.5E-7", Basis.DERIVED_HALF_OF_STANDARD)


@pytest.mark.parametrize(
    "written",
    [
        FLASH,
        f"publishers/google/models/{FLASH}",
        f"vertex_ai/{FLASH}",
        f"{FLASH}@default",
        f"projects/p/locations/l/publishers/google/models/{FLASH}",
    ],
)
def test_all_forms_of_a_name_are_one_model(book, written):
    assert rated(book, written, Kind.INPUT)[0] == "1.5E-7"


def test_other_providers_tariffs_and_texts_price_nothing(book):
    assert rated(book, FLASH, Kind.INPUT)[0] == "1.5E-7"  # not flex, priority, or AI Studio's
    assert rated(book, HAIKU, Kind.INPUT)[0] == "5E-8"  # not Anthropic's own
    assert isinstance(book.rate(UsageKey("sample_spec", Kind.INPUT), "global"), Unpriced)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (
            UsageKey("gemini-9", Kind.INPUT),
            "no price for model gemini-9 in: proxy_price_map; check its name, or set `prices` in the spec",
        ),
        (
            UsageKey("gemini-old", Kind.OUTPUT),
            "no rate for text output of model gemini-old in: proxy_price_map",
        ),
        (UsageKey("gemini-old", Kind.CACHED_INPUT), "no rate for text cached_input of model gemini-old"),
        (UsageKey(TUNED, Kind.INPUT), "a tuned model has its own price"),
        (UsageKey(FLASH, Kind.SEARCH_QUERY), "free allowances"),
        (UsageKey("", Kind.INPUT), "no price for model (unnamed)"),
    ],
)
def test_an_unknown_price_is_a_reason_never_0(book, key, reason):
    rate = book.rate(key, "us-central1")
    assert isinstance(rate, Unpriced)
    assert reason in rate.reason
    [item] = price({key: 5}, book, "us-central1")
    assert (item.unit_price_usd, item.amount_usd, item.reason) == (None, None, rate.reason)


def test_every_rate_says_where_it_comes_from_and_of_which_day(book, today):
    rate = book.rate(UsageKey(FLASH, Kind.INPUT), "global")
    assert (rate.source, rate.as_of) == ("proxy_price_map", today)


def test_the_first_source_that_has_a_rate_wins_rate_by_rate(book, today, price_map):
    first = LiteLLMPrices({FLASH: {"input_cost_per_token_batches": 1e-07}}, "first", today)
    both = PriceBook([first, LiteLLMPrices(price_map, "second", today)])
    keys = {
        UsageKey(FLASH, Kind.INPUT): 1,
        UsageKey(FLASH, Kind.OUTPUT): 1,
        UsageKey(FLASH, Kind.INPUT, Modality.AUDIO): 1,
    }
    assert [(item.kind, item.modality, item.source) for item in price(keys, both, "global")] == [
        ("input", "text", "first"),
        ("input", "audio", "second"),  # its own rate, rather than another modality's of the first source
        ("output", "text", "second"),
    ]


def test_a_spec_prices_by_kind_per_million_before_all_others_and_everywhere(today, price_map):
    mapping = {
        "gemini-3.5-flash": {"input": 0.15, "output_image": "30", "search_query": 14_000, "thoughts": 1},
        TUNED: {"input": Decimal("0.225")},
    }
    spec = SpecPrices(mapping, today)
    book = PriceBook([spec, LiteLLMPrices(price_map, "map", today)])
    assert rated(book, "gemini-3.5-flash", Kind.INPUT) == (
        "1.5E-7",
        Basis.SPEC,
    )  # without the regional uplift
    assert rated(book, "gemini-3.5-flash", Kind.OUTPUT, Modality.IMAGE) == ("0.00003", Basis.SPEC)
    assert rated(book, "gemini-3.5-flash", Kind.THOUGHTS) == ("0.000001", Basis.SPEC)
    assert rated(book, "gemini-3.5-flash", Kind.SEARCH_QUERY) == ("0.014", Basis.SPEC)
    assert rated(book, TUNED, Kind.INPUT) == ("2.25E-7", Basis.SPEC)
    assert rated(book, "gemini-3.5-flash", Kind.CACHED_INPUT) == ("8.25E-8", Basis.BATCH_RATE)
    assert book.flags == []


@pytest.mark.parametrize(
    "rates", [{"inptu": 1}, {"input": "cheap"}, {"input": -1}, {"input": "0.1234567"}, 5]
)
def test_a_spec_price_that_cannot_be_used_is_a_flag_and_costs_no_bill(today, rates):
    book = PriceBook([SpecPrices({FLASH: rates}, today), packaged_prices()])
    assert "cannot be used" in book.flags[0]
    assert rated(book, FLASH, Kind.INPUT)[0] == "1.5E-7"


def test_a_rate_too_fine_to_be_kept_is_refused_by_name(today):
    fine = LiteLLMPrices({FLASH: {"input_cost_per_token_batches": "1.234567890123e-07"}}, "fine.json", today)
    rate = PriceBook([fine]).rate(UsageKey(FLASH, Kind.INPUT), "global")
    assert isinstance(rate, Unpriced)
    assert "input_cost_per_token_batches of fine.json" in rate.reason


def test_long_rows_of_a_model_without_long_rates_are_standard_rows(book):
    keys = {UsageKey(FLASH, Kind.INPUT, tier=LONG): 300_000, UsageKey(FLASH, Kind.INPUT): 1}
    [item] = price(keys, book, "us-central1")
    assert (item.tokens, item.tier, item.amount_usd) == (300_001, Tier.STANDARD, Decimal("0.04500015"))


def test_the_cases_that_others_get_wrong(book):
    """Amounts from Google's price list, computed by hand."""

    def total(model, **kinds):
        keys = {UsageKey(model, Kind(kind)): n for kind, n in kinds.items()}
        return sum(item.amount_usd for item in price(keys, book, "us-central1"))

    assert total(FLASH, input=200, cached_input=800, output=100, thoughts=900) == Decimal("0.001304")
    assert total(FLASH, input=600, cached_input=400) == Decimal("0.000102")
    long = {UsageKey(PRO, Kind.INPUT, tier=LONG): 250_000, UsageKey(PRO, Kind.OUTPUT, tier=LONG): 1000}
    assert sum(item.amount_usd for item in price(long, book, "us-central1")) == Decimal("0.32")
    audio = {UsageKey(FLASH, Kind.INPUT, Modality.AUDIO): 1000, UsageKey(FLASH, Kind.OUTPUT): 10}
    assert sum(item.amount_usd for item in price(audio, book, "us-central1")) == Decimal("0.0005125")


@given(st.integers(0, 10**15), st.integers(0, 10**9), st.sampled_from(["global", "us-central1"]))
def test_rates_times_tokens_are_amounts_exactly(tokens, pico, location):
    rate = Decimal(pico).scaleb(-12)
    source = LiteLLMPrices({FLASH: {"input_cost_per_token_batches": rate}}, "x", packaged_prices().as_of)
    [item] = price({UsageKey(FLASH, Kind.INPUT): tokens}, PriceBook([source]), location)
    assert Fraction(item.amount_usd) == Fraction(tokens * pico, 10**12)
