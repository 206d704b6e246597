from __future__ import annotations

import pytest

from vertex_batch.specs import TEMPLATE_DATES
from vertex_batch.specs.templates import template_problem


@pytest.mark.parametrize("name", sorted(TEMPLATE_DATES))
def test_every_date_name_may_be_used(name):
    assert template_problem(f"gs://b/{{{{ {name} }}}}.jsonl") is None


@pytest.mark.parametrize(
    "text",
    [
        "no template at all",
        "{{ params.region }}",
        "{{ run_date | replace('-', '/') }}",
        "{{ dag_run.run_after | ds_nodash }}",
        "{% for day in [run_date, next_run_date] %}{{ day }}{% endfor %}",
        "{% set x = run_date %}{{ x }}",
        "{{ macros.ds_add(run_date, 7) }}",
        "{# a comment #}",
    ],
)
def test_what_renders_in_every_run_is_accepted(text):
    assert template_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ ds }}", "`ds` is undefined in a run without a logical date: use `run_date`"),
        ("{{ logical_date }}", "use `run_date`"),
        ("{{ data_interval_start | ds }}", "use `previous_run_date`"),
        ("{{ run_dat }}", "`run_dat` is not a valid template name; did you mean `run_date`?"),
        ("{{ zzz }}", "the dates are next_run_date, previous_run_date, run_date"),
        ("{{ run_date | dsnodash }}", "`dsnodash` is not a valid template filter; did you mean `ds_nodash`?"),
        ("{{ run_date", "is not a valid template"),
        ("{{ run_date }} {% if %}", "is not a valid template"),
        ("{{ " + "(" * 20_000 + " }}", "is nested too deeply"),
    ],
)
def test_what_would_fail_in_a_run_is_refused_with_its_repair(text, problem):
    assert problem in template_problem(text)


def test_a_template_is_only_parsed_never_computed():
    assert template_problem("{{ 10 ** 10 ** 10 ** 10 }}") is None


@pytest.mark.parametrize(
    "text",
    [
        "{{ run_date }}{{ nope }}",
        "{{{ run_date }}",
        "{{ run_date }}}{{ nope }}",
        "{{ run_{{ run_date }}",
        "{{ run_date }}{% if %}",
        "{{{{ run_date }} nope }}",
        "{% raw %}{{ run_date }}",
    ],
)
def test_a_known_name_hides_nothing_beside_it(text):
    assert template_problem(text)
