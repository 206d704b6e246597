"""The overview in a real browser, over amounts of the demo, of a large team, of one job, and of none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal
from urllib.parse import urlencode

import pytest
import uvicorn
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api import security
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, ViewportSize, expect

from local.nights import bills
from local.stack.ports import LOOPBACK, Ports
from local.waiting import wait_until
from tests.builders import a_delivery
from tests.vertex_batch.ui.conftest import TODAY, _Manager
from tests.vertex_batch.ui.team_year import record_team_year
from tools.browser import FULL_HD, NARROW, WIDE, chromium, open_browser, visit
from vertex_batch.costs import CostTable, JobFacts
from vertex_batch.doctor.runner import CheckedSetup, failed, not_checked, ok, warning
from vertex_batch.ui import URL_PREFIX, access, job_routes, open_table, overview_routes, setup_routes
from vertex_batch.ui.app import make_app
from vertex_batch.ui.running.submissions import SubmittedJob
from vertex_batch.ui.setup_routes import SetupReports

if not chromium():
    missing = "no Chromium here; in Debian: apt-get install chromium"
    if os.environ.get("CI"):
        raise RuntimeError(missing)
    pytest.skip(missing, allow_module_level=True)

LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("light", WIDE, "light"),
    ("dark", WIDE, "dark"),
    ("narrow", NARROW, "light"),
    ("full HD", FULL_HD, "dark"),
)
YEAR = f"from={TODAY - timedelta(365)}&to={TODAY}"
PATHS = {
    "none": ("/", "/jobs", "/run?dag_id=nightly&run_id=none", "/running", "/setup"),
    "one": ("/", "/?spec=nightly_summaries", "/jobs", "{bill}", "{run}", "{cancel}"),
    "demo": (
        *("/", "/?by=kind", "/?spec=nightly_summaries", "/?from=2020-01-01&to=2020-01-02"),
        *("/jobs?sort=failed", "{bill}", "{run}", "/jobs?q=nothing-like-this"),
        "/jobs?from=2026-11-22&to=2026-11-01",
    ),
    "team": (
        *("/?compare=previous", f"/?by=team&{YEAR}", "/?spec=nightly_labels_02&by=model", "/?from=x"),
        *("/jobs?sort=cost", "{bill}"),
    ),
}
MAX_PAGE_BYTES = 300_000
LONG = "gs://demo-bucket/" + "a-long-path" * 12 + "/answers.parquet"
FOUND = "http://127.0.0.1:4000/" + "a-long-path" * 12 + " answers."
CHECKS = [
    CheckedSetup("connection", "litellm_default", ok(FOUND)),
    CheckedSetup("folder", "gs://my-bucket/output/", warning(FOUND, "delete it")),
    CheckedSetup("pool", "vertex_batch", failed("There is no pool of this name.", "create it")),
    CheckedSetup("triggerer", "", not_checked("This environment has no Airflow database.")),
]
Open = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Callable[[str], CostTable]:
    """The tables by name, made when they are first used."""
    folder = tmp_path_factory.mktemp("tables")

    @cache
    def made(name: str) -> CostTable:
        table = CostTable(f"sqlite:///{folder}/{name}.db", keeps_connections=True)
        table.migrate()
        if name == "team":
            record_team_year(table, TODAY)
        elif name != "none":
            for bill in bills(TODAY, 40 if name == "demo" else 1):
                table.record(bill)
                if name == "one":
                    _deliver_twice(table, bill.job)
                    break
        return table

    return made


def _deliver_twice(table: CostTable, job: JobFacts) -> None:
    """Deliver the answers of a job, and replace them by those of a later run."""
    for hours, run_id in enumerate((job.run_id, "later")):
        at = datetime(2026, 11, 22, 5 + hours, tzinfo=UTC)
        names = {"answers_uri": LONG, "exceptions_uri": LONG, "reasons": {"truncated": 3}}
        made = a_delivery(dag_id=job.dag_id, run_id=run_id, spec=job.spec, delivered_at=at, **names)
        table.record_delivery(made, files_changed=True)


def _submission(job: JobFacts) -> SubmittedJob:
    return SubmittedJob(*job.key, job.dag_id, job.run_id, job.task_id)


@pytest.fixture(scope="module")
def shown(tables, airflow_tables) -> Iterator[Callable[[str], str]]:
    """The pages over one of the tables, for a person who sees everything: returns their address."""
    current = "none"
    app = make_app()
    app.dependency_overrides[overview_routes._today] = lambda: TODAY
    app.dependency_overrides[security.get_user] = lambda: SimpleAuthManagerUser(username="a", role="user")
    app.dependency_overrides[open_table._open_if_there] = lambda: tables(current)
    whole = FastAPI()
    whole.mount(URL_PREFIX, app)

    class Everything:
        dags, may_see_any, may_read_logs, may_end = frozenset[str](), True, True, frozenset[str]()
        may_see_import_errors = True

        @property
        def may_see(self) -> frozenset[str]:
            return tables(current).owners().names

    manager = _Manager(Everything())
    with pytest.MonkeyPatch.context() as patch:
        for module in (security, access, setup_routes):
            patch.setattr(module, "get_auth_manager", lambda: manager)
        patch.setattr(setup_routes, "reports", SetupReports(lambda: CHECKS))
        setup_routes.reports.make()
        # No run of this Airflow has submitted these jobs, and no proxy knows them.
        patch.setattr(
            job_routes, "find_submissions", lambda _, key, costs: [_submission(costs.bill(key).job)]
        )
        patch.setattr(access, "dags_of_airflow", frozenset)
        port = Ports().choose("pages")
        server = uvicorn.Server(uvicorn.Config(whole, host=LOOPBACK, port=port, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        wait_until(lambda: server.started, "the server of the pages", 60)

        def show(name: str) -> str:
            nonlocal current
            tables(name)  # made now, not during the request
            current = name
            return f"http://{LOOPBACK}:{port}"

        yield show
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture
def look(shown, browser) -> Open:
    """Open a page; the window must not have reported an error when it is closed."""

    @contextmanager
    def opened(data: str, path: str, viewport: ViewportSize = WIDE) -> Iterator[Page]:
        url = shown(data)
        with visit(browser, url=url, viewport=viewport) as visitor:
            answer = visitor.page.goto(f"{url}{URL_PREFIX}{path}")
            assert answer is not None
            assert len(answer.body()) < MAX_PAGE_BYTES
            expect(visitor.page.locator("[aria-busy=true]")).to_have_count(0, timeout=20_000)
            yield visitor.page
            assert [error for error in visitor.errors if "status of 400" not in error] == []

    return opened


@pytest.mark.parametrize("data", PATHS)
def test_every_page_is_accessible_fits_and_has_no_black_shape(look, tables, data):
    problems = []
    for path in (_filled(path, tables(data)) for path in PATHS[data]):
        with look(data, path) as page:
            page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
            for name, viewport, color_scheme in LOOKS:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=color_scheme)
                problems += [f"{path}, {name}: {problem}" for problem in _problems(page)]
    assert problems == [], "\n".join(problems)


def _problems(page: Page) -> Iterator[str]:
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    if found.violations_count:
        yield found.generate_report()
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if widths[0] > widths[1]:
        yield f"it is {widths[0]} wide"
    over = page.evaluate(
        "[...document.querySelectorAll('.facts dd')]"
        ".filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)"
    )
    yield from (f"{text} is over what is beside it" for text in over)
    fills = page.evaluate(
        "[...document.querySelectorAll('svg rect')].map((each) => getComputedStyle(each).fill)"
    )
    if "rgb(0, 0, 0)" in fills:
        yield "it has a black shape"


def _filled(path: str, table: CostTable) -> str:
    """Put the addresses of a job with failed rows, and of its run, into a path."""
    jobs = table.jobs(limit=1, sort="failed")
    if not jobs:
        return path
    job = jobs[0].job
    address = urlencode({"project": job.project, "location": job.location, "job": job.job_id})
    run = urlencode({"dag_id": job.dag_id, "run_id": job.run_id})
    return path.format(bill=f"/bill?{address}", run=f"/run?{run}", cancel=f"/cancel?{address}")


def test_a_row_opens_its_bill_and_its_spec_has_a_page(look):
    with look("demo", "/jobs") as page:
        row = page.locator("section[aria-labelledby=recorded] tbody tr").first
        row.locator("td.rows").click(force=True)  # the link of the row is above it
        expect(page.get_by_role("heading", name="Bill of")).to_be_visible()
        expect(page.get_by_role("heading", name="The nights before")).to_be_visible()
        page.go_back()
        name = row.locator("th a").inner_text()
        row.locator("th a").click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def test_a_narrow_list_of_jobs_has_few_lines_each(look):
    with look("demo", "/jobs", NARROW) as page:
        rows = page.locator("section[aria-labelledby=recorded] tbody tr")
        heights = rows.evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
        assert max(heights) < 220
        expect(rows.first.locator("td.cost")).to_be_in_viewport()


def test_a_day_has_one_tooltip_with_all_series_and_leads_to_its_jobs(look):
    with look("team", "/?compare=previous") as page:
        days = page.locator(".columns a")
        days.last.hover()
        tip = page.locator(".tip")
        expect(tip).to_contain_text("Sun 22 Nov 2026")
        expect(tip.locator(".line")).to_have_count(
            8 + 1 + 1 + 1
        )  # the others, the total, the previous period
        expect(tip.locator(".line").first).to_contain_text("Total, USD")
        expect(tip.locator(".line").last).to_contain_text("5 weeks before")
        days.last.click()
        assert "/jobs?from=2026-11-22&to=2026-11-22" in page.url


def test_the_chart_is_one_stop_of_the_keyboard_and_its_days_are_reached_by_arrows(look):
    with look("demo", "/") as page:
        expect(page.get_by_text("USD per day")).to_be_visible()
        expect(page.locator(".columns a[tabindex='0']")).to_have_count(1)
        page.locator(".columns a").last.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".tip")).to_contain_text("Sat 21 Nov 2026")
        expect(page.locator(".columns a[tabindex='0']")).to_be_focused()
        page.keyboard.press("Home")
        expect(page.locator(".tip")).to_contain_text("Sat 24 Oct 2026")
        page.keyboard.press("Escape")
        expect(page.locator(".tip")).to_be_hidden()
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs?from=2026-10-24&to=2026-10-24")


def test_a_change_of_the_form_applies_at_once(look):
    with look("demo", "/") as page:
        expect(page.get_by_role("button", name="Show")).to_be_hidden()
        page.locator("select[name=by]").select_option("team")
        expect(page.get_by_role("heading", name="By team")).to_be_visible()
        page.get_by_label("Previous period").check()
        page.wait_for_url("**compare=previous")
        page.get_by_role("link", name="7 days").click()
        expect(page.locator(".columns a")).to_have_count(7)
        page.get_by_label("From").fill("2026-11-21")
        page.get_by_label("From").blur()
        expect(page.locator(".columns a")).to_have_count(2)
        page.get_by_label("From").fill("2026-11-25")
        expect(page.get_by_role("alert")).to_contain_text("is before the first day")
        expect(page.get_by_label("To")).to_have_attribute("aria-describedby", "problem")


def test_the_overview_works_without_scripts(shown, browser):
    url = shown("demo")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}{URL_PREFIX}/")
    page.locator("select[name=by]").select_option("team")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="By team")).to_be_visible()
    page.locator(".columns a").last.click()
    assert "/jobs?from=2026-11-22" in page.url
    context.close()
