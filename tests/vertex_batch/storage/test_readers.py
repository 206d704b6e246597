"""Every reader of objects, on what a real object store and gcsfs hand out, with objects of several blocks."""

from __future__ import annotations

import gzip
import importlib
import inspect
import io
import json
import logging
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import vertex_batch
from vertex_batch.budgets import survey_input
from vertex_batch.inputs import JobLimits, Measurer, StagingPlace, rows_in
from vertex_batch.inputs.preparation import InputPreparer
from vertex_batch.preflight import Report, RowCheck, RowRules, shape_of
from vertex_batch.storage import BLOCK_BYTES, ByteStream, ObjectStorage, read_lines
from vertex_batch.storage.streams import FETCH_BYTES
from vertex_batch.usage import Scanner, ScanOptions, input_facts, scan_output

MODEL = "gemini-2.5-flash"
LIMITS = JobLimits(200_000)


def row(number: int, text: str = "x" * 200) -> bytes:
    request = {"contents": [{"role": "user", "parts": [{"text": f"{number} {text}"}]}]}
    response = {"responseId": f"r{number}", "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}
    return json.dumps({"request": request, "response": response}).encode()


def rows(count: int) -> bytes:
    return b"".join(row(number) + b"\n" for number in range(count))


def _one_block(size: int) -> bytes:
    """Whole rows that take exactly so many bytes."""
    shortest = len(row(0, ""))
    body = b"".join(row(0, "y" * (8191 - shortest)) + b"\n" for _ in range(size // 8192))
    assert len(body) == size
    return body


LARGE = 13_000  # of `rows`, about 4.5 MB: above a fetch, a block and what is read whole
CONTENTS: dict[str, tuple[bytes, int]] = {
    "large": (rows(LARGE), LARGE),
    "no-final-newline": (rows(LARGE)[:-1], LARGE),
    "one-block": (_one_block(BLOCK_BYTES), BLOCK_BYTES // 8192),
    "one-fetch": (_one_block(FETCH_BYTES), FETCH_BYTES // 8192),
    "two-fetches-and-a-half": (_one_block(FETCH_BYTES * 5 // 2), FETCH_BYTES * 5 // 2 // 8192),
    "crlf": (rows(LARGE).replace(b"\n", b"\r\n"), LARGE),
    "bom": (b"\xef\xbb\xbf" + rows(LARGE), LARGE),
    "gzip": (gzip.compress(rows(LARGE), 1), LARGE),
    "gzip-of-two-members": (gzip.compress(rows(9)) + gzip.compress(rows(LARGE), 1), LARGE + 9),
    "row-of-8-mb": (rows(3) + row(3, "z" * (8 << 20)) + b"\n" + rows(3), 7),
    "empty": (b"", 0),
    "one-byte": (b"\n", 0),
}


@pytest.fixture(scope="session", params=list(CONTENTS))
def content(request, gcs) -> tuple[str, int]:
    """An object in the store, and how many rows it has."""
    data, count = CONTENTS[request.param]
    uri = f"gs://rows/contents/{request.param}/in.jsonl"
    gcs.put(uri, data)
    return uri, count


def _checked(stream: ByteStream) -> int:
    report = Report()
    RowCheck(shape_of(MODEL), report).file(stream, "in.jsonl")
    return report.rows


def _measured(stream: ByteStream) -> int:
    measurer = Measurer(LIMITS)
    for _ in measurer.lines(stream):
        pass
    return measurer.result().rows


def _lines(stream: ByteStream) -> int:
    return sum(not line.isspace() for block in read_lines(stream) for line in block.lines)


def _scanned(stream: ByteStream) -> int:
    scanner = Scanner(ScanOptions(MODEL))
    scanner.scan(stream, "in.jsonl")
    return scanner.result().rows


READERS: dict[str, Callable[[ByteStream], int]] = {
    "RowCheck.file": _checked,
    "Measurer.lines": _measured,
    "read_lines": _lines,
    "rows_in": lambda stream: sum(not line.isspace() for line in rows_in(stream, "gs://rows/o")),
    "Scanner.scan": _scanned,
}


def test_every_reader_of_streams_reads_what_fsspec_returns_and_what_we_do(storage, content):
    uri, count = content
    with storage.open(uri) as stream:
        data = stream.read()
    for name, read in READERS.items():
        with storage.filesystem.open(uri, "rb") as theirs, storage.open(uri) as ours:
            assert (name, read(theirs), read(ours), read(io.BytesIO(data))) == (name, *[count] * 3)


STREAM = re.compile("ByteStream|BinaryIO")
ROOMS = ("inputs", "preflight", "usage")


def test_no_public_function_that_takes_a_stream_is_forgotten():
    """Walk the rooms that read: what names a stream among its parameters is in `READERS`."""
    names = [
        module.name
        for room in ROOMS
        for module in pkgutil.iter_modules([f"{vertex_batch.__path__[0]}/{room}"], f"vertex_batch.{room}.")
    ]
    found = {name for module in names for name in _taking_streams(importlib.import_module(module))}
    assert found == READERS.keys() - {"read_lines"}


def _taking_streams(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        members = {name: value}
        if inspect.isclass(value):
            members = {f"{name}.{key}": each for key, each in vars(value).items() if key[0] != "_"}
        for key, each in members.items():
            told = inspect.get_annotations(each).values() if inspect.isfunction(each) else ()
            if any(STREAM.search(str(kind)) for kind in told):
                yield key


def test_the_whole_steps_agree_on_every_object(storage, content):
    uri, count = content
    if not count:
        pytest.skip("an input without rows ends a run")
    place = StagingPlace.of("gs://rows/out/", None, "k" * 40)
    preparer = InputPreparer(
        storage, [uri], LIMITS, place, log=logging.getLogger("test"), check_for=RowRules(MODEL)
    )
    (part,) = preparer.prepare()
    assert (part.rows, part.answered) == (count, True)
    assert input_facts(storage, storage.find([uri])).rows == count
    assert survey_input(storage, storage.find([uri])).rows > 0


def test_an_output_of_every_form_is_scanned(storage, gcs, content):
    uri, count = content
    folder, data = uri.replace("contents", "outputs").rpartition("/")[0], gcs.get(uri)
    gcs.put(f"{folder}/predictions.jsonl", data)
    assert scan_output(storage, folder, job_model=MODEL).rows == count


@pytest.mark.parametrize("name", ["large", "no-final-newline", "crlf", "bom", "gzip", "row-of-8-mb"])
def test_split_rows_are_the_rows_of_the_input(storage, gcs, name):
    data, count = CONTENTS[name]
    uri = f"gs://rows/split/{name}/in.jsonl"
    gcs.put(uri, data)
    place = StagingPlace.of(f"gs://rows/split/{name}/out/", None, "k" * 40)
    limits = JobLimits(max(1, count // 3), 100 << 20)
    parts = InputPreparer(storage, [uri], limits, place, log=logging.getLogger("test")).prepare()
    written = b"".join(gcs.get(each) for part in parts for each in part.uris)
    plain = gzip.decompress(data) if name == "gzip" else data.removeprefix(b"\xef\xbb\xbf")
    assert len(parts) > 2
    assert sorted(written.splitlines()) == sorted(plain.splitlines())


def test_a_stream_reads_exactly_as_many_bytes_as_asked_for(storage, gcs):
    data = CONTENTS["two-fetches-and-a-half"][0]
    gcs.put("gs://rows/exact.jsonl", data)
    with storage.open("gs://rows/exact.jsonl", 10) as stream:
        parts: list[Any] = [stream.read(1), stream.read(0), stream.read(FETCH_BYTES + 7), stream.read(-1)]
        assert stream.read(1) == b""
    assert b"".join(parts) == data[10:]
    assert [len(part) for part in parts[:3]] == [1, 0, FETCH_BYTES + 7]


def test_our_storage_is_what_the_functions_name(storage):
    assert isinstance(storage, ObjectStorage)
