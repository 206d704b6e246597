"""The pages over a real cost table."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tests.builders import a_delivery
from tests.vertex_batch.ui.conftest import HOSTILE, item
from vertex_batch.budgets import BudgetRequest, Decision, Estimate, Ledger, Ruling
from vertex_batch.costs import CostTable, Delivery, RowCounts, Total
from vertex_batch.usage import Kind, RowProblem
from vertex_batch.vertex.labels import SHARD_LABEL

PATHS = ("/", "/jobs", "/bill?job=1", "/run?dag_id=nightly&run_id=1", "/costs.csv", "/static/pages.css")


def test_the_overview_shows_this_month_and_last_month(pages):
    pages.record(item("1.5"), day=date(2026, 11, 3))
    pages.record(item("20.25"), day=date(2026, 10, 5))
    pages.record(item("100"), day=date(2026, 10, 30))
    text = words(pages.get("/").text)
    assert "This month 1.50 USD" in text
    assert "-93 % vs. 20.25 by this day last month" in text


def test_the_end_of_the_month_is_expected_only_if_the_month_has_jobs(pages):
    pages.record(item("1"), day=date(2026, 10, 30))
    assert "by the end of the month" not in pages.get("/").text
    pages.record(item("2"), day=date(2026, 11, 20))
    assert "3.61 expected by the end of the month" in words(pages.get("/").text)
    pages.record(item("1", model="gemini-9-ultra"), day=date(2026, 11, 20))  # no list has its price now
    assert "≥ 4.61 expected by the end of the month" in words(pages.get("/").text)


def test_the_overview_says_which_models_stop_and_what_their_successors_would_cost(pages):
    pages.record(item("1.5"))
    text = words(pages.get("/").text)
    assert "Models that stop gemini-2.5-flash stops: its last day is 2027-03-31" in text
    assert "Its jobs of the last 30 days cost 1.50 USD; today the same tokens would cost with" in text


@pytest.mark.parametrize(
    ("by", "name"),
    [("spec", "nightly"), ("model", "gemini-2.5-flash"), ("team", "search"), ("kind", "output")],
)
def test_spend_is_shown_by_what_the_address_says(pages, by, name):
    pages.record(item("1.5"))
    text = pages.get("/", by=by).text
    assert 'aria-label="Sun 22 Nov 2026: 1.50 USD"' in text
    assert f"Day (UTC) Total, USD {name} Sun 22 Nov 2026 1.50 1.50" in words(text)
    assert f"By {by}" in text


def test_a_sum_with_something_unpriced_is_an_at_least(pages):
    pages.record(item("1.5"), item(None, kind="thoughts"))
    text = words(pages.get("/").text)
    assert "This month ≥ 1.50 USD" in text
    assert "Spend by day 22 Nov 2026, UTC ≥ 1.50 USD" in text
    assert "thoughts 1,000,000 1 no price is known" in text
    assert "≥ marks a lower bound. 1 of 13 rows (7.7 %) could not be read." in text
    assert "about 0.15 USD is missing. Some usage has no price." in text


def test_a_page_with_amounts_says_once_that_they_are_rounded(pages):
    pages.record(item("0.333333"))
    said = "Amounts are rounded, so they may not add up to the last digit."
    found = [pages.get("/"), pages.get("/jobs"), pages.get("/bill", project="p", location="l", job="none")]
    assert [each.text.count(said) for each in found] == [1, 1, 0]


def test_an_unknown_cost_is_not_zero_dollars(pages):
    pages.record(item(None, model="gemini-9-ultra"), bill={"rows": RowCounts(ok=10)})
    text = words(pages.get("/").text)
    assert "1 job since yesterday, without a known cost; 0 % of 10 rows failed." in text
    assert "This month unknown Cost per 1,000 rows unknown" in text
    assert "UTC unknown USD per day" in text
    assert "cost unknown" not in text


def test_only_the_days_of_the_address_count(pages):
    pages.record(item("1"), day=date(2026, 11, 1))
    pages.record(item("2"), day=date(2026, 11, 2))
    text = words(pages.get("/", **{"from": "2026-11-02", "to": "2026-11-03"}).text)
    assert "Spend by day 2 to 3 Nov 2026, UTC 2.00 USD" in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"from": "yesterday"}, "is not a valid day"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "is before the first day (2026-11-02)"),
        ({"from": "2001-01-01"}, "at most 366 days"),
        ({"by": "moon"}, "Spend can be shown by spec, model, team, kind"),
    ],
)
def test_an_address_that_does_not_work_says_why(pages, query, said):
    pages.record()
    answer = pages.get("/", **query)
    assert answer.status_code == 400
    assert said in answer.text


@pytest.mark.parametrize("path", ["/", "/jobs", "/running", "/costs.csv", "/bill", "/run"])
@pytest.mark.parametrize("value", ["a" * 2001, "a\0b"])
def test_a_value_that_no_database_can_search_for_is_refused_before_it_is_asked(pages, path, value):
    pages.record()
    answer = pages.get(path, q=value, team=value, job=value, run_id=value)
    assert (answer.status_code, "is not valid" in answer.text) == (400, True)


def test_an_invalid_period_keeps_the_form_with_the_message_at_its_field(pages):
    pages.record()
    text = pages.get("/", **{"from": "2026-11-02", "to": "2026-11-01", "team": "search", "by": "team"}).text
    assert re.search(r'name="to" value="2026-11-01" aria-invalid="true" aria-describedby="problem"', text)
    assert re.search(r'name="from" value="2026-11-02">', text)
    assert '<input type="hidden" name="team" value="search">' in text
    assert "<option selected>team" in text
    assert text.index("7 days") < text.index('name="from"')
    assert pages.get("/costs.csv", **{"from": "2026-11-02", "to": "2026-11-01"}).status_code == 400


def test_the_chart_begins_with_the_first_record(pages):
    pages.record(day=date(2026, 11, 20))
    assert "Spend by day 20 to 22 Nov 2026, UTC" in words(pages.get("/").text)
    pages.record(day=date(2026, 9, 1))
    assert "Spend by day 24 Oct to 22 Nov 2026, UTC" in words(pages.get("/").text)


def test_a_period_is_compared_with_the_same_weekdays_only_if_all_of_them_were_recorded(pages):
    pages.record(item("3"), day=date(2026, 11, 20))
    pages.record(item("2"), day=date(2026, 11, 13))
    week = {"from": "2026-11-16", "to": "2026-11-22", "compare": "previous"}
    assert "+50 %" not in pages.get("/", **week).text
    pages.record(item("2"), day=date(2026, 11, 1))
    text = pages.get("/", **week).text
    assert "+50 % vs. the week before" in text
    assert "nightly 3.00 +50 %" in words(text)
    assert text.count('class="previous" x1') == 1
    assert "Fri 20 Nov 2026 3.00 3.00 2.00" in words(text)


def test_the_overview_says_first_whether_something_is_unusual(pages):
    fine = {"rows": RowCounts(ok=1000, failed=10)}
    for day in range(12, 22):
        pages.record(item("1"), day=date(2026, 11, day), bill=fine)
    text = words(pages.get("/").text)
    assert "Nothing unusual. 1 job since yesterday cost 1.00 USD; 1.0 % of 1,010 rows failed." in text
    pages.record(item("7.5"), bill=fine)
    pages.record(item("0"), bill=fine, state="FAILED", run_id="another")
    text = words(pages.get("/").text)
    assert "2 warnings nightly: job failed" in text
    assert "nightly cost 7.50 USD, 7.5 times the usual 1.00 Sun 22 Nov 2026" in text
    assert "nightly 7.5 times the usual 17.50" in text
    assert "Sun 22 Nov 2026: 7.50 USD, 7.5 times the usual" in pages.get("/").text


def test_a_spec_has_a_page_of_its_own_with_its_last_nights(pages):
    times = {
        "create_time": datetime(2026, 11, 20, 2, tzinfo=UTC),
        "start_time": datetime(2026, 11, 20, 3, tzinfo=UTC),
    }
    bill = pages.record(day=date(2026, 11, 20), end_time=datetime(2026, 11, 20, 3, 42, tzinfo=UTC), **times)
    pages.record(day=date(2026, 11, 19))
    overview = pages.get("/").text
    (link,) = re.findall(r'href="/vertex-batch(/\?[^"]*spec=nightly[^"]*)">nightly</a>', overview)
    answer = pages.client.get(link.replace("&amp;", "&"))
    text = words(answer.text)
    assert "By kind" in text
    assert "Fri 20 Nov 2026 succeeded 13 15.4 % - 1.50 150.00 1 h 0 min 42 min" in text
    assert "Queue time 1 h 0 min" in text
    assert f"job={bill.job.job_id}" in answer.text


def test_the_budget_of_the_month_is_shown_where_the_files_are(pages, tmp_path, monkeypatch):
    pages.record(item("1.5"), create_time=datetime(2026, 11, 22, tzinfo=UTC))
    assert "of the budget" not in pages.get("/").text
    (tmp_path / "budgets.yaml").write_text(
        "everyone:\n  per_month: {warn: 2, hold: 6}\nteams:\n  search:\n    per_month: {hold: 1}\n"
    )
    monkeypatch.setenv("VERTEX_BATCH_BUDGETS_FILE", str(tmp_path / "budgets.yaml"))
    assert "25 % of the budget, 6.00 USD" in words(pages.get("/").text)
    team = pages.get("/", team="search").text
    assert "150 % of the budget, 1.00 USD" in words(team)
    assert 'class="over"' in team
    pages.record(dag_id="secret")
    assert "of the budget" not in pages.get("/").text  # only a part of the spend is shown


def test_the_budget_of_the_month_is_charged_with_what_the_budgets_count(pages, tmp_path, monkeypatch):
    """A backfill of October was created, and is paid for, in November."""
    pages.record(item("3"), day=date(2026, 10, 22), create_time=datetime(2026, 11, 2, tzinfo=UTC))
    pages.record(item("9"), day=date(2026, 11, 1), create_time=datetime(2026, 10, 31, 23, tzinfo=UTC))
    budgets = tmp_path / "budgets.yaml"
    monkeypatch.setenv("VERTEX_BATCH_BUDGETS_FILE", str(budgets))
    budgets.write_text("everyone:\n  per_month: {refuse: 6}\n")
    text = words(pages.get("/").text)
    assert "This month 9.00 USD" in text
    assert "50 % of the budget, 6.00 USD" in text
    pages.record(item(None), create_time=datetime(2026, 11, 2, tzinfo=UTC))
    assert "at least 50 % of the budget" in words(pages.get("/").text)
    budgets.write_text("everyone:\n  per_month: {refuse: 0}\n")
    assert "of the budget" not in words(pages.get("/").text)


def test_a_specs_own_limits_are_those_of_its_page(pages, tmp_path, monkeypatch):
    created = datetime(2026, 11, 22, tzinfo=UTC)
    pages.record(item("1.5"), bill={"rows": RowCounts(ok=98, failed=2)}, create_time=created)
    assert '<dd class="bad">2.0 %' not in pages.get("/", spec="nightly").text
    (tmp_path / "nightly.yaml").write_text(
        "project: demo-project\nlocation: us-central1\nmodel: gemini-2.5-flash\n"
        "inputs: gs://demo-bucket/in.jsonl\noutput: gs://demo-bucket/out\n"
        "max_failed_ratio: 0.02\nbudget:\n  per_month: {warn: 3}\n"
    )
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
    text = pages.get("/", spec="nightly").text
    assert '<dd class="bad">2.0 %' in text
    assert "50 % of the budget, 3.00 USD" in words(text)
    assert "1 warning 2.0 % of the 100 rows of nightly failed" in words(text)


def test_a_specs_own_limit_of_failed_rows_holds_on_every_page(pages, tmp_path, monkeypatch):
    rows = {"rows": RowCounts(ok=98, failed=2)}
    bill = pages.record(bill=rows, state="PARTIALLY_SUCCEEDED")
    pages.record(bill=rows, spec="other", state="PARTIALLY_SUCCEEDED")
    key = {"project": "demo-project", "location": "us-central1", "job": bill.job.job_id}
    addresses: tuple[tuple[str, dict[str, str]], ...] = (
        ("/", {}),
        ("/jobs", {}),
        ("/bill", key),
        ("/run", {"dag_id": "nightly", "run_id": bill.job.run_id}),
    )

    def reds() -> list[int]:
        texts = (pages.get(path, **query).text for path, query in addresses)
        return [len(re.findall(r'<span class="bad"(?:>2 failed| title="2 of)', each)) for each in texts]

    assert reds() == [0, 0, 0, 0]
    (tmp_path / "nightly.yaml").write_text(
        "project: demo-project\nlocation: us-central1\nmodel: gemini-3.8-flash\n"
        "inputs: gs://demo-bucket/in.jsonl\noutput: gs://demo-bucket/out\nmax_failed_ratio: 0.02\n"
    )
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
    assert reds() == [1, 1, 2, 1]
    assert '<span class="state warn">partially succeeded' in pages.get("/jobs").text


def test_the_csv_has_every_day_and_group_exactly(pages):
    pages.record(item("0.000123"), item(None, kind="thoughts"))
    answer = pages.get("/costs.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["day", "spec", "jobs", "tokens", "amount_usd", "complete", "saved_usd", "saved_complete"],
        ["2026-11-22", "nightly", "1", "2000000", "0.000123", "no", "0", "no"],
    ]


def test_a_name_in_the_csv_is_no_formula(pages):
    pages.record(spec="=HYPERLINK(1)")
    assert "'=HYPERLINK(1)" in pages.get("/costs.csv").text


def test_a_job_is_listed_with_its_links(pages):
    bill = pages.record()
    text = pages.get("/jobs").text
    assert f"job={bill.job.job_id}" in text
    assert "/dags/nightly/runs/manual__2026-11-22T02%3A30%3A00%2B00%3A00" in text
    assert f"batch-predictions/{bill.job.job_id}?project=demo-project" in text
    assert "2 failed" in text


def test_jobs_are_searched_and_turned_page_by_page(pages):
    for number in range(51):
        pages.record(note=f"night {number}")
    first, second = pages.get("/jobs").text, pages.get("/jobs", page=2).text
    assert first.count('aria-label="Bill of') == 50
    assert second.count('aria-label="Bill of') == 1
    assert "Jobs 1 to 50 of 51" in first
    assert "Older" in first
    assert "Newer" in second
    assert "Older" not in second
    assert pages.get("/jobs", q="NIGHT 50").text.count('aria-label="Bill of') == 1
    assert pages.get("/jobs", page="x").status_code == 400


@pytest.mark.parametrize(
    ("days", "field", "message"),
    [
        (("2026-11-31", ""), "from", "&#39;2026-11-31&#39; is not a valid day, such as 2026-11-22."),
        (("", "2026-11-31"), "to", "&#39;2026-11-31&#39; is not a valid day, such as 2026-11-22."),
        (
            ("2026-11-22", "2026-11-01"),
            "to",
            "The last day (2026-11-01) is before the first day (2026-11-22).",
        ),
    ],
)
def test_invalid_days_keep_the_search_form_with_the_message_at_their_field(pages, days, field, message):
    pages.record()
    given = dict(zip(("from", "to"), days, strict=True))
    answer = pages.get("/jobs", **given, q="nightly", team="search")
    assert answer.status_code == 400
    assert f'<p class="problem" id="problem" role="alert">{message}</p>' in answer.text
    for name, day in given.items():
        wrong = ' aria-invalid="true" aria-describedby="problem"' if name == field else ""
        assert f'name="{name}" value="{day}"{wrong}>' in answer.text
    assert 'name="q" value="nightly"' in answer.text
    assert '<input type="hidden" name="team" value="search">' in answer.text
    assert 'aria-label="Bill of' not in answer.text


def test_a_bill_says_where_each_amount_comes_from(pages):
    bill = pages.record(item("1.5"), item(None, kind="thoughts"), bill={"flags": ("counts differ",)})
    text = words(pages.get("/bill", **key(bill)).text)
    assert "output, text 1,000,000 at 1.50 / M tokens 1.50 - batch rate packaged, 2026-11-01" in text
    assert "unknown - no price is known" in text
    assert "Total ≥ 1.50 saved unknown at least 1.50 USD" in text
    assert "counts differ" in text
    assert "2 rows Google refused the request of the row" in text
    assert "It fails again unless it is changed. INVALID_ARGUMENT predictions.jsonl:4 and 1 more" in text
    file = "storage/browser/_details/demo-bucket/out/predictions.jsonl"
    assert file in pages.get("/bill", **key(bill)).text
    assert "console.cloud.google.com/storage/browser/demo-bucket/out" in pages.get("/bill", **key(bill)).text
    assert "predictions.jsonl 17 cut short" in text
    assert "10 ok, 2 failed (15.4 %), 1 unreadable" in text


def test_rows_in_no_known_format_are_counted_and_named_on_the_pages(pages):
    sample = RowProblem("predictions.jsonl", 23, "a prediction without usage")
    rows = RowCounts(ok=4, unrecognized=1)
    bill = pages.record(item("1"), bill={"rows": rows, "unrecognized_samples": (sample,)})
    assert "4 ok 1 unreadable or unrecognized" in words(pages.get("/jobs").text)
    text = words(pages.get("/bill", **key(bill)).text)
    assert "4 ok, 1 unrecognized" in text
    assert "predictions.jsonl 23 a prediction without usage" in text
    assert "1 unrecognized" in words(pages.get("/").text)


def test_characters_have_their_unit_in_the_rate(pages):
    made = item("0.08", kind=Kind.INPUT_CHARACTER, tokens=4_000_000, unit_price_usd=Decimal("2e-08"))
    text = words(pages.get("/bill", **key(pages.record(made))).text)
    assert "input character 4,000,000 at 0.02 / M characters 0.08" in text


def test_a_run_with_one_job_shows_its_bill_and_one_with_two_their_sum(pages):
    bill = pages.record(item("1"))
    run = {"dag_id": "nightly", "run_id": bill.job.run_id}
    assert "Line items" in pages.get("/run", **run).text
    pages.record(item("2.5"))
    text = pages.get("/run", **run).text
    assert "Line items" not in text
    assert "3.50 USD" in words(text)


def test_a_run_that_airflow_does_not_have_says_so(pages):
    pages.record()
    assert "Airflow does not have the run" in pages.get("/run", dag_id="nightly", run_id="none").text


def test_without_a_cost_table_the_page_says_what_to_do_and_creates_none(pages, costs_file):
    answer = pages.get("/")
    assert "batch_costs" in answer.text
    assert not costs_file.exists()


def test_a_broken_cost_table_is_an_error_page_without_details(pages, costs_file):
    costs_file.write_text("this is no database, and long enough that SQLite sees it" * 100)
    answer = pages.get("/")
    assert answer.status_code == 500
    assert "API server's log" in " ".join(answer.text.replace("&#39;", "'").split())
    assert str(costs_file) not in answer.text


@pytest.mark.parametrize("path", [*PATHS, "/static/none", "/docs"])
def test_nobody_sees_anything(stranger, costs_file, path):
    CostTable(f"sqlite:///{costs_file}").migrate()
    assert stranger.get(path).status_code == (404 if path == "/docs" else 401)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/static/none", "/static/..%2fapp.py"])
def test_there_is_nothing_else(pages, path):
    assert pages.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_pages_change_nothing(pages, method):
    assert pages.client.request(method, "/jobs").status_code == 405


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/?by=moon"])
def test_every_answer_keeps_to_itself(pages, path):
    pages.record()
    headers = pages.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_a_page_needs_nothing_that_its_policy_forbids(pages):
    bill = pages.record(item(None))
    for path in ("/", "/jobs", f"/bill?job={bill.job.job_id}&project=demo-project&location=us-central1"):
        text = pages.client.get(path).text
        assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=", text)
        assert not re.search(r"(src|rel=\"stylesheet\" href)=\"https?:", text)


def test_hostile_names_stay_text(pages):
    hostile = dict.fromkeys(("spec", "team", "run_id", "note", "display_name", "error_message"), HOSTILE)
    bill = pages.record(
        item("1", model=HOSTILE, source=HOSTILE),
        item(None, reason=HOSTILE),
        bill={"flags": (HOSTILE,), "failed_reasons": {HOSTILE: 1}},
        **hostile,
        job_id="javascript:1'\"<u>",
        state=HOSTILE,
        output_directory=HOSTILE,
    )
    run = {"dag_id": "nightly", "run_id": HOSTILE}
    found = [pages.get("/", by=by) for by in ("spec", "model", "team")]
    found += [pages.get("/jobs", q=HOSTILE), pages.get("/bill", **key(bill)), pages.get("/run", **run)]
    for answer in found:
        assert answer.status_code == 200
        assert "alert(1)" in answer.text
        assert "<script>alert" not in answer.text
        assert "<u>" not in answer.text
        assert str(1234 * 4321) not in answer.text
    assert "<script>" not in pages.get("/", by=HOSTILE).text


def test_costs_of_other_peoples_dags_are_not_shown(pages):
    pages.record(item("1"))
    secret = pages.record(item("41"), dag_id="secret", run_id="secret-run", spec="secret-spec")
    for path in ("/", "/jobs", "/costs.csv"):
        text = pages.get(path).text
        assert "secret" not in text
        assert "42" not in words(text)
    assert "1 job of DAGs that you may not see is not included here" in pages.get("/").text
    for path, query in (
        ("/bill", key(secret)),
        ("/run", {"dag_id": "secret", "run_id": "secret-run"}),
        ("/", {"dag_id": "secret"}),
        ("/jobs", {"dag_id": "secret"}),
        ("/costs.csv", {"dag_id": "secret"}),
    ):
        assert pages.get(path, **query).status_code == 404


def test_a_search_does_not_tell_whether_a_hidden_job_is_like_that(pages):
    pages.record()
    pages.record(dag_id="secret", spec="secret-spec")
    found = [pages.get("/jobs", q=q).text.replace(q, "") for q in ("secret-spec", "no-such-spec")]
    assert found[0] == found[1]


def test_a_dags_tab_is_narrowed_to_the_dag(pages):
    pages.record(item("1"))
    pages.record(item("2"), dag_id="hourly", spec="hourly")
    text = words(pages.get("/", dag_id="hourly").text)
    assert "This month 2.00 USD" in text
    assert "nightly" not in text


def key(bill) -> dict[str, str]:
    return {"project": bill.job.project, "location": bill.job.location, "job": bill.job.job_id}


def words(html: str) -> str:
    """The text of a page, as one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split()).replace(" ,", ",").replace("\u2013", "-")


def test_the_overview_says_what_was_saved_and_how_many_rows_failed(pages):
    pages.record(
        item(
            "1.5",
            standard_unit_price_usd=Decimal("3e-6"),
            standard_amount_usd=Decimal(3),
            standard_source="packaged",
        )
    )
    text = words(pages.get("/").text)
    assert "batching saved 1.50 USD, 50 % of the standard price" in text
    assert "Failed rows 15.4 % 2 of 13, 1 unreadable Mostly: " in text


def test_the_overview_is_narrowed_by_what_the_address_says(pages):
    pages.record(item("1"), spec="one", team="a")
    pages.record(item("2"), spec="two", team="b")
    assert "UTC 2.00 USD" in words(pages.get("/", team="b").text)
    assert "UTC 1.00 USD" in words(pages.get("/", spec="one").text)
    assert "one" not in pages.get("/costs.csv", spec="two").text


def test_the_focus_file_has_the_line_items_of_the_period_and_of_the_dags_that_one_may_see(pages):
    pages.record(item("1.5"), item(None, kind="thoughts"), spec="=1+1")
    pages.record(item("3"), day=date(2026, 9, 1))
    pages.record(item("4"), dag_id="secret")
    november = {"from": "2026-11-01", "to": "2026-11-30"}
    for version, provider in (("1.2", "ProviderName"), ("1.4", "ServiceProviderName")):
        answer = pages.get("/focus.csv", version=version, **november)
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(row["BilledCost"], row["x_Spec"]) for row in rows] == [("1.5", "'=1+1")]
        assert rows[0][provider] == "Google Cloud"
        assert answer.headers["content-disposition"].startswith("attachment")
    assert "ProviderName" in pages.get("/focus.csv", **november).text
    assert pages.get("/focus.csv", version="9").status_code == 400


def test_jobs_are_sorted_by_a_column_whose_heading_says_so(pages):
    for amount in ("1", "3", "2"):
        pages.record(item(amount))
    text = pages.get("/jobs", sort="cost").text
    assert re.findall(r'cost"><span title="([\d.]+) USD"', text) == ["3.00", "2.00", "1.00"]
    assert re.search(r'aria-sort="descending"><a href="[^"]*sort=cost&amp;order=asc', text)
    assert pages.get("/jobs", sort="moon").status_code == 400


def test_a_job_that_is_not_under_way_says_so_also_before_anything_was_recorded(pages):
    assert "No jobs are running" in pages.get("/running", part=1).text


def test_a_bill_shows_what_was_expected_beside_what_the_job_cost(pages):
    made = pages.record(item("1.5"))
    job = made.job
    address = {"project": job.project, "location": job.location, "job": job.job_id}
    assert "not estimated" in pages.get("/bill", **address).text
    ledger = Ledger(pages.table)
    asks = BudgetRequest("key", job.project, job.location, job.model, job.dag_id, job.run_id, job.task_id)
    expected = Estimate(
        Total(Decimal("1.25"), complete=True), Decimal(1), Decimal(2), method="no <b>history</b>"
    )
    held = Decision(Ruling.HOLD, ("too much",))
    ledger.claim(asks, expected, [], lambda _: held, approved_by="ann", approved=lambda _: True)
    ledger.submitted("key", job.job_id)
    text = pages.get("/bill", **address).text
    assert "Expected ≈ 1.25 USD 1.00 to 2.00" in words(text)
    assert "approved by ann; no &lt;b&gt;history" in text
    assert "above expected" not in pages.get("/jobs").text


@pytest.mark.parametrize("labels", [{}, {SHARD_LABEL: "1-of-2"}])
def test_a_delivery_is_called_that_of_the_whole_input_only_where_it_was_split(pages, labels):
    job = pages.record(map_index=0, labels=labels).job
    pages.table.record_delivery(a_delivery(run_id=job.run_id), files_changed=True)
    assert ("of the whole input, which was split" in pages.get("/jobs").text) is bool(labels)


@pytest.mark.parametrize(
    ("amount", "said"),
    [("1.5", "exactly as expected"), ("2", "25 % less than expected: 3 failed rows are not billed")],
)
def test_a_bill_says_exactly_only_where_it_equals_what_was_expected(pages, amount, said):
    job = pages.record(item("1.5"), bill={"rows": RowCounts(ok=9, failed=3, input_rows=12)}).job
    ledger, single = Ledger(pages.table), Decimal(amount)
    asks = BudgetRequest("key", job.project, job.location, job.model, job.dag_id, job.run_id, job.task_id)
    ledger.claim(
        asks, Estimate(Total(single, complete=True), single, single), [], lambda _: Decision(Ruling.GO, ())
    )
    ledger.submitted("key", job.job_id)
    text = words(pages.get("/bill", project=job.project, location=job.location, job=job.job_id).text)
    assert f"USD {said} Per 1,000 rows" in text


def test_a_page_writes_one_amount_everywhere_with_the_same_decimals_and_exactly_on_hover(pages):
    night = datetime(2026, 11, 21, 2, tzinfo=UTC)
    pages.record(item("0.0441"), logical_date=night, create_time=night, run_id="before")
    bill = pages.record(item("0.3"), create_time=datetime(2026, 11, 22, 2, tzinfo=UTC))
    of_run = {"dag_id": "nightly", "run_id": bill.job.run_id}
    for text in (pages.get("/bill", **key(bill)).text, pages.get("/run", **of_run).text):
        written = re.findall(r'<span title="0\.30 USD">([\d.]+)</span>', text)
        assert written == ["0.3000"] * 4  # headline, line item, its total, the nights


def delivered(bill, **changes) -> Delivery:
    return a_delivery(**{"dag_id": bill.job.dag_id, "run_id": bill.job.run_id, **changes})


def test_what_a_run_delivered_is_on_its_page_and_on_the_bill(pages):
    bill = pages.record()
    run = {"dag_id": "nightly", "run_id": bill.job.run_id}
    assert "delivered" not in pages.get("/run", **run).text
    pages.table.record_delivery(delivered(bill), files_changed=True)
    for answer in (pages.get("/run", **run), pages.get("/bill", **key(bill))):
        text = words(answer.text)
        assert "20 input rows = 17 delivered + 3 exceptions (2 failed, 1 transient)" in text
        assert "Delivered 2026-11-22 04:12 UTC" in text
        assert "<code>gs://demo-bucket/a b/answers.parquet</code>" in answer.text
        console = "https://console.cloud.google.com/storage/browser/_details/"
        assert f'href="{console}demo-bucket/a%20b/answers.parquet"' in answer.text
        assert "<code>/srv/exceptions.parquet</code></dd>" in answer.text
        assert "A later run" not in text
    later = delivered(bill, run_id="<i>later", delivered_at=datetime(2026, 11, 22, 5, tzinfo=UTC))
    pages.table.record_delivery(later, files_changed=True)
    text = pages.get("/run", **run).text
    assert "A later run has delivered to the same file: &lt;i&gt;later." in text


def test_a_run_that_only_delivered_shows_what(pages):
    bill = pages.record()
    pages.table.record_delivery(delivered(bill, run_id="again"), files_changed=True)
    text = words(pages.get("/run", dag_id="nightly", run_id="again").text)
    assert "No job of this run is recorded" in text
    assert "20 input rows = 17 delivered" in text


def test_a_bill_shows_the_delivery_of_its_own_job_alone(pages):
    bill = pages.record(task_id="summaries.submit")
    for name in ("summaries", "titles"):
        made = delivered(bill, task_id=f"{name}.deliver", job_name=name)
        pages.table.record_delivery(made, files_changed=True)
    text = words(pages.get("/bill", **key(bill)).text)
    assert "Delivery of summaries" in text
    assert "Delivery of titles" not in text
    assert "Delivery of titles" in words(pages.get("/run", dag_id="nightly", run_id=bill.job.run_id).text)


def test_the_overview_has_the_numbers_of_the_last_night_of_the_dags_that_one_may_see(pages):
    bill = pages.record()
    assert "Last night" not in pages.get("/").text
    pages.table.record_delivery(delivered(bill), files_changed=True)
    secret = pages.record(dag_id="secret", run_id="secret-run")
    pages.table.record_delivery(delivered(secret), files_changed=True)
    said = (
        "Last night: 20 input rows = 17 delivered + 3 exceptions (2 failed, 1 transient), in 1 delivery"
        " in the 12 hours until 2026-11-22 04:12 UTC."
    )
    assert said in words(pages.get("/").text)
    assert "Last night" not in pages.get("/", dag_id="hourly").text
    assert pages.get("/run", dag_id="secret", run_id="secret-run").status_code == 404


def test_hostile_texts_of_a_delivery_stay_text(pages):
    bill = pages.record()
    texts = ("task_id", "job_name", "exceptions_uri", "manifest_uri", "usd")
    hostile = delivered(
        bill,
        **dict.fromkeys(texts, HOSTILE),
        answers_uri=f"gs://{HOSTILE}",
        reasons={HOSTILE: 2, "javascript:1": 1},
    )
    pages.table.record_delivery(hostile, files_changed=True)
    for answer in (
        pages.get("/run", dag_id="nightly", run_id=bill.job.run_id),
        pages.get("/bill", **key(bill)),
        pages.get("/"),
    ):
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert str(1234 * 4321) not in answer.text
        assert not re.search(r'href="(?!/|#|https://console\.cloud\.google\.com/)', answer.text)
    assert "alert(1)" in pages.get("/run", dag_id="nightly", run_id=bill.job.run_id).text


def test_no_page_links_to_google_where_the_object_store_is_emulated(pages, monkeypatch):
    bill = pages.record(run_id="tonight")
    pages.table.record_delivery(a_delivery(run_id="tonight"), files_changed=True)
    paths = [("/bill", key(bill)), ("/jobs", {}), ("/run", {"dag_id": "nightly", "run_id": "tonight"})]
    for path, query in paths:
        assert "console.cloud.google.com" in pages.get(path, **query).text
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443")
    for path, query in paths:
        text = pages.get(path, **query).text
        assert "console.cloud.google.com" not in text
        assert bill.job.job_id in text
