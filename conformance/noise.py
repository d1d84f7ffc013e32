"""How much rounding moves a program: the reference, run again with its intermediate results moved by one last place."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from conformance import execute
from conformance.engines.protocol import Engine
from conformance.execute import Observation
from conformance.program import (
    Apply,
    Array,
    Backward,
    DTypeArg,
    Grad,
    Leaf,
    Program,
    Ref,
    array,
    rename_step,
    results,
    to_numpy,
)

#: Runs with moved roundings.
RUNS = 3


def measure(reference: Engine, program: Program) -> tuple[Observation, ...]:
    """Observations of the program with its roundings moved, and in float64 when it has narrower floats."""
    everything = msgspec.structs.replace(program, observe=tuple(i for s in program.steps for i in results(s)))
    values = execute.run_all(reference, [everything])[0].values
    found = []
    for number in range(RUNS):
        moved, names = perturbed(program, values, number)
        seen = execute.run_all(reference, [moved])[0]
        back = {new: old for old, new in names.items()}
        found.append(
            msgspec.structs.replace(
                seen,
                values={back.get(i, i): v for i, v in seen.values.items()},
                grads={back.get(i, i): g for i, g in seen.grads.items()},
            )
        )
    wide = widened(program)
    if wide != program:
        found += execute.run_all(reference, [wide])
    return tuple(found)


def perturbed(
    program: Program, values: dict[int, npt.NDArray[Any] | None], number: int
) -> tuple[Program, dict[int, int]]:
    """The program with every inexact result multiplied by 1 ± one unit of the last place, and the new names of values.

    `values` are the reference's intermediate results. Results that are short numbers are exact on both sides: they keep
    their place, so that nothing moves off a tie or a kink.
    """
    steps: list[Any] = []
    new: dict[int, int] = {}
    free = 1 + max([leaf.id for leaf in program.leaves] + [i for s in program.steps for i in results(s)], default=0)
    for position, step in enumerate(program.steps):
        steps.append(rename_step(step, lambda i: new.get(i, i)))
        if not isinstance(step, Apply) or step.mode != "grad":
            continue
        for k, i in enumerate(step.out):
            value = values.get(i)
            if value is None or value.dtype.kind != "f" or not value.size or _short(value):
                continue
            up = 1 if (position + k + 1) * 0x9E3779B1 >> (16 + number) & 1 else -1
            factor = 1.0 + up * float(np.finfo(value.dtype).eps)
            steps.append(Apply("mul", (Ref(i), factor), (free,)))
            new[i] = free
            free += 1
    return Program(program.leaves, tuple(steps), tuple(new.get(i, i) for i in program.observe)), new


def _short(value: npt.NDArray[Any]) -> bool:
    """Whether every element has at most 16 significant bits, as exact results on small numbers have."""
    mantissa = np.frexp(value[np.isfinite(value)].astype(np.float64))[0] * 2.0**16
    return bool((mantissa == np.round(mantissa)).all())


def widened(program: Program) -> Program:
    """The same program in float64."""

    def wide(a: Array) -> Array:
        return array(to_numpy(a), "float64", a.layout) if a.dtype == "float32" else a

    leaves = tuple(Leaf(leaf.id, wide(leaf.array), leaf.requires_grad) for leaf in program.leaves)
    steps: list[Any] = []
    for step in program.steps:
        if isinstance(step, (Backward, Grad)):
            gradients = tuple(None if g is None else wide(g) for g in step.gradients)
            steps.append(msgspec.structs.replace(step, gradients=gradients))
        elif isinstance(step, Apply):
            args = tuple(DTypeArg("float64") if a == DTypeArg("float32") else a for a in step.args)
            steps.append(msgspec.structs.replace(step, args=args))
        else:
            steps.append(step)
    return Program(leaves, tuple(steps), program.observe)
