from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tools.night.audit import Account, account, account_of_rounds


def answered(number, **usage):
    return json.dumps({"key": f"{number:08}", "status": "", "response": {"usageMetadata": usage}})


def failed(number):
    return json.dumps({"key": f"{number:08}", "status": "Bad Request: {}", "response": {}})


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


ONE = {"promptTokenCount": 1_000_000, "cachedContentTokenCount": 500_000, "candidatesTokenCount": 10}


def test_every_row_has_one_end_and_the_amount_is_exact(tmp_path):
    first = write(tmp_path / "1", [answered(0, **ONE, thoughtsTokenCount=90), failed(3)])
    second = write(tmp_path / "2", [answered(2, promptTokenCount=1), '{"key": "0000'])
    found = account([first, second], 6)
    usd = Decimal("0.06875") + Decimal("0.006875") + 100 * Decimal("0.000000825") + Decimal("0.0000001375")
    assert found == Account(6, 2, 1, 1, 2, 0, usd)
    assert found.balanced


@pytest.mark.parametrize("twice", ["one file", "two files"])
def test_a_row_that_is_there_twice_is_seen(tmp_path, twice):
    lines = [failed(0), failed(1), failed(1)]
    files = (
        [write(tmp_path / "1", lines)]
        if twice == "one file"
        else [write(tmp_path / "1", lines[:2]), write(tmp_path / "2", lines[2:])]
    )
    found = account(files, 2)
    assert found.repeated == 1
    assert not found.balanced


def test_no_output_means_that_all_rows_are_missing():
    assert account([], 7) == Account(7, 0, 0, 0, 7, 0, Decimal(0))


def test_a_row_that_failed_and_was_answered_later_ends_as_its_answer(tmp_path):
    first = write(tmp_path / "1", [answered(0, promptTokenCount=1), failed(1), failed(2)])
    second = write(tmp_path / "2", [answered(1, promptTokenCount=1), failed(2)])
    found = account_of_rounds([first, second], 4)
    assert found == Account(4, 2, 1, 0, 1, 0, Decimal("0.000000275"))
    assert found.balanced


def test_a_second_answer_was_paid_for_twice(tmp_path):
    files = [write(tmp_path / str(n), [answered(0, promptTokenCount=1)]) for n in (1, 2)]
    found = account_of_rounds(files, 1)
    assert found.repeated == 1
    assert not found.balanced
