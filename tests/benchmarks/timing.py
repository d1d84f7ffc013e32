"""Times of several things that do the same, taken turn by turn, so that a busy machine slows all of them alike.

Time is the processor's time for this process, which does not run while others have the processor.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    seconds: float  # of one call: the median over the rounds
    ratio: float  # to the reference's time in the same round: the median over the rounds
    low: float  # the ratio's quartiles
    high: float


def interleaved(
    calls: Sequence[Callable[[], object]], reference: int, seconds: float, rounds: int = 15
) -> list[Measured]:
    """Measure `calls` in turn for about `seconds` each, in rounds of as many repetitions as fit.

    The slow ones sit out most rounds: each takes part in three, and then while its share of time lasts.
    """
    repeats, spent = [], []
    gc.collect()
    for call in calls:
        call()
        once = max(_timed(call, 1), 1e-6)
        repeats.append(max(1, int(seconds / rounds / once)))
        spent.append(0.0)
    times: list[dict[int, float]] = [{} for _ in calls]
    for turn in range(rounds):
        for i, call in enumerate(calls):
            if turn >= 3 and spent[i] > 1.5 * seconds:
                continue
            found = _timed(call, repeats[i])
            times[i][turn] = found
            spent[i] += found * repeats[i]
    result = []
    for each in times:
        ratios = [each[turn] / times[reference][turn] for turn in each if turn in times[reference]]
        quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
        result.append(Measured(statistics.median(each.values()), quartiles[1], quartiles[0], quartiles[2]))
    return result


def _timed(call: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats
