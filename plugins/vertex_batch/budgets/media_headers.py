"""Sizes that media files state in their headers: pixels of pictures, seconds of sound, pages of documents.

Pure functions over the first bytes of a file; what a header does not contain is None, never a guess. No
library that reads these formats is in Airflow's environment.
"""

# ruff: noqa: PLR2004 - they are numbers of the formats

from __future__ import annotations

import re
import struct

HEADER_BYTES = 256 << 10
"""How much of a file is worth decoding: a JPEG may have its size behind 64 KiB pieces of metadata."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_MPEG1_KBIT = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG2_KBIT = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_MPEG_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG1, _LAYER_3 = 3, 1
_PDF_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PDF_COUNT = re.compile(rb"/Count\s+(\d{1,6})(?!\d|\s+\d+\s+R)")


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, GIF or WebP in pixels; known by its first bytes, not by its MIME
    type.
    """
    try:
        size = _image_size(head)
    except (struct.error, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _image_size(head: bytes) -> tuple[int, int] | None:
    if head.startswith(_PNG) and head[12:16] == b"IHDR":
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:6] in {b"GIF87a", b"GIF89a"}:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_size(head)
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = struct.unpack("<I", head[21:25])[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + max(2, struct.unpack(">H", head[at + 2 : at + 4])[0])
    return None


def audio_seconds(head: bytes, size: int) -> float | None:
    """How long a WAV or MP3 file plays.

    :param size: of the whole file, in bytes.
    """
    try:
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return _wav_seconds(head, size)
        return _mp3_seconds(head, size)
    except (struct.error, IndexError, ZeroDivisionError):
        return None


def _wav_seconds(head: bytes, size: int) -> float | None:
    at, rate = 12, 0
    while at + 8 <= len(head):
        kind, length = head[at : at + 4], struct.unpack("<I", head[at + 4 : at + 8])[0]
        if kind == b"fmt ":
            rate = struct.unpack("<I", head[at + 16 : at + 20])[0]
        if kind == b"data":  # a stream that was never closed states 0 or the highest number
            rest = size - at - 8
            return float(min(length or rest, rest) / rate)
        at += 8 + length + length % 2
    return None


def _mp3_seconds(head: bytes, size: int) -> float | None:
    at = 0
    if head[:3] == b"ID3":
        at = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(head[6:10]))
    if head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = head[at + 1] >> 3 & 3, head[at + 1] >> 1 & 3
    kbit = (_MPEG1_KBIT if version == _MPEG1 else _MPEG2_KBIT)[head[at + 2] >> 4]
    if layer != _LAYER_3 or version not in _MPEG_HERTZ:
        return None
    hertz = _MPEG_HERTZ[version][head[at + 2] >> 2 & 3]
    for name in (b"Xing", b"Info"):  # of a variable bit rate: the number of frames
        tag = head.find(name, at, at + 64)
        if tag >= 0 and head[tag + 7] & 1:
            frames = struct.unpack(">I", head[tag + 8 : tag + 12])[0]
            return float(frames * (1152 if version == _MPEG1 else 576) / hertz)
    return (size - at) / (kbit * 125) if kbit else None


def pdf_pages(content: bytes) -> int | None:
    """The pages of a PDF whose page objects are not compressed.

    :param content: the whole file.
    """
    if not content.startswith(b"%PDF"):
        return None
    pages = len(_PDF_PAGE.findall(content))
    return pages or max((int(count) for count in _PDF_COUNT.findall(content)), default=0) or None
