"""The answers of Gemini's generateContent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .row_schema import GENERATE, problem_of
from .rowkit import Answer, Draft, failure, refused
from .script import Trait

_WORDS = (
    *("summary", "customer", "request", "open", "closed", "refund", "device", "delivery", "answer", "next"),
    *("step", "review", "team", "invoice", "order", "date", "ready", "missing", "part", "screen", "battery"),
    *("account", "change", "address", "price", "offer", "call", "mail", "reply", "done", "wait", "check"),
)

# Prompt tokens of one attached file, by the first part of its MIME type.
_MEDIA_TOKENS = {"image": ("IMAGE", 258), "audio": ("AUDIO", 480), "video": ("VIDEO", 5260)}
_DOCUMENT_TOKENS = 1032
_LONG_CONTEXT_TOKENS = 200_001
_ROLES = ("user", "model", "function")


@dataclass
class _Usage:
    """Token counts of one answer; the modality of the plain text is TEXT."""

    prompt: dict[str, int]
    candidates: dict[str, int]
    thoughts: int = 0
    tool_use: int = 0
    cached: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.prompt.values()) + sum(self.candidates.values()) + self.tool_use + self.thoughts


def generate(draft: Draft) -> Answer:
    """A ``GenerateContentResponse``, or the failure that the row or the scenario calls for."""
    if failed := failure(draft):
        return failed
    request = draft.row["request"]
    if problem := _problem(request):
        return refused(draft, problem)
    usage = _usage(draft, request)
    finish = _finish(draft, is_cut=_cut(request, usage))
    response: dict[str, Any] = {}
    if Trait.BLOCKED_PROMPT in draft.traits:
        usage.candidates, usage.thoughts = {}, 0
        response["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
    else:
        response["candidates"] = [_candidate(draft, finish, usage)]
    response["createTime"] = draft.stamp.response
    if Trait.NO_MODEL_VERSION not in draft.traits:
        version = "@default" if Trait.MODEL_AT_DEFAULT in draft.traits else ""
        response["modelVersion"] = draft.model + version
    response["responseId"] = _response_id(draft)
    if Trait.NO_USAGE not in draft.traits:
        response["usageMetadata"] = _usage_metadata(draft, usage)
    return Answer(ok=True, fields={"response": response})


def _response_id(draft: Draft) -> str:
    """The id of one answer: another job that runs the same row gives another one."""
    answer = hashlib.blake2b(draft.digest + draft.job_id.encode(), digest_size=17).digest()
    return base64.urlsafe_b64encode(answer).decode().rstrip("=")


def _problem(request: object) -> str:
    contents = request.get("contents") if isinstance(request, Mapping) else None
    if not isinstance(contents, list) or not contents:
        return "Unable to submit request because at least one contents field is required."
    for content in contents:
        if not isinstance(content, Mapping) or not content.get("parts"):
            return "Unable to submit request because it must have at least one parts field."
        if content.get("role", "user") not in _ROLES:
            return "Please use a valid role: user, model."
    return problem_of(request, GENERATE)


def _usage(draft: Draft, request: Mapping[str, Any]) -> _Usage:
    traits = draft.traits
    prompt = {"TEXT": _text_bytes(request) // 4 + draft.number(0, 1, 16)}
    for modality, tokens in _media(request):
        prompt[modality] = prompt.get(modality, 0) + tokens
    if Trait.AUDIO_INPUT in traits:
        prompt["AUDIO"] = prompt.get("AUDIO", 0) + draft.number(1, 100, 2000)
    if Trait.IMAGE_INPUT in traits:
        prompt["IMAGE"] = prompt.get("IMAGE", 0) + 258 * draft.number(2, 1, 4)
    if Trait.LONG_CONTEXT in traits:
        prompt["TEXT"] += _LONG_CONTEXT_TOKENS + draft.number(3, 0, 50_000)
    candidates = {"TEXT": draft.number(4, 16, 416)}
    if Trait.IMAGE_OUTPUT in traits or "image" in draft.model:
        candidates["IMAGE"] = 1290
    usage = _Usage(prompt, candidates)
    if Trait.THOUGHTS in traits:
        usage.thoughts = draft.number(5, 50, 1500)
    if Trait.TOOL_USE in traits or Trait.GROUNDED in traits:
        usage.tool_use = draft.number(6, 20, 400)
    if Trait.CACHED in traits:
        usage.cached = {modality: tokens * 4 // 5 for modality, tokens in prompt.items()}
    return usage


def _text_bytes(value: object) -> int:
    """How much text a request has; the bytes of attached files are none."""
    if isinstance(value, Mapping):
        texts = (
            len(inner.encode()) for name, inner in value.items() if name == "text" and isinstance(inner, str)
        )
        return sum(texts) + sum(map(_text_bytes, value.values()))
    return sum(map(_text_bytes, value)) if isinstance(value, list) else 0


def _media(request: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for content in request["contents"]:
        for part in content["parts"]:
            for key in ("fileData", "file_data", "inlineData", "inline_data"):
                if isinstance(part, Mapping) and (data := part.get(key)):
                    mime = data.get("mimeType") or data.get("mime_type") or ""
                    yield _MEDIA_TOKENS.get(mime.partition("/")[0], ("DOCUMENT", _DOCUMENT_TOKENS))


def _cut(request: Mapping[str, Any], usage: _Usage) -> bool:
    """Keep thoughts and answer together within the row's ``maxOutputTokens``; say whether they were longer.

    The model thinks first, so thoughts may leave nothing for the answer.
    """
    config = request.get("generationConfig") or request.get("generation_config") or {}
    limit = config.get("maxOutputTokens") or config.get("max_output_tokens")
    if not isinstance(limit, int | float) or limit <= 0:
        return False
    left = int(limit)
    wanted = usage.thoughts + sum(usage.candidates.values())
    usage.thoughts = min(usage.thoughts, left)
    left -= usage.thoughts
    usage.candidates["TEXT"] = min(usage.candidates["TEXT"], left)
    if usage.candidates.get("IMAGE", 0) > left - usage.candidates["TEXT"]:
        del usage.candidates["IMAGE"]  # half a picture is none
    return usage.thoughts + sum(usage.candidates.values()) < wanted


def _finish(draft: Draft, *, is_cut: bool) -> str:
    """The finish reason."""
    if Trait.SAFETY in draft.traits:
        return "SAFETY"
    if Trait.RECITATION in draft.traits:
        return "RECITATION"
    return "MAX_TOKENS" if is_cut or Trait.MAX_TOKENS in draft.traits else "STOP"


def _candidate(draft: Draft, finish: str, usage: _Usage) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "avgLogprobs": -draft.number(7, 1, 10_000) / 10_000,
        "content": {"parts": [{"text": _text(draft)}], "role": "model"},
        "finishReason": finish,
    }
    if finish in ("SAFETY", "RECITATION") or not any(usage.candidates.values()):
        del candidate["content"]
    if Trait.IMAGE_OUTPUT in draft.traits and "IMAGE" in usage.candidates and "content" in candidate:
        image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
        candidate["content"]["parts"].append(image)
    if Trait.GROUNDED in draft.traits:
        queries = [f"query {draft.digest[index]:02x}" for index in range(draft.number(8, 1, 4))]
        candidate["groundingMetadata"] = {"webSearchQueries": queries}
    if draft.digest[30] & 1:  # some rows carry fields that no published schema knows
        candidate["score"] = round(draft.digest[29] / 256, 4)
    return candidate


def _text(draft: Draft) -> str:
    words = [_WORDS[byte % len(_WORDS)] for byte in draft.digest[:12]]
    return " ".join(words).capitalize() + "."


def _usage_metadata(draft: Draft, usage: _Usage) -> dict[str, Any]:
    """The counts as Vertex writes them: zero counters left out, every batch row ``ON_DEMAND``."""
    counts = {
        "promptTokenCount": sum(usage.prompt.values()),
        "candidatesTokenCount": sum(usage.candidates.values()),
        "thoughtsTokenCount": usage.thoughts,
        "toolUsePromptTokenCount": usage.tool_use,
        "cachedContentTokenCount": sum(usage.cached.values()),
        "totalTokenCount": 0 if Trait.NO_TOTAL in draft.traits else usage.total,
    }
    metadata: dict[str, Any] = {name: count for name, count in counts.items() if count}
    if Trait.NO_DETAILS not in draft.traits:
        details = {
            "promptTokensDetails": usage.prompt,
            "candidatesTokensDetails": {name: n for name, n in usage.candidates.items() if n},
            "cacheTokensDetails": usage.cached,
            "toolUsePromptTokensDetails": {"TEXT": usage.tool_use} if usage.tool_use else {},
        }
        short = 1 if Trait.SHORT_DETAILS in draft.traits else 0
        metadata |= {
            name: [{"modality": modality, "tokenCount": tokens - short} for modality, tokens in parts.items()]
            for name, parts in details.items()
            if parts
        }
    metadata["trafficType"] = "ON_DEMAND"
    if Trait.EXTRA_USAGE in draft.traits:
        metadata["billablePromptUsage"] = {"textCount": draft.size}
        metadata["toolCallStats"] = {"callCount": 1}
    return metadata
