"""An independent account of the outputs: what became of every row, and what the answers cost.

It shares nothing with the package: plain ``json``, prices as a person read them, and the keys that the rows
of the night have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

PROCESSES = 2
# Batch prices of gemini-3.1-flash-lite in a region, in USD for a million tokens. A person read them from the
# price list of Google. Unlike those of Gemini 3.8 Flash, they are not about to change.
INPUT, CACHED, OUTPUT = Decimal("0.1375"), Decimal("0.01375"), Decimal("0.825")


@dataclass(frozen=True)
class Account:
    """What became of the rows of an input.

    :param missing: rows of the input that are not in the output.
    :param repeated: rows that are in the output more than once.
    """

    rows: int
    answered: int
    failed: int
    unreadable: int
    missing: int
    repeated: int
    amount_usd: Decimal

    @property
    def balanced(self) -> bool:
        """Whether every row of the input has exactly one end."""
        ends = self.answered + self.failed + self.unreadable + self.missing
        return self.rows == ends and not self.repeated


@dataclass
class _File:
    answered: int = 0
    failed: int = 0
    unreadable: int = 0
    prompt: int = 0
    cached: int = 0
    written: int = 0
    seen: bytes = b""
    repeated: int = 0

    @property
    def amount_usd(self) -> Decimal:
        micro_usd = (self.prompt - self.cached) * INPUT + self.cached * CACHED + self.written * OUTPUT
        return micro_usd / 1_000_000


def account(files: Iterable[Path], rows: int) -> Account:
    """Read output files.

    :param rows: rows of the input, with the keys from 0 on.
    """
    files = list(files)
    if len(files) == 1:
        found = [_read(files[0], rows)]
    else:
        with ProcessPoolExecutor(PROCESSES) as pool:
            found = list(pool.map(_read, files, [rows] * len(files)))
    answered, failed, unreadable, repeated = (
        sum(getattr(file, name) for file in found)
        for name in ("answered", "failed", "unreadable", "repeated")
    )
    known = answered + failed
    distinct = _distinct([file.seen for file in found], rows)
    return Account(
        rows=rows,
        answered=answered,
        failed=failed,
        unreadable=unreadable,
        missing=rows - distinct - unreadable,
        repeated=repeated + max(0, known - repeated - distinct),
        amount_usd=sum((file.amount_usd for file in found), Decimal(0)),
    )


def account_of_rounds(files: Iterable[Path], rows: int) -> Account:
    """Read the output files of a job and of those that ran rows of it again.

    Each row ends as its answer; a failure counts only if no file has an answer. A second answer is a
    repetition: it was paid for twice.

    :param rows: rows of the input, with the keys from 0 on.
    """
    answered, failed, counts = bytearray(rows), bytearray(rows), _File()
    for path in files:
        with path.open("rb") as lines:
            for row in map(json.loads, lines):
                number = int(row["key"])
                if row["status"]:
                    failed[number] = 1
                    continue
                counts.repeated += answered[number]
                answered[number] = 1
                _count(counts, row)
    only_failed = sum(bad and not good for bad, good in zip(failed, answered, strict=True))
    return Account(
        rows=rows,
        answered=counts.answered,
        failed=only_failed,
        unreadable=0,
        missing=rows - sum(answered) - only_failed,
        repeated=counts.repeated,
        amount_usd=counts.amount_usd,
    )


def _distinct(seen: list[bytes], rows: int) -> int:
    """How many different keys were seen; each file has a byte for every key."""
    together = 0
    for flags in seen:
        together |= int.from_bytes(flags)
    return together.to_bytes(rows or 1).count(1)


def _read(path: Path, rows: int) -> _File:
    file, seen = _File(), bytearray(rows)
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                number = int(row["key"])
            except (ValueError, KeyError, TypeError):
                file.unreadable += 1
                continue
            file.repeated += seen[number]
            seen[number] = 1
            _count(file, row)
    file.seen = bytes(seen)
    return file


def _count(file: _File, row: dict[str, Any]) -> None:
    if row["status"]:
        file.failed += 1
        return
    usage = row["response"]["usageMetadata"]
    file.answered += 1
    file.prompt += usage["promptTokenCount"]
    file.cached += usage.get("cachedContentTokenCount", 0)
    file.written += usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
