"""What pictures, sound, video and documents come to in tokens, by the rules that their makers publish.

Google's rules, read on 2026-11-27:

- Pictures, Gemini 2: 258 tokens where both sides are at most 384 pixels; else tiles whose side is the
  shorter side divided by 1.5, at least 256 and at most 768 pixels, each 258 tokens
  (https://ai.google.dev/gemini-api/docs/image-understanding; 960 x 540 is 3 x 2 tiles). ``mediaResolution``
  LOW: 64; MEDIUM: 256.
- Gemini 3 and newer: at most 1,120 tokens for a picture, 560 for a page of a PDF, 70 for a frame of a
  video; LOW 280, 280, 70; MEDIUM 560, 560, 70; HIGH 1,120, 1,120, 280; ULTRA_HIGH 2,240 for a picture
  (https://ai.google.dev/gemini-api/docs/media-resolution, as of 2026-06-19; actual use is usually somewhat
  lower).
- Gemini 2, PDF: 258 tokens for a page. Video: 263 for a second at one frame a second, about 300 with its
  sound; about 100 at LOW (https://ai.google.dev/gemini-api/docs/tokens and .../video-understanding). Sound:
  32 for a second.
- Claude: width times height divided by 750, at most about 1,600
  (https://docs.claude.com/en/docs/build-with-claude/vision).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import ceil

from vertex_batch.budgets.media_headers import HEADER_BYTES, audio_seconds, image_size, pdf_pages
from vertex_batch.budgets.ranges import Range, exactly
from vertex_batch.usage import Modality

ASSUMED_SECONDS = Range(5, 60, 1200)
"""Of a sound or video file that a row only names."""
ASSUMED_PAGES = Range(1, 10, 100)
ASSUMED_TEXT_TOKENS = Range(100, 2_000, 20_000)
_LONGEST_SECONDS = 24 * 3600
_TILE_TOKENS = 258
_SMALL_SIDE, _LEAST_TILE, _MOST_TILE = 384, 256, 768
_UNKNOWN_TILES = Range(1, 6, 24)
_AUDIO_TOKENS = 32
_CLAUDE_PIXELS, _CLAUDE_MOST = 750, 1600
_BYTES_PER_TEXT_TOKEN = Range(6, 4, 2.5)
# How many bytes a second or page takes: many, usual, few. They give a length where no header does.
_AUDIO_BYTES, _VIDEO_BYTES, _PAGE_BYTES = (
    Range(176_400, 16_000, 4_000),
    Range(1_250_000, 125_000, 25_000),
    Range(500_000, 50_000, 5_000),
)
_MOST_PDF_BASE64 = 32 << 20
_NOT_BASE64 = re.compile(r"\s+")


class Family(Enum):
    """Models whose media are counted alike."""

    GEMINI_2 = 2
    GEMINI_3 = 3
    OTHER = 0


def family(model: str) -> Family:
    """The family of a model by its canonical name. A Gemini that does not say 1 or 2 is a new one."""
    if not model.startswith("gemini"):
        return Family.OTHER
    return Family.GEMINI_2 if re.match(r"gemini-(?:live-)?[12]\.", model) else Family.GEMINI_3


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that a row holds or names.

    :param data: its content in base64; empty where the row only names it.
    :param resolution: ``LOW`` to ``ULTRA_HIGH``; empty: the model's default.
    :param seconds: that ``videoMetadata`` cuts out; None: all of it.
    :param fps: frames for a second of
        video.
    """

    mime: str
    data: str = ""
    resolution: str = ""
    seconds: float | None = None
    fps: float = 1

    @property
    def size(self) -> int:
        return len(self.data) * 3 // 4

    def content(self, most: int) -> bytes:
        """Its first bytes; none where they are not base64."""
        text = self.data[: most * 4 // 3 // 4 * 4 + 4]
        text = _NOT_BASE64.sub("", text).translate({ord("-"): "+", ord("_"): "/"})
        try:
            return binascii.a2b_base64(text[: len(text) // 4 * 4])
        except (binascii.Error, ValueError):
            return b""


@dataclass(frozen=True, slots=True)
class MediaTokens:
    """What a file comes to.

    :param assumed: what was assumed of it, such as "video of unknown length, taken to last 60 seconds";
        empty: nothing.
    """

    tokens: Mapping[Modality, Range]
    assumed: str = ""


def media_tokens(file: MediaFile, family: Family) -> MediaTokens:
    kind = file.mime.partition("/")[0].lower()
    if kind in _COUNTERS:
        return _COUNTERS[kind](file, family)
    return _text(file) if kind == "text" else _document(file, family)


def _image(file: MediaFile, family: Family) -> MediaTokens:
    size = image_size(file.content(HEADER_BYTES)) if file.data else None
    unknown = "" if size else "pictures of unknown size"
    if family is Family.GEMINI_3:
        most = {"LOW": 280, "MEDIUM": 560, "ULTRA_HIGH": 2240}.get(file.resolution, 1120)
        return MediaTokens({Modality.IMAGE: Range(most * 0.6, most, most * 1.1)})
    if family is Family.GEMINI_2 and file.resolution in {"LOW", "MEDIUM"}:
        fixed = 66 if file.resolution == "LOW" else _TILE_TOKENS
        return MediaTokens({Modality.IMAGE: Range(fixed - 2, fixed, fixed)})
    if family is Family.OTHER:
        pixels = min(_CLAUDE_MOST, ceil(size[0] * size[1] / _CLAUDE_PIXELS)) if size else _CLAUDE_MOST
        tokens = Range(pixels * 0.5, pixels, max(pixels, _CLAUDE_MOST))
        return MediaTokens({Modality.IMAGE: tokens}, unknown and f"{unknown}, taken for large ones")
    if size is None:
        tiles = _UNKNOWN_TILES
        assumed = f"{unknown}, taken to have {_UNKNOWN_TILES.expected} tiles of {_TILE_TOKENS} tokens"
        return MediaTokens({Modality.IMAGE: tiles.times(_TILE_TOKENS)}, assumed)
    found = image_tiles(*size)
    # Google calls its rule approximate, and another page says about 2,048 tokens for every larger picture.
    tiles = exactly(1) if found == 1 else Range(1, found, max(9, found))
    return MediaTokens({Modality.IMAGE: tiles.times(_TILE_TOKENS)})


def image_tiles(width: int, height: int) -> int:
    """The tiles that Gemini 2 cuts a picture into; sides in pixels."""
    if width <= _SMALL_SIDE and height <= _SMALL_SIDE:
        return 1
    side = min(_MOST_TILE, max(_LEAST_TILE, int(min(width, height) / 1.5)))
    return ceil(width / side) * ceil(height / side)


def _audio(file: MediaFile, _: Family) -> MediaTokens:
    stated = audio_seconds(file.content(HEADER_BYTES), file.size) if file.data else None
    seconds, assumed = _seconds(file, stated, _AUDIO_BYTES, "sound")
    return MediaTokens({Modality.AUDIO: seconds.times(_AUDIO_TOKENS)}, assumed)


def _video(file: MediaFile, family: Family) -> MediaTokens:
    seconds, assumed = _seconds(file, None, _VIDEO_BYTES, "video")
    has_sound = Range(0, 1, 1)
    if family is Family.GEMINI_3:
        frame, other = (280 if file.resolution in {"HIGH", "ULTRA_HIGH"} else 70), 0
    elif file.resolution == "LOW":
        frame, other = 66, 2
    else:
        frame, other, has_sound = _TILE_TOKENS, 5, Range(0, 0, 1)
    pictures = Range(frame * file.fps * 0.9, frame * file.fps + other, frame * file.fps + 5)
    sound = has_sound.times(_AUDIO_TOKENS)
    return MediaTokens(
        {Modality.VIDEO: _product(seconds, pictures), Modality.AUDIO: _product(seconds, sound)}, assumed
    )


def _document(file: MediaFile, family: Family) -> MediaTokens:
    if family is Family.GEMINI_3:
        page = {"LOW": 280, "HIGH": 1120, "ULTRA_HIGH": 1120}.get(file.resolution, 560)
        tokens = Range(page * 0.6, page, page * 1.1)
    else:
        tokens = exactly(_TILE_TOKENS) if family is Family.GEMINI_2 else Range(500, 2_000, 4_000)
    pages, assumed = (
        ASSUMED_PAGES,
        f"documents of unknown length, taken to have {ASSUMED_PAGES.expected} pages",
    )
    if file.data:
        found = pdf_pages(file.content(file.size + 3)) if len(file.data) <= _MOST_PDF_BASE64 else None
        pages = exactly(found) if found else _by_size(file.size, _PAGE_BYTES)
        assumed = "" if found else "documents whose pages were guessed from their size"
    return MediaTokens({Modality.DOCUMENT: _product(pages, tokens)}, assumed)


def _text(file: MediaFile) -> MediaTokens:
    if not file.data:
        assumed = f"texts of unknown length, taken to have {ASSUMED_TEXT_TOKENS.expected:,} tokens"
        return MediaTokens({Modality.DOCUMENT: ASSUMED_TEXT_TOKENS}, assumed)
    return MediaTokens({Modality.DOCUMENT: text_tokens(file.size)})


def text_tokens(size: int) -> Range:
    """The tokens of so many bytes of UTF-8: Google's rule of thumb is four characters for one.

    Prose takes more bytes for a token, tables, code and other scripts take fewer.
    """
    return Range(*(size / each for each in _BYTES_PER_TEXT_TOKEN))


def _seconds(file: MediaFile, stated: float | None, usual: Range, what: str) -> tuple[Range, str]:
    """How long a file plays, and what was assumed for that."""
    if file.seconds is not None:
        cut = file.seconds if stated is None else min(stated, file.seconds)
        return exactly(min(cut, _LONGEST_SECONDS)), ""
    if stated is not None:
        return exactly(min(stated, _LONGEST_SECONDS)), ""
    if file.data:
        return _by_size(file.size, usual), f"{what} whose length was guessed from its size"
    return ASSUMED_SECONDS, f"{what} of unknown length, taken to last {ASSUMED_SECONDS.expected} seconds"


def _by_size(size: int, usual: Range) -> Range:
    return Range(*(max(1, size / each) for each in usual))


def _product(left: Range, right: Range) -> Range:
    return Range(*(one * other for one, other in zip(left, right, strict=True)))


_COUNTERS: Mapping[str, Callable[[MediaFile, Family], MediaTokens]] = {
    "image": _image,
    "audio": _audio,
    "video": _video,
}
