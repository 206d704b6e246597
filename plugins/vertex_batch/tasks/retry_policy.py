"""Whether and when a failed task is tried again, decided by its error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from airflow.sdk import RetryDecision, RetryPolicy

from vertex_batch.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from airflow.sdk import Context

# A longer Retry-After would delay a nightly job past its night.
LONGEST_WAIT_SECONDS = 3600.0


class BatchRetryPolicy(RetryPolicy):
    """Fail at once on permanent errors; on transient ones, wait as long as the server requests.

    This is the default of all operators and of the sensor. Airflow still counts the tries: no error gets more
    than the task's ``retries``. Errors of other packages are retried by Airflow's own rules.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide by the error's type and by the wait that the server requests."""
        name = type(exception).__name__
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(f"{name}: retries fail the same way until a person fixes the cause")
        if not isinstance(exception, TransientError):
            return RetryDecision.default()
        asked = getattr(exception, "retry_after_seconds", None)
        if asked is None:
            return RetryDecision.default()  # the task's own delay, which grows
        task = context.get("task") if context else None
        own = task.retry_delay if task is not None else timedelta()
        delay = max(timedelta(seconds=min(asked, LONGEST_WAIT_SECONDS)), own)
        return RetryDecision.retry(delay, f"{name}: the server requested a wait of {asked:g} s")

    def serialize(self) -> dict[str, object]:
        """Return nothing: the policy has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, object]) -> Self:  # noqa: ARG003 - Airflow's
        return cls()


RETRY_POLICY = BatchRetryPolicy()
