"""A selftest from end to end: the faults go out to processes, and what becomes of each is collected in order."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import tempfile
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from conformance import __version__, engines
from conformance.engines import EngineError
from conformance.selftest import faults, gradchecks, mutants, planting
from conformance.selftest.corpus import Corpus, Drawn, draw
from conformance.selftest.record import Selftest, Tried
from conformance.selftest.trial import Bureau

#: Called with how many faults are done, how many there are, and the one that was just done.
Progress = Callable[[int, int, Tried | None], object]

#: Calls a function with each of some arguments: the number of each, and what the function gives, in any order.
Each: TypeAlias = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]]
#: Programs that are traced in one go.
PART = 500

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
    changed: dict[int, Tried] = {}
    drawn: list[Drawn] = []
    uses: mutants.Uses = {}
    complete = True
    total = len(wanted)
    progress(0, total, None)
    try:
        drawn += draw(engines.load("torch"), seed, examples)
        with _processes(spec, drawn, jobs) as each:
            for _, tried in each(_attempt, [(name, gradcheck) for name in wanted]):
                done[tried.name] = tried
                progress(len(done), total, tried)
            if mutation and engine.name == mutants.ENGINE:
                parts = [(range(i, min(i + PART, len(drawn))),) for i in range(0, len(drawn), PART)]
                uses = mutants.merged(part for _, part in each(_trace, parts))
                changes = mutants.changed(uses)
                total += len(changes)
                for number, tried in each(_change, changes):
                    changed[number] = tried
                    progress(len(done) + len(changed), total, tried)
    except KeyboardInterrupt:
        complete = False
    return Selftest(
        suite=__version__,
        torch=versions().torch,
        engine=engine.name,
        seed=seed,
        examples=examples or len(drawn),
        total=total,
        faults=tuple(done[name] for name in wanted if name in done),
        mutants=tuple(tried for _, tried in sorted(changed.items())),
        unchecked=mutants.unused(uses) if uses else (),
        zeros=mutants.zeros(uses),
        seconds=clock.perf_counter() - start,
        started=when,
        complete=complete,
    )


@contextlib.contextmanager
def _processes(spec: str, drawn: Sequence[Drawn], jobs: int) -> Iterator[Each]:
    """Calls a function with each of some arguments, in processes that hold the engine and the programs (in this one,
    when it is to be one); what comes of it comes as it is done, with its number."""

    def here(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        for number, given in enumerate(arguments):
            yield number, function(*given)

    def there(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        futures = {pool.submit(function, *given): number for number, given in enumerate(arguments)}
        for future in as_completed(futures):
            yield futures[future], future.result()

    if jobs == 1:
        _prepare(spec, drawn)
        yield here
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "programs"
        file.write_bytes(pickle.dumps(drawn))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _load, (spec, str(file))) as pool:
            try:
                yield there
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


def _trace(indices: range) -> mutants.Uses:
    return mutants.trace(_kept["bureau"], indices)


def _change(key: mutants.Key, kind: str, indices: list[int]) -> Tried:
    return mutants.attempt(_kept["bureau"], key, kind, indices)
