"""What was meant by a URI or a label that is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_batch.specs.repairs import (
    blank_problem,
    label_suggestion,
    place_suggestion,
    placeholder_problem,
)
from vertex_batch.specs.templates import template_problem
from vertex_batch.specs.uris import checked_uri


@pytest.mark.parametrize(
    ("placeholder", "instead"),
    [
        ("{run_date}", "{{ run_date }}"),
        ("{rundate}", "{{ run_date }}"),
        ("{ds}", "{{ run_date }}"),
        ("{logical-date}", "{{ run_date }}"),
        ("{yesterday}", "{{ previous_run_date }}"),
        ("{previous_run_dat}", "{{ previous_run_date }}"),
        ("{run_date:%Y%m%d}", "{{ run_date | replace('-', '') }}"),
        ("${RUN_DATE}", "{{ run_date }}"),
        ("${run_hour}", "{{ run_hour }}"),
        ("${ENV}", "{{ var.value.env }}"),
        ("${my.env-name}", "{{ var.value.my_env_name }}"),
        ("$ENV", "{{ var.value.env }}"),
        ("$(date +%Y/%m/%d)", "{{ run_date | replace('-', '/') }}"),
        ("%(ds_nodash)s", "{{ run_date | replace('-', '') }}"),
        ("%Y-%m-%d", "{{ run_date }}"),
        ("%Y/%m/%d", "{{ run_date | replace('-', '/') }}"),
        ("%Y-%m", "{{ run_month }}"),
        ("%H", "{{ run_hour }}"),
        ("{}", "{{ run_date }}"),
        ("{", "{{ run_date }}"),
        ("{{ run_month }", "{{ run_month }}"),
        ("<run_date>", "{{ run_date }}"),
        ("@run_hour@", "{{ run_hour }}"),
        ("[[ run_date ]]", "{{ run_date }}"),
        ("YYYY-MM-DD", "{{ run_date }}"),
        ("yyyyMMdd", "{{ run_date | replace('-', '') }}"),
        ("YYYY/MM", "{{ run_month | replace('-', '/') }}"),
    ],
)
def test_a_placeholder_of_another_system_is_answered_with_a_template(placeholder, instead):
    problem = placeholder_problem(f"gs://bucket/{placeholder}/x.jsonl")
    assert f"`{placeholder}` is not a template here: use `{instead}`" in problem
    assert template_problem(instead) is None
    assert placeholder_problem(instead) is None


def test_it_is_found_beside_a_template():
    assert "`{day}`" in placeholder_problem("gs://bucket/{{ run_month }}/{day}.jsonl")


def test_a_template_that_is_never_rendered_is_one_too():
    assert "{% raw %}" in placeholder_problem("gs://bucket/{%- raw %}{{ run_date }}{% endraw %}/")


def test_braces_are_no_wildcard():
    assert "use one URI for each" in placeholder_problem("gs://bucket/{a,b}.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/plain/a-b_c.jsonl",
        "gs://bucket/{{ run_date }}/{% if params.x %}a{% endif %}{# note #}.jsonl",
        "gs://bucket/%20/%D0%b1/100%.jsonl",
        "gs://bucket/100%done.jsonl",
        "gs://bucket/cost$/5$.jsonl",
        "gs://bucket/[[:digit:]]/a@b/1<2>3.jsonl",
        "gs://bucket/{{ macros.datetime.now().strftime('%Y') }}.jsonl",
    ],
)
def test_what_is_no_placeholder_passes(text):
    assert placeholder_problem(text) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gs:/bucket/a.jsonl", "gs://bucket/a.jsonl"),
        ("gs:bucket/a.jsonl", "gs://bucket/a.jsonl"),
        ("gs:///bucket/a.jsonl", "gs://bucket/a.jsonl"),
        ("GS://bucket/a.jsonl", "gs://bucket/a.jsonl"),
        ("BQ:/project.dataset.table", "bq://project.dataset.table"),
        ("https://storage.googleapis.com/bucket/in/a%20b.jsonl?alt=media", "gs://bucket/in/a b.jsonl"),
        ("http://storage.cloud.google.com/bucket/a.jsonl", "gs://bucket/a.jsonl"),
        ("https://bucket.storage.googleapis.com/in/a.jsonl", "gs://bucket/in/a.jsonl"),
        ("https://storage.googleapis.com/storage/v1/b/bucket/o/in%2Fa.jsonl", "gs://bucket/in/a.jsonl"),
        ("https://console.cloud.google.com/storage/browser/bucket/in?project=p", "gs://bucket/in"),
        (
            "https://console.cloud.google.com/storage/browser/_details/bucket/in/a.jsonl;tab=live_object",
            "gs://bucket/in/a.jsonl",
        ),
        ("https://console.cloud.google.com/bigquery?p=prj&d=set&t=tab&page=table", "bq://prj.set.tab"),
    ],
)
def test_a_place_that_is_nearly_one_is_written_right(text, meant):
    assert place_suggestion(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a",
        "/data/a.jsonl",
        "https://example.com/a",
        "https://[",
        "https://storage.googleapis.com/",
    ],
)
def test_of_anything_else_nothing_is_guessed(text):
    assert place_suggestion(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gs://bucket/a ", "begins or ends with a blank: use `gs://bucket/a`"),
        ("\u00a0gs://bucket/a", "begins or ends with a blank: use `gs://bucket/a`"),
        ("gs://bucket/\u200ba", "U+200B, zero width space): use `gs://bucket/a`"),
        ("gs://bucket/a\t", "U+0009, a line break or another control character): use `gs://bucket/a`"),
        ("gs://bucket/a b", None),
        ("gs://buck/out /", "has a blank beside a slash: use `gs://buck/out/`"),
        ("gs://buck/ x.jsonl", "has a blank beside a slash: use `gs://buck/x.jsonl`"),
        ("gs://buck/a / b ", "begins or ends with a blank: use `gs://buck/a/b`"),
        ("gs://buck/{{ params.a / 2 }}/x", None),
    ],
)
def test_blanks_and_what_cannot_be_seen_are_told(text, problem):
    found = blank_problem(text)
    assert found is None if problem is None else problem in found


def test_a_label_is_suggested_where_one_is_near():
    assert label_suggestion(" Support Team ") == "; did you mean `support-team`?"
    assert label_suggestion("!!!") == ""


@given(st.text(max_size=60))
def test_nothing_that_is_written_breaks_the_suggestions(text):
    for suggest in (placeholder_problem, blank_problem, place_suggestion, label_suggestion):
        suggest(text)
        suggest(f"https://{text}")


@pytest.mark.parametrize(
    "text", ["gs://bucket/{run_date}/st/ ", "gs://bucket/{{ run_date }/in.jsonl", "gs://bucket/<run_date>/ a"]
)
def test_the_placeholder_of_a_uri_is_reported_before_its_blanks(text):
    with pytest.raises(ValueError, match=r"use `\{\{ run_date \}\}`"):
        checked_uri(text)
