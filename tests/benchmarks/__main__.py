"""Measure everything, and write the page: `python -m tests.benchmarks [--seconds S] [-o FOLDER] [CASE …]`.

It takes about five minutes on two processors. The table of goals, as the README has it, is printed at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from tests.benchmarks import growth, memory, processes, profiles, report
from tests.benchmarks.cases import CASES, Case
from tests.benchmarks.engines import Engine, Step, installed
from tests.benchmarks.timing import Measured, interleaved


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.8, help="time for each engine and case (default: 0.8)")
    parser.add_argument("--largest", type=int, default=10**7, help="largest amount in the plots of growth")
    parser.add_argument("--programs", type=int, default=12_000, help="largest number of programs; 0 leaves them out")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/speed"), help="folder for the page")
    parser.add_argument("cases", nargs="*", help="parts of names: measure these cases alone, and write no page")
    asked = parser.parse_args()
    engines = installed()
    cases = [each for each in CASES if not asked.cases or any(part in each.name for part in asked.cases)]
    versions = {each.name: each.version for each in engines} | {"numpy": np.__version__}
    found = report.Findings(versions)
    began = time.perf_counter()

    def say(what: str) -> None:
        print(f"[{time.perf_counter() - began:4.0f} s] {what}", flush=True)

    for case in cases:
        found.cases[case.name] = by = measure(case, engines, asked.seconds)
        said = "  ".join(f"{name} {each.ratio:.2f}" for name, each in by.items())
        say(f"{case.name}: {said}")
        if case.goal is not None and by["minigrad"].ratio > case.goal:
            step = engines[0].step(case)
            assert step is not None
            repeats = max(1, int(0.1 / by["minigrad"].seconds))  # enough of them to need the garbage collector
            found.profiles[case.name] = (profiles.collecting(_times(step, repeats), 2), profiles.shares(step, 0.3))
    if asked.cases:
        return 0
    found.memory = {each.name: kept for each in engines if (kept := memory.measure(each)) is not None}
    say(f"memory: {found.memory}")
    found.imports = processes.imports([each.name for each in engines])
    say(f"imports: {found.imports}")
    for series in growth.measure(engines, asked.seconds / 5, asked.largest):
        found.growth.append(series)
        say(f"growth with {series.title}")
    found.growth.append(growth.of_memory(engines))
    say("growth of memory")
    report.write(found, cases, asked.output)  # again after each part: who interrupts keeps what was measured
    if asked.programs:
        few, many = f"--examples {asked.programs // 6}", f"--examples {asked.programs}"
        for budget, jobs, known in [(few, 1, False), (many, 1, False), (many, 2, False), ("--time 30", 2, True)]:
            run = processes.conformance(budget, jobs, known)
            found.runs.append(run)
            say(f"conformance run minigrad {run.what}: {run.programs:,} programs in {run.clock:.0f} s")
            report.write(found, cases, asked.output)
        found.growth.append(growth.of_programs(found.runs[:2]))
        found.searches = processes.searches()
        say(f"searches: {found.searches}")
        found.reductions = processes.reductions()
        say(f"reductions: {found.reductions}")
    report.write(found, cases, asked.output)
    print(report.summary(found, cases))
    print(asked.output / "README.md")
    return 0


def measure(case: Case, engines: list[Engine], seconds: float) -> dict[str, Measured]:
    """The times of all engines that can do the case, once they have been seen to agree with torch."""
    steps = {each.name: step for each in engines if (step := each.step(case)) is not None}
    expected = [np.asarray(each) for each in steps["torch"]()]
    for name, step in steps.items():
        for wanted, given in zip(expected, step(), strict=True):
            array = np.asarray(given.detach() if hasattr(given, "detach") else given)
            scale = float(np.max(np.abs(wanted)))
            if not np.allclose(array, wanted, rtol=1e-3, atol=1e-3 * scale + 1e-12):
                raise AssertionError(f"{name} differs from torch in {case.name}")
    order = [*steps]
    found = interleaved([steps[name] for name in order], order.index("torch"), seconds)
    return dict(zip(order, found, strict=True))


def _times(step: Step, repeats: int) -> Step:
    """Several steps as one."""

    def several() -> None:
        for _ in range(repeats):
            step()

    return several


if __name__ == "__main__":
    sys.exit(main())
