"""DuckDB, which joins and sorts rows in bounded memory and spills to disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vertex_batch.errors import ConfigurationError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXTRA = "results"
MEMORY_MB = 128
"""What DuckDB may keep in memory; the rest of a delivery's limit is for Python and its libraries."""


@contextmanager
def needs(package: str) -> Iterator[None]:
    """Explain how to install what a delivery needs, if it is missing.

    :raises ConfigurationError: the import inside failed.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"A delivery needs the package {package}, which is not installed here ({error}). Install"
            f" airflow-vertex-batch[{EXTRA}] in the environment in which this runs. No job is affected: the"
            " answers are in the output, and a retry delivers them"
        ) from None


def open_database(work: Path) -> DuckDBPyConnection:
    """Open a database that spills into a work folder, which must be on a local disk.

    Every statement is its own transaction: one transaction would keep all batches in memory.

    :raises ConfigurationError: DuckDB is not installed.
    """
    with needs("duckdb"):
        import duckdb
    work.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{MEMORY_MB}MB",
            "temp_directory": str(work / "spill"),
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
