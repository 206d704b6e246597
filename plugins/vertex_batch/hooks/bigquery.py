"""Reads a job's output table through Airflow's Google connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vertex_batch.errors import (
    ConfigurationError,
    OutputMissingError,
    StorageAccessError,
    StorageUnavailableError,
)
from vertex_batch.hooks.storage import DEFAULT_CONN_ID
from vertex_batch.usage.files import COLUMNS

_TABLE = re.compile(r"bq://(?P<project>[^.\s/]+)\.(?P<dataset>\w+)\.(?P<table>[^.\s/]+)")
PAGE_ROWS = 1000


def read_table(uri: str, gcp_conn_id: str = DEFAULT_CONN_ID) -> Iterator[Mapping[str, object]]:
    """Read the columns that a bill needs, page by page. It runs no query, so BigQuery charges nothing.

    :param uri: ``bq://PROJECT.DATASET.TABLE``.
    :raises OutputMissingError: there is no such table.
    :raises StorageAccessError: the connection may not read it.
    :raises StorageUnavailableError: BigQuery failed; a retry may succeed.
    """
    found = _TABLE.fullmatch(uri)
    if found is None:
        raise ConfigurationError(f"{uri} is not a valid output table; expected bq://PROJECT.DATASET.TABLE.")
    from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook  # noqa: PLC0415 - takes seconds
    from google.api_core import exceptions

    try:
        hook = BigQueryHook(gcp_conn_id=gcp_conn_id, use_legacy_sql=False)
        client = hook.get_client(project_id=found["project"])
        table = client.get_table(f"{found['project']}.{found['dataset']}.{found['table']}")
        fields = [field for field in table.schema if field.name in COLUMNS]
        for row in client.list_rows(table, selected_fields=fields, page_size=PAGE_ROWS):
            yield dict(row.items())
    except exceptions.NotFound as error:
        raise OutputMissingError(uri, "the table does not exist") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise StorageAccessError(uri, gcp_conn_id, str(error)) from error
    except (exceptions.GoogleAPIError, OSError) as error:
        raise StorageUnavailableError(uri, f"{type(error).__name__}: {error}") from error
