"""What a run's input is prepared to, on a file system in memory."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from vertex_batch import preparation
from vertex_batch.errors import ConfigurationError, InputChangedError, StorageAccessError
from vertex_batch.hooks.storage import asking
from vertex_batch.inputs import JobLimits, PartKind, SourceObject, StagingPlace
from vertex_batch.preparation import InputPreparer, SampleWish

PLACE = StagingPlace.of("memory://out/", None, "k" * 40)
URIS = ["memory://in/*.jsonl"]


class ReadOnly(MemoryFileSystem):
    """Refuses to write below ``out/``, in the words of gcsfs."""

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if "w" in mode and "out/" in path:
            message = "Forbidden: writer@demo lacks storage.objects.create"
            raise OSError(message)
        return super().open(path, mode, **kwargs)


def preparer(fs: Any, look: Any, limits: JobLimits, **options: Any) -> InputPreparer:
    return InputPreparer(fs, look, limits, PLACE, ask=_ask, log=logging.getLogger("test"), **options)


def _ask(where: str, function: Any, *args: Any) -> Any:
    return asking(where, "google_cloud_default", function, *args)


@pytest.fixture
def fs() -> MemoryFileSystem:
    made = ReadOnly(skip_instance_cache=True)
    made.store.clear()
    made.pipe("memory://in/a.jsonl", b"1\n2\n3\n4\n")
    return made


def found(*versions: str) -> Any:
    """List the object, with another version at each look."""
    left = list(versions)
    return lambda: [SourceObject("memory://in/a.jsonl", 8, left.pop(0) if len(left) > 1 else left[0])]


@pytest.mark.parametrize("max_rows", [1, 2])
def test_an_input_that_is_written_meanwhile_is_not_used_split_or_whole(max_rows):
    fs = MemoryFileSystem()
    fs.store.clear()
    fs.pipe("memory://in/a.jsonl", b"123\n456\n")
    with pytest.raises(InputChangedError, match=r"memory://in/a\.jsonl"):
        preparer(fs, found("1", "2"), JobLimits(max_rows)).prepare(URIS)


def test_a_sample_of_an_input_that_is_written_meanwhile_is_not_written():
    fs = MemoryFileSystem()
    fs.store.clear()
    fs.pipe("memory://in/a.jsonl", b"1\n2\n3\n4\n")
    with pytest.raises(InputChangedError):
        preparer(fs, found("1", "2"), JobLimits(9)).sample(URIS, SampleWish(2))
    assert not fs.exists("memory://out/")


def test_a_refused_write_names_the_place_that_is_written_to(fs):
    for act in (lambda it: it.prepare(URIS), lambda it: it.sample(URIS, SampleWish(2))):
        with pytest.raises(StorageAccessError, match=r"storage\.objects\.create") as caught:
            act(preparer(fs, found("1"), JobLimits(2, 7)))
        assert caught.value.uri == PLACE.prefix


def test_more_shards_than_a_run_may_have_are_refused_before_anything_is_written(fs):
    with pytest.raises(ConfigurationError, match="takes 4 jobs, and a run may have 3"):
        preparer(fs, found("1"), JobLimits(1, 7), max_shards=3).prepare(URIS)


def test_more_objects_than_a_plan_can_name_are_refused(fs, monkeypatch):
    monkeypatch.setattr(preparation, "MAX_NAMED_OBJECTS", 3)
    with pytest.raises(ConfigurationError, match="would name 4 objects one by one"):
        preparer(fs, found("1"), JobLimits(1, 7)).prepare(URIS)


def test_what_surely_fits_is_not_even_opened():
    parts = preparer(None, found("1"), JobLimits(1000)).prepare(URIS)
    assert [(part.kind, part.uris, part.rows) for part in parts] == [(PartKind.WHOLE, tuple(URIS), None)]


def test_an_object_that_is_found_twice_is_read_once():
    fs = MemoryFileSystem()
    fs.store.clear()
    fs.pipe("memory://in/a.jsonl", b"1\n2\n3\n4\n")
    twice = SourceObject("memory://in/a.jsonl", 8, "1")
    parts = preparer(fs, lambda: [twice, twice], JobLimits(2, 100)).prepare(URIS)
    assert [part.rows for part in parts] == [2, 2]
