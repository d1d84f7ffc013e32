"""The referee: who is right about a reduced program, the engine or torch?

The program is evaluated in exact arithmetic (`conformance.exact`) and differentiated numerically, from both sides. No
derivative rule of anyone's is used. Where the derivative exists, whoever is near it is right. At a kink, what lies
within the one-sided derivatives is a convention.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np

from conformance.compare import Mismatch
from conformance.exact import NOT_DIFFERENTIABLE, cost, function
from conformance.exact.arithmetic import DIGITS, MP, Arr, UnspecifiedError, arr, is_int
from conformance.exact.losses import is_clamped
from conformance.exact.matrices import is_symmetric
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    Backward,
    Detach,
    Dots,
    DTypeArg,
    Grad,
    Hook,
    Inplace,
    Program,
    ReadGrad,
    Ref,
    RequiresGrad,
    Seq,
    Slice,
    Special,
    ZeroGrad,
    operands,
    results,
    to_numpy,
)
from conformance.results import Verdict

#: An element of a value, and how far it is moved.
Move: TypeAlias = tuple[int, tuple[int, ...], Any]
Moves: TypeAlias = tuple[Move, ...]
#: The terms of the sum that is differentiated, by how far an element is moved.
Terms: TypeAlias = Callable[[Any], Sequence[Any]]

#: Elements that may be computed for one ruling: about a second's worth.
WORK = 150_000
#: Step of the differences, as a part of the number that is moved.
STEP = MP.mpf(2) ** -40
#: Seconds after which a ruling is given up.
PATIENCE = 15
#: Digits while derivatives of derivatives are taken.
MORE_DIGITS = 90


class UndecidedError(Exception):
    """Why the referee cannot say."""


class Ruling(msgspec.Struct, frozen=True):
    """The verdict, the referee's own number as text ("" without one), and the reason."""

    verdict: Verdict
    exact: str
    reason: str


class Sides(msgspec.Struct, frozen=True):
    """Derivatives at a point: from the left, from the right (None where undefined), both together, and all limits."""

    left: Any
    right: Any
    both: Any
    bounds: tuple[Any, Any] | None

    def __str__(self) -> str:
        if self.both is not None:
            return text(self.both)
        sides = " and ".join(
            f"{text(v)} from the {side}" for v, side in ((self.left, "left"), (self.right, "right")) if v is not None
        )
        return sides or "no derivative"


def text(number: Any) -> str:
    """A number with as many digits as decide anything."""
    return str(MP.nstr(number, 20, strip_zeros=True)) if not isinstance(number, (int, bool)) else str(number)


# -- exact evaluation --------------------------------------------------------------------------------------------------


class Evaluation:
    """A program in exact arithmetic. What is detached, computed under no_grad or of integers never moves."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._left = WORK
        self._fixed: dict[int, Arr] = {}
        self._leaves = {leaf.id: _exact(leaf.array) for leaf in program.leaves}
        self._weights: dict[Array, Arr] = {}
        changed = any(isinstance(s, Inplace) for s in program.steps)
        self._scales = _scales(program)
        for step in program.steps:
            if isinstance(step, RequiresGrad) and not step.value:
                raise UndecidedError("requires_grad is switched off")
            past = isinstance(step, Detach) or getattr(step, "op", "") in NOT_DIFFERENTIABLE
            if changed and (past or getattr(step, "mode", "grad") != "grad"):
                raise UndecidedError("values are changed in place past what autograd sees")
        self.base = self.run(())

    def run(self, moves: Moves, until: int | None = None) -> dict[int, Arr]:
        """All values, with some elements moved, of the steps before position `until`."""
        values = {i: a.copy() for i, a in self._leaves.items()}
        for i in values:
            self._moved(values, i, moves)
        for position, step in enumerate(self.program.steps[:until]):
            for i, made in self._step(position, step, values, moves):
                values[i] = made
                self._moved(values, i, moves)
        return values

    def _moved(self, values: dict[int, Arr], i: int, moves: Moves) -> None:
        """Move the value; where a hook scales its gradient, what follows moves so much more."""
        _move(values, i, moves)
        if moves and i in self._scales:
            values[i] = arr(self.base[i] + self._scales[i] * (values[i] - self.base[i]))

    def pulled(self, positions: Sequence[int], moves: Moves) -> list[Any]:
        """Terms of <cotangents, roots> of the backward or grad steps at these positions: what is differentiated."""
        found: list[Any] = []
        for position in positions:
            step = self.program.steps[position]
            values = self.run(moves, position)
            roots = step.roots if isinstance(step, Backward) else step.outputs if isinstance(step, Grad) else ()
            for root, gradient in zip(roots, getattr(step, "gradients", ()), strict=True):
                products = values[root] if gradient is None else values[root] * self._weight(gradient)
                found += arr(products).reshape(-1).tolist()
        return found

    def backwards(self, target: int, until: int | None = None) -> list[int]:
        """Positions of the backward steps whose gradients `target.grad` holds at position `until`."""
        found: list[int] = []
        for position, step in enumerate(self.program.steps[:until]):
            if isinstance(step, Backward) and (step.inputs is None or target in step.inputs):
                found.append(position)
            elif isinstance(step, ZeroGrad) and target in step.targets:
                found.clear()
        return found

    def size(self, target: int, where: tuple[int, ...]) -> Any:
        """Step by which an element is moved."""
        number = abs(self.base[target][where])
        return STEP * (max(number, MP.mpf(2) ** -13) if number and MP.isfinite(number) else 1)

    def _weight(self, gradient: Array) -> Arr:
        if gradient not in self._weights:
            self._weights[gradient] = _exact(gradient)
        return self._weights[gradient]

    def _step(self, position: int, step: AnyStep, values: dict[int, Arr], moves: Moves) -> Iterator[tuple[int, Arr]]:
        out = results(step)
        if out and all(i in self._fixed for i in out):
            yield from ((i, self._fixed[i]) for i in out)
            return
        match step:
            case Apply():
                kwargs = dict(step.kwargs)
                written = kwargs.pop("out", None)
                if isinstance(written, Ref) and any(written.id in operands(s) for s in self.program.steps if s != step):
                    raise UndecidedError("what out= has written is read under another name")
                made = self._apply(step.op, [_argument(a, values) for a in step.args], kwargs.items(), values)
            case Inplace():
                target = values[step.target]
                args = [target, *(_argument(a, values) for a in step.args)]
                op = step.op if step.op == "__setitem__" else step.op.removesuffix("_")
                (new,) = self._apply(op, args, step.kwargs, values)
                if new.shape == target.shape:
                    target[...] = new
                    new = target
                made = (new,)
            case Detach():
                made = (values[step.source].copy(),)
            case Grad():
                made = tuple(self._gradient([position], i, values, moves) for i in step.inputs)
            case ReadGrad():
                steps = self.backwards(step.target, position)
                made = (self._gradient(steps, step.target, values, moves),)
            case _:
                return
        if len(made) != len(out):
            raise UndecidedError(f"{getattr(step, 'op', 'a step')} gives {len(made)} results here")
        constant = getattr(step, "mode", "grad") == "no_grad" or isinstance(step, Detach)
        constant |= isinstance(step, Grad) and not step.create_graph
        fixed = NOT_DIFFERENTIABLE.get(getattr(step, "op", ""), ())
        for k, (i, value) in enumerate(zip(out, made, strict=True)):
            yield i, self._fixed.setdefault(i, value) if constant or k in fixed or is_int(value) else value

    def _apply(self, op: str, args: list[Any], kwargs: Any, values: dict[int, Arr]) -> tuple[Arr, ...]:
        compute = function(op)
        if compute is None:
            raise UndecidedError(f"{op} is not known in exact arithmetic")
        try:
            made = compute(*args, **{k: _argument(a, values) for k, a in kwargs})
        except (UndecidedError, UnspecifiedError):
            raise
        except Exception as error:  # an argument that the table does not know, or numbers out of range
            said = " ".join(str(error).split())
            raise UndecidedError(f"{op} cannot be evaluated exactly: {type(error).__name__}: {said}") from error
        parts = tuple(arr(part) for part in (made if isinstance(made, (tuple, list)) else (made,)))
        self._left -= (20 + sum(part.size for part in parts)) * cost(op)
        if self._left < 0:
            raise UndecidedError("the program is too large for exact arithmetic")
        return parts

    def _gradient(self, positions: list[int], target: int, values: dict[int, Arr], moves: Moves) -> Arr:
        out = np.empty(values[target].shape, dtype=object)
        for where in np.ndindex(*out.shape):
            h = self.size(target, where) * MP.mpf(2) ** -40 if hasattr(self, "base") else STEP * MP.mpf(2) ** -40
            out[where] = central(lambda t, at=where: self.pulled(positions, (*moves, (target, at, t))), h)  # type: ignore[misc]
        return out


def _scales(program: Program, until: int | None = None) -> dict[int, Any]:
    """By how much the hooks of each value scale its gradient, those registered before position `until`."""
    hooks = [(k, s) for k, s in enumerate(program.steps[:until]) if isinstance(s, Hook) and s.scale is not None]
    if not hooks:
        return {}
    backward = next((k for k, s in enumerate(program.steps) if isinstance(s, Backward)), len(program.steps))
    if hooks[-1][0] > backward or any(isinstance(s, (Grad, Inplace)) for s in program.steps):
        raise UndecidedError("a hook changes the gradient of a gradient, or of some backwards only")
    found: dict[int, Any] = {}
    for _, step in hooks:
        found[step.target] = found.get(step.target, MP.mpf(1)) * MP.mpf(step.scale or 0.0)
    return found


def _exact(a: Array) -> Arr:
    data = to_numpy(a)
    if data.dtype.kind != "f":
        return data
    out = np.empty(data.shape, dtype=object)
    for where in np.ndindex(*data.shape):
        out[where] = MP.mpf(float(data[where]))
    return out


def _move(values: dict[int, Arr], i: int, moves: Moves) -> None:
    for target, where, by in moves:
        if target == i:
            if not values[i].flags.writeable:
                values[i] = values[i].copy()
            values[i][where] += by


def _argument(arg: Arg, values: dict[int, Arr]) -> Any:
    match arg:
        case Ref(i):
            return values[i]
        case Seq(items):
            return tuple(_argument(item, values) for item in items)
        case Slice(start, stop, step):
            return slice(start, stop, step)
        case Dots():
            return ...
        case Special(value):
            return float(value)
        case DTypeArg(name):
            return name
    return arg


# -- numerical derivatives ---------------------------------------------------------------------------------------------


def change(after: Sequence[Any], before: Sequence[Any]) -> Any:
    """Sum of the differences of terms; an infinite term that stays the same has none."""
    return sum((a - b for a, b in zip(after, before, strict=True) if a != b), MP.mpf(0))


def central(f: Terms, h: Any) -> Any:
    """Derivative at 0 by central differences with one step of Richardson's extrapolation: error of order h⁴."""
    wide = change(f(h), f(-h)) / (2 * h)
    near = change(f(h / 2), f(-h / 2)) / h
    return (4 * near - wide) / 3


def sides(f: Terms, h: Any) -> Sides:
    """Derivatives of `f` at 0 from either side, and the bounds of all one-sided derivatives and their limits."""
    start = f(MP.mpf(0))
    left, right = (_one_sided(f, start, sign * h) for sign in (-1, 1))
    if left is not None and right is not None and MP.isfinite(left) and MP.isfinite(right):
        scale = max(abs(left), abs(right))
        if abs(left - right) <= scale * MP.mpf(10) ** -12 + MP.mpf(10) ** -18:
            both = central(f, h)
            return Sides(left, right, both, (both, both))
    limits = [_limit(f, sign * h) for sign in (-1, 1)]
    found = [v for v in (left, right, *limits) if v is not None]
    left, right = (limit if side is None else side for side, limit in zip((left, right), limits, strict=True))
    return Sides(left, right, None, (min(found), max(found)) if found else None)


def _one_sided(f: Terms, start: Sequence[Any], h: Any) -> Any:
    """Limit of the difference quotient: a number, an infinity, or None where `f` is undefined."""
    return _settled(lambda part: change(f(h * part), start) / (h * part))


def _limit(f: Terms, h: Any) -> Any:
    """Limit of the derivative as the point is approached."""

    def slope(part: Any) -> Any:
        at, by = h * part * MP.mpf(2) ** 20, h * part * MP.mpf(2) ** -10
        return change(f(at + by), f(at - by)) / (2 * by)

    return _settled(slope)


def _settled(quotient: Callable[[Any], Any]) -> Any:
    first, second = quotient(MP.mpf(1)), quotient(MP.mpf(0.5))
    if not (MP.isfinite(first) and MP.isfinite(second)):
        return None
    if abs(second - first) <= MP.mpf(10) ** -4 * max(abs(first), abs(second)):
        return 2 * second - first
    third = quotient(MP.mpf(2) ** -40)
    if not MP.isfinite(third):
        return None
    if abs(third) <= MP.mpf(10) ** -18:  # the last digits of what is zero, over a step that is small
        return MP.mpf(0)
    if 2 * abs(third) > 3 * abs(second):
        return MP.inf * MP.sign(third)
    return MP.mpf(0) if 3 * abs(third) < 2 * abs(second) else third


# -- ruling ------------------------------------------------------------------------------------------------------------


def judge(program: Program, mismatch: Mismatch) -> Ruling:
    """Who is right about this mismatch of this program. Never raises; what cannot be decided says why."""
    if mismatch.kind in (
        "error",
        "none",
        "dtype",
        "shape",
        "requires_grad",
        "is_leaf",
        "grad_fn",
        "contiguity",
        "version",
        "alias",
        "warning",
        "crash",
        "hang",
    ) or (mismatch.kind == "hook" and mismatch.difference.where is None):
        what = {
            "error": "which programs raise, and what",
            "none": "which gradients are None",
            "crash": "which programs have a result",
            "hang": "which programs have a result",
            "requires_grad": "requires_grad",
            "is_leaf": "is_leaf",
            "hook": "which hooks are called, and when",
            "grad_fn": "the names of nodes",
            "contiguity": "how results lie in memory",
            "version": "which changes are counted",
            "alias": "which gradients share memory",
            "warning": "what is warned of",
        }.get(mismatch.kind, f"the {mismatch.kind}")
        return Ruling("engine wrong", "", f"torch is the specification of {what}")
    seconds = any(isinstance(step, (Grad, ReadGrad)) for step in program.steps)
    try:
        with MP.workdps(MORE_DIGITS if seconds else DIGITS), _patience():
            return _rule(Evaluation(program), mismatch)
    except UndecidedError as reason:
        return Ruling("undecided", "", str(reason))
    except UnspecifiedError as reason:
        return Ruling("convention differs", "", f"torch leaves this open: {reason}")


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """The last resort against a function that the work limit does not know to be slow: `UndecidedError` by the clock.

    Only where a timer can be set: in the main thread, on systems that have one.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise UndecidedError(f"exact arithmetic took longer than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def derivative(program: Program, target: int, where: tuple[int, ...]) -> Sides:
    """Derivatives of what `target.grad` holds at the end, at one element. Raises `UndecidedError`."""
    with MP.workdps(MORE_DIGITS if any(isinstance(s, Grad) for s in program.steps) else DIGITS):
        exact = Evaluation(program)
        _require_specified(exact)
        return _sides(exact, target, where, None)


def _sides(exact: Evaluation, target: int, where: tuple[int, ...], steps: list[int] | None) -> Sides:
    positions = exact.backwards(target) if steps is None else steps
    return sides(lambda t: exact.pulled(positions, ((target, where, t),)), exact.size(target, where))


def _rule(exact: Evaluation, mismatch: Mismatch) -> Ruling:
    difference, program = mismatch.difference, exact.program
    where = difference.where
    if where is None:
        raise UndecidedError("no element to judge")
    torch, engine = (_number(side) for side in (difference.expected, difference.actual))
    target, steps = mismatch.value, None
    read = next((s.target for s in program.steps if isinstance(s, ReadGrad) and target in s.out), None)
    if mismatch.kind == "value" and read is not None:  # what is read of `.grad` is added to by what follows
        target = read
    elif mismatch.kind == "value":
        if np.ndim(exact.base[target]) != len(where):
            raise UndecidedError("the referee finds another shape")
        number = exact.base[target][where]
        if is_int(exact.base[target]):
            return _integers(int(number), torch, engine)
        if MP.isnan(number):
            return Ruling("convention differs", "nan", "the operation is not defined here")
        return _near(exact, number, torch, engine, "value", lambda e: e.base[target][where])
    factor = MP.mpf(1)
    if mismatch.kind == "hook":
        target, steps, factor = _hooked(program, difference.what)
    for position, step in enumerate(program.steps):
        if isinstance(step, Grad) and target in step.out:
            target, steps = step.inputs[step.out.index(target)], [position]
    _require_specified(exact)
    found = _sides(exact, target, where, steps)
    if found.both is not None:

        def again(moved: Evaluation) -> Any:
            both = _sides(moved, target, where, steps).both
            return None if both is None else both * factor

        return _near(exact, found.both * factor, torch, engine, "derivative", again)
    if factor != 1:
        raise UndecidedError("a hook changes the gradient at a kink")
    return _at_kink(found, torch, engine)


def _require_specified(exact: Evaluation) -> None:
    """Torch's gradients of matrices of which one triangle is read are of no function of numbers: conventions.

    Nor does exact arithmetic follow what torch computes past autograd: `UndecidedError`.
    """
    for step in exact.program.steps:
        if isinstance(step, Apply) and step.op == "nn.functional.gaussian_nll_loss":
            args = [_argument(a, exact.base) for a in step.args]
            if is_clamped(*args, **{k: _argument(a, exact.base) for k, a in step.kwargs}):
                raise UndecidedError("gaussian_nll_loss clamps a variance past autograd")
        if isinstance(step, Apply) and step.op in ("cholesky_inverse", "cholesky_solve"):
            raise UnspecifiedError("the gradient of the triangle that is not read")
        of_symmetric = ("cholesky", "cholesky_ex", "eigh", "eigvalsh")
        symmetric = isinstance(step, Apply) and step.op.rpartition(".")[2] in of_symmetric
        if isinstance(step, Apply) and symmetric and not is_symmetric(exact.base[operands(step)[0]]):
            raise UnspecifiedError(f"the gradient of {step.op} for a matrix that is not symmetric")


def _hooked(program: Program, what: str) -> tuple[int, list[int], Any]:
    """The value of a hook, the backwards that it sees, and how its argument goes with the gradient as it ends up."""
    backwards = [i for i, s in enumerate(program.steps) if isinstance(s, Backward)]
    position = re.search(r"of step (\d+)$", what)
    step = program.steps[int(position[1])] if position else None
    if not isinstance(step, Hook) or len(backwards) != 1:
        raise UndecidedError("a hook that is called more than once")
    if step.kind == "post_accumulate" or not _scales(program):
        return step.target, backwards, MP.mpf(1)
    before, every = (_scales(program, until).get(step.target, MP.mpf(1)) for until in (int(position[1]), None))  # type: ignore[index]
    if not every:
        raise UndecidedError("a hook makes the gradient zero")
    return step.target, backwards, before / every


def _number(side: str) -> Any:
    return MP.mpf({"True": "1", "False": "0"}.get(side, side)) if side not in ("nan", "inf", "-inf") else MP.mpf(side)


def _integers(number: int, torch: Any, engine: Any) -> Ruling:
    if number == torch:
        return Ruling("engine wrong", str(number), "torch's result is the exact one")
    if number == engine:
        return Ruling("torch wrong", str(number), "the engine's result is the exact one")
    return Ruling("undecided", str(number), "neither result is the exact one")


def _near(
    exact: Evaluation, number: Any, torch: Any, engine: Any, noun: str, again: Callable[[Evaluation], Any]
) -> Ruling:
    """The number exists: whoever is much nearer to it is right."""
    shown = text(number)
    if MP.isinf(number):
        off = [0 if side == number else MP.inf for side in (torch, engine)]
    else:
        off = [abs(side - number) if MP.isfinite(side) else MP.inf for side in (torch, engine)]
    if 4 * off[0] <= off[1] and off[0] < off[1]:
        return Ruling("engine wrong", shown, f"the {noun} is {shown}; torch is off by {_short(off[0])}, {_far(off[1])}")
    kinked = _kinked(exact) if noun == "derivative" else None
    if kinked is not None:
        reason = f"the {noun} of the whole is {shown}, but {kinked} alone has none here, where the chain rule ends"
        return Ruling("convention differs", shown, reason)
    if 4 * off[1] <= off[0] and off[1] < off[0]:
        reason = f"the {noun} is {shown}; the engine is off by {_short(off[1])}, torch by {_short(off[0])}"
        return Ruling("torch wrong", shown, reason)
    spread = _spread(exact, number, again)
    if min(off) <= 64 * spread:
        reason = f"the {noun} is {shown}, and rounding the leaves moves it by {_short(spread)}"
        return Ruling("ill-conditioned", shown, reason)
    reason = f"the {noun} is {shown}; torch is off by {_short(off[0])}, the engine by {_short(off[1])}"
    return Ruling("undecided", shown, reason)


def _short(number: Any) -> str:
    return str(MP.nstr(number, 3))


def _far(off: Any) -> str:
    return f"the engine by {_short(off)}" if MP.isfinite(off) else "the engine is not finite there"


def _at_kink(found: Sides, torch: Any, engine: Any) -> Ruling:
    shown = str(found)
    if found.bounds is None:
        return Ruling("convention differs", "", "the derivative does not exist here, from either side")
    low, high = found.bounds
    slack = MP.mpf(10) ** -6 * max([abs(v) for v in (low, high) if MP.isfinite(v)], default=1)
    inside = [low - slack <= side <= high + slack for side in (torch, engine)]
    where = f"there is no derivative here, only {shown}"
    if all(inside):
        return Ruling("convention differs", shown, f"{where}; both lie within")
    if inside[0]:
        return Ruling("engine wrong", shown, f"{where}; torch's lies within, the engine's does not")
    if not (MP.isfinite(low) and MP.isfinite(high)):
        return Ruling("convention differs", shown, f"{where}; any number is a convention")
    if inside[1]:
        return Ruling("torch wrong", shown, f"{where}; the engine's lies within, torch's does not")
    return Ruling("undecided", shown, f"{where}; neither lies within")


def _spread(exact: Evaluation, number: Any, again: Callable[[Evaluation], Any]) -> Any:
    """How far rounding the leaves by one unit of the last place moves the number."""
    program, found = exact.program, MP.mpf(0)
    for sign in (1, -1):
        moved = Evaluation(program)
        for leaf in program.leaves:
            if leaf.array.dtype.startswith("float"):
                eps = MP.mpf(float(np.finfo(leaf.array.dtype).eps))
                signs = np.resize([sign, -sign, sign], leaf.array.shape)
                moved._leaves[leaf.id] = arr(moved._leaves[leaf.id] * (1 + signs * eps))
        moved._fixed.clear()
        moved.base = moved.run(())
        other = again(moved)
        if other is None or not MP.isfinite(other):
            return MP.inf
        found = max(found, abs(other - number))
    return found


def _bend(f: Callable[[Any], Arr], h: Any) -> list[Any]:
    """How far the slopes on either side of 0 differ, for each element: of order h unless there is a kink."""
    middle, up, down = f(MP.mpf(0)), f(h), f(-h)
    return [abs(a + b - 2 * m) / h for a, b, m in zip(up, down, middle, strict=True)]


def _kinked(exact: Evaluation) -> str | None:
    """The first operation that, taken alone, has no derivative at these values along a direction of no symmetry."""
    for step in exact.program.steps:
        if not isinstance(step, Apply):
            continue
        floats = [i for i in dict.fromkeys(operands(step)) if not is_int(exact.base[i])]
        base = {i: exact.base[i] for i in operands(step)}

        def at(t: Any, step: Apply = step, base: Any = base, floats: list[int] = floats) -> Arr:
            moved = dict(base)
            for n, i in enumerate(floats):
                along = [MP.mpf(k * 7 % 11 + n + 1) / 8 for k in range(base[i].size)]
                moved[i] = base[i] + t * np.array([None, *along], dtype=object)[1:].reshape(base[i].shape)
            parts = exact._apply(step.op, [_argument(a, moved) for a in step.args], step.kwargs, moved)
            return np.concatenate([p.reshape(-1) for p in parts if not is_int(p)])

        wide, near = (_bend(at, STEP * part) for part in (1, MP.mpf(2) ** -8))
        if any(not (b <= a / 16 or b <= MP.mpf(10) ** -18) for a, b in zip(wide, near, strict=True)):
            return step.op
    return None
