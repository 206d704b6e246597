"""The page Setup: the checks of ``vertex-batch doctor``, as this API server sees the connections."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import APIRouter, Depends, Request, Response

from vertex_batch.doctor import CheckedSetup, CheckStatus, SetupAccess, check_setup
from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.connection import ProxySettings
from vertex_batch.hooks.cost_table import cost_table_url
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.specs import specs_folder
from vertex_batch.ui.access import CurrentReader, Reader, RefusedError
from vertex_batch.ui.consent import Form, is_own_form, sign
from vertex_batch.ui.render import page

log = logging.getLogger(__name__)
router = APIRouter()

_ACTION = "setup"
_SHARED_FOR, _SHOWN_FOR = timedelta(seconds=15), timedelta(minutes=10)
_CHIPS = {
    CheckStatus.OK: "good",
    CheckStatus.WARNING: "warn",
    CheckStatus.FAILED: "bad",
    CheckStatus.NOT_CHECKED: "",
}


@dataclass(frozen=True, slots=True)
class SetupReport:
    """The results of all checks, and when they were made."""

    checks: tuple[CheckedSetup, ...]
    made_at: datetime

    def count(self, status: CheckStatus) -> int:
        return sum(each.status is status for each in self.checks)


class SetupReports:
    """Keeps the last report. Of several users who ask at the same time, one runs the checks."""

    def __init__(self, check: Callable[[], list[CheckedSetup]]) -> None:
        self._check = check
        self._last: SetupReport | None = None
        self._lock = threading.Lock()

    def last(self) -> SetupReport | None:
        """The last report; None if there is none, or if it is old."""
        return self._last if self._last and self._age() < _SHOWN_FOR else None

    def make(self) -> SetupReport:
        """Run the checks, unless someone else has just done so."""
        with self._lock:
            if self._last is None or self._age() >= _SHARED_FOR:
                self._last = SetupReport(tuple(self._check()), datetime.now(UTC))
            return self._last

    def _age(self) -> timedelta:
        return datetime.now(UTC) - self._last.made_at if self._last else timedelta.max


def _settings(connection: str) -> ProxySettings:
    try:
        return LiteLLMHook(connection).settings()
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"The connection {connection!r} is not defined. Define it in Airflow, with the type LiteLLM proxy"
        ) from error


def _check() -> list[CheckedSetup]:
    folder = specs_folder(conf.get("core", "dags_folder"))
    return check_setup(SetupAccess(_settings, open_storage, cost_table_url), folder)


reports = SetupReports(_check)


def _administrator(reader: CurrentReader) -> Reader:
    """A user who may see connections, since the report names hosts, projects and buckets."""
    if not get_auth_manager().is_authorized_connection(method="GET", user=reader.user):
        raise RefusedError(
            "Access denied",
            "Your role in Airflow may not see connections, so it may not check the setup either.",
        )
    return reader


Administrator = Annotated[Reader, Depends(_administrator)]


@router.get("/setup")
def setup(request: Request, reader: Administrator) -> Response:
    """Show the last report. Nothing is checked, because a check writes an object."""
    return _page(request, reader, reports.last())


@router.post("/setup")
def run_setup(request: Request, reader: Administrator, form: Form) -> Response:
    """Run the checks and show the report. It is not in the event loop: FastAPI gives it a thread."""
    if not is_own_form(request, form, reader.user_id, _ACTION):
        raise RefusedError(
            "Nothing was checked",
            "The form is more than an hour old, or was not sent from this page. Open Setup again.",
        )
    log.info("%s checks the setup", reader.name)
    return _page(request, reader, reports.make())


def _page(request: Request, reader: Reader, report: SetupReport | None) -> Response:
    token = sign(reader.user_id, _ACTION)
    return page(request, "setup.html", report=report, token=token, chips=_CHIPS, statuses=CheckStatus)
