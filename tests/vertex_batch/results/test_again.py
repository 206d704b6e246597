"""Which rows of ended jobs are sent again: the decisions, as tables, and the files."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pytest

from vertex_batch.inputs import JobLimits
from vertex_batch.results import JobChain, Reason, ResultSettings, RetryCollector
from vertex_batch.results.again import futile_reasons, wanted_reasons
from vertex_batch.storage import ObjectStorage
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import BatchPredictionJob

PLACE = Place("demo-project", "us-central1")


def a_job(state: str = "SUCCEEDED", stats: dict[str, int] | None = None, **fields: Any) -> BatchPredictionJob:
    given = {"name": "7", "state": f"JOB_STATE_{state}", "completionStats": stats, **fields}
    return BatchPredictionJob.model_validate(given)


def a_chain(*jobs: BatchPredictionJob) -> JobChain:
    return JobChain(PLACE, jobs)


@pytest.mark.parametrize(
    ("names", "stopped_early", "wanted"),
    [
        (["transient"], False, {Reason.TRANSIENT}),
        (["transient"], True, {Reason.TRANSIENT, Reason.MISSING}),
        (["truncated"], True, {Reason.TRUNCATED}),  # what no job has reached is not a matter of this key
        (["invalid"], False, {Reason.NOT_JSON, Reason.SCHEMA}),
        (
            ["transient", "truncated", "invalid"],
            True,
            {Reason.TRANSIENT, Reason.MISSING, Reason.TRUNCATED, Reason.NOT_JSON, Reason.SCHEMA},
        ),
    ],
)
def test_permanent_and_blocked_rows_are_never_wanted(names, stopped_early, wanted):
    assert wanted_reasons(names, stopped_early=stopped_early) == wanted


@pytest.mark.parametrize(
    ("jobs", "stopped_early", "only_answers", "hopeless"),
    [
        ([a_job(stats={"successfulCount": 3})], False, True, False),
        ([a_job(stats={"successfulCount": 3, "failedCount": 1})], False, False, False),
        ([a_job(stats={"successfulCount": 3, "incompleteCount": 1})], True, False, False),
        ([a_job(stats={"successfulCount": 3, "incompleteCount": -1})], False, False, False),
        ([a_job()], False, False, False),  # without counts the outputs decide
        ([a_job("EXPIRED", {"successfulCount": 3})], True, False, False),
        ([a_job("CANCELLED", {"successfulCount": 3})], True, False, False),  # by its deadline
        ([a_job("FAILED", {"successfulCount": 3}, error={"code": 13})], True, False, False),
        ([a_job("FAILED", {"successfulCount": 3}, error={"code": 3})], True, False, True),
        ([a_job("FAILED", error={"code": 14}), a_job(stats={"successfulCount": 3})], True, False, False),
    ],
)
def test_what_the_counts_of_a_chain_say(jobs, stopped_early, only_answers, hopeless):
    chain = a_chain(*jobs)
    assert chain.may_have_stopped_early is stopped_early
    assert chain.has_only_answers is only_answers
    assert chain.is_hopeless is hopeless


@pytest.mark.parametrize(
    ("sent", "again", "futile"),
    [
        ({}, {"truncated": 5}, []),  # they were not sent before
        ({"truncated": 100}, {"truncated": 100}, ["truncated"]),
        ({"truncated": 100}, {"truncated": 91}, ["truncated"]),
        ({"truncated": 100}, {"truncated": 90}, []),
        ({"truncated": 100}, {}, []),
        ({"truncated": 1}, {"truncated": 1}, ["truncated"]),
        ({"truncated": 5}, {"truncated": 6}, []),  # a transient row became a truncated one
        ({"truncated": 100, "invalid": 10}, {"truncated": 99, "invalid": 5}, ["truncated"]),
    ],
)
def test_paid_rows_are_not_sent_a_third_time_if_the_second_hardly_helped(sent, again, futile):
    assert futile_reasons(sent, again) == futile


def test_a_job_without_rows_has_no_output_to_join():
    folder = {"outputInfo": {"gcsOutputDirectory": "gs://b/o"}}
    died = a_job("FAILED", {"incompleteCount": 9}, **folder)
    lived = a_job(stats={"successfulCount": 9}, **folder)
    assert [each.outputs for each in a_chain(died, lived).outputs] == [("gs://b/o",)]


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        (JobLimits(10), [5]),
        (JobLimits(2), [2, 2, 1]),
        (JobLimits(10, max_bytes=90), [2, 2, 1]),
        (JobLimits(10, max_bytes=1), [1, 1, 1, 1, 1]),  # Vertex says what it thinks of such a row
    ],
)
def test_files_are_filled_up_and_their_names_depend_on_their_content_alone(tmp_path, limits, sizes):
    fsspec = pytest.importorskip("fsspec")
    rows = [b'{"id": "r%d", "request": {"contents": "row"}}\n' % number for number in range(5)]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"".join(rows))
    dead = a_job("EXPIRED", {"incompleteCount": 5}, inputConfig={"gcsSource": {"uris": [str(source)]}})
    storage = ObjectStorage(fsspec.filesystem("file", auto_mkdir=False))

    def collected(name: str):
        collector = RetryCollector(
            storage,
            ResultSettings(key="id"),
            ["transient"],
            limits,
            work=tmp_path / name,
            log=logging.getLogger(__name__),
        )
        return collector.collect([a_chain(dead)])

    first, again = collected("first"), collected("again")
    assert [each.rows for each in first.files] == sizes
    assert b"".join(each.path.read_bytes() for each in first.files) == b"".join(rows)
    assert [each.digest for each in first.files] == [
        hashlib.sha256(each.path.read_bytes()).hexdigest() for each in first.files
    ]
    assert [each.digest for each in again.files] == [each.digest for each in first.files]
    assert first.sent == {Reason.MISSING: 5}
