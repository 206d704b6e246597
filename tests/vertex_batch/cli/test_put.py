"""``vertex-batch put``: an input of your own in the real object store."""

from __future__ import annotations

import gzip
import json
import shlex

import pytest

from vertex_batch.specs import load_spec

ROWS = b'{"request": {"contents": [{"parts": [{"text": "x"}]}]}}\n' * 3


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my-rows.jsonl"
    path.write_bytes(ROWS)
    return path


@pytest.fixture
def specs(tmp_path, monkeypatch):
    folder = tmp_path / "specs"
    folder.mkdir()
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(folder))
    return folder


def spec(folder, name, bucket):
    text = f"model: gemini-3.8-flash\ninputs: gs://{bucket}/in/a.jsonl\noutput: gs://{bucket}/out/\n"
    (folder / f"{name}.yaml").write_text(text)


def test_it_uploads_the_file_and_says_what_to_write_into_a_spec(run, file, connections):
    status, out, err = run("put", file, "gs://demo-bucket/put/one.jsonl")
    assert (status, out) == (0, "gs://demo-bucket/put/one.jsonl\n")
    assert connections.gcs.get("gs://demo-bucket/put/one.jsonl") == ROWS
    assert "inputs: gs://demo-bucket/put/one.jsonl\n" in err
    assert "vertex-batch new one --inputs gs://demo-bucket/put/one.jsonl" in err


def test_an_object_is_replaced_only_if_the_user_says_so(run, file, connections):
    connections.gcs.put("gs://demo-bucket/put/two.jsonl", b"{}\n")
    status, _, err = run("put", file, "gs://demo-bucket/put/two.jsonl")
    assert status == 1
    assert "already exists. Nothing was uploaded" in err
    assert connections.gcs.get("gs://demo-bucket/put/two.jsonl") == b"{}\n"
    status, out, _ = run("put", file, "gs://demo-bucket/put/two.jsonl", "--overwrite", "--json")
    assert (status, json.loads(out)["bytes"]) == (0, len(ROWS))
    assert connections.gcs.get("gs://demo-bucket/put/two.jsonl") == ROWS


def test_without_an_address_it_is_put_into_the_bucket_that_all_specs_read(run, file, specs, connections):
    spec(specs, "one", "demo-bucket")
    status, out, _ = run("put", file)
    assert (status, out) == (0, "gs://demo-bucket/input/my-rows.jsonl\n")
    spec(specs, "other", "other-bucket")
    status, _, err = run("put", file)
    assert status == 1
    assert "read gs://demo-bucket/, gs://other-bucket/. Nothing was uploaded" in err


@pytest.mark.parametrize(
    ("inputs", "to", "date"),
    [
        ("gs://demo-bucket/night/*.jsonl", "night/", ""),
        ("gs://demo-bucket/night/", "night/", ""),
        ("gs://demo-bucket/{{ previous_run_date }}/*.jsonl", "2026-11-20/", " --date 2026-11-21"),
        ("gs://demo-bucket/{{ run_date }}.jsonl", "2026-11-29.jsonl", " --date 2026-11-29"),
        ("gs://demo-bucket/*.jsonl", "night/", None),
        ("gs://demo-bucket/night/{{ run_date }}.jsonl", "night/", None),
    ],
)
def test_a_spec_that_reads_the_object_already_is_named_with_how_to_start_it(
    run, file, specs, connections, inputs, to, date
):
    text = f'model: gemini-3.8-flash\ninputs: "{inputs}"\noutput: gs://demo-bucket/out/\n'
    (specs / "tickets.yaml").write_text(text)
    _, _, err = run("put", file, f"gs://demo-bucket/{to}", "--overwrite")
    assert (f"tickets, with `inputs: {inputs}`" in err) is (date is not None)
    assert ("vertex-batch new " in err) is (date is None)
    if date is not None:
        assert f"`vertex-batch plan tickets{date}`" in err
        assert f"`vertex-batch run tickets{date}`" in err
        conf = f""" --conf '{{"run_date": "{date[-10:]}"}}'""" if date else ""
        assert f"`airflow dags trigger tickets{conf}` starts one" in err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"ticket": 1}] * 3,
            "None of the 3 rows has the field `ticket_id`, which `results.key` names; did you",
        ),
        ([{"ticket_id": 1}, {"id": 1}, {}], "2 of 3 rows have no field `ticket_id`"),
        ([{"ticket_id": 1}] * 3, ""),
    ],
)
def test_rows_without_the_key_of_the_spec_that_reads_them_are_reported(
    run, tmp_path, specs, connections, rows, message
):
    to = "gs://demo-bucket/keyed/a.jsonl"
    results = "{to: gs://demo-bucket/delivered/a.csv, key: ticket_id}"
    text = f"model: gemini-3.8-flash\ninputs: {to}\noutput: gs://demo-bucket/out/\nresults: {results}\n"
    (specs / "tickets.yaml").write_text(text)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({**row, **json.loads(ROWS.splitlines()[0])}) + "\n" for row in rows))
    status, _, err = run("put", path, to, "--overwrite")
    assert status == 0
    assert message in err
    assert ("Correct `results.key` in the spec, or the rows" in err) is bool(message)


@pytest.mark.parametrize(
    ("content", "to", "message"),
    [
        (b"\n", "gs://demo-bucket/no/", "x.jsonl has no rows. Nothing was uploaded"),
        (b"a,b\n1,2\n", "gs://demo-bucket/no/", "x.jsonl is not JSON: this looks like CSV"),
        (b'[\n{"request": {}},\n', "gs://demo-bucket/no/", "this looks like one JSON array"),
        (b"\x1f\x8b", "gs://demo-bucket/no/", "the gzip stream ends too early"),
        (b"\xef\xbb\xbf" + ROWS, "gs://demo-bucket/no/", "begins with a byte order mark"),
        (b"1\n", "gs://demo-bucket/no/", "is not a JSON object. Nothing was uploaded"),
        (b"[" + ROWS[:-1].replace(b"\n", b",") + b"]\n", "gs://demo-bucket/no/", "as `jq -c '.[]'` does"),
        ('{"request": "Zürich"}\n'.encode("latin-1"), "gs://demo-bucket/no/", "iconv -f WINDOWS-1252"),
        (None, "gs://demo-bucket/no/", "No such file or directory. Nothing was uploaded"),
        (
            ROWS,
            "gs://no-such-bucket-here/a.jsonl",
            "No such bucket: gs://no-such-bucket-here. Nothing was uploaded",
        ),
        (ROWS, "gs://demo-bucket/{{ run_date }}.jsonl", "is not a valid address"),
        (ROWS, "demo-bucket/a.jsonl", "is not a valid address"),
    ],
)
def test_what_no_job_could_read_is_not_uploaded(run, tmp_path, connections, content, to, message):
    path = tmp_path / "x.jsonl"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("put", path, to)
    assert (status, out) == (1, "")
    assert message in err
    assert connections.gcs.list("gs://demo-bucket/no/") == []


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (ROWS + b"\n[1]\nno\n", "x.jsonl is not a JSON object"),
        (ROWS + b'{"request": {}', "x.jsonl is not JSON: Input data was truncated"),
        (gzip.compress(ROWS + b"no\n", mtime=0), "x.jsonl is not JSON"),
        (gzip.compress(ROWS, mtime=0)[:-8], "x.jsonl: the gzip stream ends too early"),
    ],
)
def test_a_file_with_a_row_that_no_job_can_read_is_refused(run, tmp_path, connections, content, flaw):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    status, out, err = run("put", path, "gs://demo-bucket/broken/", "--overwrite")
    assert (status, out) == (1, "")
    assert flaw in err
    assert ("Line 5 of " in err) is (b"[1]" in content)
    assert "Nothing was uploaded" in err
    assert connections.gcs.list("gs://demo-bucket/broken/") == []


def test_the_command_for_a_new_spec_has_a_name_that_no_spec_has(run, file, specs, connections):
    for name in ("taken", "taken_2"):
        spec(specs, name, "demo-bucket")
    _, _, err = run("put", file, "gs://demo-bucket/put/taken.jsonl", "--overwrite")
    assert "vertex-batch new taken_3 --inputs" in err


@pytest.mark.parametrize(
    ("row", "model", "message"),
    [
        ({"custom_id": "1", "body": {"messages": []}}, "", "gemini-3.8-flash does not answer the first row"),
        ({"messages": [{"role": "user", "content": "x"}]}, "", "this one looks like a row for OpenAI"),
        ({"request": {"contents": [{"parts": []}]}}, "gemini-embedding-001", "looks like a row for Gemini"),
        (
            {"request": {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}},
            "",
            "does not answer the first row: `request.contents[].role`",
        ),
        ({"content": "x"}, "text-embedding-005", ""),
        ({"custom_id": "1", "body": {}}, "publishers/meta/models/llama-4", "`body` is missing"),
        ({"custom_id": "1", "body": {"messages": [1]}}, "publishers/meta/models/llama-4", ""),
    ],
)
def test_rows_in_the_shape_of_another_model_are_uploaded_with_a_warning(
    run, file, specs, connections, row, model, message
):
    if model:
        text = f"model: {model}\ninputs: gs://demo-bucket/shape/*\noutput: gs://demo-bucket/out/\n"
        (specs / "shaped.yaml").write_text(text)
    file.write_bytes(json.dumps(row).encode() + b"\n")
    status, _, err = run("put", file, "gs://demo-bucket/shape/", "--overwrite")
    assert status == 0
    assert ("Warning: " in err) is ("upload the file again with --overwrite" in err) is bool(message)
    assert message in err


def test_the_command_for_a_new_spec_needs_no_terminal(run, file, specs, connections):
    _, _, err = run("put", file, "gs://demo-bucket/put/hint.jsonl", "--overwrite")
    (command,) = (line for line in err.splitlines() if "vertex-batch new" in line)
    assert run(*shlex.split(command)[1:], "--folder", specs)[0] == 0
    job = load_spec(specs / "hint.yaml").job
    assert job.inputs == ["gs://demo-bucket/put/hint.jsonl"]
    assert job.results is not None
    assert "  # key: id\n" in (specs / "hint.yaml").read_text()


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"ticket_id": "T-1", "request": {}}, "ticket_id"),
        ({"request": {}, "note": "x", "key": 7}, "key"),
        ({"request": {}, "id": None, "paid": "x"}, None),
        ({"request": {}, "two words_id": "x", "idle": "x"}, None),
        ({"content": "x", "id": "1"}, None),  # without a request, every field is a part of it
    ],
)
def test_the_command_for_a_new_spec_names_the_key_of_the_rows(run, file, specs, connections, row, key):
    file.write_bytes(json.dumps(row).encode() + b"\n")
    _, _, err = run("put", file, "gs://demo-bucket/put/keys.jsonl", "--overwrite")
    (command,) = (line for line in err.splitlines() if "vertex-batch new" in line)
    assert run(*shlex.split(command)[1:], "--folder", specs)[0] == 0
    assert load_spec(specs / "keys.yaml").job.results.key == key


def test_a_packed_file_is_uploaded_as_it_is(run, tmp_path, connections):
    path = tmp_path / "packed.jsonl.gz"
    path.write_bytes(gzip.compress(ROWS, mtime=0))
    assert run("put", path, "gs://demo-bucket/put/")[0] == 0
    assert connections.gcs.get("gs://demo-bucket/put/packed.jsonl.gz") == path.read_bytes()
