"""The file with the limits of teams."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.budgets import Budget, Payer, Ruling, Window
from vertex_batch.specs import SpecError
from vertex_batch.specs.team_budgets import FILE_VARIABLE, TeamBudgets, budgets_file, load_team_budgets

TEN = Budget({Window.MONTH: {Ruling.REFUSE: Decimal(10)}})
TWO = Budget({Window.DAY: {Ruling.HOLD: Decimal(2)}})


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "budgets.yaml"

    def write(text: str | bytes):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_everyone_and_each_team_have_limits(written):
    found = load_team_budgets(
        written("everyone:\n  per_month: {refuse: 10}\nteams:\n  search:\n    per_day: {hold: 2}\n")
    )
    assert found == TeamBudgets(TEN, {"search": TWO})
    assert found.budgets_of("search") == [(TWO, Payer.TEAM, "search"), (TEN, Payer.EVERYONE, "")]
    assert found.budgets_of("ads") == found.budgets_of("") == [(TEN, Payer.EVERYONE, "")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("team: {}\n", "budgets.yaml:1:1: team: is not a known key; did you mean `teams`?"),
        ("teams:\n  Search: {per_day: {hold: 2}}\n", "budgets.yaml:2:3: teams.Search: "),
        ("teams:\n  search: {}\n", "budgets.yaml:2:11: teams.search: has no limit"),
        (
            "everyone: {per_month: {hold: much}}\n",
            "budgets.yaml:1:30: everyone.per_month.hold: must be a number",
        ),
        ("# nothing yet\n", "budgets.yaml:1:1: the file is empty"),
        ("- 1\n", "budgets.yaml:1:1: must contain `everyone` or `teams`"),
        ("a: [\n", "budgets.yaml:"),
        (b"\xff\xfe", "is not UTF-8 (byte 0xff)"),
        (b"#" * (1 << 19), "is larger than 256 kB"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(written, text, problem):
    with pytest.raises(SpecError) as caught:
        load_team_budgets(written(text))
    assert problem in str(caught.value)


def test_a_file_that_is_not_there_but_was_named_is_an_error(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_team_budgets(tmp_path / "absent.yaml")


def test_it_lies_beside_the_specs_or_where_the_environment_says(tmp_path, monkeypatch):
    specs = tmp_path / "jobs"
    assert budgets_file(specs) is None
    (tmp_path / "budgets.yaml").touch()
    assert budgets_file(specs) == tmp_path / "budgets.yaml"
    monkeypatch.setenv(FILE_VARIABLE, "/elsewhere/limits.yaml")
    assert str(budgets_file(specs)) == "/elsewhere/limits.yaml"
