"""The gradients that torch chose where there is no derivative, each with its program and the one-sided derivatives.

The points are the kinks that the vocabulary declares; the programs are drawn by the declarations themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from conformance import execute
from conformance.engines import load
from conformance.exact.arithmetic import MP, UnspecifiedError
from conformance.program import Apply, Arg, Array, Backward, Leaf, Program, Ref, array, refs, to_numpy
from conformance.referee import Sides, UndecidedError, derivative, text
from conformance.script import expression, names
from conformance.vocabulary import OPERATIONS, Operation
from conformance.vocabulary.operation import Interval

T = TypeVar("T")

#: How many different choices of arguments are tried for an operation.
VARIANTS = 6

HEADERS = ("operation", "program", "at", "torch's gradient", "one-sided derivatives", "class")

INTRODUCTION = """\
# torch's conventions where there is no derivative

What torch gives at the kinks of its operations, next to the one-sided derivatives that the referee finds: the program
is evaluated in exact arithmetic and differentiated numerically, by nobody's rule. Each row is a program: the leaves
have the values of the column "at", every leaf requires a gradient, and backward starts with ones. The gradients are
those of the leaf's elements; the one-sided derivatives are those of its first element.

- **minimum-norm subgradient**: the nearest to 0 of all numbers between the one-sided derivatives; ties share evenly.
- **continuity**: the derivative of the only side there is, or its limit.
- **one side**: the derivative of one of the two sides.
- **within**: another number between the one-sided derivatives.
- **nan**: not a number.
- **arbitrary**: none of these.

Where the derivative exists and torch gives it, there is no row.
"""


class Row(msgspec.Struct, frozen=True):
    """A program at a kink: torch's gradient of one leaf, and the derivatives from either side."""

    operation: str
    program: Program
    leaf: int
    gradient: str
    sides: str
    kind: str

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        name = names(self.program)
        step = self.program.steps[0]
        assert isinstance(step, Apply)
        at = "; ".join(f"{name[leaf.id]} = {_plain(to_numpy(leaf.array))}" for leaf in self.program.leaves)
        gradient = f"{name[self.leaf]}: {self.gradient}"
        return self.operation, expression(step, name), at, gradient, self.sides, self.kind


class _Corner:
    """Draws an operation's operands with every element at a kink. Implements `vocabulary.operation.Draw`."""

    def __init__(self, operation: Operation, kink: float, variant: int) -> None:
        self.operation = operation
        self.kink = kink
        self.variant = variant
        self.leaves: list[Leaf] = []

    def _leaf(self, made: Array, requires_grad: bool = True) -> Ref:
        self.leaves.append(Leaf(len(self.leaves), made, requires_grad))
        return Ref(len(self.leaves) - 1)

    def _filled(self, shape: tuple[int, ...], domain: Interval | None) -> Ref:
        wanted = domain is None or domain == self.operation.domain or domain[0] <= self.kink <= domain[1]
        return self._leaf(array(np.full(shape, self.kink if wanted else 1.0)))

    def x(self, ndim: int | None = None, least: int = 0, nonempty: bool = False, domain: Interval | None = None) -> Ref:
        del nonempty
        pointwise = self.operation.family in ("unary", "binary", "ternary", "activation")
        n = ndim if ndim is not None else max(least, 0 if pointwise else 1)
        return self._filled((2,) * n, domain)

    def like(self, other: Ref, domain: Interval | None = None) -> Ref:
        return self._filled(self.shape(other), domain)

    def shaped(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        return self._filled(shape, domain)

    def packed(self, value: Ref) -> Ref:
        return value

    unshared = packed

    def mask(self, shape: tuple[int, ...]) -> Ref:
        return self._leaf(array(np.ones(shape), "bool"), False)

    def index(self, shape: tuple[int, ...], size: int) -> Ref:
        return self._leaf(array(np.arange(math.prod(shape)).reshape(shape) % size, "int64"), False)

    def shape(self, value: Ref) -> tuple[int, ...]:
        return self.leaves[value.id].array.shape

    def pick(self, options: Sequence[T]) -> T:
        return options[self.variant % len(options)]

    def upto(self, bound: int) -> int:
        return self.variant % bound if bound > 1 else 0

    def dim(self, value: Ref) -> int:
        del value
        return 0

    def dims(self, value: Ref) -> Arg:
        return 0 if self.variant % 2 and self.shape(value) else None

    def scalar(self) -> bool:
        return False

    def number(self) -> float:
        return (2.0, 0.5, -1.0)[self.variant % 3]


def rows(operations: Iterable[Operation] = tuple(OPERATIONS.values())) -> list[Row]:
    """A row for each leaf of each program at a kink of these operations where torch had to choose.

    What repeats a row at another point is left out.
    """
    reference = load("torch")
    shapes = execute.Shapes(reference)
    found: dict[tuple[str, ...], Row] = {}
    for operation in operations:
        for variant in range(VARIANTS if operation.kinks else 0):
            for kink in operation.kinks:
                program = _program(operation, kink, variant, shapes)
                if program is None:
                    continue
                seen = execute.run_all(reference, [program])[0]
                for row in _judged(operation.name, program, seen.grads):
                    name, call, _, gradient, sides, kind = row.cells()
                    found.setdefault((name, call, gradient, sides, kind), row)
    return [row for row in found.values() if row.kind != "derivative"]


def _program(operation: Operation, kink: float, variant: int, shapes: execute.Shapes) -> Program | None:
    corner: Any = _Corner(operation, kink, variant)
    try:
        args, kwargs = operation.draw(corner)
    except (AttributeError, NotImplementedError, IndexError):  # asks for more than a corner can be
        return None
    used = {r for a in (*args, *kwargs.values()) for r in refs(a)}
    given = {leaf.id: leaf.array for leaf in corner.leaves}
    form = operation.forms[0]
    made = shapes(form, operation.name, args, tuple(kwargs.items()), given)
    if made is None or len(used) != len(corner.leaves):
        return None
    first = len(corner.leaves)
    out = tuple(range(first, first + len(made)))
    step = Apply(operation.name, args, out, tuple(kwargs.items()), form)
    floats = [(i, shape) for i, (shape, dtype, *_) in zip(out, made, strict=True) if dtype.startswith("float")][:1]
    if not floats:
        return None
    roots, weights = (floats[0][0],), (array(np.ones(floats[0][1])),)
    return Program(tuple(corner.leaves), (step, Backward(roots, weights)))


def _judged(operation: str, program: Program, grads: dict[int, Any]) -> list[Row]:
    sides: dict[int, Sides] = {}
    for leaf in program.leaves:
        gradient = grads.get(leaf.id)
        if gradient is None or not gradient.size:
            continue
        try:
            sides[leaf.id] = derivative(program, leaf.id, (0,) * gradient.ndim)
        except (UndecidedError, UnspecifiedError):
            return []
    tied = sum(grads[i].size for i, s in sides.items() if s.bounds == (0, 1))
    return [
        Row(operation, program, i, _plain(grads[i]), _both(s), classify(float(grads[i].flat[0]), s, tied))
        for i, s in sides.items()
    ]


def classify(gradient: float, sides: Sides, tied: int = 1) -> str:
    """The class of a gradient, given the derivatives from either side; `tied` elements share it."""
    if math.isnan(gradient):
        return "nan"
    if sides.both is not None:
        return "derivative" if _equal(gradient, sides.both) else "arbitrary"
    if sides.bounds is None:
        return "arbitrary"
    low, high = sides.bounds
    found = [side for side in (sides.left, sides.right) if side is not None]
    if len(found) == 1:
        return "continuity" if _equal(gradient, found[0]) else "arbitrary"
    if _equal(gradient, min(max(MP.mpf(0), low), high)) or (
        sides.bounds == (0, 1) and _equal(gradient, 1 / MP.mpf(tied))
    ):
        jump = not (MP.isfinite(low) and MP.isfinite(high))
        return "continuity" if jump else "minimum-norm subgradient"
    if any(_equal(gradient, side) for side in found):
        return "one side"
    return "within" if low <= gradient <= high else "arbitrary"


def _equal(number: float, exact: Any) -> bool:
    return bool(number == exact or abs(number - exact) <= MP.mpf(10) ** -6 * max(1, abs(exact)))


def _plain(a: Any) -> str:
    return repr(a.item()) if not a.ndim else "[" + ", ".join(_plain(part) for part in a) + "]"


def _both(sides: Sides) -> str:
    if sides.both is not None:
        return _rounded(sides.both)
    return " | ".join("–" if side is None else _rounded(side) for side in (sides.left, sides.right))


def _rounded(number: Any) -> str:
    return text(+number if not MP.isfinite(number) else MP.mpf(MP.nstr(number, 6)))


def to_markdown(found: Sequence[Row], torch: str) -> str:
    """The whole page; `torch` is the version that was asked."""
    from conformance.reporting.markdown import code, table

    lines = [(code(a), code(b), code(c), code(d), e, f) for a, b, c, d, e, f in (row.cells() for row in found)]
    return f"{INTRODUCTION}\nAsked: torch {torch}.\n\n{table(HEADERS, lines)}\n"
