"""Whether a form was sent from our own page, by the person who is signed in.

The login is a cookie that Airflow sets with SameSite=Lax, so that in a browser of today no foreign page can
post with it. A form that changes something is checked twice more: by what the browser says of where it came
from, and by a token that only our page, made for that person and job, can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from airflow.sdk import conf
from fastapi import Depends, HTTPException, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from vertex_batch.observability.links import airflow_url

_SECONDS = 3600
_MAX_FORM_BYTES = 10_000


async def _read_form(request: Request) -> dict[str, str]:
    """Read the fields of a small form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(413)
    try:
        fields = parse_qs(body.decode("utf-8"), max_num_fields=10)
    except ValueError as error:
        raise HTTPException(400) from error
    return {name: values[0] for name, values in fields.items()}


Form = Annotated[dict[str, str], Depends(_read_form)]


def is_own_form(request: Request, form: Mapping[str, str], user_id: str, action: str) -> bool:
    """Whether this user has sent a form from our page for this action, which was not made too long ago."""
    here = (str(request.base_url), airflow_url())
    return is_signed(form.get("token", ""), user_id, action) and is_from_here(request.headers, here)


def sign(user_id: str, action: str) -> str:
    """Make a token that is valid for an hour."""
    return _serializer().dumps([user_id, action])


def is_signed(token: str, user_id: str, action: str, *, max_age_seconds: int = _SECONDS) -> bool:
    """Whether this server made the token for that user and action, and not too long ago."""
    try:
        signed: object = _serializer().loads(token, max_age=max_age_seconds)
    except BadSignature:
        return False
    return signed == [user_id, action]


def is_from_here(headers: Mapping[str, str], addresses: Iterable[str]) -> bool:
    """Whether the browser reports that a page of this site sent the form.

    :param addresses: the URLs of this site.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    hosts = {urlsplit(address).netloc for address in addresses}
    return origin.startswith(("http://", "https://")) and urlsplit(origin).netloc in hosts


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(conf.get("api", "secret_key")), salt="vertex-batch")
