import json
from datetime import UTC, datetime, timedelta

import pytest

from local.demo import why_not_run
from local.emulator.catalogue import Family
from local.emulator.importer import Importer
from local.emulator.rows import REQUIRED_KEYS
from local.examples import EXAMPLES, ROWS, example_input, put_example_input
from local.stack.paths import REPOSITORY
from vertex_batch.specs import load_specs

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


@pytest.fixture
def specs(tmp_path):
    """The specs of the demo, and one that its user writes beside them, which reads the same folder."""
    for name in EXAMPLES:
        text = (REPOSITORY / "include" / "jobs" / f"{name}.yaml").read_text()
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "mine.yaml").write_text(text.replace("nightly_text_embeddings", "mine"))
    return load_specs(tmp_path).specs


def test_only_the_examples_are_run_and_no_spec_of_the_user(specs):
    assert {name for name, spec in specs.items() if not why_not_run(spec)} == set(EXAMPLES)
    assert why_not_run(specs["mine"]) == "it is not an example; its input is yours to put. Start it in the UI"


def test_an_input_that_the_user_has_put_is_kept(specs, store):
    spec, night = specs["nightly_embeddings"], datetime(2026, 11, 3, 2, 30, tzinfo=UTC)
    store.create_bucket("demo-bucket")
    store.put("gs://demo-bucket/input/nightly_embeddings/2026-11-03.jsonl", b'{"mine": 1}\n{"mine": 2}\n')
    assert put_example_input(store, spec, night) == 2
    assert store.get("gs://demo-bucket/input/nightly_embeddings/2026-11-03.jsonl").startswith(b'{"mine": 1}')
    assert put_example_input(store, spec, night + timedelta(days=1)) == ROWS
