"""What the search costs in one process once it is warm: free programs of some 18 operations, in blocks of 512.

A worker meets most operations in its first blocks, which load code and compile patterns; those are left out.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import get_args

LEVELS = ("gradient", "look")  # first order alone, and all levels
WARM, MEASURED = 2, 3  # blocks


@dataclass(frozen=True)
class Steady:
    level: str
    programs: int
    operations: int
    seconds: float  # of the processor
    parts: dict[str, float]  # by the search's own clock

    @property
    def ratio(self) -> float:
        """The time of the search ÷ the time of both engines alone on the same programs."""
        return sum(self.parts.values()) / (self.parts["engine"] + self.parts["reference"])

    @property
    def rate(self) -> float:
        """Programs of 10 operations in a second."""
        return self.operations / 10 / self.seconds


def measure(levels: Sequence[str] = LEVELS) -> list[Steady]:
    """Search as a worker does, with the same settings of memory and the same known causes."""
    from conformance import engines, execute, expectations, generate, isolation, search
    from conformance.vocabulary import OPERATIONS

    isolation.load_torch()
    reference = engines.load("torch")
    listed = expectations.listed("minigrad")
    found = []
    for level in [each for each in get_args(engines.Level) if each in levels]:
        engine = engines.at_level(engines.load("minigrad"), level)
        known = expectations.causes_listed(expectations.load(listed) if listed else (), engine)
        searcher = search.Searcher(engine, reference)
        targets = (generate.Target("free", level=level),) * 16 * generate.BATCH
        counts: Counter[str] = Counter()
        parts: Counter[str] = Counter()
        start = time.process_time()
        with execute.steady_memory():
            for number in range(WARM + MEASURED):
                if number == WARM:
                    counts.clear()
                    parts.clear()
                    start = time.process_time()
                unit = search.Unit(
                    block=generate.Block(f"free/{number}/0", targets), seed=0, operations=tuple(OPERATIONS),
                    first=0, limit=len(targets), known=known,
                )  # fmt: skip
                outcome = searcher.search(unit)
                counts.update(outcome.counts)
                parts.update(outcome.seconds)  # type: ignore[arg-type]
        seconds = time.process_time() - start
        found.append(Steady(level, counts["programs"], counts["operations"], seconds, dict(parts)))
    return found


if __name__ == "__main__":
    json.dump([asdict(each) for each in measure(sys.argv[1:] or LEVELS)], sys.stdout)
