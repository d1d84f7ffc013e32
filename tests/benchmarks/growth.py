"""How time grows with depth, width, size and the number of programs, and memory with depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks import memory, processes
from tests.benchmarks.cases import Case, chain, chain_leaves, deep, scalar, wide
from tests.benchmarks.engines import Engine
from tests.benchmarks.timing import interleaved


@dataclass(frozen=True)
class Series:
    title: str
    axis: str
    lines: dict[str, list[tuple[float, float]]]  # engine -> (how much, seconds or megabytes)
    unit: str = "s"


def _depth(n: int) -> Case:
    return Case(f"depth {n}", scalar, deep(n))


def _width(n: int) -> Case:
    return Case(f"width {n}", scalar, wide(n))


def _size(n: int) -> Case:
    return Case(f"size {n}", chain_leaves(n), chain)


PANELS: tuple[tuple[str, str, Callable[[int], Case], tuple[int, ...]], ...] = (
    ("depth", "operations in a chain of scalars", _depth, (10, 100, 1000, 10**4, 10**5)),
    ("width", "uses of one scalar", _width, (10, 100, 1000, 10**4)),
    ("size", "elements, in a chain of 10 operations", _size, (10, 100, 1000, 10**4, 10**5, 10**6, 10**7)),
)


def measure(engines: list[Engine], seconds: float, largest: int) -> Iterator[Series]:
    """Each panel's times of minigrad and torch (the first two engines), up to `largest`."""
    for title, axis, make, amounts in PANELS:
        lines: dict[str, list[tuple[float, float]]] = {each.name: [] for each in engines[:2]}
        for amount in [each for each in amounts if each <= largest]:
            steps = [each.step(make(amount)) for each in engines[:2]]
            found = interleaved([each for each in steps if each], 1, seconds, rounds=5)
            for engine, measured in zip(engines, found, strict=False):
                lines[engine.name].append((amount, measured.seconds))
        yield Series(title, axis, lines)


def of_memory(engines: list[Engine]) -> Series:
    """The most memory of minigrad and torch in backward, by depth."""
    lines: dict[str, list[tuple[float, float]]] = {each.name: [] for each in engines[:2]}
    for depth in (10, 100, 1000):
        for engine in engines[:2]:
            found = memory.measure(engine, depth)
            assert found is not None
            lines[engine.name].append((depth, found.peak))
    return Series("depth, at most in backward", f"sines of {memory.SIZE:,} numbers", lines, "MB")


def of_programs(runs: list[processes.Run]) -> Series:
    """The search's time by the number of programs."""
    points = [(float(run.programs), run.search) for run in runs]
    return Series("programs", "programs searched by the conformance suite", {"search": points})
