import pytest

from tests.object_store import object_store


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gcs")


@pytest.fixture(scope="session")
def store(folder):
    """The object store of the demo, as a process."""
    with object_store(folder, "bucket") as started:
        yield started
