"""How long the suite takes to make a free program small that shows a planted fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

# One fault of each kind of what can be wrong, by what its name begins with.
FAULTS = ("wrong when reused: mul", "unbroadcast: first row", "accumulation: lost", "wrong dtype", "zeros for None")


@dataclass(frozen=True)
class Reduced:
    fault: str
    operations: int  # of the reduced program
    seconds: float  # to tell the cause, to reduce the program, and to judge it, once a program was found


def measure() -> list[Reduced]:
    """What becomes of each fault that a free program shows, in torch against torch."""
    from conformance import engines, execute, generate
    from conformance.selftest import faults
    from conformance.selftest.corpus import Corpus, Drawn
    from conformance.selftest.trial import Bureau
    from conformance.vocabulary import OPERATIONS

    reference = engines.load("torch")
    shapes, operations = execute.Shapes(reference), [*OPERATIONS.values()]
    drawn: list[Drawn] = []
    block = generate.Block("free/0/0", (generate.Target("free"),) * 16 * generate.BATCH)

    def consume(batch: Sequence[tuple[generate.Target, bytes]]) -> bool:
        for target, data in batch:
            program, meant = generate.decode(data, target, shapes, operations)
            if meant:
                drawn.append(Drawn(len(drawn), "", target, program))
        return True

    generate.draw(block, 0, consume)
    bureau = Bureau(engines.load("torch"), reference, Corpus(drawn, reference))
    found = []
    for name in FAULTS:
        (fault, *_) = faults.chosen([name])
        concerned = bureau.corpus.concerning(fault.operations, fault.methods(bureau.engine))
        faulty = fault.plant(bureau.engine)
        first = next((i for i in concerned if bureau.differing(faulty, [i], trusted=True)[1]), None)
        if first is not None:
            tried = bureau.attempt(fault, indices=[first])
            found.append(Reduced(name, tried.operations, tried.seconds))
    return found


if __name__ == "__main__":
    json.dump([asdict(each) for each in measure()], sys.stdout)
