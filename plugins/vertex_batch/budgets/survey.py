"""What an input comes to in tokens, from all of its rows or from a sample, with the interval that the
sample leaves open.

Pure: `summarize` takes whole rows, in the groups in which they were read, and what is known of the whole.
`sampling` reads them. Nothing of a row is kept but counts.

A sample represents all rows by their number where that is known, else by their bytes. Rows next to
each other are often alike, so a place of the input that was read counts as one draw, however many rows it
has (a cluster sample with a ratio estimator; W. G. Cochran, Sampling Techniques, chapters 6 and 9).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, sqrt

from vertex_batch.budgets.answer_lengths import AnswerLimit
from vertex_batch.budgets.ranges import NOTHING, Part, Range, exactly
from vertex_batch.budgets.rows import RowReader, RowTokens
from vertex_batch.errors import count_of
from vertex_batch.usage import Kind

_NORMAL = 1.645
"""Nineteen in twenty on either side of an interval, so nine in ten are in it."""
_UNSEEN = 3
"""The rule of three: what no row of n shows is, nineteen times in twenty, true of at most 3/n of all."""
_ONE_PLACE = 0.5
"""The margin of a single place: it does not show how places differ."""
_MOST_MARGIN = 4.0
_ENDS = ("low", "expected", "high")


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of a whole input.

    :param size: bytes of all objects, as they are stored.
    :param rows: as they were counted; None: they were not.
    """

    size: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class SampledRows:
    """Rows that were read at one place of an input.

    :param rows: whole lines that hold something, without their line ends.
    :param size: bytes of the input that these rows stand for: of the window that they begin in, of the whole
        object, or of a packed object the packed ones.
    """

    rows: Sequence[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts over all rows of an input.

    :param rows: lines that hold something, without those of `failing`.
    :param size: bytes of all objects.
    :param content: bytes of all rows, unpacked; 0: as `size`.
    :param tokens: by what they are for, with their intervals.
    :param read_rows: how many rows the counts are made of, and ``read_bytes`` their bytes.
    :param counted: the number of rows is exact.
    :param complete: every row was read.
    :param row_range: the number of rows with its interval.
    :param assumed: what was assumed of files, as sentences.
    :param limits: the rows that were read, by how long their answers may be.
    :param cut_before: of rows that are sent again, the share whose last answer was cut at its limit; None:
        they are not sent again.
    :param failing: rows that are certain to fail, and so cost nothing; see `without_failing`.
    """

    rows: int = 0
    size: int = 0
    content: int = 0
    tokens: Mapping[Part, Range] = field(default_factory=dict)
    read_rows: int = 0
    read_bytes: int = 0
    counted: bool = True
    complete: bool = True
    row_range: Range = NOTHING
    assumed: tuple[str, ...] = ()
    limits: Mapping[AnswerLimit, int] = field(default_factory=dict)
    cut_before: Fraction | None = None
    failing: int = 0

    def without_failing(self, count: int) -> Survey:
        """The survey of the other rows, if this many are certain to fail. They are taken to be as long."""
        failing = min(count, self.rows)
        if not failing:
            return self
        rows = self.rows - failing
        share = rows / self.rows
        return replace(
            self,
            rows=rows,
            size=round(self.size * share),
            content=round(self.content * share),
            tokens={part: tokens.times(share) for part, tokens in self.tokens.items()},
            row_range=self.row_range.times(share),
            failing=failing,
        )

    @property
    def is_exact(self) -> bool:
        """Whether nothing of it is a guess: every row was read, states its limit, and has no file of
        unknown length.
        """
        states_limits = all(limit.whole is not None for limit in self.limits)
        return self.complete and states_limits and not self.assumed and not self.failing

    @property
    def answer_limit(self) -> int | None:
        """The most tokens that a row allows of its answers, on average; None if one states none."""
        known = [(limit.whole, count) for limit, count in self.limits.items() if limit.whole is not None]
        if not known or len(known) < len(self.limits):
            return None
        return round(sum(most * count for most, count in known) / sum(self.limits.values()))

    @property
    def number(self) -> str:
        """How the number of rows was found."""
        if self.counted:
            return f"{count_of(self.rows + self.failing, 'row')} counted{self._fail}"
        return f"{count_of(self.rows, 'row')} extrapolated from {self.read_bytes:,} of {self.size:,} bytes"

    @property
    def method(self) -> str:
        """How the tokens were found, such as "12 of 80 rows read"."""
        if self.complete or not self.counted:
            return self.number
        return f"{self.read_rows:,} of {count_of(self.rows + self.failing, 'row')} read{self._fail}"

    @property
    def _fail(self) -> str:
        return f", {self.failing:,} of them certain to fail and not billed" if self.failing else ""


def summarize(
    places: Iterable[SampledRows],
    totals: Totals,
    reader: RowReader,
    *,
    complete: bool = False,
    packed: bool = False,
) -> Survey:
    """Add up the rows that were read, and scale them to the whole.

    :param complete: the places hold every row; then nothing is scaled.
    :param packed: the rows are compressed, so that they have more bytes than their objects.
    """
    drawn = [_Draw.of(place, reader) for place in places]
    rows, size = sum(draw.rows for draw in drawn), sum(draw.size for draw in drawn)
    assumed = Counter[str]()
    for draw in drawn:
        assumed.update(draw.assumed)
    if complete:
        factor, whole, row_range = 1.0, rows, exactly(rows)
        tokens = {part: _sum(drawn, part) for part in _parts(drawn)}
    else:
        by_rows, by_size = _Frame(drawn, totals, by_rows=True), _Frame(drawn, totals, by_rows=False)
        frame = by_size if totals.rows is None else by_rows
        factor, row_range = frame.factor, frame.rows()
        whole = ceil(row_range.expected)
        tokens = {part: frame.scale(part) for part in _parts(drawn)}
        if totals.rows is not None:
            tokens = {part: _reach(count, by_size.scale(part), part) for part, count in tokens.items()}
    return Survey(
        rows=whole,
        size=totals.size,
        content=round(totals.size * sum(draw.content for draw in drawn) / size) if packed and size else 0,
        tokens={part: count.whole() for part, count in tokens.items()},
        read_rows=rows,
        read_bytes=size,
        counted=complete or totals.rows is not None,
        complete=complete,
        row_range=row_range,
        assumed=tuple(f"{ceil(count * factor):,} {what}" for what, count in sorted(assumed.items())),
        limits=sum((draw.limits for draw in drawn), Counter[AnswerLimit]()),
    )


@dataclass(slots=True)
class _Draw:
    """The counts of one place.

    :param largest: the highest expected count of one row, by part.
    """

    rows: int = 0
    size: int = 0
    content: int = 0
    tokens: dict[Part, Range] = field(default_factory=dict)
    largest: dict[Part, float] = field(default_factory=dict)
    assumed: Counter[str] = field(default_factory=Counter)
    limits: Counter[AnswerLimit] = field(default_factory=Counter)

    @classmethod
    def of(cls, place: SampledRows, reader: RowReader) -> _Draw:
        draw = cls(size=place.size)
        for line in place.rows:
            draw.add(reader.read(line))
            draw.content += len(line) + 1
        return draw

    def add(self, row: RowTokens) -> None:
        self.rows += 1
        for part, count in row.tokens.items():
            self.tokens[part] = self.tokens.get(part, NOTHING).plus(count)
            self.largest[part] = max(self.largest.get(part, 0), count.expected)
        self.assumed.update(row.assumed)
        self.limits[row.limit] += 1


def _parts(drawn: Iterable[_Draw]) -> list[Part]:
    return list(dict.fromkeys(part for draw in drawn for part in draw.tokens))


def _sum(drawn: Iterable[_Draw], part: Part) -> Range:
    total = NOTHING
    for draw in drawn:
        total = total.plus(draw.tokens.get(part, NOTHING))
    return total


def _reach(by_rows: Range, by_size: Range, part: Part) -> Range:
    """Widen the count of a prompt to what the bytes say.

    Both numbers of the whole are known. Where a sample scaled by one misses the other, its rows are not
    like the rest: it saw too many of the large ones, or of the small ones.
    """
    if part.kind not in {Kind.INPUT, Kind.INPUT_CHARACTER}:
        return by_rows
    return Range(min(by_rows.low, by_size.low), by_rows.expected, max(by_rows.high, by_size.high))


class _Frame:
    """Scales a sample to the whole: by rows where their number is known, else by bytes."""

    def __init__(self, drawn: Sequence[_Draw], totals: Totals, *, by_rows: bool) -> None:
        self._drawn, self._totals, self._by_rows = drawn, totals, by_rows
        known = float((totals.rows or 0) if by_rows else totals.size)
        read = float(sum(self._base(draw) for draw in drawn))
        self.factor = known / read if read else 0.0
        self._read, self._rows_read = read, sum(draw.rows for draw in drawn)
        # Of a sample that is most of the input, little is left open.
        self._left = max(0.0, 1 - read / known) if known else 0.0

    def _base(self, draw: _Draw) -> int:
        return draw.rows if self._by_rows else draw.size

    def rows(self) -> Range:
        if self._totals.rows is not None:
            return exactly(self._totals.rows)
        expected = self._rows_read * self.factor
        margin = min(1 - 1e-9, self._spread([float(draw.rows) for draw in self._drawn]))
        return Range(expected * (1 - margin), expected, expected * (1 + margin))

    def scale(self, part: Part) -> Range:
        """The tokens of the whole, with what a row leaves open and what the sample leaves open."""
        count = _sum(self._drawn, part).times(self.factor)
        margins = {
            end: self._spread([getattr(draw.tokens.get(part, NOTHING), end) for draw in self._drawn])
            for end in _ENDS
        }
        largest = max(draw.largest.get(part, 0) for draw in self._drawn)
        unseen = self._left * min(1.0, _UNSEEN / self._rows_read) if self._rows_read else 0.0
        whole = self._rows_read * self.factor if self._totals.rows is None else self._totals.rows
        more = unseen * largest * whole
        low = min(count.low * (1 - margins["low"]), count.expected * (1 - margins["expected"])) * (1 - unseen)
        high = max(count.high * (1 + margins["high"]), count.expected * (1 + margins["expected"])) + more
        return Range(max(0.0, low), count.expected, high)

    def _spread(self, counts: Sequence[float]) -> float:
        """The margin of a ratio, as a share of it, from how the places differ."""
        total, places = sum(counts), len(counts)
        if not total or not self._read:
            return 0.0
        if places == 1:
            return _ONE_PLACE
        ratio = total / self._read
        squares = sum(
            (count - ratio * self._base(draw)) ** 2 for count, draw in zip(counts, self._drawn, strict=True)
        )
        error = sqrt(squares * places / (places - 1)) / total
        return min(_MOST_MARGIN, _student(places - 1) * error)


def _student(freedom: int) -> float:
    """The quantile of Student's distribution that belongs to `_NORMAL`, by the first terms of its
    expansion.
    """
    z = _NORMAL
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + (z**3 + z) / 4 / freedom + second / freedom**2
