"""What a job will probably cost, before it is submitted: from its input, and from what its spec's jobs used.

With history, each past job is replayed on the new input (see `replay`), at the prices of the day on which the
new one runs. The median of these amounts is expected, and nine in ten of them span the range. Without
history, the rows are counted by the published rules, and the range says what they leave open: how long
answers and thoughts are, and what was not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from vertex_batch.budgets.answer_lengths import USUAL_ANSWER
from vertex_batch.budgets.past import OF_THE_ANSWER, PastJob, usable
from vertex_batch.budgets.replay import describe, describe_cut, expected_cut, like, margin_of, of_rows, replay
from vertex_batch.budgets.survey import Survey
from vertex_batch.costs.bill import Total, total
from vertex_batch.costs.money import about, in_full
from vertex_batch.errors import count_of
from vertex_batch.pricing import LineItem, PriceBook, price
from vertex_batch.usage import UsageKey, canonical_model

_LOW, _HIGH = Fraction(1, 10), Fraction(9, 10)
_TOLERANCE, _AS_EXPECTED, _ONE_PERCENT = Decimal("0.02"), Decimal("0.1"), Decimal("0.01")
_MOST_EXCEPTIONS = "results.max_exceptions_ratio"
_NO_HISTORY = "no history"
_WIDER = Decimal("1.1")
"""A range is called wider if an end is so many times as far from what is expected as without a reason."""


def _percent(share: Decimal) -> str:
    return f"{share * 100:.0f} %" if share >= _ONE_PERCENT else "under 1 %"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job is expected to cost. Not complete: a part of it has no price, and it is an "at least".

    :param low: and ``high``: the range in which the cost of nine in ten such jobs is, in US dollars.
    :param input_tokens: and ``output_tokens``: what is expected, prompts and answers; thoughts are output.
    :param answer_limit: the most tokens that a row allows of its answers, on average; None: unknown.
    :param method: how it was found, as a sentence.
    :param unknown: why part of it is unknown, and what was assumed instead.
    :param is_first: no earlier job shows how long answers are.
    :param is_exact: nothing of the input was guessed.
    :param has_assumptions: the lengths of files were assumed.
    :param failure: why the run would probably fail after it was paid for, as a sentence; empty if it would
        not, or if that is not known.
    """

    expected: Total
    low: Decimal
    high: Decimal
    rows: int = 0
    size: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    answer_limit: int | None = None
    method: str = ""
    unknown: tuple[str, ...] = ()
    is_first: bool = False
    is_exact: bool = True
    has_assumptions: bool = False
    failure: str = ""

    def __str__(self) -> str:
        span = "" if self.low == self.high or not self.expected.is_known else f" ({self.span})"
        return f"{self.expected.about}{span}"

    @property
    def span(self) -> str:
        """The range, rounded for a person."""
        return f"{about(self.low)} to {about(self.high)}"

    @property
    def has_history(self) -> bool:
        """Whether earlier jobs show how long answers are. The cost table stores only the method."""
        return not self.is_first and _NO_HISTORY not in self.method

    @property
    def is_guess(self) -> bool:
        """Whether it cannot justify a refusal: a first estimate of an input that was not counted exactly."""
        return self.is_first and not self.is_exact

    def compare(self, cost: Total, *, has_ended_well: bool = True) -> str:
        """Say where a bill is outside of the range; empty where it is inside, or where that cannot be known.

        A difference of 2 % is none, and a single amount is not a range.

        :param has_ended_well: else the job has not answered all rows, so a lower cost says nothing.
        """
        if self.low == self.high:
            return ""
        if self.expected.complete and cost.amount > self.high * (1 + _TOLERANCE):
            return f"above the expected range of {self.span} USD"
        if has_ended_well and cost.complete and cost.amount < self.low * (1 - _TOLERANCE):
            return f"below the expected range of {self.span} USD"
        return ""

    def outcome(self, cost: Total, *, has_ended_well: bool = True, failed: int = 0) -> str:
        """Say in one clause how a bill compares with what was expected; empty where that cannot be known.

        :param has_ended_well: as for `compare`.
        :param failed: rows that are not billed, which is why a bill is lower than a single amount.
        """
        if outside := self.compare(cost, has_ended_well=has_ended_well):
            return outside
        expected = self.expected.amount
        if not (has_ended_well and cost.complete and self.expected.complete and expected):
            return ""
        share = cost.amount / expected - 1
        inside = "" if self.low == self.high else ", inside the range"
        said = f"{_percent(abs(share))} {'more' if share > 0 else 'less'} than expected{inside}"
        if abs(share) <= (_AS_EXPECTED if inside else 0):
            said = "as expected" if inside else "exactly as expected"
        if failed and share < 0 and not inside:
            said += f": {count_of(failed, 'failed row is', 'failed rows are')} not billed"
        return said

    def to_dict(self) -> dict[str, Any]:
        """As plain data for XCom; amounts are decimal strings."""
        return {
            "expected_usd": self.expected.text,
            "complete": self.expected.complete,
            "low_usd": in_full(self.low),
            "high_usd": in_full(self.high),
            "rows": self.rows,
            "input_bytes": self.size,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "method": self.method,
            "unknown": list(self.unknown),
            "failure": self.failure,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        return cls(
            Total(Decimal(data["expected_usd"]), bool(data["complete"])),
            Decimal(data["low_usd"]),
            Decimal(data["high_usd"]),
            int(data["rows"]),
            int(data["input_bytes"]),
            int(data["input_tokens"]),
            int(data["output_tokens"]),
            method=str(data["method"]),
            unknown=tuple(data["unknown"]),
            failure=str(data.get("failure") or ""),
        )

    def lines(self, day: date | None = None) -> list[str]:
        """The estimate for a person: its amount and tokens, how it was found, and what is unknown.

        :param day: whose prices it has; None: that is said elsewhere.
        """
        tokens = f"{self.rows:,} rows, {self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        on = f" at the prices of {day}" if day else ""
        is_known = self.expected.is_known
        return [
            f"{f'about {self}{on}' if is_known else self}; {tokens}",
            self.method,
            *filter(None, [self.failure]),
            *(f"unknown: {reason}" for reason in self.unknown),
        ]


def unknown_estimate(reason: str) -> Estimate:
    """The estimate of a job whose input cannot be counted: at least 0, and why."""
    nothing = Total(Decimal(0), complete=False)
    return Estimate(
        nothing, Decimal(0), Decimal(0), method="none", unknown=(reason,), is_first=True, is_exact=False
    )


def estimate(
    survey: Survey,
    model: str,
    location: str,
    book: PriceBook,
    history: Sequence[PastJob] = (),
    *,
    day: date | None = None,
    failure_limits: Mapping[str, float] | None = None,
) -> Estimate:
    """Estimate a job.

    :param survey: of its input.
    :param book: the same prices that its bill will use.
    :param history: earlier jobs of the same task and model, the latest first; the first `HISTORY_RUNS` count.
    :param day: the UTC day on which the job will run, whose prices are used; None: today.
    :param failure_limits: key of the spec -> largest share of rows without a good answer, 0 to 1.
    """
    past = usable(history)
    if survey.failing:
        past = [each.of_answered() for each in past]
    if useful := like(past, survey):
        found = _replay(survey, useful, location, book, day, of=len(past))
        limit = (failure_limits or {}).get(_MOST_EXCEPTIONS, 1)
        return replace(found, failure=_describe_failure(expected_cut(useful, survey), survey, limit))
    if not survey.complete and not survey.read_rows:
        return unknown_estimate("no row of the input could be read whole")
    keys = {part: UsageKey(canonical_model(model), *part) for part in survey.tokens}
    low, expected, high = (
        price(
            {keys[part]: int(count[end]) for part, count in survey.tokens.items() if count[end]},
            book,
            location,
            day,
        )
        for end in range(3)
    )
    # What has no price at all may be in one end only.
    ends = min(total(low).amount, total(expected).amount), max(total(high).amount, total(expected).amount)
    method = f"{survey.method}, {_NO_HISTORY}"
    if ends[0] != ends[1]:
        most = f"{int(USUAL_ANSWER.high):,} tokens and thoughts"
        method += (
            f": the range is from answers of {int(USUAL_ANSWER.low)} tokens to the `maxOutputTokens` of each"
            f" row, or {most} where a row sets none; a run with `sample`, or a first night, narrows it"
        )
    return _make_estimate(
        survey,
        expected,
        ends,
        reasons=[item.reason for item in high if item.reason],
        method=method,
        is_first=True,
        assumed=survey.assumed,
    )


def quantile(amounts: Sequence[Decimal], share: Fraction) -> Decimal:
    """The nearest-rank quantile of sorted amounts: one of them, never a mean."""
    return amounts[min(len(amounts) - 1, int(share * len(amounts)))]


def _describe_failure(cut: Fraction, survey: Survey, limit: float) -> str:
    """Say that the answers that will probably be cut are more exceptions than a run may have; empty if they
    are not. Rows that are sent again are only a part of their run, so their share says nothing.
    """
    if survey.cut_before is not None or float(cut) <= limit:
        return ""
    return (
        f"The answers that are expected to be cut (about {of_rows(cut, survey)}) would be more than"
        f" `{_MOST_EXCEPTIONS}: {limit:g}` allows: the run would pay and then fail. Raise `maxOutputTokens`"
        " in the rows before you submit the job, or raise the limit"
    )


def _replay(
    survey: Survey,
    useful: Sequence[PastJob],
    location: str,
    book: PriceBook,
    day: date | None,
    *,
    of: int,
) -> Estimate:
    """Price what each past job would have used; the one in the middle is expected.

    :param of: the number of past jobs, of which the useful ones are a part.
    """
    margin = margin_of(useful, survey)
    replays = [replay(past, survey, margin) for past in useful]

    def cost(usage: Mapping[UsageKey, int]) -> Decimal:
        return total(price(usage, book, location, day)).amount

    items = price(_middle(sorted((each.expected for each in replays), key=cost)), book, location, day)
    low = quantile(sorted(cost(each.low) for each in replays), _LOW)
    high = quantile(sorted(cost(each.high) for each in replays), _HIGH)
    expected, share = total(items).amount, Decimal(float(margin))
    is_wider = high > expected * (1 + share) * _WIDER or low * _WIDER < expected * (1 - share)
    # Rows of the same input are not compared: they are like those that their basis has run.
    others = [each.change for past, each in zip(useful, replays, strict=True) if not past.same]
    differs = describe(others, is_wider=is_wider)
    method = f"{survey.number}, tokens as in {_jobs(useful, of)}"
    return _make_estimate(
        survey,
        items,
        (min(low, expected), max(high, expected)),
        reasons=[item.reason for item in items if item.reason],
        method="; ".join(filter(None, (method, differs, describe_cut(useful, survey)))),
        is_first=False,
        assumed=survey.assumed if any(each.change.files for each in replays) else (),
    )


def _middle(usages: Sequence[Mapping[UsageKey, int]]) -> Mapping[UsageKey, int]:
    """The usage in the middle of sorted ones, or the mean of the two that are there."""
    one, two = usages[(len(usages) - 1) // 2], usages[len(usages) // 2]
    return {key: -(-(one.get(key, 0) + two.get(key, 0)) // 2) for key in {**one, **two}}


def _jobs(useful: Sequence[PastJob], of: int) -> str:
    last = useful[0]
    if all(past.same for past in useful):
        return str(last.same)
    if len(useful) < of:
        many = "one" if len(useful) == 1 else len(useful)
        return f"the {many} of the last {of} jobs whose rows are like these"
    if len(useful) > 1:
        return f"the last {len(useful)} jobs"
    if last.rows < last.input_rows:
        return f"the {last.rows:,} of {last.input_rows:,} rows that the last job ran"
    return "the last job"


def _make_estimate(
    survey: Survey,
    items: Sequence[LineItem],
    span: tuple[Decimal, Decimal],
    *,
    reasons: Iterable[str],
    method: str,
    is_first: bool,
    assumed: tuple[str, ...],
) -> Estimate:
    return Estimate(
        expected=Total(total(items).amount, complete=not list(reasons)),
        low=span[0],
        high=span[1],
        rows=survey.rows + survey.failing,
        size=survey.size,
        input_tokens=sum(i.tokens for i in items if i.unit == "token" and i.kind not in OF_THE_ANSWER),
        output_tokens=sum(i.tokens for i in items if i.kind in OF_THE_ANSWER),
        answer_limit=survey.answer_limit,
        method=method,
        unknown=tuple(dict.fromkeys([*reasons, *assumed])),
        is_first=is_first,
        is_exact=survey.is_exact,
        has_assumptions=bool(assumed),
    )
