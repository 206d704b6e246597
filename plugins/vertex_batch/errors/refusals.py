"""Refusals and failures of the proxy itself: permissions, blocked teams, its own tables, added fields."""

from __future__ import annotations

from vertex_batch.errors.api import ApiError, InvalidArgumentError, RouteNotAllowedError
from vertex_batch.errors.base import PermanentError, TransientError

# LiteLLM reserves a quarter of a small limit per request and writes it into the body as `max_tokens`; from
# this limit on, nothing is written (proxy/hooks/parallel_request_limiter_v3.py, LiteLLM 1.106).
TPM_LIMIT_WITHOUT_ADDED_FIELD = 4096


class AccessRefusedError(ApiError, PermanentError):
    """HTTP 401 for an uncertain reason. LiteLLM answers with its catch-all `auth_error` for many reasons."""

    what = "the proxy refused access, but did not say clearly that the key is invalid"
    advice = (
        "Read the proxy's message. Either the key in {source.key} is invalid, or its user, its team or the"
        " proxy's configuration does not allow this call."
    )


class OwnerBlockedError(ApiError, PermanentError):
    what = "the team, project or user of the LiteLLM key is blocked"
    advice = "Ask the proxy's admin to unblock it; the key itself may be valid."


class AdminKeyRequiredError(RouteNotAllowedError):
    """The key is valid, but its user's role does not allow the route."""

    what = "the proxy allows this call only to admins"
    advice = (
        "Use a key of a user with the role `proxy_admin_viewer`, which can only read, or the master key. The"
        " key in use is valid."
    )


class FieldAddedError(InvalidArgumentError):
    """Google refused an unknown field that was not in the request as it was sent to the proxy."""

    what = "Google refused a field that the proxy added to the request"
    advice = (
        "LiteLLM adds `max_tokens` to every request of a key whose `tpm_limit`, or that of its team, user or"
        f" project, is below {TPM_LIMIT_WITHOUT_ADDED_FIELD:,}. Ask the proxy's admin to raise or remove the"
        " limit. For any other field, find out in the proxy's configuration what adds it."
    )


class ProxyInternalError(ApiError, TransientError):
    """The proxy failed to answer from its own tables. Google is not involved in such a call."""

    what = "the proxy failed to answer from its own tables"
    advice = "Wait. If it persists, check the proxy's log and its database. Google was not involved."
