"""The HTML report in a real browser: headless Chromium, driven by playwright, without a network."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sample_results import finding, results

from conformance import results as records
from conformance.gate import judge
from conformance.grade import Grade, Grades, Mark, builtin
from conformance.reporting.grades import to_html as to_grades
from conformance.reporting.html import MOST_SHOWN, to_html
from conformance.results import Results

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine: `apt-get install chromium` to run these", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install '.[test]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing: pip install '.[test]'")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-dev-shm-usage",
]


def large(operations: int, findings: int) -> Results:
    """Results of so many operations and findings, with every part of the report in use."""
    features = [f"feature {i}" for i in range(18)]
    pick = random.Random(1)
    names = [f"operation{i}" for i in range(operations)]
    base = results(finding())
    cells = [
        records.Cell(
            engine="micro", operation=name, feature=feature, programs=40, mismatches=3 * (pick.random() < 0.03)
        )
        for name in names
        for feature in features
    ]
    rows = [sum((pick.random() < 0.9) << bit for bit in range(operations)) for _ in names]
    covered = sum(row.bit_count() for row in rows)
    verdicts = ("engine wrong", "undecided", "convention differs")
    return judge(
        msgspec.structs.replace(
            base,
            engines=(
                msgspec.structs.replace(
                    base.engines[0], operations=tuple(names), unsupported=(), seconds=3.0, reference_seconds=4.0
                ),
            ),
            cells=tuple(cells),
            pairs=(
                records.Pairs(
                    engine="micro",
                    operations=tuple(names),
                    rows=tuple(f"{row:x}" for row in rows),
                    covered=covered,
                    possible=operations**2,
                ),
            ),
            errors=tuple(
                records.Errors(engine="micro", operation=name, counts=(300, 40, 12, 5, 3, 2, 1, 1), worst=7.5)
                for name in names
            ),
            expectations=(
                records.Expected(id="known-one", engine="micro", signature="mul", outcome="known", reason="as meant"),
            ),
            corpus=(
                records.Corpus(
                    engine="micro",
                    topics=(
                        records.CorpusTopic(name="views", same=40, differs=1, known=1),
                        records.CorpusTopic(name="hooks", same=30, stale=1),
                    ),
                    programs=tuple(
                        records.CorpusProgram(
                            id=f"views/{status}",
                            status=status,
                            source="x = torch.ones(2)\nx\n",
                            statements=(records.Statement(source="x", expected="tensor([1., 1.])", actual="<x>"),),
                            reason="" if status == "differs" else "as meant",
                        )
                        for status in ("differs", "known", "stale")
                    ),
                ),
            ),
            selftest=records.SelfTest(
                suite="0.1.0",
                torch="2.13.0",
                engine="micro",
                seed=0,
                examples=5000,
                faults=(
                    records.PlantedFault(name="lost: mul", family="accumulation", found=True, named=True, programs=40),
                    records.PlantedFault(name="axis: sum", family="wrong axis", found=False),
                ),
            ),
            findings=tuple(
                msgspec.structs.replace(
                    finding(f"f-{i:04}", message=f"{name}: x0.grad at [0] should be 1.0, got 2.0"),
                    blamed=name,
                    verdict=pick.choice(verdicts),
                )
                for i, name in enumerate(pick.choices(names, k=findings))
            ),
        )
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three reports: of two engines and with a trend, of 300 operations, of 1,000 findings."""
    folder = tmp_path_factory.mktemp("reports")
    small = large(12, 4)
    other = msgspec.structs.replace(small.engines[0], name="other")
    small = msgspec.structs.replace(
        small,
        engines=(*small.engines, other),
        cells=(*small.cells, *(msgspec.structs.replace(c, engine="other", mismatches=0) for c in small.cells)),
    )
    earlier = [msgspec.structs.replace(small, started=f"2025-01-0{day}T00:00:00Z") for day in (1, 2)]
    texts = {"small": to_html(small, earlier), "wide": to_html(large(300, 8)), "long": to_html(large(40, 1000))}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return {name: folder / f"{name}.html" for name in texts}


class Opened:
    """A page, and what went wrong on it."""

    def __init__(self, browser: sync_api.Browser, file: Path, anchor: str = "", **options: object) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri() + anchor)

    def __enter__(self) -> sync_api.Page:
        return self.page

    def __exit__(self, *raised: object) -> None:
        self.context.close()
        if raised[0] is None:
            assert not self.errors
            assert all(url.startswith(("file:", "data:")) for url in self.requests), self.requests


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_of_wcag(browser: sync_api.Browser, files: dict[str, Path], scheme: str) -> None:
    with Opened(browser, files["small"], color_scheme=scheme) as page:
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") is (scheme == "light")
        page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        page.locator(".matrix[data-engine] td.f").first.click(position={"x": 2, "y": 2})  # the panel of a cell too
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_on_the_page_of_a_class(browser: sync_api.Browser, tmp_path: Path, scheme: str) -> None:
    rubric = builtin()
    marks = tuple(
        Mark(
            criterion=c.name, points=points, of=c.points, outcomes={"right": 3, "wrong": 1}, remarks=("mul wrong: <b>",)
        )
        for c, points in zip(rubric.criteria, (25, 10, 0, 15, 0, 7.5), strict=True)
    )
    good = Grade(name="good", file="good.py", marks=marks, seconds=1.0)
    lies = Grade(name="lies", file="lies.py", marks=marks, flags=("tries to import torch",))
    file = tmp_path / "grades.html"
    file.write_text(to_grades(Grades(rubric=rubric, seed=0, grades=(good, lies))))
    with Opened(browser, file, color_scheme=scheme) as page:
        page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.locator("pre").first.inner_text() == "mul wrong: <b>"


def test_filters_live_in_the_hash(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"]) as page:
        page.fill("#filter-operations", "operation1")
        shown = "table.matrix[data-engine=micro] tbody tr:visible"
        assert page.locator(shown).count() == 3  # 1, 10, 11
        page.select_option("#find-verdict", "undecided")
        page.fill("#find", "OPERATION x0.grad")
        assert "ops=operation1" in page.url
        assert "verdict=undecided" in page.url
        count = page.locator("article.finding:visible").count()
        assert count == page.locator("article[data-verdict=undecided]").count() < 4
        view = page.url.partition("#")[2]
    with Opened(browser, files["small"], f"#{view}") as page:  # a link to the same view
        assert page.input_value("#filter-operations") == "operation1"
        assert page.locator(shown).count() == 3
        assert page.locator("article.finding:visible").count() == count
        hidden = page.locator("article.finding:not(:visible)").first.get_attribute("id")
        page.evaluate("id => { location.hash = id }", hidden)
        page.wait_for_selector(f"#{hidden}", state="visible")  # a link leads to its finding, whatever the filters


def test_a_cell_opens_what_was_run_there(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"]) as page:
        page.locator(".matrix[data-engine=micro] td[tabindex]").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert "operation1 × feature 0" in page.inner_text("#cell")
        assert "40 programs" in page.inner_text("#cell")
        page.keyboard.press("Escape")
        assert page.locator("#cell").is_hidden()
        blamed = page.locator("article.finding").first
        name = (blamed.get_attribute("data-ops") or "").split()[0]
        row = page.locator(".matrix[data-engine=micro] tbody tr", has_text=name)
        row.first.locator("td").first.click(position={"x": 2, "y": 2})
        assert blamed.locator("h3").inner_text() in page.inner_text("#cell")


def test_copy_gives_the_text(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"], permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator("article.finding .copyable").first.locator(".copy").click()
        page.wait_for_function("document.querySelector('#announce').textContent === 'Copied'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("article.finding .copyable pre").first.inner_text()
        assert copied.startswith("x0 = torch.autograd.Variable(")


def test_print_drops_what_paper_cannot_do(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"], color_scheme="dark") as page:
        paper = page.pdf()
        assert paper.startswith(b"%PDF")
        assert paper.count(b"/Type /Page\n") >= 2
        page.emulate_media(media="print")
        assert page.locator(".copy:visible, .filter:visible, .bar:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_reads_without_javascript(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"], java_script_enabled=False) as page:
        assert page.locator("h1").inner_text().startswith("micro, other against torch")
        assert page.locator("article.finding:visible").count() == 4
        assert page.locator(".matrix tbody tr:visible").count() == 36
        assert page.locator(".copy:visible, .filter:visible, #cell:visible").count() == 0
        assert page.locator(".pairs img").first.evaluate("image => image.naturalWidth") == 12


def test_known_findings_are_folded_and_a_link_unfolds_them(browser: sync_api.Browser, tmp_path: Path) -> None:
    given = large(12, 4)
    known = msgspec.structs.replace(given.findings[0], known="known-one")
    file = tmp_path / "known.html"
    file.write_text(to_html(msgspec.structs.replace(given, findings=(known, *given.findings[1:]))))
    with Opened(browser, file) as page:
        svg = page.locator(f"#{known.id} svg.graph")
        assert page.locator("article.finding svg.graph:visible").count() == 3
        assert svg.is_hidden()
        page.evaluate("id => { location.hash = id }", known.id)
        svg.wait_for(state="visible")
        assert "as meant" in page.inner_text(f"#{known.id}")
    with Opened(browser, file, java_script_enabled=False) as page:
        page.locator(f"#{known.id} summary").first.click()
        page.locator(f"#{known.id} svg.graph").wait_for(state="visible")


def test_the_corpus_shows_both_sides_beside_each_other(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"]) as page:
        ours, theirs = page.locator(".recited", has_text="views/differs").locator(".beside > div").all()
        ours.scroll_into_view_if_needed()  # only what is near the window is laid out
        sync_api.expect(ours.locator("pre")).to_have_text("tensor([1., 1.])", use_inner_text=True)
        sync_api.expect(theirs.locator("pre")).to_have_text("<x>", use_inner_text=True)
        one, other = ours.bounding_box(), theirs.bounding_box()
        assert one
        assert other
        assert one["y"] == other["y"]
        assert one["x"] + one["width"] < other["x"]
        assert "1 of 2 planted faults were found" in page.inner_text("#main")


def test_a_telephone_shows_all_of_it(browser: sync_api.Browser, files: dict[str, Path]) -> None:
    with Opened(browser, files["small"], viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("name", "nodes", "bytes_"), [("wide", 20_000, 300_000), ("long", 20_000, 600_000)])
def test_large_reports_stay_responsive(
    browser: sync_api.Browser, files: dict[str, Path], name: str, nodes: int, bytes_: int
) -> None:
    assert files[name].stat().st_size < bytes_
    with Opened(browser, files[name]) as page:
        assert page.locator("*").count() < nodes
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        def layouts() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount")

        before = layouts()
        page.fill("#filter-operations", "operation2")
        page.fill("#find", "operation2")
        assert "of" in page.inner_text("#find-shown")
        assert layouts() - before < 20  # one or two for each change, whatever the number of rows
        every = page.locator("[data-verdict]")
        assert every.count() == (8 if name == "wide" else 1000)
        assert page.locator("article.finding").count() <= MOST_SHOWN
