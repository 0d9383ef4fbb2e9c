"""Somebody at the studio's page in Debian's Chromium, and the server as a process of its own that can be killed."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx
import numpy as np
import pytest

from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.studio.page import STATIC

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

PATIENCE_SECONDS = 60.0
_SERVE = (
    "import sys, pathlib; from sa_pipeline.dataset import open_dataset; from sa_pipeline.studio.serve import serve; "
)
_SERVE += "serve(open_dataset(pathlib.Path(sys.argv[1])), port=int(sys.argv[2]))"


def chromium_or_skip() -> str:
    """Path of Chromium; skips with the reason where the page cannot be looked at."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on PATH")
    if not (STATIC / "index.html").exists():
        pytest.skip("the page has not been built; run `make web`")
    return found


@contextlib.contextmanager
def running_chromium() -> Iterator["Browser"]:
    """A browser without a screen."""
    path = chromium_or_skip()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something; fails with what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


@dataclass
class ServerProcess:
    """The studio's server of a dataset's home, at the same address after each start."""

    home: Path
    port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self.process = subprocess.Popen([sys.executable, "-c", _SERVE, str(self.home), str(self.port)])
        wait_until(self._answers, "the server's start")

    def kill(self) -> None:
        """SIGKILL: nothing can be tidied up."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server stopped by itself"
        try:
            return httpx.get(f"{self.url}/api/health").is_success
        except httpx.TransportError:
            return False


class Person:
    """Somebody who works in a browser of their own.

    Attributes:
        page: What they see.
        acknowledged: Ids of the events that the server said it has.
        errors: Exceptions of the page's program, and what it logs as an error; answers that the browser notes as failed
            are not among them, since a test may cut the network.
    """

    def __init__(self, browser: "Browser", url: str, token: str) -> None:
        self.context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800})
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self._url = url
        self.page = self.new_page()
        self.page.goto(f"{url}/#token={token}")
        self.page.get_by_test_id("home").wait_for()

    def new_page(self) -> "Page":
        """Another tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._logged)
        page.on("response", self._answered)
        return page

    def go_to(self, address: str) -> None:
        """Opens one of the page's own addresses, such as `#/reviews`."""
        self.page.goto("about:blank")
        self.page.goto(f"{self._url}/{address}")

    def open_task(self, task: str = "next", page: "Page | None" = None) -> None:
        """Goes to a task, and waits until it can be worked on."""
        page = page or self.page
        page.goto("about:blank")
        page.goto(f"{self._url}/#/tasks/{task}")
        self.wait_ready(page)

    def wait_ready(self, page: "Page | None" = None) -> None:
        """Waits for the editor."""
        page = page or self.page
        page.get_by_test_id("editor").wait_for()
        wait_until(lambda: page.evaluate("!!window.studio && !window.studio.busy()"), "the editor")

    def crash(self) -> None:
        """The tab is gone, without a chance to say good-bye; a new one is opened."""
        gone, self.page = self.page, self.new_page()
        gone.close(run_before_unload=False)

    def stroke(
        self, start: tuple[int, int], end: tuple[int, int], *, between: Callable[[], None] | None = None
    ) -> None:
        """Paints from one px of the image to another; `between` happens with the button held down."""
        x, y = self.page.evaluate("([x, y]) => window.studio.toScreen(x, y)", start)
        to_x, to_y = self.page.evaluate("([x, y]) => window.studio.toScreen(x, y)", end)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=3)
        if between is not None:
            between()
        self.page.mouse.move(to_x, to_y, steps=3)
        self.page.mouse.up()

    def click(self, at: tuple[int, int], button: Literal["left", "right"] = "left") -> None:
        """Clicks a px of the image, and waits for SAM's answer."""
        x, y = self.page.evaluate("([x, y]) => window.studio.toScreen(x, y)", at)
        self.page.mouse.click(x, y, button=button)
        self.wait_ready()

    def objects(self) -> dict[str, dict]:
        """What the editor holds, by object id."""
        return {state["object_id"]: state for state in self.page.evaluate("window.studio.objects()")}

    def save_state(self) -> dict:
        """What the page says about saving."""
        return self.page.evaluate("window.studio.saveState()")

    def wait_saved(self) -> None:
        """Waits until the page says that all is on the server."""
        wait_until(lambda: self.save_state()["state"] == "saved", "everything to be saved")

    def _logged(self, message: "ConsoleMessage") -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _answered(self, response: "Response") -> None:
        if response.request.method == "POST" and response.url.endswith("/events") and response.status == 200:
            self.acknowledged += [event["op_id"] for event in response.request.post_data_json["events"]]


def pixels(state: dict) -> np.ndarray:
    """An object's mask (H, W), bool."""
    return counts_to_mask(state["mask"]["counts"], tuple(state["mask"]["size"]))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
