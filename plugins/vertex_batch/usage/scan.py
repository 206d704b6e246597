"""Scan output files: rows in, exact sums out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from vertex_batch.storage import TOO_LONG, ByteStream, Lines, read_lines
from vertex_batch.usage.meters import Meters
from vertex_batch.usage.outcomes import Failed, Reading, Unreadable, Unrecognized
from vertex_batch.usage.plain import add_plain_rows
from vertex_batch.usage.reader import read_row
from vertex_batch.usage.types import (
    MAX_PROBLEMS,
    MAX_REASONS,
    SAMPLES_OF_A_REASON,
    RowProblem,
    ScanResult,
    UsageKey,
    bounded,
)

LONG_CONTEXT_THRESHOLD = 200_000
_MAX_DISTINCT = 1000
_TOO_MANY = "other notes"


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How rows are read.

    :param job_model: the model of rows that name none, and of every row of a tuned model's job.
    :param long_context_threshold: a row with more prompt tokens is billed wholly at long-context rates.
    :param thresholds: models whose limit is another one (`PriceBook.thresholds`).
    :param already_billed: ``responseId``s of the earlier jobs of a resume chain: not billed again.
    :param copies: what identifies copies when several outputs, or increments, make one bill.
    :param price_days: the days on which prices changed while the job ran. The rows are then separated by
        their ``processed_time``, and read one by one.
    """

    job_model: str
    long_context_threshold: int = LONG_CONTEXT_THRESHOLD
    thresholds: Mapping[str, int] = field(default_factory=dict)
    already_billed: frozenset[str] | set[str] | None = None
    copies: CopiedRows | None = None
    price_days: tuple[date, ...] = ()


class CopiedRows:
    """Tells the rows that a resumed job copied from the output of an earlier one, by their ``responseId``.

    An id that one output holds more than once identifies no row, so it makes none a copy. Memory grows with
    the rows, about 130 MB for a million.
    """

    def __init__(self) -> None:
        self._earlier: set[str] = set()
        self._here: set[str] = set()
        self._repeated: set[str] = set()

    def is_copy(self, response_id: object) -> bool:
        """Whether an earlier output had the row; remembers it."""
        if not isinstance(response_id, str) or not response_id:
            return False
        (self._repeated if response_id in self._here else self._here).add(response_id)
        return response_id in self._earlier

    def next_output(self) -> None:
        """What is read from here on is another job's output."""
        self._earlier |= self._here - self._repeated
        self._here, self._repeated = set(), set()


class Scanner:
    """Adds up the rows of one or more streams. Memory does not grow with them."""

    def __init__(self, options: ScanOptions) -> None:
        self._options = options
        self._result = ScanResult()
        self._meters = self._new_meters()
        self._meters_of_day = {day: self._new_meters() for day in options.price_days}
        self._untimed = self._new_meters()
        may_be_copied = options.already_billed is not None or options.copies is not None
        self._copied = self._is_copy if may_be_copied else None

    def _new_meters(self) -> Meters:
        options = self._options
        return Meters(options.job_model, options.long_context_threshold, options.thresholds)

    def scan(self, stream: ByteStream, name: str) -> int:
        """Read one stream to its end, and return how many lines it has.

        :param name: what problems are reported under.
        """
        return self.scan_lines(read_lines(stream), name)

    def scan_lines(self, blocks: Iterator[Lines], name: str) -> int:
        """Read lines; see `scan`."""
        lines_before = 0
        for block in blocks:
            if block.damage:
                lines_before += 1
                self._unreadable(name, lines_before, f"{block.damage}; rows from here on are missing")
            elif block.data == TOO_LONG:
                lines_before += 1
                self._unreadable(name, lines_before, "the line is too long to be a row")
            else:
                lines_before += self._block(block, name, lines_before)
        return lines_before

    @property
    def rows(self) -> int:
        return self._result.rows

    def _block(self, block: Lines, name: str, lines_before: int) -> int:
        if self._options.price_days:
            left = list(enumerate(block.lines))
            count = len(left)
        else:
            count, left = add_plain_rows(block.data, self._meters, self._copied)
        self._result.ok += count - len(left)
        for place, line in left:
            self._row(line, name, lines_before + place + 1, cut=block.cut)
        return count

    def result(self) -> ScanResult:
        """Everything that was scanned so far."""
        untimed = self._untimed.tokens() if self._options.price_days else None
        return ScanResult().merge(replace(self._result, tokens=self._tokens(), untimed=untimed))

    def _tokens(self) -> dict[UsageKey, int]:
        tokens = self._meters.tokens()
        for key, count in self._untimed.tokens().items():
            tokens[key] = tokens.get(key, 0) + count
        for day, meters in self._meters_of_day.items():
            tokens |= {replace(key, priced_on=day): count for key, count in meters.tokens().items()}
        return tokens

    def _meters_for(self, reading: Reading) -> Meters:
        """The sums of the day on which a row was answered."""
        days = self._options.price_days
        if not days:
            return self._meters
        if day_of(reading.processed_time) is None:
            return self._untimed
        priced_on = price_day(reading.processed_time, days)
        return self._meters_of_day[priced_on] if priced_on else self._meters

    def _row(self, line: bytes, name: str, number: int, *, cut: bool) -> None:
        outcome = read_row(line)
        if type(outcome) is Reading:
            self._ok(outcome)
        elif type(outcome) is Failed:
            self._failed(RowProblem(name, number, outcome.reason))
        elif type(outcome) is Unrecognized:
            self._unrecognized(RowProblem(name, number, outcome.reason))
        elif type(outcome) is Unreadable and line.strip():
            self._unreadable(
                name, number, "the file ends in the middle of this row" if cut else outcome.reason
            )

    def _ok(self, reading: Reading) -> None:
        self._result.ok += 1
        for note in set(reading.notes):
            self._note(note)
        if not (self._copied and self._copied(reading.response_id)):
            note = self._meters_for(reading).of(reading.model).add(reading)
            if note:
                self._note(note)

    def _is_copy(self, response_id: object) -> bool:
        """Whether an earlier job's bill has the row, or an earlier stream had it; counts it then."""
        options = self._options
        copied = options.copies is not None and options.copies.is_copy(response_id)
        if options.already_billed is not None:
            if isinstance(response_id, str) and response_id:
                copied = copied or response_id in options.already_billed
            else:
                self._note(
                    "no responseId: whether an earlier job billed the row cannot be known; it was billed"
                )
        self._result.copied += copied
        return copied

    def _failed(self, row: RowProblem) -> None:
        self._result.failed += 1
        reasons = self._result.failed_reasons
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
        if reasons[row.reason] <= SAMPLES_OF_A_REASON and len(reasons) <= MAX_REASONS:
            self._result.failed_samples.append(row)
        if len(reasons) > _MAX_DISTINCT:
            self._result.failed_reasons = bounded(reasons)

    def _unrecognized(self, row: RowProblem) -> None:
        self._result.unrecognized += 1
        reasons = self._result.unrecognized_reasons
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
        if len(reasons) > _MAX_DISTINCT:
            self._result.unrecognized_reasons = bounded(reasons)
        if len(self._result.unrecognized_samples) < MAX_PROBLEMS:
            self._result.unrecognized_samples.append(row)

    def _unreadable(self, name: str, line: int, reason: str) -> None:
        self._result.unreadable += 1
        if len(self._result.problems) < MAX_PROBLEMS:
            self._result.problems.append(RowProblem(name, line, reason))

    def _note(self, text: str) -> None:
        notes = self._result.notes
        text = text if text in notes or len(notes) < _MAX_DISTINCT else _TOO_MANY
        notes[text] = notes.get(text, 0) + 1


def day_of(processed_time: Any) -> date | None:
    """The UTC day in a row's ``processed_time``; None if it states none with a time zone."""
    try:
        moment = datetime.fromisoformat(processed_time)
    except (TypeError, ValueError):
        return None
    return moment.astimezone(UTC).date() if moment.tzinfo else None


def price_day(processed_time: object, price_days: Sequence[date]) -> date | None:
    """The first day of the prices of a row, see `UsageKey.priced_on`.

    :param price_days: the days on which prices changed while the job ran.
    """
    answered = day_of(processed_time) if price_days else None
    return max((day for day in price_days if answered and day <= answered), default=None)


def ids_of(lines: Iterable[bytes]) -> Iterator[str]:
    """The ``responseId`` of each answered row among lines."""
    for line in lines:
        if b"response" not in line:
            continue
        outcome = read_row(line)
        if isinstance(outcome, Reading) and isinstance(outcome.response_id, str) and outcome.response_id:
            yield outcome.response_id
