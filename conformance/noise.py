"""How much rounding moves a program: the reference, run again with its intermediate results moved by one last place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from itertools import product
from typing import Any

import msgspec
import numpy as np

from conformance import execute
from conformance.compare import Runs, near, small, spread
from conformance.engines.protocol import Engine
from conformance.execute import Observation
from conformance.program import (
    CASTS,
    Apply,
    Array,
    Backward,
    DType,
    DTypeArg,
    Grad,
    Leaf,
    Program,
    array,
    to_json,
    to_numpy,
)

#: Runs with moved roundings.
RUNS = 8
#: Units of the last place beyond which what moved is no longer taken for something that rounding moved: where numbers
#: of the leaves were moved, and where one result was that may be exact.
FAR, CLOSE = 2.0**20, 2.0**6
#: In how many parts, at most, the primitive results of a program are moved one part at a time.
PARTS = 32
#: Ways in which each part is moved.
WAYS = 6


class Noise:
    """What runs of the reference say of the rounding in a program: a `compare.Noise`.

    `trace` runs a program on the engine under test as `execute.trace` does; without it, nothing is `followed`.
    """

    def __init__(
        self, reference: Engine, program: Program, trace: Callable[[Program], Observation] | None = None
    ) -> None:
        self._reference = reference
        self._program = program
        self._trace = trace

    def moved(self) -> Iterator[Observation]:
        """Runs of the program with its roundings moved, and in wider and in narrower floats, each when it is asked for.

        The narrower run shows what happens inside a kernel, where no rounding can be moved; `compare` scales it down.
        """
        reference, program = self._reference, self._program
        jittered = (self._jittered(number)[0] for number in range(RUNS))
        yield next(jittered)  # which is enough for most
        wide = retyped(program, "float32", "float64")
        others = {wide, retyped(program, "float64", "float32")} - {program}
        yield from execute.run_all(reference, sorted(others, key=to_json))
        base, *nudges = execute.run_all(reference, [program, *(nudged(program, number) for number in range(3))])
        if wide != program:
            yield _coarse(base, execute.run_all(reference, [wide])[0])
        yield from (_near(base, each, FAR, self._size) for each in nudges if each.failure is None)
        yield from jittered

    def singly(self) -> Iterator[Observation]:
        """Runs of the program with one of its primitive results moved, each in turn, also those that are exact: in
        several ways, for what moves may cancel, or be passed over by a maximum. Of many results several move together.

        They show the rounding inside a kernel that was given exact numbers, and a cancellation that is exact for the
        reference alone.
        """
        base, every = self._jittered(0, lambda _: False)
        parts = min(every.made, PARTS)
        unit = float(np.finfo(self._program.narrowest or np.float64).eps)
        for way, part in product(range(WAYS), range(parts)):
            run, jitter = self._jittered(way, lambda n: n % parts == part)  # noqa: B023 - called at once
            if run.failure is None:
                yield _near(base, run, CLOSE, max(self._size, jitter.size), unit)

    @cached_property
    def _size(self) -> float:
        """The largest number of the leaves, 1 at least."""
        leaves = [to_numpy(leaf.array) for leaf in self._program.leaves if leaf.array.dtype.startswith("float")]
        return max([1.0, *(float(np.max(np.abs(v), initial=0.0, where=np.isfinite(v))) for v in leaves)])

    def _jittered(self, number: int, only: Callable[[int], bool] | None = None) -> tuple[Observation, Any]:
        """What shows with the results moved, or those that are chosen; and the mode that has moved them."""
        with _jitter()(number, only) as jitter:
            run = execute.run_all(self._reference, [self._program])[0]
        return run, jitter

    def followed(self) -> Observation | None:
        """What the reference makes of the engine's own intermediate results, each of which is right by itself.

        That tells a fault from a rounding that decides on which side of a kink, a jump or a tie an operation is. None
        where a step is further from the reference's than rounding takes it.
        """
        seen = None if self._trace is None else self._trace(self._program)
        if seen is None or seen.failure is not None or seen.unsupported is not None:
            return None
        every = msgspec.structs.replace(self._program, observe=tuple(seen.values))
        runs = Runs(lambda: Noise(self._reference, every))

        def right(i: int, own: Any, theirs: Any) -> bool:
            if near(own, theirs):
                return True
            moved = runs.moved(small(own, theirs, every.narrowest))
            others = [other for run in moved if (other := run.values.get(i)) is not None]
            return near(own, theirs, noise=max([spread(own, o) for o in others if o.shape == own.shape], default=0.0))

        observed = execute.follow(self._reference, every, seen.values, right)
        return observed if observed.failure is None else None


def nudged(program: Program, number: int) -> Program:
    """The program with every number of its leaves off by one unit of the last place.

    Cancellation inside a formula shows so even where all operands are short numbers. Equal numbers move alike, but for
    `number` 2, where neighbours move apart: that shows the cancellation of equal numbers (the mean of a constant row).
    """
    leaves = []
    for leaf in program.leaves:
        values = to_numpy(leaf.array)
        if values.dtype.kind == "f":
            if number == 2:
                move_apart(values, 0, leaf.id)
            else:
                move(values, number, exact=False)
        leaves.append(Leaf(leaf.id, array(values, leaf.array.dtype, leaf.array.layout), leaf.requires_grad))
    return msgspec.structs.replace(program, leaves=tuple(leaves))


def _near(base: Observation, moved: Observation, ulps: float, size: float, unit: float = 0.0) -> Observation:
    """`moved` without what was pushed off a kink or a tie, which is no rounding: what has moved by more than so many
    units of the last place of `size`, which is that of operands, or of an array's largest element if that is more.

    `unit` is the relative size of such a unit in the narrowest type that was computed in.
    """

    def nearby(a: Any, b: Any) -> Any:
        if a is None or b is None or a.shape != b.shape or a.dtype.kind != "f":
            return a
        with np.errstate(all="ignore"):
            gap = np.abs(b.astype(np.float64) - a.astype(np.float64))
            limit = ulps * max(unit, float(np.finfo(a.dtype).eps)) * max(size, float(np.max(np.abs(a), initial=0.0)))
            return a if bool((gap > limit).any()) else b

    return _both(base, moved, nearby)


def _both(base: Observation, other: Observation, of: Callable[[Any, Any], Any]) -> Observation:
    """`base` with each array made `of` its own and the other run's."""
    hooks = zip(base.hooks, other.hooks, strict=False)
    return msgspec.structs.replace(
        base,
        values={i: of(a, other.values.get(i)) for i, a in base.values.items()},
        grads={i: of(a, other.grads.get(i)) for i, a in base.grads.items()},
        hooks=tuple((position, of(a, b)) for (position, a), (_, b) in hooks),
    )


def _coarse(base: Observation, wide: Observation) -> Observation:
    """`base` with each result in float64 that went through a rounding to float32 moved by half a unit of float32.

    Which ones those are shows in `wide`, the program with float64 in the place of float32: they are not the same there.
    How far they are off is one draw only, and a lucky one says nothing of how far another right engine may be.
    """

    def moved(a: Any, b: Any) -> Any:
        if a is None or b is None or a.shape != b.shape or a.dtype != np.float64 or not np.isfinite(a).all():
            return a
        scale = float(np.max(np.abs(a), initial=0.0))
        rounded = bool((np.abs(b - a) > 2.0**10 * np.finfo(np.float64).eps * scale).any())
        return a + scale * float(np.finfo(np.float32).eps) / 2 if rounded else a

    return _both(base, wide, moved)


@cache
def _jitter() -> Any:
    """A mode of torch in which every inexact floating result is off by one unit of the last place, up or down.

    It works on the primitive operations that formulas and their derivatives are composed of. The memory itself is
    changed, so that what backward has saved moves too: 1 - tanh² is as noisy as tanh near 1. Results that are short
    numbers are exact on both sides and keep their place, and equal numbers move alike, so that nothing moves off a tie
    or a kink. With `only`, it is the results of which the numbers are chosen: all of them, and neighbours apart.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    class Jitter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self, number: int, only: Callable[[int], bool] | None) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._number = number
            self._only = only
            self.made = 0  # results
            self.size = 0.0  # of the largest that was chosen

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # it would import torch's compiler, which takes seconds

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            made = func(*args, **given)
            old = set()
            if not func._schema.is_mutable:  # a view of an operand has no rounding of its own
                old = {a.untyped_storage().data_ptr() for a in _tensors((*args, *given.values()))}
            for part in _tensors((made,)):
                if part.is_floating_point() and part.untyped_storage().data_ptr() not in old:
                    if self._only is None:
                        move(part.detach().numpy(), self._number, exact=True)
                    elif self._only(self.made):
                        values = part.detach().numpy()
                        largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
                        self.size = max(self.size, float(largest))
                        move_apart(values, self._number, self.made)
                    self.made += 1
            return made

    return Jitter


#: The bits that are 0 in a short number, of at most 16 digits, by the size of its type. All of float16 are short.
LOW = {2: 0, 4: (1 << 8) - 1, 8: (1 << 37) - 1}


def move(values: Any, number: int, exact: bool) -> None:
    """Move floats in place by one unit of the last place, up or down by their bits; short ones stay if `exact`."""
    size = values.itemsize
    bits = values.view(f"u{size}")
    moves = (bits & bits.dtype.type(LOW[size])) != 0 if exact else np.isfinite(values)
    if moves.any():
        eps = np.finfo(values.dtype).eps
        up = (bits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40 + number)) & np.uint64(1)
        np.multiply(values, (1.0 + (2.0 * up - 1.0) * eps).astype(values.dtype), out=values, where=moves)


def move_apart(values: Any, way: int, first: int) -> None:
    """Move floats in place by one unit of the last place: neighbours apart, in turn up and down (`way` 0, where the
    first goes up if `first` is even, and 1, the other way round), or each as a hash of its place has it (from 2 on)."""
    places = np.arange(values.size) + first
    up = (places + way) % 2 if way < 2 else places * 0x9E3779B1 >> 16 + way & 1
    apart = (1.0 - 2.0 * up).reshape(values.shape)
    values *= (1.0 + apart * np.finfo(values.dtype).eps).astype(values.dtype)


def _tensors(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if isinstance(item, (tuple, list)):
            found += _tensors(item)
        elif hasattr(item, "untyped_storage") and not item._is_zerotensor():  # which has no memory to move
            found.append(item)
    return found


def retyped(program: Program, old: DType, new: DType) -> Program:
    """The same program with one floating dtype in the place of another."""

    def cast(a: Array) -> Array:
        return array(to_numpy(a), new, a.layout) if a.dtype == old else a

    leaves = tuple(Leaf(leaf.id, cast(leaf.array), leaf.requires_grad) for leaf in program.leaves)
    steps: list[Any] = []
    for step in program.steps:
        if isinstance(step, (Backward, Grad)):
            gradients = tuple(None if g is None else cast(g) for g in step.gradients)
            steps.append(msgspec.structs.replace(step, gradients=gradients))
        elif isinstance(step, Apply):
            args = tuple(DTypeArg(new) if a == DTypeArg(old) else a for a in step.args)
            steps.append(msgspec.structs.replace(step, op=CASTS[new] if step.op == CASTS[old] else step.op, args=args))
        else:
            steps.append(step)
    return Program(leaves, tuple(steps), program.observe)
