from __future__ import annotations

from collections import Counter

import pytest

from vertex_batch.errors import InputUnusableError
from vertex_batch.inputs import draw, sampling

ROWS = [f"{number}\n".encode() for number in range(100)]


def test_the_same_seed_draws_the_same_rows_and_another_seed_others():
    assert draw(ROWS, 10, 7) == draw(iter(ROWS), 10, 7)
    assert draw(ROWS, 10, 7) != draw(ROWS, 10, 8)


def test_these_rows_are_drawn_for_ever():
    assert draw(ROWS, 5, 0).rows == (b"1\n", b"8\n", b"30\n", b"45\n", b"57\n")


def test_every_row_has_the_same_chance():
    drawn = Counter(row for seed in range(4000) for row in draw(ROWS[:20], 5, seed).rows)
    assert len(drawn) == 20
    assert all(850 < times < 1150 for times in drawn.values()), drawn  # 1000 +- 5 standard deviations


def test_rows_come_in_the_order_of_the_input_each_once():
    drawn = draw(ROWS, 30, 1)
    assert list(drawn.rows) == sorted(set(drawn.rows), key=int)
    assert (len(drawn.rows), drawn.of_rows) == (30, 100)


def test_a_sample_larger_than_the_input_is_all_of_it_without_its_blank_lines():
    drawn = draw([b"a\n", b"\n", b" \r\n", b"b"], 10, 0)
    assert (drawn.rows, drawn.lines) == ((b"a\n", b"b\n"), (1, 4))


def test_a_sample_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(sampling, "MAX_SAMPLE_BYTES", 20)
    with pytest.raises(InputUnusableError, match="20 bytes"):
        draw(ROWS, 50, 0, "gs://b/o")
