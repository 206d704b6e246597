"""What the facts about a setup mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vertex_batch.doctor import CheckStatus, rules
from vertex_batch.vertex.proxy_versions import SecurityFlaw

OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED
FIXED = SecurityFlaw("CVE-1", "SQL injection", (1, 83, 7))
UNFIXED = SecurityFlaw("CVE-2", "an admin", None)
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "malicious", "flaws", "status", "said"),
    [
        ("1.108.0", "", (), OK, "LiteLLM 1.108.0"),
        ("", "", (), WARNING, "does not report its version"),
        ("1.80.0", "", (FIXED, UNFIXED), WARNING, "CVE-1 (SQL injection; fixed in 1.83.7); CVE-2"),
        ("1.108.0", "", (UNFIXED,), OK, "An upgrade does not help against CVE-2 (an admin; no version"),
        ("1.107.0", "a malicious release", (FIXED,), FAILED, "a malicious release"),
    ],
)
def test_a_malicious_release_fails_and_a_vulnerable_one_warns(version, malicious, flaws, status, said):
    found = rules.judge_version(version, malicious, flaws)
    assert found.status is status
    assert said in found.found


@pytest.mark.parametrize(
    ("models", "info", "status", "said"),
    [
        (3, {}, OK, "it can see 3 models"),
        (None, {}, WARNING, "cannot read /model/info"),
        (3, {"spend": 1.5, "max_budget": 100}, OK, "1.50 of its budget of 100.00 USD"),
        (3, {"spend": 90, "max_budget": 100}, WARNING, "90.00 of"),
        (3, {"spend": 100.0, "max_budget": 100}, FAILED, "100.00 of"),
        (3, {"max_budget": 0}, FAILED, "0.00 of"),
        (3, {"blocked": True}, FAILED, "blocked"),
        (3, {"expires": "2026-12-01T00:00:00Z"}, WARNING, "2026-12-01"),
        (3, {"expires": "2027-12-01T00:00:00"}, OK, "2027-12-01"),
        (3, {"expires": "next year", "spend": "much", "max_budget": True}, OK, "3 models"),
    ],
)
def test_a_key_without_budget_or_time_is_found_before_a_night_is(models, info, status, said):
    found = rules.judge_key(models, info, NOW)
    assert found.status is status
    assert said in found.found


@pytest.mark.parametrize(
    ("alive", "triggers", "status", "said"),
    [
        (0, 5, FAILED, "No triggerer is alive"),
        (1, 5, OK, "can watch 1,000 jobs"),
        (2, 1900, WARNING, "2 triggerers"),
    ],
)
def test_a_missing_or_full_triggerer_is_found(alive, triggers, status, said):
    found = rules.judge_triggerers(alive, triggers, 1000)
    assert found.status is status
    assert said in found.found


@pytest.mark.parametrize(
    ("configured", "name", "status"),
    [
        ("production", "production", OK),
        ("", "https://airflow.example.com", OK),
        ("", "http://localhost:8080", WARNING),
        ("", "http://127.0.0.1:8080", WARNING),
        ("", "/opt/airflow", WARNING),
        ("", "", WARNING),
    ],
)
def test_a_name_that_other_airflows_have_too_warns(configured, name, status):
    assert rules.judge_deployment(configured, name).status is status


def test_a_pool_must_exist_and_count_deferred_tasks():
    assert rules.judge_pool("p", exists=False, includes_deferred=False, slots=0).status is FAILED
    assert rules.judge_pool("p", exists=True, includes_deferred=False, slots=3).status is WARNING
    assert rules.judge_pool("p", exists=True, includes_deferred=True, slots=3).status is OK


@pytest.mark.parametrize(
    ("version", "status"), [("3.3.2", OK), ("3.2.9", FAILED), ("2.11.0", FAILED), ("3.4.0rc1", WARNING)]
)
def test_airflow_is_judged_by_its_minor_version(version, status):
    assert rules.judge_airflow(version).status is status


@pytest.mark.parametrize(
    ("is_file", "executors", "status"),
    [(True, [], OK), (True, ["CeleryExecutor"], WARNING), (False, ["CeleryExecutor"], OK)],
)
def test_a_file_is_no_cost_table_for_many_machines(is_file, executors, status):
    found = rules.judge_cost_table("sqlite:///x", is_file=is_file, is_ready=True, executors=executors)
    assert found.status is status


def test_specs_are_counted_and_broken_ones_named():
    assert rules.judge_specs("jobs", 2, ()).status is OK
    assert rules.judge_specs("jobs", 0, ()).status is WARNING
    broken = rules.judge_specs("jobs", 2, ["jobs/a.yaml:1:1: model: is missing"])
    assert (broken.status, "jobs/a.yaml:1:1" in broken.found) == (FAILED, True)


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("gs://bucket/out/{{ run_date }}/", "gs://bucket/out/"),
        ("gs://bucket/out/", "gs://bucket/out/"),
        ("gs://bucket/{{ run_date }}", "gs://bucket/"),
        ("gs://bucket/in/*.jsonl", "gs://bucket/in/"),
        ("gs://bucket", ""),
        ("gs://{{ params.bucket }}/out/", ""),
        ("gs://team-{{ team }}/out/", ""),
        ("bq://project.dataset", ""),
        ("", ""),
    ],
)
def test_the_folder_of_an_output_is_what_comes_before_its_template(uri, folder):
    assert rules.literal_folder(uri) == folder


def test_one_folder_of_each_bucket_is_enough():
    folders = {("a", "gs://one/x/"), ("a", "gs://one/b/"), ("b", "gs://one/y/"), ("a", "gs://two/z/")}
    assert rules.one_per_bucket(folders) == [
        ("a", "gs://one/b/"),
        ("a", "gs://two/z/"),
        ("b", "gs://one/y/"),
    ]
