"""One unit of the search, as a worker does it: a block of programs through both engines, and why they differ.

What comes out depends on the unit alone: not on the worker, nor on what it did before. So units can be done anywhere
and in any order; `campaign` adds up their outcomes. (A budget in seconds is the exception: it cuts units short.)
"""

from __future__ import annotations

import contextlib
import sys
import time as clock
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from conformance import behaviour, execute, expectations, findings, generate
from conformance.blame import Bench, Blame
from conformance.compare import Mismatch, equal, judge
from conformance.duplicates import fingerprint
from conformance.engines import Engine
from conformance.execute import Observation
from conformance.generate import Block, Target
from conformance.journal import Batch, Journal, Silent
from conformance.noise import Noise
from conformance.program import Program
from conformance.reduce import Reducer
from conformance.results import ERROR_BINS, Finding, Kind, Trouble
from conformance.vocabulary import OPERATIONS

Cause: TypeAlias = tuple[str, Kind]

#: Mismatches of one batch whose cause is looked for, where it is not one that was met before.
LOOKED_AT = 5
#: Share of the time that may go into naming causes when the budget is in seconds, after this many mismatches.
BLAME_SHARE = 0.4
BLAME_FREELY = 200


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A block, and how much of it is wanted.

    `first` is the number of its first program in the whole search; the first `limit` programs are in the budget.
    `until` is a time of day (`time.time()`) at which to stop. Programs at the places in `skip` ended or held up a
    worker before: they are counted and not run; those that apply an operation in `avoid` are passed over. Causes that
    are `known` are looked for first, since that takes little time.
    """

    block: Block
    seed: int
    operations: tuple[str, ...]
    first: int
    limit: int
    until: float | None = None
    skip: frozenset[int] = frozenset()
    avoid: frozenset[str] = frozenset()
    known: frozenset[Cause] = frozenset()


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that was met, and the first program that showed it: `original` as drawn, `program` as `Bench` cut it."""

    cause: Cause
    position: int
    first_seen: str
    original: Program
    program: Program
    mismatch: Mismatch
    times: int
    features: frozenset[str]

    def also(self, other: Met) -> Met:
        """Both together; the earlier program stands for the cause."""
        return msgspec.structs.replace(
            min(self, other, key=lambda met: met.position),
            times=self.times + other.times,
            features=self.features | other.features,
        )


class Ran(msgspec.Struct, frozen=True):
    """A program that was run: its place in the block, what it was asked for, and what both sides showed."""

    position: int
    target: Target
    program: Program
    expected: Observation
    actual: Observation


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit showed.

    `cells` holds (programs, mismatches, unsupported) for each cell that was tried; `pairs` an operation and those that
    it fed; `errors` how far the results of an operation alone were from torch's: `results.Errors.counts`, and `worst`.
    `lost` says why the unit was given up, if it was.
    """

    counts: dict[str, int]
    cells: dict[tuple[str, str], tuple[int, int, int]]
    pairs: tuple[tuple[str, tuple[str, ...]], ...]
    fingerprints: tuple[int, ...]
    met: tuple[Met, ...]
    seconds: dict[str, float]
    errors: dict[str, tuple[float, ...]] = {}
    troubles: tuple[Trouble, ...] = ()
    lost: str = ""

    @staticmethod
    def nothing(lost: str = "") -> Outcome:
        """The outcome of a unit of which nothing was done, be it that it was given up."""
        return Outcome(counts={}, cells={}, pairs=(), fingerprints=(), met=(), seconds={}, lost=lost)

    def also(self, met: Iterable[Met]) -> Outcome:
        """The same, with what else was met."""
        return msgspec.structs.replace(self, met=tuple(together((*self.met, *met)).values()))


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the finding of a cause: reduced until a time of day or, when `plain`, as it was met.

    A plain one takes no time and runs no engine: it has no numbers in its graph, and no referee.
    """

    met: Met
    until: float | None = None
    plain: bool = False


class Recital(msgspec.Struct, frozen=True):
    """Asks for one program of the corpus of behaviour, under torch and under `module`, which mirrors it."""

    snippet: behaviour.Snippet
    module: str


class Recited(msgspec.Struct, frozen=True):
    """How a program of the corpus fared, and how long it took."""

    snippet: behaviour.Snippet
    result: behaviour.Result
    seconds: float = 0.0


Task: TypeAlias = Unit | Description | Recital
Answer: TypeAlias = Outcome | Finding | Recited


def together(met: Iterable[Met]) -> dict[Cause, Met]:
    """One for each cause."""
    causes: dict[Cause, Met] = {}
    for one in met:
        causes[one.cause] = causes[one.cause].also(one) if one.cause in causes else one
    return causes


class Dead(Engine):
    """Stands for an engine that must not run: it has its names, and refuses all else."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.module = engine.module

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("not run")

    leaf = apply = backward = grad = numpy = _refuse  # type: ignore[assignment]


class Searcher:
    """An engine beside the reference. Keeps no results, only what the reference said of shapes and the time it took."""

    def __init__(self, engine: Engine, reference: Engine, journal: Journal | Silent | None = None) -> None:
        self.engine = engine
        self.reference = reference
        self.journal = journal or Silent()
        self.shapes = execute.Shapes(reference)
        self.bench = Bench(engine, reference, self.journal.running)
        self._started = clock.perf_counter()
        self._mismatches = 0
        self._blaming = 0.0

    def perform(self, task: Task) -> Answer:
        """Do what is asked."""
        if isinstance(task, Recital):
            return self.recite(task)
        return self.search(task) if isinstance(task, Unit) else self.describe(task)

    def recite(self, task: Recital) -> Recited:
        """Run a program of the corpus."""
        start = clock.perf_counter()
        result = behaviour.check(task.snippet, sys.modules[task.module], sys.modules[self.reference.module])
        return Recited(task.snippet, result, clock.perf_counter() - start)

    def search(self, unit: Unit) -> Outcome:
        """Do a unit."""
        return _Search(self, unit).outcome()

    def describe(self, task: Description) -> Finding:
        """The finding for a cause: its program is reduced and judged."""
        met, until = task.met, task.until
        fatal = met.cause[1] in ("crash", "hang")
        self.journal.at(-1)

        def shows(program: Program) -> bool:
            if until is not None and clock.time() >= until:
                return False
            # Where torch refuses what it did not refuse before, it is another story: a gradient of another shape, say.
            return (refused or self.bench.expected(program).failure is None) and self.bench.cause(program) == met.cause

        refused = self.bench.expected(met.program).failure is not None
        program, mismatch, runs = met.program if fatal else met.original, met.mismatch, 0
        with execute.quiet():
            if not (task.plain or fatal):
                reducer = Reducer(shows, self.bench.expected)
                smallest = reducer.reduce(met.program)
                runs = reducer.runs
                final = self.bench.mismatch(smallest)
                if final is not None:  # else it cannot be told apart from noise once alone: what was seen stays
                    program, mismatch = smallest, final
            bench = Bench(Dead(self.engine), self.reference) if fatal or task.plain else self.bench
            return findings.build(
                bench,
                program,
                met.cause,
                mismatch,
                first_seen=met.first_seen,
                referee=not task.plain,
                position=met.position,
                met=met.times,
                features=tuple(sorted(met.features)),
                reduced_from=len(met.original.operations),
                reduction_runs=runs,
            )

    def run(self, program: Program) -> None:
        """Run a program, just to see whether the engine survives it."""
        self.bench.actual(program)

    def witness(self, program: Program) -> str | None:
        """What the witness of a known finding shows now."""
        self.journal.at(-1)
        with execute.quiet():
            return expectations.shown(self.bench, program)

    def suspects(
        self, unit: Unit | None, running: Batch | Program, index: int
    ) -> tuple[Target | None, Program, tuple[tuple[str, Program], ...]]:
        """What a journal says that the engine was at: target, program, and each of its applications alone."""
        target = None
        if unit is None or isinstance(running, Program):
            assert isinstance(running, Program)
            program = running
        else:
            target, data = running[index]
            program, _ = generate.decode(data, target, self.shapes, [OPERATIONS[name] for name in unit.operations])
        with execute.quiet():
            return target, program, tuple(self.bench.alone(program))

    def blame(self, program: Program, mismatch: Mismatch) -> Blame:
        """The cause of a mismatch, and a program that shows it alone."""
        with self._blamed():
            return self.bench.blame(program, mismatch)

    def too_busy_blaming(self) -> bool:
        """Whether naming causes has taken its share of the time."""
        elapsed = clock.perf_counter() - self._started
        return self._mismatches > BLAME_FREELY and self._blaming > BLAME_SHARE * elapsed

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        start = clock.perf_counter()
        self._mismatches += 1
        try:
            with execute.quiet():
                yield
        finally:
            self._blaming += clock.perf_counter() - start


class _Search:
    """The state of one unit."""

    def __init__(self, searcher: Searcher, unit: Unit) -> None:
        self.searcher = searcher
        self.unit = unit
        self.operations = [OPERATIONS[name] for name in unit.operations]
        self.count: Counter[str] = Counter()
        self.cells: dict[tuple[str, str], list[int]] = {}
        self.pairs: list[tuple[str, tuple[str, ...]]] = []
        self.fingerprints: list[int] = []
        self.met: dict[Cause, Met] = {}
        self.seconds: Counter[str] = Counter()
        self.errors: dict[str, list[float]] = {}
        self.troubles: list[Trouble] = []
        self.position = 0
        self.inside = 0.0

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the block's seconds to `seconds[name]`, without those of blocks inside it."""
        start, before = clock.perf_counter(), self.inside
        self.inside = 0.0
        try:
            yield
        finally:
            elapsed = clock.perf_counter() - start
            self.seconds[name] += elapsed - self.inside  # type: ignore[assignment]
            self.inside = before + elapsed

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.unit.until is not None and clock.time() >= self.unit.until

    def outcome(self) -> Outcome:
        """Draw and run the programs, and name the causes of what differs."""

        failed: list[Exception] = []

        def consume(batch: Sequence[tuple[Target, bytes]]) -> bool:
            try:
                self.batch(batch[: self.unit.limit - self.position])
            except Exception as error:  # noqa: BLE001 - Hypothesis would run the batch again, and take it for flaky
                failed.append(error)
            return not failed and self.position < self.unit.limit and not self.late

        with self.timing("generate"):
            generate.draw(self.unit.block, self.unit.seed, consume)
        if failed:
            raise failed[0]
        return Outcome(
            counts=dict(self.count),
            cells={cell: (c[0], c[1], c[2]) for cell, c in self.cells.items()},
            pairs=tuple(self.pairs),
            fingerprints=tuple(self.fingerprints),
            met=tuple(self.met.values()),
            seconds={name: float(value) for name, value in self.seconds.items()},
            errors={name: tuple(found) for name, found in self.errors.items()},
            troubles=tuple(self.troubles),
        )

    def batch(self, batch: Sequence[tuple[Target, bytes]]) -> None:
        """Run what was drawn at once."""
        searcher, start = self.searcher, self.position
        self.position += len(batch)
        self.count["drawn"] += len(batch)
        with self.timing("generate"), execute.quiet():
            kept: list[tuple[int, Target, tuple[str, ...], Program]] = []
            for index, (target, data) in enumerate(batch):
                if start + index in self.unit.skip:
                    self.tried(target, mismatch=True)
                    continue
                program, meant = generate.decode(data, target, searcher.shapes, self.operations)
                if meant and self.unit.avoid.isdisjoint(program.operations):
                    kept.append((index, target, meant, program))
                else:
                    self.count["discarded"] += 1
            programs = [program for *_, program in kept]
            self.fingerprints += map(fingerprint, programs)
        with self.timing("engine"):
            noted = searcher.journal.batch(start, batch, [index for index, *_ in kept], programs)
            actual = execute.run_all(searcher.engine, self.in_time(noted))
            searcher.journal.idle()
        programs, kept = programs[: len(actual)], kept[: len(actual)]
        with self.timing("reference"):
            expected = execute.run_all(searcher.reference, programs)
        with self.timing("compare"):
            ran = [
                Ran(start + index, target, program, a, b)
                for (index, target, _, program), a, b in zip(kept, expected, actual, strict=True)
            ]
            for (_, target, meant, _), one in zip(kept, ran, strict=True):
                if target.kind == "pair" and not (one.expected.failure or one.actual.failure or one.actual.unsupported):
                    self.pairs.append((target.first, meant))
            unequal = [one for one in ran if not self.agrees(one)]
        named = 0
        for one in _spread(unequal):
            named += self.judge(one, named)

    def in_time(self, programs: Iterable[Program]) -> Iterator[Program]:
        """The programs until the time is over: a batch of a slow engine's takes many times as long as others'."""
        for program in programs:
            if self.late:
                return
            yield program

    def tried(self, target: Target, *, mismatch: bool = False, unsupported: bool = False) -> None:
        """Count a program that was run."""
        self.count["programs"] += 1
        self.count["mismatches"] += mismatch
        self.count["unsupported"] += unsupported
        if target.kind == "cell":
            cell = self.cells.setdefault((target.first, target.feature), [0, 0, 0])
            cell[0] += not unsupported
            cell[1] += mismatch
            cell[2] += unsupported

    def agrees(self, ran: Ran) -> bool:
        """Count a program that needs no judging: the engine lacks something, or shows the same to the last bit."""
        self.count["operations"] += len(ran.program.operations)
        if ran.actual.unsupported is not None:
            self.tried(ran.target, unsupported=True)
            return True
        failure = ran.expected.failure
        if failure is not None and not generate.may_refuse(ran.target, ran.program, failure):
            self.count["reference errors"] += 1
            self.troubles.append(
                Trouble(
                    engine=self.searcher.engine.name,
                    code="reference-error",
                    position=self.unit.first + ran.position,
                    where=f"{self.unit.block.name}#{ran.position}",
                    text=f"{failure.error} at step {failure.step}: {' '.join(failure.message.split())}",
                )
            )
        if not equal(ran.expected, ran.actual):
            return False
        self.passed(ran, 0.0)
        return True

    def passed(self, ran: Ran, ulps: float) -> None:
        """Count a program that shows no difference, or a small one."""
        self.tried(ran.target)
        if ran.target.kind == "cell":
            seen = self.errors.setdefault(ran.target.first, [0.0] * (len(ERROR_BINS) + 1))
            seen[bisect_left(ERROR_BINS, ulps)] += 1
            seen[-1] = max(seen[-1], ulps)

    def judge(self, ran: Ran, before: int) -> bool:
        """Count a program that is not the same to the last bit, and find the cause if that is more than rounding.

        Whether a cause was named, of which there were so many `before` in the batch.
        """
        again: list[Blame | None] = []

        def noise() -> Noise | None:
            # Whether a known cause is at work takes a small part of the time that the noise of the program takes.
            again.append(self.again(ran))
            return None if again[0] else Noise(self.searcher.reference, ran.program, self.searcher.bench.traced)

        with self.timing("compare"):
            found = judge(ran.program, ran.expected, ran.actual, noise, self.searcher.engine.precision)
        if found.mismatch is None:
            self.count["ill-conditioned"] += found.ill_conditioned
            self.passed(ran, found.ulps)
            return False
        self.tried(ran.target, mismatch=True)
        cause = again[0] if again else self.again(ran)
        if cause is not None:
            self.meet(ran, cause, found.mismatch)
            return False
        with self.timing("reduce"):
            return self.name(ran, found.mismatch, before)

    def again(self, ran: Ran) -> Blame | None:
        """The cause, when it is one that is known or was met in this unit, of an operation that differs by itself."""
        causes = self.unit.known.union(self.met)
        suspects = {blamed for blamed, _ in causes}.intersection(ran.program.operations)
        if not suspects:
            return None
        with self.timing("reduce"), execute.quiet():
            self.searcher.journal.at(ran.position)
            found = self.searcher.bench.again(ran.program, suspects)
        return found if found is not None and found.cause in causes else None

    def name(self, ran: Ran, mismatch: Mismatch, before: int) -> bool:
        """Name the cause, unless there were enough `before` in the batch, or the time is over."""
        # One of each unit at least, however late: what differs must not go without a finding.
        late = self.unit.until is not None and self.met and (self.late or self.searcher.too_busy_blaming())
        if late or before >= LOOKED_AT:
            self.count["unattributed"] += 1
            return False
        self.searcher.journal.at(ran.position)
        self.meet(ran, self.searcher.blame(ran.program, mismatch), mismatch)
        return True

    def meet(self, ran: Ran, blame: Blame, mismatch: Mismatch) -> None:
        """Note a program and its cause."""
        cause = blame.cause
        met = Met(
            cause=cause,
            position=self.unit.first + ran.position,
            first_seen=f"{self.unit.block.name}#{ran.position}",
            original=ran.program,
            program=blame.program,
            mismatch=mismatch,
            times=1,
            features=frozenset({ran.target.feature or ran.target.kind}),
        )
        self.met[cause] = self.met[cause].also(met) if cause in self.met else met


def _spread(ran: Sequence[Ran]) -> Iterator[Ran]:
    """In an order that takes neighbours far apart: they are often applications of one operation or its relatives."""
    for start in range(LOOKED_AT):
        yield from ran[start::LOOKED_AT]
