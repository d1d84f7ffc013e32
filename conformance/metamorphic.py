"""Checks without a reference: an engine against itself, and against exact arithmetic. Neither needs torch.

Each relation turns a program into another one that must show the same, or states what one program must show. The
programs are those of the search. What a rule gets wrong in every form alike shows in the last relation only, where the
gradient is compared with a numerical derivative in exact arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import msgspec
import numpy as np

from conformance import engines, execute, generate
from conformance.compare import Mismatch, judge
from conformance.engines import Engine
from conformance.exact.arithmetic import MP, UnspecifiedError
from conformance.execute import Observation
from conformance.program import (
    AnyStep,
    Apply,
    Array,
    Backward,
    Grad,
    Inplace,
    Leaf,
    Program,
    Ref,
    array,
    free_number,
    operands,
    rename_step,
    results,
    to_numpy,
)
from conformance.reduce import Reducer
from conformance.referee import UndecidedError, derivative
from conformance.results import Difference
from conformance.script import body
from conformance.vocabulary import OPERATIONS

replace = msgspec.structs.replace

Spec: TypeAlias = str | Engine | type[Engine] | ModuleType
#: What breaks a relation: the program's variant (the program itself where there is none), and what differs.
Breach: TypeAlias = tuple[Program, Difference]
Relation: TypeAlias = Callable[["Bench", Program, Observation], Iterator[Breach | None]]

#: How far a gradient may be from the derivative, relative to the largest one: rounding of a well-conditioned program.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "float16": 1e-1}
#: Operations that are about memory or precision: what they give does depend on it.
LEFT_OUT = frozenset(("as_strided", "float", "half", "to", "type_as"))


class Broken(msgspec.Struct, frozen=True):
    """A relation that does not hold: the reduced program, its variant, and the largest difference."""

    relation: str
    program: Program
    variant: Program
    difference: Difference

    @property
    def operations(self) -> tuple[str, ...]:
        """Operations of the reduced program."""
        return self.program.operations

    def __str__(self) -> str:
        d = self.difference
        shown = f"{self.relation}: {d.what} is {d.actual}, not {d.expected}\n{body(self.program)}"
        return shown if self.variant == self.program else f"{shown}\n# and\n{body(self.variant)}"


class Checked(msgspec.Struct, frozen=True):
    """How often each relation was tried, and what was broken: one program for each relation and operation."""

    programs: int
    tried: dict[str, int]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        """Whether something was tried and nothing was broken."""
        return bool(sum(self.tried.values())) and not self.broken


class Bench:
    """An engine alone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, program: Program) -> Observation:
        """What the engine shows."""
        return execute.run(self.engine, program)

    def same(self, program: Program, seen: Observation, variant: Program) -> Breach | None:
        """The breach when a variant shows something else."""
        other = self.run(variant)
        return None if other.unsupported is not None else self.compared(program, seen, variant, other)

    def compared(self, program: Program, seen: Observation, variant: Program, other: Observation) -> Breach | None:
        """The breach when the numbers differ beyond what moving the leaves by a last place does."""
        plain = replace(seen, flags={}), replace(other, flags={})  # what is a leaf may well differ
        found: Mismatch | None = judge(program, *plain, lambda: _Nudged(self, program)).mismatch
        return None if found is None else (variant, found.difference)


class _Nudged(msgspec.Struct, frozen=True):
    """The noise of a program on an engine alone: its leaves one unit of the last place up and down."""

    bench: Bench
    program: Program

    def moved(self) -> Iterator[Observation]:
        return (self.bench.run(_moved(self.program, sign)) for sign in (1, -1))

    def singly(self) -> Iterator[Observation]:
        return iter(())

    def followed(self) -> None:
        return None


def _moved(program: Program, sign: int) -> Program:
    def nudged(leaf: Leaf) -> Leaf:
        data = to_numpy(leaf.array)
        if data.dtype.kind != "f":
            return leaf
        short = data == np.round(data * 8) / 8  # short numbers are exact, and may be kinks
        towards = np.where(np.arange(data.size).reshape(data.shape) % 2, sign, -sign) * np.inf
        return replace(leaf, array=array(np.where(short, data, np.nextafter(data, towards.astype(data.dtype)))))

    return replace(program, leaves=tuple(nudged(leaf) for leaf in program.leaves))


# -- relations ---------------------------------------------------------------------------------------------------------


def in_place(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """An operation in place gives what it gives out of place. It is done to a copy (the number negated twice)."""
    if len({leaf.array.dtype for leaf in program.leaves if leaf.array.dtype.startswith("float")}) > 1:
        return  # in place, the dtype of the target stays
    free = free_number(program)
    for position, step in enumerate(program.steps):
        if not isinstance(step, Apply) or not step.args or not isinstance(step.args[0], Ref) or len(step.out) != 1:
            continue
        copy = Apply("neg", (step.args[0],), (free,)), Apply("neg", (Ref(free),), (free + 1,))
        changed = Inplace(f"{step.op}_", free + 1, step.args[1:], step.out, step.kwargs)
        steps = (*program.steps[:position], *copy, changed, *program.steps[position + 1 :])
        variant = replace(program, steps=steps)
        other = bench.run(variant)
        if other.failure is None and other.unsupported is None:  # many cannot be done in place
            yield bench.compared(program, seen, variant, other)


def views(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """An operation on a view of a value gives what it gives on the value, and on a copy of it."""
    free = free_number(program)
    for position, step in enumerate(program.steps):
        floats = [i for i in dict.fromkeys(operands(step)) if isinstance(step, Apply)]
        for i in floats[:1]:
            for between in (
                (Apply("unsqueeze", (Ref(i), 0), (free,)), Apply("select", (Ref(free), 0, 0), (free + 1,))),
                (Apply("clone", (Ref(i),), (free + 1,)),),
            ):
                moved = rename_step(step, lambda k, i=i: free + 1 if k == i else k)  # type: ignore[misc]
                steps = (*program.steps[:position], *between, moved, *program.steps[position + 1 :])
                yield bench.same(program, seen, replace(program, steps=steps))


def layouts(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """The strides of a leaf change nothing (but for the operations that are about strides)."""
    if {"view", "view_as"}.intersection(program.operations):
        return
    for layout in ("transposed", "strided"):
        leaves = tuple(replace(leaf, array=replace(leaf.array, layout=layout)) for leaf in program.leaves)
        yield bench.same(program, seen, replace(program, leaves=leaves))


def sums(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """The gradient of a sum is the sum of the gradients: backward twice with half the cotangents, and root by root."""
    last = program.steps[-1] if program.steps else None
    if not isinstance(last, Backward) or any(isinstance(s, (Backward, Grad)) for s in program.steps[:-1]):
        return
    if all(g is not None for g in last.gradients):
        half = tuple(g and array(to_numpy(g) / 2, g.dtype) for g in last.gradients)
        twice = (replace(last, gradients=half, retain_graph=True), replace(last, gradients=half))
        yield bench.same(program, seen, replace(program, steps=(*program.steps[:-1], *twice)))
    if len(last.roots) > 1:
        parts = [
            replace(last, roots=(root,), gradients=(gradient,), retain_graph=True)
            for root, gradient in zip(last.roots, last.gradients, strict=True)
        ]
        yield bench.same(program, seen, replace(program, steps=(*program.steps[:-1], *parts)))


def order(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """Independent steps, and the roots of backward, may come in any order."""
    last = program.steps[-1] if program.steps else None
    if not isinstance(last, Backward) or not all(isinstance(s, Apply) for s in program.steps[:-1]):
        return
    known = {leaf.id for leaf in program.leaves}
    waiting, sorted_ = list(program.steps[:-1]), []
    while waiting:
        step = next(s for s in reversed(waiting) if known.issuperset(operands(s)))
        waiting.remove(step)
        sorted_.append(step)
        known.update(results(step))
    turned = replace(last, roots=last.roots[::-1], gradients=last.gradients[::-1])
    variant = replace(program, steps=(*sorted_, turned))
    if variant != program:
        yield bench.same(program, seen, variant)


def adjoint(bench: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """⟨Jv, w⟩ = ⟨v, Jᵀw⟩, where Jv comes of a second backward through Jᵀw, which is linear in w."""
    last = program.steps[-1] if program.steps else None
    applied = program.steps[:-1]
    inputs = tuple(leaf for leaf in program.leaves if leaf.requires_grad)
    if not isinstance(last, Backward) or not inputs or not all(isinstance(s, Apply) for s in applied):
        return
    if any(g is None or not g.dtype.startswith("float") for g in last.gradients) or seen.failure is not None:
        return
    free = free_number(program)
    given = [(root, g) for root, g in zip(last.roots, last.gradients, strict=True) if g is not None]
    weights = tuple(Leaf(free + k, g) for k, (_, g) in enumerate(given))
    free += len(weights)
    weighted: list[AnyStep] = [
        Apply("mul", (Ref(root), Ref(w.id)), (free + k,))
        for k, ((root, _), w) in enumerate(zip(given, weights, strict=True))
    ]
    products = tuple(results(step)[0] for step in weighted)
    free += len(weighted)
    grads = tuple(range(free, free + len(inputs)))
    ones = tuple(array(np.ones(g.shape), g.dtype) for _, g in given)
    first = Grad(products, tuple(leaf.id for leaf in inputs), ones, grads, create_graph=True)
    start = bench.run(Program((*program.leaves, *weights), (*applied, *weighted, first), grads))
    if start.failure is not None or start.unsupported is not None:
        return
    reached = [(i, leaf) for i, leaf in zip(grads, inputs, strict=True) if start.flags.get(i, (True, False))[0]]
    reached = [(i, leaf) for i, leaf in reached if start.values.get(i) is not None]
    if not reached:
        return
    directions = tuple(_direction(leaf.array) for _, leaf in reached)
    second = Backward(tuple(i for i, _ in reached), directions, inputs=tuple(w.id for w in weights))
    whole = Program((*program.leaves, *weights), (*applied, *weighted, first, second), grads)
    both = bench.run(whole)
    if both.failure is not None or both.unsupported is not None:
        return
    left = [(both.grads.get(w.id), to_numpy(w.array)) for w in weights]
    right = [(both.values[i], to_numpy(v)) for (i, _), v in zip(reached, directions, strict=True)]
    a, b, size = _inner(left), _inner(right), _size(left) + _size(right)
    eps = max(float(np.finfo(leaf.array.dtype).eps) for leaf in inputs)
    ok = not np.isfinite(a + b) or abs(a - b) <= 1e4 * eps * size
    what = "⟨Jv, w⟩ where ⟨v, Jᵀw⟩ is the other"
    yield None if ok else (whole, Difference(what=what, where=None, expected=repr(b), actual=repr(a)))


def exactly(_: Bench, program: Program, seen: Observation) -> Iterator[Breach | None]:
    """A gradient is the derivative, where there is one: a numerical derivative in exact arithmetic."""
    for leaf in program.leaves:
        gradient = seen.grads.get(leaf.id)
        if gradient is None or not gradient.size or not np.isfinite(gradient).all():
            continue
        middle = np.unravel_index(gradient.size // 2, gradient.shape) if gradient.ndim else ()
        where = tuple(int(k) for k in middle)
        try:
            exact = derivative(program, leaf.id, where).both
        except (UndecidedError, UnspecifiedError):
            continue
        if exact is None or not MP.isfinite(exact):
            continue
        limit = TOLERANCE[leaf.array.dtype] * max(float(np.abs(gradient).max()), abs(float(exact)), 0.1)
        if abs(float(exact) - float(gradient[where])) <= limit:
            yield None
            continue
        difference = Difference(
            what=f"gradient of leaf {leaf.id}",
            where=where,
            expected=repr(float(exact)),
            actual=repr(float(gradient[where])),
        )
        yield program, difference


RELATIONS: dict[str, Relation] = {
    "in place = out of place": in_place,
    "view = copy": views,
    "strided = contiguous": layouts,
    "gradient of a sum = sum of gradients": sums,
    "any order of independent steps": order,
    "⟨Jv, w⟩ = ⟨v, Jᵀw⟩": adjoint,
    "gradient = derivative": exactly,
}


def _inner(pairs: Sequence[tuple[Any, Any]]) -> float:
    return float(sum((np.asarray(a, np.float64) * b).sum() for a, b in pairs if a is not None))


def _size(pairs: Sequence[tuple[Any, Any]]) -> float:
    """The size of an inner product, were there no cancellation."""
    return float(sum((1 + np.linalg.norm(a)) * np.linalg.norm(b) for a, b in pairs if a is not None))


def _direction(like: Array) -> Array:
    n = int(np.prod(like.shape))
    return array(np.resize([1.0, -0.5, 0.75, 2.0, -1.25], n).reshape(like.shape), like.dtype)


# -- the run -----------------------------------------------------------------------------------------------------------


def check(engine: Spec, *, examples: int = 1000, seed: int = 0) -> Checked:
    """Try every relation on `examples` programs of the search. Raises `EngineError` when there is no such engine."""
    loaded = engines.load(engine)
    if "look" in engines.levels(loaded):  # relations are about numbers, not about names and versions
        loaded = engines.at_level(loaded, "behaviour")
    bench, shapes = Bench(loaded), execute.Shapes(loaded)
    operations = [o for o in OPERATIONS.values() if o.gradient and o.name not in LEFT_OUT and loaded.supports(o.name)]
    tried: Counter[str] = Counter()
    broken: dict[tuple[str, tuple[str, ...]], Broken] = {}
    programs = 0

    def consume(batch: Sequence[tuple[generate.Target, bytes]]) -> bool:
        nonlocal programs
        for target, data in batch:
            if programs >= examples:
                break
            program, meant = generate.decode(data, target, shapes, operations)
            if not meant:
                continue
            programs += 1
            seen = bench.run(program)
            if seen.failure is not None or seen.unsupported is not None:
                continue
            for name, relation in RELATIONS.items():
                for breach in relation(bench, program, seen):
                    tried[name] += 1
                    if breach is not None and not any(
                        n == name and set(o) <= set(program.operations) for n, o in broken
                    ):
                        found = _reduced(bench, name, program, breach)
                        broken.setdefault((name, found.operations), found)
                        break
        return programs < examples

    with execute.quiet():
        for block in _blocks([o.name for o in operations]):
            if programs >= examples or not operations:
                break
            generate.draw(block, seed, consume)
    return Checked(programs, dict(tried), tuple(broken.values()))


def _blocks(names: Sequence[str]) -> Iterator[generate.Block]:
    """Every operation alone, in both precisions and with a reused operand, and free programs; without end."""
    turn = 0
    while True:
        for feature in ("float64", "reuse", "broadcast", "float32"):
            targets = tuple(generate.Target("cell", name, feature, level="gradient") for name in names)
            yield generate.Block(f"metamorphic/{feature}/{turn}", targets)
        free = (generate.Target("free", level="gradient"),) * 256
        yield generate.Block(f"metamorphic/free/{turn}", free)
        turn += 1


def _reduced(bench: Bench, name: str, program: Program, breach: Breach) -> Broken:
    def first(candidate: Program) -> Breach | None:
        seen = bench.run(candidate)
        if seen.failure is not None or seen.unsupported is not None:
            return None
        return next((b for b in RELATIONS[name](bench, candidate, seen) if b is not None), None)

    smallest = Reducer(lambda p: first(p) is not None, bench.run, most=120).reduce(program)
    variant, difference = first(smallest) or breach
    return Broken(name, smallest, variant, difference)
