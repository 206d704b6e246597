"""The system's Chromium, driven by Playwright, which never fetches a browser here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

ARGUMENTS = (
    "--no-sandbox",  # it sees our own pages only, and a container has no other user to switch to
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
)
WIDE: ViewportSize = {"width": 1280, "height": 860}
NARROW: ViewportSize = {"width": 390, "height": 860}
FULL_HD: ViewportSize = {"width": 1920, "height": 1080}


class BrowserError(Exception):
    """Chromium is not installed."""


def chromium() -> str | None:
    """Return the path of the system's browser, if it has one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium with an empty profile, and end it afterwards.

    :raises BrowserError: there is none: ``apt-get install chromium``.
    """
    program = chromium()
    if program is None:
        raise BrowserError("No Chromium found; in Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A person with a browser of their own.

    :ivar errors: what the pages wrote to the console as an error, and scripts that failed.
    """

    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)


@contextmanager
def visit(
    browser: Browser, *, url: str, token: str = "", viewport: ViewportSize = WIDE, dark: bool = False
) -> Iterator[Visitor]:
    """Open a window, signed in to Airflow where there is a token."""
    context = browser.new_context(
        accept_downloads=True, viewport=viewport, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(60_000)
    if token:
        context.add_cookies([{"name": "_token", "value": token, "url": url}])
    visitor = Visitor(context, context.new_page())
    visitor.page.on(
        "console",
        lambda message: (
            visitor.errors.append(f"{message.text} {message.location['url']}")
            if message.type == "error"
            else None
        ),
    )
    visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
    try:
        yield visitor
    finally:
        context.close()
