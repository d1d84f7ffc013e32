"""The console report: the findings, a table of the operations that need a look, and the verdict as the last line."""

from __future__ import annotations

import os
import shlex
import textwrap
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from tabulate import tabulate

from conformance.reporting import summary
from conformance.results import Finding, Results

if TYPE_CHECKING:
    from conformance.authoring import Examination
    from conformance.changes import Changes

TONES = {"passed": "bold green", "failed": "bold red", "unsure": "bold yellow"}
WORST = 5
MOST_ROWS = 20


def console(stream: IO[str], *, live: bool = False) -> Console:
    """A console on `stream`: colour on a terminal only, unless NO_COLOR or FORCE_COLOR say otherwise.

    Lines are never broken, so that programs can be copied from a terminal; unless it is for a `live` line.
    """
    forced = bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
    terminal = stream.isatty()
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not (terminal and live),
        force_terminal=True if forced else None,
        no_color=bool(os.environ.get("NO_COLOR")) or (not terminal and not forced),
    )


def print_report(results: Results, out: Console, worst: int = WORST) -> None:
    """Print the `worst` findings in full, the others and what is known in a line each, a table, then the verdict."""
    found = summary.ranked(results)
    unknown = [finding for finding in found if not finding.known]
    for finding in unknown[:worst]:
        print_finding(finding, out)
    for title, rest in (("finding", unknown[worst:]), ("known", [finding for finding in found if finding.known])):
        if rest:
            lines = [(f.id, f"{f.met:,}", f.verdict, textwrap.shorten(summary.headline(f), 90)) for f in rest]
            out.print(tabulate(lines, headers=[title, "met", "verdict", "cause"], disable_numparse=True))
            out.print()
    for corpus in summary.corpora(results):
        for program in corpus.failing[:worst]:
            out.print(Text(f"✗ behaviour corpus: {program.id}", style="bold red"))
            out.print(_indented(summary.told(program, corpus.engine)))
            out.print()
        if corpus.failing[worst:]:
            names = ", ".join(program.id for program in corpus.failing[worst:])
            out.print(_wrapped(f"further programs of the behaviour corpus: {names}", 0))
            out.print()
        if corpus.failing:
            out.print(tabulate(corpus.rows, headers=summary.CORPUS_HEADERS, intfmt=","))
            out.print()
    if rows := _failing(results):
        out.print(tabulate(rows[:MOST_ROWS], headers=["engine", "operation", "programs", "mismatches"], intfmt=","))
        if len(rows) > MOST_ROWS:
            out.print(f"and {len(rows) - MOST_ROWS} more operations")
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


def print_examination(found: Examination, out: Console) -> None:
    """Print what a quick look at an engine showed, in plain words, and what to do next."""
    marks = {"ok": ("✓", "green"), "wrong": ("✗", "bold red"), "missing": ("–", "yellow")}
    width = max((len(remark.subject) for remark in found.remarks), default=0)
    for remark in found.remarks:
        glyph, style = marks[remark.status]
        text = _wrapped(remark.text, width + 4)
        out.print(Text.assemble((f"{glyph} {remark.subject:<{width}}", style), "  ", text))
    if found.works:
        out.print(Text.assemble(("✓ right in value and gradient: ", "green"), ", ".join(found.works)))
    if found.missing:
        out.print("These methods may stay away; the programs that need them count as not offered, never as passed:")
        for method in found.missing:
            out.print(f"    {method}")
    if found.ok:
        out.print(Text.assemble("next: ", (f"conformance run {shlex.quote(found.spec)}", "bold")))
    else:
        wrong = sum(remark.status == "wrong" for remark in found.remarks)
        things = "one thing" if wrong == 1 else f"{wrong} things"
        again = f"conformance check {shlex.quote(found.spec)}"
        out.print(Text.assemble(("✗ ", "bold red"), f"{things} to mend; then again: ", (again, "bold")))


def print_changes(changes: Changes, out: Console) -> None:
    """Print what is new, changed, lost and fixed between two runs, and the verdict as the last line."""
    for title, findings, style in (("new", changes.new, "bold red"), ("fixed", changes.fixed, "green")):
        for finding in findings:
            out.print(Text.assemble((f"{title:<8}", style), f"{finding.id}  {summary.headline(finding)}"))
    for pair in changes.changed:
        out.print(Text.assemble((f"{'changed':<8}", "bold red"), f"{pair.new.id}  {pair.what}"))
    for title, programs, style in (("unlike", changes.unlike, "bold red"), ("like", changes.like, "green")):
        for engine, program in programs:
            out.print(Text.assemble((f"{title:<8}", style), f"{engine}: behaviour corpus: {program}"))
    lost: dict[tuple[str, str], list[str]] = {}
    for engine, operation, feature in changes.lost:
        lost.setdefault((engine, operation), []).append(feature)
    for (engine, operation), features in lost.items():
        out.print(Text.assemble((f"{'lost':<8}", "bold yellow"), f"{engine}: {operation} ({', '.join(features)})"))
    counts = [
        (len(changes.new), "new"),
        (len(changes.changed), "changed"),
        (len(changes.fixed), "fixed"),
        (len(changes.unlike), "unlike torch"),
        (len(changes.like), "like torch again"),
        (len(changes.lost), "lost from coverage"),
    ]
    said = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing has changed"
    word, style = {0: ("✓ No worse", "bold green"), 1: ("✗ Worse", "bold red")}.get(
        changes.exit_code, ("? Less was tried", "bold yellow")
    )
    out.print(Text(f"{word}: {said}", style=style))


def print_verdict(results: Results, out: Console) -> None:
    """Print how much was tried, each reason, and the verdict."""
    out.print(f"tried: {summary.tried(results)}; seed {results.configuration.seed}")
    for engine in results.engines:
        if engine.unsupported:
            names = ", ".join(engine.unsupported[:4]) + (", …" if len(engine.unsupported) > 4 else "")
            out.print(f"not offered by {engine.name}, so not tried: {len(engine.unsupported)} operations ({names})")
    for corpus in summary.corpora(results):
        if corpus.rows or results.configuration.level == "corpus":
            out.print(f"behaviour of {corpus.engine}: {corpus.line}")
    for reason in results.reasons:
        out.print(f"reason: {reason}")
    verdict = summary.verdict(results)
    out.print(Text(f"{verdict.glyph} {verdict.word}: {summary.subject(results)}", style=TONES[verdict.tone]))


def _failing(results: Results) -> list[tuple[str, str, int, int]]:
    """Operations with programs that differ by what is not known, those with the most first."""
    rows = [
        (matrix.engine, operation, squares[0].programs, squares[0].mismatches)
        for matrix in summary.matrices(results)
        for operation, squares in matrix.rows
        if squares[0].status == "failed"
    ]
    return sorted(rows, key=lambda row: -row[3])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def _wrapped(text: str, indent: int, width: int = 110) -> str:
    lines = textwrap.wrap(text, max(40, width - indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)
