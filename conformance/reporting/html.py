"""The HTML report: one file that opens offline and reads without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from conformance.gate import uncovered
from conformance.program import Apply, Inplace
from conformance.reporting import summary
from conformance.reporting.charts import histogram, pair_map, trend
from conformance.reporting.svg import Card, Edge, Row, draw
from conformance.results import Finding, GraphNode, Pairs, Results

LONGEST = 46  # characters of a value on a card
MOST_PAIRS = 200  # pairs and cells listed as not exercised
MOST_PROGRAMS = 40  # programs of the corpus shown in full
MOST_SHOWN = 40  # findings shown in full; further ones are rows of a table, so that the page stays small and quick
# The class of a place of the matrix, which the page colours by.
TONES = {"failed": " class=f", "known": " class=k", "not exercised": " class=u", "unsupported": " class=o"}
WORST = 15  # operations whose errors are shown at once; the others unfold


@dataclass(frozen=True)
class Shown:
    """A finding with the texts and the drawing that the page shows of it."""

    finding: Finding
    headline: str
    graph: Markup
    measures: list[tuple[str, str]]
    sides: tuple[str, str]
    program: str
    replay: str
    met: str
    reason: str

    @property
    def array(self) -> bool:
        """Whether the two sides are more than the one number that the measures hold."""
        return self.sides != (self.finding.difference.expected, self.finding.difference.actual)


@dataclass(frozen=True)
class PairMap:
    """Which ordered pairs of operations were exercised, as a picture, and the operations that lack the most."""

    pairs: Pairs
    picture: str
    least: list[tuple[str, int, int]]


def to_html(results: Results, history: Sequence[Results] = ()) -> str:
    """The whole page; `history` holds earlier results, for the trend."""
    found = summary.ranked(results)
    first_finding: dict[tuple[str, str], str] = {}
    for finding in found:
        for operation in (finding.blamed, *finding.operations):
            first_finding.setdefault((finding.engine, operation), finding.id)
    reasons = {(expected.engine, expected.id): expected.reason for expected in results.expectations}
    environment = _environment()
    return _template().render(
        results=results,
        style=Markup(_source(environment, "report.css")),  # our own file
        script=Markup(_source(environment, "report.js")),  # our own file
        verdict=summary.verdict(results),
        subject=summary.subject(results),
        agreement=summary.agreement(results),
        figures=summary.figures(results),
        command=summary.command(results),
        environment=summary.environment(results),
        matrices=list(summary.matrices(results)),
        by_engine=summary.by_engine(results),
        place=lambda engine, operation, square: _place(square, first_finding.get((engine, operation), "")),
        maps=[PairMap(p, pair_map(p), summary.least_paired(p)) for p in results.pairs if p.operations],
        most_pairs=MOST_PAIRS,
        findings=[_shown(finding, reasons) for finding in found[:MOST_SHOWN]],
        further=[(finding, summary.headline(finding)) for finding in found[MOST_SHOWN:]],
        verdicts=sorted({finding.verdict for finding in found}),
        kinds=sorted({finding.kind for finding in found}),
        distributions=summary.distributions(results),
        bins=summary.BINS,
        histogram=_histogram,
        corpora=summary.corpora(results),
        corpus_headers=summary.CORPUS_HEADERS,
        most_programs=MOST_PROGRAMS,
        prompted=summary.prompted,
        uncovered=[(engine.name, *uncovered(results, engine.name)) for engine in results.engines],
        selftest=summary.selftest(results),
        worst=WORST,
        known=summary.known(results),
        trend=_trend(results, history),
        quality=summary.quality(results),
        timings=summary.timings(results),
        costs=summary.costs(results),
    )


@lru_cache(maxsize=1024)
def _place(square: summary.Square, finding: str) -> Markup:
    """A place of the matrix, of which there are thousands and few that differ; `finding` is one that it leads to."""
    text: str = Markup.escape(square.text.replace(" ", ""))
    if square.mismatches and finding:
        text = Markup('<a href="#{}">{}</a>').format(finding, text)
    return Markup("<td{}>{}").format(Markup(TONES.get(square.status, "")), text)  # our own attribute


def _trend(results: Results, history: Sequence[Results]) -> tuple[list[summary.Run], list[tuple[str, Markup]]]:
    """The runs, and a small line for each number worth one."""
    runs = summary.runs(results, history)
    if not runs:
        return [], []
    lines = [
        ("findings", [float(run.findings) for run in runs], "{:,.0f}"),
        ("cells exercised", [run.cells for run in runs], "{:.1%}"),
        ("pairs exercised", [run.pairs for run in runs], "{:.1%}"),
        ("programs", [float(run.programs) for run in runs], "{:,.0f}"),
    ]
    return runs, [(label, Markup(trend(values, label, form))) for label, values, form in lines]  # trend() escapes


def graph(finding: Finding) -> str:
    """The reduced program of a finding as an `<svg>` element, with values and both sides' gradients on its cards."""
    blamed = _blamed(finding)
    cards = [_card(node, finding.engine, blamed) for node in finding.graph]
    edges = [
        Edge(str(source), str(node.id), position)
        for node in finding.graph
        for position, source in enumerate(node.inputs)
    ]
    return draw(cards, edges, f"Reduced program of {finding.id}: {summary.headline(finding)}")


def _blamed(finding: Finding) -> frozenset[int]:
    """Nodes to mark: results of the blamed operation, or what differs where the engine's own part is to blame."""
    applied = [step for step in finding.program.steps if isinstance(step, Apply | Inplace)]
    made = frozenset(i for step in applied if step.op == finding.blamed for i in step.out)
    return made or frozenset(node.id for node in finding.graph if node.differs)


def _card(node: GraphNode, engine: str, blamed: frozenset[int]) -> Card:
    rows = [Row("type", f"{node.dtype} {list(node.shape) if node.shape else 'scalar'}")] if node.dtype else []
    rows += _sides("value", node.value or None, node.actual_value or None, engine, node.differs)
    rows += _sides("grad", node.gradient, node.actual_gradient, engine, node.differs)
    kind = "root" if node.root else "step" if node.kind == "operation" else "leaf"
    title = node.name if not node.label or node.label == node.name else f"{node.name} = {node.label}"
    return Card(str(node.id), title, tuple(rows), kind, "≠ blamed" if node.id in blamed else "")


def _sides(what: str, expected: str | None, actual: str | None, engine: str, differs: bool) -> list[Row]:
    """One row where both sides agree, otherwise one for each; no row for a side that was not observed."""
    if expected is not None and actual is not None and (expected == actual or not differs):
        return [Row(what, _short(expected))]
    rows = [Row(f"{what} torch", _short(expected))] if expected is not None else []
    if actual is not None:
        rows.append(Row(f"{what} {engine} ≠", _short(actual), "bad"))
    return rows


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _histogram(distribution: summary.Distribution) -> Markup:
    return Markup(histogram(distribution.together.counts, summary.BINS, "programs by error"))  # histogram() escapes


def _bare(text: str) -> Markup:
    """Text of an element, with no more escaped than it needs there: quotes stay."""
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _shown(finding: Finding, reasons: Mapping[tuple[str, str], str]) -> Shown:
    return Shown(
        finding,
        summary.headline(finding),
        Markup(graph(finding)) if finding.graph else Markup(),  # draw() escapes its texts
        summary.measures(finding),
        summary.sides(finding),
        summary.program(finding),
        summary.replay(finding),
        summary.times(finding.met),
        reasons.get((finding.engine, finding.known), ""),
    )


def page(template: str, **values: object) -> str:
    """A page of its own on the report's style sheet, from one of the templates."""
    environment = _environment()
    style = Markup(_source(environment, "report.css"))  # our own file
    return environment.get_template(template).render(style=style, **values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("conformance.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["bare"] = _bare
    return environment


def _template() -> Template:
    return _environment().get_template("report.html")


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
