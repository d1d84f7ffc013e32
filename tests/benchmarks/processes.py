"""What has to be measured in processes of its own: time to import, and the conformance suite's own figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.reducing import Reduced
from tests.benchmarks.searching import Steady

ROOT = Path(__file__).parents[2]
TIMED = "import time, sys; {}t = time.process_time(); import {}; print(time.process_time() - t)"


def imports(names: list[str], rounds: int = 5) -> dict[str, float]:
    """Seconds to import numpy, and each module once numpy is loaded: medians over rounds that take them in turn."""
    times: dict[str, list[float]] = {name: [] for name in ("numpy", *names)}
    for turn in range(rounds + 1):
        for name, measured in times.items():
            found = float(_python("-c", TIMED.format("" if name == "numpy" else "import numpy; ", name)))
            if turn:  # the first reads the files from disk
                measured.append(found)
    return {name: statistics.median(each) for name, each in times.items()}


@dataclass(frozen=True)
class Run:
    """One `conformance run minigrad`, in its own words. Times are in seconds."""

    what: str  # its options

    programs: int
    operations: int
    jobs: int
    clock: float  # of the whole command
    search: float  # generating, running, comparing
    engines: float  # of that, running the programs in minigrad and torch
    parts: dict[str, float]


def conformance(budget: str, jobs: int = 1, known: bool = True) -> Run:
    """Search through so many programs or seconds (`--examples N`, `--time S`), and read what the results file says of
    the time. Unless `known`, no expectations are replayed beside the search."""
    import time

    from conformance import results

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        options = [*budget.split(), "--jobs", str(jobs)]
        nothing = Path(folder) / "nothing.toml"
        nothing.touch()
        more = [] if known else ["--expectations", str(nothing)]
        _python("-m", "conformance", "run", "minigrad", *options, *more, "-o", folder, check=False)
        clock = time.perf_counter() - start
        found = results.load(Path(folder) / "results.json")
    spent, counts = found.timings, found.statistics
    return Run(
        " ".join(options), counts.programs, counts.operations, jobs, clock, spent.search,
        spent.engine + spent.reference,
        {name: float(getattr(spent, name)) for name in
         ("startup", "generate", "engine", "reference", "compare", "reduce")},
    )  # fmt: skip


def reductions() -> list[Reduced]:
    """What `reducing` measures, without what else this process has loaded."""
    return [Reduced(**each) for each in json.loads(_python("-W", "ignore", "-m", "tests.benchmarks.reducing"))]


def searches() -> list[Steady]:
    """What `searching` measures, without what else this process has loaded."""
    return [Steady(**each) for each in json.loads(_python("-W", "ignore", "-m", "tests.benchmarks.searching"))]


def _python(*arguments: str, check: bool = True) -> str:
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)  # users import compiled files
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=settings, check=check,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
