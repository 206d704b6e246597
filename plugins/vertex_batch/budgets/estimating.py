"""What a job will probably cost, before it is submitted: from its input, and from what its spec's jobs used.

With history, each past job is replayed on the new input: its tokens, scaled by rows and bytes, at the prices
of today. The median of these amounts is expected, and nine in ten of them span the range. Without history,
an answer is taken to be as long as its row allows, or as long as a documented default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from vertex_batch.budgets.survey import BYTES_PER_TOKEN, TOKENS_PER_IMAGE, Survey
from vertex_batch.costs.bill import Total, in_full, total
from vertex_batch.pricing import PriceBook, price
from vertex_batch.usage import (
    Kind,
    Modality,
    Tier,
    UsageKey,
    canonical_model,
    is_billed_by_character,
)

HISTORY_RUNS = 10
DEFAULT_OUTPUT_TOKENS = 1024
_LOW, _MIDDLE, _HIGH = Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)
# They grow with the length of a prompt; all others grow with the number of answers.
_OF_THE_PROMPT = frozenset({Kind.INPUT, Kind.CACHED_INPUT, Kind.CACHE_WRITE})
_OF_THE_ANSWER = frozenset({Kind.OUTPUT, Kind.THOUGHTS})


@dataclass(frozen=True, slots=True)
class PastJob:
    """What an earlier job of the same task and model used.

    :param rows: of its input. :param size: of its input, in bytes; None: not known.
    """

    rows: int
    usage: Mapping[UsageKey, int]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job is expected to cost. Not complete: a part of it has no price, and it is an "at least".

    :param low: and ``high``: the range in which the cost of nine in ten such jobs lies, in US dollars.
    :param input_tokens: and ``output_tokens``: what is expected, prompts and answers.
    :param method: how it was found, as a sentence.
    :param unknown: why a part of it is not known.
    """

    expected: Total
    low: Decimal
    high: Decimal
    rows: int = 0
    size: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    method: str = ""
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        span = "" if self.low == self.high else f" ({in_full(self.low)} to {in_full(self.high)})"
        return f"{self.expected}{span}"

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
        }


def unknown_estimate(reason: str) -> Estimate:
    """The estimate of a job whose input cannot be counted: at least 0, and why."""
    return Estimate(
        Total(Decimal(0), complete=False), Decimal(0), Decimal(0), method="none", unknown=(reason,)
    )


def estimate(
    survey: Survey, model: str, location: str, book: PriceBook, history: Sequence[PastJob] = ()
) -> Estimate:
    """Say what a job over this input will cost. Exact arithmetic on uncertain numbers; pure.

    :param model: the model of the job. :param location: where it will run.
    :param history: earlier jobs of the same task and model, the latest first; `HISTORY_RUNS` of them count.
    """
    useful = [past for past in history if past.rows > 0 and past.usage][:HISTORY_RUNS]
    read = f"{survey.rows:,} rows {'counted' if survey.exact else 'extrapolated from a sample'}"
    if useful:
        mixes = [_replayed(past, survey) for past in useful]
        jobs = "the last job" if len(useful) == 1 else f"the last {len(useful)} jobs"
        return _priced(mixes, survey, location, book, method=f"{read}, tokens as in {jobs}")
    full, prompts = _without_history(survey, canonical_model(model))
    answers = f"answers as long as their maxOutputTokens, else {DEFAULT_OUTPUT_TOKENS:,} tokens"
    method = f"{read}, no history: {BYTES_PER_TOKEN} bytes of text a token, {answers}"
    found = _priced([full], survey, location, book, method=method, unknown=_unseen(survey))
    return _with_low(found, prompts, location, book)


def quantile(amounts: Sequence[Decimal], share: Fraction) -> Decimal:
    """The nearest-rank quantile of sorted amounts: one of them, never a mean."""
    return amounts[_rank(len(amounts), share)]


def _rank(count: int, share: Fraction) -> int:
    return min(count - 1, int(share * count))


def _replayed(past: PastJob, survey: Survey) -> dict[UsageKey, int]:
    by_rows = Fraction(survey.rows, past.rows)
    by_size = Fraction(survey.size, past.size) if past.size and survey.size else by_rows
    return {
        key: ceil(tokens * (by_size if key.kind in _OF_THE_PROMPT else by_rows))
        for key, tokens in past.usage.items()
    }


def _without_history(survey: Survey, model: str) -> tuple[dict[UsageKey, int], dict[UsageKey, int]]:
    """The tokens with every answer at its limit, and the prompts' alone."""
    usual = survey.text_tokens - survey.long_text_tokens
    prompts = {
        UsageKey(model, Kind.INPUT): usual,
        UsageKey(model, Kind.INPUT, tier=Tier.LONG_CONTEXT): survey.long_text_tokens,
        UsageKey(model, Kind.INPUT, Modality.IMAGE): survey.images * TOKENS_PER_IMAGE,
    }
    prompts = {key: tokens for key, tokens in prompts.items() if tokens}
    if is_billed_by_character(model):
        prompts = {UsageKey(model, Kind.INPUT_CHARACTER): survey.text_tokens * BYTES_PER_TOKEN}
    if "embedding" in model:
        return prompts, prompts
    answers = survey.limited_output_tokens + survey.unlimited_rows * DEFAULT_OUTPUT_TOKENS
    return ({**prompts, UsageKey(model, Kind.OUTPUT): answers} if answers else prompts), prompts


def _unseen(survey: Survey) -> tuple[str, ...]:
    if not survey.uncountable_rows:
        return ()
    return (
        f"{survey.uncountable_rows:,} rows hold video, audio or documents, whose tokens are not known yet",
    )


def _priced(
    mixes: Sequence[Mapping[UsageKey, int]],
    survey: Survey,
    location: str,
    book: PriceBook,
    *,
    method: str,
    unknown: tuple[str, ...] = (),
) -> Estimate:
    """Price each mix of tokens; the one in the middle is expected."""
    bills = sorted(
        ((total(items), items) for items in (price(mix, book, location) for mix in mixes)),
        key=lambda bill: bill[0].amount,
    )
    amounts = [whole.amount for whole, _ in bills]
    whole, items = bills[_rank(len(bills), _MIDDLE)]
    reasons = dict.fromkeys([*unknown, *(item.reason for item in items if item.reason)])
    return Estimate(
        expected=Total(whole.amount, complete=whole.complete and not unknown),
        low=quantile(amounts, _LOW),
        high=quantile(amounts, _HIGH),
        rows=survey.rows,
        size=survey.size,
        input_tokens=sum(i.tokens for i in items if i.unit == "token" and i.kind not in _OF_THE_ANSWER),
        output_tokens=sum(i.tokens for i in items if i.kind in _OF_THE_ANSWER),
        method=method,
        unknown=tuple(reasons),
    )


def _with_low(found: Estimate, prompts: Mapping[UsageKey, int], location: str, book: PriceBook) -> Estimate:
    """Without history nobody knows how short the answers will be: the prompts alone are the least."""
    least = total(price(prompts, book, location)).amount
    return replace(found, low=least)
