"""What keeps a job from being submitted although nothing is wrong with it."""

from __future__ import annotations

from vertex_batch.errors import PermanentError


class BudgetExceededError(PermanentError):
    """A job was refused.

    :param who: the task that asked. :param sums: the limits that it would exceed, with what they add up.
    """

    def __init__(self, who: str, sums: str) -> None:
        self.who, self.sums = who, sums
        super().__init__(
            f"The budget refuses the job of {who}: {sums}. Nothing was submitted, and nothing was spent. A"
            " retry will not either: raise the limit, or clear the task when there is room again."
        )


class ApprovalRefusedError(PermanentError):
    """A job was held for a person's approval and did not get it.

    :param who: the task that asked. :param why: such as "ann rejected it".
    """

    def __init__(self, who: str, why: str) -> None:
        self.who, self.why = who, why
        super().__init__(
            f"The job of {who} was held for approval: {why}. Nothing was submitted, and nothing was spent. A"
            " retry will not either: clear the task to be asked again."
        )
