"""What a worker is doing, written where it outlives the worker.

A worker notes each program in a small memory-mapped file before the engine sees it: the drawn bytes once for a batch,
then only which of its programs runs. When the worker dies or stops answering, the other side reads what it was at.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import msgspec

from conformance.generate import Target
from conformance.program import Program

#: busy, beat, position of the program in its block, index in the batch, kind of payload, length of payload
_HEAD = struct.Struct("<qqqqqq")
_SPACE = 1 << 20

Batch: TypeAlias = tuple[tuple[Target, bytes], ...]
_KINDS = {1: Batch, 2: Program}


class Note(msgspec.Struct, frozen=True):
    """What was noted last. `position` is a place in a block (-1: none)."""

    busy: bool
    beat: int
    position: int
    index: int
    running: Batch | Program | None


class Journal:
    """One side's view of the file, which `create` makes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SPACE)
        self._beat = 0
        self._position = -1
        self._kind = self._length = 0

    @staticmethod
    def create(path: str | os.PathLike[str]) -> Journal:
        """A new, empty journal."""
        with Path(path).open("wb") as file:
            file.truncate(_SPACE)
        return Journal(path)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    # -- the worker's side ---------------------------------------------------------------------------------------------

    def _head(self, busy: bool, index: int) -> None:
        self._beat += 1
        _HEAD.pack_into(self._map, 0, busy, self._beat, self._position + max(index, 0), index, self._kind, self._length)

    def _payload(self, kind: int, data: bytes) -> None:
        # What does not fit is left out: the worker's death is then known, its program is not.
        fits = len(data) <= _SPACE - _HEAD.size
        self._kind, self._length = (kind, len(data)) if fits else (0, 0)
        if fits:
            self._map[_HEAD.size : _HEAD.size + len(data)] = data

    def batch(
        self, start: int, drawn: Sequence[tuple[Target, bytes]], kept: Sequence[int], programs: Sequence[Program]
    ) -> Iterator[Program]:
        """The programs, each noted as it is asked for; `kept` are their places in `drawn`, which starts at `start`.

        `idle` has to follow, also when not all of them are asked for.
        """
        self._position = start
        self._payload(1, msgspec.msgpack.encode(tuple(drawn)))
        for index, program in zip(kept, programs, strict=True):
            self._head(True, index)
            yield program

    def at(self, position: int) -> None:
        """The programs that follow are made from the program at this place of the block."""
        self._position = position

    @contextlib.contextmanager
    def running(self, program: Program) -> Iterator[None]:
        """The engine runs this program."""
        self._payload(2, msgspec.msgpack.encode(program))
        self._head(True, 0)
        yield
        self.idle()

    def idle(self) -> None:
        """The engine is not running."""
        self._kind = self._length = 0
        self._head(False, 0)

    # -- the other side ------------------------------------------------------------------------------------------------

    def beat(self) -> tuple[bool, int]:
        """Whether the engine is running, and a number that changes with every note."""
        busy, beat, *_ = _HEAD.unpack_from(self._map)
        return bool(busy), beat

    def position(self) -> int:
        """The place in its block of the program that was noted last (-1: none)."""
        position: int = _HEAD.unpack_from(self._map)[2]
        return position

    def read(self) -> Note:
        """What was noted last."""
        busy, beat, position, index, kind, length = _HEAD.unpack_from(self._map)
        data = self._map[_HEAD.size : _HEAD.size + length]
        running = msgspec.msgpack.decode(data, type=_KINDS[kind]) if kind in _KINDS else None
        return Note(bool(busy), beat, position, index, running)

    def clear(self) -> None:
        """Forget what a worker noted, before another takes over."""
        _HEAD.pack_into(self._map, 0, 0, 0, -1, 0, 0, 0)


class Silent:
    """A journal that notes nothing, for an engine in the same process."""

    def batch(
        self, start: int, drawn: Sequence[tuple[Target, bytes]], kept: Sequence[int], programs: Sequence[Program]
    ) -> Sequence[Program]:
        """The programs."""
        del start, drawn, kept
        return programs

    def at(self, position: int) -> None:
        """Nothing."""

    def idle(self) -> None:
        """Nothing."""

    def running(self, program: Program) -> AbstractContextManager[None]:
        """Nothing."""
        del program
        return contextlib.nullcontext()
