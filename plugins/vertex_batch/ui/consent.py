"""Whether a form was sent from our own page, by the person who is signed in. Pure, but for the secret.

The login is a cookie that Airflow sets with SameSite=Lax, so that in a browser of today no foreign page can
post with it. A form that changes something is checked twice more: by what the browser says of where it came
from, and by a token that only our page, made for that person and job, can hold.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from airflow.sdk import conf

_SECONDS = 3600


def sign(user_id: str, action: str, now: datetime) -> str:
    """Make a token that is valid for this hour and the next."""
    return _sign(user_id, action, int(now.timestamp()) // _SECONDS)


def is_signed(token: str, user_id: str, action: str, now: datetime) -> bool:
    """Whether this server made the token for that user and action."""
    hour = int(now.timestamp()) // _SECONDS
    made = [_sign(user_id, action, each) for each in (hour, hour - 1)]
    return any([hmac.compare_digest(token.encode(), each.encode()) for each in made])  # noqa: C419 - in even time


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


def _sign(user_id: str, action: str, hour: int) -> str:
    secret = conf.get("api", "secret_key")
    parts = "\0".join(("vertex-batch", user_id, action, str(hour)))
    return hmac.new(str(secret).encode(), parts.encode(), hashlib.sha256).hexdigest()
