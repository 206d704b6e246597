"""The pages in a real browser, against the real API server: an admin, a viewer, and nobody."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.nights import bills
from local.stack.airflow_api import AirflowApi, wait_until
from tools.browser import NARROW, WIDE, chromium, open_browser
from tools.browser import visit as open_window
from vertex_batch.costs import CostTable

SPEC, RUN = "system_manual", "browser"
SHOWN = "nightly_summaries"
# Each look of each page is in tests/vertex_batch/ui/test_looks.py; here Airflow's own server sends them.
LOOKS = {
    "light": {"dark": False, "viewport": WIDE},
    "dark and narrow": {"dark": True, "viewport": NARROW},
}
MAX_PAGE_BYTES = 300_000
FOR_EVER = Scenario(timeline=[Step(state="PENDING", seconds=2), Step(state="RUNNING", seconds=None)], mix={})

if not chromium():
    missing = "no Chromium here; in Debian: apt-get install chromium"
    if os.environ.get("CI"):
        raise RuntimeError(missing)
    pytest.skip(missing, allow_module_level=True)


@dataclass
class Visitor:
    """A person with a browser of their own.

    :ivar said: what the pages wrote to the console as an error, and scripts that failed.
    """

    page: Page
    url: str
    said: list[str]

    def open(self, path: str) -> None:
        """Open one of our pages and wait until what it asks for later is there."""
        answer = self.page.goto(f"{self.url}/vertex-batch{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert len(answer.body()) < MAX_PAGE_BYTES, path
        self.settle()

    def settle(self) -> None:
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0, timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def visit(stack, browser):
    """Make visitors: ``with visit(login) as visitor``; without a login it is nobody."""
    passwords = json.loads((Path(stack.site.home) / "passwords.json").read_text())

    @contextmanager
    def come(login: str = "", **look) -> Iterator[Visitor]:
        token = ""
        if login:
            api = AirflowApi(stack.site.url, login, passwords[login])
            token = api.token()
            api.close()
        with open_window(browser, url=stack.site.url, token=token, **look) as window:
            yield Visitor(window.page, stack.site.url, window.errors)

    return come


@pytest.fixture(scope="module")
def recorded(stack):
    """Made-up nights in the cost table; the bill of one that has something of everything."""
    made = list(bills(datetime.now(UTC).date()))
    table = CostTable(stack.cost_table_url)
    for bill in made:
        table.record(bill)
    stack.airflow.wait_for_dag(SHOWN)
    return max(made, key=lambda bill: (bill.rows.unreadable, bill.rows.failed, bill.day))


@pytest.fixture(scope="module")
def job(stack, recorded):
    """A job under way, whose task is deferred."""
    from tests.system.conftest import Nights

    nights = Nights(stack)
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(SPEC, RUN)
    found = nights.wait_for_job(SPEC, RUN, "RUNNING")
    stack.airflow.wait_for_task(SPEC, RUN, "wait", ["deferred"], timeout_seconds=180)
    stack.emulator.clear_scenarios()
    return found


def address(job) -> str:
    return urlencode({"project": "demo-project", "location": "us-central1", "job": job})


def paths(recorded, job) -> dict[str, str]:
    run = quote(recorded.job.run_id, safe="")
    return {
        "overview": "/",
        "by kind": "/?by=kind",
        "a year by team": "/?by=team&from=2026-01-01&to=2026-11-22",
        "nothing in that period": "/?from=2020-01-01&to=2020-01-02",
        "jobs": "/jobs",
        "jobs of one day": "/jobs?from=2026-11-20&to=2026-11-20",
        "no such job": "/jobs?q=nothing-like-this",
        "under way": "/running",
        "bill": f"/bill?{address(recorded.job.job_id)}",
        "run": f"/run?dag_id={recorded.job.dag_id}&run_id={run}",
        "cancel": f"/cancel?{address(job.id)}",
        "setup": "/setup",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_fits_and_writes_no_error(visit, recorded, job, look):
    with visit("admin", **LOOKS[look]) as visitor:
        problems = []
        for name, path in paths(recorded, job).items():
            visitor.open(path)
            found = Axe().run(visitor.page, options={"resultTypes": ["violations"]})
            if found.violations_count:
                problems.append(f"{name}: {found.generate_report()}")
            width = visitor.page.evaluate("document.documentElement.scrollWidth")
            if width > LOOKS[look]["viewport"]["width"]:
                problems.append(f"{name} is {width} wide")
        assert problems == [], "\n".join(problems)
        assert visitor.said == []


def test_filters_of_the_overview_work_by_keyboard_alone(visit, recorded):
    with visit("admin") as visitor:
        visitor.open("/")
        page = visitor.page
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        page.locator("select[name=by]").focus()
        page.keyboard.type("t")  # a change of the form applies at once
        expect(page.get_by_role("heading", name="By team")).to_be_visible()
        assert "by=team" in page.url
        page.get_by_role("link", name="7 days").click()
        expect(page.locator(".columns a")).to_have_count(7)
        assert visitor.said == []


@pytest.mark.parametrize(("name", "column"), [("CSV", "amount_usd"), ("FOCUS 1.4", "BilledCost")])
def test_what_is_shown_is_exported(visit, recorded, name, column):
    with visit("viewer") as visitor:
        visitor.open("/")
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("link", name=name, exact=True).click()
        with Path(download.value.path()).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) > 20
        assert all(float(row[column]) >= 0 for row in rows)


def test_jobs_are_searched_filtered_sorted_and_turned(visit, recorded):
    with visit("viewer") as visitor:
        page = visitor.page
        visitor.open("/jobs")
        lines = page.locator("section[aria-labelledby=recorded] tbody tr")
        expect(lines).to_have_count(50)
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_text("Jobs 51 to")).to_be_visible()
        visitor.open("/jobs")
        page.get_by_role("link", name="Cost, USD").click()
        expect(page.locator("th[aria-sort=descending]")).to_have_text("Cost, USD")
        page.get_by_label("Search").fill(recorded.job.job_id)
        page.get_by_role("button", name="Show").click()
        expect(lines).to_have_count(1)
        page.get_by_role("link", name="Bill of").click()
        expect(page.locator("tfoot")).to_contain_text("Total")
        visitor.open("/jobs?state=PARTIALLY_SUCCEEDED")
        expect(lines.first).to_contain_text("partially succeeded")
        assert visitor.said == []


def test_a_viewer_sees_what_runs_and_can_cancel_nothing(stack, visit, job):
    with visit("viewer") as visitor:
        visitor.open("/jobs")
        line = visitor.page.locator("section[aria-labelledby=under-way] tbody tr")
        expect(line).to_contain_text("running")
        expect(line.get_by_role("link", name="Cancel")).to_have_count(0)
        visitor.open(f"/cancel?{address(job.id)}")
        expect(visitor.page.get_by_text("may not end runs")).to_be_visible()
        expect(visitor.page.locator("form")).to_have_count(0)
        answer = visitor.page.request.post(
            f"{stack.site.url}/vertex-batch/cancel", data=address(job.id), headers={"Origin": stack.site.url}
        )
        assert answer.status in (403, 404)
        assert stack.emulator.job(job.id).state == "RUNNING"


def test_nobody_sees_and_cancels_nothing(stack, visit, recorded, job):
    with visit() as visitor:
        for path in paths(recorded, job).values():
            answer = visitor.page.goto(f"{stack.site.url}/vertex-batch{path}")
            assert answer.status == 401
            assert SHOWN not in visitor.page.content()
        answer = visitor.page.request.post(f"{stack.site.url}/vertex-batch/cancel", data=address(job.id))
        assert answer.status == 401
        assert stack.emulator.job(job.id).state == "RUNNING"


def test_when_vertex_or_airflow_does_not_answer_the_page_says_so_and_asks_again(stack, visit, job):
    with visit("viewer") as visitor:
        page = visitor.page
        page.route("**/vertex-batch/running*", lambda route: route.abort())
        visitor.open("/jobs")
        expect(page.get_by_role("alert")).to_contain_text("Airflow does not answer")
        page.unroute("**/vertex-batch/running*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("section[aria-labelledby=under-way] tbody tr")).to_contain_text("running")
        stack.emulator.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=503, times=50))

        def is_told() -> bool:
            visitor.open("/running")
            return "is not reachable" in page.locator("main").inner_text()

        wait_until(is_told, "the answer that the server kept to be asked for anew", 60)


def test_the_link_to_google_is_there_while_the_task_is_deferred(stack, job):
    assert job.id in _link(stack)


def test_an_admin_cancels_a_job_in_airflows_own_frame(stack, nights, visit, job):
    with visit("admin") as visitor:
        page = visitor.page
        page.goto(f"{stack.site.url}/plugin/batch-costs")
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="Jobs", exact=True).click()
        frame.get_by_role("link", name="Cancel the job of").click()
        expect(frame.get_by_role("heading", name="Cancel this job?")).to_be_visible()
        assert stack.emulator.job(job.id).state == "RUNNING"
        frame.get_by_role("button", name="Cancel the job").click()
        expect(frame.get_by_role("status")).to_be_visible()
        assert [message for message in visitor.said if "vertex-batch" in message] == []
    nights.wait_for_job(SPEC, RUN, "CANCELLED")
    assert stack.airflow.wait_for_run(SPEC, RUN)["state"] == "failed"
    (bill,) = nights.bills(SPEC, RUN)
    assert (bill.job.job_id, bill.job.state) == (job.id, "CANCELLED")
    assert job.id in _link(stack)  # after the task has failed, too
    (entry,) = stack.airflow.call("GET", "/eventLogs", params={"event": "vertex_batch.cancel"})["event_logs"]
    assert (entry["owner"], entry["dag_id"], entry["run_id"]) == ("admin", SPEC, RUN)


def _link(stack) -> str:
    return stack.airflow.extra_links(SPEC, RUN, "wait")["Vertex AI job"]
