"""The limits of a night, and which of them a result misses. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tools.night.measures import NightResult

PEAK_BYTES = 300_000_000
JOIN_PEAK_BYTES = 600_000_000
"""Of a task that joins answers to their rows; about 210 MB are the worker's before the task begins."""
_JOINS = ("prepare", "deliver")
RETRY_READS = 12
"""Of the rows of a retry, by the tasks of two rounds, each of which is killed once and begins again."""
# A reader that fetches ahead reads a little more than it needs; a small object's answer has nothing more.
READ_TOLERANCE = 0.05
# A step also asks for what is not one of the files: lists, buckets, its own output.
OTHER_REQUESTS = 40


def misses(result: NightResult) -> list[str]:
    """Say which limits a result misses; empty where it keeps them all."""
    return [*_rows(result), *_bill(result), *_cost(result)]


def _rows(result: NightResult) -> Iterator[str]:
    account, billed, scenario = result.account, result.billed, result.scenario
    if failed := [state for state in result.run_states if state != "success"]:
        yield f"{len(failed)} of {len(result.run_states)} runs ended as {', '.join(sorted(set(failed)))}"
    if not account.balanced:
        yield f"{account.repeated} rows are in the output more than once"
    if (account.missing, account.unreadable) != (lost := scenario.lost):
        found = f"{account.missing} rows missing and {account.unreadable} unreadable"
        yield f"{found}, expected {lost[0]} and {lost[1]}"
    ends = {
        "answered": (billed.answered, account.answered),
        "failed": (billed.failed, account.failed),
        "unreadable": (billed.unreadable, account.unreadable),
        "input": (billed.input_rows, account.rows),
    }
    if scenario.sends_again:  # a row that failed and was answered later is in several bills and inputs
        ends = {"answered": ends["answered"]}
    for name, (recorded, counted) in ends.items():
        if recorded != counted:
            yield f"{name} rows: recorded {recorded}, counted {counted}"


def _bill(result: NightResult) -> Iterator[str]:
    if result.billed.jobs != result.jobs:
        yield f"{result.jobs} jobs, but {result.billed.jobs} bills"
    if result.billed.amount_usd != result.account.amount_usd:
        yield f"billed {result.billed.amount_usd} USD, the rows come to {result.account.amount_usd} USD"


def _cost(result: NightResult) -> Iterator[str]:
    scenario = result.scenario
    for step in result.steps:
        peak = JOIN_PEAK_BYTES if step.task_id.endswith(_JOINS) else PEAK_BYTES
        if step.peak_bytes > peak:
            yield f"{step.task_id}: {step.peak_bytes / 1e6:,.0f} MB of memory, limit {peak / 1e6:,.0f}"
        each, files = scenario.requests_per_file, scenario.files
        if each is not None and step.requests > (limit := each * files + OTHER_REQUESTS):
            yield f"{step.task_id}: {step.requests:,} requests for {files:,} files, limit {limit:,.0f}"
    for what, reads, times, rows in (
        ("an input", result.input_reads, scenario.input_reads, scenario.rows / scenario.files),
        (
            "a shard",
            result.shard_reads,
            RETRY_READS if scenario.sends_again else 1,
            min(scenario.rows, scenario.rows_per_job),
        ),
    ):
        allowed = times + scenario.sampled(rows)
        if reads is not None and reads > allowed + READ_TOLERANCE:
            yield f"{what} was read {reads:.2f} times, limit {allowed:.4g}"
    worked = sum(step.seconds for step in result.steps)
    if scenario.worker_seconds is not None and worked > scenario.worker_seconds:
        yield f"{worked:.0f} s of worker time, limit {scenario.worker_seconds:.0f}"
