"""Make a bill of what the scan of an output has counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vertex_batch.costs.bill import UNKNOWN_MODEL, Bill, JobFacts, RowCounts, total
from vertex_batch.costs.money import in_full
from vertex_batch.pricing import CONTRADICTION, LineItem, PriceBook, add, price
from vertex_batch.usage import Kind, Modality, ScanResult, Tier, UsageKey, self_check
from vertex_batch.vertex.resource import CompletionStats

PRICE_CHANGE = "prices changed while the job ran"
VERTEX_COUNTS = "Vertex counts"
"""How flags and reasons begin that compare an output with Vertex's own counts."""


def make_bill(
    job: JobFacts,
    scan: ScanResult,
    book: PriceBook,
    *,
    stats: CompletionStats | None = None,
    input_rows: int | None = None,
    flags: Sequence[str] = (),
    unknown: Sequence[str] = (),
) -> Bill:
    """Price the counts of a scan, compare them with Vertex's counts, and make a bill. Pure.

    The rates are always those of the day on which the job ran.

    :param flags: irregularities that the caller knows of; they come first on the bill.
    :param unknown: why a part of the cost cannot be known. It becomes a line item without an amount, so
        that every sum over the bill is marked "at least".
    """
    rows = (
        (scan.unreadable, "unreadable rows"),
        (scan.unrecognized, "unrecognized rows"),
        (scan.without_usage, "rows without usage"),
    )
    unknown = (*unknown, *(f"{count:,} {what}" for count, what in rows if count))
    if lost := _lost_rows(scan, stats):
        unknown = (*unknown, f"{VERTEX_COUNTS} {lost:,} more successful rows than the output holds")
    # Rows that say when they were answered have the prices of that day.
    untimed = scan.tokens if scan.untimed is None else scan.untimed
    return Bill(
        job=job,
        rows=RowCounts(scan.ok, scan.failed, scan.unreadable, scan.unrecognized, scan.copied, input_rows),
        line_items=(*price(scan.tokens, book, job.location, job.ran_on), *_unknown(unknown)),
        flags=(
            *flags,
            *self_check(scan, stats, input_rows),
            *scan.flags,
            *price_flags(job, book, scan.tokens, untimed, ", and rows do not say when they were answered."),
        ),
        usage=dict(scan.tokens),
        failed_reasons=dict(scan.failed_reasons),
        problems=tuple(scan.problems),
        failed_samples=tuple(scan.failed_samples),
        unrecognized_samples=tuple(scan.unrecognized_samples),
    )


def _lost_rows(scan: ScanResult, stats: CompletionStats | None) -> int:
    """How many answered rows are in no row of the output. They may be on Google's bill.

    A row that is in the output is not lost, even if Vertex counts it as successful and it is not an answer.
    """
    if stats is None or stats.successful_count < 0:
        return 0
    unanswered = stats.successful_count - (scan.rows - scan.failed)
    absent = stats.successful_count + max(stats.failed_count, 0) - scan.rows
    return max(min(unanswered, absent), 0)


def price_flags(
    job: JobFacts, book: PriceBook, tokens: Mapping[UsageKey, int], untimed: Mapping[UsageKey, int], why: str
) -> list[str]:
    """Sentences about the prices of a job's tokens, for the bill: which lists could not be read or contradict
    each other, and a price change while the job ran.

    :param untimed: those of the tokens of which it is not known whether they were used after the change.
    :param why: why that is not known, as the end of a sentence.
    """
    contradictions = book.on(job.ran_on).contradictions(tokens)
    return [*book.flags, *contradictions, *_price_change(job, book, tokens, untimed, why)]


def is_about_prices(flag: str) -> bool:
    """Whether a flag is one of `price_flags`, which new prices replace."""
    return flag.startswith((CONTRADICTION, PRICE_CHANGE, "the proxy"))


def _price_change(
    job: JobFacts, book: PriceBook, tokens: Mapping[UsageKey, int], untimed: Mapping[UsageKey, int], why: str
) -> list[str]:
    first, last = job.ran_on, job.ended_on
    if first is None or last is None or last <= first:
        return []
    before, after = (total(price(untimed, book, job.location, day)).amount for day in (first, last))
    if before == after:
        return []
    whole = total(price(tokens, book, job.location, first)).amount
    whole_last = add([whole, after, -before])
    text = (
        f"{PRICE_CHANGE}, from {first} to {last}{why} The prices of the first day were used:"
        f" {in_full(whole)} USD. At those of the last day it would cost {in_full(whole_last)} USD"
    )
    return [text]


def _unknown(reasons: Sequence[str]) -> list[LineItem]:
    """At most one item, with a model of its own, since the usage of these rows is unknown."""
    if not reasons:
        return []
    kind, modality, tier = Kind.INPUT, Modality.TEXT, Tier.STANDARD
    return [LineItem(UNKNOWN_MODEL, kind, modality, tier, 0, None, None, reason="; ".join(reasons))]
