"""``vertex-batch get``: one object of the real object store, or of the disk, as it is."""

from __future__ import annotations

import gzip

import pytest

from vertex_batch.cli import main

CONTENT = bytes(range(256)) * 20_000  # several blocks, and neither text nor JSON
URI = "gs://demo-bucket/get/answers.jsonl"


@pytest.fixture
def stored(connections):
    connections.gcs.put(URI, CONTENT)
    return connections.gcs


@pytest.fixture
def run_bytes(capsysbinary):
    """Run the command here; return its exit status and output."""
    return lambda *arguments: (main([*map(str, arguments)]), capsysbinary.readouterr().out)


def test_an_object_is_copied_to_a_file_as_it_is(run, stored, tmp_path):
    status, out, err = run("get", URI, tmp_path / "here.jsonl")
    assert (status, out) == (0, "")
    assert (tmp_path / "here.jsonl").read_bytes() == CONTENT
    assert "5,120,000 bytes" in err
    assert [each.name for each in tmp_path.iterdir()] == ["here.jsonl"]


@pytest.mark.parametrize("uri", [URI, "gs://demo-bucket/get/ans*.jsonl"])
def test_a_folder_keeps_the_name_of_the_object(run, stored, tmp_path, uri):
    assert run("get", uri, tmp_path)[0] == 0
    assert (tmp_path / "answers.jsonl").read_bytes() == CONTENT


def test_a_file_is_replaced_only_if_the_user_says_so(run, stored, tmp_path):
    file = tmp_path / "mine"
    file.write_text("mine")
    status, _, err = run("get", URI, file)
    assert (status, file.read_text()) == (1, "mine")
    assert "already exists. Nothing was copied" in err
    assert run("get", URI, file, "--force")[0] == 0
    assert file.read_bytes() == CONTENT


def test_without_a_file_the_object_is_printed_and_nothing_else(run_bytes, stored):
    assert run_bytes("get", URI) == (0, CONTENT)


def test_gzip_and_empty_objects_are_copied_as_they_are(run_bytes, connections):
    packed = gzip.compress(b"{}\n", mtime=0)
    for content in (packed, b""):
        connections.gcs.put("gs://demo-bucket/get/x.gz", content)
        assert run_bytes("get", "gs://demo-bucket/get/x.gz") == (0, content)


def test_a_local_file_is_copied_too(run_bytes, tmp_path):
    (tmp_path / "a [1].txt").write_bytes(b"here")
    assert run_bytes("get", tmp_path / "a [1].txt") == (0, b"here")


def test_a_wildcard_that_one_object_matches_is_that_object(run_bytes, stored):
    assert run_bytes("get", "gs://demo-bucket/*/answers.jsonl") == (0, CONTENT)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("gs://demo-bucket/get/none.jsonl", "none.jsonl does not exist. Nothing was copied"),
        (
            "gs://demo-bucket/several/*",
            "has 2 objects: gs://demo-bucket/several/a, gs://demo-bucket/several/b",
        ),
        ("gs://demo-bucket/several/", "has 2 objects: gs://demo-bucket/several/a"),
        ("gs://demo-bucket/several", "has 2 objects: gs://demo-bucket/several/a"),
        ("gs://demo-bucket/nothing-*", "does not exist"),
        ("bq://project.dataset.table", "write gs://BUCKET/NAME or a path"),
        ("no/such/file", "no/such/file does not exist"),
    ],
)
def test_what_is_not_one_object_is_not_copied(run, connections, tmp_path, uri, message):
    for name in "ab":
        connections.gcs.put(f"gs://demo-bucket/several/{name}", b"x")
    status, out, err = run("get", uri, tmp_path / "to")
    assert (status, out) == (1, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing(run, stored, tmp_path):
    status, _, err = run("get", URI, tmp_path / "no" / "file")
    assert status == 1
    assert "no/file cannot be written: No such file or directory. Nothing was written" in err
