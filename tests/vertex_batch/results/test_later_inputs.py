"""Which objects of an input were added after the job, as a table; and what happens to their rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from vertex_batch.results import Counts, ExtraKind, Reason, later_objects
from vertex_batch.results.delivery_facts import replaced_input
from vertex_batch.results.later_inputs import (
    ObjectRows,
    added_objects,
    may_be_added,
    newer_objects,
    readers,
    staged_uris,
)
from vertex_batch.storage import SourceObject

CREATED = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
PATTERN = "gs://b/in/*.jsonl"


def an_object(name: str, minutes: float | None) -> SourceObject:
    """An object that was written so many minutes after the job was created; None: its store does not say."""
    created = None if minutes is None else CREATED + timedelta(minutes=minutes)
    return SourceObject(f"gs://b/in/{name}.jsonl", 9, "1", created=created)


def a_job(*uris: str, hours: float | None = 0) -> SimpleNamespace:
    created = None if hours is None else CREATED + timedelta(hours=hours)
    return SimpleNamespace(input_uris=uris or (PATTERN,), create_time=created)


SHARD = an_object("_shards/1", -30)
OLD, SOON, LATE = an_object("old", -9), an_object("soon", 0.9), an_object("late", 2)


@pytest.mark.parametrize(
    ("objects", "jobs", "staged", "newer", "candidates"),
    [
        ([OLD, SOON], [a_job()], [], [], []),  # the clocks may differ by a minute
        ([OLD, SOON, LATE], [a_job()], [], [LATE], [LATE]),
        ([OLD, LATE], [], [], [], []),  # the command line knows no jobs
        ([OLD, LATE], [a_job(hours=None)], [], [], []),
        ([OLD, LATE], [a_job(), a_job(hours=None)], [], [], []),
        ([OLD, an_object("local", None)], [a_job()], [], [], []),
        ([OLD, LATE], [a_job(), a_job(hours=1)], [], [], []),  # it was submitted again, and read more
        ([OLD, LATE], [a_job(OLD.uri, LATE.uri)], [], [LATE], []),  # it was there: it was replaced
        ([LATE], [a_job()], [], [LATE], []),  # so it was, if a job reads at least one object
        # The input was split, an object came, and a person approved the jobs an hour later.
        ([OLD, SOON], [a_job(SHARD.uri)], [SHARD], [OLD, SOON], []),
        ([an_object("a", -40), OLD], [a_job(SHARD.uri)], [SHARD], [OLD], [OLD]),
        ([an_object("a", -40), OLD], [a_job("gs://b/in/a.jsonl", SHARD.uri)], [SHARD], [OLD], [OLD]),
        ([OLD, LATE], [a_job(SHARD.uri)], [None], [LATE], [LATE]),  # the shards are gone
        ([OLD, LATE], [a_job(SHARD.uri)], [an_object("_shards/1", None)], [], []),
    ],
)
def test_what_no_job_can_have_read_as_it_is(objects, jobs, staged, newer, candidates):
    found = newer_objects(objects, jobs, staged)
    assert found == newer
    assert may_be_added(found, objects, jobs) == candidates


@pytest.mark.parametrize(
    ("jobs", "staged"),
    [
        ([a_job()], []),
        ([a_job(OLD.uri)], []),
        ([a_job(OLD.uri, SHARD.uri), a_job(SHARD.uri)], [SHARD.uri]),
        ([a_job(SHARD.uri), a_job()], []),
    ],
)
def test_only_shards_are_looked_up(jobs, staged):
    assert staged_uris([OLD], jobs) == staged


@pytest.mark.parametrize(
    ("margin", "newer"),
    [(None, [LATE]), (timedelta(0), [SOON, LATE])],
)
def test_objects_within_the_margin_of_the_clocks_are_only_candidates(margin, newer):
    assert newer_objects([OLD, SOON, LATE], [a_job()], [], margin) == newer


@pytest.mark.parametrize(
    ("answered", "unknown_rows", "counted", "added", "doubtful"),
    [
        ({}, 0, None, [LATE], [SOON]),  # the clock alone
        ({}, 0, 300, [SOON, LATE], []),  # the run has counted the rows of the old object only
        ({}, 0, 400, [LATE], [SOON]),  # it has counted those of the object that came soon, too
        ({}, 0, 299, [LATE], [SOON]),
        ({LATE: 1}, 0, None, [], [SOON]),
        ({LATE: 1}, 0, 500, [SOON], []),
        ({SOON: 1}, 0, 300, [LATE], []),  # it was answered, whatever was counted
        ({SOON: 1, LATE: 1}, 0, 300, [], []),
        ({}, 1, 300, [], [SOON]),  # the job has read something that is not there any more
    ],
)
def test_an_object_is_counted_in_doubt(answered, unknown_rows, counted, added, doubtful):
    rows = {OLD: 300, SOON: 100, LATE: 200}
    listed = {each.uri: ObjectRows(n, answered.get(each, 0)) for each, n in rows.items()}
    found = added_objects([SOON, LATE], [LATE], listed, counted=counted, unknown_rows=unknown_rows)
    assert found == (added, {each.uri: rows[each] for each in doubtful})


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(), ""),
        (Counts(rewritten=("gs://b/a",)), ""),  # every row of it has its answer
        (Counts(added=("gs://b/a",)), "1 object was added to the input after the job was created: gs://b/a."),
        (
            Counts(added=tuple("abcde")),
            "5 objects were added to the input after .* a, b, c and 2 more. Their",
        ),
        (
            Counts(doubtful={"gs://b/2": 100}),
            "^gs://b/2 may .* after the start: all of its 100 rows are missing",
        ),
        (Counts(doubtful=dict.fromkeys("abcde", 1)), "a may .* c may .* 2 more"),
        (Counts(rewritten=("a",), exceptions={Reason.MISSING: 1}), "^1 object was written .* again after"),
        (Counts(rewritten=("a", "b"), other_prompts=1), "a, b. So some rows may not be those"),
    ],
)
def test_a_person_reads_what_happened_and_what_to_do(counts, words):
    told = later_objects(counts)
    assert bool(told) is bool(words)
    assert re.search(words, told)


@pytest.mark.parametrize(
    ("counts", "counted", "is_replaced"),
    [
        ({"exceptions": {Reason.MISSING: 4}}, 8, False),  # it was written again as it was
        ({"exceptions": {Reason.MISSING: 4}}, None, False),
        ({"exceptions": {Reason.MISSING: 4}}, 7, True),  # rows were appended
        ({"extra_rows": {ExtraKind.UNKNOWN: 1}}, 8, True),
        ({"extra_rows": {ExtraKind.DUPLICATE: 1}}, 8, False),
        ({"other_prompts": 1}, 8, True),
        ({"other_prompts": 1, "rewritten": ()}, 7, False),
    ],
)
def test_an_object_was_replaced_if_the_rows_say_so(counts, counted, is_replaced):
    found = replaced_input(Counts(**{"input_rows": 8, "rewritten": ("gs://b/in",), **counts}), counted)
    assert found == ("gs://b/in" if is_replaced else "")


def test_a_job_that_resumed_another_has_not_read_the_input():
    first, resumed = a_job(), a_job("gs://b/out/prediction-model-2026/*.jsonl", hours=1)
    assert readers([first, resumed]) == [first]
    assert readers([resumed]) == [resumed]  # a person submitted it like this
