"""The console report: the findings, a table of the operations that need a look, and the verdict as the last line."""

from __future__ import annotations

import os
import textwrap
from typing import IO

from rich.console import Console
from rich.text import Text
from tabulate import tabulate

from conformance.reporting import summary
from conformance.results import Finding, Results

TONES = {"passed": "bold green", "failed": "bold red", "unsure": "bold yellow"}
WORST = 5


def console(stream: IO[str]) -> Console:
    """A console on `stream`: colour on a terminal only, unless NO_COLOR or FORCE_COLOR say otherwise."""
    forced = bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
    terminal = stream.isatty()
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
        force_terminal=True if forced else None,
        no_color=bool(os.environ.get("NO_COLOR")) or (not terminal and not forced),
    )


def print_report(results: Results, out: Console, worst: int = WORST) -> None:
    """Print the `worst` first findings in full and the others by name, then the table, then the verdict."""
    for finding in results.findings[:worst]:
        print_finding(finding, out)
    if len(results.findings) > worst:
        rest = [(f.id, f"{f.met:,}", textwrap.shorten(summary.headline(f), 100)) for f in results.findings[worst:]]
        out.print(tabulate(rest, headers=["finding", "met", "cause"], disable_numparse=True))
        out.print()
    if rows := _needing_a_look(results):
        out.print(tabulate(rows, headers=["engine", "operation", "programs", "mismatches", "status"]))
        out.print()
    print_verdict(results, out)


def print_finding(finding: Finding, out: Console) -> None:
    """Print one finding: what differs, the program that shows it, and how to run it again."""
    out.print(Text(f"✗ {summary.headline(finding)}", style="bold red"))
    out.print(f"  {finding.id} · {finding.verdict} · {finding.kind} · met {summary.times(finding.met)}")
    rows = tabulate(summary.measures(finding), tablefmt="plain", disable_numparse=True)
    out.print(_indented(rows))
    out.print()
    out.print(_indented(summary.program(finding)))
    out.print()
    out.print(Text.assemble("  replay: ", (summary.replay(finding), "bold")))
    out.print()


def print_verdict(results: Results, out: Console) -> None:
    """Print how much was tried, each reason, and the verdict."""
    out.print(f"tried: {summary.tried(results)}; seed {results.configuration.seed}")
    for engine in results.engines:
        if engine.unsupported:
            names = ", ".join(engine.unsupported[:4]) + (", …" if len(engine.unsupported) > 4 else "")
            out.print(f"not offered by {engine.name}, so not tried: {len(engine.unsupported)} operations ({names})")
    for reason in results.reasons:
        out.print(f"reason: {reason}")
    verdict = summary.verdict(results)
    out.print(Text(f"{verdict.glyph} {verdict.word}: {summary.subject(results)}", style=TONES[verdict.tone]))


def _needing_a_look(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Operations that the engine offers and that did not pass."""
    return [
        (matrix.engine, operation, f"{squares[0].programs:,}", f"{squares[0].mismatches:,}", squares[0].status)
        for matrix in summary.matrices(results)
        for operation, squares in matrix.rows
        if squares[0].status in {"failed", "not exercised"}
    ]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
