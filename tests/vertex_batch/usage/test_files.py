"""Which files are read: each row once."""

from __future__ import annotations

import json

import fsspec
import pytest

from vertex_batch.errors import OutputMissingError
from vertex_batch.storage.streams import FETCH_BYTES
from vertex_batch.usage import ScanOptions, scan_output
from vertex_batch.usage.files import choose_files
from vertex_batch.usage.parallel import scan_files

ROOT = "bucket/out/prediction-model-2026-02-12T06:52:08.835011Z"


def chosen(*names):
    files = choose_files([f"{ROOT}/{name}" for name in names], ROOT)
    return [path.removeprefix(f"{ROOT}/") for path in files.read]


def test_the_merged_file_is_the_whole_output():
    assert chosen("predictions.jsonl", "000000000000.jsonl", "incremental_predictions/predictions.jsonl") == [
        "predictions.jsonl"
    ]


def test_parts_of_a_split_input_below_the_output_are_not_read():
    names = ("000000000000.jsonl", "_shards/0123/000-abc.shard.jsonl")
    assert chosen(*names) == ["000000000000.jsonl"]


def test_a_compressed_merged_file_is_found():
    assert chosen("predictions.jsonl.gz", "a.jsonl") == ["predictions.jsonl.gz"]


def test_without_it_the_shards_are_read_but_never_the_increments():
    names = (
        "000000000001.jsonl",
        "000000000000.jsonl.gz",
        "incremental_predictions/0.jsonl",
        "errors_1.jsonl",
        "x.csv",
    )
    assert chosen(*names) == ["000000000000.jsonl.gz", "000000000001.jsonl"]


@pytest.fixture
def directory(tmp_path):
    out = tmp_path / "prediction-model-2026-02-12T06:52:08.835011Z"
    out.mkdir()
    return out


@pytest.fixture
def local():
    return fsspec.filesystem("file")


def test_the_output_is_read_with_and_without_scheme_and_slash(directory, local, row):
    (directory / "predictions.jsonl").write_text(json.dumps(row()) + "\n")
    for form in (str(directory), f"{directory}/", f"file://{directory}"):
        assert scan_output(local, form, job_model="m").ok == 1


def test_what_is_left_out_is_said(directory, local, row):
    (directory / "predictions.jsonl").write_text(json.dumps(row()))
    (directory / "more.jsonl").write_text(json.dumps(row()))
    result = scan_output(local, str(directory), job_model="m")
    assert (result.ok, result.flags) == (1, ["not read beside predictions.jsonl: more.jsonl"])


def test_shards_are_added_up(directory, local, row):
    for name in ("a.jsonl", "b.jsonl"):
        (directory / name).write_text(json.dumps(row({"promptTokenCount": 1})) + "\n")
    assert sum(scan_output(local, str(directory), job_model="m").tokens.values()) == 2


def test_an_empty_file_is_no_rows_and_a_flag(directory, local):
    (directory / "predictions.jsonl").touch()
    result = scan_output(local, str(directory), job_model="m")
    assert (result.rows, result.flags) == (0, ["the output holds no rows"])


def test_an_output_that_is_not_there_is_an_error_that_says_what_is(directory, local):
    (directory / "errors_0001.jsonl").touch()
    with pytest.raises(OutputMissingError, match=r"job 17 left .*; what is there: errors_0001\.jsonl"):
        scan_output(local, str(directory), job_model="m", job="17")
    with pytest.raises(OutputMissingError, match="nowhere"):
        scan_output(local, str(directory / "nowhere"), job_model="m")


def test_the_output_is_streamed_from_an_object_store(emulator, row):
    """A real object store; the directory has the colons that Vertex puts in its name."""
    import gcsfs

    place = "gs://demo-bucket/usage/prediction-model-2026-02-12T06:52:08.835011Z"
    lines = "".join(json.dumps(row(echo="x" * 1000)) + "\n" for _ in range(3000)).encode()
    assert len(lines) > FETCH_BYTES
    fs = gcsfs.GCSFileSystem(
        token="anon", endpoint_url=emulator.gcs.url, project="p", skip_instance_cache=True
    )
    with pytest.raises(OutputMissingError):
        scan_output(fs, place, job_model="m")
    emulator.gcs.put(f"{place}/predictions.jsonl", lines)
    emulator.gcs.put(f"{place}/incremental_predictions/0.jsonl", lines)
    result = scan_output(fs, place, job_model="m")
    assert (result.ok, result.flags) == (3000, [])
    path = f"{place.removeprefix('gs://')}/predictions.jsonl"
    assert scan_files(fs, [path], ScanOptions("m"), 2, range_bytes=1 << 20) == result


def test_increments_are_read_where_they_are_all_there_is_each_row_once(directory, local, row):
    """A job that was cut off before it merged: its finished rows are billed all the same."""
    (directory / "incremental_predictions").mkdir()
    one, two = ({**row(), "response": {**row()["response"], "responseId": name}} for name in ("r-1", "r-2"))
    for name, rows in (("0.jsonl", [one]), ("1.jsonl", [one, two])):
        (directory / "incremental_predictions" / name).write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = scan_output(local, str(directory), job_model="m")
    assert (result.ok, result.copied, sum(result.tokens.values())) == (2, 0, 38)
    resumed = scan_output(local, str(directory), job_model="m", already_billed={"r-2"})
    assert (resumed.copied, sum(resumed.tokens.values())) == (2, 19)
    assert result.flags == [
        "only incremental_predictions was found; rows with the same responseId were billed once"
    ]
