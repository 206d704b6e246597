"""The shapes of output rows, as far as a bill needs them. Everything else is skipped, not decoded.

Field names come in camelCase (files) and snake_case (some clients and BigQuery exports), so both are listed.
Counts arrive as numbers or strings. Source of the fields: the Vertex AI v1 discovery document,
``GenerateContentResponse``; Anthropic's Messages ``usage``; OpenAI's ``usage``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

Count = int | str | float | None


class Detail(Struct, gc=False):
    """Tokens of one modality."""

    modality: Any = None
    count: Count = field(name="tokenCount", default=None)
    count_snake: Count = field(name="token_count", default=None)


Details = list[Detail] | None


class UsageMetadata(Struct, gc=False):
    """Gemini's counters. Zero counters are absent."""

    prompt: Count = field(name="promptTokenCount", default=None)
    candidates: Count = field(name="candidatesTokenCount", default=None)
    thoughts: Count = field(name="thoughtsTokenCount", default=None)
    tool_use: Count = field(name="toolUsePromptTokenCount", default=None)
    cached: Count = field(name="cachedContentTokenCount", default=None)
    total: Count = field(name="totalTokenCount", default=None)
    prompt_details: Details = field(name="promptTokensDetails", default=None)
    candidates_details: Details = field(name="candidatesTokensDetails", default=None)
    tool_use_details: Details = field(name="toolUsePromptTokensDetails", default=None)
    cache_details: Details = field(name="cacheTokensDetails", default=None)
    prompt_snake: Count = field(name="prompt_token_count", default=None)
    candidates_snake: Count = field(name="candidates_token_count", default=None)
    thoughts_snake: Count = field(name="thoughts_token_count", default=None)
    tool_use_snake: Count = field(name="tool_use_prompt_token_count", default=None)
    cached_snake: Count = field(name="cached_content_token_count", default=None)
    total_snake: Count = field(name="total_token_count", default=None)
    prompt_details_snake: Details = field(name="prompt_tokens_details", default=None)
    candidates_details_snake: Details = field(name="candidates_tokens_details", default=None)
    tool_use_details_snake: Details = field(name="tool_use_prompt_tokens_details", default=None)
    cache_details_snake: Details = field(name="cache_tokens_details", default=None)


class KnownUsage(UsageMetadata, gc=False, forbid_unknown_fields=True):
    """The same, refusing a field that is not listed: what is new in here may be money, so it is reported."""

    traffic_type: Raw | UnsetType = field(name="trafficType", default=UNSET)
    traffic_type_snake: Raw | UnsetType = field(name="traffic_type", default=UNSET)
    billable_prompt: Raw | UnsetType = field(name="billablePromptUsage", default=UNSET)
    billable_cached: Raw | UnsetType = field(name="billableCachedContentUsage", default=UNSET)
    tool_calls: Raw | UnsetType = field(name="toolCallStats", default=UNSET)


_Usage = TypeVar("_Usage", bound=UsageMetadata)


class Candidate(Struct, gc=False):
    """What shows whether a candidate searched; see `grounding`."""

    grounding: Any = field(name="groundingMetadata", default=None)
    grounding_snake: Any = field(name="grounding_metadata", default=None)


class Response(Struct, Generic[_Usage], gc=False):
    """The answer to a row. The raw fields belong to rarer shapes and are decoded only if needed."""

    usage_metadata: _Usage | None = field(name="usageMetadata", default=None)
    model: Any = field(name="modelVersion", default=None)
    response_id: Any = field(name="responseId", default=None)
    candidates: list[Candidate | None] | None = None
    token_count: Count = field(name="tokenCount", default=None)
    usage_metadata_snake: _Usage | None = field(name="usage_metadata", default=None)
    model_snake: Any = field(name="model_version", default=None)
    response_id_snake: Any = field(name="response_id", default=None)
    token_count_snake: Count = field(name="token_count", default=None)
    usage: Raw | UnsetType = UNSET
    body: Raw | UnsetType = UNSET
    status_code: Any = None
    error: Any = None


class Row(Struct, Generic[_Usage], gc=False):
    """One line of output. In BigQuery exports `response` and `predictions` can be JSON inside a string."""

    status: Any = None
    response: Response[_Usage] | str | None = None
    predictions: Raw | UnsetType = UNSET
    error: Any = None
    prediction: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    request: Raw | UnsetType = UNSET
    instance: Raw | UnsetType = UNSET
    content: Raw | UnsetType = UNSET
    processed_time: Any = None


class Result(Struct, gc=False):
    """What Anthropic's batch results hold beside the ``custom_id``."""

    type: Any = None
    message: Raw | UnsetType = UNSET
    error: Any = None


class CacheCreation(Struct, gc=False):
    five_minutes: Count = field(name="ephemeral_5m_input_tokens", default=None)
    one_hour: Count = field(name="ephemeral_1h_input_tokens", default=None)


class ServerTools(Struct, gc=False):
    web_searches: Count = field(name="web_search_requests", default=None)


class PromptDetails(Struct, gc=False):
    cached_tokens: Count = None
    audio_tokens: Count = None


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class MessageUsage(Struct, gc=False):
    """``usage`` as Claude writes it (input, output) and as OpenAI does (prompt, completion)."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerTools | None = None
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class KnownMessageUsage(MessageUsage, gc=False, forbid_unknown_fields=True):
    """The same, refusing a field that is not listed."""

    service_tier: Raw | UnsetType = UNSET
    inference_geo: Raw | UnsetType = UNSET
    extra_properties: Raw | UnsetType = UNSET


class Body(Struct, gc=False):
    """The body that OpenAI-style batches put inside a response."""

    usage: Raw | UnsetType = UNSET
    error: Any = None


class Statistics(Struct, gc=False):
    truncated: Any = None
    token_count: Count = None
    token_count_camel: Count = field(name="tokenCount", default=None)


class Embedding(Struct, gc=False):
    statistics: Statistics | None = None


class Prediction(Struct, gc=False):
    """What text-embedding models write."""

    embeddings: Embedding | None = None


class Instance(Struct, gc=False):
    """The input of a text-embedding model."""

    content: Any = None
    title: Any = None


decode_row_strictly = msgspec.json.Decoder(Row[KnownUsage]).decode
decode_row = msgspec.json.Decoder(Row[UsageMetadata]).decode
decode_response = msgspec.json.Decoder(Response[UsageMetadata] | None).decode
decode_usage_strictly = msgspec.json.Decoder(KnownMessageUsage | None).decode
decode_usage = msgspec.json.Decoder(MessageUsage | None).decode
decode_body = msgspec.json.Decoder(Body | None).decode
decode_prediction = msgspec.json.Decoder(Prediction).decode
decode_raw_list = msgspec.json.Decoder(list[Raw]).decode
decode_result = msgspec.json.Decoder(Result).decode
decode_instance = msgspec.json.Decoder(Instance).decode
decode_anything = msgspec.json.Decoder().decode


@lru_cache(4096)
def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)
