"""What an earlier job says of a new input of its task and model: its tokens, scaled to the new rows. Pure.

Prompts grow with the input, answers with the number of rows, and no answer is longer than its row allows.
The cost table has sums only, so where a limit is lower than that of the earlier rows, the lengths of their
answers are taken to be spread exponentially around their mean. Where the new rows differ much from the
earlier ones, their answers may, too: the range is then wider. A job that ran the same rows counts first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, sqrt
from statistics import median

from vertex_batch.budgets.answer_lengths import cut_share, within
from vertex_batch.budgets.media import Family, family
from vertex_batch.budgets.past import ENOUGH_ROWS, OF_THE_PROMPT, PastJob, SameRows, files_of, is_limited
from vertex_batch.budgets.survey import Survey
from vertex_batch.usage import Kind, UsageKey

_MUCH = 2
"""Rows differ much if they are this many times as long as the earlier ones, or as short."""
_MOST_GROWTH = Fraction(10)
_NOTABLE = Fraction(1, 20)
"""The share of answers, and of their length, below which it is not said that a limit cuts them."""
_NONE, _HALF, _ONE = Fraction(0), Fraction(1, 2), Fraction(1)
_CHANCE, _LEAST_MARGIN = 1.2, Fraction(1, 20)
"""The margin for so many answers to the same rows is `_CHANCE` by the root of their number: chance alone
makes nine in ten totals differ by no more if answers to one prompt spread by half of their mean.
"""
_HIGH = 2


@dataclass(frozen=True, slots=True)
class InputChange:
    """How new rows differ from those of an earlier job.

    :param length: of their prompts, as a multiple of the earlier ones'; 1 if it is not known.
    :param cut: the length of the earlier answers as a multiple of what the new rows leave of them; 1 if they
        allow them.
    :param room: what the new rows allow of answers, as a multiple of what the earlier rows did; 1 if their
        answers did not fill that.
    :param files: what they have beside text and the earlier ones had not.
    """

    length: Fraction = _ONE
    cut: Fraction = _ONE
    room: Fraction = _ONE
    files: frozenset[str] = frozenset()

    @property
    def is_large(self) -> bool:
        """Whether the earlier job says less of the new rows than one with rows like them."""
        return bool(self.files) or self.is_cut or any(map(is_much, (self.length, self.room)))

    @property
    def is_cut(self) -> bool:
        """Whether the new rows cut a notable part of answers like the earlier ones."""
        return self.cut > 1 + _NOTABLE

    @property
    def answers(self) -> tuple[Fraction, Fraction]:
        """The shortest and the longest answers to expect, as multiples of the earlier ones, before any limit.

        Answers may grow and shrink with the prompts. Nothing is known of answers to another kind of prompt.
        """
        of_files = Fraction(_MUCH) if self.files else _ONE
        length = min(_MOST_GROWTH, max(1 / _MOST_GROWTH, self.length))
        length = length if is_much(length) else _ONE
        shortest = min(length, 1 / of_files, _HALF if self.is_cut else _ONE)
        return shortest, max(length, of_files, min(self.room, _MOST_GROWTH))


@dataclass(frozen=True, slots=True)
class Replay:
    """The tokens that new rows would use if they were like those of an earlier job: at least, probably, at
    most.
    """

    low: Mapping[UsageKey, int]
    expected: Mapping[UsageKey, int]
    high: Mapping[UsageKey, int]
    change: InputChange


def like(history: Sequence[PastJob], survey: Survey) -> Sequence[PastJob]:
    """Those of the past jobs that ran the same rows, else whose rows were like the new ones; all if none was.

    So a sample or a trial with another prompt or limit does not change what is expected of the usual nights.
    """
    for same in (SameRows.SENT_AGAIN, SameRows.WHOLE):
        if found := [past for past in history if past.same is same]:
            return found
    near = [past for past in history if not change_of(past, survey).is_large]
    samples = [past for past in near if past.same is SameRows.SAMPLE and past.rows >= ENOUGH_ROWS]
    return samples or near or history


def margin_of(useful: Sequence[PastJob], survey: Survey) -> Fraction:
    """How far the range reaches on either side if the new rows are like the earlier ones.

    One past job does not show how nights differ, and each further one shows more of it. Jobs that ran the
    same rows differ by chance alone.
    """
    margin = _HALF / len(useful)
    if all(past.same for past in useful):
        rows = min(survey.rows, *(past.rows for past in useful))
        chance = Fraction(_CHANCE / sqrt(max(rows, 1)))
        margin = min(margin, max(_LEAST_MARGIN, chance))
    return margin


def is_much(ratio: Fraction) -> bool:
    """Whether a ratio is far from 1: at most a half, or at least 2."""
    return not Fraction(1, _MUCH) < ratio < _MUCH


def change_of(past: PastJob, survey: Survey) -> InputChange:
    """Compare new rows with those of an earlier job."""
    answer = past.uncut_answer(survey)
    allowed = sum(within(*answer, survey.limits, spread=past.is_limited_more(survey)))
    cut = max(_ONE, sum(past.answer) / allowed) if allowed else _ONE
    return InputChange(_length(past, survey), cut, _room(past, survey), _new_file_kinds(past, survey))


def file_kinds_of(survey: Survey) -> frozenset[str]:
    """What the rows of an input have beside text."""
    return files_of(part.modality for part in survey.tokens if part.kind in OF_THE_PROMPT)


def replay(past: PastJob, survey: Survey, margin: Fraction) -> Replay:
    """Scale what a past job used to the rows of a new input.

    :param margin: how far the range reaches on either side if the new rows are like the earlier ones.
    """
    change, rows = change_of(past, survey), survey.row_range
    less, more = (Fraction(end / rows.expected) if rows.expected else _ONE for end in (rows.low, rows.high))
    less *= 1 - margin
    if survey.cut_before is not None:  # what has failed once may fail again
        less *= _HALF
    scale = _Scale(past, survey, change)
    shorter, longer = change.answers
    return Replay(
        low=scale.usage(0, less, less, shorter),
        expected=scale.usage(1, _ONE, _ONE, _ONE),
        # The margin is in the length of answers, so that none of them exceeds its limit.
        high=scale.usage(2, more * (1 + margin), more, longer * (1 + margin)),
        change=change,
    )


def describe(changes: Sequence[InputChange], *, is_wider: bool = True) -> str:
    """Say how new rows differ from those of most earlier jobs; empty if they do not.

    :param is_wider: whether the range is wider for that.
    """
    if not changes:
        return ""
    last = "the last job" if len(changes) == 1 else "the last jobs"
    found = []
    if is_much(length := Fraction(median(change.length for change in changes))):
        found.append(
            f"the rows are {_many_times(length)} as long as those of {last}"
            if length > 1
            else f"the rows of {last} were {_many_times(1 / length)} as long"
        )
    if files := frozenset.intersection(*(change.files for change in changes)):
        found.append(f"the rows have {' and '.join(sorted(files))}, those of {last} had none")
    if is_much(Fraction(median(change.room for change in changes))):
        found.append(f"the answers of {last} filled their limit, and the rows allow much more now")
    return f"{', and '.join(found)}{', so the range is wider' if is_wider else ''}" if found else ""


def describe_cut(useful: Sequence[PastJob], survey: Survey) -> str:
    """Say how many answers will probably be cut at their limit, and what was assumed for that; empty if that
    is not known, or if they are few.
    """
    last = "the last job" if len(useful) == 1 else "the last jobs"
    most, share = survey.answer_limit, expected_cut(useful, survey)
    if most and all(past.is_limited_more(survey) for past in useful):
        if not any(change_of(past, survey).is_cut for past in useful):
            return ""
        had = median(sum(past.answer, _NONE) for past in useful)
        many = f"about {of_rows(share, survey)} will be cut, and are paid for"
        return (
            f"the answers of {last} had {round(had):,} tokens on average, and the rows allow {most:,} now:"
            f" if their lengths are spread exponentially, {many if share else 'some will be cut'}"
        )
    if share < _NOTABLE:
        return ""
    return f"about {of_rows(share, survey)} will be cut at their limit, as before, and are paid for"


def expected_cut(useful: Sequence[PastJob], survey: Survey) -> Fraction:
    """The share of answers that will probably be cut at their limit; 0 if that is not known."""
    most = survey.answer_limit
    if most and all(past.is_limited_more(survey) for past in useful):
        mean = median(sum(past.uncut_answer(survey), _NONE) for past in useful)
        is_cut = mean > most and any(change_of(past, survey).is_cut for past in useful)
        return cut_share(mean, most) if is_cut else _NONE
    known = [past.cut_share or _NONE for past in useful if past.answer_limit == most]
    known = known if survey.cut_before is None else [survey.cut_before]
    return Fraction(median(known)) if known else _NONE


def of_rows(share: Fraction, survey: Survey) -> str:
    """A share of the answers to the rows of an input, for a person."""
    return f"{round(share * survey.rows):,} of {survey.rows:,} answers"


def _many_times(ratio: Fraction) -> str:
    return f"{float(ratio):.1f} times" if ratio < _MOST_GROWTH else f"{round(ratio):,} times"


class _Scale:
    """Scales the usage of one past job."""

    def __init__(self, past: PastJob, survey: Survey, change: InputChange) -> None:
        self._survey, self._change = survey, change
        self._rows = Fraction(survey.rows, past.rows)
        self._past = past
        self._text, self._thoughts = past.answer
        self._used = Counter[UsageKey]()
        for key, tokens in past.usage.items():
            self._used[replace(key, priced_on=None)] += tokens

    def usage(self, end: int, others: Fraction, rows: Fraction, longer: Fraction) -> dict[UsageKey, int]:
        """Scale everything.

        :param end: of the survey's own counts, 0 to 2, where the earlier prompts say nothing.
        :param others: scales what is not an answer; ``rows`` the number of answers.
        :param longer: scales the length of answers, which the rows' limits bound.
        """
        text, thoughts = self._answers(longer, spread=end < _HIGH)
        return self._prompts(end, others) | self._rest(
            others,
            {
                Kind.OUTPUT: rows * text / (self._text or 1),
                Kind.THOUGHTS: rows * thoughts / (self._thoughts or 1),
            },
        )

    def _answers(self, longer: Fraction, *, spread: bool) -> tuple[Fraction, Fraction]:
        """The tokens of a new answer and of its thoughts, on average.

        :param spread: whether answers differ in length; those that are all alike cost most.
        """
        text, thoughts = self._past.uncut_answer(self._survey)
        is_spread = spread and self._past.is_limited_more(self._survey)
        usual = within(text * longer, thoughts * longer, self._survey.limits, spread=is_spread)
        whole, full, cut = sum(usual, _NONE), self._survey.answer_limit, self._survey.cut_before
        if not (cut and full and whole):
            return usual
        # An answer that filled its limit will probably fill it again.
        more = 1 - cut + cut * max(_ONE, full / whole)
        return usual[0] * more, usual[1] * more

    def _rest(self, others: Fraction, answers: Mapping[Kind, Fraction]) -> dict[UsageKey, int]:
        """What grows with the rows. Answers are rounded down, so that no limit is exceeded."""
        return {
            key: int(tokens * self._rows * answers[key.kind])
            if is_limited(key)
            else ceil(tokens * self._rows * others)
            for key, tokens in self._used.items()
            if key.kind not in OF_THE_PROMPT
        }

    def _prompts(self, end: int, factor: Fraction) -> dict[UsageKey, int]:
        if self._change.files:  # the bytes of pictures say nothing of their tokens
            model = next(iter(self._used)).model
            return {
                UsageKey(model, *part): ceil(count[end])
                for part, count in self._survey.tokens.items()
                if part.kind in OF_THE_PROMPT
            }
        factor *= self._rows * self._change.length
        return {key: ceil(tokens * factor) for key, tokens in self._used.items() if key.kind in OF_THE_PROMPT}


def _length(past: PastJob, survey: Survey) -> Fraction:
    """How many times as long as the earlier prompts the new ones are: by bytes where these are known.

    The bytes of files say less than their tokens, but tokens are counted by rules, so only a large difference
    counts.
    """
    has_files = bool(past.files or file_kinds_of(survey))
    size = survey.content or survey.size
    if past.size and size and survey.rows and (not has_files or survey.assumed):
        return Fraction(size * past.rows, past.size * survey.rows)
    now = sum(count.expected for part, count in survey.tokens.items() if part.kind in OF_THE_PROMPT)
    if not (now and survey.rows and past.prompt_per_row):
        return _ONE
    length = Fraction(now) / survey.rows / past.prompt_per_row
    return length if is_much(length) else _ONE


def _new_file_kinds(past: PastJob, survey: Survey) -> frozenset[str]:
    """What the rows have beside text and the earlier ones had not. Only Gemini reports it with its usage."""
    model = next((key.model for key in past.usage), "")
    is_reported = family(model) is not Family.OTHER and "embedding" not in model
    return file_kinds_of(survey) - past.files if is_reported else frozenset()


def _room(past: PastJob, survey: Survey) -> Fraction:
    """How much longer the answers may become that were as long as their rows allowed, or nearly so."""
    if not past.answer_limit or sum(past.answer) * _MUCH < past.answer_limit or not survey.limits:
        return _ONE
    now = survey.answer_limit
    room = _MOST_GROWTH if now is None else Fraction(now, past.answer_limit)
    return room if room >= _MUCH else _ONE
