"""Logs that a call waits before it is sent again."""

from __future__ import annotations

import logging

from tenacity import RetryCallState

from vertex_batch.errors import ApiError, ProxyRateLimitError, ResourceExhaustedError, quoted

log = logging.getLogger(__name__)

_LONG_WAIT_SECONDS = 5.0


def log_wait(state: RetryCallState) -> None:
    """Log one line per wait: how long, for which call, and why.

    A limit is logged as a warning, since a person can raise it; a long wait for another reason as INFO.
    """
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ApiError):
        return
    seconds = state.next_action.sleep if state.next_action else 0.0
    level = logging.INFO if seconds >= _LONG_WAIT_SECONDS else logging.DEBUG
    if isinstance(error, ProxyRateLimitError | ResourceExhaustedError):
        level = logging.WARNING
    message = f": {quoted(error.message)}" if error.message else ""
    log.log(
        level,
        "Waiting %.1f s before %s of %s is sent again (try %d): %s%s",
        seconds,
        error.operation,
        error.target,
        state.attempt_number + 1,
        error.what,
        message,
    )
