"""The answers of embedding models."""

from __future__ import annotations

from typing import Any

from .row_schema import EMBED, problem_of
from .rowkit import Answer, Draft, failure, refused


def gemini_embedding(draft: Draft) -> Answer:
    """An answer of ``gemini-embedding-*``; its ``tokenCount`` is a string."""
    if failed := failure(draft):
        return failed
    request = draft.row["request"]
    content = request.get("content") if isinstance(request, dict) else None
    if problem := problem_of(request, EMBED):
        return refused(draft, problem)
    texts = [part.get("text") for part in (content or {}).get("parts") or [] if isinstance(part, dict)]
    if not any(texts):
        return refused(draft, "The text content is empty.")
    tokens = _tokens(" ".join(text for text in texts if text))
    response: dict[str, Any] = {"embedding": {"values": _vector(draft)}}
    if draft.output.embedding_usage:
        response["usageMetadata"] = {"promptTokenCount": tokens}
    else:
        response["tokenCount"] = str(tokens)
    return Answer(ok=True, fields={"response": response})


def text_embedding(draft: Draft) -> Answer:
    """An answer of ``text-embedding-00*``, which has the shape of online predictions."""
    instance = dict(draft.row)
    content = instance.get("content")
    failed = failure(draft)
    if failed is None and not content:
        failed = refused(draft, "The text content is empty.")
    if failed is not None:
        return Answer(ok=False, fields={"instance": instance, "predictions": []}, status=failed.status)
    statistics = {"token_count": _tokens(str(content)), "truncated": False}
    embeddings = {"statistics": statistics, "values": _vector(draft)}
    return Answer(ok=True, fields={"instance": instance, "predictions": [{"embeddings": embeddings}]})


def _tokens(text: str) -> int:
    """Words, and one for every four letters of a long one: no tokenizer, but the right order of size."""
    return sum(1 + len(word) // 5 for word in text.split()) or 1


def _vector(draft: Draft) -> list[float]:
    size = len(draft.digest)
    return [
        round(draft.digest[index % size] / 127.5 - 1, 6) for index in range(draft.output.embedding_values)
    ]
