"""Run a program on an engine and observe it. The only module that touches an engine."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from conformance.engines.protocol import Engine, Unsupported
from conformance.program import (
    Apply,
    Arg,
    Array,
    Backward,
    Detach,
    Dots,
    DType,
    DTypeArg,
    Grad,
    Hook,
    Inplace,
    Program,
    ReadGrad,
    Ref,
    RequiresGrad,
    RetainGrad,
    Seq,
    Slice,
    Special,
    ZeroGrad,
    name_of,
    to_numpy,
)

#: What torch says where it fails by itself: its gradient of sgn is a ZeroTensor, which nothing can be added to.
_OWN_FAULTS = ("INTERNAL ASSERT FAILED", "ZeroTensors are immutable")


class Failure(msgspec.Struct, frozen=True):
    """An exception of a run: the position of its step (-1: a leaf, the number of steps: reading), class and text."""

    step: int
    error: str
    message: str

    @property
    def torchs_own(self) -> bool:
        """Whether torch failed by itself, which no engine has to."""
        return any(text in self.message for text in _OWN_FAULTS)


class Observation(msgspec.Struct, frozen=True):
    """What a run showed. Arrays are numpy's; a gradient that is None is None.

    `looks` (the name of the node, and contiguity where the value is a view), `bumps` (by how much a step raised a
    version), `shared` (gradients in the same memory) and `warned` (steps and the classes of their warnings) are of an
    engine that shows how its values look; `flags` are requires_grad and is_leaf.
    """

    values: dict[int, npt.NDArray[Any] | None]
    grads: dict[int, npt.NDArray[Any] | None]
    flags: dict[int, tuple[bool, bool]]
    looks: dict[int, tuple[str, bool | None]] = {}
    bumps: tuple[tuple[int, int], ...] = ()
    shared: tuple[tuple[int, int], ...] = ()
    hooks: tuple[tuple[int, npt.NDArray[Any] | None], ...] = ()
    warned: tuple[tuple[int, str], ...] = ()
    failure: Failure | None = None
    unsupported: str | None = None


class _Run:
    """The state of one run: the values made so far."""

    def __init__(self, engine: Engine, program: Program) -> None:
        self.engine = engine
        self.program = program
        self.values: dict[int, Any] = {}
        self.kept: list[int] = []
        self.bumps: list[tuple[int, int]] = []
        self.hooks: list[tuple[int, npt.NDArray[Any] | None]] = []
        self.warned: list[tuple[int, str]] = []
        self.position = -1

    def argument(self, arg: Arg) -> Any:
        kind = type(arg)
        if kind is Ref:
            return self.values[arg.id]  # type: ignore[union-attr]
        if kind is Seq:
            return tuple([self.argument(item) for item in arg.items])  # type: ignore[union-attr]
        match arg:
            case Slice(start, stop, step):
                return slice(start, stop, step)
            case Dots():
                return ...
            case DTypeArg(name):
                return self.engine.dtype(name)
            case Special(value):
                return float(value)
        return arg

    def arguments(self, step: Apply | Inplace) -> tuple[list[Any], dict[str, Any]]:
        return [self.argument(a) for a in step.args], {k: self.argument(a) for k, a in step.kwargs}

    def constant(self, array: Array | None) -> Any:
        return None if array is None else self.engine.leaf(to_numpy(array), False)

    def store(self, out: tuple[int, ...], made: Any) -> None:
        if len(out) == 1 and not isinstance(made, (tuple, list)):
            self.values[out[0]] = made
            return
        if not isinstance(made, (tuple, list)) or len(made) != len(out):
            said = len(made) if isinstance(made, (tuple, list)) else "one value"
            raise TypeError(f"{len(out)} results expected, got {said}")
        self.values.update(zip(out, made, strict=True))

    # one method for each kind of step

    def apply(self, step: Apply) -> None:
        args, kwargs = self.arguments(step)
        if step.mode == "grad":
            made = self.call(step.form, step.op, args, kwargs)
        else:
            with self.engine.grad_mode(step.mode):
                made = self.call(step.form, step.op, args, kwargs)
        self.store(step.out, made)

    def call(self, form: str, op: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if form == "custom":
            return self.engine.custom(op, args)
        return self.engine.call(form, op, args, kwargs)

    def inplace(self, step: Inplace) -> None:
        args, kwargs = self.arguments(step)
        before = self.engine.look(self.values[step.target])
        with contextlib.nullcontext() if step.mode == "grad" else self.engine.grad_mode(step.mode):
            made = self.engine.inplace(step.op, self.values[step.target], args, kwargs)
        after = self.engine.look(made)
        if before is not None and after is not None:
            self.bumps.append((self.position, after[1] - before[1]))
        self.store(step.out, made)

    def detach(self, step: Detach) -> None:
        self.store(step.out, self.engine.detach(self.values[step.source]))

    def requires_grad(self, step: RequiresGrad) -> None:
        self.engine.set_requires_grad(self.values[step.target], step.value)
        if step.value:
            self.kept.append(step.target)

    def retain_grad(self, step: RetainGrad) -> None:
        self.engine.retain_grad(self.values[step.target])
        self.kept.append(step.target)

    def hook(self, step: Hook) -> None:
        engine, position, hooks = self.engine, self.position, self.hooks

        def called(value: Any) -> Any:
            seen = engine.grad(value) if step.kind == "post_accumulate" else value
            hooks.append((position, None if seen is None else engine.numpy(seen).copy()))
            if step.scale is None or value is None:
                return None
            return engine.call("operator", "mul", (value, step.scale), {})

        engine.hook(self.values[step.target], step.kind, called)

    def backward(self, step: Backward) -> None:
        roots = [self.values[i] for i in step.roots]
        gradients = [self.constant(g) for g in step.gradients]
        inputs = None if step.inputs is None else [self.values[i] for i in step.inputs]
        if len(roots) == 1 and not (step.retain_graph or step.create_graph or inputs is not None):
            self.engine.backward(roots[0], gradients[0])
        else:
            self.engine.backward_all(roots, gradients, step.retain_graph, step.create_graph, inputs)

    def grad(self, step: Grad) -> None:
        found = self.engine.grad_of(
            [self.values[i] for i in step.outputs],
            [self.values[i] for i in step.inputs],
            [self.constant(g) for g in step.gradients],
            step.retain_graph,
            step.create_graph,
            step.allow_unused,
        )
        self.store(step.out, tuple(found))

    def read_grad(self, step: ReadGrad) -> None:
        self.store(step.out, self.engine.grad(self.values[step.target]))

    def zero_grad(self, step: ZeroGrad) -> None:
        for i in step.targets:
            self.engine.zero_grad(self.values[i], step.to)

    def steps(self) -> None:
        engine, values = self.engine, self.values
        for leaf in self.program.leaves:
            values[leaf.id] = engine.leaf(to_numpy(leaf.array), leaf.requires_grad)
        given = _warnings.get()
        given.clear()
        for position, step in enumerate(self.program.steps):
            self.position = position
            _HANDLERS[type(step)](self, step)
            if given:
                self.warned += sorted({(position, warning.category.__name__) for warning in given})
                given.clear()
        self.position = len(self.program.steps)

    def observe(self) -> Observation:
        engine, values = self.engine, self.values
        seen = {i: values[i] for i in self.program.observe}
        read = engine.numpy
        arrays = {i: None if v is None else read(v) for i, v in seen.items()}
        grads = {}
        for i in [leaf.id for leaf in self.program.leaves if leaf.requires_grad] + self.kept:
            gradient = engine.grad(values[i])
            grads[i] = None if gradient is None else read(gradient)
        flags, looks = {}, {}
        # Which nodes a formula makes under create_graph is the formula's own affair.
        derived = {i for step in self.program.steps if isinstance(step, Grad) for i in step.out}
        for i, value in seen.items():
            flag = None if value is None else engine.flags(value)
            if flag is not None:
                flags[i] = flag
                look = None if i in derived else engine.look(value)
                if look is not None:
                    looks[i] = look[0], look[2]
        shared = _shared(grads) if looks and len(grads) > 1 else ()
        warned = tuple(self.warned) if looks else ()
        return Observation(arrays, grads, flags, looks, tuple(self.bumps), shared, tuple(self.hooks), warned)


def _shared(grads: dict[int, npt.NDArray[Any] | None]) -> tuple[tuple[int, int], ...]:
    """Pairs of gradients that lie in the same memory."""
    known = [(i, g) for i, g in grads.items() if g is not None]
    return tuple([(i, j) for k, (i, a) in enumerate(known) for j, b in known[:k] if np.may_share_memory(a, b)])


_HANDLERS: dict[type, Callable[[_Run, Any], None]] = {
    Apply: _Run.apply,
    Inplace: _Run.inplace,
    Detach: _Run.detach,
    RequiresGrad: _Run.requires_grad,
    RetainGrad: _Run.retain_grad,
    Hook: _Run.hook,
    Backward: _Run.backward,
    Grad: _Run.grad,
    ReadGrad: _Run.read_grad,
    ZeroGrad: _Run.zero_grad,
}


def run(engine: Engine, program: Program) -> Observation:
    """Run one program. An exception of the engine is part of what is observed, as are its warnings; none is raised."""
    with quiet():
        return _observed(_Run(engine, program))


def _observed(state: _Run) -> Observation:
    try:
        with state.engine.every_warning():
            state.steps()
        return state.observe()
    except Unsupported as missing:
        return Observation({}, {}, {}, unsupported=str(missing) or "unsupported")
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is what it shows
        step = state.program.steps[state.position] if 0 <= state.position < len(state.program.steps) else None
        if isinstance(step, Apply) and step.form != "custom" and not state.engine.supports(step.op):
            return Observation({}, {}, {}, unsupported=step.op)  # a helper of the program, which was not asked about
        text = " ".join(str(error).split())
        return Observation(
            {}, {}, {}, hooks=tuple(state.hooks), failure=Failure(state.position, type(error).__name__, text)
        )


def run_all(engine: Engine, programs: Iterable[Program]) -> list[Observation]:
    """Run programs one after another on one engine (alternating between engines costs a quarter more)."""
    with quiet():
        return [run(engine, program) for program in programs]


class _Tracer(_Run):
    """A run that notes what each step makes, before later steps change it."""

    def __init__(self, engine: Engine, program: Program) -> None:
        super().__init__(engine, program)
        self.made: dict[int, npt.NDArray[Any] | None] = {}

    def store(self, out: tuple[int, ...], made: Any) -> None:
        super().store(out, made)
        for i in out:
            value = self.values[i]
            self.made[i] = None if value is None else self.engine.numpy(value).copy()

    def observe(self) -> Observation:
        return Observation(self.made, {}, {})


def trace(engine: Engine, program: Program) -> Observation:
    """A run of which the values alone are observed: the results of every step, as they are right after it."""
    with quiet():
        return _observed(_Tracer(engine, program))


Near: TypeAlias = Callable[[int, npt.NDArray[Any], npt.NDArray[Any]], bool]


class _Follower(_Run):
    """A run that goes on, after each step, from what another engine made of it."""

    def __init__(self, engine: Engine, program: Program, others: Mapping[int, Any], near: Near) -> None:
        super().__init__(engine, program)
        self.others = others
        self.near = near
        self.own: dict[int, npt.NDArray[Any]] = {}
        self.apart = False

    def store(self, out: tuple[int, ...], made: Any) -> None:
        super().store(out, made)
        for i in out:
            value, other = self.values[i], self.others.get(i)
            if value is None or other is None:
                self.apart |= value is not other
                continue
            memory = self.engine.numpy(value)
            self.own[i] = memory.copy()
            if self.near(i, memory, other):
                memory[...] = other
            else:
                self.apart = True

    def observe(self) -> Observation:
        """With its own result of each step, where nothing has changed that since."""
        seen = super().observe()
        values = {
            i: v if v is None or not np.array_equal(v, self.others[i], equal_nan=True) else self.own[i]
            for i, v in seen.values.items()
        }
        return msgspec.structs.replace(seen, values=values)


def follow(engine: Engine, program: Program, others: Mapping[int, npt.NDArray[Any] | None], near: Near) -> Observation:
    """A run of a torch-like engine that goes on, after each step, from what another engine made of it.

    `others` has that for the results of every step (see `trace`); what is observed is the engine's own result of each
    step. Where one of them is not `near` the other's (it is told whose), the run fails with a RuntimeError.
    """
    with quiet():
        state = _Follower(engine, program, others, near)
        seen = _observed(state)
    if seen.failure is None and state.apart:
        return Observation({}, {}, {}, failure=Failure(len(program.steps), "RuntimeError", "a step is not near"))
    return seen


_warnings: ContextVar[list[warnings.WarningMessage]] = ContextVar("warnings")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings of the engines (which are observed), nor of numpy's arithmetic. To enter it again costs nothing."""
    if _warnings.get(None) is not None:
        yield
        return
    with warnings.catch_warnings(record=True) as given, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        token = _warnings.set(given)
        try:
            yield
        finally:
            _warnings.reset(token)


@contextlib.contextmanager
def steady_memory() -> Iterator[None]:
    """Rare garbage collection while many small programs run, which is 8-10 % faster."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()


#: An operand as `Shapes` is told of it: shape, dtype, whether it requires a gradient, and strides in elements (None
#: where it is contiguous); or the constant itself, where its contents matter (indices and masks).
Operand: TypeAlias = Array | tuple[tuple[int, ...], str, bool, tuple[int, ...] | None]
#: A result as `Shapes` tells of it: shape, dtype, whether a gradient can flow to it, and strides as above.
Result: TypeAlias = tuple[tuple[int, ...], DType, bool, tuple[int, ...] | None]


class Shapes:
    """Shape, dtype and layout of an operation's results, asked of the reference once for each case and remembered."""

    def __init__(self, reference: Engine) -> None:
        self._engine = reference
        self._known: dict[Any, tuple[Result, ...] | None] = {}
        self._leaves: dict[Any, Any] = {}

    def __call__(
        self,
        form: str,
        op: str,
        args: tuple[Arg, ...],
        kwargs: tuple[tuple[str, Arg], ...],
        operands: Mapping[int, Operand],
    ) -> tuple[Result, ...] | None:
        """Each result, or None when the reference refuses the operation or its backward.

        `operands` holds each value that is referred to.
        """
        given = tuple([(k, _shaped(a, operands)) for k, a in kwargs])
        key = (form, op, _shaped(args, operands), given)
        if key not in self._known:
            self._known[key] = self._ask(form, op, args, kwargs, operands)
        return self._known[key]

    def _ask(
        self,
        form: str,
        op: str,
        args: tuple[Arg, ...],
        kwargs: tuple[tuple[str, Arg], ...],
        operands: Mapping[int, Operand],
    ) -> tuple[Result, ...] | None:
        state = _Run(self._engine, Program((), ()))
        changed = form == "in-place" or any(name == "out" for name, _ in kwargs)
        for i, known in operands.items():
            state.values[i] = self._leaf(known, graded=not changed, own=changed)
        try:
            with quiet():
                given = {k: state.argument(a) for k, a in kwargs}
                call = self._engine.call if form != "in-place" else _change(self._engine)
                made = call(form, op, [state.argument(a) for a in args], given)
                parts = made if isinstance(made, (tuple, list)) else (made,)
                flags = [self._engine.flags(part) or (False, True) for part in parts]
                arrays = [self._engine.numpy(part) for part in parts]
                reached = [k for k, flag in enumerate(flags) if flag[0]]
                if reached and _odd(operands.values()):  # torch refuses some of these only here
                    ones = [self._engine.leaf(np.ones_like(arrays[k]), False) for k in reached]
                    self._engine.backward_all([parts[k] for k in reached], ones, None, False, None)
        except Exception:  # noqa: BLE001 - a refusal by the reference, of whatever class
            return None
        return tuple([(a.shape, name_of(a.dtype), flag[0], strides(a)) for a, flag in zip(arrays, flags, strict=True)])

    def _leaf(self, known: Operand, *, graded: bool, own: bool) -> Any:
        """A leaf that stands for an operand: one of its `own` where it is going to be changed, else a shared one."""
        if isinstance(known, Array):
            return self._engine.leaf(to_numpy(known), False)
        key = (*known, graded)
        leaf = None if own else self._leaves.get(key)
        if leaf is None:
            shape, dtype, requires_grad, layout = known
            leaf = self._engine.leaf(_stand_in(shape, dtype, layout), requires_grad and graded)
            if not own:
                self._leaves[key] = leaf
        return leaf


def strides(a: npt.NDArray[Any]) -> tuple[int, ...] | None:
    """Strides of an array in elements, None where they are those of a new one (or of nothing)."""
    if not a.size:
        return None
    found = tuple([n // a.itemsize for n in a.strides])
    new, size = [], 1
    for n in reversed(a.shape):
        new.append(size)
        size *= n
    return None if found == tuple(reversed(new)) else found


def _odd(operands: Iterable[Operand]) -> bool:
    """Whether some operand is empty or of float16, or operands are of different types."""
    known = [operand for operand in operands if not isinstance(operand, Array)]
    kinds = {dtype for _, dtype, *_ in known}
    return len(kinds) > 1 or "float16" in kinds or any(0 in shape for shape, *_ in known)


def _change(engine: Engine) -> Callable[..., Any]:
    return lambda _, op, args, kwargs: engine.inplace(op, args[0], args[1:], kwargs)


def _stand_in(shape: tuple[int, ...], dtype: str, layout: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Numbers within most domains, which make every matrix positive definite, in memory of these strides."""
    data = np.full(shape, 0.5, dtype)
    if len(shape) > 1:
        data += np.eye(shape[-2], shape[-1]).astype(dtype) * data.dtype.type(0.5)
    if layout is None:
        return data
    memory = np.empty(1 + sum((n - 1) * step for n, step in zip(shape, layout, strict=True)), dtype)
    laid = np.lib.stride_tricks.as_strided(memory, shape, [step * data.itemsize for step in layout])
    laid[...] = data
    return laid


def _shaped(arg: Any, operands: Mapping[int, Any]) -> Any:
    kind = type(arg)
    if kind is Ref:
        return operands[arg.id]
    if kind is Seq:
        return tuple([_shaped(item, operands) for item in arg.items])
    if kind is tuple:
        return tuple([_shaped(item, operands) for item in arg])
    return (kind, arg)
