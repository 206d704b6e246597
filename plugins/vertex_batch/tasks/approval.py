"""A person's approval of a job that is over budget, through Airflow's human-in-the-loop.

The task waits in Airflow's state ``awaiting_input`` and occupies neither a worker nor a triggerer, however
long that takes. The answer is kept in the task's state store, so a retry does not repeat the request. A
cleared task repeats it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from vertex_batch.budgets import Decision, Estimate
from vertex_batch.budgets.decision import ApprovalRefusedError, covers
from vertex_batch.costs import Total, usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

APPROVE, REJECT = "Approve", "Reject"
STORE_KEY = "budget_approval"
_DAG_TEST = "dag_test"
"""Who triggered a run, if Airflow's ``dag.test()`` did."""
_UNKNOWN = ", and the part whose cost is not known"
_CEILING = re.compile(
    rf"If you approve, the job is submitted at up to ([\d,.]+) USD({_UNKNOWN})?\. [\w ]+\.\Z"
)


class Approval:
    """The approval of one job, if a person has given it.

    :param key: idempotency key of the job that is about to be submitted; it is different in each epoch.
    """

    def __init__(self, context: Context, key: str) -> None:
        self._context, self._key = context, key
        stored = context["task_state_store"].get(STORE_KEY)
        mine = stored if isinstance(stored, dict) and stored.get("job_key") == key else {}
        self.up_to = (
            Total(Decimal(str(mine["usd"])), complete=bool(mine.get("complete", True))) if mine else None
        )
        self.by: str = str(mine["by"]) if mine else ""

    def request(
        self,
        estimate: Estimate,
        decision: Decision,
        *,
        approvers: Sequence[str] = (),
        timeout: timedelta | None = None,
        method_name: str,
    ) -> NoReturn:
        """Park the task until a person has answered.

        :param approvers: user ids. Empty: every user who may act on the DAG.
        :param method_name: the operator's method that resumes with the answer; see `store_answer`.
        :raises ApprovalRefusedError: the run is one of `vertex-batch run`, where no one can answer, or
            Airflow still shows the question of an earlier try, about less than this job is expected to cost.
        """
        if self._context["dag_run"].triggering_user_name == _DAG_TEST:
            raise ApprovalRefusedError(
                str(self._context["ti"].task_id),
                f"no one can approve it outside Airflow. Why it was held: {'; '.join(decision.reasons)}",
            )
        ti = self._context["ti"]
        most = Total(max(estimate.expected.amount, estimate.high), estimate.expected.complete)
        shown = _ask(
            ti_id=ti.id,
            options=[APPROVE, REJECT],
            subject=f"Submit a batch prediction job {_of_cost(estimate.expected)}?",
            body=_body(ti, estimate, decision, most),
            params={},  # None is refused
            assigned_users=[{"id": user, "name": user} for user in approvers],
        )
        if shown is None or not covers(shown, estimate.expected):
            raise ApprovalRefusedError(
                str(ti.task_id),
                "Airflow still shows the question of an earlier try,"
                f" about {f'up to {usd(shown.amount)}' if shown else 'another job'},"
                f" and the expected cost is now {estimate.expected}",
                "Trigger a new run to be asked about that.",
            )
        asked = {"job_key": self._key, "usd": str(shown.amount), "complete": shown.complete}
        raise TaskAwaitingInput(method_name=method_name, kwargs={"asked": asked}, timeout=timeout)


def _ask(**question: object) -> Total | None:
    """Ask a person; return up to which amount an approval holds by what Airflow shows. None: it says nothing.

    Airflow 3.3 moves the question of a cleared or retried task to its next try, and never changes its text.
    """
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult  # noqa: PLC0415
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415 - only in a task

    shown = SUPERVISOR_COMMS.send(CreateHITLDetailPayload.model_validate(question))
    text = shown.body if isinstance(shown, HITLDetailRequestResult) else None
    found = _CEILING.search(text or "")
    return Total(Decimal(found[1].replace(",", "")), complete=not found[2]) if found else None


def store_answer(context: Context, asked: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Store a person's answer for `Approval`, and return who approved.

    :param asked: what the task was parked with.
    :param event: the answer, as Airflow passes it.
    :raises ApprovalRefusedError: a person rejected the job, or no one answered in time.
    """
    who = str(context["ti"].task_id)
    if "error" in event:
        timed_out = event.get("error_type") == "timeout"
        raise ApprovalRefusedError(who, "no one answered in time" if timed_out else str(event["error"]))
    user = event.get("responded_by_user") or {}
    known = (user.get("name") or user.get("id")) if isinstance(user, dict) else user
    name = str(known or "an unknown user")
    if list(event.get("chosen_options") or []) != [APPROVE]:
        raise ApprovalRefusedError(who, f"{name} rejected it")
    context["task_state_store"].set(STORE_KEY, {**asked, "by": name}, retention=NEVER_EXPIRE)
    return name


def _of_cost(expected: Total) -> str:
    return f"of about {expected.about}" if expected.is_known else "whose cost is not known"


def _body(ti: RuntimeTaskInstanceProtocol, estimate: Estimate, decision: Decision, most: Total) -> str:
    beside = "" if most.complete else _UNKNOWN
    reasons = "\n".join(f"- {reason}" for reason in (*decision.reasons, *decision.lower_bounds))
    unknown = "".join(f"\n- {reason}" for reason in estimate.unknown)
    return (
        f"Task `{ti.task_id}` of run `{ti.run_id}` is waiting to submit its job.\n\n"
        f"**Expected: {estimate}** for {estimate.rows:,} rows ({estimate.method}).{unknown}\n\n"
        f"Why it is held:\n{reasons}\n\n"
        f"If you approve, the job is submitted at up to {usd(most.amount)}{beside}."
        " Nothing has been spent so far."
    )
