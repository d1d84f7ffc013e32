"""A selftest from end to end: the faults go out to processes, and what becomes of each is collected in order."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance import __version__, engines
from conformance.engines import EngineError
from conformance.selftest import faults, gradchecks, mutants, planting
from conformance.selftest.corpus import Corpus, Drawn, draw
from conformance.selftest.record import Selftest, Tried
from conformance.selftest.trial import Bureau

#: Called with how many faults are done, how many there are, and the one that was just done.
Progress = Callable[[int, int, Tried | None], object]

#: What each process keeps from fault to fault.
_kept: dict[str, Any] = {}


def selftest(
    spec: str = "torch",
    *,
    seed: int = 0,
    examples: int | None = None,
    names: Sequence[str] = (),
    jobs: int = 1,
    gradcheck: bool = True,
    planted: bool = True,
    mutation: bool = True,
    progress: Progress = lambda *_: None,
) -> Selftest:
    """Plant each fault of the table into an engine, and say what the suite makes of it.

    The programs are the first `examples` of a search, by default those of its default budget. `names` are the
    beginnings of the names of faults; all are planted without. Ctrl-C ends it and keeps what is done.
    With minigrad, each formula of its declarations is changed as well (`planted` and `mutation` leave out the one or
    the other). Raises `EngineError`.
    """
    from conformance.campaign import versions

    start, when = clock.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    engine = engines.load(spec)
    planting.require_plantable(engine)
    wanted = [fault.name for fault in faults.chosen(names) if planted]
    if planted and not wanted:
        raise EngineError(f"no fault begins with {' or '.join(names)}; `conformance selftest --list` names them all")
    done: dict[str, Tried] = {}
    drawn: list[Drawn] = []
    complete = True
    mutated: list[Tried] = []
    unchecked: tuple[str, ...] = ()
    progress(0, len(wanted), None)
    try:
        drawn += draw(engines.load("torch"), seed, examples)
        for tried in _tried(spec, drawn, wanted, jobs, gradcheck=gradcheck):
            done[tried.name] = tried
            progress(len(done), len(wanted), tried)
        if mutation and engine.name == mutants.ENGINE:
            reference = engines.load("torch")
            changed = mutants.formulas()
            total = len(changed) * len(mutants.CHANGES)
            for tried in mutants.attempts(Bureau(engine, reference, Corpus(drawn, reference))):
                mutated.append(tried)
                progress(len(mutated), total, tried)
            unchecked = mutants.unchecked(mutated)
    except KeyboardInterrupt:
        complete = False
    return Selftest(
        suite=__version__,
        torch=versions().torch,
        engine=engine.name,
        seed=seed,
        examples=examples or len(drawn),
        total=len(wanted),
        faults=tuple(done[name] for name in wanted if name in done),
        mutants=tuple(mutated),
        unchecked=unchecked,
        seconds=clock.perf_counter() - start,
        started=when,
        complete=complete,
    )


def _tried(spec: str, drawn: Sequence[Drawn], wanted: Sequence[str], jobs: int, *, gradcheck: bool) -> Iterator[Tried]:
    """What becomes of each fault, as they are done."""
    if jobs == 1:
        _prepare(spec, drawn)
        for name in wanted:
            yield _attempt(name, gradcheck)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "programs"
        file.write_bytes(pickle.dumps(drawn))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _load, (spec, str(file))) as pool:
            futures: list[Future[Tried]] = [pool.submit(_attempt, name, gradcheck) for name in wanted]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _load(spec: str, file: str) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    _prepare(spec, pickle.loads(Path(file).read_bytes()))


def _prepare(spec: str, drawn: Sequence[Drawn]) -> None:
    reference = engines.load("torch")
    _kept["bureau"] = Bureau(engines.load(spec), reference, Corpus(drawn, reference))
    _kept["faults"] = {fault.name: fault for fault in faults.table()}


def _attempt(name: str, gradcheck: bool) -> Tried:
    import msgspec

    bureau: Bureau = _kept["bureau"]
    fault = _kept["faults"][name]
    tried = bureau.attempt(fault)
    if not gradcheck:
        return tried
    found = gradchecks.judge(fault, bureau.reference, bureau.corpus)
    return msgspec.structs.replace(tried, gradcheck=found)
