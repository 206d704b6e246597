import os

import gcsfs
import pytest

from local.stack.gcs import adopt_files


def test_what_was_put_is_read_again(store):
    store.put("gs://bucket/a folder/rows é.jsonl", b'{"row": 1}\n')
    assert store.get("gs://bucket/a folder/rows é.jsonl") == b'{"row": 1}\n'


def test_an_object_that_exists_is_not_created_again(store):
    assert store.create("gs://bucket/once.jsonl", b"first\n")
    assert not store.create("gs://bucket/once.jsonl", b"second\n")
    assert store.get("gs://bucket/once.jsonl") == b"first\n"


def test_a_list_goes_over_all_pages_below_the_prefix(store):
    for number in range(30):
        store.put(f"gs://bucket/many/{number:02}", b"")
    store.put("gs://bucket/other", b"")
    assert store.list("gs://bucket/many/") == [f"gs://bucket/many/{number:02}" for number in range(30)]


def test_a_bucket_may_be_created_twice(store):
    store.create_bucket("bucket")


def test_an_address_that_is_not_one_is_refused(store):
    with pytest.raises(ValueError, match="not a gs:// address"):
        store.get("s3://bucket/x")


def test_a_file_that_a_person_copied_into_the_folder_becomes_an_object(store, folder, monkeypatch):
    store.put("gs://bucket/mine/first.jsonl", b"1\n")
    copied = folder / "objects" / "bucket" / "mine" / "second.jsonl"
    copied.write_bytes(b"2\n")
    assert adopt_files(folder / "objects") == []  # it may still be growing
    os.utime(copied, (1_700_000_000, 1_700_000_000))
    assert adopt_files(folder / "objects") == [copied]
    assert adopt_files(folder / "objects") == []
    assert store.list("gs://bucket/mine/") == [
        "gs://bucket/mine/first.jsonl",
        "gs://bucket/mine/second.jsonl",
    ]
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    fs = gcsfs.GCSFileSystem(token="anon", endpoint_url=store.url, skip_instance_cache=True)
    assert fs.cat("bucket/mine/second.jsonl") == b"2\n"
