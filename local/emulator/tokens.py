"""The OAuth token endpoint, and who may call the service with what it gave out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from time import monotonic

from .envelope import ApiError, error_info

LIFETIME_SECONDS = 3599
_GRANTS = {
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "assertion",
    "refresh_token": "refresh_token",
}
_LOGIN = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_JWT_SEGMENTS = 3


class GrantRefusedError(Exception):
    """A token request that OAuth refuses; ``error`` is its code."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Tokens:
    """The access tokens in circulation.

    :param static: a token that is always good, for clients that do not speak OAuth.
    """

    def __init__(self, static: str = "") -> None:
        self._static = static
        self._expiry: dict[str, float] = {}

    def grant(self, form: Mapping[str, str]) -> dict[str, str | int]:
        """Answer a token request. The assertion has to look like a signed JWT; its signature is not
        checked.
        """
        proof = _GRANTS.get(form.get("grant_type", ""))
        if proof is None:
            raise GrantRefusedError(
                "unsupported_grant_type", "Invalid grant_type: " + form.get("grant_type", "")
            )
        value = form.get(proof, "")
        if not value:
            raise GrantRefusedError("invalid_request", f"Missing required parameter: {proof}")
        if proof == "assertion" and (value.count(".") != _JWT_SEGMENTS - 1 or not all(value.split("."))):
            raise GrantRefusedError("invalid_grant", "Invalid JWT: Token must be a signed JWT.")
        self._forget_old()
        token = "ya29." + secrets.token_urlsafe(48)
        self._expiry[token] = monotonic() + LIFETIME_SECONDS
        return {"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"}

    def check(self, authorization: str) -> None:
        """Let a call in, by its Authorization header.

        :raises ApiError: UNAUTHENTICATED.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated(
                f"Request is missing required authentication credential. {_LOGIN}", "CREDENTIALS_MISSING"
            )
        if self._static and secrets.compare_digest(token, self._static):
            return
        if self._expiry.get(token, 0) <= monotonic():
            reason = "ACCESS_TOKEN_EXPIRED" if token in self._expiry else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            raise _unauthenticated(f"Request had invalid authentication credentials. {_LOGIN}", reason)

    def revoke_all(self) -> None:
        """Make every token given out so far invalid; the static one stays good."""
        self._expiry.clear()

    def _forget_old(self) -> None:
        now = monotonic()
        while self._expiry and next(iter(self._expiry.values())) <= now:
            del self._expiry[next(iter(self._expiry))]


def _unauthenticated(message: str, reason: str) -> ApiError:
    metadata = {"service": "aiplatform.googleapis.com"}
    return ApiError("UNAUTHENTICATED", message, [error_info(reason, metadata)])
