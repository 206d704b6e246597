"""What an earlier job says of a new input: a table, with numbers that a person can check by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.vertex_batch.budgets.inputs import inline, named, png, row
from vertex_batch.budgets import PastJob, Survey, Totals, summarize
from vertex_batch.budgets.answer_lengths import NO_LIMIT, AnswerLimit
from vertex_batch.budgets.ranges import Part, Range, exactly
from vertex_batch.budgets.replay import InputChange, change_of, describe, like, replay
from vertex_batch.budgets.rows import RowReader
from vertex_batch.budgets.survey import SampledRows
from vertex_batch.usage import Kind, Modality, UsageKey

MODEL = "gemini-2.5-flash"
INPUT, OUTPUT, THOUGHTS = (UsageKey(MODEL, kind) for kind in (Kind.INPUT, Kind.OUTPUT, Kind.THOUGHTS))
PICTURES = UsageKey(MODEL, Kind.INPUT, Modality.IMAGE)
# Ten rows of 1,000 bytes and 250 tokens, with answers of 200 tokens.
PAST = PastJob(10, {INPUT: 2500, OUTPUT: 2000}, 10_000)
TENTH = Fraction(1, 10)


def rows_of(number: int, size: int = 1000, **changes: Any) -> Survey:
    """An input whose rows have so many bytes each."""
    tokens = {Part(Kind.INPUT): exactly(number * size // 4)}
    return Survey(
        **{"rows": number, "size": number * size, "row_range": exactly(number), "tokens": tokens, **changes}
    )


def survey_of(*rows: bytes) -> Survey:
    place = SampledRows(rows, sum(len(each) + 1 for each in rows))
    return summarize([place], Totals(place.size), RowReader(MODEL), complete=True)


def limited(*limits: AnswerLimit) -> dict[AnswerLimit, int]:
    return dict.fromkeys(limits, 1)


@pytest.mark.parametrize(
    ("survey", "low", "expected", "high"),
    [
        (rows_of(20), 3600, 4000, 4400),
        # The limit bounds every end, also the one with a margin.
        (rows_of(20, limits=limited(AnswerLimit(210))), 3600, 4000, 4200),
        (rows_of(20, limits=limited(AnswerLimit(150))), 1398, 2110, 3000),
        # A lower limit leaves the short answers as they are: 200 x (1 - e**-0.5) tokens, not 100.
        (rows_of(20, limits=limited(AnswerLimit(100))), 1137, 1573, 2000),
        (rows_of(20, limits=limited(AnswerLimit(100), NO_LIMIT)), 1800, 3000, 3200),
        # Longer rows may have longer answers, and shorter ones shorter answers, up to ten times.
        (rows_of(20, 1900), 3600, 4000, 4400),
        (rows_of(20, 4000), 3600, 4000, 17_600),
        (rows_of(20, 4000, limits=limited(AnswerLimit(500))), 3600, 4000, 10_000),
        (rows_of(20, 90_000), 3600, 4000, 44_000),
        (rows_of(20, 250), 900, 4000, 4400),
    ],
)
def test_answers_are_replayed_within_the_limits_of_the_rows(survey, low, expected, high):
    found = replay(PAST, survey, TENTH)
    assert (found.low[OUTPUT], found.expected[OUTPUT], found.high[OUTPUT]) == (low, expected, high)


def test_thoughts_count_towards_the_limit_and_have_one_of_their_own():
    past = PastJob(10, {INPUT: 2500, OUTPUT: 1000, THOUGHTS: 3000}, 10_000)
    found = replay(past, rows_of(10, limits=limited(AnswerLimit(300))), TENTH)
    assert (found.high[OUTPUT], found.high[THOUGHTS]) == (750, 2250)
    assert found.low[OUTPUT] + found.low[THOUGHTS] == 1397
    found = replay(past, rows_of(10, limits=limited(AnswerLimit(None, 0))), TENTH)
    assert (found.expected[OUTPUT], found.expected[THOUGHTS], found.high[THOUGHTS]) == (1000, 0, 0)


def test_a_limit_bounds_the_answers_of_answered_rows_and_not_their_mean_with_failed_ones():
    past = PastJob(10, {OUTPUT: 2000}, answered=5)
    assert replay(past, rows_of(10, limits=limited(AnswerLimit(300))), TENTH).expected[OUTPUT] == 1055


def test_a_limit_bounds_the_high_end_when_the_number_of_rows_is_not_known():
    survey = rows_of(20, limits=limited(AnswerLimit(100)), row_range=Range(10, 20, 40))
    assert replay(PAST, survey, TENTH).high[OUTPUT] == 40 * 100


def test_compressed_rows_are_as_long_as_they_are_unpacked():
    packed = rows_of(20, 100, content=20_000)
    assert change_of(PAST, packed) == InputChange()


@pytest.mark.parametrize(
    ("before", "now", "high"),
    [
        (250, AnswerLimit(250), 4400),
        (250, AnswerLimit(450), 4400),
        (250, AnswerLimit(1000), 17_600),
        (250, NO_LIMIT, 44_000),
        (500, AnswerLimit(5000), 4400),  # the answers did not come near their limit
        (None, NO_LIMIT, 4400),
    ],
)
def test_answers_that_filled_their_limit_may_fill_a_higher_one(before, now, high):
    past = replace(PAST, answer_limit=before)
    found = replay(past, rows_of(20, limits=limited(now)), TENTH)
    assert (found.expected[OUTPUT], found.high[OUTPUT]) == (4000, high)


def test_pictures_that_a_model_draws_are_not_cut_by_the_limit_of_text():
    drawn = UsageKey(MODEL, Kind.OUTPUT, Modality.IMAGE)
    past = PastJob(10, {OUTPUT: 2000, drawn: 12_900})
    found = replay(past, rows_of(10, limits=limited(AnswerLimit(100))), TENTH)
    assert (found.expected[OUTPUT], found.expected[drawn]) == (786, 12_900)


def test_rows_whose_earlier_bytes_are_not_known_are_compared_by_their_tokens():
    unknown = PastJob(10, {INPUT: 2500, OUTPUT: 2000})
    assert replay(unknown, rows_of(20, 1500), TENTH).expected[INPUT] == 5000  # as before
    found = replay(unknown, rows_of(20, 4000), TENTH)
    assert (found.expected[INPUT], found.high[OUTPUT]) == (20_000, 17_600)


def test_the_prompts_of_rows_with_files_that_the_earlier_ones_lacked_are_counted_by_the_rules():
    survey = survey_of(row("x" * 400, inline(png(300, 300, 50_000), "image/png")))
    found = replay(PAST, survey, TENTH)
    assert found.expected[INPUT] == 100
    assert found.expected[PICTURES] == survey.tokens[Part(Kind.INPUT, Modality.IMAGE)].expected
    assert found.low[PICTURES] <= found.expected[PICTURES] <= found.high[PICTURES] < 1000
    assert found.change.files == {"pictures or documents"}


def test_usage_that_never_names_pictures_does_not_show_that_there_were_none():
    model = "claude-sonnet-4-5"
    survey = survey_of(row("x" * 400, inline(png(300, 300, 50_000), "image/png")))
    past = PastJob(10, {UsageKey(model, Kind.INPUT): 3580, UsageKey(model, Kind.OUTPUT): 2000}, 10_000)
    assert change_of(past, survey) == InputChange()


def test_larger_pictures_do_not_make_rows_longer_than_their_tokens():
    survey = survey_of(row("x" * 400, inline(png(300, 300, 50_000), "image/png")))
    past = PastJob(10, {INPUT: 1000, PICTURES: 2580, OUTPUT: 2000}, 10_000)
    assert change_of(past, survey) == InputChange()


def test_files_of_unknown_length_are_compared_by_bytes():
    survey = survey_of(row("x" * 400, named("video/mp4")))
    past = PastJob(1, {INPUT: 100, UsageKey(MODEL, Kind.INPUT, Modality.VIDEO): 9999}, survey.size)
    assert change_of(past, survey).length == 1


LONGER, SHORTER = InputChange(length=Fraction(41, 10)), InputChange(length=Fraction(1, 12))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], ""),
        ([InputChange()], ""),
        ([InputChange(length=Fraction(19, 10), cut=Fraction(19, 10))], ""),
        ([LONGER], "the rows are 4.1 times as long as those of the last job, so the range is wider"),
        ([LONGER] * 2, "the rows are 4.1 times as long as those of the last jobs, so the range is wider"),
        ([SHORTER], "the rows of the last job were 12 times as long, so the range is wider"),
        ([LONGER, InputChange(), InputChange()], ""),
        (
            [InputChange(files=frozenset({"sound", "videos"}))] * 3,
            "the rows have sound and videos, those of the last jobs had none, so the range is wider",
        ),
        ([InputChange(files=frozenset({"sound"})), InputChange()], ""),
        (
            [InputChange(room=Fraction(8))],
            (
                "the answers of the last job filled their limit, and the rows allow much more now, so the"
                " range is wider"
            ),
        ),
        (
            [InputChange(Fraction(2), room=Fraction(2))],
            (
                "the rows are 2.0 times as long as those of the last job, and the answers of the last job"
                " filled their limit, and the rows allow much more now, so the range is wider"
            ),
        ),
    ],
)
def test_a_clause_says_how_the_rows_differ_from_those_of_most_earlier_jobs(changes, said):
    assert describe(changes) == said
    assert describe(changes, is_wider=False) == said.removesuffix(", so the range is wider")


CAPPED = PastJob(10, {INPUT: 2500, OUTPUT: 640}, 10_000, answer_limit=64)
LONG_ROWS = PastJob(10, {INPUT: 10_000, OUTPUT: 2000}, 40_000)


@pytest.mark.parametrize(
    ("history", "survey", "used"),
    [
        # A sample with another limit, or of another prompt, says nothing of the usual night.
        ([CAPPED, PAST], rows_of(20, limits=limited(NO_LIMIT)), [PAST]),
        ([LONG_ROWS, CAPPED, PAST], rows_of(20, limits=limited(NO_LIMIT)), [PAST]),
        ([PAST, CAPPED], rows_of(20, limits=limited(AnswerLimit(64))), [CAPPED]),
        ([PAST, LONG_ROWS], rows_of(20, 4000, limits=limited(NO_LIMIT)), [LONG_ROWS]),
        # Where nothing was like the new rows, all of it is better than none.
        ([CAPPED, LONG_ROWS], rows_of(20, limits=limited(NO_LIMIT)), [CAPPED, LONG_ROWS]),
        ([], rows_of(20, limits=limited(NO_LIMIT)), []),
    ],
)
def test_past_jobs_with_rows_like_the_new_ones_come_before_others(history, survey, used):
    assert list(like(history, survey)) == used
