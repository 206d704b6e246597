"""What a run's input is prepared to, on a file system in memory."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.builders import input_rows
from vertex_batch.errors import ConfigurationError, InputChangedError, ObjectEncodedError, StorageAccessError
from vertex_batch.inputs import JobLimits, PartKind, StagingPlace
from vertex_batch.inputs.preparation import InputPreparer, SampleRequest
from vertex_batch.preflight import RowRules
from vertex_batch.storage import ObjectStorage, SourceObject

PLACE = StagingPlace.of("memory://out/", None, "k" * 40)
URIS = ["memory://in/*.jsonl"]
RULES = RowRules("gemini-3.8-flash")


class ReadOnly(MemoryFileSystem):
    """Refuses to write below ``out/``, in the words of gcsfs."""

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if "w" in mode and "out/" in path:
            message = "Forbidden: writer@demo lacks storage.objects.create"
            raise OSError(message)
        return super().open(path, mode, **kwargs)


def preparer(fs: Any, limits: JobLimits, **options: Any) -> InputPreparer:
    return InputPreparer(ObjectStorage(fs), URIS, limits, PLACE, log=logging.getLogger("test"), **options)


class Growing(MemoryFileSystem):
    """Another process writes to the input once it was read."""

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        data = super().cat_file(path, *args, **kwargs)
        self.pipe("memory://in/b.jsonl", b"9\n")
        return data


@pytest.fixture
def fs() -> MemoryFileSystem:
    made = ReadOnly(skip_instance_cache=True)
    made.store.clear()
    made.pipe("memory://in/a.jsonl", b"1\n2\n3\n4\n")
    return made


@pytest.fixture
def growing(fs) -> MemoryFileSystem:
    fs.pipe("memory://in/a.jsonl", b"123\n456\n")
    return Growing(skip_instance_cache=True)


@pytest.mark.parametrize("max_rows", [1, 2])
def test_an_input_that_is_written_meanwhile_is_not_used_split_or_whole(growing, max_rows):
    with pytest.raises(InputChangedError, match=r"memory://in/b\.jsonl"):
        preparer(growing, JobLimits(max_rows)).prepare()


def test_a_sample_of_an_input_that_is_written_meanwhile_is_not_written(growing):
    with pytest.raises(InputChangedError):
        preparer(growing, JobLimits(9)).sample(SampleRequest(2))
    assert not growing.exists("memory://out/")


def test_a_refused_write_names_the_place_that_is_written_to(fs):
    for act in (lambda it: it.prepare(), lambda it: it.sample(SampleRequest(2))):
        with pytest.raises(StorageAccessError, match=r"storage\.objects\.create") as caught:
            act(preparer(fs, JobLimits(2, 7)))
        assert caught.value.uri.startswith(PLACE.folder)


def test_more_shards_than_a_run_may_have_are_refused_before_anything_is_written(fs):
    with pytest.raises(ConfigurationError, match="needs 4 jobs, but a run may have at most 3"):
        preparer(fs, JobLimits(1, 7), max_shards=3).prepare()
    assert not fs.exists("memory://out/")


class NotRead(MemoryFileSystem):
    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(path)


def test_what_surely_fits_is_not_even_opened_where_no_row_is_checked(fs):
    parts = preparer(NotRead(skip_instance_cache=True), JobLimits(1000)).prepare()
    assert [(part.kind, part.uris, part.rows) for part in parts] == [(PartKind.WHOLE, tuple(URIS), None)]


def test_rows_that_are_checked_are_counted_in_the_same_read(fs):
    (part,) = preparer(fs, JobLimits(1000), check_for=RULES).prepare()
    assert (part.kind, part.uris, part.rows) == (PartKind.WHOLE, tuple(URIS), 4)
    assert part.report is not None
    assert part.report["counts"]["job"] == 4


def test_an_object_that_is_found_twice_is_read_once(fs):
    fs = MemoryFileSystem(skip_instance_cache=True)
    twice = ["memory://in/*.jsonl", "memory://in/a.jsonl"]
    log = logging.getLogger("test")
    parts = InputPreparer(ObjectStorage(fs), twice, JobLimits(2, 100), PLACE, log=log).prepare()
    assert [part.rows for part in parts] == [2, 2]


def test_any_number_of_files_behind_a_wildcard_is_one_job(fs):
    for number in range(1_500):
        fs.pipe(f"memory://in/{number}.jsonl", b'{"request": {}}\n')
    (part,) = preparer(fs, JobLimits(200_000), check_for=RULES).prepare()
    assert (part.kind, part.uris, part.rows) == (PartKind.WHOLE, tuple(URIS), 1_504)


def test_many_small_files_are_joined_and_the_plan_stays_small():
    fs = MemoryFileSystem(skip_instance_cache=True)
    fs.store.clear()
    lines = [f'{{"row": {number}}}' for number in range(3_000)]
    for number, line in enumerate(lines):
        fs.pipe(f"memory://in/{number:05}.jsonl", line.encode())  # without a newline at its end
    parts = preparer(fs, JobLimits(1_000)).prepare()
    assert [(part.kind, part.rows) for part in parts] == [(PartKind.SHARD, 1_000)] * 3
    assert len(json.dumps([part.to_dict() for part in parts])) < 2_000
    written = [line for part in parts for uri in part.uris for line in fs.cat(uri).decode().splitlines()]
    assert written == lines
    assert preparer(fs, JobLimits(1_000)).prepare() == parts


def test_jobs_are_filled_up_across_objects():
    fs = MemoryFileSystem(skip_instance_cache=True)
    fs.store.clear()
    for name in "abc":
        fs.pipe(f"memory://in/{name}.jsonl", b"".join(b"%d\n" % number for number in range(3_333)))
    parts = preparer(fs, JobLimits(2_000)).prepare()
    assert [part.rows for part in parts] == [2_000, 1_999, 2_000, 2_000, 2_000]


@pytest.mark.parametrize("check_for", [None, RULES])
def test_an_object_with_a_content_encoding_is_refused_whether_or_not_it_is_read(fs, monkeypatch, check_for):
    encoded = SourceObject("memory://in/a.jsonl", 8, "1", "gzip")
    storage = ObjectStorage(fs)
    monkeypatch.setattr(storage, "find", lambda _uris, *, again=False: [encoded])
    prepare = InputPreparer(
        storage, URIS, JobLimits(9), PLACE, log=logging.getLogger("test"), check_for=check_for
    )
    with pytest.raises(ObjectEncodedError, match="Content-Encoding: gzip"):
        prepare.prepare()


def test_gzip_that_was_read_is_submitted_unpacked_whatever_its_name(fs):
    rows = input_rows("x") * 3
    fs.store.clear()
    fs.pipe("memory://in/a.jsonl", gzip.compress(rows))
    plain = MemoryFileSystem(skip_instance_cache=True)
    (part,) = preparer(plain, JobLimits(9), check_for=RULES).prepare()
    assert part.kind is PartKind.SHARD
    assert plain.cat_file(part.uris[0]) == rows
