"""``vertex-batch run``: submits a spec's jobs, waits for them and bills them, without Airflow's scheduler."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli import plan as plans
from vertex_batch.cli.access import Access
from vertex_batch.cli.bill import rows_data
from vertex_batch.cli.output import logs_aside, print_json, say
from vertex_batch.errors import VertexBatchError
from vertex_batch.specs import load_spec, prices_folder

if TYPE_CHECKING:
    from vertex_batch.cli.attempt import Attempt
    from vertex_batch.cli.interrupts import Interrupts
    from vertex_batch.costs import CostTable

INTERRUPTED = 130
_AGAIN = "To submit and pay for another job, rerun with --again."


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = commands.add_parser(
        "run",
        help="submit a spec's jobs, wait for them and bill them, without Airflow's scheduler",
        description="Submit the jobs of a spec for a date, wait for them, and write their bills. The same"
        " request is one job, however often the command is run: a second run resumes the first one's job."
        " Exit status 1 if a job did not succeed, 130 if the command was interrupted.",
    )
    plans.add_spec_options(command)
    command.add_argument(
        "--again",
        action="store_true",
        help="submit a new job even if this request ran before (a job that is still running is resumed"
        " instead)",
    )
    command.add_argument(
        "--on-interrupt",
        choices=["ask", "cancel", "leave"],
        default="ask",
        help="what to do with running jobs on Ctrl-C or SIGTERM (default: ask, or cancel without a terminal)",
    )
    command.add_argument(
        "--poll", type=_seconds, metavar="SECONDS", help="pause between polls (default: the spec's)"
    )
    command.add_argument("--json", action="store_true", help="print JSON; amounts are exact decimal strings")
    command.set_defaults(run=run)
    return command


def run(options: Namespace) -> int:
    """Run every job of the spec, each after the jobs that it waits for."""
    from vertex_batch.cli.attempt import Attempt  # noqa: PLC0415
    from vertex_batch.cli.interrupts import Interrupts  # noqa: PLC0415 - so that `validate` is quick
    from vertex_batch.cli.planning import prepare  # noqa: PLC0415

    spec = load_spec(options.spec)
    when = plans.chosen_moment(spec, options.date)
    access = Access(options)
    # Render all jobs before the first one costs money.
    with logs_aside():
        wanted = [prepare(access, spec, job, when) for job in plans.chosen_jobs(spec, options.job)]
    interrupts = Interrupts()
    with logs_aside(), ExitStack() as stack:
        table = _open_table(options)
        prices = prices_folder(Path(options.spec).resolve().parent)
        attempts = []
        for plan in wanted:
            client = stack.enter_context(access.client(plan.job.connection))
            attempts.append(Attempt(plan, client, interrupts, table, prices))
            stack.enter_context(attempts[-1].store.held())
        stack.enter_context(interrupts.caught())
        runner = _Runner(options, interrupts, when if options.date else None)
        status = runner.run(attempts)
    _show(attempts, as_json=options.json)
    return status


class _Runner:
    """Runs jobs to their ends, wave by wave."""

    def __init__(self, options: Namespace, interrupts: Interrupts, logical_date: datetime | None) -> None:
        self._options, self._interrupts, self._logical_date = options, interrupts, logical_date

    def run(self, attempts: Sequence[Attempt]) -> int:
        failed: set[str] = set()
        for wave in _waves(attempts):
            ready = [each for each in wave if not failed & set(each.plan.job.after)]
            for each in wave:
                if each not in ready:
                    say(
                        f"Job {each.plan.job.name} was not submitted: a job that it waits for did not succeed"
                    )
            status = self._wave(ready)
            failed |= {each.plan.job.name for each in wave if not each.has_results}
            if status:
                return status
        return int(bool(failed))

    def _wave(self, attempts: Sequence[Attempt]) -> int:
        """Submit, wait, and bill. Return an exit status if the command must end here, else 0."""
        try:
            for attempt in attempts:
                self._submit(attempt)
            self._wait(attempts)
        except KeyboardInterrupt:
            return self._end_interrupted(attempts)
        except VertexBatchError:
            running = [each.title for each in attempts if each.is_waited_for]
            if running:
                say(f"Still running: {', '.join(running)}. Rerun this command to resume them.")
            raise
        self._bill(attempts)
        return 0

    def _submit(self, attempt: Attempt) -> None:
        from vertex_batch.lifecycle.submit_rules import Action  # noqa: PLC0415

        done = attempt.submit(again=self._options.again)
        if done.action in {Action.REATTACH, Action.ADOPT}:
            say(f"Resuming job {attempt.title}, which was submitted before. {_AGAIN}")

    def _wait(self, attempts: Sequence[Attempt]) -> None:
        from vertex_batch.lifecycle.waiting import Verdict  # noqa: PLC0415

        while waited_for := [each for each in attempts if each.is_waited_for]:
            pauses = [
                each.look(self._options.poll or each.plan.job.poll_interval.total_seconds())
                for each in waited_for
            ]
            for each in waited_for:
                if each.seen and each.seen.verdict is Verdict.DEADLINE:
                    say(f"Job {each.title} missed its deadline: cancelling it")
                    each.cancel()
            if any(each.is_waited_for for each in waited_for):
                self._interrupts.sleep(min(pauses))

    def _bill(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            if attempt.seen and attempt.seen.verdict.value != "polling_failed":
                attempt.record(self._logical_date)

    def _end_interrupted(self, attempts: Sequence[Attempt]) -> int:
        say("Interrupted.")
        if not self._shall_cancel():
            for attempt in attempts:
                if attempt.is_waited_for:
                    say(f"Job {attempt.title} keeps running and is billed; rerun this command to resume it")
            return INTERRUPTED
        for attempt in attempts:
            if attempt.is_waited_for or not attempt.job_id:
                attempt.cancel()
        self._bill([attempt for attempt in attempts if attempt.job_id])
        return INTERRUPTED

    def _shall_cancel(self) -> bool:
        choice = self._options.on_interrupt
        if choice != "ask" or not sys.stdin.isatty():
            return bool(choice != "leave")
        sys.stderr.write("Cancel the running jobs? Finished rows are billed. [Y/n] ")
        sys.stderr.flush()
        try:
            return not sys.stdin.readline().strip().lower().startswith("n")
        except KeyboardInterrupt:
            return True


def _open_table(options: Namespace) -> CostTable:
    """Open the cost table now, to find a problem with it before a job costs money."""
    from vertex_batch.cli.cost import table_url  # noqa: PLC0415
    from vertex_batch.costs import CostTable, JobFilter  # noqa: PLC0415

    table = CostTable(table_url(options))
    table.jobs(JobFilter(), limit=1)
    return table


def _waves(attempts: Sequence[Attempt]) -> Iterator[list[Attempt]]:
    """The jobs in the order in which they may run. Jobs that were left out block no others."""
    by_name = {each.plan.job.name: each for each in attempts}
    order = TopologicalSorter(
        {name: by_name.keys() & set(each.plan.job.after) for name, each in by_name.items()}
    )
    order.prepare()
    while order.is_active():
        ready = order.get_ready()
        yield [by_name[name] for name in by_name if name in ready]
        order.done(*ready)


def _show(attempts: Sequence[Attempt], *, as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [_as_data(each) for each in attempts]})
        return
    from vertex_batch.cli.cost import print_parts  # noqa: PLC0415
    from vertex_batch.cli.tables import render_bill  # noqa: PLC0415 - it brings rich along

    for each in attempts:
        if each.bill:
            print_parts(render_bill(each.bill))
        if each.seen and not each.has_results:
            say(_ending(each))


def _ending(attempt: Attempt) -> str:
    seen = attempt.seen
    assert seen
    cause = f": {seen.message}" if seen.message else ""
    if seen.verdict.has_results:
        rows = seen.ok_rows + seen.failed_rows + max(seen.incomplete_rows, 0)
        cause = (
            f", but no row was answered: {seen.failed_rows:,} of {rows:,} failed"
            if seen.has_no_answer
            else f", but {seen.failed_rows} of {rows} rows failed"
        )
    return (
        f"Job {attempt.title} ended as {seen.verdict.value.replace('_', ' ')}{cause}. Finished rows are"
        f" billed, failed rows are not. {_AGAIN}"
    )


def _as_data(attempt: Attempt) -> dict[str, Any]:
    bill, seen = attempt.bill, attempt.seen
    return {
        "job": attempt.plan.job.name,
        "project": attempt.plan.place.project,
        "location": attempt.plan.place.location,
        "job_id": attempt.job_id or None,
        "verdict": seen.verdict if seen else None,
        "state": seen.state if seen else None,
        "succeeded": attempt.has_results,
        "rows": rows_data(bill.rows) if bill else None,
        "amount_usd": bill.total.text if bill else None,
        "complete": bill.total.complete if bill else None,
    }


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:  # noqa: PLR2004 - a day
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to 86400: `{text}`")
    return seconds
