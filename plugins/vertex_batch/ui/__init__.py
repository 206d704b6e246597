"""The pages in Airflow's UI: what was spent, on what, and each job's bill.

Airflow imports plugins in each of its processes, but only the API server shows pages. So the web framework is
imported with the first request.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["URL_PREFIX", "Pages"]

URL_PREFIX = "/vertex-batch"
"""As `observability.links.PAGES_PREFIX`; a plugin imports no more than it has to."""


class Pages:
    """The pages as an ASGI application that is created with the first request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _app()(scope, receive, send)


@cache
def _app() -> ASGIApp:
    from vertex_batch.ui.app import make_app  # noqa: PLC0415 - see above

    return make_app()
