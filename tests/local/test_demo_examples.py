import json

import pytest

from local.emulator.catalogue import Family
from local.emulator.importer import Importer
from local.emulator.rows import REQUIRED_KEYS
from local.examples import ROWS, example_input

MODELS = {
    "gemini-3.8-flash": Family.GEMINI,
    "gemini-embedding-001": Family.GEMINI_EMBEDDING,
    "text-embedding-005": Family.TEXT_EMBEDDING,
}


def test_the_same_seed_gives_the_same_input_and_another_seed_another():
    once = example_input("gemini-3.8-flash", "nightly 2026-11-22")
    assert example_input("gemini-3.8-flash", "nightly 2026-11-22") == once
    assert example_input("gemini-3.8-flash", "nightly 2026-11-23") != once


@pytest.mark.parametrize("model", MODELS)
def test_every_row_is_in_the_shape_that_vertex_imports_for_the_model(model):
    importer = Importer(REQUIRED_KEYS[MODELS[model]])
    lines = example_input(model, "seed").splitlines()
    assert len([importer.check(line) for line in lines]) == ROWS


def test_no_two_rows_are_alike():
    lines = example_input("gemini-3.8-flash", "seed", rows=500).splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(set(lines)) == 500
