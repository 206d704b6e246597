from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.cost_table import CostTableHook, cost_table_url, executors_on_several_machines

PASSWORD = "p@ss:w/rd?#% é"


@pytest.fixture
def define(monkeypatch):
    def define(value, conn_id="batch_costs"):
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)

    return define


def home() -> Path:
    return Path(os.environ["AIRFLOW_HOME"]).resolve()


def test_without_a_connection_it_is_a_file_in_airflow_s_home():
    assert cost_table_url() == f"sqlite:///{home()}/batch_costs.db"


@pytest.mark.parametrize(
    ("setting", "teams", "named"),
    [
        ("LocalExecutor", False, []),
        ("airflow.executors.local_executor.LocalExecutor", False, []),
        ("here:LocalExecutor", False, []),
        ("CeleryExecutor", False, ["CeleryExecutor"]),
        ("LocalExecutor, KubernetesExecutor", False, ["KubernetesExecutor"]),
        ("LocalExecutor,edge:airflow.providers.edge3.executors.EdgeExecutor", False, ["EdgeExecutor"]),
        ("LocalExecutor;search=CeleryExecutor", True, ["CeleryExecutor"]),
        ("LocalExecutor;search=CeleryExecutor", False, []),
        ("=LocalExecutor;a=LocalExecutor;b=pods:KubernetesExecutor", True, ["KubernetesExecutor"]),
        ("CeleryExecutor,KubernetesExecutor", False, ["CeleryExecutor", "KubernetesExecutor"]),
        ("ours.executors.QueueExecutor", False, ["QueueExecutor"]),
    ],
)
def test_executors_with_several_machines_are_known_by_their_names(setting, teams, named):
    assert executors_on_several_machines(setting, teams=teams) == named


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}, "CeleryExecutor"),
        (
            {
                "AIRFLOW__CORE__EXECUTOR": "LocalExecutor;search=CeleryExecutor",
                "AIRFLOW__CORE__MULTI_TEAM": "true",
            },
            "CeleryExecutor",
        ),
        # The official chart sets LocalExecutor in the pod of a task.
        (
            {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW_IS_K8S_EXECUTOR_POD": "True"},
            "KubernetesExecutor",
        ),
    ],
)
def test_a_file_of_its_own_on_each_machine_is_refused_with_the_fix(define, monkeypatch, variables, named):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"{named}.*PostgreSQL.*type sqlite"):
        cost_table_url()
    define({"conn_type": "sqlite", "host": "/shared/costs.db"})
    assert make_url(cost_table_url()).database == "/shared/costs.db"


def test_without_a_home_it_is_airflow_s_usual_one(monkeypatch):
    monkeypatch.delenv("AIRFLOW_HOME")
    assert cost_table_url() == f"sqlite:///{Path.home()}/airflow/batch_costs.db"


def test_another_connection_that_is_not_defined_is_no_silent_file():
    with pytest.raises(ConfigurationError, match=r"'team_costs'.*not defined"):
        cost_table_url("team_costs")


@pytest.mark.parametrize(
    ("connection", "path"),
    [
        ({"conn_type": "sqlite", "host": "/srv/costs.db"}, "/srv/costs.db"),
        ({"conn_type": "sqlite", "host": "/srv/my costs?.db"}, "/srv/my costs?.db"),
        ("sqlite:////srv/costs.db", "/srv/costs.db"),
    ],
)
def test_sqlite_is_a_file(define, connection, path):
    define(connection)
    assert make_url(cost_table_url()).database == path


def test_a_relative_file_lies_in_airflow_s_home_wherever_the_worker_runs(define, monkeypatch, tmp_path):
    define({"conn_type": "sqlite", "host": "costs/all.db"})
    monkeypatch.chdir(tmp_path)
    assert make_url(cost_table_url()).database == f"{home()}/costs/all.db"


@pytest.mark.parametrize("host", ["", ":memory:"])
def test_sqlite_without_a_file_is_refused(define, host):
    define({"conn_type": "sqlite", "host": host})
    with pytest.raises(ConfigurationError, match="has no file"):
        cost_table_url()


def test_postgres_keeps_a_password_of_any_letters_and_what_libpq_knows(define):
    define(
        {
            "conn_type": "postgres",
            "host": "db.example",
            "port": 5433,
            "login": "costs@team",
            "password": PASSWORD,
            "schema": "batch costs",
            "extra": {"sslmode": "require", "cursor": "dictcursor", "sslcert": ""},
        }
    )
    url = make_url(cost_table_url())
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password, url.host, url.port) == ("costs@team", PASSWORD, "db.example", 5433)
    assert (url.database, dict(url.query)) == ("batch costs", {"sslmode": "require"})


def test_postgres_written_as_a_uri_is_read(define):
    define("postgres://costs:secret@db.example/billing")
    assert cost_table_url() == "postgresql+psycopg2://costs:secret@db.example/billing"


def test_postgres_without_host_and_database_says_both(define):
    define({"conn_type": "postgres", "password": "hunter2"})
    with pytest.raises(ConfigurationError, match=r"host and database") as caught:
        cost_table_url()
    assert "hunter2" not in str(caught.value)


def test_another_type_is_refused_with_those_that_work(define):
    define({"conn_type": "mysql", "host": "db", "password": "hunter2"})
    with pytest.raises(ConfigurationError, match=r"'mysql'.*postgres.*sqlite") as caught:
        cost_table_url()
    assert "hunter2" not in str(caught.value)


def test_the_hook_opens_the_table(define, tmp_path):
    define({"conn_type": "sqlite", "host": str(tmp_path / "costs.db")})
    table = CostTableHook().table()
    assert type(table).__name__ == "CostTable"
