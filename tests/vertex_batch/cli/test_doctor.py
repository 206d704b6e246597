"""`vertex-batch doctor` against the emulated Vertex and a real object store."""

from __future__ import annotations

import json

import pytest

NAMES = {"airflow", "specs", "connection", "key", "proxy version", "jobs", "prices", "storage", "cost table"}


@pytest.fixture
def checked(run, spec, vertex, tmp_path, monkeypatch):
    """Run it where Airflow has no database; return the exit status and the checks by name."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")

    def checked(*options: str):
        url = f"sqlite:///{tmp_path / 'costs.db'}"
        status, out, _ = run("doctor", "--specs", spec.parent, "--url", url, "--json", *options)
        found = json.loads(out)
        assert found["ok"] == (status == 0)
        assert vertex.direct.api_key not in out
        return status, {each["check"]: each for each in found["checks"]}

    return checked


def test_a_good_setup_passes_and_leaves_no_object_behind(checked, vertex):
    before = vertex.gcs.list("gs://demo-bucket/")
    status, found = checked()
    assert found.keys() >= NAMES
    assert [each["found"] for each in found.values() if each["status"] == "failed"] == []
    assert status == 0
    assert found["triggerer"]["status"] == "not checked"
    assert found["jobs"]["subject"] == "demo-project/us-central1"
    assert found["storage"]["found"].startswith("Wrote, read and deleted gs://demo-bucket/cli-out/")
    assert vertex.gcs.list("gs://demo-bucket/") == before
    assert not vertex.admin.jobs()


def test_an_unreachable_proxy_fails_once_and_the_rest_is_checked(checked, monkeypatch, spec):
    wrong = {"conn_type": "litellm", "host": "http://127.0.0.1:9", "password": "sk-secret-of-mine"}
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", json.dumps(wrong))
    status, found = checked()
    assert status == 1
    assert "Nothing answers at http://127.0.0.1:9" in found["connection"]["found"]
    assert {found[name]["status"] for name in ("key", "proxy version", "jobs", "prices")} == {"not checked"}
    assert (found["storage"]["status"], found["cost table"]["status"]) == ("ok", "ok")
    assert "secret-of-mine" not in json.dumps(found)


def test_a_missing_bucket_and_a_broken_spec_fail_and_say_so(run, spec, vertex, tmp_path):
    text = spec.read_text()
    spec.write_text(text.replace("gs://demo-bucket/cli-out", "gs://no-such-bucket-here/out"))
    (spec.parent / "broken.yaml").write_text("modle: x\n")
    status, out, _ = run("doctor", "--specs", spec.parent, "--url", f"sqlite:///{tmp_path / 'costs.db'}")
    assert status == 1
    assert "No such bucket: gs://no-such-bucket-here. It is in nightly. Check the spelling" in out
    assert "submitted" not in out
    assert "broken.yaml" in out
    assert "To do: fix what `vertex-batch validate` names." in out


def test_without_specs_and_a_proxy_it_says_what_to_do(run, tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT", raising=False)
    status, out, _ = run("doctor", "--specs", tmp_path, "--url", f"sqlite:///{tmp_path / 'costs.db'}")
    assert status == 1
    assert "vertex-batch new" in out
    assert "No proxy configured" in out
    assert "source" not in out


def test_outside_the_shell_of_a_demo_that_was_started_here_its_settings_are_named(
    run, spec, tmp_path, monkeypatch
):
    hint = "run `source .local/demo/env` first, for the demo."
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT", raising=False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    (tmp_path / ".local" / "demo").mkdir(parents=True)
    (tmp_path / ".local" / "demo" / "env").touch()
    monkeypatch.chdir(tmp_path)
    _, out, _ = run("doctor", "--specs", tmp_path / "none", "--url", f"sqlite:///{tmp_path / 'costs.db'}")
    assert hint in out
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"request": {}}\n')
    assert f"Or {hint}" in run("put", rows, "gs://demo-bucket/")[2]
    monkeypatch.setenv("VERTEX_BATCH_UNREACHABLE_HINT", "Is it started?")
    assert "source" not in run("put", rows, "gs://demo-bucket/")[2]
