"""Check the rows of a job's input: one pass, in constant memory.

Rows of a known shape are only decoded, whole blocks at once, by a decoder made for that shape. So a row is
checked in Python only if its shape is new or if it has a problem.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import msgspec

from vertex_batch.preflight.columns import Columns, ReportProblem
from vertex_batch.preflight.compiled import CheckedRowDecoder
from vertex_batch.preflight.findings import Finding, Report, Severity
from vertex_batch.preflight.keys import RowKeys, is_missing, key_hint
from vertex_batch.preflight.requests import Flaw
from vertex_batch.preflight.shapes import Shape
from vertex_batch.storage import (
    BOM,
    GZIP_MAGIC,
    MAX_LINE_BYTES,
    TOO_LONG,
    ByteStream,
    Lines,
    blocks_in,
    lines_of,
    unpacked,
)

# A decoded row has a slot for each column, and a whole block of rows is in memory at once.
_MAX_COLUMNS_AT_ONCE = 500
_PYTHON = re.compile(rb"""^\s*\{\s*'|"\s*:\s*(?:None|True|False)\b""")
_EMPTY_OBJECT = re.compile(rb"\{\s*\}")
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_MAX_DOUBTS = 1000
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RowCheck:
    """Checks the input of one job, file after file. A key must have the same type in all of them.

    :param key: the path of the field by which a row's answer is delivered; see `RowKeys`.
    :param progress: called with the size of each block, in bytes, after its check.
    """

    def __init__(
        self,
        shape: Shape,
        report: Report,
        progress: Callable[[int], None] = lambda _size: None,
        *,
        key: str = "",
    ) -> None:
        self._shape = shape
        self._report = report
        self._progress = progress
        self._columns = Columns()
        self._doubts: set[Flaw] = set()
        shape.mark(self._columns.root, self._is_new)
        self._keys = RowKeys(key, shape.key_names)
        self._no_key = self._repeated_key = ""
        self._decoder: CheckedRowDecoder | None = None
        self._compiled_version = -1
        self._misses = 0
        self._parse = msgspec.json.Decoder()
        self._name, self._line = "", 0
        self._first_packed = ""

    def file(self, stream: ByteStream, name: str) -> None:
        """Check one file to its end.

        :param name: the file's name in findings, followed by the line number.
        """
        blocks = blocks_in(stream)
        first = next(blocks, b"")
        if first.startswith(GZIP_MAGIC):
            self._report.packed += 1
            self._first_packed = self._first_packed or name
        self.lines(lines_of(unpacked(chain([first], blocks), keep_bom=True), MAX_LINE_BYTES), name)

    def lines(self, blocks: Iterable[Lines], name: str) -> None:
        """Check the lines of one file, including a byte order mark if it has one; see `file`."""
        self._name, self._line = name, 0
        before = self._report.rows
        for block in blocks:
            if block.damage:
                message = f"the compressed file cannot be read: {block.damage}"
                self._find(Severity.JOB, self._line + 1, "", message)
            else:
                self._block(block)
                self._progress(block.size)
        if self._report.rows == before:
            self._find(Severity.DOUBT, 1, "", "holds no rows")
        self._report.objects += 1

    def finish(self, *, may_be_split: bool = False) -> None:
        """Check what is known only after every file was read.

        :param may_be_split: the job's task unpacks and splits the input before it submits it.
        """
        if self._report.packed and not may_be_split:
            message = (
                "is gzip, and Vertex reads plain JSONL only: remove `split: off`, so that it is unpacked"
                " before it is submitted, or store it unpacked"
            )
            self._report.add(Finding(Severity.JOB, self._first_packed, message))
        limit = self._shape.max_rows
        if self._report.rows == 0:
            self._report.add(Finding(Severity.JOB, "inputs", "hold no rows"))
        elif limit is not None and self._report.rows > limit and not may_be_split:
            held = f"hold {self._report.rows:,} rows"
            message = f"{held}, but a job for {self._shape.name} accepts at most {limit:,}: split them"
            self._report.add(Finding(Severity.JOB, "inputs", message))

    def _block(self, block: Lines) -> None:
        first, data = self._line, bytes(block.data)
        self._report.size_bytes += block.size
        if data == TOO_LONG:
            self._line += 1
            self._report.rows += 1
            limit = f"{MAX_LINE_BYTES >> 20} MB"
            self._find(Severity.JOB, self._line, "", f"the line is longer than {limit}, too long for a row")
            return
        self._line += data.count(b"\n") + (not data.endswith(b"\n"))
        few = self._columns.count <= _MAX_COLUMNS_AT_ONCE
        if few and self._decoder is not None and not _some_row_has_empty_object(data):
            try:
                rows = self._decoder.decode_lines(data)
            except _NOT_JSON:
                pass
            else:
                self._report.rows += len(rows)
                self._add_keys(self._decoder.keys(rows), data, first)
                return
        for number, line in enumerate(data.split(b"\n"), start=first + 1):
            if line and not line.isspace():
                self._report.rows += 1
                self._row(line, number)

    def _row(self, line: bytes, number: int) -> None:
        if self._decoder is not None and not _has_empty_object(line):
            try:
                known = self._decoder.decode(line)
            except _NOT_JSON:
                pass
            else:
                self._add_keys(self._decoder.keys([known]), line, number - 1)
                return
        self._look(line, number)
        self._misses += 1
        grown = self._columns.version != self._compiled_version
        # A large decoder is slow to make, so it is made only after more rows have needed it.
        if grown and self._misses > self._columns.count // 8:
            self._decoder = CheckedRowDecoder(self._columns, self._keys.path)
            self._compiled_version, self._misses = self._columns.version, 0

    def _look(self, line: bytes, number: int) -> None:
        """Check a row in Python, because its shape is new or it has a problem."""
        try:
            row = self._parse.decode(line)
        except RecursionError:
            self._find(Severity.JOB, number, "", "is nested too deeply to be read")
            return
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._find(Severity.JOB, number, "", f"is not JSON: {why_not_json(line, error)}")
            return
        if not isinstance(row, dict):
            self._find(Severity.JOB, number, "", not_an_object(row, self._shape.example))
            return
        self._columns.admit(row, self._reporter(number))
        self._add_keys([self._keys.of(row)], line, number - 1)
        if missing := self._shape.missing(row):
            self._lacks(missing, row, number)
        else:
            self._check_request(row, number)

    def _check_request(self, row: dict[str, object], number: int) -> None:
        """Find problems that make this row fail alone."""
        is_bad = False
        for problem in self._shape.problems(row):
            if problem.is_certain:
                is_bad = True
                self._find(Severity.ROW, number, problem.path, problem.message)
            elif self._is_new(problem):
                self._doubts.add(problem)
                self._find(Severity.DOUBT, number, problem.path, problem.message)
        self._report.bad_rows += is_bad

    def _is_new(self, doubt: Flaw) -> bool:
        """Whether no earlier row had this doubt. It is reported once, since thousands of rows may have it."""
        return doubt not in self._doubts and len(self._doubts) < _MAX_DOUBTS

    def _add_keys(self, keys: Sequence[object], data: bytes, first: int) -> None:
        """Check the keys of rows: one by one if some of them are missing or not new.

        :param data: the rows, and perhaps blank lines.
        :param first: the number of the line before them.
        """
        if not self._keys.path or self._keys.add_new(keys):
            return
        lines = ((n, line) for n, line in enumerate(data.split(b"\n"), start=first + 1) if line.strip())
        # Where a decoder may have skipped the key, a row without one is decoded whole.
        is_sure = not self._columns.is_full and "instance" not in self._columns.root.children
        without, first_without = 0, (0, b"")
        again, first_again = 0, 0
        for key, (number, line) in zip(keys, lines, strict=True):
            if is_missing(key) and self._keys.are_needed:
                if is_sure or is_missing(self._keys.of(self._parse.decode(line))):
                    without += 1
                    first_without = first_without if without > 1 else (number, line)
            elif not self._keys.is_new(key):
                again += 1
                first_again = first_again or number
                self._repeated_key = self._repeated_key or f"is {str(key)[:80]!r}"
        if without:
            number, line = first_without
            self._no_key = self._no_key or key_hint(self._keys.path, self._parse.decode(line))
            self._find(Severity.NO_KEY, number, self._keys.path, self._no_key, without)
        if again:
            self._find(Severity.REPEATED_KEY, first_again, self._keys.path, self._repeated_key, again)

    def _reporter(self, number: int) -> ReportProblem:
        def report(path: str, message: str, /, *, sure: bool = True) -> None:
            sure = sure and self._shape.is_imported
            self._find(Severity.JOB if sure else Severity.DOUBT, number, path, message)

        return report

    def _lacks(self, path: str, row: Mapping[str, object], number: int) -> None:
        is_container = path == self._shape.container
        message = self._shape.lacking(row)
        self._report.bad_rows += not is_container
        self._find(Severity.JOB if is_container else Severity.ROW, number, path, message)

    def _find(self, severity: Severity, line: int, path: str, message: str, times: int = 1) -> None:
        self._report.add(Finding(severity, f"{self._name}:{line}", message, path, times))


def _some_row_has_empty_object(data: bytes) -> bool:
    """Whether one of many rows has an object without keys."""
    start = 0
    while match := _EMPTY_OBJECT.search(data, start):
        begin, end = data.rfind(b"\n", 0, match.start()) + 1, data.find(b"\n", match.end())
        end = end if end >= 0 else len(data)
        if _has_empty_object(data[begin:end]):
            return True
        start = end
    return False


def _has_empty_object(line: bytes) -> bool:
    """Whether a row has an object without keys; one inside a string does not count."""
    return bool(_EMPTY_OBJECT.search(line)) and bool(_EMPTY_OBJECT.search(_TEXT.sub(b'""', line)))


def not_an_object(row: object, example: str = "") -> str:
    """Say that a line of JSON is not an object, and what to write instead.

    :param example: of a row; empty: none is shown.
    """
    if isinstance(row, list):
        return (
            "is not a JSON object, but an array: write each of its items on a line of its own, as"
            " `jq -c '.[]'` does"
        )
    return "is not a JSON object" + (f": write {example}" if example else "")


def why_not_json(line: bytes, error: Exception) -> str:
    """Say why a line could not be decoded, with what to do where that is known."""
    if line.startswith(BOM):
        return "it begins with a byte order mark: save the file as UTF-8 without one"
    if b"\0" in line or line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "it is not UTF-8, but looks like UTF-16: convert the file, as with `iconv -f UTF-16 -t UTF-8`"
    if isinstance(error, UnicodeDecodeError):
        return (
            "it is not UTF-8: convert the file, as with `iconv -f WINDOWS-1252 -t UTF-8` if it has Western"
            " European text"
        )
    like = _looks_like(line)
    return f"{like}: write one JSON object per line" if like else str(error)


def _looks_like(line: bytes) -> str:
    """What a line is instead of a JSON object, in words; empty if that is not known."""
    begin = line.lstrip()[:1]
    if begin == b"[":
        return "this looks like one JSON array"
    if line.strip() == b"{":
        return "this looks like a JSON object over several lines"
    if begin == b"{":
        is_python = _PYTHON.search(line)
        return "single quotes, or None or True: this is Python's repr, not JSON" if is_python else ""
    return "this looks like CSV" if re.search(rb"[,;\t]", line) else ""
