"""The labels of a job never exceed what Vertex allows, and each key is written once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vertex_batch
from vertex_batch.errors import ConfigurationError
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.vertex import labels
from vertex_batch.vertex.labels import ATTEMPT_LABEL, MAX_LABELS, OUR_LABELS, VERTEX_MAX_LABELS
from vertex_batch.vertex.request import build_request
from vertex_batch.vertex.resource import CreateJobRequest

PARTS = [
    InputPart(PartKind.SHARD, number=2, of=3),
    InputPart(PartKind.SAMPLE, rows=5, of_rows=9),
    InputPart(PartKind.RETRY, round=2, rows=5, of_rows=9, of_sample=True, retry_of="1" * 40),
]


def request(number: int, part: InputPart | None = None) -> CreateJobRequest:
    """A request with that many labels of a spec, and those of a part of the input."""
    own = {f"own_{n}": "x" for n in range(number)}
    return build_request(
        model="gemini-3.8-flash",
        uris=["gs://b/in.jsonl"],
        output="gs://b/out/",
        display_name="nightly",
        labels={**own, **(part.labels if part else {})},
        spec="nightly",
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_job_with_every_label_at_once_has_no_more_than_vertex_allows(part):
    identity = TaskIdentity("airflow", "dag", "run", "task", map_index=0).labels(0, "f")
    sent = {**request(MAX_LABELS, part).labels, **identity, ATTEMPT_LABEL: "1"}
    assert len(sent) <= VERTEX_MAX_LABELS
    assert {key for key in sent if not key.startswith("own_")} <= OUR_LABELS


def test_every_key_of_ours_is_counted_and_reserved():
    keys = {value for name, value in vars(labels).items() if name.endswith("_LABEL")}
    assert keys == OUR_LABELS
    assert all(key.startswith(labels.RESERVED_PREFIXES) for key in keys)
    assert len(OUR_LABELS) + MAX_LABELS == VERTEX_MAX_LABELS == 64


@pytest.mark.parametrize("part", [None, *PARTS])
def test_one_label_too_many_is_refused_before_anything_is_submitted(part):
    expected = r"Nothing was submitted: the job has 49 labels of its own, .* at most 48 .*; remove 1"
    with pytest.raises(ConfigurationError, match=expected):
        request(MAX_LABELS + 1, part)


def test_no_other_module_spells_a_key():
    [folder] = vertex_batch.__path__
    spelled = re.compile(rf"""["'.]({"|".join(OUR_LABELS)})\b""")
    sources = [path for path in Path(folder).rglob("*") if path.suffix in {".py", ".html"}]
    found = {path.name for path in sources if spelled.search(path.read_text())}
    assert found - {"labels.py"} == set()
