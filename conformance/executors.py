"""Where units are done: in this process, in processes of this machine, or on a Dask cluster.

All three are a `concurrent.futures.Executor` with a function to give it, so that the campaign knows no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from conformance import __version__
from conformance.engines import Engine, EngineError
from conformance.isolation import Pool, Settings, WorkerError
from conformance.search import Answer, Searcher, Task

if TYPE_CHECKING:
    from distributed import Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Crew:
    """An executor, the function that does a task on it, and how many tasks to have under way at once.

    `jobs` counts the processes (0: this one); `running` how many programs were run of what is not done yet, as far as
    that can be seen from here.
    """

    executor: Executor
    perform: Callable[[Task], Answer]
    slots: int
    jobs: int
    running: Callable[[], int] = lambda: 0

    def submit(self, task: Task) -> Future[Answer]:
        """Have a task done."""
        return self.executor.submit(self.perform, task)


class Inline(Executor):
    """Does what is submitted at once."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """The result, as a future that is done. What ends a unit in a process is a `WorkerError` here, too."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result says it
            future.set_exception(WorkerError.of(error))
        return future


def inline(engine: Engine, reference: Engine) -> Crew:
    """This process alone: no isolation, and nothing to start."""
    return Crew(Inline(), Searcher(engine, reference).perform, 1, 0)


@contextmanager
def processes(settings: Settings, jobs: int) -> Iterator[Crew]:
    """So many processes of this machine; none is left at the end."""
    pool = Pool(settings)
    # The threads only wait for the processes, one each.
    executor = ThreadPoolExecutor(jobs, thread_name_prefix="conformance")
    try:
        yield Crew(executor, pool.perform, 2 * jobs, jobs, lambda: pool.running)
    finally:
        pool.close()
        executor.shutdown(wait=True, cancel_futures=True)
        pool.dispose()


@contextmanager
def cluster(settings: Settings, address: str) -> Iterator[Crew]:
    """The workers of a Dask scheduler. Raises `EngineError` when it cannot be used."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise EngineError("--scheduler needs Dask: pip install 'minigrad-conformance[distributed]'") from None

    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())
        raise EngineError(f"scheduler {address}: cannot be reached: {line}") from None
    name = f"conformance-{uuid4().hex}"
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise EngineError(f"scheduler {address}: has no workers")
        try:
            client.register_plugin(_plugin(settings), name=name)
        except WorkerError as error:
            raise EngineError(f"scheduler {address}: {error}") from None
        try:
            yield Crew(client.get_executor(), _Remote(name), 2 * threads, threads)
        finally:
            client.unregister_worker_plugin(name)


def _plugin(settings: Settings) -> Any:
    """What gives each of Dask's workers a pool of processes: also those that come later, or come again."""
    from distributed import WorkerPlugin

    class Processes(WorkerPlugin):
        """A pool of processes beside a worker."""

        def __init__(self) -> None:
            self.settings = settings
            self.suite = __version__
            self.pool: Pool | None = None

        def setup(self, worker: Worker) -> None:
            """Start, lazily."""
            del worker
            from conformance import __version__ as here

            if self.suite != here:
                raise WorkerError(f"a worker has version {here} of the suite, this is {self.suite}")
            self.pool = Pool(self.settings)

        def teardown(self, worker: Worker) -> None:
            """End."""
            del worker
            if self.pool is not None:
                self.pool.dispose()

    return Processes()


@dataclass(frozen=True)
class _Remote:
    """Does a task inside one of Dask's workers."""

    plugin: str

    def __call__(self, task: Task) -> Answer:
        from distributed import get_worker

        plugin: Any = get_worker().plugins[self.plugin]
        answer: Answer = plugin.pool.perform(task)
        return answer
