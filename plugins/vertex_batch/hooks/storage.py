"""The object store that holds a job's input and output, through Airflow's Google connection.

Vertex does not read the input with this connection but as its own service agent, so what is found here may
still be out of Google's reach; what is not found here would have become a failed job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from vertex_batch.errors import ConfigurationError
from vertex_batch.storage import (
    BIGQUERY_SCHEME,
    DEFAULT_CONN_ID,
    ObjectStorage,
    check_inputs,
    check_output_bucket,
    named,
    quiet_libraries,
)

__all__ = [
    "BIGQUERY_SCHEME",
    "DEFAULT_CONN_ID",
    "InputStorage",
    "asking",
    "check_inputs",
    "check_output_bucket",
    "open_filesystem",
    "open_storage",
]

InputStorage = ObjectStorage
"""The public name of `vertex_batch.storage.ObjectStorage` here."""

_HNS_SWITCH = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
_Result = TypeVar("_Result")


def open_filesystem(gcp_conn_id: str = DEFAULT_CONN_ID) -> Any:
    """Open the object store of an Airflow Google connection, as an fsspec file system.

    It caches no listings: what another process wrote a moment ago is seen.
    """
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        # gcsfs asks Google's gRPC services what kind of bucket it has; an emulator has none.
        os.environ.setdefault(_HNS_SWITCH, "false")
        if os.environ[_HNS_SWITCH].lower() in {"true", "1"}:
            raise ConfigurationError(
                f"STORAGE_EMULATOR_HOST is set, and {_HNS_SWITCH} too: no emulator has what it asks for."
                f" Set {_HNS_SWITCH}=false."
            )
    quiet_libraries()
    from airflow.providers.google.cloud.fs.gcs import get_fs  # noqa: PLC0415 - takes seconds

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    with named("the credentials", gcp_conn_id):
        return get_fs(gcp_conn_id, storage_options=options)


def open_storage(gcp_conn_id: str = DEFAULT_CONN_ID) -> ObjectStorage:
    """Open the object store of an Airflow Google connection."""
    return ObjectStorage(open_filesystem(gcp_conn_id), gcp_conn_id)


def asking(uri: str, conn_id: str, function: Callable[..., _Result], *args: Any) -> _Result:
    """Call a function that uses the object store, and raise what the store refuses as an error of ours.

    See `vertex_batch.storage.named`, which is the same as a context manager.
    """
    with named(uri, conn_id):
        return function(*args)
