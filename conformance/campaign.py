"""A campaign: units of the search go out, their outcomes are added up to results. Its budget, its state, its end.

This is the only stateful part. Everything it passes on is a frozen value.
"""

from __future__ import annotations

import contextlib
import pickle
import platform
import threading
import time as clock
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from datetime import UTC, datetime
from importlib.metadata import version
from types import ModuleType
from typing import Any, Literal, TypeAlias

import msgspec

from conformance import __version__, behaviour, engines, execute, executors, gate, generate, isolation
from conformance import expectations as known
from conformance import results as records
from conformance.blame import Bench
from conformance.duplicates import Duplicates
from conformance.engines import Engine, EngineError, Level
from conformance.executors import Crew
from conformance.isolation import WorkerError
from conformance.program import Program
from conformance.report import Report
from conformance.results import Expected, Finding, Results, Trouble
from conformance.search import Answer, Cause, Description, Met, Recital, Recited, Task, Unit, together
from conformance.vocabulary import OPERATIONS

Spec: TypeAlias = str | Engine | type[Engine] | ModuleType
Outcome: TypeAlias = Literal["FIXED", "FAILED", "CHANGED", "ERROR"]

#: Seconds at the end of the time (a tenth of it at most) in which causes that were met late are still reduced.
REDUCING = 2.0
#: Seconds after which a caller is told where the run is, though nothing has come back.
TOLD_EVERY = 1.0
#: Seconds that are taken to describe what was met when a run is stopped.
WINDING_DOWN = 5.0
#: So many of the failures of torch or of the suite are kept, the first ones.
TROUBLES = 20


class Progress(msgspec.Struct, frozen=True):
    """Where a run is: `done` of `total` (programs when the budget is one of programs, seconds otherwise)."""

    phase: Literal["start", "known", "cells", "pairs", "free", "reduce", "corpus", "done"]
    done: float
    total: float
    unit: Literal["programs", "seconds"]
    programs: int
    rate: float
    findings: int


def versions() -> records.Versions:
    """Versions of everything that shapes a run."""
    import numpy as np

    return records.Versions(
        suite=__version__,
        python=platform.python_version(),
        numpy=np.__version__,
        torch=version("torch"),
        hypothesis=version("hypothesis"),
        platform=f"{platform.system()} {platform.machine()}",
    )


class Campaign:
    """One engine's run against the reference: units go out to a crew, their outcomes are added up here.

    What is added up does not depend on who did which unit, nor on the order in which they come back.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        spec: str = "",
        examples: int | None = None,
        time: float | None = None,
        seed: int = 0,
        min_coverage: float | None = None,
        level: Level | None = None,
        shard: tuple[int, int] | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.started = clock.perf_counter()
        self.when = datetime.now(UTC).isoformat(timespec="seconds")
        self.engine = engines.at_level(engine, level or engines.levels(engine)[-1])
        self.spec = spec or engine.name
        self.configuration = records.Configuration(
            seed=seed,
            examples=examples,
            time=time,
            min_coverage=min_coverage,
            level=level or "",
        )
        self.level = level or engines.levels(engine)[-1]
        limit = self.configuration.time
        self.end: float | None = None
        self.until: float | None = None  # the end of the search, a little before that of the run
        if limit is not None:
            self.end = clock.time() + limit
            self.until = self.end - min(REDUCING, limit / 10)
        self.shard = shard
        self.progress = progress
        self.known: frozenset[Cause] = frozenset()
        self.jobs = 0
        self.spent: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.cells: dict[tuple[str, str], list[int]] = {}
        self.errors: dict[str, list[float]] = {}
        self.duplicates = Duplicates()
        self.met: dict[Cause, Met] = {}
        self.described: dict[Cause, Finding] = {}
        self.recited: list[Recited] = []
        self.troubles: list[Trouble] = []
        self.reciting, self.reciting_since = 0, 0.0
        self.phase: Any = "start"
        self.complete = True

    # -- budget --------------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds since the campaign was made."""
        return clock.perf_counter() - self.started

    @property
    def late(self) -> bool:
        """Whether the time of the search is over."""
        return self.until is not None and clock.time() >= self.until

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the block's seconds to `spent[name]`."""
        start = clock.perf_counter()
        try:
            yield
        finally:
            self.spent[name] += clock.perf_counter() - start  # type: ignore[assignment]

    def report(self, running: int = 0) -> None:
        """Tell the caller where the run is, with `running` programs of what is not done yet."""
        if self.progress is None:
            return
        limits = self.configuration
        programs, seconds = self.count["programs"] + running, max(self.elapsed, 1e-9)
        if self.phase == "corpus":
            done, rate = len(self.recited), len(self.recited) / max(clock.perf_counter() - self.reciting_since, 1e-9)
            self.progress(Progress("corpus", done, self.reciting, "programs", done, rate, len(self.met)))
            return
        by_programs = limits.examples is not None
        share = self.shard[1] if self.shard else 1
        self.progress(
            Progress(
                self.phase,
                self.count["drawn"] + running if by_programs else min(seconds, limits.time or 0.0),
                (limits.examples or 0) / share if by_programs else limits.time or 0.0,
                "programs" if by_programs else "seconds",
                programs,
                programs / seconds,
                len(self.met),
            )
        )

    # -- search --------------------------------------------------------------------------------------------------------

    def run(self, crew: Crew) -> Results:
        """Search until the budget ends (or Ctrl-C), reducing and naming what is found on the way."""
        self.jobs = crew.jobs
        with self.timing("startup"):
            offered = {name for name in OPERATIONS if self.engine.supports(name)}
            supported = [operation for name, operation in OPERATIONS.items() if name in offered]
            cells = generate.cells(list(OPERATIONS.values()), level=self.level)
            self.cells = {cell: [0, 0, 0 if cell[0] in offered else 1] for cell in cells}
            self.names = generate.paired(supported)
            self.place = {name: bit for bit, name in enumerate(self.names)}
            self.rows = [0] * len(self.names)
            self.operations = tuple(operation.name for operation in supported)
            mine = [cell for cell in cells if cell[0] in offered]
            if self.configuration.examples is None and self.configuration.time is None:
                self.configuration = msgspec.structs.replace(
                    self.configuration, examples=generate.turn(supported, mine, self.level)
                )
        self.report()
        units = self._units(mine) if supported else iter(())
        under_way: dict[Future[Answer], Task] = {}
        try:
            with execute.steady_memory():
                self._search(crew, units, under_way)
            self._recite(crew)
        except KeyboardInterrupt:
            self.complete = False
            self._wind_down(crew, under_way)
        self.phase = "done"
        self.report()
        return self._results(sorted(set(OPERATIONS) - offered))

    def _units(self, cells: Sequence[tuple[str, str]]) -> Iterator[Unit]:
        """The blocks of this shard, in order, as far as the budget in programs goes."""
        first = 0
        budget = self.configuration.examples
        operations = [OPERATIONS[name] for name in self.operations]
        for number, block in enumerate(generate.blocks(operations, cells, self.level)):
            limit = len(block.targets) if budget is None else min(len(block.targets), budget - first)
            if limit <= 0 or self.late:
                return
            if self.shard is None or number % self.shard[1] == self.shard[0] - 1:
                self.phase = block.name.partition("/")[0]
                yield Unit(
                    block=block,
                    seed=self.configuration.seed,
                    operations=self.operations,
                    first=first,
                    limit=limit,
                    until=self.until,
                    avoid=self._fatal(),
                    known=self.known,
                )
            first += len(block.targets)

    def _fatal(self) -> frozenset[str]:
        """Operations known to end or hold up processes, which a budget in seconds cannot afford again and again."""
        return frozenset(op for op, kind in self.met if kind in ("crash", "hang") and self.until is not None)

    def _search(self, crew: Crew, units: Iterator[Unit], under_way: dict[Future[Answer], Task]) -> None:
        """Keep the crew busy; causes come before further units, so that they are ready when the time is over."""
        asked: dict[Cause, int] = {}
        while True:
            while len(under_way) < crew.slots:
                task = self._next_description(asked, final=False) or next(units, None)
                if task is None and not any(isinstance(left, Unit) for left in under_way.values()):
                    task = self._next_description(asked, final=True)
                if task is None:
                    break
                under_way[crew.submit(task)] = task
            if not under_way:
                return
            for future in wait(under_way, timeout=TOLD_EVERY, return_when=FIRST_COMPLETED).done:
                again = self._settle(future, under_way.pop(future))
                if again is not None:
                    under_way[crew.submit(again)] = again
            self.report(crew.running())

    def _recite(self, crew: Crew) -> None:
        """Run this shard's part of the corpus of behaviour, where the level and the engine have one."""
        if self.level != "corpus" or not self.engine.module:
            return
        self.phase = "corpus"
        number, of = self.shard or (1, 1)
        snippets = behaviour.load()[number - 1 :: of]
        self.reciting, self.reciting_since = len(snippets), clock.perf_counter()
        tasks = {crew.submit(task): task for task in (Recital(each, self.engine.module) for each in snippets)}
        for future in as_completed(tasks):
            self._settle(future, tasks[future])
            self.report()

    def _next_description(self, asked: dict[Cause, int], *, final: bool) -> Description | None:
        """A cause to reduce: one that is new or, at the end, one for which an earlier program came in meanwhile."""
        for cause, met in self.met.items():
            first = asked.get(cause)
            if first is None or (final and first != met.position and not self.late):
                asked[cause] = met.position
                return Description(met=met, until=self.end)
        return None

    def _wind_down(self, crew: Crew, under_way: dict[Future[Answer], Task]) -> None:
        """Take what is done, and let what was met and not yet described be described as it is, for a few seconds."""
        for future in under_way:
            future.cancel()
        missing = [met for cause, met in self.met.items() if cause not in self.described]
        left = under_way | {crew.submit(task): task for task in (Description(met=met, plain=True) for met in missing)}
        for future in wait(left, timeout=WINDING_DOWN).done:
            if not future.cancelled() and future.exception() is None:
                self._take(future.result(), left[future])

    def _settle(self, future: Future[Answer], task: Task) -> Task | None:
        """Take what came back. Where the suite failed, go on without it; a cause is then described in the plain way."""
        try:
            self._take(future.result(), task)
        except WorkerError as error:
            self._lose(task, error.line, str(error))
            if isinstance(task, Description) and not task.plain:
                return Description(met=task.met, plain=True)
        return None

    def _lose(self, task: Task, text: str, trace: str = "") -> None:
        """Note what was given up."""
        self.count["lost"] += 1
        name, (position, where) = self.engine.name, _place(task)
        trouble = Trouble(engine=name, code="internal-error", position=position, where=where, text=text, trace=trace)
        self.troubles.append(trouble)

    def _take(self, answer: Answer, task: Task) -> None:
        """Add up what came back."""
        if isinstance(answer, Finding):
            self.described[answer.blamed, answer.kind] = answer
            return
        if isinstance(answer, Recited):
            self.recited.append(answer)
            self.spent["corpus"] += answer.seconds  # type: ignore[assignment]
            return
        self.count.update(answer.counts)
        self.spent.update(answer.seconds)
        self.duplicates.add(answer.fingerprints)
        self.troubles += answer.troubles
        if answer.lost:
            self._lose(task, answer.lost)
        for place, tried in answer.cells.items():
            if place in self.cells:
                self.cells[place] = [a + b for a, b in zip(self.cells[place], tried, strict=True)]
        for operation, seen in answer.errors.items():
            before = self.errors.get(operation, [0.0] * len(seen))
            counts = [a + b for a, b in zip(before[:-1], seen[:-1], strict=True)]
            self.errors[operation] = [*counts, max(before[-1], seen[-1])]
        for first, seconds in answer.pairs:
            for second in seconds:
                self.rows[self.place[first]] |= 1 << self.place[second]
        self.met = together((*self.met.values(), *answer.met))

    # -- results -------------------------------------------------------------------------------------------------------

    def _results(self, missing: Sequence[str]) -> Results:
        name = self.engine.name
        n = len(self.names)
        statistics = records.Statistics(
            programs=self.count["programs"],
            operations=self.count["operations"],
            mismatches=self.count["mismatches"],
            unsupported=self.count["unsupported"],
            discarded=self.count["discarded"],
            duplicates=self.duplicates.count,
            ill_conditioned=self.count["ill-conditioned"],
            reference_errors=self.count["reference errors"],
            lost=self.count["lost"],
        )
        found = Results(
            versions=versions(),
            configuration=self.configuration,
            engines=(
                records.EngineRecord(
                    name=name,
                    spec=self.spec,
                    version=self.engine.version,
                    operations=self.operations,
                    unsupported=tuple(missing),
                    seconds=float(self.spent["engine"]),
                    reference_seconds=float(self.spent["reference"]),
                ),
            ),
            cells=tuple(
                records.Cell(engine=name, operation=op, feature=f, programs=c[0], mismatches=c[1], unsupported=c[2])
                for (op, f), c in self.cells.items()
            ),
            errors=tuple(
                records.Errors(engine=name, operation=op, counts=tuple(map(int, seen[:-1])), worst=seen[-1])
                for op, seen in sorted(self.errors.items())
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
            findings=tuple(sorted(map(self._counted, self.described.values()), key=lambda f: (f.position, f.id))),
            troubles=tuple(sorted(self.troubles, key=Trouble.order)[:TROUBLES]),
            corpus=self._corpus(),
            statistics=statistics,
            timings=records.Timings(total=self.elapsed, jobs=self.jobs, **{k: float(v) for k, v in self.spent.items()}),
            started=self.when,
            shard=self.shard
            and records.Shard(number=self.shard[0], of=self.shard[1], sketches={name: self.duplicates.sketch}),
        )
        return gate.judge(found, interrupted=not self.complete)

    def _corpus(self) -> tuple[records.Corpus, ...]:
        """The corpus under the engine, as far as it was run."""
        counts: dict[str, Counter[str]] = {}
        programs = []
        for recited in sorted(self.recited, key=lambda recited: recited.result.id):
            result = recited.result
            counts.setdefault(recited.snippet.topic, Counter())[result.status] += 1
            if result.status != "same":
                programs.append(
                    records.CorpusProgram(
                        id=result.id,
                        status=result.status,
                        source=recited.snippet.source,
                        statements=tuple(
                            records.Statement(source=d.statement, expected=d.first, actual=d.second)
                            for d in result.differences
                        ),
                        reason=result.reason,
                    )
                )
        topics = tuple(records.CorpusTopic(name=name, **found) for name, found in sorted(counts.items()))
        return (records.Corpus(engine=self.engine.name, topics=topics, programs=tuple(programs)),) if topics else ()

    def _counted(self, finding: Finding) -> Finding:
        """The finding with all that was met of its cause, also since it was described."""
        met = self.met[finding.blamed, finding.kind]
        return msgspec.structs.replace(finding, met=met.times, features=tuple(sorted(met.features)))


def _place(task: Task) -> tuple[int, str]:
    """Position in the run, and name, of what a task is about."""
    if isinstance(task, Unit):
        return task.first, task.block.name
    return (task.met.position, task.met.first_seen) if isinstance(task, Description) else (0, task.snippet.id)


def check(
    engine: Spec,
    *,
    examples: int | None = None,
    time: float | None = None,
    seed: int = 0,
    jobs: int | None = None,
    shard: tuple[int, int] | None = None,
    scheduler: str | None = None,
    timeout: float = isolation.TIMEOUT,
    min_coverage: float | None = None,
    level: Level | None = None,
    progress: Callable[[Progress], object] | None = None,
    expectations: Sequence[known.Known] | None = None,
) -> Report:
    """Run random programs through an engine and through torch, and report what differs.

    `engine` is what `engines.load` takes. The budget is `examples` programs or `time` seconds (both when both are
    given); without, as many programs as try each operation with each feature, and each pair of operations, once.
    `progress` is called with `Progress` values. Raises `EngineError` when the engine cannot
    be loaded; Ctrl-C ends the search and marks the results as partial.

    With `jobs`, so many processes run the programs, and one that crashes, or takes more than `timeout` seconds for a
    program, is a finding; without, all is done in this process. `scheduler` is the address of a Dask scheduler whose
    workers are used instead. `shard=(i, n)` does the i-th of n parts, to be merged. None of this changes the results of
    a budget in programs. `min_coverage` is the percentage of the cells below which the gate says: not enough evidence.

    `level` says how much of torch the engine claims: "value", "gradient", "higher" (order), "behaviour" (of autograd),
    "look" (names, versions, memory) or "corpus" (an engine that mirrors torch's module also runs the corpus of
    behaviour, which takes some ten seconds beside the budget), each with those before it. When it is not given: all
    that the engine offers but the corpus.
    `expectations` are known findings (`expectations.load`); without, those that come with the suite for the engine.
    Their witnesses are replayed in this process before the search, or in others beside it. The search looks for their
    causes first, since that takes little time.
    """
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be at least 1, got {examples}")
    if time is not None and not time > 0:
        raise ValueError(f"time must be more than 0 seconds, got {time}")
    if level is not None and level not in engines.LEVELS:
        raise ValueError(f"level must be one of {', '.join(engines.LEVELS)}, got {level!r}")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"shard must be (i, n) with 1 <= i <= n, got {shard}")
    loaded = engines.load(engine)
    level_here = level or engines.levels(loaded)[-1]
    if expectations is None:
        path = known.listed(engine) if isinstance(engine, str) else None
        expectations = known.load(path) if path is not None else ()
    inline = jobs is None and scheduler is None
    if inline:
        reference = engines.load("torch")
        isolation.load_torch()
        expected = known.replay(expectations, loaded, engine if isinstance(engine, str) else "", level)
    generate.cells(list(OPERATIONS.values()), level=level_here)  # what takes long is remembered, so it is not counted
    campaign = Campaign(  # the time begins
        loaded,
        spec=engine if isinstance(engine, str) else loaded.name,
        examples=examples,
        time=time,
        seed=seed,
        min_coverage=min_coverage,
        level=level,
        shard=shard,
        progress=progress,
    )
    campaign.known = known.causes_listed(expectations, loaded)
    if inline:
        return _reported(campaign.run(executors.inline(loaded, reference)), expected)
    settings = isolation.Settings(engine=_sendable(engine), timeout=timeout, level=level_here)
    crew = executors.cluster(settings, scheduler) if scheduler else executors.processes(settings, jobs or 1)
    with _replaying(expectations, loaded, settings, progress) as replayed, crew as started:
        found = campaign.run(started)
        return _reported(found, replayed(found.complete))


@contextlib.contextmanager
def _replaying(
    expectations: Sequence[known.Known],
    engine: Engine,
    settings: isolation.Settings,
    progress: Callable[[Progress], object] | None,
) -> Iterator[Callable[[bool], Sequence[Expected]]]:
    """Replay the expectations in processes of their own, beside what the block does.

    The function that is given waits for what has become of them; after a search that was stopped, for a few seconds
    only. Nothing goes on at the end of the block.
    """
    count, ended = (0, 0), threading.Event()

    def told(done: int, of: int) -> None:
        nonlocal count
        count = done, of
        if ended.is_set():
            raise isolation.ClosedError

    def replayed(complete: bool) -> Sequence[Expected]:
        start, before = clock.perf_counter(), count[0]
        while not wait([replaying], timeout=TOLD_EVERY).done:
            took = clock.perf_counter() - start
            if not complete and took > WINDING_DOWN:
                return ()
            if progress is not None:
                done, of = count
                progress(Progress("known", done, of, "programs", done, (done - before) / took, 0))
        return replaying.result()

    with ThreadPoolExecutor(1, thread_name_prefix="conformance") as executor:
        replaying = executor.submit(
            known.replay, expectations, engine, apart=lambda them: isolation.witnessed(settings, them, told)
        )
        try:
            yield replayed
        finally:
            ended.set()


def _reported(results: Results, expected: Sequence[Expected]) -> Report:
    return Report(known.apply(results, expected) if expected else results)


def _sendable(engine: Spec) -> Spec:
    """The engine as another process can be told of it. Raises `EngineError` when that is not possible."""
    if isinstance(engine, ModuleType) and engine.__name__ in engines.names():
        return engine.__name__
    try:
        pickle.dumps(engine)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split())
        raise EngineError(
            f"this engine cannot be sent to other processes ({line}); name it as package.module:Attribute"
        ) from None
    return engine


def replay(stored: Program | Finding, engine: Spec) -> Outcome:
    """Run a stored program again.

    FIXED: the engine agrees with torch. FAILED: it differs, for a finding by the same cause. CHANGED: it differs by
    another cause. ERROR: the program cannot be judged (the engine lacks something, or torch refuses the program where
    it did not). Raises `EngineError` when the engine cannot be loaded.
    """
    if isinstance(stored, Finding) and stored.kind in ("crash", "hang"):
        return "FIXED" if isolation.survives(stored.program, _sendable(engine)) else "FAILED"
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
