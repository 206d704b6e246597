"""A small price map with every kind of key, and the date that it is of."""

from __future__ import annotations

from datetime import date

import pytest

from vertex_batch.pricing import PriceBook
from vertex_batch.pricing.sources import LiteLLMPrices

TODAY = date(2026, 11, 22)
# Floats, as a client that parses JSON hands them over.
PRICE_MAP = {
    "gemini-2.5-flash": {
        "litellm_provider": "vertex_ai-language-models",
        "input_cost_per_token": 3e-07,
        "input_cost_per_token_batches": 1.5e-07,
        "input_cost_per_audio_token": 1e-06,
        "input_cost_per_audio_token_batches": 5e-07,
        "output_cost_per_token": 2.5e-06,
        "output_cost_per_token_batches": 1.25e-06,
        "cache_read_input_token_cost": 3e-08,
        "cache_read_input_audio_token_cost": 1e-07,
        "input_cost_per_token_flex": 9.9e-05,
        "input_cost_per_token_priority": 9.9e-05,
        "search_context_cost_per_query": {"search_context_size_medium": 0.035},
    },
    "gemini-2.5-pro": {
        "litellm_provider": "vertex_ai-language-models",
        "input_cost_per_token": 1.25e-06,
        "input_cost_per_token_batches": 6.25e-07,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "output_cost_per_token_batches": 5e-06,
        "output_cost_per_token_above_200k_tokens": 1.5e-05,
        "cache_read_input_token_cost": 1.25e-07,
        "cache_read_input_token_cost_above_200k_tokens": 2.5e-07,
    },
    "gemini-3.5-flash": {
        "litellm_provider": "vertex_ai-language-models",
        "input_cost_per_token": 1.5e-06,
        "input_cost_per_token_batches": 7.5e-07,
    },
    "vertex_ai/gemini-3.5-flash": {
        "litellm_provider": "vertex_ai",
        "input_cost_per_token": 1.5e-06,
        "input_cost_per_token_batches": 7.5e-07,
        "cache_read_input_token_cost": 1.5e-07,
        "cache_read_input_token_cost_batches": 7.5e-08,
        "regional_endpoint_uplift_multiplier": 1.1,
    },
    "gemini-3-pro-image": {
        "litellm_provider": "vertex_ai-language-models",
        "output_cost_per_token_batches": 6e-06,
        "output_cost_per_image_token": 0.00012,
    },
    "vertex_ai/claude-haiku-5-5": {
        "litellm_provider": "vertex_ai-anthropic_models",
        "input_cost_per_token": 1e-07,
        "input_cost_per_token_above_100k_tokens": 5e-07,
        "cache_creation_input_token_cost": 1.25e-07,
        "cache_creation_input_token_cost_batches": 6.25e-08,
        "cache_creation_input_token_cost_above_1hr": 2e-07,
    },
    "gemini-old": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 3e-07},
    "gemini/gemini-2.5-flash": {"litellm_provider": "gemini", "input_cost_per_token_batches": 9.9e-05},
    "claude-haiku-5-5": {"litellm_provider": "anthropic", "input_cost_per_token_batches": 9.9e-05},
    "sample_spec": {"input_cost_per_token": "the price of ...", "litellm_provider": "one of ..."},
}


@pytest.fixture
def price_map() -> dict:
    return PRICE_MAP


@pytest.fixture
def today() -> date:
    return TODAY


@pytest.fixture
def book() -> PriceBook:
    return PriceBook([LiteLLMPrices(PRICE_MAP, "proxy_price_map", TODAY)])
