"""The proxy against the real store, with the client that tasks use."""

from __future__ import annotations

import gcsfs
import pytest

from tools.night.store_proxy import Count, Kind, Traffic

PID = 4711
LARGE = bytes(range(256)) * 4096 * 12  # 12 MiB: gcsfs uploads it in several parts


@pytest.fixture
def fs(shop, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"{shop.proxy.url}/task-{PID}")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    shop.proxy.take()
    return gcsfs.GCSFileSystem(token="anon", project="p", skip_instance_cache=True, use_listings_cache=False)


def test_what_a_task_reads_is_counted_by_object_to_the_byte(shop, fs):
    written = shop.folder.write("in/rows é.jsonl", [LARGE])

    assert fs.cat_file(written.uri) == LARGE
    assert fs.cat_file(written.uri, start=10, end=20) == LARGE[10:20]

    counts = shop.proxy.take()
    assert counts[Traffic(PID, Kind.READ, written.uri)] == Count(2, 0, len(LARGE) + 10)
    assert {key.pid for key in counts} == {PID}
    assert shop.proxy.take() == {}


def test_an_upload_in_parts_goes_through_the_proxy_to_its_end(shop, fs):
    with fs.open("gs://bucket/out/large.bin", "wb", block_size=5 * 2**20) as file:
        file.write(LARGE)

    assert shop.store.get("gs://bucket/out/large.bin") == LARGE
    written = {key: count for key, count in shop.proxy.take().items() if key.kind is Kind.WRITE}
    assert {key.pid for key in written} == {PID}
    assert sum(count.requests for count in written.values()) > 2
    assert len(LARGE) <= sum(count.sent for count in written.values()) < len(LARGE) + 10_000


def test_lists_and_looks_are_told_from_reads(shop, fs):
    shop.folder.write("listed/a", [b"a"])
    shop.proxy.take()

    assert fs.ls("gs://bucket/listed/") == ["bucket/listed/a"]
    assert fs.info("gs://bucket/listed/a")["size"] == 1

    kinds = {key.kind for key in shop.proxy.take()}
    assert Kind.LIST in kinds
    assert Kind.READ not in kinds


def test_others_than_tasks_are_counted_apart(shop, fs):
    shop.folder.write("apart", [b"apart"])
    other = gcsfs.GCSFileSystem(token="anon", endpoint_url=shop.proxy.url, skip_instance_cache=True)
    assert other.cat_file("gs://bucket/apart") == b"apart"
    assert shop.proxy.take()[Traffic(0, Kind.READ, "gs://bucket/apart")].received == 5


def test_each_request_waits_for_the_latency(shop, fs, monkeypatch):
    waited: list[float] = []

    async def note(seconds):
        waited.append(seconds)

    monkeypatch.setattr("tools.night.store_proxy.asyncio.sleep", note)
    shop.folder.write("late", [b"late"])
    shop.proxy.latency_seconds = 0.04
    try:
        assert fs.cat_file("gs://bucket/late") == b"late"
    finally:
        shop.proxy.latency_seconds = 0.0
    assert len(waited) == sum(count.requests for count in shop.proxy.take().values()) > 0
    assert set(waited) == {0.04}
