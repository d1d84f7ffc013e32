"""The Markdown report, in the dialect that GitHub shows; findings carry their program as a script."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from conformance.reporting import summary
from conformance.results import Finding, Results

#: Bytes of a report: GitHub shows no step summary above 1 MiB.
LARGEST = 1_000_000
#: Operations whose errors are listed, and programs of the corpus of which each statement is.
WORST = 15
MOST_PROGRAMS = 30


def to_markdown(results: Results, largest: int = LARGEST, history: Sequence[Results] = ()) -> str:
    """The whole report, in at most `largest` bytes: what findings do not fit in full are listed in short.

    `history` holds earlier results, for the trend.
    """
    verdict = summary.verdict(results)
    start = [
        f"# {verdict.glyph} {verdict.word}: {cell(summary.subject(results))}",
        "\n".join(f"- {cell(reason)}" for reason in results.reasons) or summary.agreement(results),
        table(["", ""], summary.figures(results)),
        fence(summary.command(results), "sh"),
        "## Environment and engines",
        table(["", ""], summary.environment(results)),
    ]
    quality = table(["what", "count", "meaning"], summary.quality(results))
    end = [*_corpus(results), *_errors(results), "## How good the testing was", quality]
    if tested := summary.selftest(results):
        missed = [f"- {code(name)}: {cell(said)}" for name, said in tested.missed]
        end += ["## Self-test", f"{cell(tested.line)}.", table(summary.SELFTEST_HEADERS, tested.rows), *missed]
    if known := summary.known(results):
        end += ["## Known findings", table(["expectation", "engine", "outcome", "why"], known)]
    if runs := summary.runs(results, history):
        headers = ["started", "programs", "cells", "pairs", "mismatches", "findings", "exit code"]
        rows = [
            [r.started, f"{r.programs:,}", f"{r.cells:.1%}", f"{r.pairs:.1%}", r.mismatches, r.findings, r.exit_code]
            for r in runs
        ]
        end += ["## Trend", table(headers, rows)]
    end += ["## Timings", table(["part", "time", "share"], summary.timings(results))]
    if costs := summary.costs(results):
        end.append(table(["engine", "its time", "torch's", "ratio"], costs))
    found = summary.ranked(results)
    matrices, findings = _matrices(results), [_finding(finding) for finding in found]
    room = largest - _size([*start, *end]) - 1000
    if _size(matrices) > 0.6 * room:
        matrices = ["## Operations by feature", "Too large for this page; the HTML report has it."]
    room -= _size(matrices)
    rest = _rest(found)  # at its longest: what is shown in full need not stand there
    shown, left = 0, room - _size(rest)
    while shown < len(findings) and _size(findings[shown]) <= left:
        left -= _size(findings[shown])
        shown += 1
    rest = _rest(found[shown:])
    body = [block for blocks in findings[:shown] for block in blocks]
    if _size(rest) > room:
        rest = [f"{len(found) - shown:,} more findings are in the HTML report."]
    return "\n\n".join([*start, *matrices, "## Findings", *(body or ["None."] * (not found)), *rest, *end]) + "\n"


def _size(blocks: Sequence[str]) -> int:
    return sum(len(block.encode()) + 2 for block in blocks)


def _rest(findings: Sequence[Finding]) -> list[str]:
    """Findings in short."""
    if not findings:
        return []
    rows = [(f"`{f.id}`", textwrap.shorten(summary.headline(f), 160), f.verdict, f"{f.met:,}") for f in findings]
    return [f"### {len(findings):,} more findings, in short", table(["finding", "cause", "verdict", "met"], rows)]


def _matrices(results: Results) -> list[str]:
    blocks = [
        "## Operations by feature",
        "✓ passed, ✗ failed (in so many programs), ≠ differs as is known, ○ not exercised, – not offered by the "
        "engine, blank: does not apply",
    ]
    if len(results.engines) > 1:
        rows = [[f"`{name}`", *(square.text for _, square in row)] for name, row in summary.by_engine(results)]
        blocks += ["### By engine", table(["operation", *(engine.name for engine in results.engines)], rows)]
    for matrix in summary.matrices(results):
        if len(results.engines) > 1:
            blocks.append(f"### {cell(matrix.engine)}")
        rows = [[f"`{operation}`", *(square.text for square in squares)] for operation, squares in matrix.rows]
        shown = table(["operation", *matrix.features], rows)
        # A long table unfolds; the blank lines make GitHub read the Markdown inside.
        said = f"<details><summary>{len(rows)} operations</summary>"
        blocks += [said, shown, "</details>"] if len(rows) > 40 else [shown]
    for pairs in results.pairs:
        missing = pairs.missing()
        named = ", ".join(f"{first} → {second}" for first, second in missing[:20])
        more = f" Not exercised: {cell(named)}{', …' if len(missing) > 20 else ''}." if missing else ""
        of = f" in {cell(pairs.engine)}" if len(results.pairs) > 1 else ""
        blocks.append(f"{pairs.covered:,} of {pairs.possible:,} ordered pairs of operations were exercised{of}.{more}")
    return blocks


def _errors(results: Results) -> list[str]:
    blocks = []
    for found in summary.distributions(results):
        rows = [
            [f"`{scale.operation}`", *(f"{count:,}" if count else "" for count in scale.counts), scale.worst]
            for scale in (found.together, *found.each[:WORST])
        ]
        title = f"### {cell(found.engine)}"
        blocks += [title] * (len(results.engines) > 1) + [table(["operation", *summary.BINS, "worst"], rows)]
    said = (
        "The largest error of each program of an operation alone, in units of the last place of the largest element of "
        "its array; the tolerance lies before the last column, whose programs have more noise than that themselves."
    )
    return ["## Errors of what passed", said, *blocks] if blocks else []


def _corpus(results: Results) -> list[str]:
    blocks = ["## Behaviour corpus"]
    for corpus in summary.corpora(results):
        if len(results.engines) > 1:
            blocks.append(f"### {cell(corpus.engine)}")
        blocks.append(f"{cell(corpus.line[0].upper() + corpus.line[1:])}.")
        if corpus.rows:
            blocks.append(table(summary.CORPUS_HEADERS, corpus.rows))
        for program in corpus.programs[:MOST_PROGRAMS]:
            why = f": {cell(program.reason)}" if program.reason else ""
            blocks.append(f"{code(program.id)}, {program.status}{why}")
            rows = [
                [_lines(text) for text in (summary.prompted(s.source), s.expected, s.actual)]
                for s in program.statements
            ]
            blocks += [table(["statement", "torch", corpus.engine], rows)] if rows else []
        if rest := corpus.programs[MOST_PROGRAMS:]:
            blocks.append(f"And {len(rest):,} more: {cell(', '.join(program.id for program in rest))}.")
    return blocks


def _lines(text: str) -> str:
    """Several lines of code in one cell of a table."""
    return "<br>".join(code(line) if line else "" for line in text.splitlines()) or "`(nothing)`"


def mermaid(finding: Finding) -> str:
    """The reduced program as a mermaid flowchart: values flow down, what differs is outlined and says so."""
    lines = ["flowchart TD"]
    for node in finding.graph:
        title = node.name if node.label in {"", node.name} else f"{node.name} = {node.label}"
        said = [title, f"{node.dtype} {list(node.shape) or 'scalar'}" if node.dtype else "", _short(node.value)]
        if node.gradient is not None:
            said.append(f"grad {_short(node.gradient)}")
        if node.differs:
            said.append(f"≠ {finding.engine}: {_short(node.actual_gradient or node.actual_value)}")
        text = "<br>".join(_entities(part) for part in said if part)
        left, right = ('(["', '"])') if node.kind != "operation" else ('["', '"]')
        lines.append(f"    n{node.id}{left}{text}{right}{':::differs' if node.differs else ''}")
    lines += [f"    n{source} --> n{node.id}" for node in finding.graph for source in node.inputs]
    lines.append("    classDef differs stroke:#c0392b,stroke-width:3px")
    return "\n".join(lines)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def _entities(text: str) -> str:
    """Text in which nothing means anything to mermaid: all but letters, digits and a few marks as entities."""
    return re.sub(r"[^\w \[\]().,:+=≠…-]", lambda found: f"#{ord(found[0])};", text)


def cell(text: object) -> str:
    """Text that Markdown shows as it is, on one line and inside a table: markup, `|` and line ends are escaped."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", line)


def code(text: object) -> str:
    """Text as inline code in a table; backticks inside are fenced by longer ones, `|` is escaped as tables need it."""
    line = " ".join(str(text).split()).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fence(text: str, language: str) -> str:
    """A fenced block, with a fence longer than any inside."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A GitHub table. Cells that hold inline code already (start with a backtick) are taken as they are."""
    escaped = [[str(c) if str(c).startswith("`") else cell(c) for c in row] for row in rows]
    return str(tabulate(escaped, headers=headers, tablefmt="github", disable_numparse=True))


def _finding(finding: Finding) -> list[str]:
    features = f" Features: {cell(', '.join(finding.features))}." if finding.features else ""
    features += f" Known as {code(finding.known)}." if finding.known else ""
    measures = [(label, code(text)) for label, text in summary.measures(finding)]
    return [
        f"### {cell(summary.headline(finding))}",
        f"`{finding.id}` · {finding.verdict} · {finding.kind} · met {summary.times(finding.met)}.{features}",
        *([fence(mermaid(finding), "mermaid")] if finding.graph else []),
        table(["", ""], measures),
        fence(summary.replay(finding), "sh"),
        fence(finding.script(), "python"),
    ]
