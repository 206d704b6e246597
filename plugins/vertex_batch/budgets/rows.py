"""What one row of an input comes to in tokens: its text, its media, its answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vertex_batch.budgets.answer_lengths import NO_LIMIT, AnswerLimit, Limits, answer
from vertex_batch.budgets.media import MediaFile, family, media_tokens, text_tokens
from vertex_batch.budgets.ranges import NOTHING, Part, Range, exactly
from vertex_batch.usage import Kind, Modality, Tier, canonical_model, is_billed_by_character
from vertex_batch.usage.embeddings import characters_of

_DEEPEST = 60
# Keys whose values are not part of a prompt.
_NOT_TEXT = frozenset(
    {"role", "mimeType", "mime_type", "media_type", "fileUri", "file_uri", "id", "custom_id", "key", "model"}
    | {"method", "cachedContent", "cached_content", "thoughtSignature", "thought_signature"}
)
_MEDIA = frozenset({"inlineData", "inline_data", "fileData", "file_data"})
_CONFIG = frozenset({"generationConfig", "generation_config"})
_EMBEDDED = "bytesBase64Encoded"  # a picture in a row for multimodal embeddings
_FRAME = Range(0, 0, 16)
"""What a model adds to a prompt: its roles and turns."""
_MOST_FPS = 24
_CACHED = "prompts with cached content, whose tokens are not counted"


@dataclass(slots=True)
class RowTokens:
    """What a row comes to.

    :param assumed: what was assumed of its files, and of how many files.
    :param limit: how long its answer may be.
    """

    tokens: dict[Part, Range] = field(default_factory=dict)
    assumed: Counter[str] = field(default_factory=Counter)
    limit: AnswerLimit = NO_LIMIT

    def add(self, part: Part, tokens: Range) -> None:
        if tokens.high:
            self.tokens[part] = self.tokens.get(part, NOTHING).plus(tokens)


class RowReader:
    """Counts the tokens of rows for one model.

    :param model: in any form of its name.
    :param long_context_tokens: where the model's long-context rates begin.
    """

    def __init__(self, model: str = "", long_context_tokens: int | None = None) -> None:
        self._model, self._threshold = canonical_model(model), long_context_tokens
        self._family = family(self._model)
        self._by_character = is_billed_by_character(self._model)

    def read(self, line: bytes) -> RowTokens:
        """Count a row. One that is not JSON counts by its length; the job will say what is wrong with it."""
        walk = _Walk()
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            walk.text = walk.characters = len(line)
        else:
            walk.visit(data, 0)
        prompt = RowTokens(assumed=Counter({_CACHED: 1}) if walk.has_cached_content else Counter())
        if self._by_character:
            prompt.add(Part(Kind.INPUT_CHARACTER), exactly(walk.characters))
        else:
            prompt.add(Part(Kind.INPUT), text_tokens(walk.text).plus(_FRAME if walk.text else NOTHING))
        for file in walk.files:
            counted = media_tokens(replace(file, resolution=file.resolution or walk.resolution), self._family)
            for modality, tokens in counted.tokens.items():
                prompt.add(Part(Kind.INPUT, modality), tokens)
            prompt.assumed.update([counted.assumed] if counted.assumed else [])
        found = RowTokens(self._in_tier(prompt.tokens), prompt.assumed)
        answers = answer(walk.limits, self._model)
        found.add(Part(Kind.OUTPUT), answers.text)
        found.add(Part(Kind.THOUGHTS), answers.thoughts)
        found.add(Part(Kind.OUTPUT, Modality.IMAGE), answers.image)
        found.limit = walk.limits.allow(self._model)
        return found

    def _in_tier(self, prompt: Mapping[Part, Range]) -> dict[Part, Range]:
        """Rows whose prompt is long are billed at long-context rates as a whole."""
        size = sum(tokens.expected for tokens in prompt.values())
        if self._threshold is None or size <= self._threshold:
            return dict(prompt)
        return {part._replace(tier=Tier.LONG_CONTEXT): tokens for part, tokens in prompt.items()}


class _Walk:
    """What is found in a row while it is walked."""

    def __init__(self) -> None:
        self.text = self.characters = 0
        self.files: list[MediaFile] = []
        self.limits = Limits()
        self.resolution = ""
        self.has_cached_content = False

    def visit(self, value: object, depth: int, key: str = "") -> None:
        if depth > _DEEPEST:
            return
        if isinstance(value, str):
            self._string(value, key)
        elif isinstance(value, list):
            for inner in value:
                self.visit(inner, depth + 1, key)
        elif isinstance(value, dict):
            if value.get("type") == "base64" and isinstance(value.get("data"), str):  # as Claude takes them
                self.files.append(MediaFile(str(value.get("media_type", "")), value["data"]))
                return
            for name, inner in value.items():
                self._entry(value, name, inner, depth)

    def _string(self, value: str, key: str) -> None:
        if value.startswith("data:") and ";base64," in value[:100]:
            mime, _, data = value[5:].partition(";base64,")
            self.files.append(MediaFile(mime, data))
        elif key == _EMBEDDED:
            self.files.append(MediaFile("image/", value))
        elif key not in _NOT_TEXT:
            self.text += len(value.encode("utf-8", "surrogatepass"))
            self.characters += characters_of(value)

    def _entry(self, parent: Mapping[str, object], name: str, value: object, depth: int) -> None:
        if name in _MEDIA and isinstance(value, dict):
            self.files.append(_media_file(parent, value))
        elif name in _CONFIG and isinstance(value, dict):
            self.limits = Limits.from_config(value)
            self.resolution = _resolution(value)
            self.visit(value.get("responseSchema", value.get("response_schema")), depth + 1)
        elif name in {"max_tokens", "max_completion_tokens"}:
            self.limits = Limits.from_messages(value)
        elif name in {"videoMetadata", "video_metadata", "mediaResolution", "media_resolution"}:
            pass
        else:
            self.has_cached_content |= name in {"cachedContent", "cached_content"} and bool(value)
            self.visit(value, depth + 1, name)


def _media_file(part: Mapping[str, object], value: Mapping[str, object]) -> MediaFile:
    data = value.get("data")
    cut = part.get("videoMetadata", part.get("video_metadata"))
    cut = cut if isinstance(cut, Mapping) else {}
    fps = cut.get("fps")
    is_rate = isinstance(fps, int | float) and not isinstance(fps, bool) and 0 < fps <= _MOST_FPS
    return MediaFile(
        str(value.get("mimeType") or value.get("mime_type") or ""),
        data if isinstance(data, str) else "",
        _resolution(part),
        _cut_seconds(cut),
        float(fps) if is_rate and fps is not None else 1,
    )


def _cut_seconds(cut: Mapping[str, object]) -> float | None:
    """How much of a video ``startOffset`` and ``endOffset`` leave; None where they are absent or invalid."""
    start = _offset(cut.get("startOffset", cut.get("start_offset"))) or 0
    end = _offset(cut.get("endOffset", cut.get("end_offset")))
    return None if end is None else max(0.0, end - start)


def _offset(value: object) -> float | None:
    """Seconds as protobuf writes a duration, such as ``1.5s``; as a mapping of seconds and nanos, too."""
    if isinstance(value, Mapping):
        value = value.get("seconds", 0)
    try:
        seconds = float(str(value).removesuffix("s"))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None  # noqa: PLR2004 - three decades, and no NaN


def _resolution(owner: Mapping[str, object]) -> str:
    value = owner.get("mediaResolution", owner.get("media_resolution"))
    level = value.get("level") if isinstance(value, Mapping) else value
    name = str(level or "").upper().removeprefix("MEDIA_RESOLUTION_")
    return name if name in {"LOW", "MEDIUM", "HIGH", "ULTRA_HIGH"} else ""
