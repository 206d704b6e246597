"""What `plan` and `check` say of a spec on a date, and that neither submits."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.vertex_batch.cli.conftest import DAY, ROW
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts, about
from vertex_batch.pricing import PriceBook, packaged_prices, price
from vertex_batch.usage import Kind, UsageKey


def test_a_plan_shows_the_request_the_rows_and_the_cost_and_submits_nothing(run, vertex, spec):
    status, out, _ = run("plan", spec, "--date", DAY, "--json")

    (job,) = json.loads(out)["jobs"]
    assert status == 0
    assert (job["rows"], job["objects"], job["bytes"]) == (3, 1, 3 * len(ROW))
    assert job["request"]["inputConfig"]["gcsSource"]["uris"] == [f"gs://demo-bucket/cli/{DAY}.jsonl"]
    assert job["request"]["model"] == "publishers/google/models/gemini-3.8-flash"
    assert job["request"]["labels"] == {"team": "search", "airflow_spec": "nightly"}
    assert float(job["estimate"]["low_usd"]) < float(job["estimate"]["high_usd"])
    assert vertex.admin.jobs() == []


def test_a_plan_for_people_says_the_same(run, vertex, spec):
    status, out, _ = run("plan", spec, "--date", DAY)
    assert status == 0
    assert "nothing was submitted" in out
    assert "3 rows in 1 object," in out
    assert "cost      about " in out
    assert "3 rows, " in out
    assert "3 rows counted, no history" in out
    assert "USD USD" not in out
    assert f'"displayName": "nightly {DAY}"' in out


@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_key_that_no_row_has_is_refused(run, vertex, spec, command):
    results = "results: {to: gs://demo-bucket/cli-answers/a.csv, key: ticket.id}\n"
    spec.write_text(spec.read_text() + results)
    status, out, _ = run(command, spec, "--date", DAY)
    assert status == 1
    assert "None of the 3 rows has the field `ticket.id`, which `results.key` names" in out
    assert "No answer of this job would be delivered with its key; with `preflight: strict`" in out
    [job] = json.loads(run(command, spec, "--date", DAY, "--json")[1])["jobs"]
    assert (job["refused"], job["counts"]["no_key"]) == (True, 3)
    assert job["findings"][0]["severity"] == "no_key"


@pytest.mark.parametrize("is_local", [False, True])
def test_a_plan_prices_another_input_and_model_as_the_form_does(run, vertex, spec, tmp_path, is_local):
    rows, other = ROW * 5, "gs://demo-bucket/other/{{ run_date }}.jsonl"  # never rendered
    vertex.gcs.put(other, rows)
    if is_local:
        path = tmp_path / "mine.jsonl"
        path.write_bytes(rows)
        other = str(path)
    asked = ["plan", spec, "--date", DAY, "--input", other, "--model", "gemini-3.5-flash-lite"]
    status, out, _ = run(*asked, "--json")
    [job] = json.loads(out)["jobs"]
    assert (status, job["rows"], job["inputs"]) == (0, 5, [other])
    assert job["request"]["model"] == "publishers/google/models/gemini-3.5-flash-lite"
    [usual] = json.loads(run("plan", spec, "--date", DAY, "--json")[1])["jobs"]
    assert Decimal(job["estimate"]["expected_usd"]) < Decimal(usual["estimate"]["expected_usd"])
    shown = run(*asked)[1]
    assert ("upload the input first" in shown) is is_local
    once = " once its input is uploaded" if is_local else ""
    assert f"would be submitted to demo-project/us-central1{once}; nothing was submitted" in shown
    [checked] = json.loads(run("check", *asked[1:], "--json")[1])["jobs"]
    assert checked["rows"] == 5
    twice = run("plan", spec, "--date", DAY, "--json", "--input", other, "--input", other)[1]
    assert json.loads(twice)["jobs"][0]["inputs"] == [other, other]
    assert vertex.admin.jobs() == []


def test_a_plan_of_a_sample_shows_what_the_sample_and_what_all_rows_cost(run, vertex, spec):
    vertex.gcs.put("gs://demo-bucket/other/many.jsonl", ROW * 500)
    asked = ["plan", spec, "--date", DAY, "--input", "gs://demo-bucket/other/many.jsonl"]
    [whole] = json.loads(run(*asked, "--json")[1])["jobs"]
    status, out, _ = run(*asked, "--sample", "20", "--json")
    [job] = json.loads(out)["jobs"]
    assert (status, job["rows"], job["estimate"]["rows"]) == (0, 20, 20)
    assert (job["sample"]["rows"], job["sample"]["of_rows"]) == (20, 500)
    assert job["estimate_of_all_rows"] == whole["estimate"]
    ratio = Decimal(whole["estimate"]["expected_usd"]) / Decimal(job["estimate"]["expected_usd"])
    assert 24 < ratio < 26
    assert job["request"]["labels"]["airflow_sample"] == "20-of-500"
    assert job["request"]["displayName"].startswith("SAMPLE of 20 rows: ")
    assert job["request"]["outputConfig"]["gcsDestination"]["outputUriPrefix"].endswith("/_samples/")
    text = run(*asked, "--sample", "20")[1]
    assert "a sample of 20 of 500 rows, seed 0" in text
    assert "all 500 rows: about " in text
    assert vertex.admin.jobs() == []


def test_the_findings_of_a_sample_name_the_row_in_the_input(run, vertex, spec):
    vertex.gcs.put("gs://demo-bucket/drawn/a.jsonl", ROW * 5)
    vertex.gcs.put("gs://demo-bucket/drawn/b.jsonl", ROW + b"\n" + b"no JSON\n" + ROW + b"{}\n")
    asked = ["plan", spec, "--date", DAY, "--input", "gs://demo-bucket/drawn/*.jsonl", "--sample", "9"]
    [job] = json.loads(run(*asked, "--json")[1])["jobs"]
    found = {each["place"] for each in job["findings"] if "jsonl" in each["place"]}
    assert found == {f"gs://demo-bucket/drawn/b.jsonl:{line}" for line in (3, 5)}
    assert "memory:" not in run(*asked)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample", "0"], "is not a number from 1 to 10,000"),
        (["--sample", "2", "--offline"], "leave out `--offline` or `--sample`"),
        (["--input", "bq://project-a.b.c", "--sample", "2"], "cannot run a sample"),
        (["--input", "/no/such.jsonl"], "/no/such.jsonl"),
        (["--input", "s3://bucket/a.jsonl"], "s3://bucket/a.jsonl"),
        (["--model", "models/gemini-3.8-flash"], "needs its project"),
        (["--input", "a.jsonl", "--input", "gs://demo-bucket/a.jsonl"], "must be in one place"),
    ],
)
def test_another_input_or_model_that_cannot_be_used_is_named(run, vertex, spec, options, message):
    status, out, err = run("plan", spec, "--date", DAY, *options)
    assert status > 0
    assert message in out + err


def test_a_limit_that_rows_will_certainly_exceed_and_keys_of_two_rows_are_named(run, vertex, spec):
    rows = [{"id": str(n // 2), **json.loads(ROW)} for n in range(10)]
    rows[0]["request"]["contents"][0]["role"] = rows[1]["request"]["contents"][0]["role"] = "system"
    vertex.gcs.put(f"gs://demo-bucket/cli/{DAY}.jsonl", "".join(f"{json.dumps(r)}\n" for r in rows).encode())
    limit = RESULTS.replace("key: id", "key: id, max_exceptions_ratio: 0.1")
    spec.write_text(f"{spec.read_text()}{limit}")
    for command in ("plan", "check"):
        status, out, _ = run(command, spec, "--date", DAY)
        assert status == 1
        assert (
            "More rows are certain to fail than the run allows; with `preflight: strict` the job is refused"
            in out
        )
        assert (
            "2 of 10 rows (20.00%) are certain to fail, more than `results.max_exceptions_ratio: 0.1`" in out
        )
        assert "5 rows have the key of an earlier row, the first at gs://demo-bucket/cli/" in out
        assert ".jsonl:2 (`id` is '0'), so it does not identify their answers\n" in out


RESULTS = "results: {to: 'gs://demo-bucket/answers/{{ run_date }}.jsonl', key: id}\n"


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("", []),
        ("retry_rows: {}\n", ["up to 1 round send", "these rows were not answered"]),
        (
            "retry_rows: {rounds: 2, reasons: [transient, truncated]}\n",
            ["up to 2 rounds send", "truncated rows"],
        ),
    ],
)
def test_a_plan_shows_the_delivery_and_what_further_rounds_may_cost(run, vertex, spec, text, again):
    vertex.gcs.put(f"gs://demo-bucket/cli/{DAY}.jsonl", ROW.replace(b"{", b'{"id": "r1", ', 1))
    spec.write_text(f"{spec.read_text()}{RESULTS}{text}")
    out = run("plan", spec, "--date", DAY)[1]
    assert f"answers   delivered to gs://demo-bucket/answers/{DAY}.jsonl as text, joined by `id`" in out
    assert ("  again     " in out) == bool(again)
    assert all(each in out for each in again)
    [job] = json.loads(run("plan", spec, "--date", DAY, "--json")[1])["jobs"]
    assert job["delivery"] == f"gs://demo-bucket/answers/{DAY}.jsonl"
    if "truncated" in text:
        twice = Decimal(job["estimate"]["expected_usd"]) * 2
        assert f"are paid for each time: up to {about(twice)} USD more, if every row is sent" in out
        assert job["retry_rows"] == {"rounds": 2, "reasons": ["transient", "truncated"]}
        assert "up to as much as sending all rows once, in each round" in run("plan", spec, "--offline")[1]


def test_a_plan_shows_the_shards_of_an_input_that_is_too_large_for_one_job(run, vertex, spec):
    spec.write_text(f"{spec.read_text()}\nmax_rows_per_job: 2\n")
    status, out, _ = run("plan", spec, "--date", DAY, "--json")
    assert (status, json.loads(out)["jobs"][0]["shards"]) == (0, [2, 1])
    assert "2 jobs, with 2, 1 rows" in run("plan", spec, "--date", DAY)[1]


def test_without_a_proxy_one_line_says_what_was_not_asked(run, vertex, spec, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    for command in ("plan", "check"):
        status, out, _ = run(command, spec, "--date", DAY)
        assert status == 0
        [line] = [line for line in out.splitlines() if "the proxy was not contacted" in line]
        assert "AIRFLOW_CONN_LITELLM_DEFAULT" in line
        assert "3 rows in 1 object," in out
    assert (
        "the proxy was not contacted"
        in json.loads(run("plan", spec, "--date", DAY, "--json")[1])["jobs"][0]["not_asked"]
    )


@pytest.fixture
def earlier(tmp_path):
    """A cost table with three nights of the spec and one of another; the URL."""
    url = f"sqlite:///{tmp_path}/earlier.db"
    table = CostTable(url)
    for number, (dag_id, tokens) in enumerate(
        (("nightly", 10), ("nightly", 20), ("nightly", 40), ("other", 9000))
    ):
        usage = {UsageKey("gemini-3.8-flash", Kind.OUTPUT): tokens * 2}
        job = JobFacts(
            "demo-project",
            "us-central1",
            str(number),
            model="publishers/google/models/gemini-3.8-flash",
            spec=dag_id,
            dag_id=dag_id,
            task_id="submit",
            create_time=datetime(2026, 11, 10 + number, tzinfo=UTC),
        )
        (item,) = price(usage, PriceBook([packaged_prices()]), "us-central1", date(2026, 11, 10))
        rate = Decimal("0.00000125")  # whatever the list says today
        billed = replace(item, unit_price_usd=rate, amount_usd=item.tokens * rate)
        table.record(Bill(job, RowCounts(ok=2, input_rows=2), [billed], usage=usage))
    return url


def test_a_plan_uses_the_earlier_runs_of_the_spec_as_the_budget_check_does(run, vertex, spec, earlier):
    status, out, _ = run("plan", spec, "--date", DAY, "--url", earlier)
    assert status == 0
    assert "tokens as in the last 3 jobs" in out
    assert "earlier   the last 3 jobs cost 0.025 USD per 1,000 answered rows (0.0125 USD to 0.05 USD)" in out
    [job] = json.loads(run("plan", spec, "--date", DAY, "--url", earlier, "--json")[1])["jobs"]
    assert job["history"]["usd_per_thousand_rows"] == ["0.0125", "0.025", "0.05"]
    assert job["estimate"]["output_tokens"] == 60  # 3 rows, each with the 20 tokens of the middle job


def test_a_plan_names_the_run_that_has_answered_its_inputs(run, vertex, spec, earlier):
    status, out, _ = run("plan", spec, "--date", DAY, "--url", earlier, "--json")
    [job] = json.loads(out)["jobs"]
    assert job["history"]["answered_before"] is None
    table = CostTable(earlier)
    answered = replace(
        table.jobs()[0].job,
        job_id="9",
        spec="nightly",
        run_id="night 1",
        state="SUCCEEDED",
        input_uris=tuple(job["inputs"]),
        create_time=datetime.now(UTC) + timedelta(seconds=1),
    )
    table.record(Bill(answered, RowCounts(ok=2, input_rows=3), []))
    status, out, _ = run("plan", spec, "--date", DAY, "--url", earlier)
    assert status == 0
    assert "earlier   These inputs were answered before by run night 1 on " in out
    assert " (2 of 3 rows, 0.00 USD); a run would pay for them again." in out


@pytest.mark.parametrize(
    ("url", "said"), [("sqlite:////nowhere/costs.db", "There is no cost table"), ("postgresql://x", "")]
)
def test_a_cost_table_that_was_named_and_cannot_be_read_is_said(run, vertex, spec, url, said):
    status, out, _ = run("plan", spec, "--date", DAY, "--url", url)
    assert status == 0
    assert f"earlier   not read: {said}" in out
    assert "no history" in out


HELD = "HELD for approval, not submitted to"
REFUSED = "REFUSED by its budget, not submitted to"


@pytest.mark.parametrize(
    ("limits", "verdict", "outlook", "line"),
    [
        ("warn: 0", "warn", "submitted to", "over its limit of 0.00 USD (warn)"),
        ("hold: 0", "hold", HELD, "over its limit of 0.00 USD (hold)"),
        ("refuse: 0", "refuse", REFUSED, "over its limit of 0.00 USD (refuse)"),
        ("refuse: 1000", "go", "submitted to", ""),
    ],
)
def test_a_plan_says_what_its_budget_would_decide(run, vertex, spec, *, limits, verdict, outlook, line):
    spec.write_text(f"{spec.read_text()}budget: {{per_run: {{{limits}}}}}\n")
    status, out, _ = run("plan", spec, "--date", DAY)
    assert status == int(verdict == "refuse")
    assert out.startswith(f"nightly: would be {outlook} demo-project/us-central1; nothing was submitted\n")
    assert (f"  budget    {verdict}: this run of spec nightly: " in out) == bool(line)
    assert line in out
    assert "  cost      about " in out
    [job] = json.loads(run("plan", spec, "--date", DAY, "--json")[1])["jobs"]
    assert (job["budget"]["verdict"], len(job["budget"]["reasons"])) == (verdict, int(bool(line)))
    assert (job["refused"], job["would_fail"]) == (verdict == "refuse", False)
    [job] = json.loads(run("plan", spec, "--date", DAY, "--offline", "--json")[1])["jobs"]
    assert job["budget"] is None


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2030-06-17", "hold: the day of team search: 6.00 USD spent + "),
        ("2030-06-18", "the month of team search: at least 6.00 USD spent or reserved"),
    ],
)
def test_a_plan_adds_what_the_jobs_of_its_day_cost_to_the_limits_of_teams(
    run, vertex, spec, earlier, monkeypatch, *, day, said
):
    """The file is beside the topmost folder of specs, also for a spec in a folder below it."""
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(spec.parent))
    nested = spec.parent / "search" / spec.name
    nested.parent.mkdir()
    spec.rename(nested)
    (spec.parent.parent / "budgets.yaml").write_text(
        "teams: {search: {per_day: {hold: 5}, per_month: {refuse: 9}}}\n"
    )
    vertex.gcs.put(f"gs://demo-bucket/cli/{day}.jsonl", ROW)
    table = CostTable(earlier)
    earliest = table.jobs()[-1]
    job = replace(
        earliest.job,
        job_id="9",
        spec="mails",
        team="search",
        create_time=datetime(2030, 6, 17, 1, tzinfo=UTC),
    )
    (item,) = price({UsageKey("gemini-3.8-flash", Kind.OUTPUT): 6}, PriceBook([packaged_prices()]), "", None)
    items = [replace(item, unit_price_usd=Decimal(1), amount_usd=Decimal(6))]
    if day == "2030-06-18":
        items.append(replace(item, kind=Kind.INPUT, unit_price_usd=None, amount_usd=None))
    table.record(Bill(job, RowCounts(ok=1, input_rows=1), items))
    status, out, _ = run("plan", nested, "--date", day, "--url", earlier)
    assert status == 0
    assert f"  budget    {said}" in out
    assert (HELD in out) == said.startswith("hold")


def test_the_jobs_of_a_run_share_its_budget(run, vertex, spec):
    *_, expected = re.findall(r'"expected_usd": "([0-9.]+)"', run("plan", spec, "--date", DAY, "--json")[1])
    limit = (Decimal(expected) * 3 / 2).quantize(Decimal("0.000001"))
    text = spec.read_text().replace("cli-out/", "cli-out/{{ job_name }}/")
    spec.write_text(f"{text}jobs: {{a: {{}}, b: {{}}}}\nbudget: {{per_run: {{hold: {limit}}}}}\n")
    jobs = json.loads(run("plan", spec, "--date", DAY, "--json")[1])["jobs"]
    assert [job["budget"]["verdict"] for job in jobs] == ["go", "hold"]
    assert "reserved for unbilled jobs" in jobs[1]["budget"]["reasons"][0]
    [job] = json.loads(run("plan", spec, "--date", DAY, "--json", "--job", "b")[1])["jobs"]
    assert job["budget"]["verdict"] == "go"


def test_of_a_split_input_some_jobs_may_be_within_the_budget(run, vertex, spec):
    spec.write_text(f"{spec.read_text()}max_rows_per_job: 2\nbudget: {{per_run: {{hold: 0}}}}\n")
    out = run("plan", spec, "--date", DAY)[1]
    assert f"{HELD} demo-project/us-central1; of its 2 jobs, some may be submitted; nothing was" in out


def test_limits_that_cannot_be_checked_are_said(run, vertex, spec):
    budgets = spec.parent.parent / "budgets.yaml"
    budgets.write_text("everyone: {per_day: {refuse: 100}}\n")
    words = ["plan", spec, "--date", DAY, "--url", "sqlite:////nowhere/costs.db"]
    status, out, _ = run(*words)
    assert status == 0
    assert out.startswith("nightly: would be submitted to demo-project/us-central1, if its budget allows it;")
    assert "  budget    not checked: There is no cost table" in out
    [job] = json.loads(run(*words, "--json")[1])["jobs"]
    assert job["budget"]["verdict"] is None
    budgets.write_text("everyone: {per_day: {refuse: lots}}\n")
    status, out, _ = run("plan", spec, "--date", DAY)
    assert (status, out.startswith("nightly: cannot be submitted now to")) == (1, True)
    assert f"No job is submitted while the limits of teams cannot be read: {budgets}:1:" in out


def test_gzip_is_unpacked_by_airflow_and_an_error_where_nothing_is_split(run, vertex, spec):
    vertex.gcs.put(f"gs://demo-bucket/cli/{DAY}.jsonl", gzip.compress(ROW * 3))
    status, out, _ = run("plan", spec, "--date", DAY)
    assert (status, "Gzip objects: 1; Airflow submits them unpacked" in out) == (0, True)
    spec.write_text(f"{spec.read_text()}split: off\n")
    for command in ("plan", "check"):
        status, out, _ = run(command, spec, "--date", DAY)
        assert (status, "is gzip, and Vertex reads plain JSONL only: remove `split: off`" in out) == (1, True)


def test_offline_needs_neither_proxy_nor_storage(run, spec, monkeypatch):
    for name in ("AIRFLOW_CONN_LITELLM_DEFAULT", "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"):
        monkeypatch.delenv(name, raising=False)
    status, out, _ = run("plan", spec, "--date", DAY, "--offline")
    assert status == 0
    assert f"gs://demo-bucket/cli-out/{DAY}/" in out


@pytest.mark.parametrize(
    ("day", "is_near"), [("2030-06-17", True), ("2030-06-30", True), ("2030-06-16", False)]
)
def test_a_plan_says_when_prices_change_soon(run, vertex, spec, day, is_near):
    prices = spec.parent.parent / "pricing"
    prices.mkdir()
    key = "input_cost_per_token_batches"
    dated = [{"valid_until": "2030-06-30", key: 1e-6}, {"valid_from": "2030-07-01", key: 2e-6}]
    (prices / "ours.json").write_text(json.dumps({"gemini-3.8-flash": dated}))
    vertex.gcs.put(f"gs://demo-bucket/cli/{day}.jsonl", ROW)
    out = run("plan", spec, "--date", day)[1]
    hint = "new prices from 2030-07-01: see `vertex-batch prices gemini-3.8-flash --on 2030-07-01`"
    assert (hint in out) is is_near
    [job] = json.loads(run("plan", spec, "--date", day, "--json")[1])["jobs"]
    assert job["new_prices_from"] == ("2030-07-01" if is_near else None)


def test_the_first_line_of_a_plan_says_that_the_cost_is_not_known(run, vertex, spec):
    spec.write_text(re.sub("model: .*", "model: gemini-9-flash", spec.read_text()))
    status, out, _ = run("plan", spec, "--date", DAY)
    assert (status, out.partition("\n")[0]) == (
        0,
        "nightly: would be submitted to demo-project/us-central1 at an UNKNOWN COST; nothing was submitted",
    )


def test_a_plan_says_when_the_model_stops_and_whose_prices_it_takes(run, spec):
    spec.write_text(re.sub("model: .*", "model: gemini-2.5-pro", spec.read_text()))
    _, out, _ = run("plan", spec, "--date", "2030-01-01", "--offline", "--json")
    [job] = json.loads(out)["jobs"]
    assert job["priced_on"] == "2030-01-01"
    assert job["retirement"].startswith("gemini-2.5-pro was retired: its last day was 2027-03-31")
    _, out, _ = run("plan", spec, "--date", "2030-01-01", "--offline")
    assert "model     gemini-2.5-pro was retired" in out


@pytest.mark.parametrize(
    ("day", "hour"), [("2026-11-20", "02"), ("2026-11-20T05:30", "05"), ("2026-11-20T05:30+01:00", "04")]
)
def test_a_day_is_that_of_the_schedule_and_a_moment_is_itself(run, spec, day, hour):
    spec.write_text(
        spec.read_text().replace("cli-out/{{ run_date }}", "cli-out/{{ run_date }}-{{ run_hour }}")
    )
    _, out, _ = run("plan", spec, "--date", day, "--offline")
    assert f"cli-out/2026-11-20-{hour}/" in out


def test_what_only_airflow_knows_is_told(run, spec):
    spec.write_text(spec.read_text().replace("cli-out/{{ run_date }}", "cli-out/{{ var.value.place }}"))
    status, _, err = run("plan", spec, "--offline")
    assert status == 1
    assert (
        "output: `gs://demo-bucket/cli-out/{{ var.value.place }}/` cannot be rendered outside Airflow" in err
    )
    assert "Nothing was submitted" in err


@pytest.mark.parametrize("command", ["plan", "check"])
def test_rows_that_would_fail_the_job_give_status_1(run, vertex, spec, command):
    vertex.gcs.put("gs://demo-bucket/cli/2026-11-21.jsonl", ROW + b"no\n")
    status, out, _ = run(command, spec, "--date", "2026-11-21")
    assert status == 1
    assert "gs://demo-bucket/cli/2026-11-21.jsonl:2: is not JSON" in out
    assert "refused before it costs anything" in out
    assert "would be submitted" not in out
    assert out.startswith("nightly: would be REFUSED") is (command == "plan")
    assert ("cost      none: the job is refused" in out) is (command == "plan")
    assert "tokens in" not in out


@pytest.mark.parametrize(
    ("day", "preflight", "refused", "would_fail"),
    [
        (DAY, "strict", False, False),
        ("2026-11-21", "strict", True, False),
        ("2026-11-21", "warn", False, True),
        ("2026-11-01", "warn", True, False),  # its input does not exist
    ],
)
def test_only_what_is_not_submitted_is_refused(run, vertex, spec, *, day, preflight, refused, would_fail):
    vertex.gcs.put("gs://demo-bucket/cli/2026-11-21.jsonl", ROW + b"no\n")
    spec.write_text(f"{spec.read_text()}preflight: {preflight}\n")
    for command in ("plan", "check"):
        status, out, _ = run(command, spec, "--date", day, "--json")
        (job,) = json.loads(out)["jobs"]
        assert (job["refused"], job["would_fail"], status) == (refused, would_fail, refused or would_fail)


def test_a_plan_whose_rows_would_fail_says_so_first_though_it_would_be_submitted(run, vertex, spec):
    vertex.gcs.put("gs://demo-bucket/cli/2026-11-21.jsonl", ROW + b"no\n")
    spec.write_text(f"{spec.read_text()}preflight: warn\n")
    status, out, _ = run("plan", spec, "--date", "2026-11-21")
    assert status == 1
    assert out.startswith("nightly: would FAIL, though it would be submitted to demo-project/us-central1;")
    assert "the job is submitted anyway" in out


def test_a_missing_input_gives_status_1(run, vertex, spec):
    status, out, _ = run("check", spec, "--date", "2026-11-01")
    assert status == 1
    assert "Input is missing: gs://demo-bucket/cli/2026-11-01.jsonl does not exist" in out
    assert "once it is there, run this again." in out  # a shell has no task to clear


def test_a_check_of_good_rows_gives_status_0(run, vertex, spec):
    status, out, _ = run("check", spec, "--date", DAY, "--json")
    (job,) = json.loads(out)["jobs"]
    assert (status, job["rows"], job["refused"]) == (0, 3, False)
    assert job["counts"]["job"] == 0


def test_a_proxy_by_options_takes_its_key_from_the_environment(run, vertex, spec, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    url = vertex.direct.base_url
    spec.write_text(spec.read_text().replace("project: demo-project\n", ""))

    status, _, err = run("plan", spec, "--date", DAY, "--proxy", url)
    assert status == 1
    assert "LITELLM_PROXY_API_KEY" in err

    monkeypatch.setenv("LITELLM_PROXY_API_KEY", vertex.direct.api_key)
    words = ["--proxy", url, "--route-prefix", "/v1", "--project", "demo-project"]
    status, out, _ = run("plan", spec, "--date", DAY, *words)
    assert status == 0
    assert "demo-project/us-central1" in out
    assert vertex.direct.api_key not in out


@pytest.mark.parametrize("command", ["plan", "check"])
@pytest.mark.parametrize(
    ("proxy", "said"), [("http://127.0.0.1:9", "LITELLM_PROXY_API_KEY"), ("nosuchconn", "nosuchconn")]
)
def test_a_named_proxy_that_is_not_configured_is_never_passed_over(run, spec, *, command, proxy, said):
    status, out, err = run(command, spec, "--date", DAY, "--proxy", proxy)
    assert status == 1
    assert said in out + err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_address_without_its_scheme_is_no_connection(run, spec, command):
    status, _, err = run(command, spec, "--date", DAY, "--proxy", "127.0.0.1:4000")
    assert status == 2
    assert "http:// or https:// is missing" in err


def test_a_cost_without_any_price_is_not_known_and_never_zero(run, vertex, spec):
    spec.write_text(spec.read_text().replace("gemini-3.8-flash", "gemini-of-nobody"))
    _, out, _ = run("plan", spec, "--date", DAY)
    assert "cost      not known" in out
    assert "0.00 USD" not in out


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("http://127.0.0.1:9", "the proxy cannot be reached"),
        ("http://127.0.0.1:{port}/elsewhere", "the LiteLLM proxy is what answers"),
    ],
)
def test_a_proxy_that_cannot_be_used_stops_plan_and_check_before_the_inputs_are_read(
    run, vertex, spec, monkeypatch, *, host, said
):
    """The input is missing, too; nothing says so, since it was not looked at."""
    port = vertex.direct.base_url.rpartition(":")[2]
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    monkeypatch.setenv("LITELLM_PROXY_URL", host.format(port=port))
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", vertex.direct.api_key)
    monkeypatch.setenv("VERTEX_BATCH_UNREACHABLE_HINT", "Is it started?")
    for command in ("plan", "check"):
        status, out, _ = run(command, spec, "--date", "2026-11-01")
        assert status == 1
        assert out.count("The inputs were not checked.") == 1
        assert said in out
        assert "the URL in LITELLM_PROXY_URL" in out
        assert "would be submitted" not in out
        assert "Input is missing" not in out
        assert ("Is it started?" in out) is ("reached" in said)
    _, _, err = run("jobs", "list", "--project", "demo-project", "--location", "us-central1")
    assert ("Is it started?" in err) is ("reached" in said)


def test_a_job_that_the_spec_does_not_have_is_told(run, spec):
    status, _, err = run("plan", spec, "--job", "other", "--offline")
    assert (status, "has no job other; its jobs are nightly" in err) == (1, True)


def test_an_input_that_airflow_would_split_is_no_mistake_and_its_jobs_are_counted(run, vertex, spec):
    spec.write_text(spec.read_text() + "max_rows_per_job: 2\n")
    status, out, _ = run("plan", spec, "--date", DAY, "--json")
    assert (status, json.loads(out)["jobs"][0]["jobs"]) == (0, 2)


def test_a_folder_is_asked_for_as_airflow_asks_for_it(run, spec):
    spec.write_text(spec.read_text().replace("cli/{{ run_date }}.jsonl", "cli/{{ run_date }}/"))
    _, out, _ = run("plan", spec, "--date", DAY, "--offline", "--json")
    (job,) = json.loads(out)["jobs"]
    assert job["request"]["inputConfig"]["gcsSource"]["uris"] == job["inputs"]
    assert not job["inputs"][0].endswith("/")
