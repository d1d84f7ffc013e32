"""What an operation declares, and what a declaration may ask of the generator.

A declaration says how operands and arguments are drawn, within which interval the operands must lie, within which the
results will, and where the kinks are. Shapes and dtypes of results are not declared: the reference is asked for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from conformance.program import Arg, DTypeArg, Form, Ref, Seq, Special

Interval: TypeAlias = tuple[float, float]
Arguments: TypeAlias = tuple[tuple[Arg, ...], dict[str, Arg]]
Range: TypeAlias = Callable[[Sequence[Interval], int], Interval]
T = TypeVar("T")

#: Operands whose magnitude stays moderate, so that programs stay well conditioned. The default domain.
WIDE: Interval = (-32.0, 32.0)
POSITIVE: Interval = (0.25, 32.0)
UNIT: Interval = (-0.875, 0.875)


class Draw(Protocol):
    """What a declaration can ask for. Every answer is a function of the example's bytes."""

    def x(self, ndim: int | None = None, least: int = 0, nonempty: bool = False, domain: Interval | None = None) -> Ref:
        """An operand with exactly `ndim` or at least `least` dimensions: an earlier value, made to fit, or a leaf."""

    def like(self, other: Ref, domain: Interval | None = None) -> Ref:
        """An operand whose shape broadcasts with that of `other`."""

    def shaped(self, shape: tuple[int, ...], domain: Interval | None = None, of: Ref | None = None) -> Ref:
        """An operand of exactly this shape, and of the dtype of another where torch's gradient needs it to be."""

    def fit(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        """As `x`, of exactly this shape: the elements of an earlier value are arranged to it."""

    def square(self, batch: bool = True, spread: float = 3.0) -> Ref:
        """A matrix (or a batch of them) far from singular, whose eigenvalues and singular values lie well apart."""

    def constant(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        """A floating leaf that requires no gradient."""

    def whole(self, shape: tuple[int, ...]) -> Ref:
        """A constant of small positive integers, as int64."""

    def places(self, shape: tuple[int, ...], size: int) -> Ref:
        """A constant int64 array of different indices below `size`."""

    def pivots(self, size: int) -> Ref:
        """A constant of int32: with which row (from 1) each row of a factored matrix has changed places."""

    def ascending(self, size: int) -> Ref:
        """A constant of ascending numbers, of the program's precision, between which and at which operands lie."""

    def signs(self, shape: tuple[int, ...]) -> Ref:
        """A constant of ones and minus ones, of the program's precision."""

    def apart(self, value: Ref) -> Ref:
        """The value with its ties broken, for operations whose choice among ties torch leaves open."""

    def packed(self, value: Ref) -> Ref:
        """The value in contiguous memory."""

    def unshared(self, value: Ref) -> Ref:
        """The value, in contiguous memory if a dimension is expanded, so that elements share theirs."""

    def mask(self, shape: tuple[int, ...], sizes: bool = False) -> Ref:
        """A constant array of bools; `sizes` says that the shape of the results depends on it."""

    def index(self, shape: tuple[int, ...], size: int) -> Ref:
        """A constant int64 array of indices into a dimension of `size` (which is not 0)."""

    def shape(self, value: Ref) -> tuple[int, ...]:
        """Shape of a value."""

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""

    def upto(self, bound: int) -> int:
        """An integer from 0 to bound - 1; 0 when bound is 0."""

    def dim(self, value: Ref) -> int:
        """A dimension of the value, counted from the front or from the back; 0 or -1 for a 0-d one."""

    def dims(self, value: Ref) -> Arg:
        """None, one dimension, or a Seq of several different ones."""

    def scalar(self) -> bool:
        """Whether a Python number shall stand in the place of an operand (never where a feature needs the operand)."""

    def number(self) -> float:
        """A float argument: short, and not 0."""


FUNCTION_METHOD: Final[tuple[Form, ...]] = ("function", "method")


@dataclass(frozen=True)
class Operation:
    """One operation of the vocabulary."""

    name: str
    family: str
    draw: Callable[[Draw], Arguments]
    domain: Interval = WIDE
    range: Range = lambda operands, _: hull(operands)
    kinks: tuple[float, ...] = ()
    forms: tuple[Form, ...] = FUNCTION_METHOD
    #: Whether a gradient flows through it; without, its results are compared and nothing more.
    gradient: bool = True
    #: Results that are determined up to their sign alone: programs go on with their squares.
    up_to_sign: tuple[int, ...] = ()
    #: Whether empty operands are asked for; torch itself fails in the backward of some.
    empty: bool = True
    #: How many times torch can differentiate it.
    orders: int = 3
    #: Whether torch can add to its gradient in place.
    repeats: bool = True
    #: Whether nan and infinities are tried (LAPACK, for one, says nothing of them).
    odd_values: bool = True
    #: Whether each result is made of one operand alone, in their order.
    separate: bool = False
    #: Keywords that every program gives, reduced ones too: without them torch answers differently from call to call.
    given: tuple[str, ...] = ()


# -- drawing: what declarations share ---------------------------------------------------------------------------------

FUNCTION: Final[tuple[Form, ...]] = ("function",)
METHOD: Final[tuple[Form, ...]] = ("method",)
ATTRIBUTE: Final[tuple[Form, ...]] = ("attribute",)


def argument(value: Any) -> Arg:
    """A plain Python value as an argument of a program: tuples, infinities and dtypes have a form of their own."""
    if isinstance(value, tuple):
        return Seq(tuple(argument(item) for item in value))
    if isinstance(value, float) and not math.isfinite(value):
        return Special(repr(value))  # type: ignore[arg-type]
    if isinstance(value, str) and value.startswith("torch."):
        name: Any = value.removeprefix("torch.")
        return DTypeArg(name)
    made: Arg = value
    return made


def keywords(d: Draw, options: dict[str, tuple[Any, ...]]) -> dict[str, Arg]:
    """One of the options for each keyword; `...` leaves it out."""
    chosen = {key: d.pick(values) for key, values in options.items()}
    return {key: argument(value) for key, value in chosen.items() if value is not ...}


def one(
    *more: tuple[Any, ...], domain: Interval | None = None, **options: tuple[Any, ...]
) -> Callable[[Draw], Arguments]:
    """An operand, then one of each of the positional and of the keyword options."""

    def draw(d: Draw) -> Arguments:
        return (d.x(domain=domain), *(argument(d.pick(values)) for values in more)), keywords(d, options)

    return draw


def two(
    first: Interval | None = None, second: Interval | None = None, **options: tuple[Any, ...]
) -> Callable[[Draw], Arguments]:
    """Two operands that broadcast, and one of each of the keyword options."""

    def draw(d: Draw) -> Arguments:
        x = d.x(domain=first)
        return (x, d.like(x, second)), keywords(d, options)

    return draw


# -- ranges: how the interval of the results follows from those of the operands and the number of elements ------------


def hull(operands: Sequence[Interval]) -> Interval:
    """The smallest interval around the operands' and 0: right for shapes, selections, clamps and means."""
    return min([0.0, *(o[0] for o in operands)]), max([0.0, *(o[1] for o in operands)])


def within(low: float, high: float) -> Range:
    """Results lie here whatever the operands."""
    return lambda _operands, _size: (low, high)


def rising(f: Callable[[float], float]) -> Range:
    """`f` rises: its values at the ends bound it."""
    return lambda operands, _size: (f(operands[0][0]), f(operands[0][1]))


def falling(f: Callable[[float], float]) -> Range:
    """`f` falls."""
    return lambda operands, _size: (f(operands[0][1]), f(operands[0][0]))


def largest(f: Callable[[float], float]) -> Range:
    """|result| is at most `f` of the largest |operand|."""

    def bound(operands: Sequence[Interval], _size: int) -> Interval:
        m = f(max(magnitude(o) for o in operands))
        return -m, m

    return bound


def magnitude(interval: Interval) -> float:
    """The largest absolute value in an interval."""
    return max(abs(interval[0]), abs(interval[1]))


def total(operands: Sequence[Interval], _size: int) -> Interval:
    """A sum of one of each operand."""
    return sum(o[0] for o in operands), sum(o[1] for o in operands)


def difference(operands: Sequence[Interval], _size: int) -> Interval:
    """The first minus the others."""
    return total([operands[0], *((-b, -a) for a, b in operands[1:])], 0)


def product(operands: Sequence[Interval], _size: int) -> Interval:
    """A product of one of each operand."""
    low, high = operands[0]
    for a, b in operands[1:]:
        corners = (low * a, low * b, high * a, high * b)
        low, high = min(corners), max(corners)
    return low, high


def sums(operands: Sequence[Interval], size: int) -> Interval:
    """A sum of up to `size` elements."""
    low, high = hull(operands)
    return size * low, size * high


def products(operands: Sequence[Interval], size: int) -> Interval:
    """A sum of up to `size` products."""
    m = size * max(magnitude(product(operands, size)), *(magnitude(o) for o in operands))
    return -m, m


def anywhere(_operands: Sequence[Interval], _size: int) -> Interval:
    """Nothing is known of the results; what follows tames them first."""
    return -math.inf, math.inf
