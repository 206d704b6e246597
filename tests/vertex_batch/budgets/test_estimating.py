"""What is expected of a job, with prices that a person can check by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.vertex_batch.budgets.inputs import Store, inline, named, png, row, stored
from vertex_batch.budgets import (
    Estimate,
    PastJob,
    Survey,
    Totals,
    estimate,
    summarize,
    survey_input,
    unknown_estimate,
)
from vertex_batch.budgets.estimating import quantile
from vertex_batch.budgets.past import HISTORY_RUNS, SameRows
from vertex_batch.budgets.ranges import Part, Range, exactly
from vertex_batch.budgets.rows import RowReader
from vertex_batch.budgets.survey import SampledRows
from vertex_batch.costs import Total
from vertex_batch.pricing import PriceBook, SpecPrices, packaged_prices
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

MODEL, PLAIN = "gemini-2.5-flash", "gemini-2.0-flash"
INPUT, OUTPUT = UsageKey(MODEL, Kind.INPUT), UsageKey(MODEL, Kind.OUTPUT)
# One US dollar for a million tokens of input, ten for output: a token is 0.000001 and 0.00001 USD.
RATES = {"input": 1, "output": 10, "input_long_context": 2}
BOOK = PriceBook([SpecPrices({MODEL: RATES, PLAIN: RATES}, date(2026, 11, 1))])


def counted(rows: int, size: int = 0) -> Survey:
    return Survey(rows, size, row_range=exactly(rows))


def all_of(*rows: bytes, model: str = MODEL) -> Survey:
    place = SampledRows(rows, sum(len(each) + 1 for each in rows))
    return summarize([place], Totals(place.size), RowReader(model), complete=True)


def test_without_history_the_rules_make_the_range_and_the_middle_of_it_is_expected():
    survey = all_of(row("x" * 2000, maxOutputTokens=100), row("x" * 2000, maxOutputTokens=100), model=PLAIN)
    found = estimate(survey, f"publishers/google/models/{PLAIN}", "us-central1", BOOK)
    assert found.expected == Total(Decimal("0.001") + 100 * Decimal("0.00001"), complete=True)
    assert found.low == 667 * Decimal("0.000001") + 8 * Decimal("0.00001")
    assert found.high == (1600 + 2 * 16) * Decimal("0.000001") + 200 * Decimal("0.00001")
    assert (found.rows, found.input_tokens, found.output_tokens) == (2, 1000, 100)
    assert found.method == (
        "2 rows counted, no history: the range is from answers of 4 tokens to the `maxOutputTokens` of each"
        " row, or 4,096 tokens and thoughts where a row sets none; a run with `sample`, or a first night,"
        " narrows it"
    )
    assert (found.is_first, found.is_exact, found.is_guess) == (True, True, False)


@pytest.mark.parametrize(
    ("survey", "is_guess"),
    [
        (all_of(row("x", maxOutputTokens=100)), False),
        (all_of(row("x")), True),
        (all_of(row("x", named("video/mp4"), maxOutputTokens=100)), True),
        (
            summarize([SampledRows([row("x", maxOutputTokens=9)], 99)], Totals(9999, 100), RowReader(MODEL)),
            True,
        ),
    ],
)
def test_a_first_estimate_of_what_was_not_counted_exactly_is_a_guess(survey, is_guess):
    assert estimate(survey, MODEL, "l", BOOK).is_guess is is_guess
    assert estimate(survey, MODEL, "l", BOOK, [PastJob(1, {OUTPUT: 5}, 10)]).is_guess is False


def test_eighty_pictures_of_megabytes_cost_cents():
    part = inline(png(1024, 768, 1_150_000), "image/png")
    objects = stored([row(f"Picture {number}?", part, maxOutputTokens=256) for number in range(80)])
    survey = survey_input(Store(objects), objects, MODEL, None, 80)
    book = PriceBook([SpecPrices({MODEL: {"input": "0.15", "output": "1.25"}}, date(2026, 11, 1))])
    found = estimate(survey, MODEL, "us-central1", book)
    assert found.rows == 80
    assert Decimal("0.002") < found.low < found.expected.amount < found.high < Decimal("0.10")
    assert "of 80 rows read" in found.method
    assert "extrapolated" not in found.method


def test_the_thoughts_of_an_ordinary_job_are_within_its_range():
    rows = [row("Summarize the ticket. " * 20) for _ in range(50)]
    found = estimate(all_of(*rows), MODEL, "us-central1", BOOK)
    usage = {INPUT: 50 * 110, OUTPUT: 50 * 250, UsageKey(MODEL, Kind.THOUGHTS): 50 * 1500}
    bill = Decimal("0.000001") * usage[INPUT] + Decimal("0.00001") * (50 * 1750)
    assert found.low < bill < found.high
    assert found.compare(Total(bill, complete=True)) == ""


def test_long_prompts_are_priced_at_long_context_rates():
    part = Part(Kind.INPUT, tier=Tier.LONG_CONTEXT)
    survey = Survey(rows=1, read_rows=1, tokens={part: exactly(1_000_000)}, row_range=exactly(1))
    assert estimate(survey, MODEL, "us-central1", BOOK).expected.amount == 2


def test_with_history_prompts_grow_with_bytes_and_answers_with_rows():
    past = PastJob(rows=10, size=1000, usage={INPUT: 500, OUTPUT: 100})
    found = estimate(counted(20, 3000), MODEL, "us-central1", BOOK, [past])
    assert (found.input_tokens, found.output_tokens) == (1500, 200)
    assert found.expected.amount == Decimal("0.0015") + Decimal("0.002")
    assert found.method == "20 rows counted, tokens as in the last job"


def test_answers_that_were_long_cost_no_more_than_the_limit_of_the_rows_now():
    rows = [row(f"Question {number}", maxOutputTokens=100) for number in range(50)]
    survey = all_of(*rows)
    usage = {INPUT: 50 * 30, OUTPUT: 50 * 3000, UsageKey(MODEL, Kind.THOUGHTS): 50 * 5000}
    found = estimate(survey, MODEL, "us-central1", BOOK, [PastJob(50, usage, survey.size)])
    prompts = (50 * 30 + 50 * 15) * Decimal("0.000001")
    assert found.high <= 50 * 100 * Decimal("0.00001") + prompts
    assert found.low < found.expected.amount <= found.high
    assert found.method == (
        "50 rows counted, tokens as in the last job; the answers of the last job had 8,000 tokens on average,"
        " and the rows allow 100 now: if their lengths are spread exponentially, about 49 of 50 answers will"
        " be cut, and are paid for"
    )


def test_without_known_bytes_prompts_grow_with_rows():
    found = estimate(counted(3, 9999), MODEL, "us-central1", BOOK, [PastJob(rows=2, usage={INPUT: 5})])
    assert found.input_tokens == 8  # 7.5, rounded up


def test_the_middle_of_the_last_runs_is_expected_and_the_range_is_stated():
    history = [PastJob(rows=1, usage={OUTPUT: tokens}) for tokens in (100, 900, 200, 800, 300)]
    found = estimate(counted(1), MODEL, "us-central1", BOOK, history)
    assert found.output_tokens == 300
    assert (found.low, found.high) == (Decimal("0.0009"), Decimal("0.0099"))
    assert str(found) == "0.003 USD (0.0009 to 0.0099)"


@pytest.mark.parametrize(
    ("jobs", "low", "high"), [(1, "0.0005", "0.0015"), (2, "0.00075", "0.00125"), (10, "0.00095", "0.00105")]
)
def test_few_past_jobs_leave_a_wide_range(jobs, low, high):
    found = estimate(counted(1), MODEL, "us-central1", BOOK, [PastJob(1, {OUTPUT: 100})] * jobs)
    assert found.expected.amount == Decimal("0.001")
    assert (found.low, found.high) == (Decimal(low), Decimal(high))


def test_a_number_of_rows_that_is_not_known_widens_the_range_of_history():
    survey = Survey(
        rows=100, size=10, counted=False, complete=False, read_rows=5, row_range=Range(50, 100, 200)
    )
    found = estimate(survey, MODEL, "us-central1", BOOK, [PastJob(100, {OUTPUT: 1000}, 10)] * 10)
    assert (found.low, found.high) == (Decimal("0.00475"), Decimal("0.021"))


def test_only_the_last_runs_count_and_empty_ones_teach_nothing():
    empty = PastJob(rows=0, usage={OUTPUT: 10**9})
    history = [empty, *([PastJob(rows=1, usage={OUTPUT: 100})] * HISTORY_RUNS), PastJob(1, {OUTPUT: 10**9})]
    assert estimate(counted(1), MODEL, "us-central1", BOOK, history).high == Decimal("0.00105")


@pytest.mark.parametrize(
    ("ran", "of_rows", "is_usable"),
    [(1, 0, True), (1, 1, True), (1, 3, False), (2, 3, True), (49, 300, False), (50, 300, True)],
)
def test_a_past_job_ran_half_of_its_rows_or_at_least_fifty(ran, of_rows, is_usable):
    assert PastJob(ran, {OUTPUT: 100 * ran}, input_rows=of_rows).is_usable is is_usable


def test_a_cancelled_job_expects_what_its_rows_cost_and_says_how_many_they_were():
    cancelled = PastJob(55, {OUTPUT: 5500}, input_rows=300)
    found = estimate(counted(300), MODEL, "us-central1", BOOK, [cancelled])
    assert (found.expected.amount, found.low, found.high) == (
        Decimal("0.3"),
        Decimal("0.15"),
        Decimal("0.45"),
    )
    assert found.method == "300 rows counted, tokens as in the 55 of 300 rows that the last job ran"


def test_a_cancelled_job_does_not_lower_the_range_of_whole_ones():
    whole = PastJob(300, {OUTPUT: 30_000}, input_rows=300)
    history = [PastJob(55, {OUTPUT: 5500}, input_rows=300), *[whole] * 3]
    found = estimate(counted(300), MODEL, "us-central1", BOOK, history)
    assert found == estimate(counted(300), MODEL, "us-central1", BOOK, [whole] * 4)


def test_what_has_no_price_leaves_the_estimate_open():
    found = estimate(all_of(row("x" * 40)), "gemini-9", "us-central1", PriceBook([]))
    assert not found.expected.complete
    assert found.expected.amount == 0
    assert "no price for model gemini-9" in found.unknown[0]
    assert str(found) == "not known"
    assert found.lines(date(2026, 11, 28))[0].startswith("not known; 1 rows, ")


def test_files_of_unknown_length_are_named_and_cost_something_and_history_knows_better():
    survey = all_of(row("x", named("video/mp4"), maxOutputTokens=100))
    first = estimate(survey, MODEL, "us-central1", BOOK)
    assert first.expected.complete
    assert first.has_assumptions
    assert first.unknown == ("1 video of unknown length, taken to last 60 seconds",)
    assert first.expected.amount > Decimal("0.01")
    assert first.high > 10 * first.expected.amount
    usage = {OUTPUT: 100, UsageKey(MODEL, Kind.INPUT, Modality.VIDEO): 50}
    second = estimate(survey, MODEL, "us-central1", BOOK, [PastJob(1, usage)])
    assert (second.unknown, second.has_assumptions) == ((), False)
    third = estimate(survey, MODEL, "us-central1", BOOK, [PastJob(1, {INPUT: 30, OUTPUT: 100})])
    assert (third.unknown, third.has_assumptions) == (first.unknown, True)
    assert (
        "the rows have videos or sound, those of the last job had none, so the range is wider" in third.method
    )


def test_embeddings_have_no_output():
    found = estimate(
        all_of(row("x" * 360), model="gemini-embedding-001"), "gemini-embedding-001", "l", PriceBook([])
    )
    assert (found.input_tokens, found.output_tokens) == (90, 0)


def test_rows_that_could_not_be_read_are_not_known():
    found = estimate(summarize([], Totals(10**9), RowReader(MODEL)), MODEL, "l", BOOK)
    assert found == unknown_estimate("no row of the input could be read whole")
    assert not found.expected.complete
    assert found.is_guess


@pytest.mark.parametrize(
    ("amount", "complete", "outside"),
    [
        ("0.0005", True, ""),
        ("0.0015", True, ""),
        ("0.00153", True, ""),
        ("0.00154", True, "above the expected range of 0.0005 to 0.0015 USD"),
        ("0.0016", False, "above the expected range of 0.0005 to 0.0015 USD"),
        ("0.00049", True, ""),
        ("0.00048", True, "below the expected range of 0.0005 to 0.0015 USD"),
        ("0.0001", False, ""),
    ],
)
def test_a_bill_outside_of_the_range_is_named(amount, complete, outside):
    found = estimate(counted(1), MODEL, "us-central1", BOOK, [PastJob(1, {OUTPUT: 100})])
    assert found.compare(Total(Decimal(amount), complete)) == outside


@pytest.mark.parametrize(
    ("amount", "complete", "has_ended_well", "outcome"),
    [
        ("0.001", True, True, "as expected"),
        ("0.0011", True, True, "as expected"),
        ("0.0009", True, True, "as expected"),
        ("0.00112", True, True, "12 % more than expected, inside the range"),
        ("0.0005", True, True, "50 % less than expected, inside the range"),
        ("0.0016", True, True, "above the expected range of 0.0005 to 0.0015 USD"),
        ("0.0004", True, True, "below the expected range of 0.0005 to 0.0015 USD"),
        ("0.001", False, True, ""),
        ("0.001", True, False, ""),
        ("0.0016", True, False, "above the expected range of 0.0005 to 0.0015 USD"),
    ],
)
def test_each_bill_is_compared_unless_it_cannot_be_known(amount, complete, has_ended_well, outcome):
    found = estimate(counted(1), MODEL, "us-central1", BOOK, [PastJob(1, {OUTPUT: 100})])
    assert found.outcome(Total(Decimal(amount), complete), has_ended_well=has_ended_well) == outcome


@pytest.mark.parametrize(
    ("amount", "failed", "outcome"),
    [
        ("0.7", 0, "exactly as expected"),
        ("0.7", 3, "exactly as expected"),
        ("0.693", 0, "1 % less than expected"),
        ("0.699", 1, "under 1 % less than expected: 1 failed row is not billed"),
        ("0.56", 3, "20 % less than expected: 3 failed rows are not billed"),
        ("0.56", 0, "20 % less than expected"),
        ("0.84", 3, "20 % more than expected"),
    ],
)
def test_a_single_amount_is_called_exact_only_where_the_bill_is_equal(amount, failed, outcome):
    single = Estimate(Total(Decimal("0.7"), complete=True), Decimal("0.7"), Decimal("0.7"))
    assert single.outcome(Total(Decimal(amount), complete=True), failed=failed) == outcome


def test_an_estimate_that_is_an_at_least_is_not_compared():
    assert unknown_estimate("no idea").outcome(Total(Decimal(5), complete=True)) == ""


@pytest.mark.parametrize("amount", ["0.0005", "0.0008"])
def test_a_range_without_width_marks_no_bill(amount):
    found = Estimate(Total(Decimal("0.0007"), complete=True), Decimal("0.0007"), Decimal("0.0007"))
    assert found.compare(Total(Decimal(amount), complete=True)) == ""


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.12713600625", "0.1271"), ("1.2713600625", "1.27"), ("99.996", "100"), ("12345.67", "12,350")],
)
def test_an_estimate_has_at_most_four_significant_digits(amount, text):
    found = Estimate(Total(Decimal(amount), complete=True), Decimal(0), Decimal(amount))
    assert str(found) == f"{text} USD (0.00 to {text})"


def test_what_is_an_at_least_is_never_exceeded():
    found = unknown_estimate("no idea")
    assert found.compare(Total(Decimal(5), complete=True)) == ""


@pytest.mark.parametrize(
    ("count_", "share", "rank"),
    [(1, Fraction(9, 10), 0), (2, Fraction(1, 2), 1), (10, Fraction(1, 10), 1), (10, Fraction(9, 10), 9)],
)
def test_a_quantile_is_one_of_the_amounts(count_, share, rank):
    assert quantile([Decimal(n) for n in range(count_)], share) == rank


@pytest.mark.parametrize("history", [(), (PastJob(1, {UsageKey("gemini-4-argon", Kind.INPUT): 1000}, 10),)])
def test_the_price_is_that_of_the_day_on_which_the_job_will_run(history):
    """Gemini 4 Argon costs twice as much from 2026-12-01 on; the past job ran before that."""
    book = PriceBook([packaged_prices()])
    survey = all_of(row("x" * 2000, maxOutputTokens=100), model="gemini-4-argon")
    before, after = (
        estimate(survey, "gemini-4-argon", "global", book, history, day=day)
        for day in (date(2026, 11, 30), date(2026, 12, 1))
    )
    assert after.expected == Total(2 * before.expected.amount, complete=True)
    assert (after.low, after.high) == (2 * before.low, 2 * before.high)


def test_usage_that_was_priced_on_a_later_day_counts_as_usage_of_its_kind():
    key = UsageKey("gemini-4-argon", Kind.OUTPUT)
    past = PastJob(2, {key: 60, replace(key, priced_on=date(2026, 12, 1)): 40})
    found = estimate(
        counted(2), "gemini-4-argon", "global", PriceBook([packaged_prices()]), [past], day=date(2026, 11, 30)
    )
    assert (found.output_tokens, found.expected.amount) == (100, 100 * Decimal("0.000005"))


def test_a_new_limit_cuts_the_long_answers_alone_and_it_is_said_how_many():
    """Answers of 503 tokens on average, spread exponentially, and a limit of 256: 503 x (1 - e**-0.509)."""
    survey = all_of(*(row(f"Question {number}", maxOutputTokens=256) for number in range(40)))
    nights = [PastJob(40, {INPUT: 600, OUTPUT: 40 * 503}, survey.size, knows_limit=True)] * 2
    found = estimate(survey, MODEL, "us-central1", BOOK, nights)
    assert found.output_tokens == 8025
    assert found.high <= 40 * 256 * Decimal("0.00001") + 750 * Decimal("0.000001")
    assert found.method == (
        "40 rows counted, tokens as in the last 2 jobs; the answers of the last jobs had 503 tokens on"
        " average, and the rows allow 256 now: if their lengths are spread exponentially, about 24 of 40"
        " answers will be cut, and are paid for"
    )
    under_it = replace(nights[0], usage={OUTPUT: 40 * 200}, answer_limit=256, cut_share=Fraction(22, 40))
    learned = estimate(survey, MODEL, "us-central1", BOOK, [*nights, under_it])
    assert learned.output_tokens == 40 * 200
    assert learned.method == (
        "40 rows counted, tokens as in the one of the last 3 jobs whose rows are like these; about 22 of 40"
        " answers will be cut at their limit, as before, and are paid for"
    )
    higher = all_of(*(row(f"Question {number}", maxOutputTokens=2048) for number in range(40)))
    assert "will be cut" not in estimate(higher, MODEL, "us-central1", BOOK, [under_it]).method


LIMITED = "results.max_exceptions_ratio"


@pytest.mark.parametrize(
    ("limits", "cut", "fails"),
    [
        ({LIMITED: 0.05}, Fraction(23, 40), True),
        ({LIMITED: 0.02}, Fraction(1, 40), True),
        ({LIMITED: 0.6, "max_failed_ratio": 0.01}, Fraction(23, 40), False),
        ({LIMITED: 0.05}, Fraction(1, 20), False),
        ({LIMITED: 0.05}, None, False),
        ({}, Fraction(1), False),
    ],
)
def test_answers_that_will_probably_be_cut_and_fail_the_run_are_said_to(limits, cut, fails):
    survey = all_of(*(row(f"Question {number}", maxOutputTokens=256) for number in range(40)))
    night = PastJob(40, {OUTPUT: 40 * 200}, survey.size, answer_limit=256, cut_share=cut)
    found = estimate(survey, MODEL, "us-central1", BOOK, [night], failure_limits=limits)
    assert (found.failure in found.lines()) is bool(found.failure) is fails
    if fails and cut:
        assert found.failure == (
            f"The answers that are expected to be cut (about {cut * 40} of 40 answers) would be more than"
            f" `{LIMITED}: {limits[LIMITED]}` allows: the run would pay and then fail. Raise"
            " `maxOutputTokens` in the rows before you submit the job, or raise the limit"
        )
    assert Estimate.from_dict(found.to_dict()).failure == found.failure
    again = replace(survey, cut_before=Fraction(1))  # a part of its run only
    assert not estimate(again, MODEL, "us-central1", BOOK, [night], failure_limits=limits).failure


def test_rows_of_the_same_input_are_not_compared_with_those_of_their_sample():
    survey = all_of(*(row("x" * 4000) for _ in range(80)))
    sample = PastJob(10, {INPUT: 1000, OUTPUT: 1000}, survey.size // 32, 10, same=SameRows.SAMPLE)
    alone = estimate(survey, MODEL, "us-central1", BOOK, [sample]).method
    assert alone == "80 rows counted, tokens as in a sample of the same input"
    other = PastJob(10, {INPUT: 1000, OUTPUT: 1000}, survey.size // 32, 10)
    assert estimate(survey, MODEL, "us-central1", BOOK, [sample, other]).method.startswith(
        "80 rows counted, tokens as in the last 2 jobs; the rows are 4.0 times as long as those of the last"
    )


def test_the_bill_of_the_same_rows_is_the_estimate_whatever_else_was_run():
    survey = all_of(*(row(f"Question {number}", maxOutputTokens=256) for number in range(40)))
    bill = PastJob(40, {INPUT: 611, OUTPUT: 8011}, survey.size, 40, same=SameRows.WHOLE)
    nights = [PastJob(40, {INPUT: 600, OUTPUT: 40 * 240}, survey.size, knows_limit=True)] * 9
    sample = PastJob(10, {INPUT: 150, OUTPUT: 2560}, survey.size // 4, 10, same=SameRows.SAMPLE)
    found = estimate(survey, MODEL, "us-central1", BOOK, [bill, sample, *nights])
    assert found.expected.amount == 611 * Decimal("0.000001") + 8011 * Decimal("0.00001")
    assert found.method == "40 rows counted, tokens as in the run that read the same input before"
    assert Decimal("0.8") < found.low / found.expected.amount < 1 < found.high / found.expected.amount < 1.2


def test_a_sample_of_the_same_input_counts_before_other_inputs_if_it_has_enough_rows():
    survey = all_of(*(row(f"Question {number:02}") for number in range(80)))
    other = PastJob(80, {OUTPUT: 80 * 300}, survey.size)
    for rows, tokens in ((20, 300), (60, 100)):
        size = survey.size * rows // 80
        sample = PastJob(rows, {OUTPUT: rows * 100}, size, rows, same=SameRows.SAMPLE, is_sample=True)
        found = estimate(survey, MODEL, "us-central1", BOOK, [other, other, sample])
        assert found.output_tokens == 80 * tokens


def test_the_middle_of_two_jobs_is_between_them():
    history = [PastJob(rows=1, usage={OUTPUT: tokens}) for tokens in (100, 200)]
    assert estimate(counted(1), MODEL, "us-central1", BOOK, history).output_tokens == 150


@pytest.mark.parametrize(("cut", "tokens"), [(0, 100), (Fraction(1, 2), 200), (1, 300)])
def test_rows_that_are_sent_again_cost_what_their_job_did_and_cut_answers_fill_their_limit(cut, tokens):
    survey = replace(all_of(*[row("x", maxOutputTokens=300)] * 20), cut_before=Fraction(cut))
    job = PastJob(
        2000, {OUTPUT: 200_000}, answered=2000, answer_limit=300, knows_limit=True, same=SameRows.SENT_AGAIN
    )
    other = PastJob(2000, {OUTPUT: 900_000}, answered=2000)
    found = estimate(survey, MODEL, "us-central1", BOOK, [job, other])
    assert found.output_tokens == 20 * tokens
    assert found.low < found.expected.amount / 2
    assert "tokens as in the job whose rows are sent again" in found.method
    assert (f"about {20 * cut} of 20 answers will be cut at their limit" in found.method) is bool(cut)


@pytest.mark.parametrize(
    ("limit", "is_wider"), [(None, True), (150, False)], ids=["any answer", "answers near their limit"]
)
def test_a_range_is_called_wider_only_where_it_is(limit, is_wider):
    """Rows that are four times as long may have longer answers, but not beyond their limit."""
    config = {"maxOutputTokens": limit} if limit else {}
    survey = all_of(*[row("x" * 4000, **config)] * 20)
    past = PastJob(20, {INPUT: 20 * 250, OUTPUT: 20 * 140}, survey.size // 4, answer_limit=limit)
    found = estimate(survey, MODEL, "us-central1", BOOK, [past] * 10)
    assert "the rows are 4.0 times as long" in found.method
    assert ("so the range is wider" in found.method) is is_wider


def test_rows_that_are_certain_to_fail_are_counted_and_cost_nothing():
    survey = all_of(*[row("x" * 2000, maxOutputTokens=100)] * 10, model=PLAIN)
    all_rows, most = (
        estimate(each, PLAIN, "us-central1", BOOK) for each in (survey, survey.without_failing(4))
    )
    assert (most.rows, most.expected.amount) == (10, all_rows.expected.amount * Decimal("0.6"))
    assert most.method.startswith("10 rows counted, 4 of them certain to fail and not billed, no history")
    assert (all_rows.is_exact, most.is_exact) == (True, False)
    assert survey.without_failing(0) is survey


@pytest.mark.parametrize("failed_before", [0, 10])
def test_rows_that_failed_before_do_not_make_the_other_rows_cheaper(failed_before):
    before = PastJob(20 + failed_before, {INPUT: 1000, OUTPUT: 200}, 100 * (20 + failed_before), answered=20)
    found = estimate(counted(30, 3000).without_failing(10), MODEL, "us-central1", BOOK, [before])
    assert (found.rows, found.input_tokens, found.output_tokens) == (30, 1000, 200)
