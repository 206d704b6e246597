"""Rows, files and objects for tests of estimates: only the bytes that a reader looks at are real."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Stored:
    """An object of an input that is kept in memory."""

    uri: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


class Store:
    """Opens objects at any byte, and counts the bytes that were read; a stream can be read, no more."""

    def __init__(self, objects: Iterable[Stored]) -> None:
        self.objects = {item.uri: item for item in objects}
        self.read_bytes = 0

    def open(self, item: Any, start: int = 0, end: int | None = None) -> Any:
        del end
        return _Stream(self, self.objects[item.uri].data[start:])

    def read_each(self, objects: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        return ((item, self.open(item)) for item in objects)


class _Stream:
    def __init__(self, store: Store, data: bytes) -> None:
        self._store, self._inner = store, io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        self._store.read_bytes += len(data)
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()


def stored(rows: Sequence[bytes], objects: int = 1, end: bytes = b"\n") -> list[Stored]:
    """Spread rows over objects."""
    share = -(-len(rows) // objects)
    parts = [rows[start : start + share] for start in range(0, len(rows), share)]
    return [Stored(f"gs://b/{number}.jsonl", b"\n".join(part) + end) for number, part in enumerate(parts)]


def row(text: str = "", *parts: dict[str, Any], **config: Any) -> bytes:
    """A row in Gemini's form."""
    request = {"contents": [{"role": "user", "parts": [*([{"text": text}] if text else []), *parts]}]}
    return json.dumps({"request": {**request, **({"generationConfig": config} if config else {})}}).encode()


def inline(content: bytes, mime: str, **more: Any) -> dict[str, Any]:
    """A part that holds a file."""
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(content).decode()}, **more}


def named(mime: str, **more: Any) -> dict[str, Any]:
    """A part that names a file."""
    return {"fileData": {"mimeType": mime, "fileUri": "gs://b/file"}, **more}


def png(width: int, height: int, padding: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x00" * padding


def jpeg(width: int, height: int, metadata: int = 100) -> bytes:
    app = b"\xff\xe1" + struct.pack(">H", metadata + 2) + b"\xff" * metadata
    size = b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + b"\x00" * 10
    return b"\xff\xd8" + app + b"\xff\xdb\x00\x04\x00\x00" + size


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00" * 10


def webp(width: int, height: int, kind: bytes = b"VP8X") -> bytes:
    head = b"RIFF\x00\x00\x00\x00WEBP" + kind + b"\x0a\x00\x00\x00"
    if kind == b"VP8X":
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return head + b"\x00" * 4 + sides
    if kind == b"VP8L":
        return head + b"\x2f" + struct.pack("<I", (height - 1) << 14 | (width - 1))
    return head + b"\x00" * 3 + b"\x9d\x01\x2a" + struct.pack("<HH", width, height)


def wav(seconds: float, stated: int | None = None) -> bytes:
    """8,000 bytes a second; ``stated`` is the length in the header, where it is another one."""
    size = int(seconds * 8000)
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    data = b"data" + struct.pack("<I", size if stated is None else stated) + b"\x80" * size
    return b"RIFF\x00\x00\x00\x00WAVEfmt " + struct.pack("<I", len(layout)) + layout + data


def mp3(seconds: float, tag: bytes = b"", frames: int | None = None) -> bytes:
    """128 kbit a second, 44,100 hertz."""
    head = b"ID3\x04\x00\x00" + bytes([0, 0, len(tag) >> 7, len(tag) & 0x7F]) + tag if tag else b""
    xing = b"" if frames is None else b"\x00" * 32 + b"Xing\x00\x00\x00\x01" + struct.pack(">I", frames)
    frame = b"\xff\xfb\x90\x00" + xing
    return head + frame + b"\x00" * (int(seconds * 16_000) - len(frame))


def pdf(pages: int, *, packed: bool = False) -> bytes:
    if packed:
        return b"%PDF-1.7\n" + b"stream" * 50_000
    leaves = b"".join(b"<< /Type /Page /Parent 2 0 R >>\n" for _ in range(pages))
    outlines = b"<< /Type /Outlines /Count 4000 >>\n"
    return b"%PDF-1.4\n<< /Type /Pages /Count " + str(pages).encode() + b" >>\n" + outlines + leaves
