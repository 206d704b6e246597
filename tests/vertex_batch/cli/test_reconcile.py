"""``vertex-batch reconcile``: against the proxy's spend logs, a billing export and another price map."""

from __future__ import annotations

import base64
import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from vertex_batch.billing.spend_logs import logged_job
from vertex_batch.cli import main
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.pricing import PriceBook, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, UsageKey
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.names import JobId

NIGHT = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
DAYS = ["--since", "2026-11-01", "--until", "2026-11-30"]
FLASH = {
    "input_cost_per_token_batches": "1.5e-07",
    "output_cost_per_token_batches": "1.25e-06",
    "cache_read_input_token_cost": "3e-08",
}
BOOK = PriceBook([LiteLLMPrices({"gemini-2.5-flash": FLASH}, "list", date(2026, 11, 20))])
USAGE = {
    UsageKey("gemini-2.5-flash", Kind.INPUT): 600_000,
    UsageKey("gemini-2.5-flash", Kind.CACHED_INPUT): 400_000,
    UsageKey("gemini-2.5-flash", Kind.OUTPUT): 100_000,
}
OURS = "0.227"  # 0.09 + 0.012 + 0.125


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/costs.db"
    table = CostTable(url)
    for job_id in ("1001", "1002", "1003"):
        job = JobFacts(
            "p",
            "global",
            job_id,
            model="publishers/google/models/gemini-2.5-flash",
            labels={IDEMPOTENCY_KEY_LABEL: f"key-{job_id}"},
            logical_date=NIGHT,
            create_time=NIGHT,
            end_time=NIGHT + timedelta(hours=1),
            state="SUCCEEDED",
            output_directory="gs://our-bucket/out/",
        )
        items = tuple(price(USAGE, BOOK, "global"))
        table.record(Bill(job, RowCounts(ok=1), items, recorded_at=NIGHT, usage=USAGE))
    return url


def unified(job_id: str) -> str:
    plain = f"litellm_proxy;model_id:abc;llm_batch_id:{job_id}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=") + "_batch_cost"


class LiteLLM:
    """What a LiteLLM 1.106 with a database answers on the routes that `reconcile` calls.

    :param rows: its spend logs, each with its `startTime`; the proxy sorts by it alone and counts to a cap.
    """

    def __init__(self, reply) -> None:
        self.reply = reply
        self.rows: list[dict] = []
        self.role: str | None = None
        self.is_master = self.sees_details = True
        self.reads_itself = True
        self.version = "1.106.2"
        self.database = "connected"
        self.page_rows, self.cap = 1000, 10_000
        self.error: tuple[int, dict] | None = None
        self.largest_offset = 0

    def refusal(self, message, status, kind="auth_error"):
        return self.reply.of(
            {"error": {"message": message, "type": kind, "param": "None", "code": str(status)}}, status
        )

    def answer(self, call):
        answers = {
            "/health/readiness": self.readiness,
            "/health/readiness/details": self.details,
            "/key/info": self.key_info,
            "/v2/user/info": self.user_info,
            "/spend/logs/v2": lambda: self.refusal(*self.error) if self.error else self.logs(call.params),
        }
        return answers[call.path]()

    def readiness(self, **more):
        return self.reply.of({"status": "healthy", "db": self.database, **more})

    def details(self):
        if not self.sees_details:
            return self.refusal(ONLY_ADMIN, 401)
        return self.readiness(litellm_version=self.version)

    def key_info(self):
        if not self.reads_itself:
            return self.reply.of({"detail": "Virtual key is not allowed to call this route."}, 403)
        if self.is_master:
            return self.refusal("Key not found in database", 404, "not_found_error")
        return self.reply.of({"key": "b24d", "info": {"user_id": "u"}})

    def user_info(self):
        if not self.reads_itself:
            return self.reply.of({"detail": "Virtual key is not allowed to call this route."}, 403)
        if self.role is None:
            return self.refusal("User not found: default_user_id", 404, "internal_server_error")
        return self.reply.of({"user_id": "u", "user_role": self.role})

    def logs(self, params):
        first, last = (
            datetime.fromisoformat(params[name]).replace(tzinfo=UTC) for name in ("start_date", "end_date")
        )
        assert (params["span_type"], params["sort_order"]) == ("batch", "asc")
        page, size = int(params["page"]), min(int(params["page_size"]), self.page_rows)
        self.largest_offset = max(self.largest_offset, (page - 1) * size)
        # Rows of the same instant come in another order on each page, as a database may sort them.
        found = [row for row in self.rows if first <= row["at"] <= last]
        found.sort(key=lambda row: (row["at"], hash((page, row["request_id"]))))
        total = min(len(found), self.cap)
        shown = [
            {name: value for name, value in row.items() if name != "at"}
            for row in found[(page - 1) * size : page * size]
        ]
        return self.reply.of(
            {
                "data": shown,
                "total": total,
                "page": page,
                "page_size": size,
                "total_pages": -(-total // size),
                "total_is_capped": len(found) > self.cap,
            }
        )


ONLY_ADMIN = (
    "Authentication Error, Only proxy admin can be used to generate, delete, update info for new"
    " keys/users/teams. Route=/spend/logs/v2. Your role=unknown. Your user_id=*******"
)


@pytest.fixture
def litellm(proxy, reply, monkeypatch):
    """A proxy with a database, behind the default connection."""
    connection = json.dumps({"conn_type": "litellm", "host": proxy.url, "password": "sk-test"})
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", connection)
    server = LiteLLM(reply)
    proxy.route(server.answer)
    return server


def logged(job_id: str, spend: float, tokens: int = 1_100_000, at: datetime | None = None) -> dict:
    """A row of the spend logs, by default of an hour after the night."""
    moment = at or NIGHT + timedelta(hours=1)
    return {"request_id": unified(job_id), "spend": spend, "total_tokens": tokens, "at": moment}


def reconcile(capsys, *words) -> dict:
    assert main(["reconcile", *DAYS, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("written", [unified("42"), "42_batch_cost", "42", f"{unified('batches/42')}"])
def test_the_job_of_a_cost_row_is_read_from_its_id(written):
    assert logged_job(written) == "42"


def test_the_proxys_figures_are_compared_with_ours_and_the_difference_is_explained(
    url, litellm, proxy, capsys
):
    """The first is as LiteLLM 1.106 prices it, cached tokens at the input rate; the second is equal; the
    third is missing there, and a fourth is not one of ours."""
    litellm.rows = [logged("1001", 0.275), logged("1002", 0.22700000000000004), logged("9999", 1.5, 3)]
    found = reconcile(capsys, "--url", url)
    first, second, third = found["jobs"]
    assert first["ours"] == {"amount_usd": OURS, "complete": True}
    assert (first["theirs"]["amount_usd"], first["difference_usd"]) == ("0.275", "0.048")
    assert first["why"] == ["it charges cached tokens as input where no batch cache rate is listed"]
    assert (second["differs"], second["why"]) == (False, [])
    assert (second["theirs"]["amount_usd"], second["difference_usd"]) == (OURS, "0")
    assert (third["theirs"], third["difference_usd"], third["differs"]) == (None, None, False)
    assert "litellm-vertex-files" in third["why"][0]
    assert found["unmatched"] == {"9999": "1.5"}
    [model] = found["models"]
    assert (model["jobs"], model["ours_usd"], model["difference_usd"]) == (2, "0.454", "0.048")
    [logs] = [call for call in proxy.calls if call.path == "/spend/logs/v2"]
    assert logs.params["start_date"] == "2026-11-20 00:00:00"


@pytest.mark.parametrize("by_option", [True, False])
def test_a_proxy_is_named_by_its_url_with_the_key_from_the_environment(
    url, litellm, proxy, monkeypatch, capsys, *, by_option
):
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    litellm.rows = [logged("1001", 0.275)]
    words = ["--proxy", proxy.url] if by_option else []
    if not by_option:
        monkeypatch.setenv("LITELLM_PROXY_URL", proxy.url)
    assert main(["reconcile", *DAYS, "--url", url, *words]) == 1
    assert "set LITELLM_PROXY_API_KEY to the key" in capsys.readouterr().err
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-of-the-environment")
    found = reconcile(capsys, "--url", url, *words)
    assert found["jobs"][0]["difference_usd"] == "0.048"
    assert {call.headers["authorization"] for call in proxy.calls} == {"Bearer sk-of-the-environment"}


def test_only_compared_jobs_are_counted_and_one_line_has_those_without_a_figure(url, litellm, capsys):
    litellm.rows = [logged("1001", 0.275)]
    assert main(["reconcile", *DAYS, "--url", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 of 1 compared jobs differ"
    [without] = [line for line in lines if "no figure" in line]
    assert without.startswith("2 of 3 jobs have no figure to compare with (2: its output is not below")
    assert "a difference of 0.048 USD" in lines[0]


CACHED = "it charges cached tokens as input where no batch cache rate is listed"


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("1.106.2", [CACHED]),
        ("1.108.0", [CACHED]),
        ("1.110.2", []),
        ("", [f"{CACHED}, if it is LiteLLM 1.108 or older"]),
    ],
)
def test_a_reason_is_given_for_the_versions_that_have_it(url, litellm, capsys, version, why):
    litellm.version, litellm.rows = version, [logged("1001", 0.275)]
    assert reconcile(capsys, "--url", url)["jobs"][0]["why"] == why


def test_other_tokens_and_a_second_record_are_named(url, litellm, capsys):
    row = logged("1001", 0.2, 1)
    litellm.rows = [row, row | {"request_id": "1001_batch_cost"}]
    first = reconcile(capsys, "--url", url)["jobs"][0]
    assert first["theirs"]["amount_usd"] == "0.4"
    assert first["why"][:2] == ["tokens: 1,100,000 here, 2 there", "the proxy has recorded it 2 times"]


@pytest.mark.parametrize("page_rows", [1000, 100])
def test_no_figure_is_lost_beyond_the_cap_of_the_proxys_count(url, litellm, capsys, page_rows):
    """More rows than the proxy counts, in an order that changes from page to page where the time is the
    same; and a proxy that gives smaller pages than it was asked for."""
    noon = NIGHT + timedelta(hours=9)
    crowd = [logged(f"8{n:05}", 0.5, at=noon + timedelta(seconds=n)) for n in range(900)]
    others = [logged(f"9{n:05}", 0.5, at=NIGHT + timedelta(seconds=n // 3)) for n in range(11_000)]
    ours = [logged(job, 0.227, at=at) for job, at in (("1001", NIGHT), ("1002", noon), ("1003", noon))]
    litellm.rows, litellm.page_rows = [*crowd, *others, *ours], page_rows
    found = reconcile(capsys, "--url", url)
    assert [job["difference_usd"] for job in found["jobs"]] == ["0", "0", "0"]
    assert found["unmatched"] == {
        **{f"8{n:05}": "0.5" for n in range(900)},
        **{f"9{n:05}": "0.5" for n in range(11_000)},
    }
    assert litellm.largest_offset == 0


def test_more_rows_in_one_second_than_fit_on_a_page_are_read_page_by_page(url, litellm, capsys):
    litellm.rows = [logged(f"9{n:05}", 0.5, at=NIGHT + timedelta(milliseconds=n % 900)) for n in range(2500)]
    litellm.rows.append(logged("1001", 0.227, at=NIGHT + timedelta(milliseconds=999)))
    found = reconcile(capsys, "--url", url)
    assert found["jobs"][0]["difference_usd"] == "0"


@pytest.mark.parametrize("sees_details", [False, True])
def test_a_key_that_sees_only_its_users_rows_is_refused(url, litellm, proxy, capsys, *, sees_details):
    """Also where the key may read the details of the proxy, a route that can be allowed to any key."""
    litellm.role, litellm.is_master, litellm.sees_details = "internal_user", False, sees_details
    litellm.rows = [logged("1001", 0.275)]
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    said = capsys.readouterr()
    assert "the role `internal_user`" in said.err
    assert "Nothing was compared" in said.err
    assert "`proxy_admin_viewer`" in said.err
    assert said.out == ""
    assert "/spend/logs/v2" not in {call.path for call in proxy.calls}


@pytest.mark.parametrize(
    ("role", "is_master"),
    [
        ("proxy_admin_viewer", False),
        ("proxy_admin", False),
        (None, True),
        ("internal_user", True),  # the master key, once a team was created
    ],
)
def test_a_key_that_sees_all_rows_is_taken_without_a_word(url, litellm, capsys, role, is_master):
    litellm.role, litellm.is_master = role, is_master
    assert main(["reconcile", *DAYS, "--url", url]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("sees_details", [False, True])
def test_where_the_proxy_does_not_say_what_the_key_sees_a_warning_says_so(
    url, litellm, capsys, *, sees_details
):
    """As a key that may call this route alone."""
    litellm.is_master = litellm.reads_itself = False
    litellm.sees_details, litellm.rows = sees_details, [logged("1001", 0.227)]
    assert main(["reconcile", *DAYS, "--url", url]) == 0
    assert (
        "proxy of connection 'litellm_default' does not report whether its key sees"
        in capsys.readouterr().err
    )


def test_a_key_without_the_permission_is_not_called_a_bad_key(url, litellm, capsys):
    """What the virtual key of an ordinary Airflow installation is answered."""
    litellm.is_master = litellm.sees_details = False
    litellm.error = ONLY_ADMIN, 401
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    said = capsys.readouterr().err
    assert "the proxy allows this call only to admins" in said
    assert "`proxy_admin_viewer`" in said
    assert "does not accept" not in said


@pytest.mark.parametrize(
    ("status", "words"), [(401, "Prisma Client is not initialized"), (400, "No connected db.")]
)
def test_a_proxy_without_a_database_has_no_figures(url, litellm, capsys, status, words):
    litellm.error = (words, status, "internal_error")
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    assert "has no database, so it has no figures" in capsys.readouterr().err


def test_a_proxy_that_says_that_it_has_no_database_is_not_asked_for_figures(url, litellm, proxy, capsys):
    litellm.database = "Not connected"
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    assert "has no database, so it has no figures" in capsys.readouterr().err
    assert [call.path for call in proxy.calls] == ["/health/readiness/details"]


def test_a_proxy_that_does_not_answer_is_not_taken_for_one_without_a_database(url, monkeypatch, capsys):
    connection = json.dumps({"conn_type": "litellm", "host": "http://127.0.0.1:9", "password": "sk-test"})
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", connection)
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    said = capsys.readouterr().err
    assert "the proxy cannot be reached" in said
    assert "in the environment variable AIRFLOW_CONN_LITELLM_DEFAULT" in said
    assert "no database" not in said


def test_another_price_map_is_compared_rate_by_rate_and_nothing_is_written(url, tmp_path, capsys):
    other = tmp_path / "october.json"
    other.write_text(json.dumps({"gemini-2.5-flash": FLASH | {"input_cost_per_token_batches": "2e-07"}}))
    before = CostTable(url).bill(JobId("p", "global", "1001"))
    found = reconcile(capsys, "--url", url, "--prices", str(other), "--job", "1001")
    [job] = found["jobs"]
    assert (job["theirs"]["amount_usd"], job["difference_usd"]) == ("0.257", "0.03")
    assert job["why"] == [
        "gemini-2.5-flash input: 0.15 USD per million (list) -> 0.20 USD per million (october.json)"
    ]
    assert CostTable(url).bill(JobId("p", "global", "1001")) == before


def test_a_billing_export_is_matched_by_resource_and_by_label(url, tmp_path, capsys):
    """Rows of one job add up; credits are negative; what is Vertex AI's and no job's is listed, too."""
    rows = [
        {"ResourceId": "projects/9/locations/global/batchPredictionJobs/1001", "ListCost": "0.102"},
        {"Tags": json.dumps({IDEMPOTENCY_KEY_LABEL: "key-1001"}), "ListCost": "0.125", "BilledCost": "0.1"},
        {"Tags": json.dumps([{"key": IDEMPOTENCY_KEY_LABEL, "value": "key-1002"}]), "BilledCost": "0.3"},
        {"Tags": json.dumps({IDEMPOTENCY_KEY_LABEL: "key-1002"}), "BilledCost": "-0.05"},
        {"ServiceName": "Vertex AI", "ChargeDescription": "Online prediction", "ListCost": "7"},
        {"ServiceName": "Gemini Enterprise Agent Platform", "ChargeDescription": "Search", "ListCost": "2"},
        {"ServiceName": "BigQuery", "ChargeDescription": "Storage", "ListCost": "5"},
    ]
    path = tmp_path / "focus.csv"
    fields = ["ResourceId", "Tags", "ListCost", "BilledCost", "ServiceName", "ChargeDescription"]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields, restval="")
        writer.writeheader()
        writer.writerows(rows)
    found = reconcile(capsys, "--url", url, "--billing", str(path))
    first, second, third = found["jobs"]
    assert (first["theirs"]["amount_usd"], first["differs"]) == (OURS, False)
    assert (second["theirs"]["amount_usd"], second["difference_usd"]) == ("0.25", "0.023")
    assert third["theirs"] is None
    assert found["unmatched"] == {"Online prediction": "7", "Search": "2"}
    assert main(["reconcile", *DAYS, "--url", url, "--billing", str(path)]) == 0
    out = capsys.readouterr().out
    assert "0.227 USD here, 0.25 USD there, a difference of 0.023 USD" in out
    assert "1 of 2 compared jobs differ" in out
    assert "1 of 3 jobs have no figure to compare with (1: no row of the export names this job)" in out


def test_our_own_export_reconciles_with_our_bills(url, tmp_path, capsys):
    path = tmp_path / "ours.csv"
    assert main(["export", "--url", url, "--focus", "1.4", "--output", str(path)]) == 0
    found = reconcile(capsys, "--url", url, "--billing", str(path))
    assert [job["difference_usd"] for job in found["jobs"]] == ["0", "0", "0"]


def test_a_file_that_is_not_an_export_is_refused(url, tmp_path, capsys):
    path = tmp_path / "wrong.csv"
    path.write_text("a,b\n1,2\n")
    assert main(["reconcile", *DAYS, "--url", url, "--billing", str(path)]) == 1
    assert "neither ListCost nor BilledCost" in capsys.readouterr().err


def test_an_export_in_another_currency_is_refused(url, tmp_path, capsys):
    path = tmp_path / "euros.csv"
    path.write_text("ResourceId,ListCost,BillingCurrency\nx/1001,0.2,EUR\n")
    assert main(["reconcile", *DAYS, "--url", url, "--billing", str(path)]) == 1
    assert "is in EUR, and bills are in USD, so they cannot be compared" in capsys.readouterr().err


def test_a_bill_that_is_an_at_least_says_so(url, tmp_path, capsys):
    table = CostTable(url)
    bill = table.bill(JobId("p", "global", "1001"))
    assert bill
    usage = {**bill.usage, UsageKey("gemini-2.5-flash", Kind.SEARCH_QUERY): 3}
    table.record(replace(bill, usage=usage, line_items=tuple(price(usage, BOOK, "global"))))
    other = tmp_path / "same.json"
    other.write_text(json.dumps({"gemini-2.5-flash": FLASH}))
    found = reconcile(capsys, "--url", url, "--prices", str(other), "--job", "1001")
    [job], [model] = found["jobs"], found["models"]
    assert (job["ours"]["complete"], job["theirs"]["complete"], job["differs"]) == (False, False, False)
    assert (model["ours_complete"], model["theirs_complete"]) == (False, False)
    assert main(["reconcile", *DAYS, "--url", url, "--prices", str(other)]) == 0
    assert "3 jobs, at least 0.681 USD here, at least 0.681 USD there" in capsys.readouterr().out
