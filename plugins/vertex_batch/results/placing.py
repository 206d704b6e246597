"""Where a delivery is put, so that it never makes what is at its address worse.

Another delivery is replaced only where `why_kept` finds no reason to keep it. Otherwise the new one is put
beside it, under a name with its run. So is the one that is replaced, if `must_stay` says that it may not be
made again. The files of a delivery and its manifest are replaced together: a delivery first creates a claim,
which only one can hold, decides while it holds it, and at the end renames the claim to the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Self
from urllib.parse import quote

import msgspec

from vertex_batch.errors import ConfigurationError, InputChangedError, TransientError
from vertex_batch.results.comparing import Earlier, Manifest
from vertex_batch.specs.results import FORMATS
from vertex_batch.storage import ObjectStorage

ABANDONED_AFTER = timedelta(minutes=15)
"""A claim is held while objects are renamed, which takes seconds. An older one is of a killed task."""


class DeliveryBusyError(TransientError):
    """Another run is replacing the files of the same address at this moment.

    :param run_id: of the other run; empty: unknown.
    :param new: the delivery that was not written.
    """

    def __init__(self, answers: str, run_id: str, new: Manifest) -> None:
        self.answers, self.run_id = answers, run_id
        next_step = (
            "There is nothing to do: a retry, which Airflow starts by itself," if new.run_id else "A retry"
        )
        super().__init__(
            f"{f'The run {run_id}' if run_id else 'Another run'} is writing its delivery to {answers} at this"
            " moment, so this one was not written yet. It costs nothing, and its answers are safe in the"
            f" outputs of the jobs. {next_step} compares both deliveries when the other one is complete, and"
            " delivers this one."
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
        found = next((suffix for suffix in FORMATS if self.answers.endswith(suffix)), None)
        if found is None:
            raise ConfigurationError(
                f"{self.answers} is not a file that answers can be delivered to",
                f"end its name with one of: {', '.join(FORMATS)}",
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

    def earlier_of(self, manifest: Manifest | None) -> Earlier | None:
        """The delivery of another input that a manifest names, if it is beside this place."""
        named = manifest.earlier if manifest else None
        is_beside = (
            named and named.answers.startswith(f"{self._stem}.") and named.answers.endswith(self.suffix)
        )
        return named if is_beside else None

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


def places(to: DeliveryPlace, new: Manifest, kept: Manifest) -> Iterator[DeliveryPlace]:
    """Where else a delivery may be put: beside its address, under a name with its run.

    :param kept: the delivery that is at its address.
    """
    run = new.run_id or "command_line"
    name = run if new.dag_id in (kept.dag_id, "") else f"{new.dag_id}.{run}"
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
    :param earlier: the delivery of another input that has been moved beside it.
    """

    target: ObjectStorage
    place: DeliveryPlace
    current: Manifest | None
    earlier: Earlier | None = None

    @classmethod
    def acquire(cls, target: ObjectStorage, place: DeliveryPlace, content: bytes, new: Manifest) -> Self:
        """Create the claim, or take over that of an earlier try or of a task that was killed.

        :param content: the manifest of the new delivery.
        :raises DeliveryBusyError: another delivery holds it.
        """
        held = abandoned = None
        if not target.create(place.claim, content):
            claimed = target.read_small(place.claim)
            held = Manifest.read(claimed)
            if held and held.run != new.run:
                if target.age(place.claim) < ABANDONED_AFTER:
                    raise DeliveryBusyError(place.answers, held.run_id, new)
                abandoned = held
            if claimed is not None:  # else its owner has just finished, and the next claim is not ours
                target.remove(place.claim)
            if not target.create(place.claim, content):
                raise DeliveryBusyError(place.answers, held.run_id if held else "", new)
        current = Manifest.read(target.read_small(place.manifest)) or abandoned
        return cls(target, place, current, place.earlier_of(held) or place.earlier_of(current))

    def release(self) -> None:
        """Leave the place as it is."""
        self.target.remove(self.place.claim)

    def copy_beside(self, new: Manifest) -> Earlier | None:
        """Copy the delivery that is there to a place beside it; None if there is none with a manifest.

        It stays where it is, so that a task that is killed here leaves it as it was.
        """
        content = self.target.read_small(self.place.manifest)
        if content is None or self.current is None:
            return None
        for beside in places(self.place, self.current, new):
            copied = msgspec.json.format(_renamed(content, beside), indent=2) + b"\n"
            if self.target.read_small(beside.manifest) not in (None, copied):
                continue
            names = zip(self.place.files().values(), beside.files().values(), strict=True)
            for uri, to in names:
                self.target.copy(uri, to)
            self.target.write(beside.manifest, [copied])
            return Earlier(beside.answers, *self.current.run, self.current.delivered)
        return None

    def put(self, written: dict[str, str], content: bytes) -> None:
        """Replace what is there, unless another run has taken the claim over since: this one stood still.

        A task that is killed here leaves the claim, so that another run knows whose files these are. A retry
        puts them all again.

        :param written: the URIs of the new files, by the names of their places.
        :param content: the manifest.
        :raises DeliveryBusyError: another run holds the claim.
        """
        held, mine = Manifest.read(self.target.read_small(self.place.claim)), Manifest.read(content)
        if mine and (held is None or held.run != mine.run):
            raise DeliveryBusyError(self.place.answers, held.run_id if held else "", mine)
        self.target.write(self.place.claim, [content])
        self.target.remove(self.place.manifest)
        for name, uri in self.place.files().items():
            if name in written:
                self.target.move(written[name], uri)
            else:
                self.target.remove(uri)
        self.target.move(self.place.claim, self.place.manifest)


@contextmanager
def alone_at(target: ObjectStorage, to: DeliveryPlace, new: Manifest) -> Iterator[None]:
    """Let an object of a delivery that changes or vanishes while it is read or moved say that another run is
    delivering to the same address. None of these objects is an input.

    :raises DeliveryBusyError: one did. A retry compares what is there then.
    """
    try:
        yield
    except (InputChangedError, FileNotFoundError) as error:
        found: Manifest | None = None
        for uri in (to.claim, to.manifest):
            with suppress(InputChangedError):  # the other run is still at work
                found = found or Manifest.read(target.read_small(uri))
        run_id = found.run_id if found and found.run != new.run else ""
        raise DeliveryBusyError(to.answers, run_id, new) from error


def _renamed(manifest: bytes, place: DeliveryPlace) -> bytes:
    """The content of a manifest for the same files in another place."""
    found: dict[str, Any] = msgspec.json.decode(manifest)
    files = found.get("files")
    for name, uri in place.files().items():
        if isinstance(files, dict) and isinstance(files.get(name), dict):
            files[name]["file"] = uri.rpartition("/")[2]
    return msgspec.json.encode(found)
