"""Defaults for the specs of a folder: ``_defaults.yaml``, for that folder and the folders below it.

The nearest file wins, and the spec overrides all of them. A problem of a value in such a file is reported
there, once, however many specs use it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from vertex_batch.specs.document import read_document
from vertex_batch.specs.jobs_key import JOBS
from vertex_batch.specs.matrix import MATRIX
from vertex_batch.specs.origins import Origin, Values
from vertex_batch.specs.problems import Problem, SpecError

DEFAULTS_FILE = "_defaults.yaml"
_OWN_KEYS = ("name", "description", JOBS, MATRIX)


class Defaults:
    """The defaults of a folder and of the folders in it. Each file is read once.

    :param root: the topmost folder to search.
    :param read: returns the text of a file.
    """

    def __init__(self, root: Path, read: Callable[[Path], str]) -> None:
        self._root, self._read = root, read
        self._known: dict[Path, tuple[Values | None, list[Problem]]] = {}

    def of(self, spec: Path) -> tuple[Values | None, list[Problem]]:
        """Return the defaults of a spec, and the problems in their files."""
        folder = spec.parent
        if folder not in self._known:
            self._known[folder] = self._of_folder(folder)
        return self._known[folder]

    def _of_folder(self, folder: Path) -> tuple[Values | None, list[Problem]]:
        above, problems = None, list[Problem]()
        if folder != self._root and self._root in folder.parents:
            above, problems = self.of(folder)
        here = self._of_file(folder / DEFAULTS_FILE, problems := [*problems])
        if here and above:
            return here.over(above), problems
        return here or above, problems

    def _of_file(self, path: Path, problems: list[Problem]) -> Values | None:
        if not path.exists():
            return None
        try:
            document = read_document(self._read(path))
        except SpecError as error:
            problems += [replace(each, file=str(path)) for each in error.problems]
            return None
        problems += [replace(each, file=str(path)) for each in document.problems]
        if not isinstance(document.data, dict):
            if document.readable:
                message = "must contain keys and values for all specs of this folder"
                problems.append(Problem(1, 1, "", message, str(path)))
            return None
        values = Values.of(document.data, Origin(path, document))
        for key in _OWN_KEYS:
            if key in document.data:
                message = "cannot be a default: each spec has its own"
                problems.append(values.origin((key,)).problem(message, key=True))
        return values.only(_OWN_KEYS, without=True)


def shown_once(errors: Iterable[SpecError]) -> Iterator[SpecError]:
    """Move the problems of defaults from the specs that use them to an error of their own file."""
    specs: dict[Problem, list[str]] = defaultdict(list)
    for error in errors:
        for problem in error.problems:
            if problem.file:
                specs[problem].append(error.file)
        if own := [problem for problem in error.problems if not problem.file]:
            yield SpecError(error.file, own)
    by_file: dict[str, list[Problem]] = defaultdict(list)
    for problem, taken_by in specs.items():
        text = f"{problem.message}; no DAG is created for {_names(taken_by)}"
        by_file[problem.file].append(replace(problem, message=text))
    for file, problems in by_file.items():
        yield SpecError(file, problems)


def _names(files: list[str], shown: int = 3) -> str:
    names = ", ".join(files[:shown])
    more = len(files) - shown
    return f"{names} and {more} more, which use it" if more > 0 else f"{names}, which uses it"
