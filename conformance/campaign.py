"""A campaign: the loop from blocks of programs to findings, its budget and its state.

This is the only stateful part. Everything it passes on is a frozen value.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time as clock
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from types import ModuleType
from typing import Any, Literal, TypeAlias

import msgspec

from conformance import __version__, engines, execute, gate, generate, noise
from conformance import results as records
from conformance.blame import Bench
from conformance.compare import equal, judge
from conformance.engines import Engine
from conformance.execute import Observation
from conformance.findings import build
from conformance.generate import Block, Target
from conformance.program import Inplace, Program
from conformance.reduce import Reducer
from conformance.results import Finding, Kind, Results
from conformance.vocabulary import OPERATIONS

Spec: TypeAlias = str | Engine | type[Engine] | ModuleType
Outcome: TypeAlias = Literal["FIXED", "FAILED", "CHANGED", "ERROR"]

#: Seconds that a run takes when it is given no budget.
DEFAULT_TIME = 30.0
#: Share of the elapsed time that may go into naming causes, once some mismatches have been looked at.
BLAME_SHARE = 0.4


class Progress(msgspec.Struct, frozen=True):
    """Where a run is: `done` of `total` (programs when the budget is one of programs, seconds otherwise)."""

    phase: Literal["start", "cells", "pairs", "free", "reduce", "done"]
    done: float
    total: float
    unit: Literal["programs", "seconds"]
    programs: int
    rate: float
    findings: int


class Report:
    """What `check` returns: the results, and the ways to look at them."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @property
    def ok(self) -> bool:
        """Whether the gate passes: something ran, to its end, and nothing was found."""
        return self.results.exit_code == 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The causes that were found."""
        return self.results.findings

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the results file. Raises `ResultsError`."""
        records.save(self.results, path)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one HTML file. Raises `ResultsError`."""
        from conformance.reporting.html import to_html

        records.write(path, to_html(self.results).encode())

    def to_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write the report as Markdown. Raises `ResultsError`."""
        from conformance.reporting.markdown import to_markdown

        records.write(path, to_markdown(self.results).encode())

    def __repr__(self) -> str:
        s = self.results.statistics
        return f"<Report {'ok' if self.ok else 'not ok'}: {s.programs} programs, {len(self.findings)} findings>"


def versions() -> records.Versions:
    """Versions of everything that shapes a run."""
    import numpy as np
    import torch

    return records.Versions(
        suite=__version__,
        python=platform.python_version(),
        numpy=np.__version__,
        torch=str(torch.__version__),
        hypothesis=version("hypothesis"),
        platform=f"{platform.system()} {platform.machine()}",
    )


class _Seen(msgspec.Struct):
    """A cause that was met."""

    mismatch: Any
    cause: tuple[str, Kind]
    program: Program
    original: Program
    first_seen: str
    runs: int
    features: set[str]
    met: int = 1


class Campaign:
    """One engine's run against the reference."""

    def __init__(
        self,
        engine: Engine,
        *,
        spec: str = "",
        examples: int | None = None,
        time: float | None = None,
        seed: int = 0,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.started = clock.perf_counter()
        self.when = datetime.now(UTC).isoformat(timespec="seconds")
        self.engine = engine
        self.spec = spec or engine.name
        self.reference = engines.load("torch")
        self.bench = Bench(engine, self.reference)
        self.shapes = execute.Shapes(self.reference)
        self.configuration = records.Configuration(
            seed=seed, examples=examples, time=DEFAULT_TIME if examples is None and time is None else time
        )
        self.progress = progress
        self.spent: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.cells: dict[tuple[str, str], list[int]] = {}
        self.seen: dict[tuple[str, Kind], _Seen] = {}
        self.hashes: set[int] = set()
        self.phase: Any = "start"
        self.blamed_at = 0
        self.complete = True

    # -- budget --------------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds since the campaign was made."""
        return clock.perf_counter() - self.started

    @property
    def left(self) -> bool:
        """Whether the budget allows another batch."""
        limits = self.configuration
        if limits.examples is not None and self.count["programs"] >= limits.examples:
            return False
        return limits.time is None or self.elapsed < limits.time

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the block's seconds to `spent[name]`."""
        start = clock.perf_counter()
        try:
            yield
        finally:
            self.spent[name] += clock.perf_counter() - start  # type: ignore[assignment]

    def report(self) -> None:
        """Tell the caller where the run is."""
        if self.progress is None:
            return
        limits = self.configuration
        programs, seconds = self.count["programs"], max(self.elapsed, 1e-9)
        by_programs = limits.examples is not None
        self.progress(
            Progress(
                self.phase,
                programs if by_programs else min(seconds, limits.time or 0.0),
                float(limits.examples or 0) if by_programs else limits.time or 0.0,
                "programs" if by_programs else "seconds",
                programs,
                programs / seconds,
                len(self.seen),
            )
        )

    # -- search --------------------------------------------------------------------------------------------------------

    def run(self) -> Results:
        """Search until the budget ends (or Ctrl-C), then reduce and name what was found."""
        with self.timing("startup"):
            self._warm_up()
            offered = {name for name in OPERATIONS if self.engine.supports(name)}
            supported = [operation for name, operation in OPERATIONS.items() if name in offered]
            cells = generate.cells(list(OPERATIONS.values()), self.shapes)
            self.cells = {cell: [0, 0, 0 if cell[0] in offered else 1] for cell in cells}
            self.names = [operation.name for operation in supported]
            self.place = {name: bit for bit, name in enumerate(self.names)}
            self.rows = [0] * len(supported)
            self.operations = supported
        self.report()
        try:
            with execute.steady_memory():
                if supported:
                    self._search([cell for cell in cells if cell[0] in offered])
        except KeyboardInterrupt:
            self.complete = False
        self.phase = "done"
        self.report()
        return self._results(sorted(set(OPERATIONS) - offered))

    def _warm_up(self) -> None:
        """Torch loads much of itself at its first double backward."""
        import hypothesis  # noqa: F401 - loaded here, outside the timers
        import torch

        x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        (g,) = torch.autograd.grad((x.relu() * x.abs()).sum(), x, create_graph=True)
        torch.autograd.backward([(g * x).sum()])

    def _search(self, cells: Sequence[tuple[str, str]]) -> None:
        for block in generate.blocks(self.operations, cells):
            if not self.left:
                return
            self.phase = block.name.partition("/")[0]
            self._block(block)
            self.report()

    def _block(self, block: Block) -> None:
        start, inside = clock.perf_counter(), 0.0
        number = 0

        def consume(batch: Sequence[tuple[Target, bytes]]) -> bool:
            nonlocal inside, number
            entered = clock.perf_counter()
            self._batch(batch, f"{block.name}#{number}")
            number += 1
            inside += clock.perf_counter() - entered
            return self.left

        generate.draw(block, self.configuration.seed, consume)
        self.spent["generate"] += clock.perf_counter() - start - inside  # type: ignore[assignment]

    def _batch(self, batch: Sequence[tuple[Target, bytes]], name: str) -> None:
        limit = self.configuration.examples
        if limit is not None:
            batch = batch[: limit - self.count["programs"]]
        with self.timing("generate"):
            drawn = [(t, *generate.decode(data, t, self.shapes, self.operations)) for t, data in batch]
            kept = [(target, program) for target, program, meant in drawn if meant]
            self.count["discarded"] += len(drawn) - len(kept)
            programs = [program for _, program in kept]
            before = len(self.hashes)
            self.hashes.update(map(hash, programs))
            self.count["duplicates"] += len(programs) - (len(self.hashes) - before)
        with self.timing("engine"):
            actual = execute.run_all(self.engine, programs)
        with self.timing("reference"):
            expected = execute.run_all(self.reference, programs)
        for position, ((target, program), a, b) in enumerate(zip(kept, expected, actual, strict=True)):
            self._compare(target, program, a, b, f"{name}.{position}")
        self.count["programs"] += len(programs)

    def _compare(
        self, target: Target, program: Program, expected: Observation, actual: Observation, where: str
    ) -> None:
        start = clock.perf_counter()
        cell = self.cells.get((target.first, target.feature)) if target.kind == "cell" else None
        self.count["operations"] += len(program.operations)
        if actual.unsupported is not None:
            self.count["unsupported"] += 1
            if cell is not None:
                cell[2] += 1
            self.spent["compare"] += clock.perf_counter() - start  # type: ignore[assignment]
            return
        if cell is not None:
            cell[0] += 1
        elif target.kind == "pair":
            self.rows[self.place[target.first]] |= 1 << self.place[target.second]
        if expected.failure is not None and not any(isinstance(s, Inplace) for s in program.steps):
            self.count["reference errors"] += 1  # in-place steps may be refused; all others are meant to be valid
        mismatch = None
        if not equal(expected, actual):
            found = judge(program, expected, actual, lambda: noise.measure(self.reference, program))
            self.count["ill-conditioned"] += found.ill_conditioned
            mismatch = found.mismatch
        self.spent["compare"] += clock.perf_counter() - start  # type: ignore[assignment]
        if mismatch is not None:
            self.count["mismatches"] += 1
            if cell is not None:
                cell[1] += 1
            with self.timing("reduce"), execute.quiet():
                self._cause(target, program, mismatch, where)

    def _cause(self, target: Target, program: Program, mismatch: Any, where: str) -> None:
        """Name the cause of a mismatch; reduce the program when the cause is new."""
        if self.count["mismatches"] > 200 and self.spent["reduce"] > BLAME_SHARE * self.elapsed:
            self.count["unattributed"] += 1
            return
        feature = target.feature or target.kind
        found = self.bench.blame(program, mismatch)
        known = self.seen.get(found.cause)
        if known is not None:
            known.met += 1
            known.features.add(feature)
            return
        reducer = Reducer(lambda p: self.bench.cause(p) == found.cause, self.bench.expected)
        smallest = reducer.reduce(found.program)
        final = self.bench.mismatch(smallest)
        if final is None:  # cannot be told apart from noise once alone: keep what was seen
            smallest, final = program, mismatch
        self.seen[found.cause] = _Seen(final, found.cause, smallest, program, where, reducer.runs, {feature})
        self.report()

    # -- results -------------------------------------------------------------------------------------------------------

    def _results(self, missing: Sequence[str]) -> Results:
        with self.timing("reduce"):
            findings = tuple(self._finding(seen) for seen in self.seen.values())
        name = self.engine.name
        n = len(self.names)
        statistics = records.Statistics(
            programs=self.count["programs"],
            operations=self.count["operations"],
            mismatches=self.count["mismatches"],
            unsupported=self.count["unsupported"],
            discarded=self.count["discarded"],
            duplicates=self.count["duplicates"],
            ill_conditioned=self.count["ill-conditioned"],
            reference_errors=self.count["reference errors"],
        )
        found = Results(
            versions=versions(),
            configuration=self.configuration,
            engines=(
                records.EngineRecord(
                    name=name,
                    spec=self.spec,
                    version=self.engine.version,
                    operations=tuple(self.names),
                    unsupported=tuple(missing),
                ),
            ),
            cells=tuple(
                records.Cell(engine=name, operation=op, feature=f, programs=c[0], mismatches=c[1], unsupported=c[2])
                for (op, f), c in self.cells.items()
            ),
            pairs=(
                records.Pairs(
                    engine=name,
                    operations=tuple(self.names),
                    rows=tuple(f"{row:x}" for row in self.rows),
                    covered=sum(row.bit_count() for row in self.rows),
                    possible=n * n,
                ),
            ),
            findings=findings,
            statistics=statistics,
            timings=records.Timings(total=self.elapsed, **{k: float(v) for k, v in self.spent.items()}),
            started=self.when,
        )
        return gate.judge(found, interrupted=not self.complete)

    def _finding(self, seen: _Seen) -> Finding:
        return build(
            self.bench,
            seen.program,
            seen.cause,
            seen.mismatch,
            first_seen=seen.first_seen,
            met=seen.met,
            features=tuple(sorted(seen.features)),
            reduced_from=len(seen.original.operations),
            reduction_runs=seen.runs,
        )


def check(
    engine: Spec,
    *,
    examples: int | None = None,
    time: float | None = None,
    seed: int = 0,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Run random programs through an engine and through torch, and report what differs.

    `engine` is what `engines.load` takes. The budget is `examples` programs or `time` seconds (30 when neither is
    given; both when both are). `progress` is called with `Progress` values. Raises `EngineError` when the engine cannot
    be loaded; Ctrl-C ends the search and marks the results as partial.
    """
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be at least 1, got {examples}")
    if time is not None and not time > 0:
        raise ValueError(f"time must be more than 0 seconds, got {time}")
    loaded = engines.load(engine)
    spec = engine if isinstance(engine, str) else loaded.name
    return Report(Campaign(loaded, spec=spec, examples=examples, time=time, seed=seed, progress=progress).run())


def replay(stored: Program | Finding, engine: Spec) -> Outcome:
    """Run a stored program again.

    FIXED: the engine agrees with torch. FAILED: it differs, for a finding by the same cause. CHANGED: it differs by
    another cause. ERROR: the program cannot be judged (the engine lacks something, or torch refuses the program where
    it did not). Raises `EngineError` when the engine cannot be loaded.
    """
    loaded = engines.load(engine)
    bench = Bench(loaded, engines.load("torch"))
    program = stored.program if isinstance(stored, Finding) else stored
    actual = execute.run_all(loaded, [program])[0]
    expected = bench.expected(program)
    if actual.unsupported is not None:
        return "ERROR"
    if expected.failure is not None and not (isinstance(stored, Finding) and stored.kind == "error"):
        return "ERROR"
    mismatch = bench.mismatch(program)
    if mismatch is None:
        return "FIXED"
    if isinstance(stored, Finding) and bench.blame(program, mismatch).cause != (stored.blamed, stored.kind):
        return "CHANGED"
    return "FAILED"
