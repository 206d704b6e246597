"""The text of a digest."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from vertex_batch.budgets import Account, Limit, Payer, Ruling, Sums, Window
from vertex_batch.budgets.decision import UnbilledJob
from vertex_batch.budgets.digest import DaySpend, Digest, highest
from vertex_batch.costs import Total

MONTH = Account(Payer.TEAM, "search", Window.MONTH)


def usd(amount: str, *, complete: bool = True) -> Total:
    return Total(Decimal(amount), complete)


def test_it_says_what_a_person_asks_in_the_morning():
    digest = Digest(
        date(2026, 11, 21),
        specs=[
            DaySpend("small", usd("0.000775"), 1),
            DaySpend("nightly", usd("1234.567", complete=False), 2, failed_rows=3, rows=1000),
        ],
        teams=[DaySpend("search", usd("1234.567775", complete=False), 3), DaySpend("", usd("0"), 1)],
        failed=["nightly: FAILED job 12"],
        month=[
            (Limit(MONTH, Ruling.REFUSE, Decimal(2000)), Sums(usd("1500"), usd("600"))),
            (Limit(MONTH, Ruling.REFUSE, Decimal(0)), Sums()),
        ],
        running=[UnbilledJob("nightly", "run-3", "13", usd("600"))],
        kept_back=[UnbilledJob("nightly", "run-4", "", usd("0", complete=False), "hold")],
    )
    assert (
        digest.text()
        == """\
Batch prediction jobs on 2026-11-21: at least 1,234.57 USD, 3 jobs

By spec:
  nightly: at least 1,234.57 USD, 2 jobs, 3 of 1,000 rows failed
  small: 0.000775 USD, 1 job

By team:
  search: at least 1,234.57 USD, 3 jobs
  (none): 0.00 USD, 1 job

This month vs. budget:
  the month of team search: 2,100.00 USD of 2,000.00 USD (105%); OVER
  the month of team search: 0.00 USD of 0.00 USD

Failed:
  nightly: FAILED job 12

Without a price:
  nightly

Running, or not billed yet:
  nightly run-3 job 13, expected 600 USD

Held or refused:
  nightly run-4, expected not known (hold)"""
    )


def test_a_quiet_day_is_one_line():
    assert Digest(date(2026, 11, 21)).text() == "Batch prediction jobs on 2026-11-21: 0.00 USD, 0 jobs"


def test_a_long_list_is_cut_and_says_so():
    text = Digest(date(2026, 11, 21), failed=[f"job {n}" for n in range(23)]).text()
    assert text.splitlines()[-1] == "  and 3 more"
    assert len(text.splitlines()) == 2 + 1 + 20 + 1


def test_of_each_account_the_highest_limit_is_its_budget():
    day = Account(Payer.TEAM, "search", Window.DAY)
    limits = [
        Limit(MONTH, Ruling.WARN, Decimal(1)),
        Limit(MONTH, Ruling.REFUSE, Decimal(3)),
        Limit(MONTH, Ruling.HOLD, Decimal(2)),
        Limit(day, Ruling.WARN, Decimal(9)),
    ]
    assert highest(limits) == [limits[1], limits[3]]
