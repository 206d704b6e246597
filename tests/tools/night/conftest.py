from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from local.stack.gcs import ObjectStore, gcs_service
from local.stack.ports import Ports
from local.stack.processes import ManagedProcess
from tools.night.object_files import ObjectFolder
from tools.night.store_proxy import StoreProxy


@dataclass
class Shop:
    """An object store behind the night's proxy."""

    proxy: StoreProxy
    store: ObjectStore
    folder: ObjectFolder


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    home: Path = tmp_path_factory.mktemp("night")
    port = Ports().choose("object store")
    with StoreProxy() as proxy:
        proxy.lead_to(port)
        service = gcs_service(port=port, folder=home / "objects", front_url=proxy.url)
        process = ManagedProcess(service, home / "gcs.log", "night-test")
        process.start()
        try:
            process.wait_until_ready()
            store = ObjectStore(f"http://127.0.0.1:{port}")
            yield Shop(proxy, store, ObjectFolder(store, home / "objects", "bucket"))
            store.close()
        finally:
            process.stop()
