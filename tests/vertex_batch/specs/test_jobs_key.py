"""Several jobs in one spec: what they share, how they wait for each other, and where their problems are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vertex_batch.specs import load_spec
from vertex_batch.specs.jobs_key import MAX_JOBS

TWO = """\
schedule: "@daily"
model: gemini-2.5-flash
output: gs://bucket/out/
team: support
labels: {product: tickets, env: prod}
jobs:
  summaries:
    inputs: gs://bucket/in/a.jsonl
    labels: {kind: summary, env: test}
  topics:
    model: gemini-2.5-pro
    inputs: gs://bucket/in/b.jsonl
    labels: {env: null}
    deadline: 12h
    after: [summaries]
"""


def test_what_stands_at_the_top_holds_for_every_job_that_does_not_say_otherwise(write):
    spec = load_spec(write(TWO))
    summaries, topics = spec.jobs

    assert (spec.name, spec.grouped, summaries.name, topics.name) == ("nightly", True, "summaries", "topics")
    assert (summaries.model, topics.model) == ("gemini-2.5-flash", "gemini-2.5-pro")
    assert (summaries.output, topics.output) == ("gs://bucket/out/", "gs://bucket/out/")
    assert (summaries.deadline, topics.deadline) == (timedelta(hours=97), timedelta(hours=12))
    assert (summaries.after, topics.after) == ([], ["summaries"])


def test_labels_are_put_together_and_an_empty_one_takes_the_shared_one_away(write):
    summaries, topics = load_spec(write(TWO)).jobs

    assert summaries.job_labels == {"team": "support", "product": "tickets", "kind": "summary", "env": "test"}
    assert topics.job_labels == {"team": "support", "product": "tickets"}


def test_a_spec_of_one_job_is_named_like_it_and_has_no_groups(write):
    spec = load_spec(write("model: gemini-2.5-flash\ninputs: gs://bucket/a\noutput: gs://bucket/out/"))

    assert (spec.grouped, [job.name for job in spec.jobs]) == (False, ["nightly"])


def test_a_problem_is_shown_where_the_value_was_written(problems):
    found = problems(
        """\
        model: vertex_ai/gemini-2.5-flash
        output: gs://bucket/out/
        shedule: "@daily"
        jobs:
          one:
            inputs: s3://bucket/a
            labels: {Env: x}
            pol_interval: 1m
          two:
            inputs: gs://bucket/out/*.jsonl
          three:
            schedule: "@daily"
            name: drei
        """
    )

    assert [str(problem)[:60] for problem in found] == [
        shown[:60]
        for shown in (
            "1:8: model: `vertex_ai/gemini-2.5-flash` is not a valid model: use `gem",
            "2:9: output: is inside gs://bucket/out/, which `inputs` reads: a later",
            "3:1: shedule: is not a known key; did you mean `schedule`?",
            "6:13: jobs.one.inputs: `s3://bucket/a` must begin with `gs://` or `bq",
            "7:14: jobs.one.labels.Env: `Env` is not a valid label key: expected a lowercase letter,",
            "8:5: jobs.one.pol_interval: is not a known key; did you mean `poll_interval`?",
            "12:5: jobs.three.inputs: is missing; for example `inputs: gs://my-",
            "12:5: jobs.three.schedule: applies to the whole spec, not to one job",
            "13:5: jobs.three.name: is not needed: the job's name is its key, `three`",
        )
    ]


def test_what_every_job_was_given_by_one_line_is_one_problem(problems):
    jobs = "\n".join(f"  job{n}: {{inputs: gs://bucket/in/{n}}}" for n in range(5))

    (found,) = problems(f"model: two words\noutput: gs://bucket/out/\njobs:\n{jobs}")

    assert (found.line, found.path) == (1, "model")


@pytest.mark.parametrize(
    ("jobs", "problem"),
    [
        ("[]", "3:7: jobs: must be a mapping of names to jobs"),
        ("{}", "3:7: jobs: must be a mapping of names to jobs"),
        ("{a: null}", "3:11: jobs.a: must be a mapping of keys to values"),
        ("{A: {inputs: gs://b0b/a}}", "3:8: jobs.A: `A` is not a valid job name"),
        ("{shards: {inputs: gs://b0b/a}}", "`shards` is the name of a task group inside a job"),
        (
            "{a: {inputs: gs://b0b/a, after: [b]}, bb: {inputs: gs://b0b/b}}",
            "3:40: jobs.a.after[0]: unknown job `b`; did you mean `bb`?",
        ),
        ("{a: {inputs: gs://b0b/a, after: [x]}}", "unknown job `x`; the jobs are a"),
        ("{a: {inputs: gs://b0b/a, after: b}}", "3:39: jobs.a.after: must be a list, not the string `b`"),
        (
            "{a: {inputs: gs://b0b/a, after: [1]}}",
            "3:40: jobs.a.after[0]: must be a string, not the number 1",
        ),
        ("{a: {inputs: gs://b0b/a, after: [a]}}", "jobs.a.after: waits for itself: a after a"),
        (
            "{a: {inputs: gs://b0b/a, after: [b]}, b: {inputs: gs://b0b/b, after: [a]}}",
            "waits for itself: ",
        ),
        (
            "{" + ", ".join(f"j{n}: {{inputs: gs://b0b/a}}" for n in range(MAX_JOBS + 1)) + "}",
            f"3:7: jobs: has {MAX_JOBS + 1} jobs, more than {MAX_JOBS}",
        ),
    ],
)
def test_jobs_that_do_not_hang_together_are_refused(problems, jobs, problem):
    found = [str(each) for each in problems(f"model: gemini-2.5-flash\noutput: gs://b0b/out/\njobs: {jobs}")]

    assert any(problem in text for text in found), found
    assert len(found) == 1


def test_after_is_of_a_job_among_others(problems):
    (found,) = problems(
        "model: gemini-2.5-flash\ninputs: gs://bucket/a\noutput: gs://bucket/out/\nafter: [other]"
    )

    assert str(found).startswith("4:1: after: is not a known key")
