"""Reports: complete, escaped, offline, and made without torch."""

from __future__ import annotations

import cProfile
import io
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from sample_results import NASTY, finding, results

from conformance.gate import Exit, judge
from conformance.reporting import write_reports
from conformance.reporting.console import console, print_report
from conformance.reporting.github import commands, declaration, publish
from conformance.reporting.html import to_html
from conformance.reporting.junit import to_junit
from conformance.reporting.markdown import cell, mermaid, to_markdown
from conformance.reporting.svg import Card, Edge, Row, draw
from conformance.results import Cell, Results, load, save, with_selftest

VOID = {"meta", "link", "input", "br", "hr", "img"}
#: What HTML closes by itself, and the elements that are closed when another one of the kind begins.
OPTIONAL = {"td", "th", "tr", "tbody"}
CLOSES = {"td": {"td", "th"}, "th": {"td", "th"}, "tr": {"td", "th", "tr"}}


class Page(HTMLParser):
    """Checks nesting, and gathers ids, links, loads and text as it goes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.seen: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        while self.open and self.open[-1] in CLOSES.get(tag, ()):
            self.open.pop()
        given = dict(attrs)
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        else:
            self.loads += [given[name] for name in ("src", "href", "srcset", "data", "action") if given.get(name)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.open[-1] != tag and self.open[-1] in OPTIONAL:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_html_loads_nothing_and_its_links_stay_on_the_page() -> None:
    text = to_html(results(finding(), finding("f-two")))
    page = Page(text)
    assert all(load.startswith("data:") for load in page.loads)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 500_000


def test_html_escapes_what_an_engine_says() -> None:
    text = to_html(results(finding(message=NASTY)))
    page = Page(text)
    assert page.seen.count("script") == 1
    assert page.words.count(NASTY) == 2  # platform and headline
    assert page.words.count(NASTY[:40]) == 3  # and the value on a card of the graph, which is cut short


def test_html_shows_both_gradients_the_blamed_node_and_the_commands() -> None:
    page = Page(to_html(results(finding())))
    for text in (
        "[[2., 4.], [6., -1.]]",
        "[[1., 2.], [3., -0.5]]",
        "≠ blamed",
        "x0.grad[1, 0]",
        "conformance replay f-one",
        "conformance run './micro engine.py:Micro' --seed 17 --time 30",
        "print('| not a table |')",
        "mul → mul",  # the pair that was not exercised
    ):
        assert text in page.words


@pytest.mark.parametrize("write", [to_html, to_markdown, to_junit])
def test_every_state_can_be_reported(write) -> None:  # type: ignore[no-untyped-def]
    clean = results()
    empty = judge(msgspec.structs.replace(clean, cells=(), pairs=(), engines=(), statistics=type(clean.statistics)()))
    stopped = judge(clean, interrupted=True)
    assert [r.exit_code for r in (clean, empty, stopped)] == [Exit.PASSED, Exit.EVIDENCE, Exit.INTERRUPTED]
    assert len({write(r) for r in (clean, empty, stopped)}) == 3


def test_not_exercised_never_reads_as_passed() -> None:
    clean = results()
    missed = judge(
        msgspec.structs.replace(
            clean, cells=(Cell(engine="micro", operation="add", feature="float64"), *clean.cells[1:])
        )
    )
    assert missed.exit_code == Exit.EVIDENCE
    assert missed.reasons == ("not-exercised: 1 operation of micro (add)",)
    rows = [line for line in to_markdown(missed).splitlines() if line.startswith(("| `add`", "| `log`", "| `mul`"))]
    assert [re.findall(r"[✓✗○–]", row) for row in rows] == [["○", "○"], ["✓", "✓", "✓"], ["–"]]
    root = ElementTree.fromstring(to_junit(missed))
    cases = {case.get("classname", "").rpartition(".")[2]: case for case in root.iter("testcase")}
    assert cases["add"].find("skipped") is not None
    assert cases["log"].find("skipped") is not None
    assert cases["gate"].find("error") is not None


def test_markdown_tables_keep_their_columns_whatever_the_text() -> None:
    text = to_markdown(results(finding(message=NASTY)))
    outside = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    widths: list[int] = []
    for line in outside.splitlines():
        if not line.startswith("|"):
            widths = []
            continue
        widths.append(len(re.findall(r"(?<!\\)\|", line)))
        assert widths[-1] == widths[0], line
    assert "<script>" not in re.sub(r"\\<", "", outside)
    assert cell("a|b\nc") == "a\\|b c"


def test_the_figures_of_a_selftest_are_shown(tmp_path: Path) -> None:
    faults = [
        {"name": "axis: sum", "family": "formula", "found": True, "named": True, "said": "sum", "programs": 8},
        {"name": "lost: mul", "family": "engine", "found": True, "named": False, "said": "add", "programs": 4},
        {"name": "dead: `|`", "family": "engine", "found": False},
    ]
    file = {"format": "minigrad-conformance-selftest/1", "suite": "1", "torch": "2", "engine": "torch", "seed": 0,
            "examples": 50, "faults": faults}  # fmt: skip
    (tmp_path / "selftest.json").write_bytes(msgspec.json.encode(file))
    given = with_selftest(results(), tmp_path / "selftest.json")
    assert "2 of 3 planted faults were found, 1 of them named rightly, after 6 programs" in to_html(given)
    text = to_markdown(given)
    assert re.search(r"\| all +\| 3 +\| 2 +\| 1 +\| 6 +\|", text)
    assert "- `lost: mul`: named as add" in text
    assert "`` dead: `\\|` ``: not found" in text


def test_junit_has_a_case_for_each_cell_and_each_finding() -> None:
    known = msgspec.structs.replace(finding("f-three"), known="listed")
    root = ElementTree.fromstring(to_junit(results(finding(message=NASTY), finding("f-two"), known)))
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    micro = "conformance.micro"
    assert set(cases) == {
        (f"{micro}.add", "float64"),
        (f"{micro}.mul", "float64"),
        (f"{micro}.mul", "reuse"),
        (f"{micro}.log", "all"),
        *((f"{micro}.findings", name) for name in ("f-one", "f-two", "f-three")),
    }
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("7", "3", "2")
    assert all(len(case) <= 1 for case in cases.values())
    assert NASTY in cases[f"{micro}.findings", "f-one"].find("failure").get("message")  # type: ignore[operator, union-attr]


def test_markdown_stays_below_what_github_shows() -> None:
    many = results(*(finding(f"f-{i:04}", message="x" * 300) for i in range(1000)))
    text = to_markdown(many)
    assert 600_000 < len(text.encode()) < 1 << 20
    assert all(f"f-{i:04}" in text for i in range(1000))
    assert "more findings, in short" in text
    small = to_markdown(many, 30_000)
    assert len(small.encode()) <= 30_000
    assert "more findings are in the HTML report" in small


def test_mermaid_draws_the_program_whatever_its_texts_hold() -> None:
    drawn = mermaid(finding()).splitlines()
    assert drawn[0] == "flowchart TD"
    assert "    n0 --> n1" in drawn
    assert drawn[1].endswith(":::differs")
    assert all(set(re.sub(r"#\d+;|<br>", "", line)) & set('<>"|`&') <= {'"', ">"} for line in drawn)


def test_github_gets_annotations_at_the_rule_and_a_summary(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("import x\n\nRULES = {\n    'mul': lambda a, b: a * b,\n}\n")
    engine = msgspec.structs.replace(results().engines[0], spec=f"{tmp_path / 'engine.py'}:Micro")
    run = msgspec.structs.replace(results(finding(message="a: b,\n100 %")), engines=(engine,))
    (line,) = commands(run, tmp_path)
    assert line.startswith("::error file=engine.py,line=4,title=mul%3A gradient::mul: a: b,%0A100 %25%0Aengine wrong")
    out = io.StringIO()
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    publish(run, out, environment | {"GITHUB_WORKSPACE": str(tmp_path)})
    assert out.getvalue() == f"{line}\n"
    assert "# ✗ Failed: micro against torch" in (tmp_path / "summary").read_text()
    many = msgspec.structs.replace(run, findings=tuple(finding(f"f-{i}") for i in range(30)))
    assert len(commands(many, tmp_path)) == 10
    assert "21 more" in commands(many, tmp_path)[-1]
    assert commands(results(), tmp_path) == []
    silent = io.StringIO()
    publish(run, silent, {})
    assert not silent.getvalue()


def test_an_annotation_finds_where_minigrad_declares_an_operation() -> None:
    for operation in ("sigmoid", "matmul", "logsigmoid", "linalg.inv"):
        found = declaration("minigrad", operation)
        assert found is not None, operation
        path, number = found
        lines = path.read_text().splitlines()[number - 1 : number + 12]
        assert operation.rpartition(".")[2] in "\n".join(lines)
        assert path.parent.name == "ops"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_console_colour_obeys_the_variables(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    print_report(results(finding()), console(stream))
    text = stream.getvalue()
    assert (re.search(r"\x1b\[[0-9;]*3[0-9]", text) is not None) is coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "conformance replay f-one" in plain
    assert "1,234 programs, 5,678 operations applied (2 of 2 kinds), 3 of 4 pairs" in plain
    assert plain.rstrip().endswith("✗ Failed: micro against torch 2.13.0")


def test_reports_are_made_without_torch(tmp_path: Path) -> None:
    save(results(finding()), tmp_path / "results.json")
    program = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None; sys.modules['hypothesis'] = None\n"
        "from conformance.cli import main; sys.exit(main(['report', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "report.html", "report.md", "junit.xml"}


def test_written_reports_are_those_of_the_results(tmp_path: Path) -> None:
    given = results(finding())
    write_reports(given, tmp_path / "new" / "folder")
    assert load(tmp_path / "new" / "folder" / "results.json") == given
    assert (tmp_path / "new" / "folder" / "report.html").read_text() == to_html(given)


def test_drawing_keeps_cards_apart_and_edges_downwards() -> None:
    wide = "0.123456789 " * 4
    cards = [Card(str(i), f"v{i}", (Row("value", wide),)) for i in range(7)]
    edges = [
        Edge("0", "2"),
        Edge("1", "2"),
        Edge("2", "3"),
        Edge("0", "5"),
        Edge("3", "5", 1),
        Edge("4", "5", 2),
        Edge("5", "6"),
        Edge("5", "6", 1),
    ]
    root = ElementTree.fromstring(draw(cards, edges, "a <title>"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [[float(rect.get(k, "nan")) for k in ("x", "y", "width", "height")] for rect in root.iter(f"{space}rect")]
    assert len(boxes) == 7
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= float(root.get("width", "0"))
        assert y + h <= float(root.get("height", "0"))
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    curves = [path.get("d", "") for path in root.iter(f"{space}path") if path.get("class") == "edge"]
    assert len(set(curves)) == len(edges)  # two edges between the same cards are both seen
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", curve)] for curve in curves]
    for points in numbers:  # no edge runs through a card: its straight parts and its ends stay outside of all of them
        for px, py in zip(points[::2], points[1::2], strict=True):
            assert not any(x < px < x + w and y + 1 < py < y + h - 1 for x, y, w, h in boxes)
    for edge in edges:
        assert boxes[int(edge.source)][1] < boxes[int(edge.target)][1]


def test_drawing_refuses_a_cycle() -> None:
    with pytest.raises(ValueError, match="cycle"):
        draw([Card("a", "a"), Card("b", "b")], [Edge("a", "b"), Edge("b", "a")], "t")


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours written #rgb or #rrggbb."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        parts = [digits[i] * 2 for i in range(3)] if len(digits) == 3 else [digits[i : i + 2] for i in (0, 2, 4)]
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (int(p, 16) / 255 for p in parts)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_scheme_has_contrasts_of_wcag_aa() -> None:
    style = re.search(r"<style>(.*?)</style>", to_html(results()), re.DOTALL)
    assert style
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w+)\b", block)) for block in re.findall(r":root {(.*?)}", style[1], re.DOTALL)
    ]
    assert len(schemes) == 3  # light, dark, print
    assert contrast("#000", "#fff") == pytest.approx(21)
    for scheme in schemes:
        for paper in ("page", "surface", "raised"):
            for ink in ("ink", "muted", "accent", "bad", "good", "warn"):
                assert contrast(scheme[ink], scheme[paper]) >= 4.5, (ink, paper)
        for tone in ("good", "bad", "warn"):
            assert contrast(scheme[tone], scheme[f"{tone}-page"]) >= 4.5, tone
        assert contrast(scheme["ink"], scheme["bad-page"]) >= 4.5
        assert contrast(scheme["muted"], scheme["bad-page"]) >= 4.5
        assert contrast(scheme["muted"], scheme["stripe"]) >= 4.5


def test_each_report_of_many_cells_takes_time_in_proportion() -> None:
    """Counted in calls of Python functions, which do not depend on the machine."""

    def calls(write: Callable[[Results], str], operations: int) -> int:
        names = tuple(f"op{i}" for i in range(operations))
        cells = tuple(
            Cell(engine="micro", operation=name, feature=f"f{k}", programs=3) for name in names for k in range(9)
        )
        engine = msgspec.structs.replace(results().engines[0], operations=names)
        run = msgspec.structs.replace(results(), engines=(engine,), cells=cells, pairs=())
        profile = cProfile.Profile()
        profile.runcall(write, run)
        return sum(entry.callcount for entry in profile.getstats())

    for write in (to_html, to_markdown, to_junit):
        assert calls(write, 400) < 6 * calls(write, 100), write
