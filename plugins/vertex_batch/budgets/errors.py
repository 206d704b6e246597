"""Why a valid job is not submitted: its budget, or a person who rejected it."""

from __future__ import annotations

from vertex_batch.errors import PermanentError


class BudgetExceededError(PermanentError):
    """A budget refused a job.

    :param who: the task that wanted to submit it.
    :param sums: the limits that it would exceed, with their sums.
    """

    def __init__(self, who: str, sums: str) -> None:
        self.who, self.sums = who, sums
        super().__init__(
            f"The budget refuses the job of {who}: {sums}. Nothing was submitted, and nothing was spent."
            " A retry will fail the same way. Raise the limit, or clear the task when the budget has room."
        )


class ApprovalRefusedError(PermanentError):
    """A job was held for a person's approval and did not get it.

    :param who: the task that asked for approval.
    :param why: such as "ann rejected it".
    """

    def __init__(self, who: str, why: str) -> None:
        self.who, self.why = who, why
        super().__init__(
            f"The job of {who} was held for approval: {why}. Nothing was submitted, and nothing was spent."
            " A retry will fail the same way. Clear the task to ask again."
        )
