"""Pages in a real browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A page that is open, with what it said on the console and what it asked for."""

    def __init__(self, context: BrowserContext, path: Path) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = context.new_page()
        self.page.add_init_script(NOTE_VIOLATIONS)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    @property
    def serious_faults(self) -> list[tuple[str, str]]:
        """What axe finds that keeps people out: the rule, and the first element."""
        found = Axe().run(self.page).response["violations"]
        kinds = ("serious", "critical")
        return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in kinds]

    def is_ready(self) -> "Opened":
        """Itself, when its script is done."""
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return self

    @property
    def outside(self) -> list[str]:
        """What was asked for elsewhere than in the page."""
        return [url for url in self.asked[1:] if not url.startswith("data:")]


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """A function that opens a page: open_page(path, width=..., and options of a browser's context)."""
    contexts = []

    def open_it(path: Path, width: int = 1280, **options: Any) -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        return Opened(contexts[-1], path)

    yield open_it
    for context in contexts:
        context.close()
