from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.text import Text

from tests.builders import a_delivery
from vertex_batch import __version__
from vertex_batch.budgets import BudgetRequest, Decision, Estimate, Ledger, Ruling
from vertex_batch.cli.main import COMMANDS
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts, Total, exact
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.usage import Kind, Modality, Tier, UsageKey
from vertex_batch.usage.plain import IS_COMPILED

REPOSITORY = Path(__file__).resolve().parents[3]
GOOD = "model: gemini-4-hydrogen\ninputs: gs://bucket/in.jsonl\noutput: gs://bucket/out/\n"
NIGHT = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)


def line(
    model: str = "gemini-2.5-flash", tokens: int = 1_000_000, price: str | None = "0.15", **changes
) -> LineItem:
    per_token = None if price is None else Decimal(price) / 1_000_000
    given = {
        "model": model,
        "kind": Kind.INPUT,
        "modality": Modality.TEXT,
        "tier": Tier.STANDARD,
        "tokens": tokens,
        "unit_price_usd": per_token,
        "amount_usd": None if per_token is None else per_token * tokens,
        "basis": None if price is None else Basis.BATCH_RATE,
        "source": "" if price is None else "model_info",
        "price_date": None if price is None else date(2026, 11, 1),
        "reason": "no source has a rate for it" if price is None else "",
    }
    return LineItem(**given | changes)


def bill(job_id: str, *items: LineItem, **facts) -> Bill:
    job = {
        "project": "my-project",
        "location": "us-central1",
        "job_id": job_id,
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": "SUCCEEDED",
        "spec": "nightly",
        "team": "search",
        "run_id": "scheduled__2026-11-22",
        "logical_date": NIGHT,
    }
    usage = {UsageKey(item.model, item.kind, item.modality, item.tier): item.tokens for item in items}
    rows = RowCounts(ok=9, failed=1)
    return Bill(JobFacts(**job | facts), rows, items, recorded_at=NIGHT, usage=usage)


@pytest.fixture
def url(tmp_path) -> str:
    url = f"sqlite:///{tmp_path}/costs.db"
    table = CostTable(url)
    saving = {
        "standard_unit_price_usd": Decimal("3e-07"),
        "standard_amount_usd": Decimal("0.3"),
        "standard_source": "model_info",
    }
    alike = {"standard_unit_price_usd": Decimal("1.25e-06"), "standard_amount_usd": Decimal("0.25")}
    output = line(kind=Kind.OUTPUT, price="1.25", tokens=200_000, **alike)
    table.record(bill("111", line(**saving), output))
    earlier = NIGHT.replace(day=21)
    table.record(
        bill("222", line(price=None), line(model="other"), spec="weekly", team="", logical_date=earlier)
    )
    return url


class TestValidate:
    def test_good_specs_are_counted_and_give_status_0(self, run, tmp_path):
        (tmp_path / "a.yaml").write_text(GOOD)
        (tmp_path / "b.yml").write_text(GOOD)

        assert run("validate", tmp_path) == (0, "", "2 specs valid\n")

    def test_a_spec_is_named_as_in_a_plan(self, run, tmp_path, monkeypatch):
        (tmp_path / "nested").mkdir()
        (tmp_path / "nested" / "nightly.yaml").write_text(GOOD)
        (tmp_path / "weekly.yaml").write_text(GOOD)
        monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
        assert run("validate", "nightly") == (0, "", "1 spec valid\n")
        said = (
            "vertex-batch: There is no spec `nigtly`; there are: nightly, weekly; did you mean `nightly`?\n"
        )
        for command in ("validate", "plan", "check", "retry-rows"):
            run_id = ["a run"] if command == "retry-rows" else []
            assert run(command, "nigtly", *run_id) == (1, "", said)

    def test_every_problem_of_every_file_is_printed_and_gives_status_1(self, run, tmp_path):
        (tmp_path / "a.yaml").write_text(GOOD + "nam: x\nretries: many\n")
        (tmp_path / "b.yaml").write_text("model: [")
        (tmp_path / "c.yaml").write_text(GOOD)

        status, out, err = run("validate", tmp_path)

        assert status == 1
        assert [text.removeprefix(f"{tmp_path}/").split(": ")[:2] for text in out.splitlines()] == [
            ["a.yaml:4:1", "nam"],
            ["a.yaml:5:10", "retries"],
            ["b.yaml:2:1", "is not YAML"],
        ]
        assert err == "3 problems in 2 files; 1 spec valid\n"

    def test_the_budgets_beside_the_folder_are_checked_too(self, run, tmp_path):
        specs = tmp_path / "jobs"
        specs.mkdir()
        (specs / "a.yaml").write_text(GOOD)
        (tmp_path / "budgets.yaml").write_text("teams: {search: {per_month: {refuse: 7}}}")
        assert run("validate", specs)[0] == 0
        (tmp_path / "budgets.yaml").write_text("teams: {search: {per_month: {refuse: lots}}}")
        status, out, err = run("validate", specs)
        assert (status, err) == (1, "1 problem in 1 file; 1 spec valid\n")
        assert "budgets.yaml:1:38: teams.search.per_month.refuse: must be a number: US dollars" in out

    def test_a_schedule_without_a_start_date_is_noted_and_valid(self, run, tmp_path):
        (tmp_path / "bare.yaml").write_text(GOOD + "schedule: '@daily'\n")
        (tmp_path / "since.yaml").write_text(GOOD + "schedule: '@daily'\nstart_date: 2026-11-01\n")
        (tmp_path / "once.yaml").write_text(GOOD + "schedule: '@once'\n")
        status, out, err = run("validate", tmp_path)
        note, summary = err.splitlines()
        assert (status, out, summary) == (0, "", "3 specs valid")
        assert note.startswith(f"{tmp_path}/bare.yaml: note: `schedule` without `start_date`")

    @pytest.mark.parametrize(
        ("cron", "said"),
        [
            ("* 2 * * *", "60 runs a day, each with a job that is paid for. For once a day at 02:00, write"),
            ("* * * * *", "1,440 runs a day, each with a job that is paid for. For 24 runs a day, write"),
            ("*/30 * * * *", "48 runs a day, each with a job that is paid for."),
            ("30 2 * * *", ""),
            ("0 * * * *", ""),
            ("@quarterly", ""),
        ],
    )
    def test_a_schedule_with_runs_less_than_an_hour_apart_is_noted_and_valid(self, run, tmp_path, cron, said):
        (tmp_path / "a.yaml").write_text(GOOD + f"schedule: '{cron}'\nstart_date: 2026-11-01\n")
        status, out, err = run("validate", tmp_path)
        *notes, summary = err.splitlines()
        assert (status, out, summary) == (0, "", "1 spec valid")
        better = f" `0{cron[1:]}`." if "write" in said else ""
        whole = f"{tmp_path}/a.yaml: note: `schedule: {cron}`: {said}{better}"
        assert notes == ([whole] if said else [])

    def test_a_model_that_stops_is_noted_and_a_retired_one_is_a_problem(self, run, tmp_path):
        path = tmp_path / "a.yaml"
        path.write_text(GOOD.replace("gemini-4-hydrogen", "gemini-2.5-flash"))
        status, out, err = run("validate", tmp_path, "--on", "2027-03-31")
        assert (status, out) == (0, "")
        assert err.startswith(f"{path}: note: job a: gemini-2.5-flash stops: its last day is 2027-03-31")
        status, out, _ = run("validate", tmp_path, "--on", "2027-04-01")
        assert status == 1
        assert out.startswith(f"{path}:1:1: model: gemini-2.5-flash was retired: its last day was 2027-03-31")

    @pytest.mark.parametrize(
        ("to", "schedule", "more", "said"),
        [
            ("a.jsonl", "@daily", "", "`results.to` is the same file in each run"),
            ("{{ job_name }}.jsonl", "@daily", "", "`results.to` is the same file in each run"),
            ("{{ run_date }}.jsonl", "@daily", "", ""),
            ("a.jsonl", "@once", "", ""),
            ("{{ run_date }}.jsonl", "@daily", "retry_rows: {reasons: [invalid]}", "with `answer: text`"),
            ("{{ run_date }}.jsonl", "@daily", "retry_rows: {reasons: [truncated]}", ""),
        ],
    )
    def test_deliveries_that_surprise_are_noted_and_valid(self, run, tmp_path, to, schedule, more, said):
        results = f"results: {{to: 'gs://bucket/answers/{to}'}}\n{more}\n"
        cron = f"schedule: '{schedule}'\nstart_date: 2026-11-01\n"
        (tmp_path / "a.yaml").write_text(GOOD + cron + results)
        status, out, err = run("validate", tmp_path)
        *notes, summary = err.splitlines()
        assert (status, out, summary) == (0, "", "1 spec valid")
        assert [said in note for note in notes] == ([True] if said else [])

    def test_two_jobs_that_deliver_to_the_same_file_are_noted(self, run, tmp_path):
        for name, to in (("a", "{{ run_date }}"), ("b", "{{run_date}}"), ("c", "{{ job_name }}")):
            text = f"results: {{to: 'gs://bucket/answers/{to}.jsonl'}}\n"
            (tmp_path / f"{name}.yaml").write_text(GOOD + text)
        note, _ = run("validate", tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml")[
            2
        ].splitlines()
        assert note.startswith(
            f"{tmp_path}/b.yaml: note: job b: delivers to gs://bucket/answers/{{{{ run_date }}}}.jsonl, as"
            f" {tmp_path}/a.yaml, job a does. Only one delivery can be there. It is usually the later one."
        )

    def test_two_jobs_of_a_run_that_deliver_to_the_same_file_are_noted(self, run, tmp_path):
        text = "results: {to: 'gs://bucket/answers.jsonl'}\njobs: {one: {}, two: {}}\n"
        (tmp_path / "a.yaml").write_text(GOOD + text)
        note, _ = run("validate", tmp_path)[2].splitlines()
        assert "job two: delivers to gs://bucket/answers.jsonl" in note
        assert "Both are of the same run and may be written at the same time" in note

    def test_json_has_the_same_for_machines(self, run, tmp_path):
        (tmp_path / "a.yaml").write_text(GOOD + "nam: x\n")
        (tmp_path / "c.yaml").write_text(GOOD)

        status, out, err = run("validate", "--format", "json", tmp_path)

        assert (status, err) == (1, "")
        assert json.loads(out) == {
            "specs": [{"name": "c", "file": f"{tmp_path}/c.yaml"}],
            "notes": [],
            "problems": [
                {
                    "file": f"{tmp_path}/a.yaml",
                    "line": 4,
                    "column": 1,
                    "path": "nam",
                    "message": "is not a known key; did you mean `name`?",
                }
            ],
        }

    def test_the_examples_are_checked_where_nothing_is_named(self, run, monkeypatch):
        monkeypatch.chdir(REPOSITORY)

        status, out, err = run("validate")

        assert (status, out) == (0, "")
        assert err.endswith("specs valid\n")

    def test_one_name_in_two_places_is_an_error_of_both(self, run, tmp_path):
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "same.yaml").write_text(GOOD)

        status, out, _ = run("validate", tmp_path / "x", tmp_path / "y" / "same.yaml")

        assert status == 1
        assert len(out.splitlines()) == 2

    def test_a_file_that_is_named_twice_is_read_once(self, run, tmp_path):
        (tmp_path / "a.yaml").write_text(GOOD)

        assert run("validate", tmp_path, tmp_path / "a.yaml")[0] == 0

    @pytest.mark.parametrize(("name", "problem"), [("gone.yaml", "No such file"), ("", "contains no spec")])
    def test_what_is_not_there_is_an_error(self, run, tmp_path, name, problem):
        status, out, _ = run("validate", tmp_path / name)

        assert status == 1
        assert problem in out


def test_the_schema_is_the_committed_one(run):
    assert run("schema")[:2] == (0, (REPOSITORY / "include/job-spec.schema.json").read_text())


class TestCost:
    def test_totals_and_jobs_are_shown_with_what_is_not_known(self, run, url):
        status, out, _ = run("cost", "--url", url)

        assert status == 0
        rows = [[cell.strip() for cell in text.split("│")[1:-1]] for text in out.splitlines() if "│" in text]
        assert ["nightly", "2026-11-22", "1", "10.00 %", "1,200,000", "44.444444", "0.15", "0.40"] in rows
        thousand = "at least 16.666667"
        weekly = ["weekly", "2026-11-21", "1", "10.00 %", "2,000,000", thousand, "unknown", "at least 0.15"]
        assert weekly in rows
        assert ["total", "", "", "", "3,200,000", "", "at least 0.15", "at least 0.55"] in rows
        jobs = [row for row in rows if len(row) == 12]
        assert [(row[0], row[1], row[4], *row[9:]) for row in jobs] == [
            ("2026-11-22", "nightly", "SUCCEEDED", "0.15", "0.40", "111"),
            ("2026-11-21", "weekly", "SUCCEEDED", "unknown", "at least 0.15", "222"),
        ]

    def test_what_is_billed_by_characters_has_no_number_of_tokens_as_on_the_pages(self, run, tmp_path):
        url, item = f"sqlite:///{tmp_path}/characters.db", line(kind=Kind.INPUT_CHARACTER)
        CostTable(url).record(bill("7", item, spec="texts"))
        out = run("cost", "--url", url)[1]
        rows = [[cell.strip() for cell in text.split("│")[1:-1]] for text in out.splitlines() if "│" in text]
        by_name = {len(row): row for row in rows if "texts" in row}
        assert (by_name[8][4], by_name[12][8]) == ("-", "-")
        assert ["total", "", "", "", "-", "", "unknown", "0.15"] in rows

    def test_no_id_is_broken_over_lines(self, run, tmp_path):
        url, job_id = f"sqlite:///{tmp_path}/long.db", "1234567890123456789"
        run_id = "scheduled__2026-11-22T02:30:00.123456+00:00__and_then_some_more_of_a_name"
        spec = "a_spec_with_a_name_that_is_as_long_as_the_names_of_specs_may_be"
        job = JobFacts("p", "us-central1", job_id, spec=spec, dag_id=spec, run_id=run_id, model="m" * 60)
        CostTable(url).record(Bill(job, RowCounts(ok=1), ()))
        out = run("cost", "--url", url)[1]
        assert all(name in out for name in (job_id, run_id, spec, "m" * 60))
        assert run_id in run("bill", job_id, "--url", url)[1]
        assert job_id not in run("cost", "--url", url, "--limit", "0")[1]

    @pytest.mark.parametrize("width", [60, 90, 120])
    def test_on_a_terminal_a_table_fits_and_names_what_it_leaves_out(self, run, url, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        out = run("cost", "--url", url)[1]
        lines = [Text.from_ansi(line).cell_len for line in out.splitlines() if "│" in line]
        assert max(lines) <= max(width, 75)
        assert "Not shown, for lack of width" in out
        assert all(name in out for name in ("111", "222", "nightly", "weekly", "at least 0.15"))

    def test_a_grouping_prints_its_totals_alone_unless_jobs_are_asked_for(self, run, url):
        assert "Jobs" in run("cost", "--url", url)[1]
        assert "Jobs" not in run("cost", "--url", url, "--by", "spec")[1]
        assert "Jobs" in run("cost", "--url", url, "--by", "spec", "--limit", "5")[1]

    def test_bill_shows_a_recorded_job_by_its_id(self, run, url):
        wanted = run("bill", "111", "--url", url)[1]
        for name in ("111", "my-project/us-central1/111"):
            assert run("bill", name, "--url", url)[:2] == (0, wanted)
        status, _, err = run("bill", "333", "--url", url)
        assert (status, "no job 333" in err) == (1, True)

    def test_a_spec_whose_first_run_goes_on_has_no_bill_yet(self, run, url, tmp_path, monkeypatch):
        monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
        text = "model: gemini-3.8-flash\ninputs: gs://bucket/a.jsonl\noutput: gs://bucket/out/\n"
        (tmp_path / "reviews.yaml").write_text(text)
        for name, what in (("reviews", "The spec reviews has no bill yet."), ("other", "no job other.")):
            status, _, err = run("bill", name, "--url", url)
            assert (status, what in err) == (1, True)

    def test_bill_shows_the_latest_job_of_a_spec_and_says_which(self, run, url):
        latest = "nightly is a spec. This is the bill of its latest job, my-project/us-central1/"
        file = "include/jobs/nightly.yaml"
        for command in (["bill", "nightly"], ["bill", file]):
            status, out, err = run(*command, "--url", url)
            assert (status, latest in err) == (0, True)
            job = err.partition(latest)[2].partition(" ")[0].rstrip(":\n")
            assert out == run("bill", job, "--url", url)[1]
        status, out, _ = run("bill", "nightly", "--url", url, "--json")
        assert (status, json.loads(out)["job"]["spec"]) == (0, "nightly")

    def test_json_says_what_batch_saved_the_failed_share_and_what_a_thousand_rows_cost(self, run, url):
        nightly, weekly = json.loads(run("cost", "--url", url, "--json")[1])["totals"]
        assert nightly["saved"] == {"amount_usd": "0.150000000000", "complete": True}
        assert (nightly["failed_share"], nightly["usd_per_thousand_rows"]) == ("0.100000", "44.444444")
        assert weekly["saved"] == {"amount_usd": "0.000000000000", "complete": False}
        one = json.loads(run("bill", "111", "--url", url, "--json")[1])
        assert (one["saved"]["amount_usd"], one["failed_share"]) == ("0.150000000000", "0.100000")

    @pytest.mark.parametrize(
        ("by", "groups"),
        [
            ("spec", {"nightly": "0.4", "weekly": "0.15"}),
            ("day", {"2026-11-21": "0.15", "2026-11-22": "0.4"}),
            ("model", {"gemini-2.5-flash": "0.4", "other": "0.15"}),
            ("team", {"": "0.15", "search": "0.4"}),
        ],
    )
    def test_sums_are_exact_by_every_grouping(self, run, url, by, groups):
        status, out, _ = run("cost", "--url", url, "--by", by, "--json")

        data = json.loads(out)
        assert status == 0
        assert {total["group"]: Decimal(total["amount_usd"]) for total in data["totals"]} == {
            name: Decimal(amount) for name, amount in groups.items()
        }
        assert Decimal(data["total"]["amount_usd"]) == Decimal("0.55")
        assert data["total"]["complete"] is False

    def test_days_choose_from_first_to_last_inclusive(self, run, url):
        def jobs(*days):
            return [
                job["job"]["job_id"]
                for job in json.loads(run("cost", "--url", url, "--json", *days)[1])["jobs"]
            ]

        assert jobs("--since", "2026-11-22") == ["111"]
        assert jobs("--until", "2026-11-21") == ["222"]
        assert jobs("--since", "2026-11-21", "--until", "2026-11-22") == ["111", "222"]

    def test_the_latest_jobs_are_listed_and_it_is_said_that_there_are_more(self, run, url):
        data = json.loads(run("cost", "--url", url, "--limit", "1", "--json")[1])

        assert [job["job"]["job_id"] for job in data["jobs"]] == ["111"]
        assert data["more_jobs"] is True
        assert "There are more" in run("cost", "--url", url, "--limit", "1")[1]

    def test_without_any_job_it_says_so(self, run, url):
        assert run("cost", "--url", url, "--since", "2030-01-01")[:2] == (
            0,
            "No jobs were billed in this period.\n",
        )

    @pytest.mark.parametrize(
        "job",
        ["222", "my-project/us-central1/222", "projects/9/locations/us-central1/batchPredictionJobs/222"],
    )
    def test_the_bill_of_one_job_shows_each_line_item_and_why_one_has_no_price(self, run, url, job):
        status, out, _ = run("bill", job, "--url", url)

        assert status == 0
        assert "my-project/us-central1/222" in out
        assert "9 ok, 1 failed (10.00 %), 0 unreadable" in out
        assert "no source has a rate for it" in out
        assert "unknown" in out
        assert "model_info of 2026-11-01" in out
        assert "at least 0.15" in out

    def test_what_a_job_was_expected_to_cost_stands_on_its_bill(self, run, url):
        job = bill("111").job
        asks = BudgetRequest("key", job.project, job.location, job.model, "nightly", job.run_id, "submit")
        low, middle, high = (Decimal(amount) for amount in ("0.2", "0.5", "0.9"))
        ledger = Ledger(CostTable(url))
        ledger.claim(
            asks, Estimate(Total(middle, complete=True), low, high), [], lambda _: Decision(Ruling.GO)
        )
        assert json.loads(run("bill", "111", "--url", url, "--json")[1])["expected"] is None
        ledger.submitted("key", "111")
        outcome = "20 % less than expected, inside the range"  # it is 0.40 USD
        assert f"0.50 USD (0.20 to 0.90); the bill is {outcome}" in run("bill", "--url", url, "111")[1]
        found = json.loads(run("bill", "111", "--url", url, "--json")[1])
        assert found["outcome"] == outcome
        told = found["expected"]
        assert (told["low_usd"], told["expected_usd"], told["high_usd"]) == ("0.2", "0.5", "0.9")

    def test_what_was_delivered_of_a_job_is_on_its_bill(self, run, url):
        table = CostTable(url)
        table.record(bill("444", line(), dag_id="nightly", run_id="night", task_id="submit"))
        assert json.loads(run("bill", "444", "--url", url, "--json")[1])["deliveries"] == []
        to = "gs://out/[red]answers.csv"
        table.record_delivery(a_delivery(answers_uri=to), files_changed=True)
        out = run("bill", "444", "--url", url)[1]
        assert "20 input rows = 17 delivered + 3 exceptions (2 failed, 1 transient)" in out
        assert to in out
        [told] = json.loads(run("bill", "444", "--url", url, "--json")[1])["deliveries"]
        assert (told["exceptions"], told["answers_uri"]) == (3, to)
        assert told["reasons"] == {"transient": 1, "failed": 2}
        assert told["delivered_at"] == "2026-11-22T04:12:00+00:00"

    def test_the_bill_in_json_is_exact(self, run, url):
        data = json.loads(run("bill", "111", "--url", url, "--json")[1])

        assert data["total"] == {"amount_usd": "0.400000000000", "complete": True}
        assert [Decimal(item["amount_usd"]) for item in data["line_items"]] == [
            Decimal("0.15"),
            Decimal("0.25"),
        ]
        assert data["job"]["logical_date"] == "2026-11-22T02:30:00+00:00"
        assert data["day"] == "2026-11-22"

    def test_text_of_a_bill_is_never_taken_for_markup(self, run, url):
        CostTable(url).record(bill("333", line(), note="[bold]not bold[/] [/]", run_id="[red]x"))

        assert "[bold]not bold[/] [/]" in run("bill", "333", "--url", url)[1]
        assert "[red]x" in run("cost", "--url", url)[1]

    def test_a_job_in_two_locations_has_to_be_named_in_full(self, run, url):
        CostTable(url).record(bill("111", line(), location="us-east1"))

        status, _, err = run("bill", "111", "--url", url)

        assert status == 1
        assert "my-project/us-central1/111 and my-project/us-east1/111" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["bill", "999"], "The cost table has no job 999."),
            (["cost", "--since", "2026-11-22", "--until", "2026-11-21"], "is after --until"),
        ],
    )
    def test_what_cannot_be_shown_is_a_message_and_status_1(self, run, url, arguments, message):
        status, out, err = run(*arguments, "--url", url)

        assert (status, out) == (1, "")
        assert err.startswith("vertex-batch: ")
        assert message in err

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("sqlite:////nowhere/costs.db", "There is no cost table at /nowhere/costs.db"),
            ("no url", "it is not a valid database URL"),
            ("mysql://user:secret@host/db", "only SQLite and PostgreSQL are supported"),
            ("postgresql://user:secret@127.0.0.1:1/db", "Cost table postgresql"),
        ],
    )
    def test_a_table_that_is_not_there_is_a_message_without_its_password(self, run, url, message):
        status, out, err = run("cost", "--url", url)

        assert (status, out) == (1, "")
        assert message in err
        assert "secret" not in err
        assert not Path("/nowhere").exists()

    def test_a_file_that_is_no_database_is_a_message(self, run, tmp_path):
        (tmp_path / "costs.db").write_text("no database at all" * 100)

        status, _, err = run("cost", "--url", f"sqlite:///{tmp_path}/costs.db")

        assert status == 1
        assert "file is not a database" in err

    def test_the_table_is_found_by_its_airflow_connection(self, run, url, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_MY_COSTS", json.dumps({"conn_type": "sqlite", "host": url[10:]}))

        status, out, _ = run("cost", "--connection", "my_costs", "--json")

        assert status == 0
        assert len(json.loads(out)["jobs"]) == 2

    def test_a_connection_that_is_not_defined_is_a_message(self, run):
        status, _, err = run("cost", "--connection", "nobody_knows")

        assert status == 1
        assert "'nobody_knows' for the cost table is not defined" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["costs"], "invalid choice: 'costs'"),
        (["cost", "--since", "yesterday"], "`yesterday` is not a valid day, such as 2026-11-01"),
        (["cost", "--limit", "-1"], "not a non-negative integer"),
        (["cost", "--by", "color"], "invalid choice: 'color'"),
        (["cost", "--url", "x", "--connection", "y"], "not allowed with"),
    ],
)
def test_wrong_use_is_explained_and_gives_status_2(run, arguments, message):
    status, _, err = run(*arguments)

    assert status == 2
    assert message in err


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("1.5", "1.50"),
        ("0.000000123400", "0.0000001234"),
        ("1234567.891", "1,234,567.891"),
        ("1E+3", "1,000.00"),
        ("1E-12", "0.000000000001"),
    ],
)
def test_an_amount_is_written_exactly(amount, shown):
    assert exact(Decimal(amount)) == shown


def shell(command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins"), "PYTHON": sys.executable}
    program = "\"$PYTHON\" -c 'import sys; from vertex_batch.cli import main; sys.exit(main())'"
    return subprocess.run(
        ["bash", "-c", command.replace("vertex-batch", program)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
        check=False,
    )


def test_the_version_says_how_outputs_are_read(run):
    reader = "compiled" if IS_COMPILED else "msgspec"
    assert run("--version") == (0, f"vertex-batch {__version__} (reads plain rows with: {reader})\n", "")


@pytest.mark.parametrize("command", ["schema | true", 'get "$PYTHON" | head -c 1'])
def test_a_reader_that_has_seen_enough_causes_no_traceback(command):
    done = shell(f"set -o pipefail; vertex-batch {command}")

    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_describes_itself(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert out.startswith(f"usage: vertex-batch {name} ")
    assert COMMANDS[name][1] in " ".join(run("--help")[1].split())


def test_the_list_of_commands_imports_none_of_them():
    done = shell(
        '"$PYTHON" -c \'import sys; from vertex_batch.cli.main import build_parser; build_parser();'
        ' print(sorted({"pydantic", "httpx", "vertex_batch.specs"} & set(sys.modules)))\''
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_validating_needs_neither_airflow_nor_a_database_nor_rich():
    done = shell(
        '"$PYTHON" -c \'import sys; from vertex_batch.cli import main; main(["validate"]);'
        ' print(sorted({"airflow", "sqlalchemy", "rich", "pandas", "google.auth"} & set(sys.modules)))\''
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
