"""Choose N rows of an input at random, the same ones for the same seed. One pass."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from vertex_batch.errors import InputUnusableError

MAX_SAMPLE_ROWS = 10_000
MAX_SAMPLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The chosen rows, in the order of the input.

    :param rows: each with its newline.
    :param of_rows: the number of rows they were chosen from.
    :param lines: the number of the line of each row, from 1, blank lines included.
    """

    rows: tuple[bytes, ...]
    of_rows: int
    lines: tuple[int, ...] = ()


def draw(lines: Iterable[bytes], count: int, seed: int, place: str = "the input") -> Sample:
    """Choose rows so that each has the same chance (reservoir sampling). Blank lines do not count as rows.

    Only `random.Random.random` is used: Python promises for it alone the same numbers in all versions.

    :param lines: with or without their newlines, always in the same order.
    :raises InputUnusableError: the chosen rows are too large for memory.
    """
    chance = random.Random(seed).random  # noqa: S311 - not for a secret
    kept: list[tuple[int, bytes]] = []
    seen = size = 0
    for number, line in enumerate(lines, 1):
        if line.isspace() or not line:
            continue
        seen += 1
        if seen <= count:
            kept.append((number, line))
            size += len(line)
        elif (slot := int(chance() * seen)) < count:
            size += len(line) - len(kept[slot][1])
            kept[slot] = (number, line)
        else:
            continue
        if size > MAX_SAMPLE_BYTES:
            raise InputUnusableError(
                place, f"a sample of {count:,} rows has more than {MAX_SAMPLE_BYTES:,} bytes"
            )
    kept.sort()
    return Sample(tuple(_ended(line) for _, line in kept), seen, tuple(number for number, _ in kept))


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
