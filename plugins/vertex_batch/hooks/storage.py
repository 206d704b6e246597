"""The object store that holds a job's input and output, through Airflow's Google connection.

Vertex reads the input as its own service agent, not with this connection. So an input that is found here may
still be inaccessible to Vertex, but an input that is missing here would certainly fail the job.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError
from vertex_batch.storage import DEFAULT_CONN_ID, ObjectStorage, named, quiet_libraries

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["DEFAULT_CONN_ID", "open_filesystem", "open_storage"]

_HNS_SWITCH = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"


def open_filesystem(gcp_conn_id: str = DEFAULT_CONN_ID) -> AbstractFileSystem:
    """Open the object store of an Airflow Google connection, as an fsspec file system.

    It caches no listings, so it sees objects that another process has just written.
    """
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        # gcsfs queries Google's gRPC services for the kind of bucket; an emulator does not have them.
        os.environ.setdefault(_HNS_SWITCH, "false")
        if os.environ[_HNS_SWITCH].lower() in {"true", "1"}:
            raise ConfigurationError(
                f"STORAGE_EMULATOR_HOST and {_HNS_SWITCH} are both set, but no emulator supports the latter."
                f" Set {_HNS_SWITCH}=false."
            )
    quiet_libraries()
    from airflow.providers.google.cloud.fs.gcs import get_fs  # noqa: PLC0415 - takes seconds

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    with named("the credentials", gcp_conn_id):
        return get_fs(gcp_conn_id, storage_options=options)


def open_storage(gcp_conn_id: str = DEFAULT_CONN_ID) -> ObjectStorage:
    return ObjectStorage(open_filesystem(gcp_conn_id), gcp_conn_id)
