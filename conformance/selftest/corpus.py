"""The programs of the default search, in its order, and what torch shows for each.

A fault is searched for among the programs that concern it, which are a part of what the default search runs: what is
found here is found there, by the same program.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from conformance import execute, generate
from conformance.engines import Engine
from conformance.execute import Observation
from conformance.generate import Target
from conformance.program import (
    Backward,
    Detach,
    Grad,
    Hook,
    Inplace,
    Program,
    RequiresGrad,
    RetainGrad,
    Step,
    ZeroGrad,
)
from conformance.vocabulary import OPERATIONS

#: The steps that call a method of an engine, for the methods that not every program calls.
_STEPS: Final[dict[str, tuple[type[Step], ...]]] = {
    "grad_mode": (),
    "leaf": (),  # replaced to know the leaves, and only where something else is replaced too
    "backward": (Backward,),
    "backward_all": (Backward,),
    "grad_of": (Grad,),
    "inplace": (Inplace,),
    "detach": (Detach,),
    "hook": (Hook,),
    "retain_grad": (RetainGrad,),
    "set_requires_grad": (RequiresGrad,),
    "zero_grad": (ZeroGrad,),
}


class Drawn(NamedTuple):
    """A program of the search: its number there, the name of its place, what it was drawn for, and itself."""

    position: int
    place: str
    target: Target
    program: Program


def draw(
    reference: Engine, seed: int, examples: int | None = None, names: Sequence[str] = tuple(OPERATIONS)
) -> Iterator[Drawn]:
    """The first programs of a search over these operations, by default those of its default budget."""
    shapes = execute.Shapes(reference)
    operations = [OPERATIONS[name] for name in names]
    cells = generate.cells(operations, shapes)
    if examples is None:
        examples = generate.turn(operations, cells)
    first = 0
    for block in generate.blocks(operations, cells):
        found: list[tuple[Target, bytes]] = []
        limit = min(len(block.targets), examples - first)

        def consume(batch: Sequence[tuple[Target, bytes]], found: list[tuple[Target, bytes]] = found) -> bool:
            found += batch
            return len(found) < limit  # noqa: B023 - used before the loop goes on

        generate.draw(block, seed, consume)
        for place, (target, data) in enumerate(found[:limit]):
            program, meant = generate.decode(data, target, shapes, operations)
            if meant:
                yield Drawn(first + place, f"{block.name}#{place}", target, program)
        first += len(block.targets)
        if first >= examples:
            return


class Corpus:
    """Programs by what they concern, and the reference's observations, each made once and when it is needed."""

    def __init__(self, drawn: Sequence[Drawn], reference: Engine) -> None:
        self.drawn = drawn
        self.reference = reference
        self._expected: dict[int, Observation] = {}
        self._by_operation: dict[str, list[int]] = {}
        for index, one in enumerate(drawn):
            for op in {op.removesuffix("_") if not op.startswith("__") else op for op in one.program.operations}:
                self._by_operation.setdefault(op, []).append(index)

    def concerning(self, operations: Sequence[str], methods: Collection[str]) -> Sequence[int]:
        """Indices of the programs that apply one of the operations or, without any, call one of an engine's methods."""
        if operations:
            return sorted({index for op in operations for index in self._by_operation.get(op, ())})
        steps = tuple(step for name in methods for step in _STEPS.get(name, (Step,)))
        modes = "grad_mode" in methods
        return [
            index
            for index, one in enumerate(self.drawn)
            if any(isinstance(s, steps) or (modes and getattr(s, "mode", "grad") != "grad") for s in one.program.steps)
        ]

    def expected(self, index: int) -> Observation:
        """What the reference shows for a program."""
        if index not in self._expected:
            self._expected[index] = execute.run(self.reference, self.drawn[index].program)
        return self._expected[index]
