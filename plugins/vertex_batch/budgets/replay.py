"""What an earlier job says of a new input of its task and model: its tokens, scaled to the new rows. Pure.

Prompts grow with the input, answers with the number of rows, and no answer is longer than its row allows.
Where the new rows differ much from the earlier ones, their answers may, too: the range is then wider.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import ceil
from statistics import median

from vertex_batch.budgets.answer_lengths import USUAL_ANSWER, within
from vertex_batch.budgets.media import Family, family
from vertex_batch.budgets.survey import Survey
from vertex_batch.costs.bill import Total
from vertex_batch.usage import Kind, Modality, UsageKey

HISTORY_RUNS = 10
_ENOUGH_ROWS = 50
"""With so many rows, a job that ran less than half of its input is history, too."""
_MUCH = 2
"""Rows differ much if they are this many times as long as the earlier ones, or as short."""
_MOST_GROWTH = Fraction(10)
_ONE = Fraction(1)
# They grow with the length of a prompt; all others grow with the number of answers.
OF_THE_PROMPT = frozenset({Kind.INPUT, Kind.INPUT_CHARACTER, Kind.CACHED_INPUT, Kind.CACHE_WRITE})
OF_THE_ANSWER = frozenset({Kind.OUTPUT, Kind.THOUGHTS})
_FILES = {
    Modality.IMAGE: "pictures or documents",  # models count pages as either
    Modality.DOCUMENT: "pictures or documents",
    Modality.VIDEO: "videos or sound",  # a video may have none
    Modality.AUDIO: "videos or sound",
}


@dataclass(frozen=True, slots=True)
class PastJob:
    """What an earlier job of the same task and model used.

    :param rows: that it ran, answered or failed, and that its own bill covers. Those of its input that it
        did not run, since it was cancelled, failed or expired, are not among them.
    :param size: of these rows, in bytes; None if unknown.
    :param answered: rows with an answer.
    :param cost: of its bill; None if unknown.
    :param input_rows: of its input; 0 if unknown.
    :param answer_limit: the most tokens that its rows allowed of their answers, on average; None if unknown,
        or if they set no limit.
    """

    rows: int
    usage: Mapping[UsageKey, int]
    size: int | None = None
    answered: int = 0
    cost: Total | None = None
    input_rows: int = 0
    answer_limit: int | None = None
    is_sample: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether it ran enough rows to stand for others: half of its input, or `_ENOUGH_ROWS`."""
        enough = self.rows >= min(_ENOUGH_ROWS, -(-self.input_rows // 2))
        return bool(self.rows > 0 and self.usage and enough)

    @property
    def prompt_per_row(self) -> Fraction:
        """The tokens of a row's prompt."""
        return Fraction(sum(n for key, n in self.usage.items() if key.kind in OF_THE_PROMPT), self.rows)

    @property
    def files(self) -> frozenset[str]:
        """What its prompts had beside text."""
        return _files(key.modality for key in self.usage if key.kind in OF_THE_PROMPT)

    @property
    def answer(self) -> tuple[Fraction, Fraction]:
        """The tokens of text of one answer, and of its thoughts."""
        text, thoughts = (
            sum(n for key, n in self.usage.items() if key.kind is kind and _is_limited(key))
            for kind in (Kind.OUTPUT, Kind.THOUGHTS)
        )
        answered = self.answered or self.rows
        return Fraction(text, answered), Fraction(thoughts, answered)


@dataclass(frozen=True, slots=True)
class InputChange:
    """How new rows differ from those of an earlier job.

    :param length: of their prompts, as a multiple of the earlier ones'; 1 if it is not known.
    :param cut: the length of the earlier answers as a multiple of what the new rows allow of them; 1 if they
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
        return bool(self.files) or any(map(is_much, (self.length, self.cut, self.room)))

    @property
    def answers(self) -> tuple[Fraction, Fraction]:
        """The shortest and the longest answers to expect, as multiples of the earlier ones, before any limit.

        Answers may grow and shrink with the prompts. Nothing is known of answers to another kind of prompt.
        """
        of_files = Fraction(_MUCH) if self.files else _ONE
        length = min(_MOST_GROWTH, max(1 / _MOST_GROWTH, self.length))
        length = length if is_much(length) else _ONE
        return min(length, 1 / of_files), max(length, of_files, min(self.room, _MOST_GROWTH))


@dataclass(frozen=True, slots=True)
class Replay:
    """The tokens that new rows would use if they were like those of an earlier job: at least, probably, at
    most.
    """

    low: Mapping[UsageKey, int]
    expected: Mapping[UsageKey, int]
    high: Mapping[UsageKey, int]
    change: InputChange


def usable(history: Iterable[PastJob]) -> list[PastJob]:
    """Those of the past jobs that an estimate is made of."""
    return list(islice((past for past in history if past.is_usable), HISTORY_RUNS))


def like(history: Sequence[PastJob], survey: Survey) -> Sequence[PastJob]:
    """Those of the past jobs whose rows were like the new ones; all of them if none was.

    So a sample or a trial with another prompt or limit does not change what is expected of the usual nights.
    """
    return [past for past in history if not change_of(past, survey).is_large] or history


def past_costs(history: Iterable[PastJob]) -> list[Total]:
    """What a thousand answered rows of each past job cost, the lowest first; of samples without others."""
    known = [(job, cost) for job in history if job.cost and (cost := job.cost.per_thousand(job.answered))]
    costs = [cost for job, cost in known if not job.is_sample] or [cost for _, cost in known]
    return sorted(costs, key=lambda cost: cost.amount)


def describe_past(history: Iterable[PastJob]) -> str:
    """Say what a thousand answered rows of the past jobs cost; empty if that is not known."""
    history = list(history)
    if not (costs := past_costs(history)):
        return ""
    what = "sample" if all(job.is_sample for job in history) else "job"
    jobs = f"the last {what}" if len(costs) == 1 else f"the last {len(costs)} {what}s"
    span = "" if len(costs) == 1 else f" ({costs[0]} to {costs[-1]})"
    return f"{jobs} cost {costs[len(costs) // 2]} per 1,000 answered rows{span}"


def is_much(ratio: Fraction) -> bool:
    """Whether a ratio is far from 1."""
    return not Fraction(1, _MUCH) < ratio < _MUCH


def change_of(past: PastJob, survey: Survey) -> InputChange:
    """Compare new rows with those of an earlier job."""
    allowed = sum(within(*past.answer, survey.limits))
    cut = sum(past.answer) / allowed if allowed else _ONE
    return InputChange(_length(past, survey), cut, _room(past, survey), _new_files(past, survey))


def survey_files(survey: Survey) -> frozenset[str]:
    """What the rows of an input have beside text."""
    return _files(part.modality for part in survey.tokens if part.kind in OF_THE_PROMPT)


def replay(past: PastJob, survey: Survey, margin: Fraction) -> Replay:
    """Scale what a past job used to the rows of a new input.

    :param margin: how far the range reaches on either side if the new rows are like the earlier ones.
    """
    change, rows = change_of(past, survey), survey.row_range
    less, more = (Fraction(end / rows.expected) if rows.expected else _ONE for end in (rows.low, rows.high))
    less *= 1 - margin
    scale = _Scale(past, survey, change)
    shorter, longer = change.answers
    return Replay(
        low=scale.shortest(less) if is_much(change.cut) else scale.usage(0, less, less, shorter),
        expected=scale.usage(1, _ONE, _ONE, _ONE),
        # The margin is in the length of answers, so that none of them exceeds its limit.
        high=scale.usage(2, more * (1 + margin), more, longer * (1 + margin)),
        change=change,
    )


def describe(changes: Sequence[InputChange]) -> str:
    """Say how new rows differ from those of most earlier jobs, and what that means; empty if they do not."""
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
    if is_much(Fraction(median(change.cut for change in changes))):
        found.append(
            f"the answers of {last} were longer than the rows allow now (new ones will probably be cut)"
        )
    return f"{', and '.join(found)}, so the range is wider" if found else ""


def _many_times(ratio: Fraction) -> str:
    return f"{float(ratio):.1f} times" if ratio < _MOST_GROWTH else f"{round(ratio):,} times"


class _Scale:
    """Scales the usage of one past job."""

    def __init__(self, past: PastJob, survey: Survey, change: InputChange) -> None:
        self._survey, self._change = survey, change
        self._rows = Fraction(survey.rows, past.rows)
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
        text, thoughts = within(self._text * longer, self._thoughts * longer, self._survey.limits)
        return self._prompts(end, others) | self._rest(
            others,
            {
                Kind.OUTPUT: rows * text / (self._text or 1),
                Kind.THOUGHTS: rows * thoughts / (self._thoughts or 1),
            },
        )

    def shortest(self, rows: Fraction) -> dict[UsageKey, int]:
        """Scale everything, and expect answers that are as short as any."""
        share = min(_ONE, Fraction(USUAL_ANSWER.low) / (self._text + self._thoughts)) * rows
        return self._prompts(0, rows) | self._rest(rows, {Kind.OUTPUT: share, Kind.THOUGHTS: share})

    def _rest(self, others: Fraction, answers: Mapping[Kind, Fraction]) -> dict[UsageKey, int]:
        """What grows with the rows. Answers are rounded down, so that no limit is exceeded."""
        return {
            key: int(tokens * self._rows * answers[key.kind])
            if _is_limited(key)
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
    has_files = bool(past.files or survey_files(survey))
    size = survey.content or survey.size
    if past.size and size and survey.rows and (not has_files or survey.assumed):
        return Fraction(size * past.rows, past.size * survey.rows)
    now = sum(count.expected for part, count in survey.tokens.items() if part.kind in OF_THE_PROMPT)
    if not (now and survey.rows and past.prompt_per_row):
        return _ONE
    length = Fraction(now) / survey.rows / past.prompt_per_row
    return length if is_much(length) else _ONE


def _new_files(past: PastJob, survey: Survey) -> frozenset[str]:
    """What the rows have beside text and the earlier ones had not. Only Gemini reports it with its usage."""
    model = next((key.model for key in past.usage), "")
    is_reported = family(model) is not Family.OTHER and "embedding" not in model
    return survey_files(survey) - past.files if is_reported else frozenset()


def _room(past: PastJob, survey: Survey) -> Fraction:
    """How much longer the answers may become that were as long as their rows allowed, or nearly so."""
    if not past.answer_limit or sum(past.answer) * _MUCH < past.answer_limit or not survey.limits:
        return _ONE
    now = survey.answer_limit
    room = _MOST_GROWTH if now is None else Fraction(now, past.answer_limit)
    return room if room >= _MUCH else _ONE


def _is_limited(key: UsageKey) -> bool:
    """Whether a row's limit bounds these tokens: text and thoughts, but not pictures that a model draws."""
    return key.kind in OF_THE_ANSWER and key.modality is Modality.TEXT


def _files(modalities: Iterable[Modality]) -> frozenset[str]:
    return frozenset(_FILES[modality] for modality in modalities if modality in _FILES)
