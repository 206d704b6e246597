"""DuckDB, which joins and sorts rows in bounded memory and spills to disk; the tables of a join."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PACKAGES = ("duckdb", "pyarrow", "jsonschema_rs")
"""What a delivery imports, beside what the package always needs."""
_EXTRA = "airflow-vertex-batch[results]"
MEMORY_MB = 128
"""What DuckDB may keep in memory; the rest of a delivery's limit is for Python and its libraries."""
_BATCH_BYTES = 8 << 20
_ROW_BYTES = 400

# A row is matched by its first digest, then by the second, then by the third; see `matching`.
_DIGEST_COLUMNS = "a1 BIGINT, b1 BIGINT, a2 BIGINT, b2 BIGINT, a3 BIGINT, b3 BIGINT"

TABLES = f"""
CREATE TABLE files (file INTEGER, uri VARCHAR);
CREATE TABLE input_rows (
    seq BIGINT, file INTEGER, line BIGINT, key VARCHAR, kept_start BIGINT, kept_size BIGINT,
    loose_a BIGINT, loose_b BIGINT
);
CREATE TABLE input_digests (seq BIGINT, {_DIGEST_COLUMNS});
CREATE TABLE output_rows (
    id BIGINT, attempt INTEGER, job INTEGER, part INTEGER, file INTEGER, line BIGINT, key VARCHAR,
    {_DIGEST_COLUMNS}, response_a BIGINT, response_b BIGINT,
    reason VARCHAR, words VARCHAR, schema_path VARCHAR, model VARCHAR, finish_reason VARCHAR,
    input_tokens BIGINT, cached_tokens BIGINT, output_tokens BIGINT, thoughts_tokens BIGINT,
    cost DECIMAL(38, 18), cost_complete BOOLEAN, answer_start BIGINT, answer_size BIGINT, is_embedding BOOLEAN
);
CREATE TABLE input_prompts (seq BIGINT, a BIGINT, b BIGINT);
CREATE TABLE output_prompts (id BIGINT, a BIGINT, b BIGINT);
CREATE TABLE resumed_jobs (job INTEGER);
CREATE TABLE matches (seq BIGINT, id BIGINT, attempt INTEGER);
"""


def check_packages() -> None:
    """See that answers can be delivered here. Call it before a job is paid for.

    :raises ConfigurationError: a package is not installed.
    """
    missing = ", ".join(package for package in PACKAGES if find_spec(package) is None)
    if missing:
        raise ConfigurationError(
            f"This environment lacks {missing}, which a delivery needs. No job with `results` is submitted",
            f"install {_EXTRA} where Airflow's tasks run",
        )


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
            f" {_EXTRA} in the environment in which this runs. No job is affected: the"
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


class Appender:
    """Appends rows to one table, a batch at a time. Use `flush` after the last row."""

    def __init__(self, connection: DuckDBPyConnection, table: str) -> None:
        with needs("pyarrow"):
            import pyarrow as pa
        self._connection = connection
        names, types = [], []
        for name, kind in connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
            [table],
        ).fetchall():
            names.append(name)
            types.append(_arrow_type(pa, kind))
        self._schema = pa.schema(list(zip(names, types, strict=True)))
        self._insert = f"INSERT INTO {table} SELECT * FROM batch"  # noqa: S608 - our own names
        self._rows: list[tuple[object, ...]] = []
        self._size = 0

    def add(self, row: tuple[object, ...], size: int) -> None:
        """Add one row.

        :param row: its values, in the order of the columns.
        :param size: about how many bytes of text it holds.
        """
        self._rows.append(row)
        self._size += size + _ROW_BYTES
        if self._size >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        with needs("pyarrow"):
            import pyarrow as pa
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._rows.clear()
        self._size = 0
        self._connection.register("batch", pa.Table.from_arrays(arrays, schema=self._schema))
        self._connection.execute(self._insert)
        self._connection.unregister("batch")


def _arrow_type(pa: Any, kind: str) -> object:
    if kind.startswith("DECIMAL"):
        return pa.decimal128(38, 18)
    return {"BIGINT": pa.int64(), "INTEGER": pa.int32(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_()}[kind]
