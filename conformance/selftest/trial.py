"""One fault: it is searched for, blamed, reduced and judged, as a run would do it."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from conformance import execute
from conformance.compare import Mismatch, equal, judge
from conformance.engines import Engine
from conformance.noise import Noise
from conformance.program import Program
from conformance.search import Description, Met, Searcher
from conformance.selftest.corpus import Corpus, Drawn
from conformance.selftest.faults import Fault
from conformance.selftest.record import Tried

#: Whether it is right that this is blamed, of an engine, as a program shows it.
Right: TypeAlias = Callable[[str, Engine, Program], bool]

#: Programs that show a fault for which the cause is looked for: the first, and some after it.
LOOKED_AT = 3
#: Programs that are tried for these, after the first that shows it.
FURTHER = 40


class Bureau:
    """An honest engine, the reference, and the programs: what all trials share."""

    def __init__(self, engine: Engine, reference: Engine, corpus: Corpus) -> None:
        self.engine = engine
        self.reference = reference
        self.corpus = corpus
        self._same = type(engine) is type(reference)

    def agrees(self, drawn: Drawn) -> bool:
        """Whether the honest engine agrees with the reference, so that a difference is the fault's."""
        return self._same or Searcher(self.engine, self.reference).bench.mismatch(drawn.program) is None

    def differing(
        self, faulty: Engine, indices: Sequence[int], *, trusted: bool
    ) -> tuple[int, list[tuple[Drawn, Mismatch]]]:
        """How many programs were tried until the first that shows the fault, and that one with some after it."""
        found: list[tuple[Drawn, Mismatch]] = []
        until = 0
        for count, index in enumerate(indices, 1):
            drawn, expected = self.corpus.drawn[index], self.corpus.expected(index)
            actual = execute.run(faulty, drawn.program)
            if actual.unsupported is None and not equal(expected, actual):
                noise = partial(Noise, self.reference, drawn.program, partial(execute.run, faulty))
                judged = judge(drawn.program, expected, actual, noise, faulty.precision)
                if judged.mismatch is not None and (trusted or self.agrees(drawn)):
                    found.append((drawn, judged.mismatch))
            until += not found
            if len(found) >= LOOKED_AT or count > until + FURTHER:
                break
        return until + 1, found

    def attempt(
        self, fault: Fault, *, describe: bool = True, indices: Sequence[int] | None = None, right: Right | None = None
    ) -> Tried:
        """What the suite makes of a fault; it is reduced and judged only when that is asked for.

        `indices` are the programs that concern it (on which the honest engine is known to agree with the reference),
        `right` says whether what is blamed is right, where that is not known beforehand.
        """
        start = clock.perf_counter()
        faulty = fault.plant(self.engine)
        concerned = self.corpus.concerning(fault.operations, fault.methods(self.engine)) if indices is None else indices
        with execute.quiet():
            tried, shown = self.differing(faulty, concerned, trusted=indices is not None)
            searcher = Searcher(faulty, self.reference)
            causes = [searcher.bench.blame(drawn.program, mismatch) for drawn, mismatch in shown]
            common = {
                "name": fault.name,
                "kind": fault.kind,
                "family": fault.family,
                "expected": fault.blamed,
                "tried": min(tried, len(concerned)),
            }
            if not shown:
                reason = "no program of the search concerns it" if not concerned else "no program shows it"
                return Tried(found=False, reason=reason, seconds=clock.perf_counter() - start, **common)  # type: ignore[arg-type]
            if right is not None and right(causes[0].blamed, faulty, causes[0].program):
                common["expected"] = (causes[0].blamed,)
            drawn, mismatch = shown[0]
            met = Met(
                cause=causes[0].cause,
                position=drawn.position,
                first_seen=drawn.place,
                original=drawn.program,
                program=causes[0].program,
                mismatch=mismatch,
                times=1,
                features=frozenset({drawn.target.feature or drawn.target.kind}),
            )
            finding = searcher.describe(Description(met=met)) if describe else None
        return Tried(
            found=True,
            programs=drawn.position + 1,
            seconds=clock.perf_counter() - start,
            feature=drawn.target.feature or drawn.target.kind,
            shows=causes[0].kind,
            named=causes[0].blamed in common["expected"],  # type: ignore[operator]
            said=causes[0].blamed,
            blames=tuple(cause.blamed for cause in causes),
            operations=len(finding.operations) if finding else 0,
            verdict=finding.verdict if finding else None,
            rightly_judged=finding is not None and finding.verdict in fault.verdicts,
            message=finding.message if finding else "",
            script=finding.script() if finding else "",
            **common,  # type: ignore[arg-type]
        )
