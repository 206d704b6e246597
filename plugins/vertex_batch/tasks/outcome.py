"""Says why a task has no result: in plain lines of its log, and to the page of its run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskInstanceState
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from vertex_batch.errors import PermanentError, VertexBatchError, count_of, scrub
from vertex_batch.log import Log
from vertex_batch.preflight import PreflightError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from vertex_batch.budgets import Estimate

OUTCOME_XCOM = "vertex_batch_outcome"
"""Why the last try of a task failed or was skipped. Airflow deletes it when the next try starts."""
MAX_CHARS = 2000
_FAILED = (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
is_command: ContextVar[bool] = ContextVar("is_command", default=False)
"""Whether `vertex-batch run` runs the tasks, so that there is nothing to clear."""
_notes: ContextVar[tuple[str, ...]] = ContextVar("_notes", default=())
"""What the present try of a task has noted so far."""
_RUN_AGAIN = re.compile(r"\b(r)un this again\b", re.IGNORECASE)
_CLEAR_SUBMIT = re.compile(r"\b(c)lear(ing)? the submit task\b", re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


@contextmanager
def explained(context: Context, log: Log) -> Iterator[None]:
    """Log why a task fails or is skipped, and keep it for the page of its run.

    Each sentence has a line of its own, because Airflow's page of a log cuts off long ones. What the task has
    noted before is kept after the reason.

    :raises AirflowFailException: instead of a permanent error, which no retry can pass.
    """
    _notes.set(())
    try:
        yield
    except (AirflowRescheduleException, DryRunEnd):
        raise
    except (VertexBatchError, AirflowException) as error:
        lines = _naming(context, _lines(error))
        _keep(context, log, {"message": "\n".join([*lines, *_notes.get()])})
        for line in lines:
            log_sentences(log.info if isinstance(error, AirflowSkipException) else log.error, line)
        if isinstance(error, PermanentError):
            # Airflow logs this exception, too, and would log its cause after it.
            short = " ".join([*_SENTENCE_ENDS.split(lines[0])[:3], "See the log above."])
            raise AirflowFailException(short if len(lines) > 1 else lines[0]) from None
        raise


def _lines(error: Exception) -> list[str]:
    """The lines of a message. Those of a pre-flight are our own; a server's become one line."""
    text = str(error)
    return [scrub(line) for line in (text.splitlines() if isinstance(error, PreflightError) else [text])]


def _naming(context: Context, lines: Iterable[str]) -> list[str]:
    """Say how a person runs it again. An error does not know in which task, or command, it is raised."""
    if is_command.get():
        lines = [_CLEAR_SUBMIT.sub(_rerun_with_again, line) for line in lines]
        return [_RUN_AGAIN.sub(r"\1erun this command", line) for line in lines]
    return [
        _RUN_AGAIN.sub(lambda found: f"{'C' if found[1] == 'R' else 'c'}lear `{context['ti'].task_id}`", line)
        for line in lines
    ]


def _rerun_with_again(found: re.Match[str]) -> str:
    return f"{'R' if found[1] == 'C' else 'r'}erun{'ning' if found[2] else ''} with --again"


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What a dry run has found, besides the request.

    :param expected: the expected cost; None: it could not be estimated.
    :param day: whose prices the estimate has.
    :param again: what an earlier run has paid for the same inputs; empty if none has.
    :param lines: for the page of the run, by subject.
    """

    expected: Estimate | None = None
    day: date | None = None
    again: str = ""
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)


class DryRunEnd(AirflowSkipException):
    """A task of a dry run has done all that it does."""


def end_dry_run(context: Context, log: Log, request: str, *, rows: int | None, found: DryRunResult) -> None:
    """Say what would have been submitted, and what it would cost.

    :param request: the body of the request, as JSON.
    :param rows: of the input; None: they were not counted.
    :raises DryRunEnd: always.
    """
    expected = found.expected
    counted = "An unknown number of rows" if rows is None else count_of(rows, "row")
    cost = f"would cost about {expected}" if expected else "would cost an unknown amount"
    message = f"Dry run: {counted} {cost}. Nothing was submitted."
    message = f"{message} {found.again}".rstrip()
    log.info("The request of the job would be:")
    for line in request.splitlines():
        log.info("%s", line)
    log_sentences(log.info, f"{message} Nothing is billed.")
    facts = {
        "message": message,
        "rows": rows,
        "request": request,
        "expected": expected.to_dict() if expected else None,
        "priced_on": found.day.isoformat() if found.day else None,
        "lines": {name: [scrub(line) for line in lines] for name, lines in found.lines.items() if lines},
    }
    _keep(context, log, facts)
    raise DryRunEnd(message)


def note(context: Context, log: Log, message: str, *, is_logged: bool = False) -> None:
    """Warn of what a person may want to act on although the task succeeds, also on the page of its run.

    :param is_logged: the log has it already.
    """
    _notes.set((*_notes.get(), scrub(message)))
    _keep(context, log, {"message": "\n".join(_notes.get()), "is_note": True})
    if not is_logged:
        log_sentences(log.warning, message)


def failed_tasks(ti: RuntimeTaskInstanceProtocol, task_ids: Iterable[str]) -> list[str]:
    """Those of some tasks of this run that have failed; else those that were not started for that reason."""
    found = ti.get_task_states(dag_id=ti.dag_id, task_ids=sorted(task_ids), run_ids=[ti.run_id])
    states = (found.get(ti.run_id) or {}).items()
    of_state = ([task for task, state in states if state == each] for each in _FAILED)
    return next(filter(None, of_state), [])


def log_sentences(log: Any, message: str) -> None:
    """Log each sentence of a message by itself."""
    for sentence in _SENTENCE_ENDS.split(scrub(message)):
        log("%s", sentence)


def _keep(context: Context, log: Log, outcome: dict[str, Any]) -> None:
    """Store it. What a task failed of matters more than that this fails, too."""
    if len(outcome["message"]) > MAX_CHARS:
        outcome["message"] = f"{outcome['message'][:MAX_CHARS].rpartition(' ')[0]} \N{HORIZONTAL ELLIPSIS}"
    try:
        context["ti"].xcom_push(key=OUTCOME_XCOM, value=outcome)
    except Exception as error:  # noqa: BLE001 - whatever it is, Airflow does not answer
        log.warning("The page of this run will not show the reason: %s", error)
