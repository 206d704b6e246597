"""One job for each combination of a matrix, with a name that says which."""

from __future__ import annotations

import pytest

from vertex_batch.specs import load_spec

GRID = """\
output: gs://bucket/out/
jobs:
  judge:
    labels: {kind: verdict}
    matrix:
      model: [gemini-2.5-flash, publishers/google/models/gemini-2.5-pro]
      inputs:
        tickets: gs://bucket/in/{{ run_date }}/*.jsonl
        mails: [gs://bucket/mails/a.jsonl, gs://bucket/mails/b.jsonl]
  report:
    model: gemini-2.5-pro
    inputs: gs://bucket/report.jsonl
    after: [judge]
"""


def test_every_combination_is_a_job_with_a_readable_name(write):
    spec = load_spec(write(GRID))

    assert [(job.name, job.model.rsplit("/")[-1], len(job.inputs)) for job in spec.jobs[:-1]] == [
        ("judge_gemini-2-5-flash_tickets", "gemini-2.5-flash", 1),
        ("judge_gemini-2-5-flash_mails", "gemini-2.5-flash", 2),
        ("judge_gemini-2-5-pro_tickets", "gemini-2.5-pro", 1),
        ("judge_gemini-2-5-pro_mails", "gemini-2.5-pro", 2),
    ]
    assert all(job.labels == {"kind": "verdict"} for job in spec.jobs[:-1])


def test_waiting_for_the_entry_is_waiting_for_all_of_its_jobs(write):
    spec = load_spec(write(GRID))

    assert spec.jobs[-1].after == [job.name for job in spec.jobs[:-1]]


def test_one_of_the_jobs_may_be_named_as_well(write):
    spec = load_spec(write(GRID.replace("after: [judge]", "after: [judge_gemini-2-5-pro_mails]")))

    assert spec.jobs[-1].after == ["judge_gemini-2-5-pro_mails"]


def test_a_spec_of_one_job_may_have_a_matrix_too(write):
    spec = load_spec(
        write(
            "inputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\nmatrix: {model: [gemini-2.5-flash, m2]}"
        )
    )

    assert (spec.grouped, [job.name for job in spec.jobs]) == (True, ["gemini-2-5-flash", "m2"])


def test_an_axis_may_set_several_keys_at_once(write):
    spec = load_spec(
        write(
            """\
            model: gemini-2.5-flash
            labels: {env: prod}
            matrix:
              source:
                tickets: {inputs: gs://bucket/t.jsonl, output: gs://bucket/out/t/, labels: {from: tickets}}
                mails: {inputs: gs://bucket/m.jsonl, output: gs://bucket/out/m/, team: mail}
              resubmits: [0, 2]
            """
        )
    )

    assert [(job.name, job.output, job.resubmits, job.job_labels) for job in spec.jobs] == [
        ("tickets_resubmits-0", "gs://bucket/out/t/", 0, {"env": "prod", "from": "tickets"}),
        ("tickets_resubmits-2", "gs://bucket/out/t/", 2, {"env": "prod", "from": "tickets"}),
        ("mails_resubmits-0", "gs://bucket/out/m/", 0, {"team": "mail", "env": "prod"}),
        ("mails_resubmits-2", "gs://bucket/out/m/", 2, {"team": "mail", "env": "prod"}),
    ]


def test_a_problem_stands_at_the_value_of_the_axis_and_once(problems):
    found = problems(
        """\
        inputs: gs://bucket/in/*.jsonl
        matrix:
          model: [gemini-2.5-flash, two words]
          output: {one: gs://bucket/out/, two: gs://bucket/in/out/}
          source: {a: {taem: x}}
        """
    )

    assert [str(problem)[:58] for problem in found] == [
        shown[:58]
        for shown in (
            "3:29: matrix.model[1]: `two words` is not a valid model: use `gem",
            "4:40: matrix.output.two: is inside gs://bucket/in/, which `inputs` reads",
            "5:16: matrix.source.a.taem: is not a known key; did you mean `team`?",
        )
    ]


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ("[]", "4:9: matrix: must be a mapping of keys to values"),
        ("{}", "4:9: matrix: must be a mapping of keys to values"),
        ("{model: gemini-2.5-pro}", "4:17: matrix.model: must be a list of values"),
        ("{model: []}", "4:17: matrix.model: must be a list of values"),
        (
            "{modle: [a, b]}",
            "4:10: matrix.modle: is not a key of a job; did you mean `model`?",
        ),
        ("{model: [a, A]}", "4:21: matrix.model[1]: gives its job the same name `a` as an earlier value"),
        (
            "{labels: [{a: b}]}",
            "4:19: matrix.labels[0]: cannot be used as a job's name: use `labels: {NAME: ...}`",
        ),
        ("{source: {a: b}}", "4:22: matrix.source.a: must be a mapping of keys to values"),
        ("{model: {A: m}}", "4:18: matrix.model.A: `A` is not a valid name"),
        ("{resubmits: {1: 0, 2: 1}}", "creates a job with the name `1`"),
        (
            f"{{resubmits: [{', '.join(map(str, range(11)))}], team: [{', '.join('abcdefghij')}]}}",
            "4:9: matrix: creates 110 jobs, but a spec may have at most 100",
        ),
        ("{schedule: {a: '@daily'}}", "matrix.schedule.a: must be a mapping of keys to values"),
    ],
)
def test_a_matrix_that_makes_no_jobs_is_refused(problems, matrix, problem):
    text = "model: gemini-2.5-flash\ninputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\nmatrix: "
    found = [str(each) for each in problems(text + matrix)]

    assert found[0].startswith(problem) or problem in found[0], found


def test_a_matrix_beside_jobs_is_refused(problems):
    (found,) = problems(
        """\
        model: gemini-2.5-flash
        output: gs://bucket/out/
        matrix: {model: [a, b]}
        jobs: {a: {inputs: gs://bucket/a}}
        """
    )

    assert str(found).startswith("3:1: matrix: cannot be combined with `jobs`")


def test_a_name_that_two_entries_make_is_refused(problems):
    (found,) = problems(
        """\
        inputs: gs://bucket/a.jsonl
        output: gs://bucket/out/
        jobs:
          a: {matrix: {model: [m1, m2]}}
          a_m1: {model: m3}
        """
    )

    assert str(found) == "5:3: jobs.a_m1: creates a second job with the name `a_m1`: rename one of the two"
