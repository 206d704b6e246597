"""Where a delivery is put, so that it never makes what is at its address worse.

Another delivery is replaced only where `why_kept` finds no reason to keep it. Otherwise the new one is put
beside it, under a name with its run. The files of a delivery and its manifest are replaced together: a
delivery first creates a claim, which only one can hold, decides while it holds it, and at the end renames the
claim to the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Self
from urllib.parse import quote

import msgspec

from vertex_batch.errors import ConfigurationError, TransientError
from vertex_batch.results.types import Reason
from vertex_batch.storage import ObjectStorage

SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl", ".csv")
"""The formats, by how the name of the file ends."""
ABANDONED_AFTER = timedelta(minutes=15)
"""A claim is held while objects are renamed, which takes seconds. An older one is of a killed task."""


class DeliveryBusyError(TransientError):
    """Another run is replacing the files of the same address at this moment."""

    def __init__(self, answers: str, run_id: str) -> None:
        self.answers, self.run_id = answers, run_id
        super().__init__(
            f"The run {run_id} is writing its delivery to {answers} at this moment, so this one was"
            " not written. It costs nothing, and its answers are safe in the outputs of the jobs. A retry"
            " compares both deliveries when the other one is complete."
        )


@dataclass(frozen=True, slots=True)
class DeliveryPlace:
    """The files of a delivery.

    >>> DeliveryPlace("gs://b/d/answers.jsonl.gz").exceptions
    'gs://b/d/answers.exceptions.jsonl.gz'

    :param answers: the URI that the spec names.
    """

    answers: str

    @property
    def suffix(self) -> str:
        """How the files end, which decides their format.

        :raises ConfigurationError: it is none of the known formats.
        """
        found = next((suffix for suffix in SUFFIXES if self.answers.endswith(suffix)), None)
        if found is None:
            raise ConfigurationError(
                f"{self.answers} is not a file that answers can be delivered to",
                f"end its name with one of: {', '.join(SUFFIXES)}",
            )
        return found

    @property
    def exceptions(self) -> str:
        """The input rows without a good answer."""
        return f"{self._stem}.exceptions{self.suffix}"

    @property
    def extra(self) -> str:
        """Output rows that belong to no input row; written only if there are any."""
        return f"{self._stem}.extra{self.suffix}"

    @property
    def manifest(self) -> str:
        """The file that says that the others are complete."""
        return f"{self.answers}._SUCCESS.json"

    @property
    def claim(self) -> str:
        """The manifest of a delivery that is being put here."""
        return temporary(self.manifest)

    def files(self) -> dict[str, str]:
        """The URIs of the files but for the manifest, by their names in it."""
        return {"answers": self.answers, "exceptions": self.exceptions, "extra": self.extra}

    def beside(self, name: str) -> DeliveryPlace:
        """The place beside this one with a name of its own.

        >>> DeliveryPlace("gs://b/d/answers.csv").beside("manual__2026-11-28T02:00:00+00:00").answers
        'gs://b/d/answers.manual__2026-11-28T02:00:00+00:00.csv'
        """
        return DeliveryPlace(f"{self._stem}.{quote(name, safe=':+')}{self.suffix}")

    def without(self, name: str) -> DeliveryPlace | None:
        """The place beside which this one is; None if it does not have the name.

        >>> DeliveryPlace("gs://b/d/answers.night.2.csv").without("night").answers
        'gs://b/d/answers.csv'
        """
        found = re.fullmatch(rf"(.+)\.{re.escape(quote(name, safe=':+'))}(\.\d+)?", self._stem)
        return DeliveryPlace(f"{found[1]}{self.suffix}") if found else None

    @property
    def _stem(self) -> str:
        return self.answers.removesuffix(self.suffix)


class Manifest(msgspec.Struct, frozen=True):
    """What the manifest of a delivery says, as far as it decides whether another one may replace it.

    :param run_id: empty for a delivery of the command line.
    :param run_date: the day of the run; empty for deliveries of older versions.
    :param input_is_chosen: the run was triggered with another input than its spec names.
    """

    dag_id: str = ""
    run_id: str = ""
    run_date: str = ""
    input_is_chosen: bool = False
    delivered: int = 0
    exceptions_by_reason: dict[str, int] = {}
    jobs: list[str] = []

    @classmethod
    def read(cls, content: bytes | None) -> Self | None:
        """Parse a manifest; None if there is none, or if it was written by something else."""
        try:
            return msgspec.json.decode(content or b"", type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    @property
    def run(self) -> tuple[str, str]:
        """The run that has made the delivery."""
        return self.dag_id, self.run_id

    @property
    def is_whole(self) -> bool:
        """Whether the jobs have returned every input row, so that the run was not cut short."""
        return self.delivered > 0 and not self.exceptions_by_reason.get(Reason.MISSING)

    def __str__(self) -> str:
        owner = f"the delivery of the run {self.run_id}" if self.run_id else "a delivery of the command line"
        return f"{owner}, which has {self.delivered:,} answers"


def why_kept(earlier: Manifest | None, new: Manifest) -> str | None:
    """Explain why a delivery is not replaced by another one; None if it may be replaced. Pure.

    A delivery of the same jobs and more contains every answer of the earlier one, as far as today's settings
    accept it: the same run's again, or one that has sent rows of the earlier run again. An address without
    the date has the latest day whose jobs have returned every row.

    :param earlier: what is at the address; None if there is none that can be read.
    """
    if earlier is None or _contains(new, earlier):
        return None
    if new.input_is_chosen and not earlier.input_is_chosen:
        return "this run was triggered with another input than its spec names"
    if earlier.run_date and new.run_date:  # they differ only where the address has no date
        if new.run_date < earlier.run_date:
            return f"this one is of an earlier day, {new.run_date} and not {earlier.run_date}"
        if new.run_date > earlier.run_date and new.is_whole:
            return None
    if new.delivered < earlier.delivered:
        return f"this one has only {new.delivered:,}"
    missing = new.exceptions_by_reason.get(Reason.MISSING, 0)
    is_shorter = missing and earlier.is_whole
    return f"the jobs of this one did not return {missing:,} of its rows" if is_shorter else None


def _contains(new: Manifest, earlier: Manifest) -> bool:
    """Whether a delivery was made of all jobs of an earlier one. The command line knows no jobs."""
    return set(earlier.jobs) <= set(new.jobs) if earlier.jobs else earlier.run == new.run


def places(to: DeliveryPlace, new: Manifest, kept: Manifest) -> Iterator[DeliveryPlace]:
    """Where else a delivery may be put: beside its address, under a name with its run.

    :param kept: the delivery that is at its address.
    """
    name = new.run_id if new.dag_id == kept.dag_id else f"{new.dag_id}.{new.run_id}"
    yield to.beside(name)
    for number in count(2):  # of a run that was cleared and submitted again, with fewer answers
        yield to.beside(f"{name}.{number}")


def temporary(uri: str, owner: Manifest | None = None) -> str:
    """The name under which a file is written before it is put in its place.

    :param owner: the delivery, if several may be written at the same time.
    """
    folder, _, name = uri.rpartition("/")
    run = "".join(f"{quote(part, safe=':+')}." for part in (owner.run if owner else ()) if part)
    return f"{folder}/_writing.{run}{name}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to replace the files of one place.

    :param current: the delivery that is there, or that was there when a killed task had begun to replace it.
    """

    target: ObjectStorage
    place: DeliveryPlace
    current: Manifest | None

    @classmethod
    def acquire(cls, target: ObjectStorage, place: DeliveryPlace, content: bytes, new: Manifest) -> Self:
        """Create the claim, or take over that of an earlier try or of a task that was killed.

        :param content: the manifest of the new delivery.
        :raises DeliveryBusyError: another delivery holds it.
        """
        abandoned = None
        if not target.create(place.claim, content):
            held = Manifest.read(target.read_small(place.claim))
            if held and held.run != new.run:
                if target.age(place.claim) < ABANDONED_AFTER:
                    raise DeliveryBusyError(place.answers, held.run_id)
                abandoned = held
            target.remove(place.claim)
            if not target.create(place.claim, content):
                raise DeliveryBusyError(place.answers, held.run_id if held else "")
        return cls(target, place, Manifest.read(target.read_small(place.manifest)) or abandoned)

    def release(self) -> None:
        """Leave the place as it is."""
        self.target.remove(self.place.claim)

    def put(self, written: dict[str, str]) -> None:
        """Replace what is there.

        A task that is killed here leaves the claim, so that another run knows whose files these are. A retry
        puts them all again.

        :param written: the URIs of the new files, by the names of their places.
        """
        self.target.remove(self.place.manifest)
        for name, uri in self.place.files().items():
            if name in written:
                self.target.move(written[name], uri)
            else:
                self.target.remove(uri)
        self.target.move(self.place.claim, self.place.manifest)
