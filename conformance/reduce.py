"""Make a program that shows a cause as small and as plain as it gets, while it still shows the same cause.

The reducer works on the program itself: it drops roots and side steps, puts a leaf or an operand in the place of a
step, merges leaves, shrinks shapes, and then makes arguments and numbers plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from conformance.execute import Observation
from conformance.program import (
    AnyStep,
    Apply,
    Array,
    Backward,
    Grad,
    Hook,
    Inplace,
    Leaf,
    Program,
    RetainGrad,
    array,
    before_gradients,
    canonical,
    defects,
    operands,
    rename_step,
    results,
    to_numpy,
)
from conformance.vocabulary import OPERATIONS

#: Numbers from plain to less plain.
PLAIN = (1.0, 2.0, 0.5, -1.0, 0.0, 3.0)

replace = msgspec.structs.replace


class Reducer:
    """Reduces one program. `shows` decides whether a candidate still shows the cause; `run` is the reference."""

    def __init__(
        self, shows: Callable[[Program], bool], run: Callable[[Program], Observation], most: int = 400
    ) -> None:
        self._shows = shows
        self._run = run
        self._left = most
        self._seen: set[Program] = set()
        self.runs = 0

    def reduce(self, program: Program) -> Program:
        """The smallest program that was found; the given one when nothing smaller shows the cause."""
        best = canonical(_live(program))
        if not self._try(best, best, first=True):
            best = program
        moves = (
            self._dead,
            self._roots,
            self._side_steps,
            self._cuts,
            self._merges,
            self._shapes,
            self._plain_steps,
            self._numbers,
        )
        changed = True
        while changed and self._left > 0:
            changed = False
            for move in moves:
                smaller = self._exhaust(move, best)
                changed |= smaller != best
                best = smaller
        return best

    def _exhaust(self, move: Callable[[Program], Iterator[Program]], best: Program) -> Program:
        """Follow a move until none of its candidates shows the cause."""
        found = True
        while found and self._left > 0:
            found = False
            for candidate in move(best):
                smaller = canonical(_live(candidate))
                if self._try(smaller, best):
                    best, found = smaller, True
                    break
        return best

    def _try(self, candidate: Program, best: Program, first: bool = False) -> bool:
        if (candidate == best and not first) or candidate in self._seen or self._left <= 0 or defects(candidate):
            return False
        leaves = {leaf.id for leaf in candidate.leaves}
        if any(leaves.intersection(s.roots) for s in candidate.steps if isinstance(s, Backward)):
            return False  # a gradient of nothing: true, but nobody would write it
        self._seen.add(candidate)
        self._left -= 1
        self.runs += 1
        return self._shows(candidate)

    # -- moves: each yields candidates, the boldest first --------------------------------------------------------------

    def _dead(self, program: Program) -> Iterator[Program]:
        """Without the changes of what nothing reads by its own name afterwards, all at once."""
        yield _live(program, changes=False)

    def _roots(self, program: Program) -> Iterator[Program]:
        if program.observe:
            yield replace(program, observe=())
            for i in program.observe:
                yield replace(program, observe=tuple(j for j in program.observe if j != i))
        for position, step in enumerate(program.steps):
            if isinstance(step, Backward) and len(step.roots) > 1:
                for k in range(len(step.roots)):
                    yield _put(program, position, replace(step, roots=(step.roots[k],), gradients=(step.gradients[k],)))
                for k in range(len(step.roots)):
                    roots, gradients = _without(step.roots, k), _without(step.gradients, k)
                    yield _put(program, position, replace(step, roots=roots, gradients=gradients))
            elif isinstance(step, Grad):
                for k in range(len(step.outputs) if len(step.outputs) > 1 else 0):
                    outputs, gradients = _without(step.outputs, k), _without(step.gradients, k)
                    yield _put(program, position, replace(step, outputs=outputs, gradients=gradients))
                for k in range(len(step.inputs) if len(step.inputs) > 1 else 0):
                    yield _put(
                        program, position, replace(step, inputs=_without(step.inputs, k), out=_without(step.out, k))
                    )

    def _side_steps(self, program: Program) -> Iterator[Program]:
        for position, step in enumerate(program.steps):
            if isinstance(step, (Backward, Hook, RetainGrad)) or not results(step):
                yield _drop(program, position)
            if isinstance(step, Grad) and position == len(program.steps) - 1:
                yield _drop(program, position)

    def _cuts(self, program: Program) -> Iterator[Program]:
        """A leaf with the reference's value, or an operand, in the place of a step."""
        every = tuple(i for s in program.steps if isinstance(s, Apply) for i in s.out)
        applied = tuple(s for s in program.steps if isinstance(s, Apply))
        seen = self._run(Program(program.leaves, applied, every)) if _pure(program) else None
        for position in reversed(range(len(program.steps))):
            step = program.steps[position]
            if not isinstance(step, (Apply, Inplace)) or len(step.out) != 1:
                continue
            out = step.out[0]
            for i in dict.fromkeys(operands(step)):
                yield _instead(program, position, out, i)
            value = seen.values.get(out) if seen is not None else None
            if value is not None and seen is not None and isinstance(step, Apply):
                leaf = Leaf(out, array(value), seen.flags.get(out, (True, False))[0])
                steps = program.steps[:position] + program.steps[position + 1 :]
                yield Program((*program.leaves, leaf), steps, program.observe)

    def _merges(self, program: Program) -> Iterator[Program]:
        for k, later in enumerate(program.leaves):
            for earlier in program.leaves[:k]:
                same = (later.array.shape, later.array.dtype, later.requires_grad)
                if same == (earlier.array.shape, earlier.array.dtype, earlier.requires_grad):
                    yield _renamed(replace(program, leaves=_without(program.leaves, k)), later.id, earlier.id)

    def _shapes(self, program: Program) -> Iterator[Program]:
        """The first part of every leaf along the dimensions of one size; weights follow the shapes."""
        if not _pure(program):
            return
        yield from self._reweighed(program, lambda a: np.array(a.flat[0]) if a.size else a)
        yield from self._reweighed(program, lambda a: a.reshape(-1)[: min(2, a.size)] if a.ndim > 1 else a)
        for size in sorted({n for leaf in program.leaves for n in leaf.array.shape if n > 1}, reverse=True):
            for new in (1, 2) if size > 2 else (1,):
                yield from self._reweighed(program, partial(_first, size=size, new=new))
        for k, leaf in enumerate(program.leaves):
            if leaf.array.shape and all(n == 1 for n in leaf.array.shape):
                leaves = list(program.leaves)
                leaves[k] = replace(leaf, array=replace(leaf.array, shape=leaf.array.shape[1:], layout="contiguous"))
                yield from self._with_weights(replace(program, leaves=tuple(leaves)))

    def _reweighed(self, program: Program, cut: Callable[[Any], Any]) -> Iterator[Program]:
        leaves = tuple(
            replace(leaf, array=array(cut(to_numpy(leaf.array)), leaf.array.dtype)) if leaf.array.shape else leaf
            for leaf in program.leaves
        )
        if leaves != program.leaves:
            yield from self._with_weights(replace(program, leaves=leaves))

    def _with_weights(self, program: Program) -> Iterator[Program]:
        """The program with every cotangent cut to the shape that its root has now."""
        roots = tuple(
            dict.fromkeys(i for s in program.steps if isinstance(s, (Backward, Grad)) for i in _cotangents(s))
        )
        applied = before_gradients(program)
        known = [
            i for i in roots if i in {j for s in applied for j in results(s)} | {leaf.id for leaf in program.leaves}
        ]
        seen = self._run(Program(program.leaves, applied, tuple(known)))
        if seen.failure is not None:
            return
        shapes: dict[int, tuple[int, ...]] = {i: v.shape for i, v in seen.values.items() if v is not None}
        by_id = {leaf.id: leaf.array.shape for leaf in program.leaves}
        for step in program.steps:  # products of a gradient and its input have the input's shape
            if isinstance(step, Grad):
                shapes.update({g: by_id[x] for g, x in zip(step.out, step.inputs, strict=True) if x in by_id})
            elif isinstance(step, Apply) and step.out[0] not in shapes and len(step.out) == 1:
                given = [shapes[i] for i in operands(step) if i in shapes]
                if given:
                    shapes[step.out[0]] = given[0]
        yield replace(program, steps=tuple(_fit(s, shapes) for s in program.steps))

    def _plain_steps(self, program: Program) -> Iterator[Program]:
        for position, step in enumerate(program.steps):
            if isinstance(step, Apply):
                given = OPERATIONS[step.op].given if step.op in OPERATIONS else ()
                for k in [k for k, (name, _) in enumerate(step.kwargs) if name not in given]:
                    yield _put(program, position, replace(step, kwargs=_without(step.kwargs, k)))
                if step.form != "function":
                    yield _put(program, position, replace(step, form="function"))
                if step.mode != "grad":
                    yield _put(program, position, replace(step, mode="grad"))
            elif isinstance(step, Backward) and step.retain_graph:
                yield _put(program, position, replace(step, retain_graph=None))
        for k, leaf in enumerate(program.leaves):
            plainer = []
            if leaf.array.layout != "contiguous":
                plainer.append(replace(leaf, array=replace(leaf.array, layout="contiguous")))
            if leaf.requires_grad and sum(x.requires_grad for x in program.leaves) > 1:
                plainer.append(replace(leaf, requires_grad=False))
            for new in plainer:
                yield replace(program, leaves=(*program.leaves[:k], new, *program.leaves[k + 1 :]))

    def _numbers(self, program: Program) -> Iterator[Program]:
        """Plainer numbers: whole leaves first, then single elements, then cotangents of ones."""
        for position, step in enumerate(program.steps):
            if isinstance(step, (Backward, Grad)):
                ones = tuple(None if g is None else array(np.ones(g.shape), g.dtype) for g in step.gradients)
                if ones != step.gradients:
                    yield _put(program, position, replace(step, gradients=ones))
        for k, leaf in enumerate(program.leaves):
            a = leaf.array
            if not a.dtype.startswith("float") or not a.values:
                continue
            ranks = [_rank(v) for v in a.values]
            rows = [np.full(a.shape, v) for v in PLAIN]
            rows.append(np.arange(1.0, len(a.values) + 1).reshape(a.shape))
            candidates = [array(row, a.dtype, a.layout) for row in rows]
            for position, old in enumerate(ranks):
                for number in PLAIN:
                    values = list(a.values)
                    values[position] = number.hex()
                    if _rank(number.hex()) < old:
                        candidates.append(replace(a, values=tuple(values)))
            for new in candidates:
                if sorted(map(_rank, new.values), reverse=True) < sorted(ranks, reverse=True):
                    leaves = (*program.leaves[:k], replace(leaf, array=new), *program.leaves[k + 1 :])
                    yield replace(program, leaves=leaves)


def _rank(value: str) -> int:
    """How plain a number is: its place in PLAIN, then small integers, then short numbers, then all others."""
    number = float.fromhex(value)
    if number in PLAIN:
        return PLAIN.index(number)
    if np.isfinite(number) and number * 8 == round(number * 8):
        return 10 + min(int(abs(number * 8)), 1000)
    return 10_000


def _first(a: npt.NDArray[Any], size: int, new: int) -> npt.NDArray[Any]:
    """The first `new` elements along every dimension of `size`."""
    return a[tuple(slice(new) if n == size else slice(None) for n in a.shape)]


def _pure(program: Program) -> bool:
    """Whether values come from applications alone, so that they can be taken out and computed again."""
    return all(isinstance(s, (Apply, Backward, Grad)) for s in program.steps)


def _cotangents(step: Backward | Grad) -> tuple[int, ...]:
    return step.roots if isinstance(step, Backward) else step.outputs


def _fit(step: AnyStep, shapes: dict[int, tuple[int, ...]]) -> AnyStep:
    if not isinstance(step, (Backward, Grad)):
        return step
    roots = _cotangents(step)
    return replace(step, gradients=tuple(_cut(g, shapes.get(i)) for i, g in zip(roots, step.gradients, strict=True)))


def _cut(gradient: Array | None, shape: tuple[int, ...] | None) -> Array | None:
    if gradient is None or shape is None or shape == gradient.shape:
        return gradient
    n = int(np.prod(shape))
    values = (gradient.values or ((1.0).hex(),)) * (n // max(len(gradient.values), 1) + 1)
    return Array(shape, gradient.dtype, values[:n])


def _without(items: tuple[Any, ...], k: int) -> tuple[Any, ...]:
    return items[:k] + items[k + 1 :]


def _put(program: Program, position: int, step: AnyStep) -> Program:
    return replace(program, steps=(*program.steps[:position], step, *program.steps[position + 1 :]))


def _drop(program: Program, position: int) -> Program:
    return replace(program, steps=_without(program.steps, position))


def _renamed(program: Program, old: int, new: int) -> Program:
    def name(i: int) -> int:
        return new if i == old else i

    observe = tuple(dict.fromkeys(name(i) for i in program.observe))
    return replace(program, steps=tuple(rename_step(s, name) for s in program.steps), observe=observe)


def _instead(program: Program, position: int, out: int, operand: int) -> Program:
    """The program without a step, its result replaced by one of its operands; roots that fall together are merged."""
    shorter = _renamed(_drop(program, position), out, operand)
    leaves = {leaf.id for leaf in program.leaves}
    return replace(shorter, observe=tuple(i for i in shorter.observe if i not in leaves))


def _live(program: Program, *, changes: bool = True) -> Program:
    """The program without steps and leaves that nothing needs; `changes` keeps all steps in place."""
    needed = set(program.observe)
    kept: list[AnyStep] = []
    for step in reversed(program.steps):
        side = not results(step) or (changes and isinstance(step, Inplace))
        seen = isinstance(step, Inplace) and step.target in needed
        if seen or (side and not isinstance(step, (Hook, RetainGrad))) or needed.intersection(results(step)):
            kept.append(step)
            needed.update(operands(step))
        elif isinstance(step, (Hook, RetainGrad)) and step.target in needed:
            kept.append(step)
    leaves = tuple(leaf for leaf in program.leaves if leaf.id in needed)
    return Program(leaves, tuple(reversed(kept)), program.observe)
