"""Write the rows of a delivery in one of its formats.

Amounts are exact: decimals in Parquet, their digits in the others.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import msgspec

from vertex_batch.costs.money import in_full
from vertex_batch.results.engine import needs

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "json", "value", "numbers"]
"""What an added column holds: texts, bytes that are JSON, values of any JSON type, or lists of numbers."""
Added = Mapping[str, tuple[Kind, Sequence[Any]]]
"""Columns that are not in the tables, by name; None is nothing."""
_MONEY = "cost_usd"
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Block:
    """Some rows: the columns of DuckDB, and those that were added, in the order of the file.

    :param order: the names of all columns.
    """

    def __init__(self, narrow: pa.RecordBatch, added: Added, order: Sequence[str]) -> None:
        self._narrow, self._added, self._order = narrow, added, order

    def rows(self, *, as_text: bool) -> Iterable[tuple[Any, ...]]:
        """The rows as Python values, amounts as text.

        :param as_text: JSON is a text, too; otherwise it is `msgspec.Raw` or a value.
        """
        columns: list[Sequence[object]] = []
        for name in self._order:
            if name in self._added:
                kind, values = self._added[name]
                if as_text:
                    columns.append(_texts(kind, values))
                else:
                    columns.append(
                        [None if v is None else _raw(v) for v in values] if kind == "json" else values
                    )
            else:
                values = self._narrow.column(name).to_pylist()
                columns.append(
                    [None if v is None else in_full(v) for v in values] if name == _MONEY else values
                )
        return zip(*columns, strict=True)

    def arrow(self) -> pa.RecordBatch:
        """The rows as Arrow: JSON as text, amounts as decimals."""
        import pyarrow as pa

        arrays = []
        for name in self._order:
            if name not in self._added:
                arrays.append(self._narrow.column(name))
                continue
            kind, values = self._added[name]
            arrow_type = pa.list_(pa.float64()) if kind == "numbers" else pa.string()
            arrays.append(pa.array(values if kind == "numbers" else _texts(kind, values), arrow_type))
        return pa.RecordBatch.from_arrays(arrays, names=list(self._order))


def _raw(value: bytes) -> msgspec.Raw:
    """JSON as it is, but on one line: a model may write it over several."""
    spread = b"\n" in value or b"\r" in value
    return msgspec.Raw(msgspec.json.format(value, indent=-1) if spread else value)


def _texts(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """A column as text: a value that is a text stays as it is, every other becomes its JSON."""
    if kind == "text":
        return values
    if kind == "json":
        return [None if value is None else value.decode() for value in values]
    return [value if value is None or isinstance(value, str) else _encode(value).decode() for value in values]


Write = Callable[[Block], None]


def open_writer(stack: ExitStack, path: Path, suffix: str, first: Block, order: Sequence[str]) -> Write:
    """Open a file for the rows of a delivery.

    :param stack: closes it.
    :param first: any block, for the types of the columns; it may be empty.
    """
    if suffix == ".parquet":
        return _parquet(stack, path, first)
    stream: BinaryIO = stack.enter_context(path.open("wb"))
    if suffix == ".jsonl.gz":  # without a time, so that the same rows are the same bytes
        packed = stack.enter_context(gzip.GzipFile("", "wb", 6, stream, mtime=0))
        stream = cast("BinaryIO", packed)
    return _csv(stack, stream, order) if suffix == ".csv" else _jsonl(stream, order)


def _parquet(stack: ExitStack, path: Path, first: Block) -> Write:
    with needs("pyarrow"):
        from pyarrow import parquet
    writer = stack.enter_context(parquet.ParquetWriter(path, first.arrow().schema, compression="zstd"))

    def write(block: Block) -> None:
        writer.write_batch(block.arrow())

    return write


def _jsonl(stream: BinaryIO, order: Sequence[str]) -> Write:
    def write(block: Block) -> None:
        buffer = bytearray()
        for row in block.rows(as_text=False):
            buffer += _encode(dict(zip(order, row, strict=True)))
            buffer += b"\n"
        stream.write(buffer)

    return write


def _csv(stack: ExitStack, stream: BinaryIO, order: Sequence[str]) -> Write:
    text = io.TextIOWrapper(stream, "utf-8", newline="")
    stack.callback(text.detach)
    stack.callback(text.flush)
    writer = csv.writer(_UnixLines(text))
    writer.writerow(order)

    def write(block: Block) -> None:
        writer.writerows([_cell(value) for value in row] for row in block.rows(as_text=True))

    return write


class _UnixLines:
    """Ends rows with a newline alone. Before Python 3.13, a field with a carriage return is quoted only where
    the end of a row has one, too.
    """

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text

    def write(self, row: str) -> None:
        self._text.write(row.removesuffix("\r\n") + "\n")


def _cell(value: object) -> object:
    return ("false", "true")[value] if isinstance(value, bool) else value
