"""Processes that run an engine, so that a crash, a hang or a flood of memory is a result and not the end of the run.

A `Worker` is a process with its journal. When it dies or stops answering it is replaced, what it was at is read from
the journal and tried again alone: that gives a finding ("crash" or "hang") with its program. The unit is then done
again without that program. A `Pool` lends workers to as many threads as ask.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import tempfile
import threading
import time as clock
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import msgspec

from conformance import behaviour
from conformance.compare import Mismatch
from conformance.engines.protocol import Level
from conformance.expectations import signature
from conformance.journal import Journal, Note
from conformance.program import Program
from conformance.results import Difference, Finding
from conformance.search import Answer, Description, Met, Outcome, Recital, Recited, Searcher, Task, Unit

#: Seconds that one program may take in an engine, unless the settings say otherwise.
TIMEOUT = 10.0
#: Bytes that a worker may take beyond what it has at its start.
MEMORY = 4 << 30
#: A worker that has grown by so many bytes is replaced by a fresh one between two units.
GROWTH = 1 << 30
#: Seconds that all else (loading, drawing, judging) may take without a sign of life.
PATIENCE = 60.0
#: Seconds that a unit may go on after the end of its time.
GRACE = 2.0
#: Deaths of workers in one unit after which the rest of it is given up, and those outside the engine that are forgiven.
MOST_DEATHS = 16
FORGIVEN = 3


class WorkerError(Exception):
    """A worker failed outside the engine: a defect of the suite, or of the machine. Its text is the traceback's."""

    def __init__(self, text: str, line: str = "") -> None:
        super().__init__(text, line)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def line(self) -> str:
        """The error in one line."""
        return str(self.args[1] or self).strip().partition("\n")[0]

    @classmethod
    def of(cls, error: Exception) -> WorkerError:
        """What another process can be told of an error."""
        *_, last = traceback.extract_tb(error.__traceback__)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return cls("".join(traceback.format_exception(error)), f"{said} ({Path(last.filename).name}:{last.lineno})")


class ClosedError(Exception):
    """The pool was closed while a worker was at work."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know. `engine` is what `engines.load` takes, and can be pickled."""

    engine: Any
    timeout: float = TIMEOUT
    memory: int = MEMORY
    level: Level | None = None


class Death(msgspec.Struct, frozen=True):
    """How a worker ended, and what it was at."""

    kind: Literal["crash", "hang", "late"]
    how: str
    note: Note

    @property
    def blamed(self) -> Literal["crash", "hang"]:
        """What an engine is blamed for."""
        return "hang" if self.kind == "hang" else "crash"


# -- in the worker -----------------------------------------------------------------------------------------------------


def _serve(connection: Connection, journal: str, settings: Settings) -> None:
    """Answer requests until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from conformance.engines import at_level, levels, load
    from conformance.execute import steady_memory

    try:
        load_torch()
        engine = load(settings.engine)
        searcher = Searcher(at_level(engine, settings.level or levels(engine)[-1]), load("torch"), Journal(journal))
        fresh = _resident()
        _limit_memory(settings.memory)
    except Exception as error:  # noqa: BLE001 - the other side says it
        connection.send((False, error, False))
        return
    with steady_memory(), contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            method, arguments = connection.recv()
            try:
                good, answer = True, getattr(searcher, method)(*arguments)
            except Exception as error:  # noqa: BLE001 - the other side says it
                good, answer = False, WorkerError.of(error)
            leaving = _resident() - fresh > GROWTH
            connection.send((good, answer, leaving))
            if leaving:
                return


def _end_with_parent() -> None:
    """End when the process that started this one is gone, even in the middle of an endless loop of the engine's."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def load_torch() -> None:
    """Torch, on one thread, with what it loads at its first double backward only; and Hypothesis."""
    import hypothesis  # noqa: F401 - loaded here, outside the timers
    import torch

    torch.set_num_threads(1)  # it gets stuck now and then with several, and programs are small
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad((x.relu() * x.abs()).sum(), x, create_graph=True)
    torch.autograd.backward([g * x], [torch.ones_like(x)])  # a gradient that is given makes it load sympy


def _pages(field: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[field]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0  # not Linux: memory is then neither limited nor watched


def _resident() -> int:
    return _pages(1)


def _limit_memory(more: int) -> None:
    """Let an allocation that is too large fail (as an error of the engine's) rather than the machine."""
    used = _pages(0)
    if used:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = used + more
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


# -- on the other side -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _context() -> BaseContext:
    """How processes are started: forked from a clean one that has loaded torch, where there is forking."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conformance.preload"])
    return context


class Worker:
    """One process, started when it is first needed and again whenever it died. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._path = str(Path(self._folder.name) / "journal")
        self._journal = Journal.create(self._path)
        self._process: Any = None
        self._connection: Connection | None = None
        self._closed = False
        self._searching = False

    @property
    def pid(self) -> int | None:
        """Number of the process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> int:
        """How many programs were run of the unit that is being done."""
        return max(self._journal.position(), 0) if self._searching else 0

    def perform(self, task: Task) -> Answer:
        """Do what is asked. Raises `WorkerError`, `ClosedError`, or what loading the engine raises."""
        if isinstance(task, Recital):
            return self._recite(task)
        if isinstance(task, Description):
            return self._describe(task)
        self._searching = True
        try:
            return self._search(task)
        finally:
            self._searching = False

    def survives(self, program: Program) -> bool:
        """Whether a process survives this program."""
        return not isinstance(self._ask("run", program), Death)

    def witness(self, program: Program) -> str | None:
        """What the witness of a known finding shows now, be it that it ends or holds up the process."""
        answer: str | None | Death = self._ask("witness", program)
        if not isinstance(answer, Death):
            return answer
        found = self._ask("suspects", None, program, 0)
        alone = () if isinstance(found, Death) else found[-1]
        name, _, death = self._guilty(answer, program, alone) or ("engine", program, answer)
        return signature(name, death.blamed)

    def close(self) -> None:
        """End the process at once. Another thread that waits for it gets `ClosedError`."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def dispose(self) -> None:
        """`close`, and remove what is on disk."""
        self.close()
        self._end()
        self._journal.close()
        self._folder.cleanup()

    # -- process -------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _start(self) -> Connection:
        if self._connection is None:
            with _may_have_children(), _without_main(self._settings):
                context = _context()
                self._journal.clear()
                ours, theirs = context.Pipe()
                # mypy: a context's Process is an attribute that only concrete contexts declare
                process = context.Process(  # type: ignore[attr-defined]
                    target=_serve, args=(theirs, self._path, self._settings), daemon=True
                )
                process.start()
                self._process, self._connection = process, ours
                theirs.close()
            if self._closed:
                process.kill()
                raise ClosedError
        return self._connection

    def _ask(self, method: str, *arguments: Any, until: float | None = None) -> Any:
        """The answer of the worker, or its `Death`."""
        connection = self._start()
        with contextlib.suppress(BrokenPipeError):
            connection.send((method, arguments))
        beat, since = (False, -1), clock.monotonic()
        while True:
            ready = wait([connection, self._process.sentinel], timeout=0.2)
            if connection in ready:
                try:
                    good, answer, leaving = connection.recv()
                except (EOFError, OSError):
                    return self._died("crash")
                if leaving:
                    self._end()
                if good:
                    return answer
                self._end()
                raise answer
            if ready:
                return self._died("crash")
            if self._closed:
                raise ClosedError
            now = clock.monotonic()
            if (seen := self._journal.beat()) != beat:
                beat, since = seen, now
            elif now - since > (self._settings.timeout if seen[0] else PATIENCE):
                return self._died("hang")
            grace = GRACE + (self._settings.timeout if seen[0] else 0.0)  # a program that has begun may end
            if until is not None and clock.time() > until + grace:
                return self._died("late")

    def _died(self, kind: Literal["crash", "hang", "late"]) -> Death:
        if self._closed:
            raise ClosedError
        process = self._process
        if kind == "crash":
            process.join(1.0)
            code = process.exitcode
            how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        else:
            how = f"no answer for {self._settings.timeout:g} s"
        note = self._journal.read()
        self._end()
        return Death(kind, how, note)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _describe(self, task: Description) -> Finding:
        answer = self._ask("describe", task, until=task.until)
        if isinstance(answer, Death):  # something worse came up, or the referee does not end: what was met as it was
            answer = self._ask("describe", msgspec.structs.replace(task, plain=True))
        if isinstance(answer, Death):
            raise WorkerError(f"a worker ended while it described a finding: {answer.how}")
        found: Finding = answer
        return found

    def _recite(self, task: Recital) -> Recited:
        answer = self._ask("recite", task)
        if isinstance(answer, Death):
            return Recited(task.snippet, behaviour.broken(task.snippet, task.module, answer.how))
        recited: Recited = answer
        return recited

    def _search(self, unit: Unit) -> Outcome:
        deaths: list[Met] = []
        unexplained = 0
        while True:
            answer = self._ask("search", unit, until=unit.until)
            if isinstance(answer, Outcome):
                return answer.also(deaths)
            if answer.kind == "late":
                return Outcome.nothing().also(deaths)
            position = answer.note.position
            met = self._autopsy(unit, answer) if answer.note.busy and 0 <= position < unit.limit else None
            if met is None:
                unexplained += 1
                if unexplained > FORGIVEN:
                    why = f"processes kept ending outside the engine ({answer.how})"
                    return Outcome.nothing(lost=why).also(deaths)
                continue
            deaths.append(met)
            avoid = {met.cause[0]} & set(met.original.operations)
            unit = msgspec.structs.replace(unit, skip=unit.skip | {position}, avoid=unit.avoid | avoid)
            if len(unit.skip) >= MOST_DEATHS:
                unit = msgspec.structs.replace(unit, limit=position + 1)

    def _autopsy(self, unit: Unit, death: Death) -> Met | None:
        """What killed a worker: the first application that does so alone, else the whole program; None if neither."""
        note = death.note
        if note.running is None:
            return None
        found = self._ask("suspects", unit, note.running, note.index)
        if isinstance(found, Death):
            return None
        target, program, alone = found
        guilty = self._guilty(death, program, alone, unit.until)
        if guilty is None:
            return None
        name, suspect, death = guilty
        said = Difference(what="process", where=None, expected="a result", actual=f"{death.blamed} ({death.how})")
        return Met(
            cause=(name, death.blamed),
            position=unit.first + note.position,
            first_seen=f"{unit.block.name}#{note.position}",
            original=program,
            program=suspect,
            mismatch=Mismatch(death.blamed, -1, said),
            times=1,
            features=frozenset({target.feature or target.kind}) if target is not None else frozenset(),
        )

    def _guilty(
        self, death: Death, program: Program, alone: Sequence[tuple[str, Program]], until: float | None = None
    ) -> tuple[str, Program, Death] | None:
        """The first of the applications that ends a process alone, else the whole program, and how; None if neither."""
        suspects = [*alone, ("engine", program)]
        for name, suspect in suspects:
            if until is not None and clock.time() > until + GRACE:
                return (*suspects[-1], death)  # no time to find out more
            end = self._ask("run", suspect)
            if end is not None:
                return name, suspect, end
        return None


@contextlib.contextmanager
def _may_have_children() -> Iterator[None]:
    """Let a daemonic process, as Dask's workers are, start processes; ours end with it (`_end_with_parent`)."""
    process = multiprocessing.current_process()
    if not process.daemon:
        yield
        return
    process.daemon = False
    try:
        yield
    finally:
        process.daemon = True


_starting = threading.Lock()


@contextlib.contextmanager
def _without_main(settings: Settings) -> Iterator[None]:
    """Let a process start without running the user's script again, unless the engine is made there.

    So a script needs no `if __name__ == "__main__"`, and may come from standard input; and a start takes less time.
    """
    if b"__main__" in pickle.dumps(settings):
        yield
        return
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # neither a file nor a spec: nothing to prepare
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class Pool:
    """Workers for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def perform(self, task: Task) -> Answer:
        """Have a worker do what is asked."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = Worker(self._settings)
            with self._lock:
                self._all.append(worker)
        if self._closed:
            raise ClosedError
        try:
            return worker.perform(task)
        finally:
            self._idle.put(worker)

    @property
    def running(self) -> int:
        """How many programs were run of the units that are not done yet."""
        return sum(worker.running for worker in self._all)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that are alive."""
        return [worker.pid for worker in self._all if worker.pid is not None]

    def close(self) -> None:
        """End all processes at once."""
        self._closed = True
        with self._lock:
            for worker in self._all:
                worker.close()

    def dispose(self) -> None:
        """Remove what is left, once no thread uses the pool any more."""
        self.close()
        for worker in self._all:
            worker.dispose()
        self._all.clear()


def witnessed(
    settings: Settings, programs: Sequence[Program], told: Callable[[int, int], object]
) -> list[list[str | None]]:
    """What each witness shows in each of three runs: two in one process, and one in another, side by side.

    `told` is called with how many runs of witnesses are done, and of how many.
    """
    total, done = 3 * len(programs), itertools.count(1)

    def run(worker: Worker) -> list[str | None]:
        answers = []
        for program in programs:
            answers.append(worker.witness(program))
            told(next(done), total)
        return answers

    workers = [Worker(settings), Worker(settings)]
    try:
        with ThreadPoolExecutor(2, thread_name_prefix="conformance") as executor:
            try:
                first = executor.submit(lambda: [run(workers[0]), run(workers[0])])
                second = executor.submit(run, workers[1])
                return [*first.result(), second.result()]
            finally:
                for worker in workers:
                    worker.close()
    finally:
        for worker in workers:
            worker.dispose()


def survives(program: Program, engine: Any, timeout: float = TIMEOUT) -> bool:
    """Whether a process survives this program on an engine."""
    worker = Worker(Settings(engine=engine, timeout=timeout))
    try:
        return worker.survives(program)
    finally:
        worker.dispose()


def processors() -> int:
    """How many processes make sense here."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
