"""The measurements as a page: tables, plots, and for each missed goal what the time is spent on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import draw, engines, processes
from tests.benchmarks.cases import Case
from tests.benchmarks.growth import Series
from tests.benchmarks.memory import DEPTH, SIZE, Memory
from tests.benchmarks.reducing import Reduced
from tests.benchmarks.searching import MEASURED, WARM, Steady
from tests.benchmarks.timing import Measured


@dataclass
class Findings:
    """All that was measured."""

    versions: dict[str, str]
    cases: dict[str, dict[str, Measured]] = field(default_factory=dict)
    profiles: dict[str, tuple[float, list[tuple[str, float]]]] = field(default_factory=dict)  # collector, functions
    memory: dict[str, Memory] = field(default_factory=dict)
    imports: dict[str, float] = field(default_factory=dict)
    runs: list[processes.Run] = field(default_factory=list)
    searches: list[Steady] = field(default_factory=list)
    reductions: list[Reduced] = field(default_factory=list)
    growth: list[Series] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])  # processes that wanted to run as it began


@dataclass(frozen=True)
class Goal:
    """What is wanted of a figure: at most (or at least) `wanted`."""

    what: str
    measured: float
    wanted: float
    form: str = "{:.2f}"
    at_least: bool = False

    @property
    def row(self) -> list[str]:
        """Its line of the table."""
        share = self.wanted / self.measured if self.at_least else self.measured / self.wanted
        missed = "" if share <= 1 else f"missed by {share - 1:.0%}"
        wanted = self.form.format(self.wanted)
        return [self.what, self.form.format(self.measured), f"≥ {wanted}" if self.at_least else wanted, missed]


def goals(found: Findings, cases: list[Case]) -> Iterator[Goal]:
    """All that has a goal: of minigrad, then of the suite."""
    for case in cases:
        if case.goal is not None:
            yield Goal(f"{case.name}: time ÷ torch's", found.cases[case.name]["minigrad"].ratio, case.goal)
    mine = found.memory["minigrad"]
    yield Goal("peak memory in backward ÷ live after forward", mine.peak / mine.live, 1.03, "{:.3f}")
    yield Goal("import after numpy", found.imports["minigrad"] * 1e3, 40, "{:.0f} ms")
    for steady in found.searches:
        first = steady.level == "gradient"
        what = f"suite, once warm: search ÷ engines alone, {'first order' if first else 'all levels'}"
        yield Goal(what, steady.ratio, 1.5 if first else 1.3)
        if first:
            what = "suite, once warm: programs of 10 operations a second and core, first order"
            yield Goal(what, steady.rate, 1500, "{:,.0f}", at_least=True)
    single = [run for run in found.runs if run.jobs == 1]
    largest = max(single, key=lambda run: run.programs, default=None)
    for run in found.runs:
        if largest is not None and run.what == largest.what.replace("--jobs 1", "--jobs 2"):
            # What a run does once whatever its length is left out: the small run says how long that takes.
            once = min(each.clock - each.search for each in single)
            gain = (largest.clock - once) / (run.clock - once)
            yield Goal("suite: two processes are faster than one", gain, 1.8, "{:.2f}×", at_least=True)
        elif run.what.startswith("--time"):
            asked = float(run.what.split()[1])
            yield Goal(f"suite: the whole of `{run.what}`, beyond its time", run.clock - asked, 5, "{:.1f} s")
    if found.reductions:
        operations = max(each.operations for each in found.reductions)
        seconds = max(each.seconds for each in found.reductions)
        yield Goal("suite: operations of a reduced planted fault, at most", operations, 3, "{:.0f}")
        yield Goal("suite: time to reduce and judge a planted fault, at most", seconds, 2, "{:.1f} s")


def summary(found: Findings, cases: list[Case]) -> str:
    """The goals in a table, as the README has it."""
    return table(["", "measured", "goal", ""], [each.row for each in goals(found, cases)])


def write(found: Findings, cases: list[Case], folder: Path) -> None:
    """Write README.md and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in cases:
        ratios = {name: each.ratio for name, each in found.cases[case.name].items() if name != "torch"}
        rows.append((case.name, ratios, case.goal))
    (folder / "ratios.svg").write_text(draw.ratios(rows), "utf-8")
    (folder / "growth.svg").write_text(draw.growth(found.growth), "utf-8")
    (folder / "README.md").write_text(page(found, cases), "utf-8")


def page(found: Findings, cases: list[Case]) -> str:
    """The page as Markdown."""
    versions = ", ".join(f"{name} {version}".strip() for name, version in found.versions.items())
    absent = ", ".join(each for each in engines.OTHERS if each not in found.versions)
    parts = [
        "# Speed",
        "Made by `python -m tests.benchmarks`, from the top of the repository. One thread, on "
        f"{platform.machine()} under Python {platform.python_version()}: {versions}. {_machine(found.load)}"
        + (f" Not installed, and so not measured: {absent}." if absent else ""),
        "Each engine does the same forward and backward pass, turn by turn in one process, so that whatever else the"
        " machine does slows all of them alike. A ratio is the median over the turns of time ÷ torch's time in the same"
        " turn, with its quartiles in brackets; a goal is the largest ratio wanted of minigrad, / what would be better"
        " still.",
        "## Goals",
        summary(found, cases),
        "![Time relative to torch, by case](ratios.svg)",
        "## Forward and backward",
        _cases(found, cases),
        "## What is missed, and what the time is spent on",
        _missed(found, cases),
        "## Growth",
        "![Time by depth, width, size and number of programs; memory by depth](growth.svg)",
        "## Memory",
        _memory(found),
        "## Time to import",
        "After numpy, each in a process of its own; medians.",
        _imports(found),
    ]
    if found.runs:
        parts += ["## The conformance suite", _runs(found)]
    return "\n\n".join(parts) + "\n"


def _machine(load: float) -> str:
    """How busy the machine was."""
    count = os.cpu_count() or 1
    text = f"The machine has {count} processors, and {load:.1f} processes wanted to run when the measurement began"
    return text + ("." if load < 0.5 else ": it was **shared**, so take the times as rough and the ratios as near.")


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def duration(seconds: float) -> str:
    """A time with three figures."""
    unit, size = next(each for each in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= each[1] or each[1] < 1e-5)
    number = seconds / size
    return f"{number:.{max(0, 3 - len(str(int(number))))}f} {unit}"


def verdict(value: float, goal: float | None, stretch: float | None) -> str:
    """Whether a ratio meets its goal, and by how much it does not."""
    if goal is None:
        return ""
    if stretch is not None and value <= stretch:
        return "beyond"
    return "met" if value <= goal else f"missed by {value / goal - 1:.0%}"


def _cases(found: Findings, cases: list[Case]) -> str:
    others = [name for name in found.versions if name not in ("minigrad", "torch", "numpy")]
    rows = []
    for case in cases:
        by = found.cases[case.name]
        mine = by["minigrad"]
        goal = "" if case.goal is None else f"{case.goal:g} / {case.stretch:g}"
        rows.append([
            case.name, duration(by["torch"].seconds), duration(mine.seconds),
            f"**{mine.ratio:.2f}** ({mine.low:.2f}–{mine.high:.2f})", goal,
            verdict(mine.ratio, case.goal, case.stretch), *[f"{by[n].ratio:.1f}" if n in by else "–" for n in others],
        ])  # fmt: skip
    return table(["", "torch", "minigrad", "÷ torch", "goal", "", *[f"{name} ÷ torch" for name in others]], rows)


def _missed(found: Findings, cases: list[Case]) -> str:
    lines = []
    for case in cases:
        if case.name not in found.profiles:
            continue
        ratio = found.cases[case.name]["minigrad"].ratio
        collector, functions = found.profiles[case.name]
        spent = ", ".join(f"`{name}` {share:.0%}" for name, share in functions)
        lines.append(
            f"- **{case.name}**: {ratio:.2f} instead of {case.goal:g}, {verdict(ratio, case.goal, None)}."
            f" Own time of functions (cProfile): {spent}. Garbage collection: {max(collector, 0):.0%}."
        )
    for steady in found.searches:
        total = sum(steady.parts.values())
        spent = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in steady.parts.items())
        lines.append(
            f"- **The search once warm, {steady.level}**: {steady.ratio:.2f} times the engines alone."
            f" By its own clock: {spent}."
        )
    return "\n".join(lines) or "Nothing is missed."


def _memory(found: Findings) -> str:
    rows = [
        [name, f"{each.live:.1f} MB", f"{each.peak:.1f} MB", f"{each.after:.1f} MB", f"{each.peak / each.live:.3f}"]
        for name, each in found.memory.items()
    ]
    return f"A chain of {DEPTH} sines of {SIZE:,} float32 numbers, by the allocators' own figures.\n\n" + table(
        ["", "live after forward", "peak in backward", "live after", "peak ÷ live"], rows
    )


def _imports(found: Findings) -> str:
    return table(["", "time"], [[f"`import {name}`", duration(seconds)] for name, seconds in found.imports.items()])


def _runs(found: Findings) -> str:
    heads = ["options", "programs", "operations", "clock", "search", "ratio", "programs/s/core", "seconds by part"]
    rows = []
    for run in found.runs:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in run.parts.items())
        rows.append([
            f"`{run.what}`", f"{run.programs:,}", f"{run.operations / run.programs:.1f}", duration(run.clock),
            duration(run.search), f"{run.search / run.engines:.2f}", f"{run.programs / run.search:,.0f}", parts,
        ])  # fmt: skip
    text = (
        "`conformance run minigrad OPTIONS`, by its own results file. The harness ratio is the time of the search ÷ the"
        " time of both engines alone on the same programs."
    )
    runs = table(heads, rows)
    each = ", ".join(f"{one.fault} ({one.operations} in {duration(one.seconds)})" for one in found.reductions)
    warm = [
        [each.level, f"{each.programs:,}", f"{each.operations / each.programs:.1f}", f"{each.ratio:.2f}",
         f"{each.rate:,.0f}", ", ".join(f"{name} {seconds:.2f}" for name, seconds in each.parts.items())]
        for each in found.searches
    ]  # fmt: skip
    steady = (
        f"Once warm: {MEASURED} blocks of free programs in one process, after {WARM} others that load what operations"
        " need. The ratio is the same."
    )
    heads = ["level", "programs", "operations", "ratio", "programs of 10 operations/s", "seconds by part"]
    told = f"Planted faults in free programs, with the operations they were reduced to and in which time: {each}."
    blocks = [text, runs, *([steady, table(heads, warm)] if warm else []), *([told] if each else [])]
    return "\n\n".join(blocks)
