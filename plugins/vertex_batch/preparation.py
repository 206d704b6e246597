"""Look at a run's input, and decide which jobs read it. Knows nothing of Airflow.

One job reads everything where it may. What is too large for one is split into shards; a sample is drawn where
somebody asked for one. Only then is anything written, and nothing is submitted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vertex_batch.errors import ConfigurationError, InputChangedError, InputMissingError
from vertex_batch.inputs import (
    InputPart,
    JobLimits,
    Measured,
    PartKind,
    Shard,
    SourceObject,
    StagingPlace,
    draw,
    fits_as_it_lies,
    is_there,
    lines,
    make_shards,
    measure,
    open_object,
    stage,
    unpacked,
    without_doubles,
    write,
)
from vertex_batch.submission import Log

DEFAULT_MAX_SHARDS = 1024
"""Airflow's own default for ``[core] max_map_length``."""
MAX_NAMED_OBJECTS = 20_000
"""Each is named in Airflow's database, in the plan and in what tasks tell each other: about 2 MB of names."""
_READERS = 4
_PACKED = (".gz", ".gzip")


@dataclass(frozen=True, slots=True)
class SampleWish:
    """How many rows to draw, and with which seed."""

    rows: int
    seed: int = 0


class InputPreparer:
    """Prepares one run's input.

    :param fs: an fsspec file system.
    :param look: lists the objects that the URIs stand for, anew each time.
    :param place: where shards and samples are written.
    :param ask: calls a function (its second argument) that talks to the store about a place (its first), and
        says in our words what the store refuses.
    :param max_shards: how many jobs a run may have.
    """

    def __init__(
        self,
        fs: Any,
        look: Callable[[], Sequence[SourceObject]],
        limits: JobLimits,
        place: StagingPlace,
        *,
        ask: Callable[..., Any],
        log: Log,
        max_shards: int = DEFAULT_MAX_SHARDS,
    ) -> None:
        self._fs, self._look, self._limits, self._place = fs, look, limits, place
        self._ask, self._log, self._max_shards = ask, log, max_shards

    def prepare(self, uris: Sequence[str]) -> list[InputPart]:
        """Say what each job reads: one part with the URIs as they are, or the shards.

        :raises InputMissingError: there are no rows.
        :raises InputUnusableError: a row is too long for any job, or an object is damaged.
        :raises InputChangedError: somebody writes the input; a retry looks again.
        :raises ConfigurationError: it takes more jobs than a run may have.
        """
        whole = InputPart(PartKind.WHOLE, tuple(uris))
        objects = self._objects()
        size = sum(each.size for each in objects)
        packed = any(each.uri.endswith(_PACKED) for each in objects)
        if self._limits.surely_fits(size) and not packed:
            self._log.info("Input: %d object(s), %s bytes; one job reads them", len(objects), f"{size:,}")
            return [whole]
        shards = shards_of(self._fs, objects, self._limits, self._ask)
        rows = sum(shard.rows for shard in shards)
        self._log.info("Input: %d object(s), %s bytes, %s rows", len(objects), f"{size:,}", f"{rows:,}")
        if not shards:
            raise InputMissingError(dict.fromkeys(uris, "holds no rows"))
        if fits_as_it_lies(shards):
            self._see_unchanged(objects)
            return [InputPart(PartKind.WHOLE, tuple(uris), rows=rows, of_rows=rows)]
        return self._split(objects, shards, rows)

    def sample(self, uris: Sequence[str], wish: SampleWish) -> InputPart:
        """Draw rows at random, and write them as an object of their own.

        :raises InputMissingError: there are no rows to draw from. For the others see `prepare`.
        """
        objects = self._objects()
        named = ", ".join(uris)
        sample = self._ask(named, draw, self._lines(objects), wish.rows, wish.seed, named)
        if not sample.rows:
            raise InputMissingError(dict.fromkeys(uris, "holds no rows"))
        self._see_unchanged(objects)
        uri = self._place.uri("sample", wish.rows, wish.seed, [(each.uri, each.version) for each in objects])
        if not is_there(self._fs, uri, sum(map(len, sample.rows))):
            self._ask(self._place.prefix, write, self._fs, uri, sample.rows)
        part = InputPart(
            PartKind.SAMPLE, (uri,), rows=len(sample.rows), of_rows=sample.of_rows, seed=wish.seed
        )
        self._log.info("Drew %s: %s", part, uri)
        return part

    def _split(self, objects: list[SourceObject], shards: list[Shard], rows: int) -> list[InputPart]:
        if len(shards) > self._max_shards:
            raise ConfigurationError(
                f"The input of {rows:,} rows takes {len(shards):,} jobs, and a run may have"
                f" {self._max_shards:,}. Nothing was submitted",
                "raise [core] max_map_length, max_rows_per_job or max_bytes_per_job, or write several specs",
            )
        named = sum(len(shard.pieces) for shard in shards)
        if named > MAX_NAMED_OBJECTS:
            raise ConfigurationError(
                f"The input is split over {len(shards):,} jobs, which would name {named:,} objects one by"
                f" one, more than {MAX_NAMED_OBJECTS:,}. Nothing was submitted",
                "join the rows into fewer, larger objects",
            )
        staged = self._ask(self._place.prefix, stage, self._fs, shards, self._place)
        self._see_unchanged(objects)
        self._log.info(
            "One job may read %s rows and %s bytes, so there are %d shards; wrote %d object(s) of %s bytes, "
            "%d were there already",
            f"{self._limits.max_rows:,}",
            f"{self._limits.max_bytes:,}",
            len(shards),
            staged.written,
            f"{staged.size:,}",
            staged.found,
        )
        return [
            InputPart(
                PartKind.SHARD,
                tuple(self._place.of_piece(piece) for piece in shard.pieces),
                number=number,
                of=len(shards),
                rows=shard.rows,
                of_rows=rows,
            )
            for number, shard in enumerate(shards, 1)
        ]

    def _objects(self) -> list[SourceObject]:
        return in_order(self._look())

    def _lines(self, objects: list[SourceObject]) -> Iterator[bytes]:
        for source in objects:
            with open_object(self._fs, source.uri) as stream:
                yield from lines(unpacked(stream)[0], source.uri)

    def _see_unchanged(self, objects: list[SourceObject]) -> None:
        now = {each.uri: each for each in self._objects()}
        before = {each.uri: each for each in objects}
        if now != before:
            changed = [uri for uri in {**before, **now} if before.get(uri) != now.get(uri)]
            raise InputChangedError(changed)


def in_order(objects: Iterable[SourceObject]) -> list[SourceObject]:
    """The objects that hold anything, in the order of their names: plans and samples depend on it."""
    found = [each for each in without_doubles(objects) if each.size]
    return sorted(found, key=lambda each: each.uri)


def shards_of(
    fs: Any, objects: Sequence[SourceObject], limits: JobLimits, ask: Callable[..., Any] | None = None
) -> list[Shard]:
    """Read objects, and lay them into as many jobs as it takes; nothing is written.

    :param ask: see `InputPreparer`.
    """

    def measured(source: SourceObject) -> Measured:
        with open_object(fs, source.uri) as stream:
            return measure(stream, limits, source.uri)

    def asked(source: SourceObject) -> Measured:
        found: Measured = ask(source.uri, measured, source) if ask else measured(source)
        return found

    with ThreadPoolExecutor(_READERS) as readers:
        return make_shards(list(zip(objects, readers.map(asked, objects), strict=True)), limits)
