import json

import pytest

from local.emulator.importer import MAX_DEPTH, Importer, ImportRefusedError


def check(*rows, required=("request",)):
    importer = Importer(required)
    for row in rows:
        importer.check(row if isinstance(row, bytes) else json.dumps(row).encode())


def nested(levels):
    value = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"inner": value}
    return {"request": value}


@pytest.mark.parametrize(
    "rows",
    [
        [{"request": {"a": 1}}, {"request": {"a": 2.5}}],
        [{"request": {"a": None}}, {"request": {"a": "x"}}],
        [{"request": {"a": []}}, {"request": {"a": ["x"]}}],
        [nested(MAX_DEPTH)],
        [{"custom_id": "x", "request": {"a": 1}, "status": "", "response": {}}],
    ],
)
def test_rows_within_the_limits_are_imported(rows):
    check(*rows)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([b"not json"], "row 1 is not JSON"),
        ([[1]], "row 1 is not an object"),
        ([{"other": 1}], "has no 'request'"),
        ([nested(MAX_DEPTH + 1)], "nested deeper than 15 levels"),
        ([{"request": {"googleSearch": {}}}], "empty object"),
        ([{"request": {"schema": {"$defs": 1}}}], "'$defs', not a valid column name"),
        ([{"request": {"two words": 1}}], "not a valid column name"),
        (
            [{"request": {"a": 1}}, {"request": {"a": "1"}}],
            "row 2: 'a' is string, in earlier rows it is number",
        ),
        ([{"request": {"a": [{"b": 1}, {"b": []}]}}], "'b' is array, in earlier rows it is number"),
        ([{"request": {"a": [1, "x"]}}], "'a[]' is string"),
    ],
)
def test_one_bad_row_refuses_the_whole_input(rows, reason):
    with pytest.raises(ImportRefusedError) as caught:
        check(*rows)
    assert reason in caught.value.reason
