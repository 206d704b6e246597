"""Prices from the LiteLLM proxy: its deployments, then its public map. A bill does not need the proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from vertex_batch.pricing.genai import genai_prices
from vertex_batch.pricing.snapshot import packaged_prices, published_prices, snapshot_prices
from vertex_batch.pricing.sources import (
    LiteLLMPrices,
    PriceSource,
    by_canonical_model,
    prices_of,
    standard_key,
)

MODEL_INFO = "model_info"
PRICE_MAP = "proxy_price_map"
_PROVIDER = "vertex_ai"
_PROBLEM_CHARS = 200


class ModelClient(Protocol):
    """The part of `client.BatchClient` that reads models."""

    def model_info(self) -> Sequence[Mapping[str, object]]: ...


class PriceClient(ModelClient, Protocol):
    """The part of `client.BatchClient` that reads prices."""

    def price_map(self) -> Mapping[str, object]: ...


def from_proxy(client: PriceClient | None) -> list[PriceSource]:
    """The deployments' own prices, the dated lists, the public map and the packaged prices, in this order.

    The dated lists are the published prices and those of genai-prices. A price that a deployment states for
    itself comes before them: it differs from the map's, by which the proxy fills in what is not configured.
    What is filled in comes after them. Without a client there are the packaged lists alone.

    Never raises: a source that cannot be read is empty and says why (`PriceSource.problem`), since a bill
    with older prices is worth more than none.
    """
    if client is None:
        return [published_prices(), genai_prices(), packaged_prices()]
    today = datetime.now(tz=UTC).date()
    deployments = _read(MODEL_INFO, today, lambda: ModelInfoPrices(client.model_info(), today))
    price_map = _read(PRICE_MAP, today, lambda: LiteLLMPrices(client.price_map(), PRICE_MAP, today))
    own = _own_prices(deployments, price_map if len(price_map) else snapshot_prices())
    return [published_prices(but=own), genai_prices(but=own), deployments, price_map, packaged_prices()]


def _own_prices(deployments: PriceSource, price_map: PriceSource) -> set[tuple[str, str]]:
    """The models and standard price keys of deployments whose price is not the one of LiteLLM's map."""
    return {
        (model, standard_key(key))
        for model, key, price in deployments.rates()
        if price_map.price(model, key) != price
    }


class ModelInfoPrices(PriceSource):
    """Prices of the proxy's deployments (``GET /model/info``), custom ones included.

    A deployment is found by its model and by its group name. A number of 0 means unknown here, since LiteLLM
    fills in zeros for what it does not know; what is really free says so in a price map.
    """

    def __init__(self, deployments: Sequence[Mapping[str, object]], as_of: date) -> None:
        by_model: list[tuple[str, Mapping[str, Any]]] = []
        by_group: list[tuple[str, Mapping[str, Any]]] = []
        disagree = set()
        seen: dict[str, Mapping[str, Any]] = {}
        for deployment in deployments:
            model, info = _vertex_model(deployment)
            prices = {key: price for key, price in prices_of(info).items() if price}
            if not model or not prices:
                continue
            if seen.setdefault(model, prices) != prices:
                disagree.add(model)
            by_model.append((model, prices))
            by_group.append((str(deployment.get("model_name") or model), prices))
        named = ", ".join(sorted(disagree))
        problem = f"the proxy has deployments of {named} at different prices; the first was taken"
        # Models before groups: a group may be named like a model that it does not serve.
        merged = {**by_canonical_model(by_group), **by_canonical_model(by_model)}
        super().__init__(MODEL_INFO, as_of, merged, problem if disagree else "")


def _vertex_model(deployment: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The model of a deployment and what the proxy knows of it; empty if it is not Vertex AI's."""
    parameters, info = deployment.get("litellm_params") or {}, deployment.get("model_info") or {}
    model = str(parameters.get("model") or "")
    provider = str(parameters.get("custom_llm_provider") or info.get("litellm_provider") or "")
    ours = model.startswith(f"{_PROVIDER}/") or provider.startswith(_PROVIDER)
    return (model, info) if ours else ("", {})


def _read(name: str, today: date, read: Callable[[], PriceSource]) -> PriceSource:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the bill must be written for any answer of the proxy
        reason = " ".join(str(error).split())[:_PROBLEM_CHARS] or type(error).__name__
        return PriceSource(name, today, problem=f"the proxy's {name} could not be read: {reason}")
