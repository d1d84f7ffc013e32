"""The Markdown report, in the dialect that GitHub shows; findings carry their program as a script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from conformance.reporting import summary
from conformance.results import Finding, Results


def to_markdown(results: Results) -> str:
    """The whole report."""
    verdict = summary.verdict(results)
    blocks = [
        f"# {verdict.glyph} {verdict.word}: {cell(summary.subject(results))}",
        "\n".join(f"- {cell(reason)}" for reason in results.reasons)
        or "No gradient, value, dtype, shape or error differed from torch in any program.",
        table(["", ""], summary.figures(results)),
        fence(summary.command(results), "sh"),
        "## Environment and engines",
        table(["", ""], summary.environment(results)),
        "## Operations by feature",
        "✓ passed, ✗ failed (in so many programs), · not exercised, – not offered by the engine, blank: does not apply",
    ]
    for matrix in summary.matrices(results):
        if len(results.engines) > 1:
            blocks.append(f"### {cell(matrix.engine)}")
        rows = [[f"`{operation}`", *(square.text for square in squares)] for operation, squares in matrix.rows]
        blocks.append(table(["operation", *matrix.features], rows))
    blocks.append("## Findings")
    blocks += [block for finding in results.findings for block in _finding(finding)] or ["None."]
    blocks += ["## Testing quality", table(["what", "count", "meaning"], summary.quality(results))]
    blocks += ["## Timings", table(["part", "time", "share"], summary.timings(results))]
    return "\n\n".join(blocks) + "\n"


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
    measures = [(label, code(text)) for label, text in summary.measures(finding)]
    return [
        f"### {cell(summary.headline(finding))}",
        f"`{finding.id}` · {finding.verdict} · {finding.kind} · met {summary.times(finding.met)}.{features}",
        table(["", ""], measures),
        fence(summary.replay(finding), "sh"),
        fence(finding.script, "python"),
    ]
