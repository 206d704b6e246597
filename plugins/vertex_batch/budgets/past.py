"""What earlier jobs used and cost, as the cost table knows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import islice
from statistics import median

from vertex_batch.budgets.answer_lengths import uncut_mean
from vertex_batch.budgets.survey import Survey
from vertex_batch.costs.bill import Total
from vertex_batch.usage import Kind, Modality, UsageKey

HISTORY_RUNS = 10
_MICRO = Decimal("1e-6")
ENOUGH_ROWS = 50
"""With so many rows, a job that ran less than half of its input is history, too."""
# They grow with the length of a prompt; all others grow with the number of answers.
OF_THE_PROMPT = frozenset({Kind.INPUT, Kind.INPUT_CHARACTER, Kind.CACHED_INPUT, Kind.CACHE_WRITE})
OF_THE_ANSWER = frozenset({Kind.OUTPUT, Kind.THOUGHTS})
_FILES = {
    Modality.IMAGE: "pictures or documents",  # models count pages as either
    Modality.DOCUMENT: "pictures or documents",
    Modality.VIDEO: "videos or sound",  # a video may have none
    Modality.AUDIO: "videos or sound",
}


class SameRows(StrEnum):
    """Whether an earlier job ran the rows that a new one would run, in words."""

    NO = ""
    SAMPLE = "a sample of the same input"
    WHOLE = "the run that read the same input before"
    SENT_AGAIN = "the job whose rows are sent again"


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
    :param knows_limit: whether its rows set no limit if there is no `answer_limit`.
    :param cut_share: the share of rows whose answer was cut; None if unknown.
    :param same: whether it ran the rows that the new job would run.
    """

    rows: int
    usage: Mapping[UsageKey, int]
    size: int | None = None
    answered: int = 0
    cost: Total | None = None
    input_rows: int = 0
    answer_limit: int | None = None
    is_sample: bool = False
    knows_limit: bool = False
    cut_share: Fraction | None = None
    same: SameRows = SameRows.NO

    @property
    def is_usable(self) -> bool:
        """Whether it ran enough rows to stand for others: half of its input, or `ENOUGH_ROWS`."""
        enough = self.rows >= min(ENOUGH_ROWS, -(-self.input_rows // 2))
        enough |= self.same is SameRows.SENT_AGAIN
        return bool(self.rows > 0 and self.usage and enough)

    def of_answered(self) -> PastJob:
        """The same job as if it had run only the rows that it answered: the others were not billed."""
        if not 0 < self.answered < self.rows:
            return self
        size = self.size * self.answered // self.rows if self.size else self.size
        return replace(self, rows=self.answered, size=size)

    @property
    def prompt_per_row(self) -> Fraction:
        """The tokens of a row's prompt."""
        return Fraction(sum(n for key, n in self.usage.items() if key.kind in OF_THE_PROMPT), self.rows)

    @property
    def files(self) -> frozenset[str]:
        """What its prompts had beside text."""
        return files_of(key.modality for key in self.usage if key.kind in OF_THE_PROMPT)

    @property
    def answer(self) -> tuple[Fraction, Fraction]:
        """The tokens of text of one answer, and of its thoughts."""
        text, thoughts = (
            sum(n for key, n in self.usage.items() if key.kind is kind and is_limited(key))
            for kind in (Kind.OUTPUT, Kind.THOUGHTS)
        )
        answered = self.answered or self.rows
        return Fraction(text, answered), Fraction(thoughts, answered)

    def is_limited_more(self, survey: Survey) -> bool:
        """Whether new rows allow less of their answers than its own rows did."""
        now = survey.answer_limit
        if now is None:
            return False
        if self.answer_limit is not None:
            return now < self.answer_limit
        return self.knows_limit or sum(self.answer) > now

    def uncut_answer(self, survey: Survey) -> tuple[Fraction, Fraction]:
        """The same as `answer`, without the limit of its own rows where new rows have a lower one."""
        text, thoughts = self.answer
        whole = text + thoughts
        if not (whole and self.answer_limit and self.is_limited_more(survey)):
            return text, thoughts
        longer = uncut_mean(whole, self.answer_limit) / whole
        return text * longer, thoughts * longer


def usable(history: Iterable[PastJob]) -> list[PastJob]:
    """Those of the past jobs that an estimate is made of."""
    return list(islice((past for past in history if past.is_usable), HISTORY_RUNS))


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
    middle = costs[(len(costs) - 1) // 2 : len(costs) // 2 + 1]
    amount = median(cost.amount for cost in middle).quantize(_MICRO)
    cost = Total(amount, complete=all(each.complete for each in middle))
    return f"{jobs} cost {cost} per 1,000 answered rows{span}"


def is_limited(key: UsageKey) -> bool:
    """Whether a row's limit bounds these tokens: text and thoughts, but not pictures that a model draws."""
    return key.kind in OF_THE_ANSWER and key.modality is Modality.TEXT


def files_of(modalities: Iterable[Modality]) -> frozenset[str]:
    return frozenset(_FILES[modality] for modality in modalities if modality in _FILES)
