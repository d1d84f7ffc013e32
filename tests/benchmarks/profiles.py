"""Where a step's time goes: functions by their own time, and what the garbage collector adds."""

from __future__ import annotations

import cProfile
import gc
import pstats
import time
from pathlib import Path

from tests.benchmarks.engines import Step


def shares(step: Step, seconds: float = 1.0, most: int = 6) -> list[tuple[str, float]]:
    """The functions that take most of a step, with their shares of its time.

    cProfile makes small functions look dearer than they are: the shares rank, they do not measure.
    """
    start = time.perf_counter()
    step()
    repeats = max(1, int(seconds / (time.perf_counter() - start)))
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(repeats):
        step()
    profile.disable()
    stats = pstats.Stats(profile)
    rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])  # type: ignore[attr-defined]
    total = sum(row[1][2] for row in rows)
    return [(_label(*row[0]), row[1][2] / total) for row in rows[:most]]


def collecting(step: Step, repeats: int) -> float:
    """The share of a step's time that the garbage collector takes: what is saved by switching it off."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(repeats):
        for on in (True, False):
            gc.collect()
            if not on:
                gc.disable()
            start = time.process_time()
            step()
            times[on].append(time.process_time() - start)
            gc.enable()
    return 1 - min(times[False]) / min(times[True])


def _label(file: str, line: int, function: str) -> str:
    if file == "~":
        return function.strip("<>").removeprefix("built-in method ").removeprefix("method ").partition(" at 0x")[0]
    if file.startswith("<"):
        return f"{file.strip('<>')}: {function}"
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line} {function}"
