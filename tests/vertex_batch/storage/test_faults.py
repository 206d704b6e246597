"""What a store refuses is permanent or transient by its type and says what to change; a bug is neither."""

from __future__ import annotations

import json
import logging
import pickle
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from vertex_batch.billing.outputs import OutputReader
from vertex_batch.costs import JobFacts
from vertex_batch.errors import (
    BucketMissingError,
    InputChangedError,
    InputMissingError,
    ObjectEncodedError,
    OutputMissingError,
    PermanentError,
    StorageAccessError,
    StorageRefusedError,
    StorageUnavailableError,
    TransientError,
)
from vertex_batch.hooks.storage import open_storage
from vertex_batch.storage import named
from vertex_batch.storage.faults import fault_of
from vertex_batch.usage import scan_output

URI = "gs://rows/in.jsonl"
PAYS = "Bucket is a requester pays bucket but no user project provided."
KEY = "Cloud KMS Key 'projects/p/locations/us/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1' is disabled."


def refusal(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": [{"reason": "x", "message": message}]}}


@pytest.mark.parametrize(
    ("code", "message", "kind", "remedy"),
    [
        (400, PAYS, StorageRefusedError, "gcs.requester-pays"),
        (400, KEY, StorageRefusedError, "Enable the Cloud KMS key"),
        (403, f"Permission denied on Cloud KMS key. {KEY}", StorageRefusedError, "Enable the Cloud KMS key"),
        (400, "The key is invalid.", StorageRefusedError, "Check the URI"),
        (403, "reader@demo lacks storage.objects.get", StorageAccessError, "roles/storage.objectViewer"),
        (401, "Anonymous caller", StorageAccessError, "roles/storage.objectViewer"),
    ],
)
def test_a_refusal_is_permanent_and_says_what_to_change(
    storage, proxy, reply, monkeypatch, code, message, kind, remedy
):
    """The words are Google's; gcsfs raises what it makes of them."""
    proxy.reply(reply.of(refusal(code, message), code))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    for act in (lambda it: it.find([URI]), lambda it: it.check_output("gs://rows/out/")):
        with pytest.raises(kind, match=remedy) as caught:
            act(open_storage())
        assert isinstance(caught.value, PermanentError)
        assert "google_cloud_default" in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert len(proxy.calls) < 5  # it is not sent again and again


@pytest.mark.parametrize(
    ("code", "message", "remedy"), [(400, PAYS, "gcs.requester-pays"), (400, KEY, "Enable the Cloud KMS key")]
)
def test_an_object_that_is_listed_but_may_not_be_read_is_refused_the_same_way(
    storage, proxy, reply, monkeypatch, code, message, remedy
):
    item = {"name": "in.jsonl", "size": "16", "generation": "1"}

    def route(call):
        if call.params.get("alt") == "media":
            return reply.of(refusal(code, message), code)
        return reply.of({"items": [item, {**item, "name": "in2.jsonl"}]})

    proxy.route(route)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    store = open_storage()
    found = store.find(["gs://rows/in*.jsonl"])
    for read in (lambda: list(store.read_each(found)), lambda: store.open(found[0], 0, 8).read()):
        with pytest.raises(StorageRefusedError, match=remedy) as caught:
            read()
        assert "gs://rows/in.jsonl" in str(caught.value)


def made(name: str, base: type[Exception] = Exception, **values: Any) -> Exception:
    module, _, kind = name.rpartition(".")
    error = type(kind, (base,), {"__module__": module})("no answer")
    for key, value in values.items():
        setattr(error, key, value)
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (made("gcsfs.retry.HttpError", code=503), StorageUnavailableError),
        (made("gcsfs.retry.HttpError", code=429), StorageUnavailableError),
        (made("gcsfs.retry.HttpError", code=408), StorageUnavailableError),
        (made("gcsfs.retry.HttpError", code=412), StorageRefusedError),
        (made("gcsfs.retry.ChecksumError"), StorageUnavailableError),
        (made("aiohttp.client_exceptions.ClientError"), StorageUnavailableError),
        (made("requests.exceptions.RequestException", OSError), StorageUnavailableError),
        (made("google.auth.exceptions.GoogleAuthError"), StorageUnavailableError),
        (made("google.auth.exceptions.DefaultCredentialsError", OSError), StorageRefusedError),
        (made("google.auth.exceptions.RefreshError", OSError, retryable=True), StorageUnavailableError),
        (TimeoutError("too slow"), StorageUnavailableError),
        (ConnectionResetError("reset"), StorageUnavailableError),
        (PermissionError("no"), StorageAccessError),
        (OSError("Forbidden: https://storage\nno"), StorageAccessError),
        (ValueError("Bad Request: b/x/o\ninvalid"), StorageRefusedError),
    ],
)
def test_what_libraries_raise_is_told_apart(error, kind):
    assert type(fault_of(error, URI, "c")) is kind


BUGS = [TypeError, AttributeError, KeyError, NameError, ImportError, AssertionError, IndexError, ValueError]


@pytest.mark.parametrize("kind", BUGS)
def test_a_bug_is_never_a_fault_of_the_store(kind):
    def buggy() -> None:
        raise kind("readline() takes 1 positional argument but 2 were given")

    assert fault_of(kind("x"), URI, "c") is None
    with pytest.raises(kind, match="readline"), named(URI, "c"):
        buggy()


def test_a_reset_connection_is_transient(storage, proxy, reply, monkeypatch):
    import gcsfs.retry

    async def at_once(_seconds: float) -> None:
        """gcsfs waits between its tries."""

    monkeypatch.setattr(gcsfs.retry.asyncio, "sleep", at_once)
    proxy.reply(reply(how="reset"))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    with pytest.raises(StorageUnavailableError) as caught:
        open_storage().find([URI])
    assert isinstance(caught.value, TransientError)


def test_an_object_that_vanishes_or_changes_after_it_was_listed_is_a_change_of_the_input(storage, gcs):
    gcs.put("gs://rows/gone/a.jsonl", b"1\n")
    gcs.put("gs://rows/gone/b.jsonl", b"1\n")
    found = storage.find(["gs://rows/gone/*.jsonl"])
    gcs.delete("gs://rows/gone/b.jsonl")
    with pytest.raises(InputChangedError, match=r"b\.jsonl") as caught:
        list(storage.read_each(found))
    assert isinstance(caught.value, TransientError)
    gcs.put("gs://rows/gone/a.jsonl", b"1\n2\n")
    with pytest.raises(InputChangedError, match=r"a\.jsonl"), storage.open(found[0]) as stream:
        stream.read()


def put_encoded(url: str, name: str, data: bytes) -> None:
    """Store an object as `gcloud storage cp --gzip-local` does."""
    meta = json.dumps({"name": name, "contentEncoding": "gzip"}).encode()
    body = b"".join(
        [
            b"--x\r\ncontent-type: application/json\r\n\r\n" + meta + b"\r\n",
            b"--x\r\ncontent-type: application/octet-stream\r\n\r\n" + data + b"\r\n--x--\r\n",
        ]
    )
    place = urlsplit(url)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=30)
    headers = {"content-type": "multipart/related; boundary=x"}
    connection.request("POST", "/upload/storage/v1/b/rows/o?uploadType=multipart", body, headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_an_object_with_a_content_encoding_is_refused_at_once_and_never_counted_wrong(storage, counted, gcs):
    import gzip

    put_encoded(gcs.url, "enc/in.jsonl", gzip.compress(b'{"request": {}}\n' * 400))
    put_encoded(gcs.url, "enc/out/predictions.jsonl", gzip.compress(b'{"response": {}}\n' * 400))
    found = storage.find(["gs://rows/enc/*.jsonl"])
    assert [each.encoding for each in found] == ["gzip"]
    counted.calls.clear()
    for act in (lambda: list(storage.read_each(found)), lambda: storage.open(found[0])):
        with pytest.raises(ObjectEncodedError, match="--gzip-local") as caught:
            act()
        assert isinstance(caught.value, PermanentError)
    assert counted.calls == []
    with pytest.raises(ObjectEncodedError):
        scan_output(storage, "gs://rows/enc/out", job_model="m")
    gcs.put("gs://rows/enc/good/predictions.jsonl", b'{"status": "no"}\n')
    facts = JobFacts(
        "p", "l", "1", output_directory="gs://rows/enc/good", input_uris=("gs://rows/enc/*.jsonl",)
    )
    assert OutputReader(lambda: storage).read(facts, {}).input_rows is None


def test_the_bucket_is_only_missing_where_the_store_says_so_of_the_bucket(storage, proxy, reply, monkeypatch):
    def route(call):
        if call.path.endswith("/b/rows"):
            return reply.of({"name": "rows"})
        return reply.of(refusal(404, "no folder"), 404)

    with pytest.raises(BucketMissingError):
        storage.check_output("gs://nowhere/out/")
    proxy.route(route)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    open_storage().check_output("gs://rows/out/")


def test_what_is_not_there_is_missing(storage):
    with pytest.raises(InputMissingError, match="does not exist"):
        storage.open("gs://rows/nothing.jsonl")
    with pytest.raises(OutputMissingError):
        scan_output(storage, "gs://rows/nothing", job_model="m")


def test_no_line_of_the_libraries_reaches_a_log(storage, gcs, caplog):
    gcs.put("gs://rows/quiet.jsonl", b"1\n")
    caplog.set_level(logging.INFO)
    with storage.filesystem.open("gs://rows/quiet.jsonl", "rb") as stream:
        stream.read()
    with storage.open("gs://rows/quiet.jsonl") as stream:
        stream.read()
    assert [record for record in caplog.records if record.name.startswith(("fsspec", "gcsfs"))] == []
