"""Write a delivery: the answers, the exceptions, and a manifest that is written last.

Each file is written under a temporary name and then renamed, so that a reader never sees a part of one. A
reader who wants answers and exceptions of the same delivery waits for the manifest, which names both with
their sizes and digests. Doing it twice with the same rows writes nothing. `placing` decides where it is put.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vertex_batch.costs.money import in_full
from vertex_batch.errors import ConfigurationError
from vertex_batch.results.comparing import Earlier, Manifest, must_stay, why_kept
from vertex_batch.results.delivery_rows import write_rows
from vertex_batch.results.joining import JoinedRows
from vertex_batch.results.placing import Claim, DeliveryPlace, alone_at, places, temporary
from vertex_batch.results.types import SHOWN, Counts
from vertex_batch.storage import ObjectStorage, blocks_of

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """A delivery that is in its place.

    :param manifest: the content of the manifest.
    :param changed: whether anything was written; False if the same delivery was there.
    :param replaced: the delivery of another run that was there before.
    :param kept: the delivery at the address `to`, if it was kept and this one is beside it; likewise
        `why_kept`.
    :param earlier: the delivery of another input that was there before, and is now beside this one.
    """

    place: DeliveryPlace
    manifest: Mapping[str, Any]
    changed: bool
    replaced: Manifest | None = None
    kept: Manifest | None = None
    why_kept: str = ""
    earlier: Earlier | None = None

    @property
    def better(self) -> Manifest | None:
        """The delivery at the address, if it was kept and answers at least as many rows of the same input."""
        new = msgspec.convert(self.manifest, Manifest)
        is_better = self.kept and not new.has_other_input(self.kept) and self.kept.delivered >= new.delivered
        return self.kept if is_better else None


def deliver(
    joined: JoinedRows, to: str, target: ObjectStorage, facts: Mapping[str, object], *, replace: bool = False
) -> DeliveryOutcome:
    """Write the delivery of a join: to its address, or beside a better one that is there; see `why_kept`.

    :param to: the URI of the answers; its ending is the format.
    :param facts: further facts for the manifest, such as the run, its jobs and the bill. They must be the
        same each time: no times.
    :param replace: a person wants what is there to be replaced, whatever it is.
    :raises ConfigurationError: `to` does not end like a known format, its folder does not exist and cannot be
        made, or the delivery is of no run and would replace a better one.
    :raises DeliveryBusyError: another run is writing to the same address.
    :raises StorageAccessError: the connection may not write there.
    """
    first = DeliveryPlace(to)
    files = _Files(joined, target, first, facts)
    with alone_at(target, first, files.new):
        return _put_where_it_may_be(files, first, replace=replace)


def _put_where_it_may_be(files: _Files, first: DeliveryPlace, *, replace: bool) -> DeliveryOutcome:
    place, kept, reason = first, None, ""
    others: Iterator[DeliveryPlace] = iter(())
    while True:
        if files.is_in(place):
            found = files.manifest(place)
            return DeliveryOutcome(
                place, found, changed=False, kept=kept, why_kept=reason, earlier=files.earlier
            )
        current, why = files.put(place, replace=replace)
        if why is None or current is None:
            is_other_run = current is not None and bool(current.run_id) and current.run != files.new.run
            replaced = current if is_other_run and not files.has_moved else None
            return DeliveryOutcome(place, files.manifest(place), True, replaced, kept, reason, files.earlier)
        if kept is None:
            kept, reason, others = current, why, places(first, files.new, current)
        if not files.new.run_id:
            files.discard()
            raise ConfigurationError(
                f"{first.answers} was not replaced: there is {kept}, and {reason}. Nothing was written",
                "write to another file, or repeat the command with `--replace`",
            )
        place = next(others)


class _Files:
    """The files of one delivery: on the local disk, then under temporary names in the store.

    :param earlier: see `Manifest`, of the place that was looked at last.
    :param has_moved: whether a delivery that was there has been moved beside it.
    """

    def __init__(
        self, joined: JoinedRows, target: ObjectStorage, first: DeliveryPlace, facts: Mapping[str, object]
    ) -> None:
        self._target, self._first = target, first
        self._local: dict[str, Path] = {}
        self._described: dict[str, dict[str, object]] = {}
        self._uploaded: dict[str, str] = {}
        self.earlier: Earlier | None = None
        self.has_moved = False
        self._facts = {
            "version": MANIFEST_VERSION,
            **_numbers(joined.counts),
            "input_digest": joined.input_digest,
            "input_uris_digest": joined.input_uris_digest,
            **facts,
        }
        self.new = msgspec.convert(self._facts, Manifest)
        for name in first.files():
            if name == "extra" and not joined.counts.extra_rows:
                continue
            path = self._local[name] = joined.work / f"{name}{first.suffix}"
            rows = write_rows(joined, name, path, first.suffix)
            size = path.stat().st_size
            self._described[name] = {"rows": rows, "bytes": size, "sha256": _digest(path)}

    def manifest(self, place: DeliveryPlace) -> dict[str, Any]:
        uris = place.files()
        files = {name: {"file": _name(uris[name]), **facts} for name, facts in self._described.items()}
        earlier = {"earlier": msgspec.to_builtins(self.earlier)} if self.earlier else {}
        return {**self._facts, **earlier, "files": files}

    def is_in(self, place: DeliveryPlace) -> bool:
        """Whether this very delivery is in a place, with all its files."""
        content = self._target.read_small(place.manifest)
        self.earlier = place.earlier_of(Manifest.read(content))
        if content != self._content(place):
            return False
        uris = place.files()
        found = self._target.look_up([uris[name] for name in self._local])
        sizes = [path.stat().st_size for path in self._local.values()]
        return all(each and each.size == size for each, size in zip(found, sizes, strict=True))

    def put(self, place: DeliveryPlace, *, replace: bool) -> tuple[Manifest | None, str | None]:
        """Put them in a place, unless a better delivery is there.

        :returns: the delivery that was or is there, and why it was kept.
        """
        current = Manifest.read(self._target.read_small(place.manifest))
        if not replace and (why := why_kept(current, self.new)):
            return current, why
        self._upload()
        try:
            claim = Claim.acquire(self._target, place, self._content(place), self.new)
            current = claim.current
            why = None if replace else why_kept(current, self.new)
            if not why:
                must_move = current and not replace and must_stay(current, self.new)
                moved = claim.copy_beside(self.new) if must_move else None
                self.earlier, self.has_moved = moved or claim.earlier, moved is not None
        except BaseException:
            self.discard()
            raise
        if why:  # another run was quicker
            claim.release()
        else:
            claim.put(self._uploaded, self._content(place))
        return current, why

    def discard(self) -> None:
        """Remove what was written under temporary names."""
        for uri in self._uploaded.values():
            with suppress(Exception):  # the first error is the one to report
                self._target.remove(uri)

    def _upload(self) -> None:
        if self._uploaded:
            return
        uris = self._first.files()
        self._uploaded = {name: temporary(uris[name], self.new) for name in self._local}
        try:
            for name, path in self._local.items():
                self._target.write(self._uploaded[name], blocks_of(path))
        except BaseException as error:
            self.discard()
            if isinstance(error, FileNotFoundError):
                raise ConfigurationError(
                    f"The delivery cannot be written: {error}", "write it to a folder that exists"
                ) from error
            raise

    def _content(self, place: DeliveryPlace) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self.manifest(place)), indent=2) + b"\n"


def _numbers(counts: Counts) -> dict[str, object]:
    unusual = {
        "added_objects": len(counts.added),
        "added": list(counts.added[:SHOWN]),
        "rewritten_objects": len(counts.rewritten),
        "rows_without_key": counts.rows_without_key,
        "other_prompts": counts.other_prompts,
        "perhaps_added": dict(list(counts.doubtful.items())[:SHOWN]),
    }
    return {
        "input_rows": counts.input_rows,
        "delivered": counts.delivered,
        "exceptions": counts.exception_rows,
        "exceptions_by_reason": {str(reason): n for reason, n in counts.exceptions.items()},
        "extra_rows": {str(kind): n for kind, n in counts.extra_rows.items()},
        "copied_rows": counts.copied_rows,
        "rows_cost_usd": in_full(counts.cost_usd),
        "rows_cost_complete": counts.cost_complete,
        **{name: value for name, value in unusual.items() if value},
    }


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]
