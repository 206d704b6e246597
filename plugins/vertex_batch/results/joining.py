"""Join the outputs of a run to its inputs."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.results.costing import JobPrices
from vertex_batch.results.engine import TABLES, open_database
from vertex_batch.results.input_rows import PROMPTS_CHECKED, InputLoader, input_lines, values_of
from vertex_batch.results.keys import part_of_digest, whole_digest
from vertex_batch.results.later_inputs import (
    JobInput,
    ObjectRows,
    added_objects,
    may_be_added,
    newer_objects,
    readers,
    staged_uris,
)
from vertex_batch.results.matching import match
from vertex_batch.results.output_rows import OutputLoader
from vertex_batch.results.spool import Spool
from vertex_batch.results.types import AttemptOutput, Counts, ExtraKind, Reason, ResultSettings
from vertex_batch.storage import ObjectStorage, SourceObject, as_storage, without_duplicates
from vertex_batch.vertex.names import JobId

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FINAL = f"""
CREATE VIEW outcomes AS
SELECT seq, id, CASE WHEN id IS NULL THEN '{Reason.MISSING}' ELSE o.reason END AS reason
FROM input_rows LEFT JOIN chosen USING (seq) LEFT JOIN (SELECT id, reason FROM output_rows) o USING (id)
"""  # noqa: S608 - our own names
_ROWS_OF_FILES = (
    "SELECT uri, count(*), count(chosen.id)"
    " FROM input_rows JOIN files USING (file) LEFT JOIN chosen USING (seq) GROUP BY uri"
)
_FIRST_OF_REASON = (
    "SELECT uri, line FROM outcomes JOIN input_rows USING (seq) JOIN files USING (file)"
    " WHERE reason = $reason ORDER BY seq LIMIT 1"
)


class JoinedRows:
    """The rows of a run, joined.

    :param counts: the numbers; input rows = delivered + exceptions.
    :param input_digest: of the rows of the input, the same in any order and in any objects.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        spool: Spool,
        settings: ResultSettings,
        *,
        work: Path,
        store: ObjectStorage,
        objects: Sequence[SourceObject],
        input_digest: str,
        added: Collection[SourceObject] = (),
        newer: Sequence[SourceObject] = (),
        doubtful: Mapping[str, int] | None = None,
    ) -> None:
        self.connection, self.spool, self.settings, self.work = connection, spool, settings, work
        self._store, self._objects = store, objects
        self.input_digest = input_digest
        self.counts = replace(
            _count(connection),
            added=tuple(each.uri for each in added),
            rewritten=tuple(each.uri for each in newer if each not in added),
            doubtful=doubtful or {},
        )
        (self.has_embeddings,) = connection.execute(
            "SELECT coalesce(bool_and(is_embedding), false) FROM output_rows WHERE answer_start IS NOT NULL"
        ).fetchall()[0]

    @property
    def input_uris_digest(self) -> str:
        """The digest of the names of the input's objects."""
        return whole_digest(part_of_digest(each.uri.encode()) for each in self._objects)

    def rows_to_send_again(self, reasons: Collection[Reason]) -> Iterator[bytes]:
        """Yield the input rows with these reasons: whole lines as in the input, in its order.

        The inputs are read again.

        :raises InputChangedError: an input was overwritten since it was joined.
        """
        found = self.connection.cursor().execute(
            "SELECT seq FROM outcomes WHERE reason IN (SELECT unnest($reasons)) ORDER BY seq",
            {"reasons": [str(reason) for reason in reasons]},
        )
        wanted = values_of(found)
        following = next(wanted, None)
        if following is None:
            return
        for seq, each in enumerate(input_lines(self._store, self._objects), 1):
            if seq == following:
                yield each.data if each.data.endswith(b"\n") else each.data + b"\n"
                if (following := next(wanted, None)) is None:
                    return


@contextmanager
def join(
    inputs: Sequence[str],
    attempts: Sequence[AttemptOutput],
    settings: ResultSettings,
    *,
    store: ObjectStorage | Any,
    work: Path,
    prices: Mapping[JobId | None, JobPrices] | None = None,
    jobs: Sequence[JobInput] = (),
    counted: int | None = None,
) -> Iterator[JoinedRows]:
    """Join the outputs of all attempts to the inputs. Memory does not grow with the rows; disk does.

    :param inputs: the URIs that the first attempt was submitted for, wildcards allowed, in order. Not those
        of retries, whose rows are among them.
    :param attempts: the outputs of all jobs, in any order.
    :param store: an object store, or an fsspec file system, with inputs and outputs.
    :param work: a folder on a local disk for this join alone; it is removed at the end.
    :param prices: what the rows of each job cost; without them costs are unknown.
    :param jobs: those that have read the inputs, but not retries of rows. Objects that were added after they
        were created are left out. Without them every object counts.
    :param counted: the rows of the inputs when these jobs were submitted; None if they were not counted.
    :raises InputMissingError: an input no longer exists.
    :raises OutputMissingError: an output does not exist, or holds no rows.
    :raises ConfigurationError: DuckDB is not installed, or the schema of the answers is not valid.
    """
    storage, jobs = as_storage(store), readers(jobs)
    objects = without_duplicates(storage.find(inputs))
    staged = storage.look_up(staged_uris(objects, jobs))
    newer = newer_objects(objects, jobs, staged)
    possible = newer_objects(objects, jobs, staged, timedelta(0))
    added: Collection[SourceObject] = ()
    doubtful: Mapping[str, int] = {}
    load = _Loading(storage, settings, sorted(attempts, key=lambda each: each.attempt), prices or {})
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        if candidates := dict.fromkeys(may_be_added(possible, objects, jobs)):
            # Last, so that none of their rows takes the answer to an equal row that a job has read.
            trial = [*(each for each in objects if each not in candidates), *candidates]
            with load.joined(work / "newer", trial) as (connection, _, _):
                unknown = _count(connection).extra_rows.get(ExtraKind.UNKNOWN, 0)
                found = connection.execute(_ROWS_OF_FILES).fetchall()
            shutil.rmtree(work / "newer")
            listed = {uri: ObjectRows(rows, with_output) for uri, rows, with_output in found}
            added, doubtful = added_objects(candidates, newer, listed, counted=counted, unknown_rows=unknown)
            objects = [each for each in objects if each not in added]
        connection, spool, input_digest = stack.enter_context(load.joined(work, objects))
        yield JoinedRows(
            connection,
            spool,
            settings,
            work=work,
            store=storage,
            objects=objects,
            input_digest=input_digest,
            added=added,
            newer=newer,
            doubtful=doubtful,
        )


@dataclass(frozen=True, slots=True)
class _Loading:
    """Loads all rows into a database of their own, and matches them."""

    store: ObjectStorage
    settings: ResultSettings
    attempts: Sequence[AttemptOutput]
    prices: Mapping[JobId | None, JobPrices]

    @contextmanager
    def joined(
        self, work: Path, objects: Sequence[SourceObject]
    ) -> Iterator[tuple[DuckDBPyConnection, Spool, str]]:
        with closing(open_database(work)) as connection, closing(Spool(work / "texts")) as spool:
            connection.execute(TABLES)
            loader = InputLoader(connection, self.store, self.settings, spool)
            rows = loader.load(objects)
            shared = loader.add_digests(objects)
            outputs = OutputLoader(
                connection,
                self.store,
                self.settings,
                spool,
                shared=shared,
                first_file=len(objects),
                checks_all=rows <= PROMPTS_CHECKED,
            )
            for each in self.attempts:
                outputs.load(each, self.prices.get(each.job, JobPrices()))
            outputs.flush()
            files = [*enumerate(each.uri for each in objects), *outputs.named]
            if files:
                connection.executemany("INSERT INTO files VALUES (?, ?)", [list(each) for each in files])
            match(connection, keys_are_shared=shared != frozenset())
            connection.execute(FINAL)
            yield connection, spool, loader.digest


def _count(connection: DuckDBPyConnection) -> Counts:
    reasons = dict(
        connection.execute(
            "SELECT reason, count(*) FROM outcomes GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
    )
    extra = connection.execute("SELECT kind, count(*) FROM extra GROUP BY kind ORDER BY 2 DESC, 1").fetchall()
    copied, usd, complete, unpriced, keyless = connection.execute(
        "SELECT (SELECT count(*) FROM copied), coalesce(sum(cost), 0),"
        " coalesce(bool_and(coalesce(cost_complete, false)), true),"
        " count(*) FILTER (model IS NOT NULL AND NOT cost_complete),"
        " (SELECT count(*) FROM input_rows WHERE key IS NULL) FROM output_rows"
    ).fetchall()[0]
    checked, other = connection.execute(
        "SELECT count(*), count(*) FILTER ((i.a, i.b) <> (o.a, o.b)) FROM chosen"
        " JOIN input_prompts i USING (seq) JOIN output_prompts o USING (id)"
    ).fetchall()[0]
    delivered = reasons.pop(None, 0)
    first = connection.execute(_FIRST_OF_REASON, {"reason": next(iter(reasons), None)}).fetchone()
    return Counts(
        input_rows=delivered + sum(reasons.values()),
        delivered=delivered,
        exceptions={Reason(reason): n for reason, n in reasons.items()},
        first_exception=f"{first[0].rpartition('/')[2]}:{first[1]}" if first else "",
        extra_rows={ExtraKind(kind): n for kind, n in extra},
        copied_rows=copied,
        cost_usd=usd,
        cost_complete=complete,
        unpriced_rows=unpriced,
        rows_without_key=keyless,
        checked_prompts=checked,
        other_prompts=other,
    )
