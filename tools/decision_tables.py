"""What the code decides about a job, as tables of a document: `tools.reference` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from vertex_batch.errors import BadKeyError, NotFoundError, ServiceUnavailableError
from vertex_batch.lifecycle.submit_rules import SUBMIT_RULES, Action, Rule
from vertex_batch.lifecycle.waiting import (
    JobReading,
    PollLimits,
    Resubmission,
    Verdict,
    assess,
    resubmission,
    task_end,
)
from vertex_batch.vertex.resource import BatchPredictionJob, JobState

_WITH_CODE = "`FAILED` with code "


def submit_rules() -> str:
    """The rules by which a submit decides, in their order."""
    rows = []
    for rule in SUBMIT_RULES:
        listed = rule.listed or ("not asked" if rule.action is Action.REATTACH else "any")
        rows.append(f"| {_stored(rule)} | {listed} | {rule.action.replace('_', ' ')} | {rule.reason} |")
    return "\n".join(["| stored | listed | decision | because |", "|---|---|---|---|", *rows]) + "\n"


def looks() -> str:
    """What one poll of a job means, each case assessed by the code."""
    means: dict[str, list[str]] = {}
    for case, seen in _cases():
        means.setdefault(_meaning(seen), []).append(case)
    rows = [f"| {', '.join(_codes(cases))} | {meaning} |" for meaning, cases in means.items()]
    return "\n".join(["| a poll shows | the task |", "|---|---|", *rows]) + "\n"


def _stored(rule: Rule) -> str:
    words = [str(rule.stored or "any")]
    if rule.looked_long_enough is False:
        words.append("less than `look_seconds` ago")
    if rule.resubmission is not None:
        words.append("on a resubmission" if rule.resubmission else "on a submission")
    return ", ".join(words)


def _cases() -> Iterator[tuple[str, JobReading]]:
    """Everything that a poll can show, and what the code makes of it."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    limits = PollLimits(now + timedelta(hours=1))
    late = PollLimits(now)
    for state in (*JobState, "OF_A_LATER_API"):
        name = f"`{state}`"
        job = BatchPredictionJob.model_validate({"name": "7", "state": state})
        seen = assess(job, now=now, failures=0, limits=limits)
        if seen.verdict is not Verdict.FAILED:
            yield name, seen
    yield (
        "one that keeps waiting, after a deadline",
        assess(_job("RUNNING"), now=now, failures=0, limits=late),
    )
    many = {"successfulCount": 1, "failedCount": 1}
    yield (
        "`SUCCEEDED` with more failed rows than `max_failed_ratio`",
        assess(_job("SUCCEEDED", completionStats=many), now=now, failures=0, limits=limits),
    )
    none = {"failedCount": 2}
    yield (
        "`SUCCEEDED` without an answered row",
        assess(_job("SUCCEEDED", completionStats=none), now=now, failures=0, limits=limits),
    )
    for code in range(17):
        failed = _job("FAILED", error={"code": code, "message": ""})
        yield f"{_WITH_CODE}{code}", assess(failed, now=now, failures=0, limits=limits)
    gone, away, denied = (kind("get", "7") for kind in (NotFoundError, ServiceUnavailableError, BadKeyError))
    yield "that there is no such job", assess(gone, now=now, failures=0, limits=limits)
    yield "an error that may pass", assess(away, now=now, failures=0, limits=limits)
    yield (
        "an error that may pass, `tolerated_failures` times before",
        assess(away, now=now, failures=limits.tolerated_failures, limits=limits),
    )
    yield "an error that stays", assess(denied, now=now, failures=0, limits=limits)


def _codes(cases: list[str]) -> list[str]:
    """Say the codes of failed jobs in one breath."""
    codes = ", ".join(case.removeprefix(_WITH_CODE) for case in cases if case.startswith(_WITH_CODE))
    others = [case for case in cases if not case.startswith(_WITH_CODE)]
    return [*others, f"{_WITH_CODE}{codes}"] if codes else others


def _job(state: str, **fields: Any) -> BatchPredictionJob:
    return BatchPredictionJob.model_validate({"name": "7", "state": f"JOB_STATE_{state}", **fields})


def _meaning(seen: JobReading) -> str:
    if seen.verdict is Verdict.WAIT:
        return "keeps waiting"
    ends = task_end(seen, 0.4)
    if resubmission(seen, 0, 1) is not Resubmission.NONE:
        return f"submits again while `resubmits` are left, then {ends}"
    first = "cancels the job (`cancel_on_deadline`), then " if seen.verdict is Verdict.DEADLINE else ""
    return f"{first}{ends}"
