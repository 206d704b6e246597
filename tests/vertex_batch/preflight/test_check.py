"""What strict, warn and off do with what was found."""

from __future__ import annotations

import gzip
import logging
import pickle
from dataclasses import replace

import fsspec
import pytest

from vertex_batch.errors import InputMissingError
from vertex_batch.preflight import (
    Mode,
    PreflightError,
    RowRules,
    Subject,
    inspect,
    listing_of,
    preflight,
)
from vertex_batch.storage import ObjectStorage

LOG = logging.getLogger("test")
GOOD = b'{"request": {"contents": [{"parts": [{"text": "x"}]}]}}\n'


@pytest.fixture
def put(tmp_path):
    def put(data: bytes) -> Subject:
        (tmp_path / "in.jsonl").write_bytes(data)
        return Subject(
            "gemini-2.5-flash", "us-central1", [f"file://{tmp_path}/*.jsonl"], f"file://{tmp_path}/out/"
        )

    return put


def storage() -> ObjectStorage:
    return ObjectStorage(fsspec.filesystem("file"))


def test_a_good_input_passes_and_is_counted(put, caplog):
    caplog.set_level(logging.INFO)
    report = preflight(put(GOOD * 3), Mode.STRICT, storage, None, LOG)
    assert report
    assert (report.rows, report.objects, report.size_bytes) == (3, 1, 3 * len(GOOD))
    assert "3 rows in 1 object," in caplog.text


def test_findings_are_those_of_the_same_objects_model_and_key_in_each_form_of_the_model(put):
    found = storage().find(put(GOOD).uris)
    rules = RowRules("gemini-2.5-flash", "id")
    same = replace(rules, model="publishers/google/models/gemini-2.5-flash")
    assert listing_of(found, same) == listing_of(found, rules)
    for other in (replace(rules, model="gemini-2.5-pro"), replace(rules, key="name")):
        assert listing_of(found, other) != listing_of(found, rules)


def test_strict_refuses_a_hopeless_job_and_says_where_what_and_that_nothing_was_spent(put):
    subject = put(GOOD + b"no\n")
    with pytest.raises(PreflightError) as error:
        preflight(subject, Mode.STRICT, storage, None, LOG)
    text = str(error.value)
    assert "/in.jsonl:2: is not JSON" in text.partition("\n")[0]
    assert "nothing was spent" in text
    assert "preflight: warn" not in text


@pytest.mark.parametrize("fails_whole_job", [True, False])
def test_submitting_anyway_is_offered_only_where_rows_fail_alone(fails_whole_job):
    error = PreflightError(["in.jsonl:1: no contents"], fails_whole_job=fails_whole_job)
    for same in (error, pickle.loads(pickle.dumps(error))):
        assert ("set `preflight: warn`" in str(same)) is not fails_whole_job


def test_gzip_is_refused_unless_the_input_is_unpacked_before_it_is_submitted(put):
    subject = put(gzip.compress(GOOD * 3))  # its name does not say so
    with pytest.raises(PreflightError, match=r"/in\.jsonl: is gzip.*remove `split: off`"):
        preflight(subject, Mode.STRICT, storage, None, LOG)
    report = inspect(replace(subject, may_be_split=True), storage(), None)
    assert (report.is_hopeless, report.rows, report.packed) == (False, 3, 1)


@pytest.mark.parametrize(
    ("bad", "limits", "warning"),
    [
        (
            4,
            {"max_failed_ratio": 0.39},
            "4 of 10 rows (40.00%) are certain to fail, more than `max_failed_ratio: 0.39` allows, so the",
        ),
        (4, {"max_failed_ratio": 0.4}, ""),
        (
            4,
            {"max_failed_ratio": 0.5, "results.max_exceptions_ratio": 0.05},
            "more than `results.max_exceptions_ratio: 0.05` allows",
        ),
        (4, {}, ""),
        (10, {"max_failed_ratio": 0.1}, ""),  # refused, or reported, as a job without any answer
    ],
)
def test_rows_that_are_certain_to_fail_are_compared_with_what_fails_the_run(
    put, caplog, bad, limits, warning
):
    bad_row = b'{"request": {"contents": [{"role": "system", "parts": [{"text": "x"}]}]}}\n'
    subject = replace(put(GOOD * (10 - bad) + bad_row * bad), failure_limits=limits)
    report = preflight(subject, Mode.WARN, storage, None, LOG)
    assert report
    assert (report.rows, report.bad_rows) == (10, bad)
    assert warning in caplog.text
    assert ("certain to fail, more than" in caplog.text) is bool(warning) is report.exceeds_limits
    if report.is_hopeless:
        with pytest.raises(PreflightError) as error:
            preflight(subject, Mode.STRICT, storage, None, LOG)
        first = str(error.value).partition("\n")[0]
        assert f"/in.jsonl:{11 - bad}: request.contents[].role: is 'system'" in first
        assert "Nothing was submitted and nothing was spent" in first
        assert "set `preflight: warn`" in first
        if warning:
            assert "Correct these rows or raise the limit" in first
    else:
        assert preflight(subject, Mode.STRICT, storage, None, LOG)


def test_warn_says_so_and_goes_on(put, caplog):
    report = preflight(put(GOOD + b"no\n"), Mode.WARN, storage, None, LOG)
    assert report
    assert "/in.jsonl:2: is not JSON" in caplog.text


def test_off_opens_nothing(put):
    def never():
        raise AssertionError

    assert preflight(put(b""), Mode.OFF, never, None, LOG) is None


def test_a_row_that_fails_alone_stops_nobody_in_strict_mode(put, caplog):
    assert preflight(put(GOOD + b'{"request": {"labels": {"a": "b"}}}\n'), Mode.STRICT, storage, None, LOG)
    assert "this row fails" in caplog.text


def test_a_missing_input_stops_strict_and_warns_warn(tmp_path, caplog):
    subject = Subject("gemini-2.5-flash", "us-central1", [f"file://{tmp_path}/no.jsonl"], "bq://p")
    with pytest.raises(InputMissingError):
        preflight(subject, Mode.STRICT, storage, None, LOG)
    assert preflight(subject, Mode.WARN, storage, None, LOG) is None
    assert "no.jsonl" in caplog.text


def test_a_table_is_not_looked_into_and_no_storage_is_opened(caplog):
    def never():
        raise AssertionError

    subject = Subject("gemini-2.5-flash", "us-central1", ["bq://p.d.t"], "bq://p.d")
    assert preflight(subject, Mode.STRICT, never, None, LOG)
    assert "BigQuery table are not checked" in caplog.text
