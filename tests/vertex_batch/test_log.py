from __future__ import annotations

from vertex_batch.log import LineBudget


def test_a_burst_of_lines_is_cut_and_time_earns_new_ones():
    lines = LineBudget(at_once=3, per_second=2)
    assert [lines.allows(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [lines.allows(101.0) for _ in range(3)] == [True, True, False]
    assert [lines.allows(900.0) for _ in range(4)] == [True, True, True, False]
