"""The page Setup: who may see it, what it shows, and that only its own form runs the checks."""

from __future__ import annotations

import re

import pytest

from tests.vertex_batch.ui.conftest import HOSTILE
from vertex_batch.doctor.runner import CheckedSetup, failed, ok
from vertex_batch.ui import setup_routes
from vertex_batch.ui.setup_routes import SetupReports

CHECKS = [
    CheckedSetup("airflow", "", ok("Airflow 3.3.2.")),
    CheckedSetup("pool", HOSTILE, failed(f"No pool {HOSTILE}.", "create it")),
]
OWN = {"sec-fetch-site": "same-origin"}


class _Manager:
    def __init__(self, *, may: bool) -> None:
        self._may = may

    def is_authorized_connection(self, *, method, user):
        assert method == "GET"
        return self._may


@pytest.fixture
def runs(pages, monkeypatch):
    """Someone who may see connections; each run of the checks is counted."""
    made: list[int] = []

    def check():
        made.append(1)
        return CHECKS

    monkeypatch.setattr(setup_routes, "reports", SetupReports(check))
    monkeypatch.setattr(setup_routes, "get_auth_manager", lambda: _Manager(may=True))
    return made


def _token(pages) -> str:
    return re.search(r'name="token" value="([^"]+)"', pages.get("/setup").text)[1]


def test_opening_the_page_checks_nothing_and_its_button_does(pages, runs):
    assert "Check the setup" in pages.get("/setup").text
    assert not runs
    answer = pages.client.post("/setup", data={"token": _token(pages)}, headers=OWN)
    assert (answer.status_code, len(runs)) == (200, 1)
    assert "1 of 2 checks failed" in answer.text
    assert "<b>To do:</b> create it." in answer.text
    assert "<script>alert" not in answer.text
    # The report is kept for a while, and shared by those who ask at the same time.
    assert "1 of 2 checks failed" in pages.get("/setup").text
    pages.client.post("/setup", data={"token": _token(pages)}, headers=OWN)
    assert len(runs) == 1


@pytest.mark.parametrize("headers", [OWN, {"sec-fetch-site": "cross-site"}, {}])
def test_a_form_of_another_page_checks_nothing(pages, runs, headers):
    token = "forged" if headers is OWN else _token(pages)
    answer = pages.client.post("/setup", data={"token": token}, headers=headers)
    assert (answer.status_code, runs) == (403, [])
    assert "Nothing was checked" in answer.text


def test_who_may_not_see_connections_may_not_see_the_setup(pages, runs, monkeypatch, stranger):
    monkeypatch.setattr(setup_routes, "get_auth_manager", lambda: _Manager(may=False))
    for answer in (pages.get("/setup"), pages.client.post("/setup", data={"token": "x"}, headers=OWN)):
        assert answer.status_code == 403
        assert "may not see connections" in answer.text
    assert not runs
