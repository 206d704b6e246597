"""The object store of the demo as a process, for tests that need nothing else of a stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.stack.gcs import ObjectStore, gcs_service
from local.stack.ports import LOOPBACK, Ports
from local.stack.processes import ManagedProcess


@contextmanager
def object_store(folder: Path, bucket: str) -> Iterator[ObjectStore]:
    """Start it with an empty bucket, and stop it at the end.

    :param folder: its objects are in the folder `objects` there, and its log beside that.
    """
    ports = Ports()
    port = ports.choose("object store")
    process = ManagedProcess(gcs_service(port=port, folder=folder / "objects"), folder / "gcs.log", "tests")
    process.start()
    try:
        process.wait_until_ready()
        store = ObjectStore(f"http://{LOOPBACK}:{port}")
        store.create_bucket(bucket)
        yield store
        store.close()
    finally:
        process.stop()
