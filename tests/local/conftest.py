import pytest

from local.stack.gcs import ObjectStore, gcs_service
from local.stack.ports import Ports
from local.stack.processes import ManagedProcess


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gcs")


@pytest.fixture(scope="session")
def store(folder):
    """The object store of the demo, as a process."""
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
