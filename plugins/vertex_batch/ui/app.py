"""The FastAPI application behind the pages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from vertex_batch.costs import CostTableError, CostTableUnavailableError
from vertex_batch.errors import ConfigurationError
from vertex_batch.ui.access import RefusedError, signed_in
from vertex_batch.ui.job_routes import router as job_router
from vertex_batch.ui.open_table import NoCostTableError
from vertex_batch.ui.overview_routes import router
from vertex_batch.ui.periods import BadAddressError
from vertex_batch.ui.render import SECURITY_HEADERS, page
from vertex_batch.ui.run_routes import router as run_router
from vertex_batch.ui.setup_routes import router as setup_router

log = logging.getLogger(__name__)

_MAX_TEXT = 2000
"""The most characters of a value in an address. SQLite searches for no more than 50,000 bytes."""

_MESSAGES = {
    HTTPStatus.UNAUTHORIZED: ("Please sign in", "Sign in to Airflow to see these pages."),
    HTTPStatus.FORBIDDEN: ("Access denied", "Your role in Airflow may not see the pages of plugins."),
    HTTPStatus.NOT_FOUND: (
        "Not found",
        "This page or job does not exist, or it belongs to a DAG that you may not see.",
    ),
}


def make_app() -> FastAPI:
    """Make the application. All its routes need a login. It has no API documentation pages."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for each in (router, run_router, job_router, setup_router):
        app.include_router(each, dependencies=[signed_in, Depends(_check_address)])
    app.middleware("http")(_with_security_headers)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    return app


def _check_address(request: Request) -> None:
    """Refuse values that no database can search for. What they would raise looks like a broken table."""
    for name, value in request.query_params.multi_items():
        if len(value) > _MAX_TEXT or "\0" in value:
            raise BadAddressError(
                f"The value of {name[:40]!r} is not valid: at most {_MAX_TEXT:,} characters are possible, and"
                " none of them may be NUL."
            )


async def _with_security_headers(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await answer(request)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, RefusedError):
        return page(request, "error.html", status=403, title=error.title, text=error.text)
    status = error.status_code if isinstance(error, HTTPException) else 500
    title, text = _MESSAGES.get(HTTPStatus(status), (HTTPStatus(status).phrase, ""))
    return page(request, "error.html", status=status, title=title, text=text)


def _bad_address(request: Request, error: Exception) -> Response:
    return page(request, "error.html", status=400, title="Invalid address", text=str(error))


def _no_table(request: Request, _: Exception) -> Response:
    return page(request, "nothing.html")


def _unusable(request: Request, error: Exception) -> Response:
    """The database cannot be used. Its message may name hosts and users, so it is only logged."""
    log.error("The cost pages cannot read the cost table: %s", error)
    if isinstance(error, CostTableUnavailableError):
        text = "Its database is busy or does not answer. No data is lost. Reload the page in a moment."
        return page(request, "error.html", status=503, title="The cost table does not answer", text=text)
    text = (
        "Ask an Airflow administrator to check the connection batch_costs."
        " The API server's log has the cause. No data is lost."
    )
    return page(request, "error.html", status=500, title="The cost table cannot be read", text=text)


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    HTTPException: _refused,
    RefusedError: _refused,
    BadAddressError: _bad_address,
    NoCostTableError: _no_table,
    CostTableError: _unusable,
    ConfigurationError: _unusable,
}
