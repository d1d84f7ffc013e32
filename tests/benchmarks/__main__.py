"""Measure everything, and write the page: `python -m tests.benchmarks [--seconds S] [-o FOLDER] [CASE …]`."""

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
    parser.add_argument("--seconds", type=float, default=1.5, help="time for each engine and case (default: 1.5)")
    parser.add_argument("--largest", type=int, default=10**7, help="largest amount in the plots of growth")
    parser.add_argument("--programs", type=int, default=4000, help="largest number of programs; 0 leaves them out")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/speed"), help="folder for the page")
    parser.add_argument("cases", nargs="*", help="parts of names: measure these cases alone, and write no page")
    asked = parser.parse_args()
    engines = installed()
    cases = [each for each in CASES if not asked.cases or any(part in each.name for part in asked.cases)]
    versions = {each.name: each.version for each in engines} | {"numpy": np.__version__}
    found = report.Findings(versions)
    for case in cases:
        start = time.perf_counter()
        found.cases[case.name] = by = measure(case, engines, asked.seconds)
        said = "  ".join(f"{name} {each.ratio:.2f}" for name, each in by.items())
        print(f"{case.name}: {said}  ({time.perf_counter() - start:.0f} s)", flush=True)
        if case.goal is not None and by["minigrad"].ratio > case.goal:
            step = engines[0].step(case)
            assert step is not None
            repeats = 3 if by["minigrad"].seconds > 0.01 else 1
            found.profiles[case.name] = (profiles.collecting(_times(step, repeats), 3), profiles.shares(step))
    if asked.cases:
        return 0
    found.memory = {each.name: kept for each in engines if (kept := memory.measure(each)) is not None}
    print("memory", found.memory, flush=True)
    found.imports = processes.imports([each.name for each in engines])
    print("imports", found.imports, flush=True)
    found.growth = list(growth.measure(engines, asked.seconds / 5, asked.largest))
    found.growth.append(growth.of_memory(engines))
    if asked.programs:
        amounts = [f"--examples {asked.programs // part}" for part in (16, 4, 1)]
        found.runs = [processes.conformance(each) for each in amounts]
        found.growth.append(growth.of_programs(found.runs))
        found.runs.append(processes.conformance(amounts[-1], jobs=2))
        found.runs.append(processes.conformance(amounts[-1], level="gradient"))
        found.runs.append(processes.conformance("--time 30"))
        found.reductions = processes.reductions()
        print("reductions", found.reductions, flush=True)
        print("programs", [(run.what, run.programs, run.clock) for run in found.runs], flush=True)
    report.write(found, cases, asked.output)
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
    """Several steps as one: enough of them to need the garbage collector."""

    def several() -> None:
        for _ in range(repeats if repeats > 1 else 200):
            step()

    return several


if __name__ == "__main__":
    sys.exit(main())
