"""The answer in an output row: its text, why the model stopped, and whether it is good. Pure.

The outcome of a row (answered, failed, ...), and which member of it has the answer, is decided by
`usage.reader` alone, as for the bill. Only answered rows are looked at here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import msgspec

from vertex_batch.results.types import AnswerForm, Reason

_TRUNCATED = frozenset({"MAX_TOKENS", "LENGTH", "MODEL_CONTEXT_WINDOW_EXCEEDED"})
_BLOCKED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "REFUSAL",
        "CONTENT_FILTER",
    }
)
_STOPPED = frozenset({"", "STOP", "FINISH_REASON_UNSPECIFIED", "END_TURN", "STOP_SEQUENCE"})
_WORDS_CHARS = 300
_FENCE = re.compile(r"\s*```(?:json|JSON)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answered row holds.

    :param text: the answer; None if it has none, or is an embedding.
    :param embedding: the numbers of an embedding.
    :param finish: why the model stopped, in its own words; empty if the row does not state it.
    :param reason: why it is not a good answer; None if it is good.
    :param words: details of the reason.
    :param schema_path: where the answer violates the schema.
    """

    text: str | None = None
    embedding: list[float] | None = None
    finish: str = ""
    reason: Reason | None = None
    words: str = ""
    schema_path: str = ""


def read_answer(row: dict[str, object], wrapper: str, form: AnswerForm) -> Answer:
    """Read the answer of an answered row.

    :param row: the decoded output row; its request is not needed.
    :param wrapper: the member that was billed; see `Reading`.
    """
    response = _response_of(row, wrapper)
    text, finish, words = _text(response)
    if form == AnswerForm.RAW:
        text = msgspec.json.encode(response).decode() if response else text
    elif (embedding := _embedding(response)) is not None:
        return Answer(embedding=embedding, finish=finish)
    reason, why = _verdict(finish, words, text)
    answer = Answer(text, finish=finish, reason=reason, words=why)
    if form == AnswerForm.JSON and reason is None:
        return _as_json(answer)
    return answer


def _response_of(row: dict[str, object], wrapper: str) -> object:
    found = _decoded(row.get(wrapper)) if wrapper else row
    if wrapper == "result" and isinstance(found, dict):
        return _decoded(found.get("message")) or found
    if wrapper == "predictions" and isinstance(found, list) and len(found) == 1:
        return found[0]
    body = _decoded(found.get("body")) if wrapper and isinstance(found, dict) else None
    return body if isinstance(body, dict) else found


def _as_json(answer: Answer) -> Answer:
    fenced = _FENCE.fullmatch(answer.text or "")
    if fenced:  # models wrap JSON into Markdown where no response schema forbids it
        answer = replace(answer, text=fenced[1])
    try:
        msgspec.json.decode(answer.text or "")
    except (msgspec.DecodeError, RecursionError) as error:
        return replace(answer, reason=Reason.NOT_JSON, words=f"the answer is not JSON: {error}")
    return answer


def _verdict(finish: str, words: str, text: str | None) -> tuple[Reason | None, str]:
    """Whether an answer is good, by why the model stopped."""
    stop = finish.upper()
    if stop in _TRUNCATED:
        return Reason.TRUNCATED, f"the answer was cut: {finish}"
    if stop in _BLOCKED:
        return Reason.BLOCKED, ": ".join(each for each in (finish, words) if each)[:_WORDS_CHARS]
    if stop not in _STOPPED:
        return Reason.NO_ANSWER, ": ".join(each for each in (f"it stopped with {finish}", words) if each)
    if not text:
        return Reason.NO_ANSWER, words or "the answer has no text"
    return None, ""


def _text(response: object) -> tuple[str | None, str, str]:
    """The text, the finish reason, and what was said about it, of a response in any format."""
    if not isinstance(response, dict):
        return (response, "", "") if isinstance(response, str) else (None, "", "")
    candidates = response.get("candidates")
    if isinstance(candidates, list) and candidates:
        return _gemini(candidates[0])
    feedback = response.get("promptFeedback") or response.get("prompt_feedback")
    if isinstance(feedback, dict):
        why = feedback.get("blockReason") or feedback.get("block_reason")
        said = _plain(feedback.get("blockReasonMessage") or feedback.get("block_reason_message"))
        if why:
            return None, "SAFETY", f"the prompt was blocked: {': '.join(x for x in (_plain(why), said) if x)}"
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        content = message.get("content") if isinstance(message, dict) else choices[0].get("text")
        return _joined(content), _plain(choices[0].get("finish_reason")), ""
    if "content" in response:
        return _joined(response["content"]), _plain(response.get("stop_reason")), ""
    return None, "", ""


def _gemini(candidate: object) -> tuple[str | None, str, str]:
    if not isinstance(candidate, dict):
        return None, "", ""
    finish = _plain(candidate.get("finishReason") or candidate.get("finish_reason"))
    words = _plain(candidate.get("finishMessage") or candidate.get("finish_message"))
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return None, finish, words
    if len(parts) == 1 and isinstance(parts[0], dict) and type(text := parts[0].get("text")) is str:
        return (None if parts[0].get("thought") else text), finish, words
    text = _joined([part for part in parts if isinstance(part, dict) and not part.get("thought")])
    if not text and (other := sorted({name for part in parts if isinstance(part, dict) for name in part})):
        words = words or f"the answer has no text, but: {', '.join(map(str, other[:6]))}"
    return text, finish, words


def _joined(content: object) -> str | None:
    """The text of a message, which may be in several parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return "".join(texts) if texts else None


def _embedding(response: object) -> list[float] | None:
    """The numbers of an embedding: Gemini's, those of text-embedding models, and OpenAI's."""
    if not isinstance(response, dict):
        return None
    found = response.get("embedding") or response.get("embeddings")
    data = response.get("data")
    if found is None and isinstance(data, list) and data and isinstance(data[0], dict):
        found = data[0].get("embedding")
    values = found.get("values") if isinstance(found, dict) else found
    if not isinstance(values, list) or not values:
        return None
    return [float(n) for n in values] if all(type(n) in (int, float) for n in values) else None


def _decoded(value: object) -> object:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


def _plain(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())[:_WORDS_CHARS]
