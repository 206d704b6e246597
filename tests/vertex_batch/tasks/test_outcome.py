"""What a task says of its end: in its log, and to the page of its run."""

from __future__ import annotations

import logging
import traceback
from decimal import Decimal

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from vertex_batch.budgets import Estimate
from vertex_batch.costs import Total
from vertex_batch.errors import ConfigurationError, TransientError
from vertex_batch.preflight import PreflightError
from vertex_batch.tasks.outcome import (
    OUTCOME_XCOM,
    DryRunEnd,
    DryRunResult,
    end_dry_run,
    explained,
    is_command,
    note,
)

log = logging.getLogger("task")


def said(context):
    return context["ti"].xcoms.get(("submit", OUTCOME_XCOM))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConfigurationError("No such bucket: gs://b. Check gs://b.c"), AirflowFailException),
        (TransientError("No such bucket: gs://b. Check gs://b.c"), TransientError),
        (AirflowException("No such bucket: gs://b. Check gs://b.c"), AirflowException),
        (AirflowSkipException("No such bucket: gs://b. Check gs://b.c"), AirflowSkipException),
    ],
)
def test_each_sentence_of_a_reason_has_a_line_of_its_own(context, caplog, error, raised):
    with caplog.at_level("INFO", logger="task"), pytest.raises(raised), explained(context, log):
        raise error
    assert [record.getMessage() for record in caplog.records] == ["No such bucket: gs://b.", "Check gs://b.c"]
    assert said(context) == {"message": "No such bucket: gs://b. Check gs://b.c"}


def test_what_a_task_noted_is_kept_together(context):
    with explained(context, log):
        note(context, log, "Answered before.")
        note(context, log, "Did you mean `x`?", is_logged=True)
    assert said(context) == {"message": "Answered before.\nDid you mean `x`?", "is_note": True}


def test_what_a_task_noted_is_kept_after_the_reason_of_its_failure(context):
    def fail():
        note(context, log, "Did you mean `x`?")
        raise TransientError("No such model")

    with pytest.raises(TransientError), explained(context, log):
        fail()
    assert said(context)["message"].splitlines() == ["No such model", "Did you mean `x`?"]


def test_a_reason_of_many_lines_is_logged_once(context, caplog):
    error = PreflightError(["gs://b/a.jsonl:1: no request", "gs://b/a.jsonl:7: no contents"])
    with pytest.raises(AirflowFailException) as raised, explained(context, log):
        raise error
    logged = [record.getMessage() for record in caplog.records]
    as_airflow_logs_it = "".join(traceback.format_exception(raised.value))
    first, second = error.lines
    assert (logged.count(f"{first}."), as_airflow_logs_it.count(first)) == (1, 1)
    assert (logged.count(second), as_airflow_logs_it.count(second)) == (1, 0)
    assert str(raised.value).endswith("Nothing was submitted and nothing was spent. See the log above.")
    said_first, *others = said(context)["message"].splitlines()
    assert said_first.startswith(first)
    assert others == [second]


@pytest.mark.parametrize("error", [AirflowRescheduleException(None), KeyError("a bug"), KeyboardInterrupt()])
def test_what_is_not_an_end_or_is_a_bug_passes_as_it_is(context, error):
    with pytest.raises(type(error)), explained(context, log):
        raise error
    assert said(context) is None


def test_a_task_that_succeeds_says_nothing(context):
    with explained(context, log):
        pass
    assert said(context) is None


def test_a_key_in_a_message_is_in_no_log_and_no_xcom(context, caplog):
    with pytest.raises(AirflowFailException), explained(context, log):
        raise ConfigurationError("Refused: Bearer abcdefgh, sk-0123456789")
    assert said(context) == {"message": "Refused: Bearer ***, ***"}
    assert "0123456789" not in caplog.text


@pytest.mark.parametrize(
    ("of_the_error", "in_a_task", "in_a_command"),
    [
        ("Then run this again.", "Then clear `submit`.", "Then rerun this command."),
        ("Run this again to ask again.", "Clear `submit` to ask again.", "Rerun this command to ask again."),
        (
            "Or clear the submit task to pay.",
            "Or clear the submit task to pay.",
            "Or rerun with --again to pay.",
        ),
        ("Clearing the submit task pays.", "Clearing the submit task pays.", "Rerunning with --again pays."),
    ],
)
def test_a_message_names_the_task_to_clear_and_in_a_command_how_to_rerun_it(
    context, of_the_error, in_a_task, in_a_command
):
    for is_in_command, told in ((False, in_a_task), (True, in_a_command)):
        token = is_command.set(is_in_command)
        with pytest.raises(AirflowFailException, match=told), explained(context, log):
            raise ConfigurationError(of_the_error)
        assert said(context)["message"] == told
        is_command.reset(token)


def test_a_long_message_is_cut_at_a_word(context):
    with pytest.raises(AirflowFailException), explained(context, log):
        raise ConfigurationError("again and " * 300)
    assert said(context)["message"].endswith((" again …", " and …"))


def test_an_airflow_that_does_not_answer_does_not_hide_the_reason(context, monkeypatch):
    def refuse(**_):
        raise OSError("no supervisor")

    monkeypatch.setattr(context["ti"], "xcom_push", refuse)
    with pytest.raises(AirflowFailException, match="No such bucket"), explained(context, log):
        raise ConfigurationError("No such bucket")


def test_a_dry_run_says_rows_cost_and_request_and_that_nothing_was_submitted(context, caplog):
    expected = Estimate(Total(Decimal("0.077"), complete=True), Decimal("0.05"), Decimal("0.2"), rows=60)
    with caplog.at_level("INFO"), pytest.raises(DryRunEnd), explained(context, log):
        end_dry_run(context, log, '{\n  "model": "m"\n}', rows=60, found=DryRunResult(expected))
    assert [record.getMessage() for record in caplog.records] == [
        "The request of the job would be:",
        "{",
        '  "model": "m"',
        "}",
        "Dry run: 60 rows would cost about 0.077 USD (0.05 to 0.20).",
        "Nothing was submitted.",
        "Nothing is billed.",
    ]
    assert (said(context)["rows"], said(context)["expected"]["high_usd"]) == (60, "0.2")
    assert said(context)["request"] == '{\n  "model": "m"\n}'


def test_a_dry_run_without_numbers_says_so(context):
    with pytest.raises(DryRunEnd, match="An unknown number of rows would cost an unknown amount"):
        end_dry_run(context, log, "{}", rows=None, found=DryRunResult())
