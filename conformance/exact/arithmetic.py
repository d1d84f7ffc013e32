"""The numbers, and what turns a function of numbers into one of arrays: element by element, or along dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import mpmath
import numpy as np

Arr: TypeAlias = Any
Function: TypeAlias = Callable[..., Any]

#: The arithmetic of every exact number. It is the suite's own: mpmath's global precision is left alone.
MP = mpmath.MPContext()
DIGITS = 50
MP.dps = DIGITS

ZERO, ONE, HALF = MP.mpf(0), MP.mpf(1), MP.mpf(0.5)


class UnspecifiedError(Exception):
    """Torch leaves the result open, and what its gradient is; the text says where."""


def num(value: Any) -> Any:
    """A Python float as the exact number it is."""
    return MP.mpf(value) if isinstance(value, float) else value


def arr(value: Any) -> Arr:
    """An array of objects; a bare number becomes a 0-d one."""
    return value if isinstance(value, np.ndarray) else np.array(value, dtype=object)


def is_int(value: Any) -> bool:
    """Whether a value is an array of integers or of bools, which has no derivative."""
    return isinstance(value, np.ndarray) and value.dtype != object


def real(f: Function) -> Function:
    """`f`, nan where it is undefined or not real."""

    def defined(*numbers: Any) -> Any:
        try:
            made = f(*numbers)
        except (ZeroDivisionError, ValueError, OverflowError, ArithmeticError):
            return MP.nan
        return MP.nan if isinstance(made, (MP.mpc, complex)) else made

    return defined


def modest(f: Function) -> Function:
    """`f`, which is summed term by term, for numbers below 10,000 only: beyond, 50 digits take minutes."""

    def limited(*numbers: Any) -> Any:
        if any(abs(number) > 10_000 for number in numbers):
            raise RuntimeError("numbers above 10,000 would take too long")
        return f(*numbers)

    return limited


def each(f: Function, n: int = 1) -> Function:
    """`f` for every element of `n` operands that broadcast; further arguments are passed on."""

    def mapped(*args: Any, **kwargs: Any) -> Arr:
        if len(args) == n and not kwargs:
            return arr(np.frompyfunc(real(f), n, 1)(*args))
        rest = args[n:]
        return arr(np.frompyfunc(real(lambda *a: f(*a, *rest, **kwargs)), n, 1)(*args[:n]))

    return mapped


def choose(f: Function) -> Function:
    """`f` of two operands, nan when either is."""
    return lambda a, b: a if a != a else b if b != b else f(a, b)


def axes(x: Arr, dim: Any) -> list[int]:
    """Dimensions as numbers from 0; all of them for None and for ()."""
    if dim is None or dim == ():
        return list(range(x.ndim))
    return [d % max(x.ndim, 1) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))] if x.ndim else []


def over(f: Function) -> Function:
    """`f` of the list of elements along the dimensions."""

    def reduced(x: Arr, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Arr:
        x = arr(x)  # numpy's arithmetic makes numbers of 0-d arrays
        gone = axes(x, dim)
        rest = [i for i in range(x.ndim) if i not in gone]
        shape = [x.shape[i] for i in rest]
        rows = x.transpose(rest + gone).reshape([*shape, math.prod(x.shape[i] for i in gone)])
        out = np.empty(shape, dtype=object)
        for at in np.ndindex(*shape):
            out[at] = f(rows[at].tolist(), **kwargs)
        return out.reshape([1 if i in gone else n for i, n in enumerate(x.shape)]) if keepdim else out

    return reduced


def scan(f: Function) -> Function:
    """`f` from the list of elements along one dimension to a list."""

    def scanned(x: Arr, dim: int = -1, **kwargs: Any) -> Arr:
        if not x.ndim:
            return arr(f([x.tolist()], **kwargs)[0])
        rows = np.moveaxis(x, dim, -1)
        made = [f(rows[at].tolist(), **kwargs) for at in np.ndindex(*rows.shape[:-1])]
        n = len(made[0]) if made else rows.shape[-1]
        out = np.empty((*rows.shape[:-1], n), dtype=object)
        for at, row in zip(np.ndindex(*rows.shape[:-1]), made, strict=True):
            out[at] = np.array([None, *row], dtype=object)[1:]
        return np.moveaxis(out, -1, dim)

    return scanned


def total(numbers: Iterable[Any]) -> Any:
    """The sum of numbers."""
    return sum(numbers, ZERO)


def product(numbers: Iterable[Any]) -> Any:
    """The product of numbers."""
    return math.prod(numbers, start=ONE)


def mean(row: Sequence[Any]) -> Any:
    """The mean of numbers."""
    return total(row) / len(row) if row else MP.nan


def variance(row: Sequence[Any], correction: Any = 1, unbiased: bool | None = None) -> Any:
    """The variance of numbers."""
    below = len(row) - (correction if unbiased is None else int(unbiased))
    m = mean(row)
    return total((v - m) ** 2 for v in row) / below if below > 0 else MP.nan


def p_norm(row: Sequence[Any], p: Any = 2) -> Any:
    """The p-norm of numbers."""
    sizes = [abs(v) for v in row]
    if p in (math.inf, -math.inf):
        return (max if p > 0 else min)(sizes)
    if p == 0:
        return MP.mpf(sum(v != 0 for v in sizes))
    power = MP.mpf(p)
    return real(lambda: total(v**power for v in sizes) ** (1 / power))() if power != 1 else total(sizes)


def log_sum(row: Sequence[Any]) -> Any:
    """log(sum(exp))."""
    return MP.log(total(MP.exp(v) for v in row)) if row else -MP.inf


def log_softmax(x: Arr, dim: int) -> Arr:
    """log(softmax) along a dimension."""
    return scan(lambda row: [v - log_sum(row) for v in row])(x, dim)


def softmax(x: Arr, dim: int) -> Arr:
    """softmax along a dimension."""
    return each(MP.exp)(log_softmax(x, dim))


def spread_args(f: Function) -> Function:
    """var(x, unbiased), var(x, dim, unbiased, keepdim), var(x, dim, correction=…)."""

    def called(x: Arr, *args: Any, unbiased: Any = None, correction: Any = 1, **kwargs: Any) -> Arr:
        given = list(args)
        if given and isinstance(given[0], bool):
            unbiased = given.pop(0)
        elif len(given) > 1:
            unbiased = given.pop(1)
        return f(x, *given, correction=1 if correction is None else correction, unbiased=unbiased, **kwargs)

    return called


def picked(pick: Callable[[list[Any]], int]) -> Function:
    """(values, indices) along a dimension; without one, the value alone. `pick` gives the position in a row."""

    def chosen(x: Arr, dim: Any = None, keepdim: bool = False) -> Any:
        values = over(lambda row: row[pick(row)])(x, dim, keepdim)
        return values if dim is None else (values, over(pick)(x, dim, keepdim).astype(np.int64))

    return chosen


def ranked(row: list[Any], k: int, largest: bool = False) -> int:
    """Position of the number that is k-th, counted from 0."""
    return sorted(range(len(row)), key=lambda i: -row[i] if largest else row[i])[k]


def without_nans(row: Sequence[Any]) -> list[Any]:
    """The numbers that are not nan."""
    return [v for v in row if v == v]


def _max(x: Arr, *args: Any, **kwargs: Any) -> Any:
    other = args[0] if args else kwargs.get("other")
    if isinstance(other, np.ndarray):
        return each(choose(max), 2)(x, other)
    return picked(lambda row: ranked(row, 0, True))(x, *args, **kwargs)


def _min(x: Arr, *args: Any, **kwargs: Any) -> Any:
    other = args[0] if args else kwargs.get("other")
    if isinstance(other, np.ndarray):
        return each(choose(min), 2)(x, other)
    return picked(lambda row: ranked(row, 0))(x, *args, **kwargs)


def running(better: Callable[[Any, Any], bool]) -> Function:
    """(values, indices) of the best number so far."""

    def run(x: Arr, dim: int) -> tuple[Arr, Arr]:
        def places(row: list[Any]) -> list[int]:
            best = 0
            return [best := i if better(v, row[best]) else best for i, v in enumerate(row)]

        return scan(lambda row: [row[i] for i in places(row)])(x, dim), scan(places)(x, dim).astype(np.int64)

    return run


def _sort(x: Arr, dim: int = -1, descending: bool = False, stable: bool = False) -> tuple[Arr, Arr]:
    def order(row: list[Any]) -> list[int]:
        return sorted(range(len(row)), key=lambda i: -row[i] if descending else row[i])

    return scan(lambda row: [row[i] for i in order(row)])(x, dim), scan(order)(x, dim).astype(np.int64)


def _topk(x: Arr, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Arr, Arr]:
    values, places = _sort(x, dim, largest)
    return (values, places) if not x.ndim else (np.take(values, range(k), dim), np.take(places, range(k), dim))


def _quantile(x: Arr, q: Any, dim: Any = None, keepdim: bool = False, interpolation: str = "linear") -> Arr:
    def of(part: Any) -> Function:
        def at(row: list[Any]) -> Any:
            row = sorted(without_nans(row))
            place = MP.mpf(part) * (len(row) - 1)
            low = int(MP.floor(place))
            high = min(low + 1, len(row) - 1)
            weight = place - low
            match interpolation:
                case "lower":
                    weight = ZERO
                case "higher":
                    weight = ONE if weight else ZERO
                case "nearest":
                    weight = MP.nint(place) - low
                case "midpoint":
                    weight = HALF if weight else ZERO
            return row[low] + weight * (row[high] - row[low])

        return at

    if isinstance(q, np.ndarray) and q.ndim:
        return np.stack([over(of(part))(x, dim, keepdim) for part in q])
    return over(of(q[()] if isinstance(q, np.ndarray) else q))(x, dim, keepdim)


def _cumulative(step: Function) -> Function:
    return scan(lambda row: list(itertools.accumulate(row, step)))
