"""What is wrong with a spec, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vertex_batch.errors import PermanentError, scrub

KeyPath = tuple[str | int, ...]
TEXT, MAPPING, NOTHING = "<text>", "<mapping>", "<nothing>"
"""Kinds of a value that has several. pydantic adds them to its paths, but they are not in the file."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem in a spec.

    :param line: counted from 1, as editors do; so is ``column``.
    :param path: the key within the file, such as ``labels.team`` or ``inputs[0]``; empty for the whole file.
    :param file: the file with the problem if it is not the spec's own, such as its defaults.
    """

    line: int
    column: int
    path: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{self.line}:{self.column}: {scrub(what)}"


class SpecError(PermanentError):
    """Every problem of one spec file, one per line as ``file:line:col: path: message``.

    Nothing was submitted. A retry changes nothing until the file is fixed.
    """

    def __init__(self, file: str | Path, problems: Iterable[Problem]) -> None:
        self.file = str(file)
        own = (replace(each, file="") if each.file == self.file else each for each in problems)
        self.problems = sorted(own, key=lambda problem: (problem.file, problem))
        super().__init__(self.file, self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{problem.file or self.file}:{problem}" for problem in self.problems)


class BrokenSpecsError(PermanentError):
    """Every broken spec of a folder, so that one import error shows them all."""

    def __init__(self, errors: Sequence[SpecError]) -> None:
        self.errors = list(errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.errors), "The DAGs of all other specs are not affected."])


def show_path(path: KeyPath) -> str:
    """Write a key path as people do: ``labels.team``, ``inputs[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:80]}" if text else part[:80]
    return text


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word: ``; did you mean `inputs`?``, or nothing."""
    nearest = difflib.get_close_matches(text[:80], list(known), n=1, cutoff=0.6)
    return f"; did you mean `{nearest[0]}`?" if nearest else ""
