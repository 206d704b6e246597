from datetime import UTC, datetime

import pytest

from local.emulator.envelope import ApiError
from local.emulator.filters import Listed, compile_filter

JOB = Listed(
    display_name="my_job_17",
    model_display_name="gemini-2.5-flash",
    state="JOB_STATE_RUNNING",
    create_time=datetime(2026, 5, 18, 12, tzinfo=UTC),
    labels={"keyA": "valueA", "airflow-job-key": "abc123"},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ('display_name="my_job_17"', True),
        ("display_name=my_job_17", True),
        ('display_name != "my_job_17"', False),
        ('display_name:"my_job_*"', True),
        ('display_name:"*_17"', True),
        ('display_name:"my_job"', False),
        ('display_name="my_job_*"', False),
        ('NOT display_name="my_job"', True),
        ('model_display_name="gemini-2.5-flash"', True),
        ('model_display_name!="gemini-2.5-flash"', False),
        ('state="JOB_STATE_RUNNING"', True),
        ('state!="JOB_STATE_FAILED" OR display_name="other"', True),
        ('state="JOB_STATE_SUCCEEDED" AND display_name:"my_job_*"', False),
        ('create_time>"2026-05-18T00:00:00Z"', True),
        ('create_time>="2026-05-18T14:00:00+02:00"', True),
        ('create_time<"2026-05-18T12:00:00Z"', False),
        ('create_time<="2026-05-18T12:00:00Z"', True),
        ('create_time="2026-05-18T12:00:00.000000Z"', True),
        ('create_time!="2026-05-18T12:00:00Z"', False),
        ("labels.keyA=valueA", True),
        ("labels.keyA:*", True),
        ("labels.keyB:*", False),
        ('labels.airflow-job-key="abc123"', True),
        ('labels."airflow-job-key"="abc123"', True),
        ("labels.keyA=other", False),
        ("NOT (labels.keyA=valueA OR labels.keyB:*)", False),
        # OR binds tighter than AND.
        ('display_name="no" AND labels.keyA=valueA OR labels.keyA:*', False),
        ('(display_name="no" AND labels.keyA=valueA) OR labels.keyA:*', True),
        (r'display_name="a \"quoted\" name"', False),
    ],
)
def test_a_filter_finds_what_the_documentation_says(text, found):
    assert compile_filter(text)(JOB) is found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("display_name", "expected an operator"),
        ("display_name=", "expected a value"),
        ("display_name>a", "does not support '>'"),
        ("state:RUNNING", "does not support ':'"),
        ('state="RUNNING"', "not a job state"),
        ("labels.a!=b", "does not support '!='"),
        ("colour=red", "unknown field 'colour'"),
        ("create_time>yesterday", "RFC 3339"),
        ('create_time>"2026-05-18T00:00:00"', "RFC 3339"),
        ("display_name=a display_name=b", "unexpected 'display_name'"),
        ("display_name=a AND", "expected a field"),
        ("display_name=a and labels.b:*", "unexpected 'and'"),
        ("(display_name=a", "expected ')'"),
        ("display_name=a)", "unexpected ')'"),
        ("display_name=*", "expected a value"),
        ('display_name="a', "unexpected character"),
        ("NOT NOT display_name=a", "expected a field"),
        ("display_name=AND", "expected a value"),
    ],
)
def test_what_the_grammar_does_not_know_is_refused(text, reason):
    with pytest.raises(ApiError) as caught:
        compile_filter(text)
    assert caught.value.status == "INVALID_ARGUMENT"
    assert reason in caught.value.message
