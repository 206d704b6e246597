from __future__ import annotations

import base64
import hashlib

import httpx


def test_the_store_serves_what_was_written_beside_it(shop):
    content = b"row\n" * 1000
    written = shop.folder.write("in/a b/x%y.jsonl", [content[:100], content[100:]])

    assert written.uri == "gs://bucket/in/a b/x%y.jsonl"
    assert written.size == 4000
    assert shop.store.get(written.uri) == content
    assert shop.store.list("gs://bucket/in/a b/") == [written.uri]
    url = f"{shop.store.url}/storage/v1/b/bucket/o/in%2Fa%20b%2Fx%25y.jsonl"
    known = httpx.get(url, trust_env=False).json()
    assert known["size"] == "4000"
    assert known["md5Hash"] == base64.b64encode(hashlib.md5(content).digest()).decode()


def test_each_object_has_a_generation_of_its_own(shop):
    for name in ("g/1", "g/2", "g/1"):
        shop.folder.write(name, [b"x"])
    items = httpx.get(
        f"{shop.store.url}/storage/v1/b/bucket/o", params={"prefix": "g/"}, trust_env=False
    ).json()["items"]
    assert len({item["generation"] for item in items}) == 2


def test_a_folder_is_removed_with_its_objects(shop):
    shop.folder.write("gone/1", [b"x"])
    shop.folder.remove("gone")
    assert shop.store.list("gs://bucket/gone/") == []
