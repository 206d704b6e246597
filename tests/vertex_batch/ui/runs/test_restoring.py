"""How the answers of a run are put back into the file of its spec."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import a_delivery
from tests.vertex_batch.results.nights import Night, a_request, answered, failed
from vertex_batch.cli.main import main
from vertex_batch.costs import JobCost, JobFacts, RowCounts, Total
from vertex_batch.specs.results import Results
from vertex_batch.ui.runs.restoring import MAX_NAMED, restoring, what_stays
from vertex_batch.vertex.labels import RETRY_LABEL, RETRY_OF_LABEL

CREATED = datetime(2026, 11, 22, 2, tzinfo=UTC)
HAVE = "have no answer. To send only"
COMMAND = "run `vertex-batch retry-rows nightly"
LATER = f"{COMMAND} later`."
RESULTS = Results(to="gs://bucket/{{ run_date }}/answers.csv", key="ticket", answer="json", keep=["who"])


def a_job(number, *, output="gs://b/out/", inputs=("gs://b/in.jsonl",), rows=3, **facts):
    job = JobFacts(
        "p",
        "us-central1",
        str(number),
        model="m",
        task_id="submit",
        dag_id="nightly",
        run_id="night",
        output_directory=f"{output}{number}",
        input_uris=inputs,
        create_time=CREATED + timedelta(hours=number),
    )
    made = {name: getattr(job, name) for name in job.__slots__} | facts
    return JobCost(JobFacts(**made), RowCounts(ok=rows), Total(Decimal(1), complete=True), 1, ())


def beside(**changes):
    made = {"answers_uri": "gs://b/1/answers.night.csv", "delivered_at": CREATED + timedelta(1), **changes}
    return a_delivery(**made)


@pytest.mark.parametrize(
    ("hours", "delivered", "stays"), [(0, 4, True), (0, 3, True), (0, 2, False), (5, 4, False)]
)
def test_answers_stay_if_a_later_job_of_the_run_has_no_more(hours, delivered, stays):
    found = a_delivery(delivered=delivered, delivered_at=CREATED + timedelta(hours=hours))
    said = f"The {delivered} answers that were delivered before stay at {found.answers_uri}."
    assert what_stays(found, [a_job(1)], None) == (said if stays else "")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (None, "stay at {}."),
        ({"delivered_at": CREATED, "exceptions": 0}, "stay at {}, where each row has its answer."),
        (
            {"delivered_at": CREATED, "exceptions": 1},
            f"stay at {{}}; 1 of its rows has no answer. To send only this one again, {LATER}",
        ),
        (
            {"delivered_at": CREATED, "exceptions": 2, "retry_of": "first run"},
            f"stay at {{}}; 2 of its rows {HAVE} these again, {COMMAND} 'first run'`.",
        ),
        (
            {"delivered_at": CREATED, "exceptions": 2, "reasons": {"failed": 1, "blocked": 1}},
            "stay at {}; 2 of its rows have no answer. Sent again unchanged, they would fail again.",
        ),
        (
            {"delivered_at": CREATED, "exceptions": 2, "reasons": {"failed": 1, "truncated": 1}},
            f"stay at {{}}; 2 of its rows {HAVE} these again, {LATER}",
        ),
        (
            {"delivered_at": CREATED, "exceptions": 2, "job_name": "one"},
            f"stay at {{}}; 2 of its rows {HAVE} these again, {COMMAND} later --job one`.",
        ),
        # This run was cleared since: its last jobs have other rows without an answer.
        (
            {"run_id": "night", "delivered_at": CREATED, "exceptions": 2},
            "stay at {}; 2 of its rows have no answer.",
        ),
        ({"delivered": 20, "exceptions": 0}, "were at {} until run later replaced them with 20."),
        (
            {},
            f"were at {{}} until run later replaced them with 17; 3 of its rows {HAVE} these again, {LATER}",
        ),
    ],
)
def test_what_is_said_of_a_better_delivery_is_about_what_is_there_now(now, said):
    found = beside(kept_at="gs://b/1/answers.csv", kept_answers=18)
    later = {"run_id": "later", "delivered_at": CREATED + timedelta(2)}
    there = None if now is None else a_delivery(**{**later, **now}, answers_uri=found.kept_at)
    expected = f"The 18 answers that were delivered before {said.format(found.kept_at)}"
    assert what_stays(found, [], there) == expected


def test_rows_that_were_sent_again_after_a_delivery_do_not_leave_nothing_to_do():
    later = [a_job(1, task_id="retry_1.submit", labels={RETRY_LABEL: "1"})]
    found = a_delivery(delivered=7, delivered_at=CREATED)
    assert what_stays(found, later, None) == ""
    assert what_stays(found, [a_job(1), *later], None) != ""


def test_a_delivery_that_is_where_it_belongs_needs_nothing():
    own = a_delivery(answers_uri="gs://b/1/answers.csv")
    assert restoring(own, [a_job(1)], (RESULTS, None)) is None
    assert restoring(beside(), [a_job(1)], None) is None
    named = RESULTS.model_copy(update={"to": "gs://b/1/answers.{{ run_id }}.csv"})
    assert restoring(beside(), [a_job(1)], (named, None)) is None


@pytest.mark.parametrize("name", ["night", "night.2", "nightly.night", "nightly.night.3"])
def test_the_command_names_the_address_that_a_delivery_is_beside(name):
    delivery = a_delivery(answers_uri=f"gs://b/1/answers.{name}.csv")
    found = restoring(delivery, [a_job(1)], (RESULTS, "/specs/s.json"))
    assert found.to == "gs://b/1/answers.csv"
    assert found.command == (
        "vertex-batch results gs://b/out/1 --input gs://b/in.jsonl --to gs://b/1/answers.csv --key ticket"
        " --answer json --schema /specs/s.json --keep who --model m --location us-central1 --day 2026-11-22"
        " --replace"
    )


def test_a_replaced_delivery_is_made_of_the_last_submission_and_the_retries_of_its_rows():
    again = {"task_id": "retry_1.submit", "labels": {RETRY_LABEL: "1"}, "inputs": ("gs://b/rows.jsonl",)}
    jobs = [a_job(4, **again), a_job(3), a_job(2, **again), a_job(1), a_job(5, rows=0, task_id="b")]
    found = restoring(beside(replaced_by="later"), jobs, (RESULTS, None))
    assert found.to == "gs://b/1/answers.night.csv"
    assert list(found.outputs) == ["gs://b/out/3", "gs://b/out/4"]
    assert "--input gs://b/in.jsonl --to" in found.command


@pytest.mark.parametrize(
    ("jobs", "options"),
    [
        ([a_job(1)], None),
        ([], (RESULTS, None)),
        ([a_job(1, input_uris=())], (RESULTS, None)),
        ([a_job(1, labels={RETRY_OF_LABEL: "earlier"})], (RESULTS, None)),
        ([a_job(1, inputs=tuple(f"gs://b/{n}" for n in range(MAX_NAMED)))], (RESULTS, None)),
    ],
)
def test_there_is_no_command_where_it_would_not_make_the_same_delivery(jobs, options):
    assert restoring(beside(replaced_by="later"), jobs, options).command == ""


def test_the_command_puts_the_answers_back(tmp_path, capsys):
    night = Night(tmp_path)
    asked = [{"ticket": f"t{n}", "request": a_request(f"question {n}")} for n in range(2)]
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "zero"), failed(asked[1])])
    night.add_output(1, [answered(asked[1], "one")])
    folders = [output for attempt in night.attempts for output in attempt.outputs]
    to = tmp_path / "better.jsonl"
    to.write_text("better")
    labels: list[dict[str, str]] = [{}, {RETRY_LABEL: "1"}]
    jobs = [
        a_job(n, inputs=(str(night.inputs[0]),), labels=labels[n], output_directory=str(folder))
        for n, folder in enumerate(folders)
    ]
    plain = RESULTS.model_copy(update={"answer": "text", "keep": []})
    delivery = a_delivery(answers_uri=str(tmp_path / "better.night.jsonl"))
    command = shlex.split(restoring(delivery, jobs, (plain, None)).command)
    assert main(command[1:]) == 0
    rows = [json.loads(line) for line in Path(to).read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["zero", "one"]


def test_a_delivery_without_answers_has_nothing_to_restore():
    assert restoring(a_delivery(delivered=0, replaced_by="later"), [], None) is None
