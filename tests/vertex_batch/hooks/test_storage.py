"""Against a real fake-gcs-server, through Airflow's Google connection and gcsfs."""

from __future__ import annotations

import json

import fsspec
import pytest

from tests.object_store import object_store
from vertex_batch.errors import (
    BucketMissingError,
    ConfigurationError,
    InputMissingError,
    InputUnusableError,
    StorageAccessError,
    StorageRefusedError,
)
from vertex_batch.hooks.storage import open_filesystem
from vertex_batch.storage import check_inputs, check_output_bucket


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with object_store(tmp_path_factory.mktemp("object-store"), "in") as store:
        store.put("gs://in/night/a.jsonl", b"{}\n")
        store.put("gs://in/night/b.jsonl", b"{}\n{}\n")
        store.put("gs://in/night/deep/c.jsonl", b"{}\n")
        store.put("gs://in/half/full.jsonl", b"{}\n")
        store.put("gs://in/half/none.jsonl", b"")
        store.put("gs://in/empty.jsonl", b"")
        store.put("gs://in/odd[1] ü.jsonl", b"{}\n")
        yield store


@pytest.fixture
def fs(store, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.url)
    connection = {
        "conn_type": "google_cloud_platform",
        "extra": {"project": "demo-project", "is_anonymous": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    return open_filesystem()


def found(fs, *uris):
    return [(item.uri, item.size) for item in check_inputs(fs, uris)]


def test_an_object_is_found_with_its_size(fs):
    assert found(fs, "gs://in/night/a.jsonl") == [("gs://in/night/a.jsonl", 3)]


def test_wildcards_are_expanded_within_a_folder_and_below_it(fs):
    assert found(fs, "gs://in/night/*.jsonl") == [("gs://in/night/a.jsonl", 3), ("gs://in/night/b.jsonl", 6)]
    assert len(found(fs, "gs://in/night/**")) == 3
    assert len(found(fs, "gs://in/*/a.jsonl", "gs://in/night/?.jsonl")) == 3


def test_an_object_that_vertex_would_read_as_a_wildcard_is_refused_with_a_pattern_that_finds_it(fs):
    with pytest.raises(InputUnusableError, match=r"rename the object, or write `gs://in/odd\?1\? ü.jsonl`"):
        check_inputs(fs, ["gs://in/night/a.jsonl", "gs://in/odd[1] ü.jsonl"])
    assert found(fs, "gs://in/odd?1? ü.jsonl") == [("gs://in/odd[1] ü.jsonl", 3)]


def test_brackets_that_name_no_object_are_a_wildcard(fs):
    assert found(fs, "gs://in/night/[ax].jsonl") == [("gs://in/night/a.jsonl", 3)]
    with pytest.raises(InputMissingError, match="matches no object"):
        check_inputs(fs, ["gs://in/night/[xy].jsonl"])


def test_an_empty_object_among_others_is_no_fault(fs):
    assert len(found(fs, "gs://in/half/*.jsonl")) == 2


def test_bigquery_is_passed_through_unseen(fs):
    assert found(fs, "bq://p.d.t", "gs://in/night/a.jsonl") == [("gs://in/night/a.jsonl", 3)]


def test_what_was_written_a_moment_ago_is_seen(fs, store):
    with pytest.raises(InputMissingError):
        check_inputs(fs, ["gs://in/late/*.jsonl"])
    store.put("gs://in/late/x.jsonl", b"{}\n")
    assert len(found(fs, "gs://in/late/*.jsonl")) == 1


def test_everything_that_is_missing_is_listed_at_once(fs):
    uris = [
        "gs://in/no.jsonl",
        "gs://in/no/*.jsonl",
        "gs://in/empty.jsonl",
        "gs://in/night/",
        "gs://in/night",
    ]
    with pytest.raises(InputMissingError) as caught:
        check_inputs(fs, [*uris, "gs://in/night/a.jsonl"])
    assert caught.value.missing == {
        "gs://in/no.jsonl": "does not exist",
        "gs://in/no/*.jsonl": "matches no object",
        "gs://in/empty.jsonl": "holds 0 bytes in 1 object",
        "gs://in/night/": "is a folder; write gs://in/night/*.jsonl",
        "gs://in/night": "is a folder; write gs://in/night/*.jsonl",
    }
    assert "Nothing was submitted" in str(caught.value)


def test_a_bucket_that_does_not_exist_is_said_to_be_missing_once(fs):
    with pytest.raises(BucketMissingError) as caught:
        check_inputs(fs, ["gs://nowhere/a.jsonl", "gs://nowhere/*.jsonl", "gs://in/no.jsonl"])
    assert caught.value.buckets == ("nowhere",)


def test_the_bucket_of_the_output_is_looked_for(fs):
    check_output_bucket(fs, "gs://in/out/")
    check_output_bucket(fs, "bq://p.d")
    with pytest.raises(BucketMissingError, match="gs://nowhere"):
        check_output_bucket(fs, "gs://nowhere/out/")


@pytest.mark.parametrize("uri", ["s3://in/a.jsonl", "https://in/a.jsonl"])
def test_an_input_of_another_store_is_a_configuration_error(fs, uri):
    with pytest.raises(ConfigurationError, match="gs://BUCKET/OBJECT"):
        check_inputs(fs, [uri])


def test_local_files_serve_where_there_is_no_cloud(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    local = fsspec.filesystem("file")
    assert [item.size for item in check_inputs(local, [f"file://{tmp_path}/*.jsonl"])] == [3]
    with pytest.raises(InputMissingError):
        check_inputs(local, [f"{tmp_path}/b.jsonl"])


@pytest.mark.parametrize(
    ("status", "kind"), [(403, StorageAccessError), (401, StorageAccessError), (400, StorageRefusedError)]
)
def test_what_the_store_refuses_is_said_in_our_words(fs, proxy, reply, monkeypatch, *, status, kind):
    proxy.reply(
        reply.of({"error": {"code": status, "message": "reader@demo lacks storage.objects.get"}}, status)
    )
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    with pytest.raises(kind, match="lacks storage") as caught:
        check_inputs(open_filesystem(), ["gs://in/a.jsonl"])
    assert caught.value.uri == "gs://in/a.jsonl"


def test_an_emulator_and_google_s_bucket_kinds_do_not_go_together(fs, monkeypatch):
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "true")
    with pytest.raises(ConfigurationError, match="GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false"):
        open_filesystem()


def test_importing_the_module_imports_neither_google_nor_gcsfs():
    import subprocess
    import sys

    heavy = ["google.auth", "gcsfs", "pandas", "airflow.providers.google.cloud"]
    code = f"import sys, vertex_batch.hooks; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
