"""The decision over sums: a table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from vertex_batch.budgets import (
    Account,
    Guess,
    Limit,
    Payer,
    Ruling,
    Sums,
    Window,
    decide,
    within_approval,
)
from vertex_batch.budgets.decision import Decision
from vertex_batch.costs import Total

RUN = Account(Payer.SPEC, "nightly", Window.RUN)
MONTH = Account(Payer.SPEC, "nightly", Window.MONTH)
TEAM = Account(Payer.TEAM, "search", Window.MONTH)
ALL = Account(Payer.EVERYONE, "", Window.DAY)


def usd(amount: str, *, complete: bool = True) -> Total:
    return Total(Decimal(amount), complete)


def limit(account: Account, verdict: Ruling, amount: str) -> Limit:
    return Limit(account, verdict, Decimal(amount))


WARN_2, HOLD_5, REFUSE_20 = (
    limit(RUN, Ruling.WARN, "2"),
    limit(RUN, Ruling.HOLD, "5"),
    limit(RUN, Ruling.REFUSE, "20"),
)
STEPS = [WARN_2, HOLD_5, REFUSE_20]


@pytest.mark.parametrize(
    ("limits", "spent", "reserved", "estimated", "expected"),
    [
        ([], "1000", "0", "1000", Ruling.GO),
        (STEPS, "0", "0", "0", Ruling.GO),
        (STEPS, "0", "0", "2", Ruling.GO),
        (STEPS, "0", "0", "2.000000000001", Ruling.WARN),
        (STEPS, "0", "0", "5", Ruling.WARN),
        (STEPS, "0", "0", "5.000000000001", Ruling.HOLD),
        (STEPS, "0", "0", "20", Ruling.HOLD),
        (STEPS, "0", "0", "20.000000000001", Ruling.REFUSE),
        (STEPS, "19", "0.5", "0.5", Ruling.HOLD),
        (STEPS, "19", "0.5", "0.500000000001", Ruling.REFUSE),
        (STEPS, "0", "20", "0.000000000001", Ruling.REFUSE),
        (STEPS, "21", "0", "0", Ruling.REFUSE),
        ([REFUSE_20], "3", "3", "3", Ruling.GO),
        ([limit(RUN, Ruling.REFUSE, "0")], "0", "0", "0.000000000001", Ruling.REFUSE),
        ([limit(RUN, Ruling.REFUSE, "0")], "0", "0", "0", Ruling.GO),
    ],
)
def test_the_sum_of_spent_reserved_and_estimated_meets_each_limit(
    limits, spent, reserved, estimated, expected
):
    sums = {RUN: Sums(usd(spent), usd(reserved))}
    assert decide(limits, sums, usd(estimated)).verdict is expected


def test_the_gravest_of_all_accounts_counts_and_speaks_first():
    limits = [
        limit(MONTH, Ruling.WARN, "1"),
        limit(TEAM, Ruling.REFUSE, "10"),
        limit(ALL, Ruling.HOLD, "3"),
    ]
    sums = {TEAM: Sums(usd("9")), ALL: Sums(usd("1"), usd("1"))}
    decision = decide(limits, sums, usd("1.5"))
    assert decision.verdict is Ruling.REFUSE
    assert decision.reasons == (
        (
            "the month of team search: 9.00 USD spent + 1.50 USD estimated = 10.50 USD,"
            " over its limit of 10.00 USD (refuse)"
        ),
        (
            "the day of all teams: 1.00 USD spent + 1.00 USD reserved for unbilled jobs + 1.50 USD estimated"
            " = 3.50 USD, over its limit of 3.00 USD (hold)"
        ),
        "the month of spec nightly: 1.50 USD estimated, over its limit of 1.00 USD (warn)",
    )


def test_one_account_speaks_once_for_its_highest_limit():
    decision = decide(STEPS, {}, usd("30"))
    assert decision.reasons == (
        "this run of spec nightly: 30.00 USD estimated, over its limit of 20.00 USD (refuse)",
    )


@pytest.mark.parametrize("unknown", [Ruling.WARN, Ruling.HOLD, Ruling.REFUSE])
def test_an_estimate_without_a_price_is_no_proof(unknown):
    decision = decide(STEPS, {}, usd("0", complete=False), unknown)
    assert decision.verdict is unknown
    assert "no price" in decision.message


def test_an_unknown_part_matters_only_where_there_is_a_limit():
    assert decide([], {}, usd("0", complete=False), Ruling.REFUSE).verdict is Ruling.GO


def test_what_is_known_to_be_too_much_is_too_much_although_a_part_is_unknown():
    decision = decide(STEPS, {}, usd("21", complete=False), Ruling.WARN)
    assert decision.verdict is Ruling.REFUSE
    assert "at least 21.00 USD estimated" in decision.reasons[0]


@pytest.mark.parametrize(
    ("spent", "reserved", "estimated", "least", "expected"),
    [
        ("0", "0", "30", "0.5", Ruling.HOLD),
        ("0", "0", "30", "20", Ruling.HOLD),
        ("0", "0", "30", "20.000000000001", Ruling.REFUSE),
        ("19", "0", "30", "1", Ruling.HOLD),
        ("19", "0.5", "30", "1", Ruling.REFUSE),
        ("21", "0", "0.1", "0", Ruling.REFUSE),
        ("0", "0", "4", "0", Ruling.WARN),
    ],
)
def test_a_guess_never_refuses_and_what_is_sure_does(spent, reserved, estimated, least, expected):
    sums = {RUN: Sums(usd(spent), usd(reserved))}
    guess = Guess(Decimal(least), "3 of 9 rows read")
    decision = decide([WARN_2, REFUSE_20], sums, usd(estimated), guess=guess)
    assert decision.verdict is expected


def test_the_message_says_why_a_guess_was_not_refused():
    decision = decide([REFUSE_20], {}, usd("30"), guess=Guess(Decimal(1), "12 of 80 rows read, no history"))
    assert decision.reasons == (
        (
            "this run of spec nightly: 30.00 USD estimated, over its limit of 20.00 USD (refuse); not refused"
            " but held for approval, because its estimate is a first guess (12 of 80 rows read, no history)"
        ),
    )


@pytest.mark.parametrize(
    ("unknown", "guess", "expected"),
    [
        (Ruling.WARN, None, Ruling.WARN),
        (Ruling.HOLD, None, Ruling.HOLD),
        (Ruling.REFUSE, None, Ruling.REFUSE),
        (Ruling.REFUSE, Guess(Decimal(0)), Ruling.HOLD),
    ],
)
def test_an_assumed_length_is_no_proof_either(unknown, guess, expected):
    decision = decide(STEPS, {}, usd("1"), unknown, guess=guess, has_assumptions=True)
    assert decision.verdict is expected
    assert "lengths of files were assumed" in decision.message
    assert decide([], {}, usd("1"), unknown, guess=guess, has_assumptions=True).verdict is Ruling.GO


def test_a_limit_that_passes_a_lower_bound_says_so():
    sums = {RUN: Sums(usd("3", complete=False)), MONTH: Sums(usd("4"), usd("1", complete=False)), ALL: Sums()}
    limits = [*STEPS, limit(MONTH, Ruling.WARN, "9"), limit(ALL, Ruling.WARN, "9")]
    decision = decide(limits, sums, usd("1"))
    assert decision.verdict is Ruling.WARN
    assert decision.lower_bounds == (
        (
            "the month of spec nightly: at least 5.00 USD spent or reserved, since a part has no price:"
            " it may exceed a limit"
        ),
    )
    assert decide([REFUSE_20], {RUN: sums[RUN]}, usd("1")).lower_bounds


def test_sums_with_unpriced_jobs_say_at_least():
    decision = decide([REFUSE_20], {RUN: Sums(usd("20", complete=False))}, usd("1"))
    assert "at least 20.00 USD spent + 1.00 USD estimated = at least 21.00 USD" in decision.message


@pytest.mark.parametrize(
    ("verdict", "estimated", "approved", "covered"),
    [
        (Ruling.HOLD, "7", "7", True),
        (Ruling.HOLD, "7.000000000001", "7", False),
        (Ruling.HOLD, "7", None, False),
        (Ruling.REFUSE, "7", "7", False),
    ],
)
def test_an_approval_covers_what_was_approved_and_never_a_refusal(verdict, estimated, approved, covered):
    given = None if approved is None else usd(approved)
    assert within_approval(Decision(verdict), usd(estimated), given) is covered


@pytest.mark.parametrize(
    ("period", "now", "span"),
    [
        (Window.RUN, "2026-11-22T10:00:00+00:00", None),
        (Window.DAY, "2026-11-22T00:30:00+01:00", ("2026-11-21", "2026-11-22")),
        (Window.MONTH, "2026-12-01T00:30:00+01:00", ("2026-11-01", "2026-12-01")),
        (Window.MONTH, "2026-11-30T23:59:59+00:00", ("2026-11-01", "2026-12-01")),
        (Window.MONTH, "2026-12-31T00:00:00+00:00", ("2026-12-01", "2027-01-01")),
    ],
)
def test_days_and_months_are_those_of_utc(period, now, span):
    found = period.span(datetime.fromisoformat(now))
    assert found == (tuple(datetime.fromisoformat(day).replace(tzinfo=UTC) for day in span) if span else None)
