"""A bill: what one job did and cost, and why. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext

from vertex_batch.costs.money import about, in_full, rounded, usd
from vertex_batch.pricing import LineItem, PriceBook, add
from vertex_batch.pricing.exact import EXACT
from vertex_batch.usage import RowProblem, UsageKey
from vertex_batch.vertex.labels import SAMPLE_LABEL, SHARD_LABEL
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import LONG_AGO

UNKNOWN_MODEL = "unknown"
COMMAND_LINE = "command_line"
"""The run type of a job that `vertex-batch run` submitted, whose run Airflow does not know."""
_SIX_DECIMALS = Decimal("1e-6")
_SAME_CREATION = timedelta(seconds=1)
"""Times of one creation may have a different number of digits."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """The billed job: where it is, which task submitted it, and how it ended.

    :param project: the project id as the proxy has it configured; with `location` and `job_id` it is the key.
    :param model: the model that the job was created with.
    :param output_directory: the directory or table of its rows.
    """

    project: str
    location: str
    job_id: str
    job_key: str = ""
    job_name: str = ""
    display_name: str = ""
    model: str = ""
    state: str = ""
    error_code: int | None = None
    error_message: str = ""
    spec: str = ""
    team: str = ""
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int | None = None
    run_type: str = ""
    logical_date: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    input_uris: tuple[str, ...] = ()
    output_directory: str = ""
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    note: str = ""

    def __str__(self) -> str:
        return str(self.key)

    @property
    def owner(self) -> str:
        """The DAG whose rights apply to the job: a job without a DAG belongs to that of its spec."""
        return self.dag_id or self.spec

    @property
    def is_sample(self) -> bool:
        """Whether its rows are a sample of an input, which a person tried."""
        return SAMPLE_LABEL in self.labels

    @property
    def is_shard(self) -> bool:
        """Whether its input is only a part of an input that was split."""
        return SHARD_LABEL in self.labels

    @property
    def ran_on(self) -> date | None:
        """The UTC day on which the job started, whose prices apply; None if it is unknown."""
        moment = self.start_time or self.create_time or self.end_time
        return moment.astimezone(UTC).date() if moment else None

    @property
    def created_at(self) -> datetime:
        """When it was created, to sort by; long ago if that is unknown."""
        return self.create_time or LONG_AGO

    @property
    def end_message(self) -> str:
        """What Vertex reported of the job's end; empty if it only repeats the state, in either spelling."""
        message = self.error_message.strip(" .").upper().replace("CANCELED", "CANCELLED")
        return "" if message == self.state else self.error_message

    @property
    def queue_time(self) -> timedelta | None:
        """How long it was queued, or None if unknown. A job that never started was queued until its end."""
        until = self.start_time or self.end_time
        return until - self.create_time if until and self.create_time else None

    @property
    def run_time(self) -> timedelta | None:
        """How long it ran; None if it never started, or if that is unknown."""
        return self.end_time - self.start_time if self.end_time and self.start_time else None

    @property
    def ended_on(self) -> date | None:
        """The UTC day on which the job ended; None if it is unknown."""
        return self.end_time.astimezone(UTC).date() if self.end_time else None

    def price_days(self, book: PriceBook) -> tuple[date, ...]:
        """The days on which prices of the job's model changed while it ran."""
        first, last = self.ran_on, self.ended_on
        return book.change_days(self.model, first, last) if first and last else ()

    @property
    def key(self) -> JobId:
        """The id that no other job has."""
        return JobId(self.project, self.location, self.job_id)

    def contradiction(self, other: JobFacts) -> str:
        """Say what shows that another job has the same id; empty if these are facts of one job.

        Vertex does not reuse ids; a restarted emulator may. The creation time decides if both are known.
        Which run recorded the job shows nothing: the reaper or an adoption may record a run's job again.
        """
        if self.create_time and other.create_time:
            if abs(self.create_time - other.create_time) < _SAME_CREATION:
                return ""
            return f"it was created at {self.create_time.isoformat()}, not at {other.create_time.isoformat()}"
        for what, one, two in (
            ("idempotency key", self.job_key, other.job_key),
            ("display name", self.display_name, other.display_name),
        ):
            if one and two and one != two:
                return f"its {what} is {one!r}, not {two!r}"
        return ""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows by outcome. Each is exactly one of ok, failed, unreadable and unrecognized.

    :param unrecognized: rows in no known output format; it is unknown whether they were answered.
    :param copied: those of `ok` that were billed with an earlier job of a resume chain.
    :param input_rows: rows of the input; None if they were not counted.
    """

    ok: int = 0
    failed: int = 0
    unreadable: int = 0
    unrecognized: int = 0
    copied: int = 0
    input_rows: int | None = None

    def __str__(self) -> str:
        counts = {
            "failed": self.failed,
            "unreadable": self.unreadable,
            "unrecognized": self.unrecognized,
            "missing": self.missing,
        }
        return ", ".join([f"{self.ok:,} rows ok", *(f"{n:,} {name}" for name, n in counts.items() if n)])

    @property
    def total(self) -> int:
        return self.ok + self.failed + self.not_counted

    @property
    def paid(self) -> int:
        """Answered rows that were billed with this job, not with an earlier one."""
        return self.ok - self.copied

    @property
    def not_counted(self) -> int:
        """Rows whose usage is unknown."""
        return self.unreadable + self.unrecognized

    @property
    def missing(self) -> int | None:
        """Rows of the input without a row of output; None if the input was not counted."""
        return None if self.input_rows is None else max(self.input_rows - self.total, 0)

    @property
    def failed_share(self) -> Decimal | None:
        """The share of failed rows, 0 to 1, to six decimals; None if there are no rows."""
        return (Decimal(self.failed) / self.total).quantize(_SIX_DECIMALS) if self.total else None


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of amounts. If it is not complete, a part of it has no price, and it is a lower bound."""

    amount: Decimal
    complete: bool

    def __str__(self) -> str:
        return f"{'' if self.complete else 'at least '}{usd(self.amount)}"

    @property
    def is_known(self) -> bool:
        """Whether at least a part of it has a price."""
        return self.complete or bool(self.amount)

    @property
    def rounded(self) -> str:
        """The amount for a person, rounded to cents; a small one keeps its significant digits."""
        return f"{'' if self.complete else 'at least '}{rounded(self.amount)} USD"

    @property
    def about(self) -> str:
        """An estimated amount for a person, with at most four significant digits; one without any price is
        not known.
        """
        if not self.is_known:
            return "not known"
        return f"{'' if self.complete else 'at least '}{about(self.amount)} USD"

    @property
    def text(self) -> str:
        """The amount as a decimal string for a program, without trailing zeros."""
        return in_full(self.amount)

    def per_thousand(self, paid_rows: int) -> Total | None:
        """The cost of a thousand answered rows, to a millionth of a dollar; None without such rows.

        :param paid_rows: see `RowCounts.paid`.
        """
        if not paid_rows:
            return None
        with localcontext(prec=EXACT.prec):
            return Total((1000 * self.amount / paid_rows).quantize(_SIX_DECIMALS), self.complete)


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of one job.

    :param usage: the tokens as they were counted, by the tier of their rows: enough to reprice them.
    :param failed_samples: the places of some failed rows for each reason.
    :param unrecognized_samples: the first rows in no known output format.
    """

    job: JobFacts
    rows: RowCounts
    line_items: Sequence[LineItem]
    flags: Sequence[str] = ()
    recorded_at: datetime = field(default_factory=lambda: datetime.now(tz=UTC))
    usage: Mapping[UsageKey, int] = field(default_factory=dict)
    failed_reasons: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[RowProblem] = ()
    failed_samples: Sequence[RowProblem] = ()
    unrecognized_samples: Sequence[RowProblem] = ()

    @property
    def total(self) -> Total:
        return total(self.line_items)

    @property
    def saved(self) -> Total:
        """The amount saved by batch, at list prices."""
        return saved(self.line_items)

    @property
    def per_thousand_rows(self) -> Total | None:
        return self.total.per_thousand(self.rows.paid)

    @property
    def metered(self) -> list[LineItem]:
        """The line items for counted tokens: all but the one that only explains what is unknown."""
        return [item for item in self.line_items if item.tokens or item.model != UNKNOWN_MODEL]

    @property
    def ran_on(self) -> date:
        """The day whose prices apply: the day on which the job ran, else the day of the recording."""
        return self.job.ran_on or self.recorded_at.astimezone(UTC).date()

    @property
    def day(self) -> date:
        """The UTC day of the cost: the logical date, else the job's creation, else the recording."""
        moment = self.job.logical_date or self.job.create_time or self.recorded_at
        return moment.astimezone(UTC).date()


def total(items: Sequence[LineItem]) -> Total:
    """Add up the known amounts exactly. The total is complete only if all amounts are known."""
    return _sum([item.amount_usd for item in items])


def saved(items: Sequence[LineItem]) -> Total:
    """Add up the savings of batch. The total is complete only if both prices of every item are known."""
    return _sum([item.saved_usd for item in items])


def _sum(amounts: Sequence[Decimal | None]) -> Total:
    known = [amount for amount in amounts if amount is not None]
    return Total(add(known), complete=len(known) == len(amounts))


def add_totals(totals: Iterable[Total]) -> Total:
    """Add up sums, exactly. The sum is complete only if each of them is."""
    found = list(totals)
    return Total(add(each.amount for each in found), complete=all(each.complete for each in found))
