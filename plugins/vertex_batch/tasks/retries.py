"""Whether and when a failed task is tried again, decided by its error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import RetryDecision, RetryPolicy

from vertex_batch.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from airflow.sdk import Context

# A server that asks for more has something else in mind than a night's job.
LONGEST_WAIT_SECONDS = 3600.0


class BatchRetryPolicy(RetryPolicy):
    """Fail at once what stays until a person acts, and wait as long as the server asks with what may pass.

    The default of all operators and of the sensor. Airflow still counts the tries: no error buys more than
    the task's ``retries``. Whatever is no error of this package is retried as Airflow does by itself.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide by the error's type and by how long the server asks to wait."""
        name = type(exception).__name__
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(f"{name}: a retry fails the same way until a person acts")
        if not isinstance(exception, TransientError):
            return RetryDecision.default()
        asked = getattr(exception, "retry_after_seconds", None)
        if asked is None:
            return RetryDecision.default()  # the task's own delay, which grows
        delay = max(timedelta(seconds=min(asked, LONGEST_WAIT_SECONDS)), _own_delay(context))
        return RetryDecision.retry(delay, f"{name}: the server asks to wait {asked:g} s")

    def serialize(self) -> dict[str, Any]:
        """Nothing to keep: all that it knows is in the errors."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:  # noqa: ARG003 - Airflow's
        return cls()


def _own_delay(context: Context | None) -> timedelta:
    task = context.get("task") if context else None
    return task.retry_delay if task is not None else timedelta()


RETRY_POLICY = BatchRetryPolicy()
