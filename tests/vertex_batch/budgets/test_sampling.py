"""Reading whole rows at places that are spread over an input, and how far the estimate from them can be
trusted.
"""

from __future__ import annotations

import gzip
import random

import pytest

from tests.vertex_batch.budgets.inputs import Store, Stored, inline, png, row, stored
from vertex_batch.budgets import Survey, Totals, sampling, summarize, survey_input
from vertex_batch.budgets.ranges import Part
from vertex_batch.budgets.rows import RowReader
from vertex_batch.hooks.storage import open_storage
from vertex_batch.usage import Kind, Modality

MODEL = "gemini-2.5-flash"
TEXT, OUTPUT, IMAGE = Part(Kind.INPUT), Part(Kind.OUTPUT), Part(Kind.INPUT, Modality.IMAGE)
MIB = 1 << 20


def look(objects: list[Stored], rows: int | None = None) -> tuple[Survey, Store]:
    store = Store(objects)
    return survey_input(store, objects, MODEL, None, rows), store


@pytest.fixture
def small(monkeypatch):
    """The same reader at a scale of a hundredth, so that inputs of kilobytes are large."""
    for name, value in {
        "READ_WHOLE_BYTES": 20_000,
        "WINDOW_BYTES": 1024,
        "_FIRST_BLOCK": 256,
        "_LARGEST_BLOCK": 16_384,
        "MOST_SAMPLE_BYTES": 400_000,
    }.items():
        monkeypatch.setattr(sampling, name, value)


@pytest.mark.parametrize("end", [b"\n", b"", b"\n\n\n"])
@pytest.mark.parametrize("objects", [1, 3])
def test_a_small_input_is_read_whole(objects, end):
    rows = [row("x" * 400, maxOutputTokens=7) for _ in range(9)]
    found, _ = look(stored(rows, objects, end))
    assert (found.complete, found.rows, found.read_rows) == (True, 9, 9)
    assert found.tokens[TEXT].expected == 900
    assert found.method == "9 rows counted"


@pytest.fixture(scope="module")
def pictures() -> list[Stored]:
    """Eighty rows with a picture of 1.5 MB each."""
    part = inline(png(1024, 768, 1_150_000), "image/png")
    return stored([row(f"What is in picture {number}?", part, maxOutputTokens=256) for number in range(80)])


def test_rows_of_megabytes_are_completed_and_counted_by_their_number(pictures):
    found, store = look(pictures, rows=80)
    assert (found.rows, found.counted, found.complete) == (80, True, False)
    assert 8 <= found.read_rows < 80
    assert found.method == f"{found.read_rows} of 80 rows read"
    assert found.tokens[IMAGE].expected == 80 * 4 * 258
    assert found.tokens[TEXT].expected < 80 * 10
    assert store.read_bytes <= sampling.MOST_SAMPLE_BYTES + MIB


def test_rows_of_megabytes_whose_number_is_not_known_are_scaled_by_bytes(pictures):
    found, _ = look(pictures)
    assert 70 <= found.rows <= 90
    assert "extrapolated from" in found.method
    assert found.tokens[IMAGE].low < 80 * 4 * 258 < found.tokens[IMAGE].high


def test_a_row_that_is_larger_than_the_bound_is_left_out_and_is_no_row_of_nothing(small):
    rows = [row("x" * 500_000)] * 2
    found, _ = look(stored(rows), rows=2)
    assert found.read_rows == 0
    found, _ = look(stored([row("x" * 300_000), *rows]), rows=3)
    assert found.read_rows == 1


def test_ordinary_rows_take_few_bytes_from_all_over_the_input():
    marks = [f"{number:06}" for number in range(60_000)]
    objects = stored([row(mark + "x" * 500, maxOutputTokens=7) for mark in marks], 3)
    found, store = look(objects, rows=len(marks))
    assert sum(item.size for item in objects) > 30 * MIB
    assert store.read_bytes < 5 * MIB
    assert found.tokens[TEXT].expected == pytest.approx(len(marks) * 506 / 4, rel=0.001)
    seen = [
        int(line.split(b'"text": "')[1][:6])
        for place in sampling._spread(store, objects, 60_000)
        for line in place.rows
    ]
    assert all(any(start <= number < start + 10_000 for number in seen) for start in range(0, 60_000, 10_000))


def test_the_same_input_gives_the_same_sample(small):
    objects = stored([row("x" * random.Random(number).randint(1, 900)) for number in range(400)], 3)
    assert look(objects)[0] == look(objects)[0]


@pytest.mark.parametrize("size", [10, 300, 3000])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("width", [100, 1024])
def test_a_window_has_the_whole_rows_that_begin_in_it_and_no_others(small, size, end, width):
    rows = [row(f"{number:04}" + "x" * size) for number in range(30)]
    objects = stored(rows, 3, end)
    starts, point = {}, 0
    for item in objects:
        at = point
        for line in item.data.split(b"\n"):
            starts[at] = line
            at += len(line) + 1
        point += item.size
    for start in [*range(0, point, 97), *starts, *(each + 1 for each in starts)]:
        if start >= point:
            continue
        found = sampling._Windows(Store(objects), objects).at(start, width)
        reach = {place % point for place in range(start, start + width)}
        expected = [line for at, line in starts.items() if at in reach and line]
        assert found is not None
        assert (sorted(found.rows), found.size) == (sorted(expected), width)


def test_many_small_objects_are_sampled_as_a_whole(small):
    objects = stored([row("x" * 40, maxOutputTokens=7) for _ in range(600)], objects=200)
    found, store = look(objects)
    assert found.rows == pytest.approx(600, rel=0.02)
    assert store.read_bytes < 0.2 * sum(item.size for item in objects)


def test_packed_objects_are_read_from_their_beginning(monkeypatch):
    rows = [row(f"{number:05} " + random.Random(number).randbytes(100).hex()) for number in range(40_000)]
    data = gzip.compress(b"\n".join(rows) + b"\n")
    objects = [Stored("gs://b/a.jsonl.gz", data)]
    whole, _ = look(objects)
    assert (whole.complete, whole.rows) == (True, 40_000)
    monkeypatch.setattr(sampling, "MOST_SAMPLE_BYTES", 4_000_000)
    part, _ = look(objects)
    assert not part.complete
    assert part.rows == pytest.approx(40_000, rel=0.02)
    assert [part.content, whole.content] == pytest.approx([sum(map(len, rows)) + 40_000] * 2, rel=0.02)
    assert look(objects, rows=40_000)[0].tokens[TEXT].expected == pytest.approx(
        whole.tokens[TEXT].expected, rel=0.02
    )


def test_a_packed_object_that_is_damaged_cannot_be_read():
    data = gzip.compress(row("x" * 1000) * 1000)[:-200]
    with pytest.raises(OSError, match="damaged"):
        look([Stored("gs://b/a.jsonl.gz", data)])


SHAPES = {
    "even": lambda n, chance: chance.randint(100, 800),
    "heavy": lambda n, chance: min(20_000, int(chance.lognormvariate(5.5, 1))),
    "mixed": lambda n, chance: chance.choice([50, 50, 50, 5000]),
    "sorted": lambda n, chance: 50 + int(3000 * n),
    "clustered": lambda n, chance: [100, 2000, 400, 3000][int(4 * n)] + chance.randint(0, 99),
}


def make(shape: str, with_pictures: float, chance: random.Random) -> list[Stored]:
    count = chance.choice([80, 300])
    rows = []
    for number in range(count):
        text = "x" * SHAPES[shape](number / count, chance)
        size = png(chance.choice([300, 1000, 2000]), 1000, chance.randint(3000, 9000))
        parts = [inline(size, "image/png")] if chance.random() < with_pictures else []
        rows.append(row(text, *parts, maxOutputTokens=chance.choice([100, 1000, 8000])))
    return stored(rows, chance.choice([1, 3, 20]), chance.choice([b"\n", b""]))


@pytest.mark.parametrize("with_pictures", [0, 0.05, 0.5, 1])
def test_the_interval_holds_nine_times_in_ten_at_least(small, with_pictures):
    """Of random inputs of every shape: what a sample says against what all rows say."""
    held, count = 0, 0
    for seed in range(8):
        for shape in SHAPES:
            chance = random.Random(f"{shape} {seed}")
            objects = make(shape, with_pictures, chance)
            store = Store(objects)
            rows = [sampling._place(stream.read()) for _, stream in store.read_each(objects)]
            size = sum(item.size for item in objects)
            full = summarize(rows, Totals(size), RowReader(MODEL), complete=True)
            found, _ = look(objects, full.rows if seed % 2 else None)
            for part, tokens in full.tokens.items():
                count += 1
                sampled = found.tokens.get(part)
                held += sampled is not None and sampled.low <= tokens.expected <= sampled.high
            count += 1
            held += found.row_range.low <= full.rows <= found.row_range.high
    assert held >= 0.9 * count


def test_the_sampling_margin_alone_holds_nine_times_in_ten(small):
    """Of counts that leave nothing open in a row, such as the number of rows, which is extrapolated from
    bytes.
    """
    held, count = 0, 0
    for seed in range(24):
        for shape in SHAPES:
            objects = make(shape, 0, random.Random(f"{shape} {seed} rows"))
            rows = sum(item.data.strip().count(b"\n") + 1 for item in objects)
            found, _ = look(objects)
            count += 1
            held += found.row_range.low <= rows <= found.row_range.high
    assert held >= 0.9 * count


def test_rows_of_megabytes_in_a_real_object_store(connections):
    part = inline(png(1024, 768, 800_000), "image/png")
    rows = [row(f"Picture {number}?", part, maxOutputTokens=256) for number in range(24)]
    (item,) = stored(rows)
    connections.gcs.put("gs://demo-bucket/large.jsonl", item.data)
    storage = open_storage()
    found = survey_input(storage, storage.find(["gs://demo-bucket/large.jsonl"]), MODEL, None, 24)
    assert item.size > sampling.READ_WHOLE_BYTES
    assert 5 <= found.read_rows <= 24
    assert found.tokens[IMAGE].expected == 24 * 4 * 258
    assert found.method == f"{found.read_rows} of 24 rows read"
