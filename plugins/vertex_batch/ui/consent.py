"""Whether a form was sent from our own page, by the person who is signed in. Pure, but for the secret.

The login is a cookie that Airflow sets with SameSite=Lax, so that in a browser of today no foreign page can
post with it. A form that changes something is checked twice more: by what the browser says of where it came
from, and by a token that only our page, made for that person and job, can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from airflow.sdk import conf
from itsdangerous import BadSignature, URLSafeTimedSerializer

_SECONDS = 3600


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
