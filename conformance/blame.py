"""Name the cause of a mismatch.

Each application is run alone: its operands are the reference's values as separate leaves, its cotangent is the
reference's. The first one that differs (in forward order for values, in backward order for gradients) is to blame, and
the program that shows it alone comes with the answer. Where every rule agrees, the engine's own part is named:
accumulation, unbroadcasting, hooks, grad mode; and likewise where simple operations in the place of the blamed one
differ as well. Each part has a small program of its own, and the one that fails names it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import numpy as np

from conformance import execute, noise
from conformance.compare import Mismatch, judge
from conformance.engines.protocol import Engine
from conformance.execute import Observation
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    Backward,
    Detach,
    Grad,
    Hook,
    Inplace,
    Leaf,
    Program,
    Ref,
    RetainGrad,
    Seq,
    array,
    before_gradients,
    operands,
    results,
)
from conformance.results import Kind

replace = msgspec.structs.replace


class Blame(msgspec.Struct, frozen=True):
    """The operation or the part of the engine to blame, the kind of the difference, and a program that shows it."""

    blamed: str
    kind: Kind
    program: Program

    @property
    def cause(self) -> tuple[str, Kind]:
        """What findings are grouped by."""
        return self.blamed, self.kind


class Bench:
    """An engine and the reference, side by side."""

    def __init__(
        self,
        engine: Engine,
        reference: Engine,
        watch: Callable[[Program], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self.engine = engine
        self.reference = reference
        self._watch = watch  # around each run of the engine, which may not survive it
        self.runs = 0
        self._probed: dict[str, Mismatch | None] = {}

    def mismatch(self, program: Program) -> Mismatch | None:
        """How the engine differs from the reference on this program; None when it does not, or lacks something."""
        self.runs += 1
        actual = self.actual(program)
        if actual.unsupported is not None:
            return None
        expected = execute.run_all(self.reference, [program])[0]
        if expected.unsupported is not None:
            return None
        return judge(
            program, expected, actual, lambda: noise.measure(self.reference, program), self.engine.precision
        ).mismatch

    def actual(self, program: Program) -> Observation:
        """What the engine shows."""
        with self._watch(program):
            return execute.run_all(self.engine, [program])[0]

    def expected(self, program: Program) -> Observation:
        """What the reference shows."""
        return execute.run_all(self.reference, [program])[0]

    def cause(self, program: Program) -> tuple[str, Kind] | None:
        """Cause of the program's mismatch; None without one."""
        found = self.mismatch(program)
        return None if found is None else self.blame(program, found).cause

    def alone(self, program: Program) -> Iterator[tuple[str, Program]]:
        """The name of each operation that is applied, and a program with it alone: forward, then with its backward."""
        forward, _ = self._states(program)
        for step in self._applications(program):
            single = self._alone(program, step, forward)
            if single is not None:
                yield step.op, single
                seen = self.expected(single)
                roots = [(i, _weights(array(v))) for i in seen.values if (v := _graded(seen, i)) is not None]
                if roots:
                    yield step.op, _with_backward(single, roots)

    # -- blame ---------------------------------------------------------------------------------------------------------

    def blame(self, program: Program, mismatch: Mismatch) -> Blame:
        """The cause of a mismatch of this program."""
        forward, gradients = self._states(program)
        for attempt in (self._values, self._rules, self._second, self._shared):
            found = attempt(program, forward, gradients)
            if found is not None:
                common = found.kind == "none" or self._common(found.program)
                return (common and self._part(program, mismatch)) or found
        changed = next((s.op for s in program.steps if isinstance(s, Inplace)), "engine")
        return self._part(program, mismatch) or Blame(changed, mismatch.kind, program)

    def again(self, program: Program, operations: Collection[str]) -> Blame | None:
        """Which of these operations differs by itself on the operands that it has here; None when none does."""
        part = replace(program, steps=tuple(s for s in program.steps if not isinstance(s, Apply) or s.op in operations))
        forward, gradients = self._states(program)
        found = (attempt(part, forward, gradients) for attempt in (self._values, self._rules, self._second))
        return next(filter(None, found), None)

    def _states(self, program: Program) -> tuple[Observation, Observation]:
        """The reference's values of all results, and the gradients that arrive at each of them."""
        applied = before_gradients(program)
        every = tuple(i for s in applied for i in results(s))
        forward = self.expected(Program(program.leaves, applied, every))
        kept: list[AnyStep] = []
        for step in program.steps:
            if isinstance(step, (Hook, RetainGrad)):
                continue
            kept.append(step)
            if isinstance(step, (Apply, Inplace)):
                kept += [RetainGrad(i) for i in step.out if forward.flags.get(i, (False, True)) == (True, False)]
        return forward, self.expected(Program(program.leaves, tuple(kept), ()))

    def _alone(self, program: Program, step: Apply, forward: Observation, shared: bool = False) -> Program | None:
        """The step on leaves of its own: one for each use of an operand, or (`shared`) one for each operand."""
        arrays: dict[int, tuple[Array, bool]] = {leaf.id: (leaf.array, leaf.requires_grad) for leaf in program.leaves}
        for i, value in forward.values.items():
            if value is not None:
                arrays[i] = (array(value), forward.flags.get(i, (True, False))[0])
        leaves: list[Leaf] = []
        known: dict[int, int] = {}

        def own(arg: Arg) -> Arg:
            if isinstance(arg, Ref):
                if shared and arg.id in known:
                    return Ref(known[arg.id])
                known[arg.id] = len(leaves)
                leaves.append(Leaf(len(leaves), *arrays[arg.id]))
                return Ref(known[arg.id])
            return Seq(tuple(own(item) for item in arg.items)) if isinstance(arg, Seq) else arg

        try:
            args = tuple(own(a) for a in step.args)
            kwargs = tuple((k, own(a)) for k, a in step.kwargs)
        except KeyError:  # an operand that depends on a gradient
            return None
        out = tuple(range(len(leaves), len(leaves) + len(step.out)))
        return Program(tuple(leaves), (msgspec.structs.replace(step, args=args, kwargs=kwargs, out=out),), out)

    def _differs(self, blamed: str, program: Program) -> Blame | None:
        found = self.mismatch(program)
        return None if found is None else Blame(blamed, found.kind, program)

    def _applications(self, program: Program) -> Iterable[Apply]:
        return (s for s in program.steps if isinstance(s, Apply))

    def _values(self, program: Program, forward: Observation, _: Observation) -> Blame | None:
        for step in self._applications(program):
            alone = self._alone(program, step, forward)
            found = alone and self._differs(step.op, alone)
            if found:
                return found
        return None

    def _rules(
        self, program: Program, forward: Observation, gradients: Observation, shared: bool = False
    ) -> Blame | None:
        for step in reversed(list(self._applications(program))):
            alone = self._alone(program, step, forward, shared)
            if alone is None:
                continue
            ids = list(zip(step.out, results(alone.steps[0]), strict=True))
            arrived = [(new, gradients.grads.get(old)) for old, new in ids]
            arriving = [(i, array(g)) for i, g in arrived if g is not None]
            found = self._differs(step.op, _with_backward(alone, arriving)) if arriving else None
            if found is None:  # the cotangent may hide the fault, as zeros do
                weights = [(new, _weights(array(v))) for old, new in ids if (v := _graded(forward, old)) is not None]
                found = self._differs(step.op, _with_backward(alone, weights)) if weights else None
            if found is not None:
                return found
        return None

    def _shared(self, program: Program, forward: Observation, gradients: Observation) -> Blame | None:
        """A rule that is wrong only when an operand is used twice."""
        twice = [s for s in self._applications(program) if len(set(operands(s))) < len(operands(s))]
        return self._rules(replace(program, steps=tuple(twice)), forward, gradients, shared=True) if twice else None

    def _second(self, program: Program, forward: Observation, _: Observation) -> Blame | None:
        if not any(isinstance(s, Grad) or (isinstance(s, Backward) and s.create_graph) for s in program.steps):
            return None
        for step in reversed(list(self._applications(program))):
            alone = self._alone(program, step, forward)
            if alone is None:
                continue
            seen = self.expected(alone)
            roots = [(i, v) for i, v in seen.values.items() if seen.flags.get(i, (False, True))[0] and v is not None]
            if roots:
                found = self._differs(step.op, _with_second_order(alone, [(i, _weights(array(v))) for i, v in roots]))
                if found is not None:
                    return found
        return None

    def _common(self, alone: Program) -> bool:
        """Whether simple operations in the place of this one differ as well, so that no single rule is to blame."""
        step = next(s for s in alone.steps if isinstance(s, Apply))
        by_id = {leaf.id: leaf for leaf in alone.leaves}
        floats = [by_id[i] for i in operands(step) if i in by_id and by_id[i].array.dtype.startswith("float")]
        floats = [leaf for leaf in floats if floats.count(leaf) > 1][:2] or floats[:2]
        if not floats or len({leaf.array.dtype for leaf in floats}) > 1:
            return False
        try:
            shape = np.broadcast_shapes(*(leaf.array.shape for leaf in floats))
        except ValueError:
            floats, shape = floats[:1], floats[0].array.shape
        leaves = {leaf.id: leaf for leaf in floats}
        out = 1 + max(leaves)
        weights = [(out, _weights(Array(shape, floats[0].array.dtype, ())))]
        second = any(isinstance(s, Grad) for s in alone.steps)
        graded = len(alone.steps) > 1 and any(leaf.requires_grad for leaf in floats)
        for op in [o for o in (("neg", "sin", "cos") if len(floats) == 1 else ("add", "sub", "mul")) if o != step.op]:
            apply = Apply(op, tuple(Ref(leaf.id) for leaf in floats), (out,), mode=step.mode)
            program = Program(tuple(leaves.values()), (apply,), (out,))
            if graded:
                program = (_with_second_order if second else _with_backward)(program, weights)
            if self.mismatch(program) is None:
                return False
        return True

    def _part(self, program: Program, mismatch: Mismatch) -> Blame | None:
        """The part of the engine whose own small program differs too, among the parts that this program uses."""
        for part, probe in PROBES.items():
            if part not in self._probed:
                self._probed[part] = self.mismatch(probe)
            found = self._probed[part]
            if found is not None and _uses(program, part, mismatch):
                return Blame(f"engine: {part}", found.kind, probe)
        return None


def _uses(program: Program, part: str, mismatch: Mismatch) -> bool:
    """Whether a program has what a part of the engine serves."""
    kinds = Counter(type(step) for step in program.steps)
    match part:
        case "repeated backward":
            return kinds[Backward] > 1
        case "create_graph":
            return kinds[Grad] > 0
        case "unreached leaves":
            return mismatch.kind in ("none", "error")
        case "no_grad":
            return any(isinstance(s, Apply) and s.mode == "no_grad" for s in program.steps)
        case "detach":
            return kinds[Detach] > 0
        case "retain_grad":
            return kinds[RetainGrad] > 0
        case "hooks":
            return kinds[Hook] > 0
        case "in-place":
            return kinds[Inplace] > 0
    return True


def _graded(forward: Observation, i: int) -> Any:
    """The value, when a gradient can flow to it."""
    return forward.values.get(i) if forward.flags.get(i, (False, True))[0] else None


def _probes() -> dict[str, Program]:
    """A small program for each part of an engine, with sines and products by constants as its only rules."""
    x, y = Leaf(0, array([1.0, 2.0])), Leaf(1, array([0.5, -1.0]))
    c, k = Leaf(2, array([3.0, 0.5]), False), Leaf(3, array([-1.0, 2.0]), False)
    one, two, g = array([1.0, -0.5]), array([[1.0, -0.5], [2.0, 0.75]]), array([1.0, 2.0])

    def times(i: int, constant: int, out: int) -> Apply:
        return Apply("mul", (Ref(i), Ref(constant)), (out,))

    both = (times(0, 2, 4), times(0, 3, 5))
    wide = Leaf(3, two, False)
    return {
        "unbroadcast": Program((x, wide), (times(0, 3, 4), Backward((4,), (two,)))),
        "accumulation": Program((x, c, k), (*both, Apply("add", (Ref(4), Ref(5)), (6,)), Backward((6,), (one,)))),
        "accumulation of roots": Program((x, c, k), (*both, Backward((4, 5), (one, g)))),
        "repeated backward": Program(
            (x, y), (times(0, 1, 4), Backward((4,), (one,), retain_graph=True), Backward((4,), (one,)))
        ),
        "unreached leaves": Program((x, y, c), (times(0, 2, 4), Backward((4,), (one,)))),
        "no_grad": Program(
            (x, y, c), (replace(times(0, 2, 4), mode="no_grad"), times(4, 1, 5), Backward((5,), (one,))), (4,)
        ),
        "detach": Program((x, y, c), (times(0, 2, 4), Detach(4, (5,)), times(5, 1, 6), Backward((6,), (one,))), (5,)),
        "retain_grad": Program((x, c, k), (times(0, 2, 4), RetainGrad(4), times(4, 3, 5), Backward((5,), (one,)))),
        "hooks": Program((x, c, k), (times(0, 2, 4), Hook(4), Hook(0), times(4, 3, 5), Backward((5,), (one,)))),
        "create_graph": _with_second_order(Program((x,), (Apply("sin", (Ref(0),), (4,)),)), [(4, one)]),
        "in-place": Program(
            (x, c, k), (times(0, 2, 4), Inplace("mul_", 4, (Ref(3),), (5,)), Backward((5,), (one,))), (5,)
        ),
    }


def _weights(like: Array) -> Array:
    """Different numbers in the shape and dtype of an array, so that no two elements of a gradient can be confused."""
    n = int(np.prod(like.shape))
    return array(np.resize([1.0, -0.5, 2.0, 0.75, -1.25, 1.5, -2.0, 0.5], n).reshape(like.shape), like.dtype)


def _with_backward(program: Program, roots: list[tuple[int, Array]]) -> Program:
    step = Backward(tuple(i for i, _ in roots), tuple(g for _, g in roots))
    return Program(program.leaves, (*program.steps, step), program.observe)


def _with_second_order(program: Program, roots: list[tuple[int, Array]]) -> Program:
    """Backward through <gradient, operand> for each operand that requires a gradient."""
    inputs = [leaf for leaf in program.leaves if leaf.requires_grad]
    free = 1 + max([leaf.id for leaf in program.leaves] + [i for s in program.steps for i in results(s)])
    grads = tuple(range(free, free + len(inputs)))
    steps: list[AnyStep] = [
        Grad(
            tuple(i for i, _ in roots),
            tuple(x.id for x in inputs),
            tuple(g for _, g in roots),
            grads,
            create_graph=True,
        )
    ]
    products = tuple(range(free + len(inputs), free + 2 * len(inputs)))
    steps += [Apply("mul", (Ref(g), Ref(x.id)), (p,)) for g, x, p in zip(grads, inputs, products, strict=True)]
    steps.append(Backward(products, tuple(_weights(x.array) for x in inputs)))
    return Program(program.leaves, (*program.steps, *steps), (*program.observe, *grads))


#: What names a part of the engine: the first of these that differs, of those that a program uses.
PROBES = _probes()
