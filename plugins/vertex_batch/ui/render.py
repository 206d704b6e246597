"""Templates to answers, each with the headers that keep a page to itself."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from importlib import resources

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from vertex_batch.observability.links import airflow_path
from vertex_batch.tasks.delivery_order import reading_seconds
from vertex_batch.ui import URL_PREFIX, numbers, words

# Nothing but our own style sheet and script; only Airflow may show a page in a frame.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CODE = re.compile(r"`([^`\n]+)`")
_FINE_AMOUNT = re.compile(r"(?<![\w.,])(\d[\d,]*\.\d{5,}) USD\b", re.ASCII)
_CENT = Decimal("0.01")
STATIC_FILES = {
    "pages.css": "text/css",
    "jobs.css": "text/css",
    **dict.fromkeys(("frame.js", "live.js", "overview.js"), "text/javascript"),
}


def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Fill in a template. Everything in it is escaped."""
    values = {"dag_id": "", "address": request.query_params, **values}
    text = _templates(airflow_path()).get_template(template).render(values)
    return HTMLResponse(text, status)


def address_of(path: str) -> str:
    """The address of one of our pages, seen from outside."""
    return f"{airflow_path()}{URL_PREFIX}{path}"


def static_file(name: str) -> Response:
    """Answer with one of our own files.

    :raises HTTPException: there is no such file.
    """
    if name not in STATIC_FILES:
        raise HTTPException(404)
    content = resources.files("vertex_batch.ui").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC_FILES[name], headers={"Cache-Control": "private, max-age=300"})


def with_code(text: str) -> Markup:
    """Escape a text, show what is between backticks as code, and round amounts with many decimals."""
    rounded = _FINE_AMOUNT.sub(_rounded, str(escape(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", rounded))  # noqa: S704 - escaped


def _rounded(found: re.Match[str]) -> str:
    """Write an amount as the pages do, with all of it in its title. A rate below a cent stays as it is."""
    exact = Decimal(found[1].replace(",", ""))
    if exact < _CENT:
        return found[0]
    return f'<span title="{found[0]}">{numbers.amount(exact)}</span> USD'


@cache
def _templates(airflow: str) -> Environment:
    """Load the templates.

    What their macros need is global, so that they are imported without the values of a page. Macros with
    these values would be cycles, which keep all that a page was made of until a full garbage collection.
    """
    templates = Environment(
        loader=PackageLoader("vertex_batch.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["with_code"] = with_code
    templates.globals.update(words=words, numbers=numbers, airflow=airflow, root=airflow + URL_PREFIX)
    templates.globals["reading_seconds"] = reading_seconds
    return templates
