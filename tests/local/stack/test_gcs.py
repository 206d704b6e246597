import pytest

from local.stack.gcs import ObjectStore, gcs_service
from local.stack.ports import Ports
from local.stack.processes import ManagedProcess


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gcs")
    port = Ports().choose("object store")
    process = ManagedProcess(
        gcs_service(port=port, folder=folder / "objects"), folder / "gcs.log", "gcs-test"
    )
    process.start()
    try:
        process.wait_until_ready()
        client = ObjectStore(f"http://127.0.0.1:{port}")
        client.create_bucket("bucket")
        yield client
        client.close()
    finally:
        process.stop()


def test_what_was_put_is_read_again(store):
    store.put("gs://bucket/a folder/rows é.jsonl", b'{"row": 1}\n')
    assert store.get("gs://bucket/a folder/rows é.jsonl") == b'{"row": 1}\n'


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
