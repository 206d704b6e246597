"""Rows of a table, as BigQuery gives them, read as the lines of a file are."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from vertex_batch.usage.files import with_notes
from vertex_batch.usage.scan import Scanner, ScanOptions
from vertex_batch.usage.types import ScanResult

# What a bill needs of a row. The request, which is most of it, stays where it is; `content` is the text of
# text embeddings, whose characters are billed, and `processed_time` decides which day's prices hold.
COLUMNS = (
    *("status", "response", "predictions", "error", "prediction", "result", "instance", "content"),
    "processed_time",
)


class _Lines(io.RawIOBase):
    """Rows as a stream of lines, made as they are asked for."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        self._rows: Iterator[Mapping[str, Any]] = iter(rows)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def read(self, size: int = -1) -> bytes:
        lines, length = [], 0
        for row in self._rows:
            line = self._encode({name: row[name] for name in COLUMNS if name in row})
            lines.append(line)
            length += len(line) + 1
            if 0 <= size <= length:
                break
        return b"".join(line + b"\n" for line in lines)


def scan_table(rows: Iterable[Mapping[str, Any]], name: str, options: ScanOptions) -> ScanResult:
    """Scan the rows of a table, in constant memory; the shape of each is found as that of a line.

    :param rows: by column; `response` is an object, or its JSON in a text.
    :param name: what problems are reported under; their line is the number of the row.
    """
    scanner = Scanner(options)
    scanner.scan(_Lines(rows), name)
    return with_notes(scanner.result(), [], [])
