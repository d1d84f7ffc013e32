"""Name the cause of a mismatch.

Each application is run alone: its operands are the reference's values as separate leaves, its cotangent is the
reference's. The first one that differs (in forward order for values, in backward order for gradients) is to blame, and
the program that shows it alone comes with the answer. Where every rule agrees, the engine's own part is named:
accumulation, unbroadcasting, hooks, grad mode.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    results,
)
from conformance.results import Kind


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

    def __init__(self, engine: Engine, reference: Engine) -> None:
        self.engine = engine
        self.reference = reference
        self.runs = 0

    def mismatch(self, program: Program) -> Mismatch | None:
        """How the engine differs from the reference on this program; None when it does not, or lacks something."""
        self.runs += 1
        actual = execute.run_all(self.engine, [program])[0]
        if actual.unsupported is not None:
            return None
        expected = execute.run_all(self.reference, [program])[0]
        if expected.unsupported is not None:
            return None
        return judge(program, expected, actual, lambda: noise.measure(self.reference, program)).mismatch

    def expected(self, program: Program) -> Observation:
        """What the reference shows."""
        return execute.run_all(self.reference, [program])[0]

    def cause(self, program: Program) -> tuple[str, Kind] | None:
        """Cause of the program's mismatch; None without one."""
        found = self.mismatch(program)
        return None if found is None else self.blame(program, found).cause

    # -- blame ---------------------------------------------------------------------------------------------------------

    def blame(self, program: Program, mismatch: Mismatch) -> Blame:
        """The cause of a mismatch of this program."""
        if mismatch.kind == "error":
            found = self._refused(program)
            if found is not None:
                return found
        forward, gradients = self._states(program)
        for attempt in (self._values, self._rules, self._second):
            found = attempt(program, forward, gradients)
            if found is not None:
                return found
        return Blame(self._part(program, mismatch), mismatch.kind, program)

    def _states(self, program: Program) -> tuple[Observation, Observation]:
        """The reference's values of all results, and the gradients that arrive at each of them."""
        applied = [s for s in program.steps if isinstance(s, (Apply, Detach, Inplace))]
        every = tuple(i for s in applied for i in results(s))
        forward = self.expected(Program(program.leaves, tuple(applied), every))
        kept: list[AnyStep] = []
        for step in program.steps:
            if isinstance(step, (Hook, RetainGrad)):
                continue
            kept.append(step)
            if isinstance(step, (Apply, Inplace)):
                kept += [RetainGrad(i) for i in step.out if forward.flags.get(i, (False, True)) == (True, False)]
        return forward, self.expected(Program(program.leaves, tuple(kept), ()))

    def _alone(self, program: Program, step: Apply, forward: Observation) -> Program | None:
        """The step on leaves of its own, one for each use of an operand."""
        arrays: dict[int, tuple[Array, bool]] = {leaf.id: (leaf.array, leaf.requires_grad) for leaf in program.leaves}
        for i, value in forward.values.items():
            if value is not None:
                arrays[i] = (array(value), forward.flags.get(i, (True, False))[0])
        leaves: list[Leaf] = []

        def own(arg: Arg) -> Arg:
            if isinstance(arg, Ref):
                if arg.id not in arrays:
                    raise KeyError(arg.id)
                leaves.append(Leaf(len(leaves), *arrays[arg.id]))
                return Ref(len(leaves) - 1)
            return Seq(tuple(own(item) for item in arg.items)) if isinstance(arg, Seq) else arg

        try:
            args = tuple(own(a) for a in step.args)
            kwargs = tuple((k, own(a)) for k, a in step.kwargs)
        except KeyError:
            return None
        out = tuple(range(len(leaves), len(leaves) + len(step.out)))
        return Program(tuple(leaves), (msgspec.structs.replace(step, args=args, kwargs=kwargs, out=out),), out)

    def _differs(self, blamed: str, program: Program) -> Blame | None:
        found = self.mismatch(program)
        return None if found is None else Blame(blamed, found.kind, program)

    def _applications(self, program: Program) -> Iterable[Apply]:
        return (s for s in program.steps if isinstance(s, Apply))

    def _refused(self, program: Program) -> Blame | None:
        """Errors: the first operation, or its backward, that fails alone."""
        forward, gradients = self._states(program)
        return self._values(program, forward, gradients) or self._rules(program, forward, gradients)

    def _values(self, program: Program, forward: Observation, _: Observation) -> Blame | None:
        for step in self._applications(program):
            alone = self._alone(program, step, forward)
            found = alone and self._differs(step.op, alone)
            if found:
                return found
        return None

    def _rules(self, program: Program, forward: Observation, gradients: Observation) -> Blame | None:
        for step in reversed(list(self._applications(program))):
            alone = self._alone(program, step, forward)
            if alone is None:
                continue
            made = alone.steps[0]
            roots = [(new, gradients.grads[old]) for old, new in zip(step.out, results(made), strict=True) if old in gradients.grads]
            arriving = [(i, array(g)) for i, g in roots if g is not None]
            if not arriving:
                continue
            found = self._differs(step.op, _with_backward(alone, arriving))
            if found is None:  # the cotangent may hide the fault, as zeros do
                found = self._differs(step.op, _with_backward(alone, [(i, _weights(g)) for i, g in arriving]))
            if found is not None:
                return self._unbroadcast(found) or found
        return None

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

    def _unbroadcast(self, found: Blame) -> Blame | None:
        """Blame the engine when every broadcasting operation shows the fault on these operands."""
        leaves = [leaf for leaf in found.program.leaves if leaf.requires_grad]
        if found.kind not in ("shape", "gradient", "error") or len({leaf.array.shape for leaf in leaves}) < 2:
            return None
        others = [op for op in ("add", "sub", "mul", "maximum") if op != found.blamed]
        cotangent = next(s for s in found.program.steps if isinstance(s, Backward)).gradients[0]
        pair = tuple(msgspec.structs.replace(leaf, id=k) for k, leaf in enumerate(leaves[:2]))
        if cotangent is None or len(pair) < 2:
            return None
        for op in others:
            program = Program(pair, (Apply(op, (Ref(0), Ref(1)), (2,)), Backward((2,), (cotangent,))), (2,))
            if self.mismatch(program) is None:
                return None
        return Blame("engine: unbroadcast", found.kind, found.program)

    def _part(self, program: Program, mismatch: Mismatch) -> str:
        kinds: dict[str, str] = {"hook": "hooks", "none": "accumulation", "is_leaf": "flags", "requires_grad": "flags"}
        if any(isinstance(s, Inplace) for s in program.steps):
            return "engine: in-place"
        if mismatch.kind == "error":
            return "engine: error"
        return f"engine: {kinds.get(mismatch.kind, 'accumulation')}"


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
        Grad(tuple(i for i, _ in roots), tuple(x.id for x in inputs), tuple(g for _, g in roots), grads, create_graph=True)
    ]
    products = tuple(range(free + len(inputs), free + 2 * len(inputs)))
    steps += [Apply("mul", (Ref(g), Ref(x.id)), (p,)) for g, x, p in zip(grads, inputs, products, strict=True)]
    steps.append(Backward(products, tuple(_weights(x.array) for x in inputs)))
    return Program(program.leaves, (*program.steps, *steps), program.observe)


