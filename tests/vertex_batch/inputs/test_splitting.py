"""Objects -> shards: no row is lost, none is doubled, and nothing is copied that fits as it lies."""

from __future__ import annotations

import gzip
import io

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertex_batch.errors import InputChangedError, InputUnusableError
from vertex_batch.inputs import JobLimits, StagingPlace, limits_for, make_shards, needs_no_copy, settle, stage
from vertex_batch.inputs.measuring import Measured, Measurer
from vertex_batch.inputs.planning import NAMED_PER_SHARD
from vertex_batch.preflight.shapes import shape_of
from vertex_batch.storage import BOM, ObjectStorage, SourceObject, lines, without_duplicates
from vertex_batch.storage.listing import literal_wildcard_problem

PLACE = StagingPlace("memory://out/night/_shards/", "0123456789abcdef0123")
LINE = st.one_of(
    st.sampled_from([b"", b" ", b"\r", b"\t\r", b"{}", b'{"a": 1}\r']),
    st.binary(min_size=1, max_size=40).map(lambda line: line.replace(b"\n", b"x").replace(BOM, b"x")),
)


@st.composite
def contents(draw):
    """An object's bytes: blank lines, CRLF, lone carriage returns, and perhaps no newline at its end."""
    text = b"\n".join(draw(st.lists(LINE, max_size=30)))
    return (
        draw(st.sampled_from([b"", BOM]))
        + text.removeprefix(b"\x1f\x8b")
        + draw(st.sampled_from([b"", b"\n", b"\r\n"]))
    )


def rows_of(content: bytes) -> list[bytes]:
    """The lines that are not blank. A byte order mark at the start belongs to none of them."""
    return [line for line in content.removeprefix(BOM).split(b"\n") if line.strip()]


def measure(stream, limits: JobLimits) -> Measured:
    measurer = Measurer(limits)
    for _ in measurer.lines(stream):
        pass
    return measurer.result()


def split(objects: dict[str, bytes], limits: JobLimits, fs=None):
    """Put the objects into a store, plan and stage; return the shards, and what each job would read."""
    fs = fs or fsspec.filesystem("memory")
    fs.store.clear()
    measured = []
    for uri, content in objects.items():
        fs.pipe(uri, content)
        with fs.open(uri, "rb") as stream:
            measured.append((SourceObject(uri, len(content), "1"), measure(stream, limits)))
    shards = make_shards(measured, limits)
    if not needs_no_copy(shards):
        settle(shards, limits)
    stage(ObjectStorage(fs), shards, PLACE)
    return shards, [[fs.cat(uri) for uri in PLACE.of_shard(shard)] for shard in shards]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(contents(), min_size=1, max_size=5),
    st.integers(1, 7),
    st.integers(45, 120),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.sampled_from([3, 64, 4 << 20]),
)
def test_rows_in_are_rows_out(texts, max_rows, max_bytes, packed, block):
    objects = {
        f"memory://in/{number}.jsonl": gzip.compress(text) if pack else text
        for number, (text, pack) in enumerate(zip(texts, packed, strict=False))
    }
    before, lines.BLOCK_BYTES = lines.BLOCK_BYTES, block
    try:
        shards, read = split(objects, JobLimits(max_rows, max_bytes))
    finally:
        lines.BLOCK_BYTES = before

    assert sorted(row for shard in read for part in shard for row in rows_of(part)) == sorted(
        row for text in texts for row in rows_of(text)
    )
    for shard, parts in zip(shards, read, strict=True):
        assert sum(len(rows_of(part)) for part in parts) == shard.rows <= max_rows
        assert sum(map(len, parts)) <= max_bytes
        assert len(parts) <= NAMED_PER_SHARD + 1


def test_a_cut_line_is_byte_for_byte_the_line_it_was():
    text = b'{"a":"\xc3\xbc\\r"}\r\n\r\n\n  \n{"b":\r2}\n{"c":3}'
    _, read = split({"memory://in/a.jsonl": text}, JobLimits(1, 1000))
    assert b"".join(part for shard in read for part in shard) == text
    assert len(read) == 3


def test_what_fits_as_it_lies_is_neither_copied_nor_named_anew():
    fs = fsspec.filesystem("memory")
    shards, _ = split({"memory://in/a.jsonl": b"1\n2\n", "memory://in/b.jsonl": b"3\n"}, JobLimits(3, 100))
    assert needs_no_copy(shards)
    assert [piece.copied for piece in shards[0].pieces] == [False, False]
    assert not fs.exists("memory://out/night/_shards/")


def test_whole_objects_are_grouped_and_only_the_one_that_is_too_large_is_cut():
    fs = fsspec.filesystem("memory")
    objects = {"memory://in/a": b"1\n2\n", "memory://in/big": b"3\n4\n5\n6\n7\n", "memory://in/c": b"8\n"}
    shards, _ = split(objects, JobLimits(3, 100))
    named = [PLACE.of_shard(shard) for shard in shards]
    assert [shard.rows for shard in shards] == [3, 3, 2]
    assert (named[0][0], named[2][0]) == ("memory://in/a", "memory://in/c")
    assert len(fs.find("memory://out/")) == 3
    assert not needs_no_copy(shards)


def test_packed_objects_are_unpacked_even_if_they_are_small():
    shards, read = split({"memory://in/a.jsonl.gz": gzip.compress(b"1\n2\n")}, JobLimits(3, 100))
    assert read == [[b"1\n2\n"]]
    assert not needs_no_copy(shards)


def test_a_second_staging_writes_nothing_and_a_changed_object_is_written_under_another_name():
    fs = fsspec.filesystem("memory")
    shards, _ = split({"memory://in/a": b"1\n2\n3\n"}, JobLimits(2, 100))
    again = stage(ObjectStorage(fs), shards, PLACE)
    assert (again.written, again.found) == (0, 2)
    fs.pipe("memory://in/a", b"1\n2\n4\n")
    changed = [(SourceObject("memory://in/a", 6, "2"), measure(io.BytesIO(b"1\n2\n4\n"), JobLimits(2, 9)))]
    assert stage(ObjectStorage(fs), make_shards(changed, JobLimits(2, 9)), PLACE).written == 2
    assert len(fs.find("memory://out/")) == 4


def test_the_remains_of_a_write_are_written_anew():
    fs = fsspec.filesystem("memory")
    shards, _ = split({"memory://in/a": b"1\n2\n3\n"}, JobLimits(2, 100))
    (name,) = PLACE.of_shard(shards[0])
    fs.pipe(name, b"1\n")
    assert stage(ObjectStorage(fs), shards, PLACE).written == 1
    assert fs.cat(name) == b"1\n2\n"


def test_an_object_that_has_become_shorter_is_no_input():
    fs = fsspec.filesystem("memory")
    shards, _ = split({"memory://in/a": b"1\n2\n3\n"}, JobLimits(2, 100))
    fs.rm("memory://out/", recursive=True)
    fs.pipe("memory://in/a", b"1\n2\n")
    with pytest.raises(InputChangedError, match="memory://in/a"):
        stage(ObjectStorage(fs), shards, PLACE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1\n" + b"x" * 30, "line 2 has 30 bytes"),
        (gzip.compress(b"123\n" * 1000)[:-10], "compression is damaged"),
    ],
    ids=["too long a line", "cut gzip"],  # never the bytes, which hold the time: all test workers count alike
)
def test_what_no_job_can_read_is_said_with_its_place(content, said):
    limits = JobLimits(100_000, 20 if said.startswith("line") else 10_000)
    with pytest.raises(InputUnusableError, match=said) as caught:
        measure(io.BytesIO(content), limits).check("gs://b/o")
    assert caught.value.uri == "gs://b/o"


def test_an_object_that_two_wildcards_find_is_read_once():
    first, second = SourceObject("gs://b/a", 1), SourceObject("gs://b/b", 1)
    assert without_duplicates([first, second, first]) == [first, second]


@pytest.mark.parametrize(
    ("uri", "pattern"),
    [
        ("gs://b/in [2026].jsonl", "`gs://b/in ?2026?.jsonl`"),
        ("gs://b/in[.jsonl", "`gs://b/in?.jsonl`"),
        ("gs://b/in].jsonl", None),
        ("gs://b/what?*.jsonl", None),
        ("gs://b/plain.jsonl", None),
    ],
)
def test_an_object_with_brackets_in_its_name_is_matched_with_question_marks(uri, pattern):
    problem = literal_wildcard_problem(uri)
    assert pattern in problem if pattern else problem is None


def test_an_input_without_rows_has_no_shards():
    assert split({"memory://in/a": b"\n \r\n"}, JobLimits(3, 100)) == ([], [])


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        ("gemini-3.8-flash", 200_000),
        ("publishers/google/models/gemini-embedding-001", 1_000_000),
        ("text-embedding-005", 30_000),
        ("projects/p/locations/l/models/123", 200_000),
        ("claude-sonnet-4-5", 200_000),
    ],
)
def test_the_limits_are_those_of_the_model(model, rows):
    assert limits_for(model).max_rows == rows


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "gemini-embedding-001", "text-embedding-005"])
def test_the_preflight_knows_the_same_limits(model):
    assert limits_for(model).max_rows == shape_of(model).max_rows


def test_nothing_is_counted_where_the_bytes_alone_say_that_it_fits():
    limits = JobLimits(1000)
    assert limits.surely_fits(2999)
    assert not limits.surely_fits(3000)
    assert not JobLimits(10**9, 100).surely_fits(101)
