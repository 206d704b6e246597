"""The cost table, as an Airflow connection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, conf
from airflow.sdk.exceptions import AirflowNotFoundException

from vertex_batch import costs
from vertex_batch.errors import ConfigurationError
from vertex_batch.observability import metrics

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from vertex_batch.costs import CostTable

DEFAULT_CONN_ID = "batch_costs"
DEFAULT_FILE = "batch_costs.db"

_ON_ONE_MACHINE = "LocalExecutor"
# Airflow's executors set these in the container of a task.
_CONTAINERS = {
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "KubernetesExecutor",
    "AIRFLOW_IS_EXECUTOR_CONTAINER": "an executor that starts a container for each task",
}
_NOT_ON_SEVERAL = (
    "Connection 'batch_costs' is not defined. Without it, costs are stored in a SQLite file in AIRFLOW_HOME,"
    " which works only if all tasks run on one machine. This Airflow uses {}: each machine would have a cost"
    " table of its own, and a container's would be lost with it. Define the connection 'batch_costs' as a"
    " PostgreSQL database, or, if all tasks do share one disk, as type sqlite with the path of a file as its"
    " host. Then run this again. Jobs and their outputs are kept."
)

# What libpq and psycopg2 take from a URL; other extras belong to Airflow's own hook.
_POSTGRES_EXTRAS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    "options",
    "target_session_attrs",
)


def cost_table_url(batch_costs_conn_id: str = DEFAULT_CONN_ID) -> str:
    """Return the SQLAlchemy URL of the cost table. It may contain a password: do not log it.

    A connection of type ``postgres`` is a PostgreSQL database. One of type ``sqlite`` is a file: its host is
    the path, and a relative path is below ``$AIRFLOW_HOME``. If ``batch_costs`` is not defined, the file is
    ``$AIRFLOW_HOME/batch_costs.db``. That only works if all tasks run on one machine, so it is refused if an
    executor of this Airflow has several.

    :raises ConfigurationError: a connection that is needed is not defined, or the type is wrong.
    """
    try:
        connection = BaseHook.get_connection(batch_costs_conn_id)
    except AirflowNotFoundException as error:
        if batch_costs_conn_id == DEFAULT_CONN_ID:
            if executors := executors_of_this_airflow():
                raise ConfigurationError(_NOT_ON_SEVERAL.format(" and ".join(executors))) from error
            return _sqlite_url(DEFAULT_FILE)
        raise ConfigurationError(
            f"Connection {batch_costs_conn_id!r} for the cost table is not defined. Define it, or leave it"
            " out to store the costs in a SQLite file in AIRFLOW_HOME. The job's output is kept. Then run"
            " this again to record its cost."
        ) from error
    if connection.conn_type == "sqlite":
        return _sqlite_url(_sqlite_path(connection))
    if connection.conn_type in {"postgres", "postgresql"}:
        return _postgres_url(connection)
    raise ConfigurationError(
        f"Connection {batch_costs_conn_id!r} is of type {connection.conn_type!r}, which cannot hold the cost"
        " table. Use one of type postgres, or sqlite with the path of a file as its host."
    )


def executors_of_this_airflow() -> list[str]:
    """Return the executors whose tasks may run on several machines."""
    teams = conf.getboolean("core", "multi_team", fallback=False)
    found = executors_on_several_machines(conf.get("core", "executor", fallback=_ON_ONE_MACHINE), teams=teams)
    # In such a container the setting often names the LocalExecutor, which runs its one task.
    return found or [name for variable, name in _CONTAINERS.items() if variable in os.environ]


def executors_on_several_machines(setting: str, *, teams: bool) -> list[str]:
    """Find the executors in ``[core] executor`` whose tasks may run on several machines. Pure.

    Of an executor that is not Airflow's own nothing is known, so it counts as one.

    :param setting: such as ``LocalExecutor,alias:path.of.Executor;team=CeleryExecutor``.
    :param teams: whether executors of teams are in use; Airflow ignores them otherwise.
    """
    found: dict[str, None] = {}
    for part in setting.split(";"):
        team, _, listed = part.rpartition("=")
        if team and not teams:
            continue
        for name in listed.split(","):
            executor = name.rpartition(":")[2].rpartition(".")[2].strip()
            if executor and executor != _ON_ONE_MACHINE:
                found[executor] = None
    return list(found)


class CostTableHook(BaseHook):
    """Opens the cost table of a connection.

    :param batch_costs_conn_id: see `cost_table_url`.
    """

    conn_name_attr = "batch_costs_conn_id"
    default_conn_name = DEFAULT_CONN_ID

    def __init__(self, batch_costs_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_costs_conn_id = batch_costs_conn_id

    def table(self) -> CostTable:
        """Open the table. Its schema is created or upgraded at first use.

        Every bill that a task writes is in the metrics. Add other receivers of bills here.
        """
        return costs.CostTable(cost_table_url(self.batch_costs_conn_id), on_bill=metrics.recorded)

    def get_conn(self) -> CostTable:
        """Open the table, under the name that Airflow's hooks give it."""
        return self.table()


def _sqlite_path(connection: Connection) -> str:
    # A connection written as a URI, `sqlite:////srv/costs.db`, has its path in the schema.
    path = connection.host or connection.schema or ""
    if not path or ":memory:" in path:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} of type sqlite has no file: set its host to the path of one."
            " In memory, the bill would be lost when the task ends."
        )
    return str(path)


def _sqlite_url(path: str) -> str:
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    return _url("sqlite", database=str((home / Path(path).expanduser()).resolve()))


def _postgres_url(connection: Connection) -> str:
    missing = [name for name in ("host", "schema") if not getattr(connection, name)]
    if missing:
        named = " and ".join({"host": "host", "schema": "database (schema)"}[name] for name in missing)
        raise ConfigurationError(f"Connection {connection.conn_id!r} of type postgres has no {named}.")
    extras = connection.extra_dejson
    return _url(
        "postgresql+psycopg2",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host,
        port=connection.port or None,
        database=connection.schema,
        query={name: str(extras[name]) for name in _POSTGRES_EXTRAS if extras.get(name) not in (None, "")},
    )


def _url(driver: str, **parts: Any) -> str:
    # Imported here, because every DAG parse loads this module.
    from sqlalchemy.engine import URL

    return URL.create(driver, **parts).render_as_string(hide_password=False)
