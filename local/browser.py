"""A headless Chromium, driven over its own protocol: open a page, look at it, click, take a picture."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from local.waiting import check_processes

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # it sees our own pages only, and in a container there is no user to switch to
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)
_STARTS_WITHIN_SECONDS = 60
_IDLE_SECONDS = 0.4


class BrowserError(Exception):
    """The browser is missing, does not start, or refuses."""


class Tab:
    """One page.

    :ivar messages: what the page wrote to the console as an error, and scripts that failed.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.messages: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            said = json.loads(self._connection.recv(timeout=60))
            self._note(said)
            if said.get("id") == self._number:
                if "error" in said:
                    raise BrowserError(f"{method}: {said['error']['message']}")
                result: dict[str, Any] = said["result"]
                return result

    def sign_in(self, url: str, token: str) -> None:
        """Give the browser Airflow's cookie."""
        self.call("Network.setCookie", name="_token", value=token, url=url)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def click(self, element: str) -> None:
        """Click an element as a person does: what only a person may do, such as opening a tab, is allowed."""
        self.call("Runtime.evaluate", expression=f"{element}.click()", userGesture=True)
        time.sleep(_IDLE_SECONDS)

    def pages(self) -> list[str]:
        """The addresses of all open tabs."""
        found = self.call("Target.getTargets")["targetInfos"]
        return [each["url"] for each in found if each["type"] == "page"]

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until the expression is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            check_processes()
            if time.monotonic() > deadline:
                raise BrowserError(f"not within {seconds} s: {expression}")
            time.sleep(0.2)
        time.sleep(_IDLE_SECONDS)

    def picture(self, file: Path) -> None:
        """Write what is to be seen as a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(data))

    def _note(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            self.messages.append(params["exceptionDetails"]["text"])
        if said.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.messages.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


@contextmanager
def open_browser() -> Iterator[Tab]:
    """Start Chromium with an empty profile, and end it afterwards.

    :raises BrowserError: there is none: ``apt-get install chromium``.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise BrowserError("There is no Chromium here; in Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, f"--user-data-dir={profile}", *_ARGUMENTS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_page_address(Path(profile)), max_size=None) as connection:
                yield Tab(connection)
        finally:
            process.terminate()
            process.wait(20)


def _page_address(profile: Path) -> str:
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    file = profile / "DevToolsActivePort"
    while time.monotonic() < deadline:
        if file.exists() and (lines := file.read_text().split()):
            found = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", trust_env=False).json()
            pages = [each for each in found if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise BrowserError("Chromium did not start.")
