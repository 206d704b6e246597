"""Expands the ``matrix:`` of a job into one job per combination of its values, named after them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from vertex_batch.specs.origins import Origin, Values
from vertex_batch.specs.problems import Problem, did_you_mean
from vertex_batch.specs.templates import TEMPLATE_PART
from vertex_batch.specs.values import NAME

MATRIX = "matrix"
JOB_NAME = re.compile(NAME, re.ASCII)
_NO_NAME = re.compile(r"[^a-z0-9]+")


class Choice(NamedTuple):
    """One value of an axis: its part of the job's name, and the keys that it sets."""

    name: str
    sets: Values


class Matrix:
    """The combinations of a job's matrix, and its problems.

    :param values: of the job, with its ``matrix``.
    :param keys: that a job may set.
    """

    def __init__(self, values: Values, keys: Collection[str]) -> None:
        self._values, self._keys = values, keys
        self.problems: list[Problem] = []

    def jobs(self, base: str, most: int) -> dict[str, Values]:
        """Make the jobs, by name; empty if there are problems.

        :param base: the prefix of each name; may be empty.
        :param most: the most jobs.
        """
        written, origin = self._values.data[MATRIX], self._values.origin((MATRIX,))
        if not isinstance(written, Mapping) or not written:
            self._problem(origin, "must be a mapping of keys to values, such as `model: [a, b]`")
            return {}
        axes = [list(self._axis(axis, said, origin.below(axis))) for axis, said in written.items()]
        count = 1
        for axis in axes:
            count *= len(axis)
        if count > most:
            self._problem(origin, f"creates {count} jobs, but a spec may have at most {most}")
        if self.problems:
            return {}
        rest = self._values.only({MATRIX}, without=True)
        made: dict[str, Values] = {}
        for combination in product(*axes):
            name = "_".join([*([base] if base else []), *(choice.name for choice in combination)])
            values = rest
            for choice in combination:
                values = choice.sets.over(values)
            if not JOB_NAME.fullmatch(name):
                self._problem(origin, f"creates a job with the name `{name[:80]}`, but {_NAME_RULE}")
                continue
            made[name] = Values(values.data, {**values.origins, (): self._values.origins[()]})
        return made

    def _axis(self, axis: str, said: object, origin: Origin) -> Iterator[Choice]:
        if axis in self._keys and isinstance(said, list) and said:
            yield from self._unnamed(axis, said, origin)
        elif isinstance(said, Mapping) and said:
            yield from self._named(axis, said, origin)
        elif axis in self._keys:
            self._problem(origin, "must be a list of values, or a mapping of names to values")
        elif isinstance(said, list):
            better = did_you_mean(axis, self._keys) or "; give each value a name: `NAME: {inputs: ...}`"
            self._problem(origin, f"is not a key of a job{better}", key=True)
        else:
            self._problem(
                origin, "must be a mapping of names to what they set, such as `NAME: {inputs: ...}`"
            )

    def _unnamed(self, axis: str, said: list[object], origin: Origin) -> Iterator[Choice]:
        seen: dict[str, int] = {}
        for number, value in enumerate(said):
            here, name = origin.below(number), _name_of(axis, value)
            if not name:
                self._problem(here, f"cannot be used as a job's name: use `{axis}: {{NAME: ...}}`")
            elif name in seen:
                self._problem(
                    here,
                    f"gives its job the same name `{name}` as an earlier value: use `{axis}: {{NAME: ...}}`",
                )
            seen[name] = number
            yield Choice(name, Values({axis: value}, {(): origin, (axis,): here}))

    def _named(self, axis: str, said: Mapping[str, object], origin: Origin) -> Iterator[Choice]:
        for name, value in said.items():
            here = origin.below(name)
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
                self._problem(here, f"`{name[:80]}` is not a valid name: {_NAME_RULE}", key=True)
            if axis in self._keys:
                yield Choice(name, Values({axis: value}, {(): origin, (axis,): here}))
            elif isinstance(value, Mapping):
                yield Choice(name, Values.of(value, here))
            else:
                self._problem(here, f"must be a mapping of keys to values{did_you_mean(axis, self._keys)}")

    def _problem(self, origin: Origin, message: str, *, key: bool = False) -> None:
        self.problems.append(origin.problem(message, key=key))


_NAME_RULE = "names begin with a letter and have at most 63 lowercase letters, digits, `_` and `-`"


def _name_of(axis: str, value: object) -> str:
    """Shorten a value to a part of a job's name.

    >>> _name_of("model", "publishers/google/models/gemini-3.5-flash")
    'gemini-3-5-flash'
    >>> _name_of("inputs", "gs://my-bucket/tickets/{{ run_date }}.jsonl")
    'tickets'
    >>> _name_of("resubmits", 2)
    'resubmits-2'
    """
    if isinstance(value, (int, float)):
        return f"{_NO_NAME.sub('-', axis)}-{_NO_NAME.sub('-', str(value).lower())}"
    if not isinstance(value, str):
        return ""
    path = TEMPLATE_PART.sub("", value).partition("://")[2].partition("/")[2] if "://" in value else value
    parts = [_NO_NAME.sub("-", re.sub(r"\.jsonl?$", "", part.lower())).strip("-") for part in path.split("/")]
    return next((part for part in reversed(parts) if part), "")
