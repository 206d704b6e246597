"""Errors of the cost table. Their messages never contain a password."""

from __future__ import annotations

from vertex_batch.errors import PermanentError, TransientError, VertexBatchError


class CostTableError(VertexBatchError):
    """The cost table cannot be used.

    :param database: its URL without the password.
    """

    advice = ""

    def __init__(self, database: str, reason: str) -> None:
        self.database, self.reason = database, reason
        super().__init__(f"Cost table {database}: {reason}. {self.advice}")

    def __reduce__(self) -> tuple[type[CostTableError], tuple[str, str]]:
        return type(self), (self.database, self.reason)


class CostTableUnavailableError(CostTableError, TransientError):
    """The database does not answer, or is busy."""

    advice = "Nothing was written. A retry may succeed; recording a bill twice changes nothing."


class CostTableSetupError(CostTableError, PermanentError):
    """The database cannot be used: wrong URL, driver, permissions or schema."""

    advice = "Nothing was written. A retry fails the same way until a person fixes this."
