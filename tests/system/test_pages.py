"""The pages in the real API server: who sees them, and that a run's bill is on them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from local.stack.airflow_api import AirflowApi
from tools.browser import chromium, open_browser, visit

SPEC, RUN = "system_manual", "pages:+run~1"
PATHS = ("/", "/jobs", "/costs.csv", f"/run?dag_id={SPEC}&run_id=x", "/bill?job=1", "/static/pages.css")


@pytest.fixture(scope="module")
def bill(stack):
    """A run with its bill, of a name that has to be escaped."""
    from tests.system.conftest import Nights

    nights = Nights(stack)
    nights.start(SPEC, RUN)
    run = next(run for run in stack.airflow.runs(SPEC) if run["dag_run_id"] == RUN)
    assert stack.airflow.wait_for_run(SPEC, run["dag_run_id"])["state"] == "success"
    (found,) = nights.bills(SPEC, RUN)
    return found


@pytest.fixture(scope="module")
def as_viewer(stack):
    passwords = json.loads((Path(stack.site.home) / "passwords.json").read_text())
    api = AirflowApi(stack.site.url, "viewer", passwords["viewer"])
    yield api.token()
    api.close()


def get(stack, path, token=None):
    cookies = {"_token": token} if token else {}
    return httpx.get(f"{stack.site.url}/vertex-batch{path}", cookies=cookies, timeout=30, trust_env=False)


def test_airflow_loads_the_plugin_with_its_views(stack):
    assert stack.airflow.call("GET", "/plugins/importErrors")["import_errors"] == []
    plugins = {each["name"]: each for each in stack.airflow.call("GET", "/plugins")["plugins"]}
    views = plugins["vertex_batch"]["external_views"]
    assert {view["destination"] for view in views} == {"nav", "dag", "dag_run"}
    assert len({view["url_route"] for view in views}) == len(views)


@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_401(stack, path):
    assert get(stack, path).status_code == 401
    assert get(stack, path, "no.such.token").status_code in (401, 403)


def test_an_admin_sees_the_bill_of_a_run_with_the_cookie_of_the_ui(stack, bill):
    token = stack.airflow.token()
    answer = get(stack, f"/run?dag_id={SPEC}&run_id={quote(RUN, safe='')}", token)
    assert answer.status_code == 200
    assert bill.job.job_id in answer.text
    assert f"{bill.total.amount.normalize():f}" in answer.text
    assert SPEC in get(stack, "/", token).text
    assert bill.job.job_id in get(stack, f"/jobs?q={bill.job.job_id}", token).text
    assert SPEC in get(stack, "/costs.csv", token).text


def test_a_viewer_sees_the_pages_of_the_dags_that_a_viewer_may_see(stack, bill, as_viewer):
    assert SPEC in get(stack, "/", as_viewer).text
    assert bill.job.job_id in get(stack, "/jobs", as_viewer).text


@pytest.mark.skipif(not chromium(), reason="Chromium is not installed")
def test_in_airflows_frame_the_page_takes_its_dark_mode_and_leads_out_into_a_tab(stack, bill):
    url = f"{stack.site.url}/dags/{SPEC}/runs/{quote(RUN, safe='')}/plugin/run-batch-costs"
    with (
        open_browser() as browser,
        visit(browser, url=stack.site.url, token=stack.airflow.token()) as visitor,
    ):
        visitor.page.goto(url)
        frame = visitor.page.frame_locator("iframe")
        expect(frame.locator("tfoot")).to_be_visible(timeout=60_000)
        assert bill.job.job_id in frame.locator("body").inner_text()
        visitor.page.evaluate("document.documentElement.className = 'dark'")
        expect(frame.locator("html")).to_have_attribute("data-theme", "dark", timeout=60_000)
        with visitor.context.expect_page() as opened:
            frame.locator('a.out[href*="/dags/"]').first.click()
        opened.value.wait_for_url(f"{stack.site.url}/dags/{SPEC}/runs/**", wait_until="commit")
        assert not [error for error in visitor.errors if "vertex-batch" in error]
