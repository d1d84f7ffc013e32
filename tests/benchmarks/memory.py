"""Memory of a forward and backward pass, by the allocators' own figures.

They are Python's `tracemalloc`, which numpy reports to, and torch's record of each allocation.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.cases import normal
from tests.benchmarks.engines import Engine, Torchlike

DEPTH, SIZE = 1000, 10**5


@dataclass(frozen=True)
class Memory:
    """Megabytes beyond what the leaf takes."""

    live: float  # after forward
    peak: float  # in backward
    after: float  # when backward is done: the leaf's gradient


def chain(m: Any, x: Any, depth: int) -> Any:
    for _ in range(depth):
        x = m.sin(x)
    return x


def measure(engine: Engine, depth: int = DEPTH) -> Memory | None:
    """What a chain of `depth` sines of `SIZE` float32 numbers takes; None where the engine keeps no such figures."""
    (array,) = normal((SIZE,))
    if engine.name == "torch":
        return _torch(engine.module, array, depth)
    if not isinstance(engine, Torchlike):
        return None
    module, leaf = engine.module, engine.module.from_numpy(array).requires_grad_()
    start = module.from_numpy(np.ones(SIZE, np.float32))
    for _ in range(2):  # once to make what is made once
        leaf.grad = None
        tracemalloc.start()
        result = chain(module, leaf, depth)
        live, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result.backward(start)
        del result
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Memory(live / 1e6, peak / 1e6, after / 1e6)


def _torch(torch: Any, array: Any, depth: int) -> Memory:
    leaf, start = torch.from_numpy(array).requires_grad_(), torch.ones(SIZE)
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        result = chain(torch, leaf, depth)
        with torch.autograd.profiler.record_function("backward"):
            result.backward(start)
        del result
    events = sorted(profile.kineto_results.events(), key=lambda event: event.start_ns())
    begins = next(event.start_ns() for event in events if event.name() == "backward")
    now = live = peak = 0
    for event in events:
        if event.name() == "[memory]":
            now += event.nbytes()
            if event.start_ns() < begins:
                live = now
            peak = max(peak, now)
    return Memory(live / 1e6, peak / 1e6, now / 1e6)
