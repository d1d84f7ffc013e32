"""The process of one submission: runs programs on its engine and says what each gave. It judges nothing.

`python -m conformance.grade_worker FILE` reads an `Ask` from the file and writes an `Answer` for each program to
standard output; what the submission itself prints goes nowhere. The submission can import neither torch nor another
engine, start no process and open no connection: an audit hook, which cannot be taken off again, refuses and reports it.
This keeps honest people honest. It is no sandbox: code of strangers belongs in a container.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from conformance import execute
from conformance.engines import EngineError, load
from conformance.execute import Failure, Observation
from conformance.program import Program

#: Bytes that one answer may have.
LARGEST = 1 << 26
#: Bytes of memory that a submission may use.
MEMORY = 4 << 30
_PROCESSES = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "socket.connect",
    "ctypes.dlopen",
)


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """An array on its way between processes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class SentObservation(msgspec.Struct, frozen=True):
    """An `Observation` on its way between processes."""

    values: dict[int, Sent | None]
    grads: dict[int, Sent | None]
    flags: dict[int, tuple[bool, bool]]
    hooks: tuple[tuple[int, Sent | None], ...]
    failure: Failure | None
    unsupported: str | None

    def read(self) -> Observation:
        """The observation. Raises ValueError when the bytes are no such arrays."""
        return Observation(
            values={i: _array(a) for i, a in self.values.items()},
            grads={i: _array(a) for i, a in self.grads.items()},
            flags=self.flags,
            hooks=tuple((i, _array(a)) for i, a in self.hooks),
            failure=self.failure,
            unsupported=self.unsupported,
        )


class Ask(msgspec.Struct, frozen=True):
    """What a submission is asked: programs with their numbers."""

    spec: str
    programs: tuple[tuple[int, Program], ...]
    forbidden: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """One program's observation; or that the engine is loaded, cannot be, did what it may not, or has ended."""

    number: int = -1
    observation: SentObservation | None = None
    flag: str = ""
    error: str = ""
    ended: str = ""


def send(stream: IO[bytes], answer: Answer) -> None:
    """Write one answer, led by its length."""
    data = msgspec.msgpack.encode(answer)
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Answer:
    """Read one answer. Raises EOFError at the end, ValueError or msgspec.DecodeError for what is none."""
    head = stream.read(4)
    if len(head) < 4:
        raise EOFError
    size = int.from_bytes(head, "big")
    if size > LARGEST:
        raise ValueError("not an answer")
    return msgspec.msgpack.decode(stream.read(size), type=Answer)


def main(path: str) -> None:
    """Answer what the file asks."""
    ask = msgspec.msgpack.decode(Path(path).read_bytes(), type=Ask)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _limit_memory()
    _guard(ask.forbidden, out)
    try:
        engine = load(ask.spec)
    except EngineError as error:
        send(out, Answer(error=str(error)))
        return
    send(out, Answer())
    for number, program in ask.programs:
        lacking = [op for op in program.operations if not engine.supports(op)]
        seen = _not_offered(lacking[0]) if lacking else execute.run_all(engine, [program])[0]
        send(out, Answer(number=number, observation=_sent(seen)))


def _guard(forbidden: Sequence[str], out: IO[bytes]) -> None:
    """From here on, refuse and report other engines, processes and connections."""
    folders = []
    for name in forbidden:
        with contextlib.suppress(ImportError, ValueError):
            found = importlib.util.find_spec(name)
            folders += [os.path.join(place, "") for place in (found and found.submodule_search_locations) or ()]

    def refuse(text: str) -> None:
        send(out, Answer(flag=text))
        raise ImportError(text)

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "import":
            root = str(details[0]).partition(".")[0]
            if root in forbidden:
                refuse(f"tries to import {root}")
        elif event == "open":
            if isinstance(details[0], str) and details[0].startswith(tuple(folders)):
                refuse(f"tries to read {Path(details[0]).name} of an engine that it may not use")
        elif event in _PROCESSES:
            refuse(f"tries to leave its process ({event})")

    sys.addaudithook(watch)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _not_offered(operation: str) -> Observation:
    return Observation(values={}, grads={}, flags={}, unsupported=operation)


def _sent(seen: Observation) -> SentObservation:
    return SentObservation(
        values={i: _bytes(a) for i, a in seen.values.items()},
        grads={i: _bytes(a) for i, a in seen.grads.items()},
        flags=seen.flags,
        hooks=tuple((i, _bytes(a)) for i, a in seen.hooks),
        failure=seen.failure,
        unsupported=seen.unsupported,
    )


def _bytes(a: npt.NDArray[Any] | None) -> Sent | None:
    if a is None:
        return None
    data = np.asarray(a)
    return Sent(data.dtype.str, data.shape, data.tobytes())


def _array(sent: Sent | None) -> npt.NDArray[Any] | None:
    if sent is None:
        return None
    return np.frombuffer(sent.data, np.dtype(sent.dtype)).reshape(sent.shape)


if __name__ == "__main__":
    main(sys.argv[1])
