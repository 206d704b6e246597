"""Our prices beside those of genai-prices, to the last digit."""

from __future__ import annotations

from tools.price_matrix import DAYS, REASONS, matrix

DATED = ("gemini-4-argon", "gemini-3.6-flash", "gemini-3.8-flash")
UNDATED = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.5-flash-lite")


def test_every_price_of_every_model_and_day_is_the_same_or_its_difference_has_a_reason():
    cells = matrix()
    assert [str(cell) for cell in cells if not cell.is_explained] == []
    assert {cell.day for cell in cells} == set(DAYS)
    batch = [cell for cell in cells if cell.is_batch]
    same = [cell for cell in batch if cell.ours == cell.theirs]
    assert len(batch) - len(same) == sum(
        cell.model == "gemini-3.8-flash-cyber" for cell in batch if cell.reason
    )
    assert {cell.model for cell in same} >= {
        *DATED,
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3.5-flash-lite",
    }
    assert len(REASONS) == 1


def test_what_genai_prices_has_no_batch_price_of_is_never_more_than_its_standard_price():
    assert all(cell.ours is None or cell.ours <= cell.theirs for cell in matrix() if not cell.is_batch)
