"""How much rounding moves a program: the reference, run again with its intermediate results moved by one last place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import msgspec
import numpy as np

from conformance import execute
from conformance.engines.protocol import Engine
from conformance.engines.torchlike import Torch
from conformance.execute import Observation
from conformance.program import (
    Apply,
    Array,
    Backward,
    DType,
    DTypeArg,
    Grad,
    Inplace,
    Leaf,
    Program,
    array,
    to_json,
    to_numpy,
)

#: Runs with moved roundings.
RUNS = 4
#: Methods that cast to a floating dtype.
CASTS: dict[DType, str] = {"float32": "float", "float64": "double"}


def measure(reference: Engine, program: Program) -> Iterator[Observation]:
    """Observations of the program with its roundings moved, and of the same program in wider and in narrower floats.

    Each is made when it is asked for.

    The narrower run shows what happens inside a formula, where no rounding can be moved; `compare` scales it down.
    """
    changed = any(isinstance(step, Inplace) for step in program.steps)
    for number in range(RUNS):
        yield from execute.run_all(Jittered(number, gradients=not changed), [program])
    wide = retyped(program, "float32", "float64")
    others = {wide, retyped(program, "float64", "float32")} - {program}
    yield from execute.run_all(reference, sorted(others, key=to_json))
    base, *moved = execute.run_all(reference, [program, *(nudged(program, number) for number in range(3))])
    if wide != program:
        yield _coarse(base, execute.run_all(reference, [wide])[0])
    size = max([1.0, *(float(np.max(np.abs(v), initial=0.0, where=np.isfinite(v))) for v in _floats(program))])
    yield from (_near(base, each, size) for each in moved if each.failure is None)


def _floats(program: Program) -> list[Any]:
    return [to_numpy(leaf.array) for leaf in program.leaves if leaf.array.dtype.startswith("float")]


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
                apart = 1.0 - 2.0 * ((np.arange(values.size) + leaf.id) % 2).reshape(values.shape)
                values *= (1.0 + apart * np.finfo(values.dtype).eps).astype(values.dtype)
            else:
                _move(values, number, exact=False)
        leaves.append(Leaf(leaf.id, array(values, leaf.array.dtype, leaf.array.layout), leaf.requires_grad))
    return msgspec.structs.replace(program, leaves=tuple(leaves))


def _near(base: Observation, moved: Observation, size: float) -> Observation:
    """`moved` without what a nudge of operands of this size has pushed off a kink or a tie, which is no rounding."""

    def near(a: Any, b: Any) -> Any:
        if a is None or b is None or a.shape != b.shape or a.dtype.kind != "f":
            return a
        with np.errstate(all="ignore"):
            gap = np.abs(b.astype(np.float64) - a.astype(np.float64))
            limit = 2.0**20 * float(np.finfo(a.dtype).eps) * max(size, float(np.max(np.abs(a), initial=0.0)))
            return a if bool((gap > limit).any()) else b

    return msgspec.structs.replace(
        base,
        values={i: near(a, moved.values.get(i)) for i, a in base.values.items()},
        grads={i: near(a, moved.grads.get(i)) for i, a in base.grads.items()},
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

    return msgspec.structs.replace(
        base,
        values={i: moved(a, wide.values.get(i)) for i, a in base.values.items()},
        grads={i: moved(a, wide.grads.get(i)) for i, a in base.grads.items()},
    )


class Jittered(Torch):
    """torch whose every inexact floating result is off by one unit of the last place, up or down.

    The memory itself is changed, so that what backward has saved moves too: 1 - tanh² is as noisy as tanh near 1.
    Results that are short numbers are exact on both sides and keep their place, and equal numbers move alike, so that
    nothing moves off a tie or a kink. With `gradients`, what each use of a value sends back is off by one unit as well,
    so that cancellation between uses shows.
    """

    def __init__(self, number: int, gradients: bool) -> None:
        super().__init__()
        self._number = number
        self._gradients = gradients
        self._signs = Random(number)

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operation, with its results moved; a view has no rounding of its own."""
        made = super().call(form, op, [self._shaken(a) for a in args] if self._gradients else args, kwargs)
        given = {a.untyped_storage().data_ptr() for a in _tensors(args)}
        for part in _tensors(made if isinstance(made, (tuple, list)) else (made,)):
            if part.is_floating_point() and part.untyped_storage().data_ptr() not in given:
                _move(part.detach().numpy(), self._number, exact=True)
        return made

    def _shaken(self, value: Any) -> Any:
        """The same value, whose gradient is off by one unit of the last place."""
        if isinstance(value, (tuple, list)):
            return tuple(self._shaken(item) for item in value)
        if not (hasattr(value, "requires_grad") and value.requires_grad):
            return value
        sign = self._signs.choice((-1, 1))
        return _shake()(value, 1.0 + sign * float(np.finfo(str(value.dtype).partition(".")[2]).eps))


def _move(values: Any, number: int, exact: bool) -> None:
    """Move floats in place by one unit of the last place, up or down by their bits; short ones stay if `exact`."""
    eps = np.finfo(values.dtype).eps
    bits = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape).astype(np.uint64)
    up = (bits * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40 + number)) & np.uint64(1)
    mantissa = np.frexp(np.where(np.isfinite(values), values, 0).astype(np.float64))[0] * 2.0**16
    short = (mantissa == np.round(mantissa)) if exact else np.zeros(values.shape, bool)
    values *= np.where(short, 1.0, 1.0 + (2.0 * up - 1.0) * eps).astype(values.dtype)


@cache
def _shake() -> Any:
    """A function of torch: the identity, whose gradient is multiplied by a factor."""
    import torch

    class Shake(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Any, factor: float) -> Any:
            ctx.factor = factor
            return value.view_as(value)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0] * ctx.factor, None

    return Shake.apply


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
