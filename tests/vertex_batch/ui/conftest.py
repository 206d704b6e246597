"""The pages over a real cost table, with somebody signed in; only Airflow's part of that is replaced."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from sqlalchemy import Connection, delete

from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.ui import access, overview_routes
from vertex_batch.ui.app import make_app
from vertex_batch.usage import Kind, Modality, RowProblem, Tier

TODAY = date(2026, 11, 22)
HOSTILE = "<script>alert(1)</script>\"'&{{1234*4321}}"
_numbers = itertools.count(1)


def item(amount: str | None = "1.5", **changes) -> LineItem:
    known = amount is not None
    return LineItem(
        **{
            "model": "gemini-2.5-flash",
            "kind": Kind.OUTPUT,
            "modality": Modality.TEXT,
            "tier": Tier.STANDARD,
            "tokens": 1_000_000,
            "unit_price_usd": Decimal(amount) / 1_000_000 if known else None,
            "amount_usd": Decimal(amount) if known else None,
            "basis": Basis.BATCH_RATE if known else None,
            "source": "packaged" if known else "",
            "price_date": date(2026, 11, 1) if known else None,
            "reason": "" if known else "no price is known",
            **changes,
        }
    )


@dataclass
class Pages:
    """The pages, as one person sees them.

    :ivar dags: all DAGs of Airflow.
    :ivar may_see_any: whether the person may read every DAG, whatever its name.
    """

    client: TestClient
    table: CostTable
    may_see: set[str] = field(default_factory=lambda: {"nightly", "hourly"})
    may_end: set[str] = field(default_factory=lambda: {"nightly"})
    dags: set[str] = field(default_factory=lambda: {"nightly", "hourly", "secret"})
    may_see_any: bool = False
    may_read_logs: bool = True
    may_see_import_errors: bool = True

    def record(self, *items: LineItem, day: date = TODAY, bill: dict | None = None, **facts) -> Bill:
        names = {
            "project": "demo-project",
            "location": "us-central1",
            "job_id": str(next(_numbers)),
            "dag_id": "nightly",
            "run_id": "manual__2026-11-22T02:30:00+00:00",
            "spec": "nightly",
            "team": "search",
            "task_id": "submit",
            "output_directory": "gs://demo-bucket/out",
            "state": "SUCCEEDED",
            "model": "publishers/google/models/gemini-2.5-flash",
            "logical_date": datetime(day.year, day.month, day.day, tzinfo=UTC),
        }
        made = Bill(
            job=JobFacts(**{**names, **facts}),
            line_items=items or (item(),),
            **{
                "rows": RowCounts(ok=10, failed=2, unreadable=1, input_rows=13),
                "failed_reasons": {"INVALID_ARGUMENT": 2},
                "problems": (RowProblem("predictions.jsonl", 17, "cut short"),),
                "failed_samples": (RowProblem("predictions.jsonl", 4, "INVALID_ARGUMENT"),),
                **(bill or {}),
            },
        )
        self.table.record(made)
        return made

    def get(self, path: str, **query):
        return self.client.get(path, params=query)


class _Manager:
    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def get_authorized_dag_ids(self, *, user, method):
        assert method == "GET"
        return set(self._pages.may_see)

    def is_authorized_dag(self, *, method, details, user, access_entity=None):
        if access_entity is None:  # any DAG
            assert (method, details.id in self._pages.dags) == ("GET", False)
            return self._pages.may_see_any
        if method == "GET" and access_entity in (DagAccessEntity.TASK_LOGS, DagAccessEntity.AUDIT_LOG):
            return self._pages.may_read_logs
        assert (method, access_entity) == ("PUT", DagAccessEntity.RUN)
        return details.id in self._pages.may_end

    def is_authorized_connection(self, *, method, user):
        return True

    def is_authorized_view(self, *, access_view, user):
        return access_view is not AccessView.IMPORT_ERRORS or self._pages.may_see_import_errors


@pytest.fixture
def costs_file(tmp_path, monkeypatch) -> Path:
    file = tmp_path / "costs.db"
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", f'{{"conn_type": "sqlite", "host": "{file}"}}')
    return file


@pytest.fixture(scope="session")
def airflow_tables() -> None:
    """Airflow's own tables, in the throwaway home of the tests."""
    from airflow import settings
    from airflow.models.base import Base
    from airflow.models.dag import DagModel  # noqa: F401 - the models that are imported are those that are made
    from airflow.models.log import Log  # noqa: F401
    from airflow.models.taskinstance import TaskInstance  # noqa: F401
    from airflow.models.trigger import Trigger  # noqa: F401

    settings.configure_orm()
    Base.metadata.create_all(settings.engine)


@contextmanager
def airflows_database() -> Iterator[Connection]:
    """A transaction in which rows need not have all that Airflow would write beside them."""
    from airflow import settings

    with settings.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            yield connection
            connection.commit()
        finally:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


@pytest.fixture
def empty_airflow(airflow_tables) -> None:
    """No run of another test in Airflow's own tables."""
    from airflow.models.dag import DagTag
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel

    with airflows_database() as connection:
        for model in (XComModel, TaskInstance, DagRun, DagTag, Log):
            connection.execute(delete(model.__table__))


@pytest.fixture
def app(costs_file, empty_airflow):
    made = make_app()
    made.dependency_overrides[overview_routes._today] = lambda: TODAY
    return made


@pytest.fixture
def stranger(app) -> Iterator[TestClient]:
    """Somebody who is not signed in; Airflow's own code says so."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def pages(app, costs_file, monkeypatch) -> Iterator[Pages]:
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="somebody", role="user")
    with TestClient(app) as client:
        made = Pages(client, CostTable(f"sqlite:///{costs_file}"))
        manager = _Manager(made)
        monkeypatch.setattr(access, "get_auth_manager", lambda: manager)
        monkeypatch.setattr(access, "dags_of_airflow", lambda: frozenset(made.dags))
        monkeypatch.setattr("airflow.api_fastapi.core_api.security.get_auth_manager", lambda: manager)
        yield made
