"""Schedules that are more than a cron expression, and who is told of what."""

from __future__ import annotations

import pytest

from vertex_batch.specs import load_spec, load_specs
from vertex_batch.specs.events import Events

SMALL = "model: m\ninputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\n"


@pytest.mark.parametrize(
    "schedule",
    [
        "{cron: '@daily'}",
        "{assets: [nightly, other/job, 's3://bucket/key']}",
        "{assets: [nightly], when: any, cron: '30 2 * * *'}",
        "{timetable: airflow.sdk.CronTriggerTimetable, arguments: {expression: '@daily', timezone: UTC}}",
    ],
)
def test_a_schedule_may_be_a_mapping(write, schedule):
    assert isinstance(load_spec(write(f"{SMALL}schedule: {schedule}")).schedule, Events)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("schedule: {}", "4:11: schedule: is not set: set at least one of `cron`, `assets` or `timetable`"),
        ("schedule: {corn: x}", "4:12: schedule.corn: is not a known key; did you mean `cron`?"),
        ("schedule: {cron: 30 2 * *}", "4:18: schedule.cron: `30 2 * *` is not a valid schedule"),
        ("schedule: [a]", "4:11: schedule: must be a string, not a list"),
        ("schedule: {assets: nightly}", "4:20: schedule.assets: must be a list"),
        ("schedule: {assets: [A b]}", "4:21: schedule.assets[0]: `A b` is neither a spec"),
        (
            "schedule: {assets: [a], when: some}",
            "4:31: schedule.when: must be `all` or `any`, not the string `some`",
        ),
        ("schedule: {timetable: nope}", "4:23: schedule.timetable: `nope` is not a valid import path"),
        (
            "schedule: {timetable: nope.Nope}",
            "4:23: schedule.timetable: module `nope` is not installed: install its package",
        ),
        (
            "schedule: {timetable: airflow.sdk.CronTriggerTimetable, cron: '@daily'}",
            "4:23: schedule.timetable: cannot be combined with `cron` or `assets`",
        ),
        ("schedule: {cron: '@daily', arguments: {a: 1}}", "schedule.arguments: need a timetable"),
        ("catchup: true\nstart_date: 2026-01-01\nschedule: {assets: [a]}", "catchup: needs a schedule"),
        ("notify: [{on: [failed]}]", "`failed` is not one of failure, late, cost; did you mean `failure`?"),
        ("notify: [{notifier: airflow.sdk.nope.Nope}]", "module `airflow.sdk.nope` is not installed"),
        (
            "notify: [{notifier: airflow.sdk.bases.notifier.Nope}]",
            "4:21: notify[0].notifier: module `airflow.sdk.bases.notifier` has no `Nope`",
        ),
        (
            "notify: [{arguments: {token: abc}}]",
            "4:22: notify[0].arguments: seem to contain a secret in `token`",
        ),
        ("notify: [{arguments: {a: [{b: sk-1234567890abcdef}]}}]", "contain a secret in `a.b`"),
        (
            "notify: [{telegram: x}]",
            "telegram: is not a known key; the keys are on, notifier, arg",
        ),
        ("notify: [{notifer: x}]", "notify[0].notifer: is not a known key; did you mean `notifier`?"),
        ("budget: {per_rum: {warn: 1}}", "budget.per_rum: is not a known key; did you mean `per_run`?"),
        ("budget: {per_run: {wran: 1}}", "budget.per_run.wran: is not a known key; did you mean `warn`?"),
        ("owner_link: chat.example.com", "4:13: owner_link: is not a valid link: use `https://...`"),
        ("owner_link: javascript://x", "is not a valid link"),
        ("expected_cost_usd: '3'", "must be a number: US dollars"),
        ("expected_cost_usd: 0", "must be more than 0 US dollars"),
        ("pool: ''", "pool"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_repair(problems, line, problem):
    found = [str(each) for each in problems(SMALL + line)]

    assert any(each.startswith(problem) or problem in each for each in found), found
    assert len(found) == (2 if "corn" in line else 1)


@pytest.mark.parametrize(
    "arguments",
    ["{slack_conn_id: slack}", "{smtp_auth_conn_id: x}", "{token: '{{ var.value.token }}'}", "{to: [a, b]}"],
)
def test_the_id_of_a_connection_is_no_secret(write, arguments):
    assert load_spec(write(f"{SMALL}notify: [{{arguments: {arguments}}}]")).notify[0].arguments


def test_a_spec_can_wait_only_for_an_output_that_is_announced(write, tmp_path):
    write(SMALL + "asset: true", "nightly.yaml")
    write(SMALL + "jobs: {a: {asset: true}, b: {}}", "group.yaml")
    write("model: [", "broken.yaml")
    waiting = "schedule: {assets: [nightly, group/a, broken, 'gs://elsewhere/x']}"
    write(SMALL + waiting, "good.yaml")
    bad = write(SMALL + "schedule:\n  assets: [nightli, group/b]", "bad.yaml")

    found = load_specs(tmp_path)

    assert "good" in found.specs
    assert "bad" not in found.specs
    (error,) = (error for error in found.errors if error.file == str(bad))
    nothing = "no spec has `asset: true` for the output"
    assert [str(problem) for problem in error.problems] == [
        f"5:12: schedule.assets[0]: {nothing} `nightli`; did you mean `nightly`?",
        f"5:21: schedule.assets[1]: {nothing} `group/b`; did you mean `group/a`?",
    ]
    assert load_spec(bad).name == "bad"
