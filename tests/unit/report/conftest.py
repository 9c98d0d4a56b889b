"""A report from the programs, and its page in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evaluate
import explain
import metrics
import pytest
import train
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

import report
from conftest import SMALL_CROP, Prepared, evaluation_outputs, prepare, training_outputs
from luna.base.files import write_record
from luna.data.records import CandidateCount, NoduleCount, SeriesCount, Verification


def chain(data: Prepared, epochs: int, runs: tuple[str, ...] = ("a", "b")) -> Path:
    """Train, evaluate, summarise and report by the programs; the results folder."""
    results, truth = data.folder, ["--annotations", str(data.annotations)]
    folders = [results / "runs" / run / "fold0" for run in runs]
    options = [*data.options(), "--device=cpu"]
    for number, (run, folder) in enumerate(zip(runs, folders, strict=True)):
        recipe = ["--model.channels", "2", "4", f"--epochs={epochs}"]
        train.main([*options, f"--run={run}", f"--seed={number}", *recipe, *training_outputs(folder)])
        evaluate.main(
            [*options, "--model", f"{folder}/model.pt", *truth, "--bootstrap=50", *evaluation_outputs(folder)]
        )
        explain.main(
            [*options, "--model", f"{folder}/model.pt", "--predictions", f"{folder}/predictions.csv",
             "--saliency", f"{folder}/saliency.npz"]
        )  # fmt: skip
    inputs = ["--folders", *map(str, folders), *truth]
    metrics.main(
        [*inputs, "--bootstrap=50", "--metrics", f"{results}/metrics.csv",
         "--summary", f"{results}/summary.csv", "--record", f"{results}/summary.json"]
    )  # fmt: skip
    write_record(results / "verification.json", VERIFICATION)
    report.main(
        ["--folders", *map(str, folders), *data.options(),
         "--verification", f"{results}/verification.json",
         "--listing", f"{results}/candidates.json", "--metrics", f"{results}/metrics.csv", "--summary",
         f"{results}/summary.json", "--benchmarks", f"{results}/benchmarks/train.tsv",
         "--out", f"{results}/report.html"]
    )  # fmt: skip
    return results


VERIFICATION = Verification(
    series=SeriesCount(found=10, usable=10), subsets={}, nodules=NoduleCount(listed=1, usable=1),
    candidates=CandidateCount(listed=1, usable=1, positive=1), problems=[], warnings=[], notes=[],
)  # fmt: skip


@pytest.fixture(scope="session")
def report_page(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs; do not change it."""
    return chain(prepare(phantom, tmp_path_factory.mktemp("page"), SMALL_CROP), 2) / "report.html"


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

    def is_ready(self) -> "Opened":
        """Itself, when its script is done."""
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return self

    @property
    def outside(self) -> list[str]:
        """What was asked for elsewhere than in the page."""
        return [url for url in self.asked[1:] if not url.startswith("data:")]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """A function that opens a page: open_page(path, width=..., and options of a browser's context)."""
    contexts = []

    def open_it(path: Path, width: int = 1280, **options: Any) -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        return Opened(contexts[-1], path)

    yield open_it
    for context in contexts:
        context.close()
