"""Rows of a table, as BigQuery gives them, read as the lines of a file are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from vertex_batch.storage import Lines
from vertex_batch.usage.files import with_notes
from vertex_batch.usage.scan import Scanner, ScanOptions
from vertex_batch.usage.types import ScanResult

# What a bill needs of a row. The request, which is most of it, stays where it is; `content` is the text of
# text embeddings, whose characters are billed, and `processed_time` decides which day's prices hold.
COLUMNS = (
    *("status", "response", "predictions", "error", "prediction", "result", "instance", "content"),
    "processed_time",
)


_ROWS_AT_ONCE = 100


def scan_table(rows: Iterable[Mapping[str, Any]], name: str, options: ScanOptions) -> ScanResult:
    """Scan the rows of a table, in constant memory; the shape of each is found as that of a line.

    :param rows: by column; `response` is an object, or its JSON in a text.
    :param name: what problems are reported under; their line is the number of the row.
    """
    scanner = Scanner(options)
    scanner.scan_lines(_lines(iter(rows)), name)
    return with_notes(scanner.result(), [], [])


def _lines(rows: Iterator[Mapping[str, Any]]) -> Iterator[Lines]:
    encode = msgspec.json.Encoder(enc_hook=str).encode
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        needed = ({name: row[name] for name in COLUMNS if name in row} for row in some)
        yield Lines(b"".join(encode(row) + b"\n" for row in needed))
