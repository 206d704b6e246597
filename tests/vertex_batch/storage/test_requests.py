"""How many requests a step takes, counted by a proxy before a real object store."""

from __future__ import annotations

import gzip
import itertools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.builders import input_rows
from vertex_batch.billing.outputs import OutputReader
from vertex_batch.budgets import survey_input
from vertex_batch.cli.paths import find_outputs, scan_outputs
from vertex_batch.costs import JobFacts
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import InputPart, JobLimits, StagingPlace
from vertex_batch.inputs.preparation import InputPreparer, shards_of
from vertex_batch.inputs.staging import stage
from vertex_batch.preflight import CheckedRows, RowRules, Subject, inspect
from vertex_batch.usage import ScanOptions

MODEL = "publishers/google/models/gemini-2.5-flash"
ROW = input_rows("hello")
USAGE = b'"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}'
ANSWER = b'{"request": {}, "response": {"responseId": "r", %s}}\n' % USAGE
FILES = 60
MANY = 5
_FOLDERS = itertools.count()


@pytest.fixture
def folder(gcs) -> str:
    """Small files, an archive below them that no step may list, and one output file for each."""
    name = f"gs://rows/many{next(_FOLDERS)}"
    for number in range(FILES):
        gcs.put(f"{name}/in/{number:03}.jsonl", ROW * 3)
        gcs.put(f"{name}/in/archive/{number:03}.jsonl", ROW)
        gcs.put(f"{name}/out/prediction-1/{number:012}.jsonl", ANSWER * 3)
    return name


@pytest.fixture
def reads_at_once(counted) -> Callable[[int], Callable[[], bool]]:
    """Hold the first reads after some until five are under way; whether that happened."""

    def hold(after: int) -> Callable[[], bool]:
        barrier, reads = threading.Barrier(MANY), itertools.count()

        def before(_method: str, path: str) -> None:
            if "alt=media" in path and after <= next(reads) < after + MANY:
                with suppress(threading.BrokenBarrierError):
                    barrier.wait(20)

        counted.before = before
        return lambda: next(reads) >= after + MANY and not barrier.broken

    return hold


def plan(storage, folder: str, limits: JobLimits) -> list[InputPart]:
    place = StagingPlace.of(f"{folder}/out/", None, "k" * 40)
    preparer = InputPreparer(
        storage,
        [f"{folder}/in/*.jsonl"],
        limits,
        place,
        log=logging.getLogger("test"),
        check_for=RowRules(MODEL),
    )
    return preparer.prepare()


def look(storage, folder: str, part: InputPart):
    assert part.report is not None
    subject = Subject(MODEL, "us-central1", part.uris, f"{folder}/out/")
    return inspect(subject, storage, None, checked=CheckedRows(part.listing, part.report))


def test_a_plan_lists_one_level_and_reads_each_file_once(storage, counted, folder):
    (part,) = plan(storage, folder, JobLimits(200_000))
    assert part.rows == FILES * 3
    assert counted.listings == 1
    assert len(counted.calls) == 1 + FILES
    assert not [path for _, path in counted.calls if "archive" in path]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("files", [FILES, 2 * FILES])
def test_an_estimate_reads_many_small_files_at_once(storage, gcs, reads_at_once, packed, files):
    """Each of them, or of more a sample."""
    folder = f"gs://rows/estimated{next(_FOLDERS)}"
    for number in range(files):
        gcs.put(f"{folder}/{number:03}.jsonl", gzip.compress(ROW * 3) if packed else ROW * 3)
    objects = storage.find([f"{folder}/*.jsonl"])
    reached = reads_at_once(1 if files > FILES else 0)  # of more, the first is looked at alone
    assert survey_input(storage, objects, MODEL).rows == files * 3
    assert reached()


def test_small_packed_files_are_joined_many_at_once(storage, gcs, reads_at_once, counted):
    folder = f"gs://rows/packed{next(_FOLDERS)}"
    for number in range(FILES):
        gcs.put(f"{folder}/in/{number:03}.jsonl.gz", gzip.compress(ROW * 3))
    place, limits = StagingPlace.of(f"{folder}/out/", None, "k" * 40), JobLimits(50)
    shards = shards_of(storage, storage.find([f"{folder}/in/*"]), limits)
    reached = reads_at_once(0)
    counted.calls.clear()
    staged = stage(storage, shards, place)
    assert (staged.written, staged.found) == (len(shards), 0)
    assert reached()
    assert all(counted.reads_of(f"/in/{number:03}.jsonl.gz") == 1 for number in range(FILES))
    assert b"".join(gcs.get(place.of_copied(shard.copied)) for shard in shards) == ROW * 3 * FILES
    gcs.delete(place.of_copied(shards[1].copied))  # a retry writes only what is missing
    again = stage(storage, shards, place)
    assert (again.written, again.found) == (1, len(shards) - 1)
    assert [each.size for each in again.objects] == [each.size for each in staged.objects]


def test_a_submission_lists_once_and_reads_nothing_that_was_checked(storage, counted, folder):
    (part,) = plan(storage, folder, JobLimits(200_000))
    counted.calls.clear()
    report = look(open_storage(), folder, part)
    assert (report.rows, report.objects) == (FILES * 3, FILES)
    assert len(counted.calls) == 2  # the output's bucket, and the input


def test_an_input_that_has_changed_since_the_plan_is_read_again(storage, counted, gcs, folder):
    (part,) = plan(storage, folder, JobLimits(200_000))
    gcs.put(f"{folder}/in/000.jsonl", ROW * 2 + b"{broken\n")
    counted.calls.clear()
    report = look(open_storage(), folder, part)
    assert report.is_hopeless
    assert counted.reads_of("000.jsonl") == 1


def test_a_shard_of_a_checked_input_is_not_read_again(storage, counted, folder):
    parts = plan(storage, folder, JobLimits(60))
    assert [part.rows for part in parts] == [60, 60, 60]
    reads = [counted.reads_of(f"/in/{number:03}.jsonl") for number in range(FILES)]
    assert reads == [2] * FILES  # measured and checked, then joined
    counted.calls.clear()
    assert look(open_storage(), folder, parts[0]).rows == 60
    assert len(counted.calls) <= 2


def test_a_recording_reads_each_output_file_once_and_the_input_not_at_all(storage, counted, folder):
    facts = JobFacts(
        "p",
        "us-central1",
        "1",
        model=MODEL,
        output_directory=f"{folder}/out/prediction-1",
        input_uris=(f"{folder}/in/*.jsonl",),
    )
    read = OutputReader(lambda: storage).read(facts, {}, None, FILES * 3)
    assert (read.scan.ok, read.input_rows) == (FILES * 3, FILES * 3)
    assert len(counted.calls) == 1 + FILES
    counted.calls.clear()
    read = OutputReader(open_storage).read(facts, {})
    assert read.input_rows == FILES * 3
    assert len(counted.calls) == 2 + 2 * FILES
    assert all(counted.reads_of(f"/in/{number:03}.jsonl") == 1 for number in range(FILES))


@pytest.mark.parametrize(
    ("path", "lookups"),
    [
        ("out/prediction-1/*.jsonl", 2),
        ("out/prediction-1", 2),
        ("out/prediction-?", 6),  # no file, then the folders and what is in them
        ("out/", 1),  # no object has such a name
    ],
)
def test_a_bill_without_a_table_lists_what_is_named_and_reads_each_file_once(
    storage, counted, folder, path, lookups
):
    outputs = find_outputs([f"{folder}/{path}"])
    assert len(counted.calls) == lookups
    assert [file.uri for output in outputs for file in output.read] == [
        f"{folder}/out/prediction-1/{number:012}.jsonl" for number in range(FILES)
    ]
    assert scan_outputs(outputs, ScanOptions(MODEL)).rows == FILES * 3
    assert len(counted.calls) == lookups + FILES
    assert not [path for _, path in counted.calls if "/in/" in path]
