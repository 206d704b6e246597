"""Errors of the cost table. Their messages never contain a password."""

from __future__ import annotations

from vertex_batch.errors import PermanentError, TransientError, VertexBatchError


class CostTableError(VertexBatchError):
    """The cost table cannot be used.

    :param database: its URL without the password.
    :param consequence: what was done and what a retry will do. Default: nothing was written.
    """

    advice = ""

    def __init__(self, database: str, reason: str, consequence: str = "") -> None:
        self.database, self.reason, self.consequence = database, reason, consequence
        super().__init__(f"Cost table {database}: {reason}. {consequence or self.advice}")


class CostTableUnavailableError(CostTableError, TransientError):
    """The database does not answer, or is busy."""

    advice = "Nothing was written. A retry may succeed; recording a bill twice changes nothing."


class CostTableSetupError(CostTableError, PermanentError):
    """The database cannot be used: wrong URL, driver, permissions or schema."""

    advice = "Nothing was written. A retry fails the same way until a person fixes this."


class CostTableNewerError(CostTableError, TransientError):
    """A newer version of this package has upgraded the schema, as in the middle of a rolling upgrade."""

    advice = "Nothing was written. Upgrade the package; a retry may run where this has been done."


class JobIdTakenError(CostTableError, PermanentError):
    """The table has a bill of another job with the same id."""

    advice = (
        "Nothing was written: the bill of the other job stays, and this job's cost is missing in the table. A"
        " retry fails the same way. Ids repeat only where an emulator was restarted: give it another seed, or"
        " use an empty cost table for it."
    )
