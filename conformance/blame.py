"""Name the cause of a mismatch.

Each application is run alone: its operands are the reference's values as separate leaves, its cotangent is the
reference's. The first one that differs (in forward order for values, in backward order for gradients) is to blame, and
the program that shows it alone comes with the answer. Where simple operations in the place of the blamed one differ as
well, or where every rule agrees, the engine's own part is named: accumulation, unbroadcasting, hooks, grad mode. Each
part has small programs of its own (`probes`), and those that fail name it. What shows only in the company of other
operations is named with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from conformance import execute
from conformance.compare import Mismatch, judge
from conformance.engines.protocol import Engine
from conformance.execute import Observation
from conformance.noise import Noise
from conformance.probes import PARTS, Probe
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    Backward,
    Grad,
    Hook,
    Inplace,
    Layout,
    Leaf,
    Program,
    Ref,
    RequiresGrad,
    RetainGrad,
    Seq,
    array,
    before_gradients,
    free_number,
    operands,
    rename_step,
    results,
)
from conformance.results import Kind
from conformance.vocabulary import OPERATIONS

replace = msgspec.structs.replace
AppliedStep = TypeVar("AppliedStep", Apply, Inplace)

#: Operations that stand in for one, by what it is like: one operand or two, and what its results are.
UNARY, BINARY = ("neg", "sin", "cos"), ("add", "sub", "mul")
CURVED_UNARY, CURVED_BINARY = ("sin", "cos", "tanh"), ("mul", "div", "atan2")
IN_PLACE = ("mul_", "add_", "sin_")
#: What is about a value's place in the graph or in memory: the part that keeps it is asked in any case.
STANDING: Final[tuple[Kind, ...]] = (
    "none",
    "requires_grad",
    "is_leaf",
    "grad_fn",
    "contiguity",
    "version",
    "alias",
    "warning",
    "dtype",
    "shape",
)


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
        self._probed: dict[Probe, Kind | None] = {}

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
            program, expected, actual, lambda: Noise(self.reference, program, self.traced), self.engine.precision
        ).mismatch

    def actual(self, program: Program) -> Observation:
        """What the engine shows."""
        with self._watch(program):
            return execute.run_all(self.engine, [program])[0]

    def traced(self, program: Program) -> Observation:
        """What each step makes in the engine."""
        with self._watch(program):
            return execute.trace(self.engine, program)

    def expected(self, program: Program) -> Observation:
        """What the reference shows."""
        return execute.run_all(self.reference, [program])[0]

    def cause(self, program: Program) -> tuple[str, Kind] | None:
        """Cause of the program's mismatch; None without one."""
        found = self.mismatch(program)
        return None if found is None else self.blame(program, found).cause

    def alone(self, program: Program) -> Iterator[tuple[str, Program]]:
        """The name of each operation that is applied, and a program with it alone: forward, then with its backward."""
        state = _State(self, program)
        for step in state.applications:
            single = state.alone(step)
            if single is not None:
                yield step.op, single
                weighted = self._weighted(single)
                if weighted is not None:
                    yield step.op, weighted

    # -- blame ---------------------------------------------------------------------------------------------------------

    def blame(self, program: Program, mismatch: Mismatch) -> Blame:
        """The cause of a mismatch of this program."""
        state = _State(self, program)
        found = (
            self._values(state)
            or self._in_place(state)
            or self._rules(state)
            or self._higher(state)
            or self._rules(state, shared=True)
            or self._laid(state, mismatch)
        )
        if found is not None and not (found.kind in STANDING or self._common(found)):
            return found
        found = found or self._saved(state, mismatch)
        return self._part(program, mismatch) or found or self._context(state, mismatch)

    def again(self, program: Program, operations: Collection[str]) -> Blame | None:
        """Which of these operations differs by itself on the operands that it has here; None when none does."""
        state = _State(self, program)
        state.applications = [step for step in state.applications if step.op in operations]
        return self._values(state) or self._rules(state) or self._higher(state)

    def _differs(self, blamed: str, program: Program | None) -> Blame | None:
        found = None if program is None else self.mismatch(program)
        return None if found is None or program is None else Blame(blamed, found.kind, program)

    def _values(self, state: _State) -> Blame | None:
        """The first operation whose results differ."""
        return _first(self._differs(step.op, state.alone(step)) for step in state.applications)

    def _in_place(self, state: _State) -> Blame | None:
        """The first in-place operation that differs, on an interior value."""
        return _first(self._differs(step.op, state.alone_in_place(step)) for step in state.changes)

    def _rules(self, state: _State, *, shared: bool = False) -> Blame | None:
        """The last operation whose gradients differ; with `shared`, an operand that is used twice is one leaf."""
        for step in reversed(state.applications):
            if shared and len(set(operands(step))) == len(operands(step)):
                continue
            alone = state.alone(step, shared=shared)
            if alone is None:
                continue
            arriving = [
                (new, array(g))
                for old, new in zip(step.out, results(alone.steps[0]), strict=True)
                if (g := state.gradients.grads.get(old)) is not None
            ]
            found = self._differs(step.op, _with_backward(alone, arriving)) if arriving else None
            found = found or self._differs(step.op, self._weighted(alone))  # the cotangent may hide it, as zeros do
            if found is not None:
                return found
        return None

    def _laid(self, state: _State, mismatch: Mismatch) -> Blame | None:
        """The last operation whose gradients differ where what arrives has its channels last in memory."""
        for step in reversed(state.applications):
            alone = state.alone(step)
            if alone is not None and len(alone.leaves[0].array.shape) > 2:
                program = self._weighted(alone, "channels_last")
                found = self._differs(f"{step.op} given a channels-last gradient", program)
                if found is not None and found.kind == mismatch.kind:
                    return found
        return None

    def _weighted(self, alone: Program, layout: Layout = "contiguous") -> Program | None:
        """The program with a backward from whatever in it a gradient can come from."""
        weights = [(i, replace(_weights(array(v)), layout=layout)) for i, v in _graded(self.expected(alone))]
        return _with_backward(alone, weights) if weights else None

    def _higher(self, state: _State) -> Blame | None:
        """The last operation whose gradient's gradient differs, or the gradient of that."""
        recorded = [s for s in state.program.steps if isinstance(s, (Grad, Backward)) and s.create_graph]
        steps = (*state.applications, *state.out_of_place())
        for order in range(2, 2 + min(len(recorded), 2)):
            for step in reversed(steps):
                found = self._at_order(step, state.alone(step), order)
                if found is not None:
                    return found
        return None

    def _at_order(self, step: Apply, alone: Program | None, order: int) -> Blame | None:
        if alone is None:
            return None
        # With ones too: what a rule is off by can pass for the noise of one program, and not for that of another.
        tried = (self._with_order(alone, order, plain=plain) for plain in (False, True))
        found = _first(self._differs(step.op, program) for program in tried)
        if found is not None:
            return found
        # The gradient of a linear operation is constant, but for what arrives: that shall depend on the operands too.
        bent = [self._differs(step.op, self._with_order(self._followed(alone, op), order)) for op in ("square", "sin")]
        return bent[0] if all(bent) else None

    def _followed(self, alone: Program, op: str) -> Program:
        """The program with an operation on each of its results that a gradient comes from."""
        free = free_number(alone)
        roots = [i for i, _ in _graded(self.expected(alone))]
        more = tuple(Apply(op, (Ref(i),), (free + k,)) for k, i in enumerate(roots))
        return Program(alone.leaves, (*alone.steps, *more), tuple(i for s in more for i in s.out))

    def _with_order(self, program: Program, order: int, *, plain: bool = False) -> Program | None:
        """Backward through the gradient of the gradient …, to whatever leaf and as far as the reference has one.

        The gradients that are given are different numbers, or (`plain`) ones.
        """
        weigh = _ones if plain else _weights
        inputs = tuple(leaf.id for leaf in program.leaves if leaf.requires_grad)
        roots = [(i, v) for i, v in _graded(self.expected(program)) if i in results(program.steps[-1])]
        for _ in range(order - 1):
            if not roots or not inputs:
                return None
            free = free_number(program)
            made = tuple(range(free, free + len(inputs)))
            weights = tuple(weigh(array(v)) for _, v in roots)
            step = Grad(tuple(i for i, _ in roots), inputs, weights, made, create_graph=True)
            program = Program(program.leaves, (*program.steps, step), made)
            roots = list(_graded(self.expected(program)))
        return _with_backward(program, [(i, weigh(array(v))) for i, v in roots]) if roots else None

    def _saved(self, state: _State, mismatch: Mismatch) -> Blame | None:
        """The last operation that has another say in whether its operands or results may be changed afterwards."""
        if mismatch.kind != "error" or not state.changes:
            return None
        for step in reversed(state.applications):
            found = _first(self._differs(step.op, program) for program in state.changed_afterwards(step))
            if found is not None:
                return found
        return None

    def _common(self, found: Blame) -> bool:
        """Whether simple operations in the place of this one differ as well, so that no single rule is to blame."""
        if found.blamed.endswith("_") and not found.blamed.endswith("__"):
            return all(self.mismatch(p) is not None for p in _in_place_peers(found.program, found.blamed))
        alone = found.program
        if self._only_together(alone):
            return True
        step = next(s for s in alone.steps if isinstance(s, Apply))
        by_id = {leaf.id: leaf for leaf in alone.leaves}
        floats = [by_id[i] for i in operands(step) if i in by_id and by_id[i].array.dtype.startswith("float")]
        floats = [leaf for leaf in floats if floats.count(leaf) > 1][:2] or floats[:2]
        if not floats:
            return False
        try:
            np.broadcast_shapes(*(leaf.array.shape for leaf in floats))
        except ValueError:
            floats = floats[:1]
        leaves = {leaf.id: leaf for leaf in floats}
        order = 1 + sum(isinstance(s, Grad) for s in alone.steps)
        graded = len(alone.steps) > 1 and any(leaf.requires_grad for leaf in floats)
        curved = order > 1
        peers = (CURVED_UNARY if curved else UNARY) if len(floats) == 1 else CURVED_BINARY if curved else BINARY
        for op in [o for o in peers if o != step.op]:
            apply = Apply(op, tuple(Ref(leaf.id) for leaf in floats), (1 + max(leaves),), mode=step.mode)
            program: Program | None = Program(tuple(leaves.values()), (apply,), apply.out)
            if graded and program is not None:
                program = self._with_order(program, order) if curved else self._weighted(program)
            if program is None or self.mismatch(program) is None:
                return False
        return True

    def _only_together(self, alone: Program) -> bool:
        """Whether the difference shows from several roots at once and from none of them by itself."""
        *before, last = alone.steps
        if not (isinstance(last, Backward) and len(last.roots) > 1):
            return False
        single = [replace(last, roots=(i,), gradients=(g,)) for i, g in zip(last.roots, last.gradients, strict=True)]
        return all(self.mismatch(replace(alone, steps=(*before, step))) is None for step in single)

    def _part(self, program: Program, mismatch: Mismatch) -> Blame | None:
        """The part of the engine whose own small programs differ too, among the parts that this program uses."""
        for part in PARTS:
            if part.serves(program, mismatch):
                for probe in part.probes:
                    kind = self._failing(probe)
                    if kind is not None:
                        return Blame(f"engine: {part.name}", kind, probe[0])
        return None

    def _failing(self, probe: Probe) -> Kind | None:
        """The kind of mismatch that a probe shows, which may be another than that of the program that led to it."""
        if probe not in self._probed:
            found = [self.mismatch(program) for program in probe]
            self._probed[probe] = None if None in found or found[0] is None else found[0].kind
        return self._probed[probe]

    def _context(self, state: _State, mismatch: Mismatch) -> Blame:
        """What differs only in company: the operation that one side refuses, one with those that make its operands, or
        the whole program."""
        refused = self._refused(state.program) if mismatch.kind == "error" else None
        if refused is not None:
            return Blame(refused, mismatch.kind, state.program)
        for step in reversed(state.applications):
            company = state.with_producers(step)
            if company is None:
                continue
            producers, program = company
            found = self._differs("", program) or self._differs("", self._weighted(program))
            if found is not None:
                return replace(found, blamed=f"{step.op} after {', '.join(producers)}")
        named = dict.fromkeys(s.op for s in state.applications) or dict.fromkeys(s.op for s in state.changes)
        if len(named) == 1:
            return Blame(next(iter(named)), mismatch.kind, state.program)
        return Blame("engine", mismatch.kind, state.program)

    def _refused(self, program: Program) -> str | None:
        """The operation at which one side raises an error and the other goes on."""
        failures = [f.step for f in (self.expected(program).failure, self.actual(program).failure) if f is not None]
        step = program.steps[min(failures)] if failures and 0 <= min(failures) < len(program.steps) else None
        return step.op if isinstance(step, (Apply, Inplace)) else None


class _State:
    """A program with the reference's values of all results, and the gradients that arrive at each of them."""

    def __init__(self, bench: Bench, program: Program) -> None:
        self.program = program = _switched(program)
        applied = before_gradients(program)
        self.applications = [s for s in program.steps if isinstance(s, Apply)]
        self.changes = [s for s in program.steps if isinstance(s, Inplace)]
        known = tuple(i for s in applied for i in results(s))
        self.forward = bench.expected(Program(program.leaves, applied, known))
        late = tuple(i for s in program.steps for i in results(s) if i not in known)
        if late:  # what depends on a gradient
            after = bench.expected(replace(program, observe=late))
            self.forward = replace(
                self.forward,
                values=self.forward.values | after.values,
                flags=self.forward.flags | after.flags,
            )
        kept: list[AnyStep] = []
        for step in program.steps:
            if isinstance(step, (Hook, RetainGrad)):
                continue
            kept.append(step)
            if isinstance(step, (Apply, Inplace)):
                flags = self.forward.flags
                kept += [RetainGrad(i) for i in step.out if flags.get(i, (False, True)) == (True, False)]
        self.gradients = bench.expected(Program(program.leaves, tuple(kept), ()))
        self._known = {leaf.id: (leaf.array, leaf.requires_grad) for leaf in program.leaves}
        for i, value in self.forward.values.items():
            if value is not None:
                laid = array(value, layout=_layout(value))
                self._known[i] = laid, self.forward.flags.get(i, (True, False))[0]

    def alone(self, step: Apply, *, shared: bool = False) -> Program | None:
        """The step on leaves of its own: one for each use of an operand, or (`shared`) one for each operand.

        None where an operand is not known: it depends on a gradient, and the reference refuses the program.
        """
        try:
            leaves, own = self._on_leaves(step, shared=shared)
        except KeyError:
            return None
        out = tuple(range(len(leaves), len(leaves) + len(step.out)))
        return Program(tuple(leaves), (replace(own, out=out),), out)

    def out_of_place(self) -> Iterator[Apply]:
        """Each change as the application that has the same rule."""
        for step in self.changes:
            op = step.op.removesuffix("_")
            if op in OPERATIONS:
                yield Apply(op, (Ref(step.target), *step.args), step.out, step.kwargs, mode=step.mode)

    def alone_in_place(self, step: Inplace) -> Program | None:
        """The change, of the copy of a leaf, with a backward from it; None where the target is not known."""
        if step.target not in self._known:
            return None
        like, graded = self._known[step.target]
        leaves, own = self._on_leaves(step, otherwise=(like, False))
        n = len(leaves)
        leaves.append(Leaf(n, replace(like, layout="contiguous"), graded))
        steps: list[AnyStep] = [Apply("clone", (Ref(n),), (n + 1,)), replace(own, target=n + 1, out=(n + 2,))]
        if any(leaf.requires_grad for leaf in leaves) and step.mode == "grad":
            steps.append(Backward((n + 2,), (_weights(like),)))
        return Program(tuple(leaves), tuple(steps), (n + 2,))

    def changed_afterwards(self, step: Apply) -> Iterator[Program]:
        """The step on copies of leaves, of which one, or a result, is changed before the backward."""
        alone = self.alone(step)
        if alone is None:
            return
        made = self.forward.values.get(step.out[0])
        if made is None or made.dtype.kind != "f":
            return
        free = free_number(alone)
        copies = {leaf.id: free + k for k, leaf in enumerate(leaf for leaf in alone.leaves if leaf.requires_grad)}
        clones = [Apply("clone", (Ref(i),), (copy,)) for i, copy in copies.items()]
        (own,) = (rename_step(s, lambda i: copies.get(i, i)) for s in alone.steps)
        root = results(own)[0]
        end = Backward((root,), (_weights(array(made)),))
        for target in (*copies.values(), root):
            change = Inplace("mul_", target, (2.0,), (free + len(copies),))
            yield Program(alone.leaves, (*clones, own, change, end), ())

    def with_producers(self, step: Apply) -> tuple[list[str], Program] | None:
        """The step after those that make its operands, whose own operands are leaves, and the names of these."""
        made = {i: s for s in self.applications for i in s.out}
        before = list({id(made[i]): made[i] for i in operands(step) if i in made}.values())
        if not before:
            return None
        inner = {i for s in before for i in s.out}
        needed = dict.fromkeys(i for s in (*before, step) for i in operands(s) if i not in inner)
        if any(i not in self._known for i in needed):
            return None
        leaves = tuple(Leaf(i, *self._known[i]) for i in needed)
        return [s.op for s in before], Program(leaves, (*before, step), step.out)

    def _on_leaves(
        self, step: AppliedStep, *, shared: bool = False, otherwise: tuple[Array, bool] | None = None
    ) -> tuple[list[Leaf], AppliedStep]:
        """The step on leaves; what is not known is `otherwise`, or raises KeyError."""
        leaves: list[Leaf] = []
        numbers: dict[int, int] = {}

        def own(arg: Arg) -> Arg:
            if isinstance(arg, Ref):
                if not (shared and arg.id in numbers):
                    numbers[arg.id] = len(leaves)
                    known = self._known[arg.id] if otherwise is None else self._known.get(arg.id, otherwise)
                    leaves.append(Leaf(len(leaves), *known))
                return Ref(numbers[arg.id])
            return Seq(tuple(own(item) for item in arg.items)) if isinstance(arg, Seq) else arg

        args = tuple(own(a) for a in step.args)
        kwargs = tuple((k, own(a)) for k, a in step.kwargs)
        return leaves, replace(step, args=args, kwargs=kwargs)


def _layout(value: npt.NDArray[np.generic]) -> Layout:
    """How a value lies in memory, as far as a leaf can say it."""
    if value.flags.c_contiguous:
        return "contiguous"
    return "transposed" if value.flags.f_contiguous else "strided"


def _switched(program: Program) -> Program:
    """The program with leaves that require a gradient from the start, where `requires_grad_(True)` made them so."""
    leaves = {leaf.id for leaf in program.leaves if leaf.array.dtype.startswith("float")}
    on = {s.target for s in program.steps if isinstance(s, RequiresGrad) and s.value} & leaves
    kept = tuple(s for s in program.steps if not (isinstance(s, RequiresGrad) and s.value and s.target in on))
    switched = tuple(replace(x, requires_grad=True) if x.id in on else x for x in program.leaves)
    return Program(switched, kept, program.observe)


def _first(found: Iterable[Blame | None]) -> Blame | None:
    return next((each for each in found if each is not None), None)


def _graded(seen: Observation) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """The values that a gradient can come from."""
    for i, value in seen.values.items():
        if value is not None and seen.flags.get(i, (False, True))[0]:
            yield i, value


def _in_place_peers(alone: Program, blamed: str) -> Iterator[Program]:
    """The program of an in-place change with simple changes in its place."""
    for op in IN_PLACE:
        if op != blamed:
            args: tuple[Arg, ...] = () if op == "sin_" else (2.0,)
            yield replace(
                alone,
                steps=tuple(
                    replace(s, op=op, args=args, kwargs=()) if isinstance(s, Inplace) else s for s in alone.steps
                ),
            )


def _weights(like: Array) -> Array:
    """Different numbers in the shape and dtype of an array, so that no two elements of a gradient can be confused.

    They need all digits, so that a loss of precision shows.
    """
    n = int(np.prod(like.shape))
    row = np.resize([1.1, -0.7, 1.9, 0.6, -1.3, 1.7, -2.1, 0.3], n)
    return array(row.reshape(like.shape), like.dtype)


def _ones(like: Array) -> Array:
    """Ones in the shape and dtype of an array."""
    return array(np.ones(like.shape), like.dtype)


def _with_backward(program: Program, roots: list[tuple[int, Array]]) -> Program:
    step = Backward(tuple(i for i, _ in roots), tuple(g for _, g in roots))
    return Program(program.leaves, (*program.steps, step), program.observe)
