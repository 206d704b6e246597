"""What a person should look at: specs whose latest day is unlike the days before. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from statistics import median

from vertex_batch.costs import Delivery, GroupTotal, JobCost, add_totals
from vertex_batch.ui import numbers
from vertex_batch.ui.words import MANY_FAILED, is_many_failed, usd
from vertex_batch.vertex.labels import RETRY_LABEL, RETRY_OF_LABEL
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import STATES_WITH_RESULTS

DAYS_BEFORE = 8
"""A spec's latest day is compared with its days among these."""
_FEWEST_DAYS = 4
_FACTOR = 2
_CENT = Decimal("0.01")
_WEEK = 7
_MAX_RUNS = 200


@dataclass(frozen=True, slots=True)
class Unusual:
    """One thing to look at.

    :param day: of the jobs, or the day on which there are none.
    :param brief: a few words, to show beside the spec's name.
    :param is_bad: whether it is a failure, and not only a surprise.
    """

    spec: str
    day: date
    brief: str
    text: str
    is_bad: bool = False


def factor(amount: Decimal, before: Sequence[Decimal]) -> Decimal | None:
    """Return how many times the usual an amount is; None if that is not unusual, or if too little is known.

    :param before: the amounts of earlier days, in any order.
    """
    if len(before) < _FEWEST_DAYS:
        return None
    usual = median(before)
    is_unusual = usual and amount >= _FACTOR * usual and amount - usual >= _CENT
    return (amount / usual).quantize(Decimal("0.1")) if is_unusual else None


def find_unusual(
    daily: Iterable[GroupTotal], today: date, failed_limits: Mapping[str, Decimal]
) -> list[Unusual]:
    """Find what is unusual about the specs' latest day: the failures first, then the largest amounts.

    :param daily: sums by ``(spec, day)`` of the last days, `DAYS_BEFORE` and today, in this order. Only those
        of one spec are kept at a time.
    :param failed_limits: the share of failed rows that is a problem, by spec; `MANY_FAILED` for others.
    """
    found: list[tuple[Decimal, Unusual]] = []
    for spec, of_spec in groupby(daily, key=lambda each: str(each.group[0])):
        days, many_failed = list(of_spec), failed_limits.get(spec, MANY_FAILED)
        found += [(days[-1].total.amount, one) for one in _of_spec(spec, days, today, many_failed)]
    return [one for _, one in sorted(found, key=lambda each: (not each[1].is_bad, -each[0], each[1].spec))]


def often_run(night: Sequence[Delivery]) -> list[tuple[str, str]]:
    """The runs of the DAGs with several in a night, each a DAG and a run, and those whose rest they sent."""
    runs = {(each.dag_id, each.run_id) for each in night}
    often = Counter(dag_id for dag_id, _ in runs)
    runs |= {(each.dag_id, each.retry_of) for each in night if each.retry_of}
    return sorted((run for run in runs if often[run[0]] > 1), key=lambda run: run[1])[-_MAX_RUNS:]


def find_paid_again(jobs: Iterable[JobCost], sizes: Mapping[JobId, int]) -> list[Unusual]:
    """Find the specs that have paid for the same input in several runs.

    Samples do not count, nor rows that were sent again, nor jobs without an answer.

    :param jobs: of the runs of one night.
    :param sizes: the bytes of their input, when they were submitted. Objects that were written again since
        have the same names; a job of an unknown size is left out.
    """
    same: defaultdict[tuple[object, ...], list[JobCost]] = defaultdict(list)
    for each in jobs:
        job, is_retry = each.job, {RETRY_LABEL, RETRY_OF_LABEL} & each.job.labels.keys()
        if each.rows.ok and not is_retry and not job.is_sample and sizes.get(job.key):
            rows = each.rows.input_rows, sizes[job.key]
            same[job.spec, job.dag_id, job.task_id, job.map_index, job.model, job.input_uris, rows].append(
                each
            )
    again: defaultdict[str, list[list[JobCost]]] = defaultdict(list)
    for group in same.values():
        if len({each.job.run_id for each in group}) > 1:
            again[group[0].job.spec or group[0].job.dag_id].append(group)
    found = []
    for spec, groups in sorted(again.items()):
        times = max(map(_times, groups))
        paid = [each for group in groups for each in group]
        day = max(each.job.created_at for each in paid).date()
        cost = usd(add_totals(each.total for each in paid))
        text = f"{spec}: the same input was paid for {times} times, {cost}"
        found.append(Unusual(spec, day, f"paid {times} times", text))
    return found


def _times(jobs: Sequence[JobCost]) -> int:
    """How often jobs have paid for their input: each run once, and again where its task was cleared."""
    whole = Counter(each.job.run_id for each in jobs if each.job.state in STATES_WITH_RESULTS)
    return sum(max(1, whole[run_id]) for run_id in {each.job.run_id for each in jobs})


def _of_spec(spec: str, days: Sequence[GroupTotal], today: date, many_failed: Decimal) -> list[Unusual]:
    latest, name = days[-1], spec or "Jobs without a spec"
    day = latest.group[1]
    yesterday = today - timedelta(1)
    if day < yesterday:
        before = {each.group[1] for each in days}
        ran_daily = all(yesterday - timedelta(n) in before for n in range(1, _WEEK + 1))
        return [
            Unusual(spec, yesterday, "no job", f"{name} ran every day, but not since {day}", is_bad=True)
        ] * ran_daily
    found = []
    if latest.rows and is_many_failed(latest.rows, many_failed):
        rate = numbers.share(latest.rows.failed + latest.rows.not_counted, latest.rows.total)
        text = f"{rate} of the {latest.rows.total:,} rows of {name} failed or cannot be read"
        found.append(Unusual(spec, day, f"{rate} failed", text, is_bad=True))
    if times := factor(latest.total.amount, [each.total.amount for each in days[:-1]]):
        usual = numbers.amount(median(each.total.amount for each in days[:-1]))
        text = f"{name} cost {usd(latest.total)}, {times} times the usual {usual}"
        found.append(Unusual(spec, day, f"{times} times the usual", text))
    return found
