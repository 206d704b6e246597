"""How long answers and thoughts may be, from what a row allows and what its model does by default.

Thinking models think before they answer, whatever the length of the prompt, and thoughts count towards
``maxOutputTokens`` and are billed as output. Defaults by Google
(https://ai.google.dev/gemini-api/docs/thinking, read on 2026-11-27): Gemini 2.5 Pro and Flash decide
themselves, 2.5 Flash-Lite does not think; Gemini 3 takes a level, by default ``high`` for Pro, ``medium``
for Flash and ``minimal`` for Flash-Lite. The token counts are our own: Google does not publish them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, exp
from typing import Any, NamedTuple

from vertex_batch.budgets.media import Family, family
from vertex_batch.budgets.ranges import NOTHING, Range

DEFAULT_OUTPUT_TOKENS = 1024
"""Of an answer whose row states no ``maxOutputTokens``."""
USUAL_ANSWER = Range(4, DEFAULT_OUTPUT_TOKENS, 4096)
_LEVELS = {
    "minimal": Range(0, 64, 1024),
    "low": Range(0, 512, 2048),
    "medium": Range(0, 1024, 4096),
    "high": Range(0, 2048, 8192),
}
_IMAGE_OUTPUT = Range(0, 1290, 2600)
_MOST_TOKENS = 1 << 20
_MOST_CANDIDATES = 8
_MOST_CUT = 100
"""Answers that filled their limit are not taken to be more than so many times as long without it."""
_ONE_TOKEN = 0.5


class AnswerLimit(NamedTuple):
    """The most tokens that a row allows.

    :param whole: of its answers and thoughts together; None: not stated.
    :param thoughts: of its thoughts alone; None: not stated.
    """

    whole: int | None = None
    thoughts: int | None = None


NO_LIMIT = AnswerLimit()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a row says of its answer.

    :param most_tokens: of thoughts and answer together; None: not stated.
    :param budget: ``thinkingBudget``; None: not stated, -1: the model decides.
    :param level: ``thinkingLevel``; empty: not stated.
    """

    most_tokens: int | None = None
    candidates: int = 1
    budget: int | None = None
    level: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Limits:
        """Read a ``generationConfig``; what it states wrongly is not stated."""
        thinking = config.get("thinkingConfig", config.get("thinking_config"))
        thinking = thinking if isinstance(thinking, Mapping) else {}
        budget = thinking.get("thinkingBudget", thinking.get("thinking_budget"))
        level = thinking.get("thinkingLevel", thinking.get("thinking_level"))
        candidates = config.get("candidateCount", config.get("candidate_count"))
        return cls(
            read_count(config.get("maxOutputTokens", config.get("max_output_tokens")), _MOST_TOKENS),
            read_count(candidates, _MOST_CANDIDATES) or 1,
            _budget(budget),
            level.lower().rpartition("_")[2] if isinstance(level, str) else "",
        )

    @classmethod
    def from_messages(cls, most: object) -> Limits:
        """Read the ``max_tokens`` of a row in the form of Claude or of OpenAI."""
        return cls(read_count(most, _MOST_TOKENS))

    def allow(self, model: str) -> AnswerLimit:
        """What these limits allow of all candidates together."""
        if "embedding" in model:
            return AnswerLimit(0, 0)
        states_budget = self.budget is not None and self.budget >= 0
        return AnswerLimit(
            None if self.most_tokens is None else self.most_tokens * self.candidates,
            ceil(usual_thoughts(self, model).high) * self.candidates if states_budget else None,
        )


@dataclass(frozen=True, slots=True)
class AnswerSize:
    """The tokens of one row's answers, of its thoughts, and of the pictures that a model draws."""

    text: Range
    thoughts: Range = NOTHING
    image: Range = NOTHING


def answer(limits: Limits, model: str) -> AnswerSize:
    """Expect half of what a row allows, and at most what is usual; the upper end is all that it allows.

    :param model: its canonical name. Embeddings have no answer.
    """
    if "embedding" in model:
        return AnswerSize(NOTHING)
    thoughts = usual_thoughts(limits, model)
    whole = USUAL_ANSWER.plus(thoughts)
    if limits.most_tokens is not None:
        most = limits.most_tokens
        whole = Range(min(whole.low, most), min(whole.expected, -(-most // 2)), min(whole.high, most))
    share = thoughts.expected / (thoughts.expected + USUAL_ANSWER.expected)
    text = Range(whole.low, whole.expected * (1 - share), whole.high * (1 - share))
    thought = Range(0, whole.expected * share, whole.high * share)
    image = _IMAGE_OUTPUT if "image" in model or "banana" in model else NOTHING
    return AnswerSize(*(each.times(limits.candidates) for each in (text, thought, image)))


def within(
    text: Fraction, thoughts: Fraction, rows: Mapping[AnswerLimit, int], *, spread: bool = False
) -> tuple[Fraction, Fraction]:
    """Bound the answers of a row by what rows allow, on average over all of them.

    :param text: the tokens of an answer without its thoughts.
    :param rows: the number of rows by what they allow; empty: nothing is known of any limit.
    :param spread: the lengths of answers are spread exponentially, so a limit above their mean cuts some,
        too; otherwise all answers are equally long.
    """
    sums = [Fraction(0), Fraction(0)]
    for limit, count in rows.items():
        most = thoughts if limit.thoughts is None else min(thoughts, Fraction(limit.thoughts))
        whole = text + most
        share = Fraction(1)
        if limit.whole is not None and whole:
            share = cut_mean(whole, limit.whole) / whole if spread else min(share, limit.whole / whole)
        sums = [sums[0] + count * share * text, sums[1] + count * share * most]
    number = sum(rows.values())
    return (sums[0] / number, sums[1] / number) if number else (text, thoughts)


def cut_share(mean: Fraction, most: int) -> Fraction:
    """The share of lengths above a limit, if they are spread exponentially around their mean."""
    return Fraction(exp(-most / mean)) if mean else Fraction(0)


def cut_mean(mean: Fraction, most: int) -> Fraction:
    """The mean of the same lengths, after those above the limit are cut to it."""
    return mean * (1 - cut_share(mean, most))


def uncut_mean(mean: Fraction, most: int) -> Fraction:
    """The mean that lengths had before a limit cut them: the inverse of `cut_mean`, to a whole token."""
    low, high = float(mean), float(mean * _MOST_CUT)
    while high - low > _ONE_TOKEN:
        middle = (low + high) / 2
        is_longer = cut_mean(Fraction(middle), most) < mean
        low, high = (middle, high) if is_longer else (low, middle)
    return max(mean, Fraction(round(high)))


def usual_thoughts(limits: Limits, model: str) -> Range:
    of_model = _default(model)
    if of_model is None:
        return NOTHING
    if limits.budget is not None and limits.budget >= 0:
        # A budget is a wish: models have been seen to think somewhat longer.
        return Range(0, limits.budget / 2, limits.budget * 1.2)
    if limits.budget is not None:
        return _LEVELS["medium"]
    return _LEVELS.get(limits.level, of_model)


def _default(model: str) -> Range | None:
    """What a model thinks unless its row says otherwise; None: it cannot think."""
    kind = family(model)
    if (
        kind is Family.OTHER
        or "tts" in model
        or model.startswith(("gemini-1", "gemini-2.0", "gemini-2.5-flash-image"))
    ):
        return None
    if kind is Family.GEMINI_2:
        return NOTHING if "lite" in model else _LEVELS["medium"]
    if "lite" in model:
        return _LEVELS["minimal"]
    return _LEVELS["medium" if "flash" in model else "high"]


def _budget(value: Any) -> int | None:
    is_choice = isinstance(value, int) and not isinstance(value, bool) and value in {-1, 0}
    return int(value) if is_choice else read_count(value, _MOST_TOKENS)


def read_count(value: Any, most: int) -> int | None:
    """A count as a row states it; None where it states none that can be."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most
    return value if is_count else None
