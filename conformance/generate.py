"""Programs from bytes: a total decoder, the order of the search, and Hypothesis as the source of bytes.

`decode` makes a valid program of any bytes. Each step reads its own stretch of them, operands are absolute positions,
and what the reference would refuse becomes a pass-through, so that nothing is discarded and nothing shifts.

The search is breadth first. A *cell* is an operation with a feature, a *pair* is two operations of which the first
feeds the second (one program holds the pairs of one first with several seconds), and free programs have several steps. They come in *blocks*; the seed of a block follows from the
run's seed, the suite's version and the block's name alone, so that order, shards and budgets change no program.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np

from conformance import __version__
from conformance.execute import Shapes
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    Backward,
    Detach,
    DType,
    Form,
    Grad,
    GradMode,
    Hook,
    Inplace,
    Layout,
    Leaf,
    Program,
    Ref,
    RetainGrad,
    Seq,
    array,
    refs,
)
from conformance.vocabulary import OPERATIONS, Operation
from conformance.vocabulary.operation import WIDE, Interval, argument, hull

T = TypeVar("T")

#: What a cell adds to the plain application of an operation to float64 values.
FEATURES = (
    "float64",
    "float32",
    "mixed",
    "broadcast",
    "0-d",
    "empty",
    "strided",
    "reuse",
    "kink",
    "order 2",
    "method",
    "operator",
    "no_grad",
    "detach",
    "retain_grad",
    "hook",
    "accumulate",
    "in-place",
)
Feature: TypeAlias = str

HEADER = 8
SLOT = 16
SLOTS = 9
#: Seconds that one program tries after a first.
FAN = SLOTS - 1
#: Bytes of one program; a cell reads two slots only, and Hypothesis takes its time by the byte.
SIZE = HEADER + SLOTS * SLOT
SHORT = HEADER + 2 * SLOT
#: Programs in one Hypothesis example.
BATCH = 32
LARGEST = 96

_SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    0: ((),),
    1: ((3,), (2,), (4,), (1,)),
    2: ((2, 3), (3, 2), (2, 2), (1, 3), (3, 3), (3, 1)),
    3: ((2, 3, 2), (2, 1, 3), (1, 2, 2), (2, 2, 2)),
    4: ((1, 2, 3, 2), (2, 1, 2, 3)),
    5: ((1, 1, 2, 2, 3), (1, 2, 1, 2, 2)),
}
_EMPTY: dict[int, tuple[tuple[int, ...], ...]] = {1: ((0,),), 2: ((0, 2), (2, 0)), 3: ((2, 0, 2), (0, 2, 1))}
_NDIMS = (1, 2, 2, 1, 3, 2, 0, 2)
_NUMBERS = (2.0, 0.5, -1.0, 1.5, -0.5, 3.0, 0.25, -2.0)
_WEIGHTS = (1.0, -0.5, 2.0, 0.75, -1.25, 1.5, -2.0, 0.5)


class Target(msgspec.Struct, frozen=True):
    """What a program is asked to contain: an operation with a feature, or one that feeds others, or nothing."""

    kind: Literal["cell", "pair", "free"]
    first: str = ""
    feature: Feature = ""
    seconds: tuple[str, ...] = ()


class _Info(msgspec.Struct, frozen=True):
    """What the decoder knows of a value without running it."""

    shape: tuple[int, ...]
    dtype: DType
    interval: Interval
    leaves: frozenset[int]
    constant: Array | None = None

    def known(self, recorded: bool = True) -> Array | tuple[tuple[int, ...], str, bool]:
        return self.constant if self.constant is not None else (self.shape, self.dtype, recorded and bool(self.leaves))

    @property
    def floating(self) -> bool:
        return self.dtype[0] == "f"


@lru_cache(maxsize=512)
def _pool(domain: Interval) -> tuple[float, ...]:
    """Short, exact, different numbers of moderate size inside a domain; 0 is no member, since it is a kink of many."""
    low, high = max(domain[0], -3.0), min(domain[1], 3.0)
    eighths = [k / 8 for k in range(math.ceil(low * 8), math.floor(high * 8) + 1) if k]
    return (
        tuple(eighths[(i * 7 + 3) % len(eighths)] for i in range(len(eighths))) if len(eighths) % 7 else tuple(eighths)
    )


@lru_cache(maxsize=16384)
def _filled(shape: tuple[int, ...], dtype: DType, pool: tuple[float, ...], start: int, layout: Layout) -> Array:
    n = math.prod(shape)
    values: list[float] = [pool[(start + i) % len(pool)] for i in range(n)]
    if layout == "expanded" and n:
        row = n // shape[0]
        values = values[:row] * shape[0]
    made = array(values, dtype, layout)
    return msgspec.structs.replace(made, shape=shape)


class _Decoder:
    """Builds one program. Implements `vocabulary.operation.Draw`."""

    def __init__(self, data: bytes, shapes: Shapes, feature: Feature = "float64") -> None:
        self.data = data
        self.at = 0
        self.end = HEADER
        self.base = 0
        self.shapes = shapes
        self.feature = feature
        self.realized = feature in ("float64", "float32")
        self.infos: dict[int, _Info] = {}
        self.leaves: list[Leaf] = []
        self.steps: list[AnyStep] = []
        self.slots: list[int] = []
        self.used: list[int] = []
        self.forced: int | None = None
        self.operation: Operation | None = None
        self.inplace_target = -1
        self.twice = True

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def slot(self, number: int) -> None:
        """Read from the stretch of slot `number` from now on."""
        self.base = self.at = HEADER + number % SLOTS * SLOT
        self.end = self.base + SLOT

    def byte(self) -> int:
        if self.at >= self.end:
            self.at = self.base
        value = self.data[self.at]
        self.at += 1
        return value

    def upto(self, bound: int) -> int:
        return self.byte() % bound if bound > 1 else 0

    def pick(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def scalar(self) -> bool:
        return self.upto(4) == 3 and self.feature not in ("reuse", "broadcast", "mixed")

    def number(self) -> float:
        return self.pick(_NUMBERS)

    # -- values --------------------------------------------------------------------------------------------------------

    def shape(self, value: Ref) -> tuple[int, ...]:
        return self.infos[value.id].shape

    def dim(self, value: Ref) -> int:
        n = max(len(self.shape(value)), 1)
        return self.upto(2 * n) - n

    def dims(self, value: Ref) -> Arg:
        n = len(self.shape(value))
        kind = self.upto(4)
        if n == 0 or kind == 0:
            return None
        if kind < 3 or n == 1:
            return self.dim(value)
        left_out = self.upto(n) if n > 2 else -1
        return Seq(tuple(i for i in range(n) if i != left_out))

    def _new(self, info: _Info) -> int:
        number = len(self.infos)
        self.infos[number] = info
        return number

    def leaf(self, made: Array, interval: Interval, requires_grad: bool = True, matters: bool = False) -> int:
        """Append a leaf; `matters` says that shapes of results depend on its contents."""
        number = self._new(
            _Info(
                made.shape,
                made.dtype,
                interval,
                frozenset((len(self.infos),)) if requires_grad else frozenset(),
                made if matters else None,
            )
        )
        self.leaves.append(Leaf(number, made, requires_grad))
        return number

    def _dtype(self) -> DType:
        if self.feature == "float32":
            return "float32"
        if self.feature == "mixed":
            dtype: DType = "float32" if len(self.leaves) % 2 else "float64"
            self.realized |= bool(self.leaves)
            return dtype
        return "float64"

    def fresh(self, shape: tuple[int, ...], domain: Interval) -> int:
        """A new leaf with numbers of the domain, or at the operation's kinks."""
        pool = _pool(domain)
        layout: Layout = "contiguous"
        if self.feature == "kink" and self.operation is not None and self.operation.kinks:
            pool = (*self.operation.kinks, pool[self.byte() % len(pool)])
            self.realized = True
        if self.feature == "strided" and shape and 0 not in shape:
            layouts: tuple[Layout, ...] = ("transposed", "strided", "expanded") if len(shape) > 1 else ("strided",)
            layout = self.pick(layouts)
            self.realized = True
        return self.leaf(_filled(shape, self._dtype(), pool, self.byte() % len(pool), layout), (min(pool), max(pool)))

    def _some_shape(self, ndim: int | None, least: int, nonempty: bool) -> tuple[int, ...]:
        if self.feature == "0-d" and least == 0 and ndim in (None, 0):
            self.realized = True
            return ()
        n = ndim if ndim is not None else max(least, self.pick(_NDIMS))
        nonempty |= self.operation is not None and not self.operation.empty
        if self.feature == "empty" and not nonempty and n in _EMPTY:
            self.realized = True
            empty: tuple[int, ...] = self.pick(_EMPTY[n])
            return empty
        return self.pick(_SHAPES[n])

    def x(self, ndim: int | None = None, least: int = 0, nonempty: bool = False, domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        chosen = self.forced
        self.forced = None
        if chosen is None and self.slots:
            b = self.byte()
            if b % 4:
                chosen = self.slots[(b >> 2) % len(self.slots)]
        if chosen is not None:
            info = self.infos[chosen]
            nonempty |= self.operation is not None and not self.operation.empty
            if not info.floating or (nonempty and 0 in info.shape) or math.prod(info.shape) > LARGEST:
                chosen = None
        if chosen is None:
            return Ref(self.fresh(self._some_shape(ndim, least, nonempty), domain))
        return Ref(self._within(self._ranked(chosen, ndim, least), domain))

    @property
    def _domain(self) -> Interval:
        return self.operation.domain if self.operation is not None else WIDE

    def _ranked(self, value: int, ndim: int | None, least: int) -> int:
        """The value with the number of dimensions that is asked for."""
        shape = self.infos[value].shape
        n = len(shape)
        wanted = ndim if ndim is not None else max(n, least)
        if n == wanted:
            return value
        if n < wanted:
            new: tuple[int, ...] = (1,) * (wanted - n) + shape
        elif wanted == 0:
            return self._plain("sum", (Ref(value),))
        else:
            new = (math.prod(shape[: n - wanted + 1]), *shape[n - wanted + 1 :])
        return self._plain("reshape", (Ref(value), Seq(new)))

    def _within(self, value: int, domain: Interval) -> int:
        """The value moved into a domain by an exact scale and shift."""
        low, high = self.infos[value].interval
        if domain[0] <= low and high <= domain[1]:
            return value
        if not (math.isfinite(low) and math.isfinite(high)):
            value = self._plain("sin", (Ref(value),))
            low, high = -1.0, 1.0
        a, b = max(domain[0], -4.0), min(domain[1], 4.0)
        if high - low > 0.75 * (b - a):
            scale = 2.0 ** math.floor(math.log2(0.75 * (b - a) / (high - low)))
            value = self._plain("mul", (Ref(value), scale))
            low, high = low * scale, high * scale
        if not (a <= low and high <= b):
            shift = round(((a + b) - (low + high)) * 4) / 8
            value = self._plain("add", (Ref(value), shift))
            self._bound(value, (low + shift, high + shift))
        else:
            self._bound(value, (low, high))
        return value

    def _bound(self, value: int, interval: Interval) -> None:
        info = self.infos[value]
        self.infos[value] = _Info(info.shape, info.dtype, interval, info.leaves)

    def like(self, other: Ref, domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        shape = self.shape(other)
        b = self.byte()
        if self.feature == "reuse" and (b % 2 or not self.slots) and domain == self._domain:
            return other
        if self.slots and b % 4 == 1:
            near = [
                v
                for v in self.slots
                if self.infos[v].floating
                and _broadcast(self.infos[v].shape, shape)
                and math.prod(self.infos[v].shape) <= 24
            ]
            if near:
                return Ref(self._within(near[(b >> 2) % len(near)], domain))
        if self.feature == "broadcast" or (b % 4 == 2 and self.feature in ("float64", "")):
            options = [(), shape[1:], (2, *shape)] if len(shape) < 3 else [(), shape[1:]]
            options += [tuple(1 if i == k else n for i, n in enumerate(shape)) for k in range(len(shape))]
            found = [s for s in options if s != shape and len(s) < 4]
            if found:
                self.realized |= self.feature == "broadcast"
                shape = found[(b >> 2) % len(found)]
        return Ref(self.fresh(shape, domain))

    def shaped(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        b = self.byte()
        if self.slots and b % 2:
            same = [v for v in self.slots if self.infos[v].shape == shape and self.infos[v].floating]
            if same:
                return Ref(self._within(same[(b >> 1) % len(same)], domain))
        return Ref(self.fresh(shape, domain))

    def fit(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        value = self.x(domain=domain) if self.forced is not None or self.slots else Ref(self.fresh(shape, domain))
        have = self.shape(value)
        if have == shape:
            return value
        n, m = math.prod(have), math.prod(shape)
        if n == m:
            return Ref(self._plain("reshape", (value, argument(shape))))
        if not n:
            return Ref(self.fresh(shape, domain))
        index = Array(shape, "int64", tuple(str(i % n) for i in range(m)))
        return Ref(self._plain("take", (value, Ref(self.leaf(index, (0.0, float(n)), False)))))

    def square(self, batch: bool = True) -> Ref:
        n = self.pick((2, 3, 1, 2))
        value = self.fit((2, n, n) if batch and self.upto(4) == 3 else (n, n), (-0.5, 0.5))
        made = np.eye(n) * np.arange(3.0, 3.0 * n + 1, 3.0)
        spread = self.leaf(array(made, self.infos[value.id].dtype), (0.0, 9.0), False)
        return Ref(self._plain("add", (value, Ref(spread))))

    def constant(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        pool = _pool(domain or self._domain)
        made = _filled(shape, self._dtype(), pool, self.byte() % len(pool), "contiguous")
        return Ref(self.leaf(made, (min(pool), max(pool)), False))

    def whole(self, shape: tuple[int, ...]) -> Ref:
        start = self.upto(3)
        values = tuple(str((start + i) % 3) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "int64", values), (0.0, 2.0), False, matters=True))

    def places(self, shape: tuple[int, ...], size: int) -> Ref:
        start = self.upto(size)
        values = tuple(str((start + i) % size) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "int64", values), (0.0, float(size)), False))

    def pivots(self, size: int) -> Ref:
        b = self.byte()
        values = tuple(str(i + 1 + (b + i) % (size - i)) for i in range(size))
        return Ref(self.leaf(Array((size,), "int32", values), (1.0, float(size)), False, matters=True))

    def signs(self, shape: tuple[int, ...]) -> Ref:
        b = self.byte()
        made = array(np.array([1.0 - 2.0 * (b >> i % 8 & 1) for i in range(math.prod(shape))]).reshape(shape))
        return Ref(self.leaf(made, (-1.0, 1.0), False))

    def apart(self, value: Ref) -> Ref:
        info = self.infos[value.id]
        ramp = np.arange(float(math.prod(info.shape))).reshape(info.shape) * 0.013671875
        constant = self.leaf(array(ramp, info.dtype), (0.0, 1.5), False)
        return Ref(self._plain("add", (value, Ref(constant))))

    def packed(self, value: Ref) -> Ref:
        if any(leaf.id == value.id and leaf.array.layout == "contiguous" for leaf in self.leaves):
            return value
        return Ref(self.emit("contiguous", (value,), {}, "method")[0])

    def mask(self, shape: tuple[int, ...], sizes: bool = False) -> Ref:
        b = self.byte() or 0b0101_1010
        values = tuple(str(b >> i % 8 & 1) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "bool", values), (0.0, 1.0), False, matters=sizes))

    def index(self, shape: tuple[int, ...], size: int) -> Ref:
        start, stride = self.upto(size), self.upto(3)
        values = tuple(str((start + i * stride) % size) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "int64", values), (0.0, float(size)), False))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _plain(self, op: str, args: tuple[Arg, ...]) -> int:
        """A helper step, which always works."""
        return self.emit(op, args, {})[0]

    def _times(self, value: int, number: float) -> int:
        """The value times a constant array, which asks less of an engine than a Python number."""
        info = self.infos[value]
        constant = _filled(info.shape, info.dtype, (number,), 0, "contiguous")
        return self._plain("mul", (Ref(value), Ref(self.leaf(constant, (number, number), False))))

    def emit(
        self, op: str, args: tuple[Arg, ...], kwargs: dict[str, Arg], form: Form = "function", mode: GradMode = "grad"
    ) -> tuple[int, ...]:
        """Append an application; () when the reference refuses it."""
        named = tuple(kwargs.items())
        read = _read(args, kwargs)
        recorded = op not in OPERATIONS or OPERATIONS[op].gradient
        results = self.shapes(form, op, args, named, {r: self.infos[r].known(recorded) for r in read})
        if results is None or (len(results) == 1 and math.prod(results[0][0]) > 4 * LARGEST):
            return ()
        interval = self._interval(op, read)
        leaves = self._dependence(read) if recorded and mode == "grad" else frozenset()
        out = tuple(
            self._new(_Info(shape, dtype, interval, leaves if graded else frozenset()))
            for shape, dtype, graded in results
        )
        self.used += read
        self.steps.append(Apply(op, args, out, named, form, mode))
        return out

    def _dependence(self, read: Sequence[int]) -> frozenset[int]:
        return frozenset().union(*(self.infos[r].leaves for r in read))

    def _interval(self, op: str, read: Sequence[int]) -> Interval:
        floats = [self.infos[r] for r in read if self.infos[r].floating]
        operation = OPERATIONS.get(op)
        if not floats:
            return WIDE
        given = [i.interval for i in floats]
        try:
            size = max(math.prod(i.shape) for i in floats)
            low, high = operation.range(given, size) if operation is not None else hull(given)
        except (ValueError, OverflowError, ZeroDivisionError):  # a kink outside the domain, such as log(0)
            return -math.inf, math.inf
        return (low, high) if low <= high else (-math.inf, math.inf)

    def apply(self, operation: Operation) -> tuple[int, ...]:
        """Draw and append an application of the operation; () when that is not possible."""
        self.operation = operation
        before = len(self.leaves), len(self.steps), len(self.infos), len(self.used)
        self.twice &= operation.twice
        args, kwargs = operation.draw(self)
        form = operation.forms[0]
        mode: GradMode = "grad"
        if self.feature in ("method", "operator") and self.feature in operation.forms:
            kept = operation.name not in ("add", "sub")
            if self.feature == "method" or kept or not kwargs:
                form = self.feature
                self.realized = True
                if form == "operator" and operation.name != "__getitem__":
                    kwargs = {}
        elif self.feature == "" and len(operation.forms) > 1:
            form = self.pick(operation.forms)
            if form == "operator" and kwargs:
                form = "function"
        if self.feature == "no_grad":
            mode = "no_grad"
            self.realized = True
        out = (
            self._inplace(operation, args, kwargs)
            if self.inplace_target >= 0
            else self.emit(operation.name, args, kwargs, form, mode)
        )
        for position in operation.up_to_sign if out else ():
            out = (*out[:position], self._plain("square", (Ref(out[position]),)), *out[position + 1 :])
        self.operation = None
        if not out:
            leaves, steps, infos, used = before
            del self.leaves[leaves:], self.steps[steps:], self.used[used:]
            for number in range(infos, len(self.infos)):
                del self.infos[number]
        return out

    def _inplace(self, operation: Operation, args: tuple[Arg, ...], kwargs: dict[str, Arg]) -> tuple[int, ...]:
        """The in-place form, on an interior value of the results' shape."""
        target = args[0] if args else None
        op = operation.name + "_"
        if not isinstance(target, Ref) or target.id in [leaf.id for leaf in self.leaves]:
            return ()
        named = tuple(kwargs.items())
        read = _read(args, kwargs)
        results = self.shapes("in-place", op, args, named, {r: self.infos[r].known() for r in read})
        if results is None or results[0][0] != self.infos[target.id].shape:
            return ()
        info = self.infos[target.id]
        out = self._new(_Info(info.shape, info.dtype, self._interval(operation.name, read), self._dependence(read)))
        self.used += read
        self.steps.append(Inplace(op, target.id, args[1:], (out,), named))
        self.realized = True
        return (out,)

    # -- whole programs ------------------------------------------------------------------------------------------------

    def cell(self, operation: Operation) -> None:
        """The operation with the decoder's feature."""
        self.slot(0)
        extra: int | None = None
        if self.feature in ("reuse", "detach", "retain_grad", "hook", "in-place"):
            source = self.fresh(self.pick(_SHAPES[self.pick(_NDIMS)]), WIDE)
            interior = self._times(source, 2.0)
            self.forced = interior
            if self.feature == "detach":
                number = self._new(
                    _Info(self.infos[interior].shape, "float64", self.infos[interior].interval, frozenset())
                )
                self.steps.append(Detach(interior, (number,)))
                self.used.append(interior)
                self.forced, extra = number, interior
            elif self.feature == "retain_grad":
                self.steps.append(RetainGrad(interior))
            elif self.feature == "hook":
                self.steps += [Hook(interior), Hook(source)]
            elif self.feature == "in-place":
                self.inplace_target = interior
            else:
                extra = interior
            self.realized |= self.feature != "in-place"
        self.slot(1)
        out = self.apply(operation)
        self.inplace_target = -1
        self.realized &= bool(out)
        if extra is not None:
            self._times(extra, 0.5)
        if self.feature == "no_grad" and out:
            self._plain("mul", (Ref(out[0]), Ref(self.fresh(self.infos[out[0]].shape, WIDE))))

    def pairs(self, first: Operation, seconds: Sequence[Operation]) -> tuple[str, ...]:
        """An output of the first feeds each of the seconds; the names of those for which that was possible."""
        self.slot(0)
        made = [v for v in self.apply(first) if self.infos[v].floating]
        reached = []
        for number, second in enumerate(seconds if made else (), 1):
            self.slot(number)
            self.forced = source = self.pick(made)
            before = len(self.used)
            if self.apply(second) and source in self.used[before:]:
                reached.append(second.name)
            self.forced = None
        return tuple(reached)

    def free(self, operations: Sequence[Operation]) -> None:
        """Up to SLOTS steps of any operations."""
        for number in range(SLOTS):
            self.slot(number)
            opcode = self.byte() * 256 + self.byte()
            if opcode % 8 == 0:
                continue
            operation = operations[(opcode >> 3) % len(operations)]
            out = self.apply(operation)
            if operation.gradient:
                self.slots += [v for v in out[:3] if self.infos[v].floating]
        self.realized = True

    def finish(self, second_order: bool, twice: bool) -> Program:
        """Backward from all that nothing uses, with different weights, and what is observed."""
        used = set(self.used)
        sinks = [i for step in self.steps for i in getattr(step, "out", ()) if i not in used]
        roots = tuple(i for i in sinks if self.infos[i].leaves)
        observe = tuple(sinks)
        weights = tuple(self._weights(i, k) for k, i in enumerate(roots))
        if second_order and self.twice and roots:
            reached = tuple(sorted(self._dependence(roots)))
            grads = tuple(
                self._new(_Info(self.infos[i].shape, self.infos[i].dtype, WIDE, self.infos[i].leaves)) for i in reached
            )
            self.steps.append(Grad(roots, reached, weights, grads, create_graph=True))
            observe += grads
            products = tuple(self._plain("mul", (Ref(g), Ref(i))) for g, i in zip(grads, reached, strict=True))
            self.steps.append(Backward(products, tuple(self._weights(i, k + 3) for k, i in enumerate(products))))
        elif roots:
            self.steps.append(Backward(roots, weights, retain_graph=True if twice else None))
            if twice:
                self.steps.append(Backward(roots, weights))
        return Program(tuple(self.leaves), tuple(self.steps), observe)

    def _weights(self, value: int, start: int) -> Array:
        info = self.infos[value]
        dtype: Any = info.dtype
        return _filled(info.shape, dtype, _WEIGHTS, start % len(_WEIGHTS), "contiguous")


def _read(args: tuple[Arg, ...], kwargs: dict[str, Arg]) -> list[int]:
    """Numbers of the values that arguments refer to."""
    found: list[int] = []
    for a in (*args, *kwargs.values()) if kwargs else args:
        if type(a) is Ref:
            found.append(a.id)
        elif type(a) is Seq:
            found.extend(refs(a))
    return found


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b), strict=False))


def decode(
    data: bytes, target: Target, shapes: Shapes, operations: Sequence[Operation]
) -> tuple[Program, tuple[str, ...]]:
    """The program that `data` stands for, and what it contains of what the target asks for: the seconds of a pair, or
    the one thing that any other target asks for; () when it has none of it.

    A cell takes at least SHORT bytes, any other target at least SIZE.
    """
    second_order = twice = False
    meant: tuple[str, ...] = ()
    if target.kind == "cell":
        decoder = _Decoder(data, shapes, target.feature)
        decoder.cell(OPERATIONS[target.first])
        second_order, twice = target.feature == "order 2", target.feature == "accumulate"
    elif target.kind == "pair":
        decoder = _Decoder(data, shapes)
        meant = decoder.pairs(OPERATIONS[target.first], [OPERATIONS[name] for name in target.seconds])
    else:
        flavour = data[0] % 8
        features = ("", "", "", "float32", "mixed", "strided", "", "reuse")
        decoder = _Decoder(data, shapes, features[flavour])
        decoder.free(operations)
        second_order, twice = data[1] % 4 == 0, data[1] % 16 == 1
    program = decoder.finish(second_order, twice)
    if target.feature in ("order 2", "accumulate"):
        kind = Grad if second_order else Backward
        decoder.realized = any(isinstance(step, kind) for step in program.steps)
    if target.kind != "pair" and decoder.realized and program.steps:
        meant = (target.feature,)
    return program, meant


# -- the order of the search -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Programs that are drawn together: one for each target, from one seed."""

    name: str
    targets: tuple[Target, ...]

    def seed(self, run_seed: int) -> int:
        """Seed of the block, from the run's seed, the suite's version and the block's name."""
        text = f"{run_seed}/{__version__}/{self.name}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def blocks(operations: Sequence[Operation], cells: Sequence[tuple[str, Feature]]) -> Iterator[Block]:
    """Blocks without end: every cell, every pair, free programs, and round again with other numbers."""
    names = paired(operations)
    n = len(names)
    turn = 0
    while True:
        for feature in FEATURES:
            found = tuple(Target("cell", op, feature) for op, f in cells if f == feature)
            if found:
                yield Block(f"cells/{feature}/{turn}", found)
        for shift in range(turn, n + turn, FAN):
            fan = range(shift, min(shift + FAN, n + turn))
            seconds = [tuple(names[(i + k) % n] for k in fan) for i in range(n)]
            yield Block(
                f"pairs/{shift}/{turn}",
                tuple(Target("pair", op, seconds=seconds[i]) for i, op in enumerate(names)),
            )
        for part in range(8):
            yield Block(f"free/{part}/{turn}", (Target("free"),) * 16 * BATCH)
        turn += 1


def paired(operations: Sequence[Operation]) -> list[str]:
    """Names of the operations that stand in pairs: those through which a gradient flows."""
    return [operation.name for operation in operations if operation.gradient]


def cells(operations: Sequence[Operation], shapes: Shapes) -> list[tuple[str, Feature]]:
    """The cells that make sense: those whose feature some of a few fixed byte strings bring about."""
    probes = [hashlib.shake_128(bytes([k])).digest(SIZE) for k in range(12)]
    return [
        (operation.name, feature)
        for operation in operations
        for feature in FEATURES
        if any(decode(p, Target("cell", operation.name, feature), shapes, operations)[1] for p in probes)
    ]


def draw(block: Block, run_seed: int, consume: Callable[[Sequence[tuple[Target, bytes]]], bool]) -> None:
    """Draw the block's bytes from Hypothesis and hand them to `consume`, a batch at a time, until it says False.

    The same seed gives the same bytes, whatever the environment says about continuous integration.
    """
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    targets = block.targets
    examples = -(-len(targets) // BATCH)
    size = SHORT if all(target.kind == "cell" for target in targets) else SIZE
    position = 0
    wanted = True

    @seed(block.seed(run_seed))
    @settings(
        max_examples=examples,
        database=None,
        derandomize=False,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=size * BATCH, max_size=size * BATCH))
    def examine(data: bytes) -> None:
        nonlocal position, wanted
        if not wanted or position >= len(targets):
            return
        part = targets[position : position + BATCH]
        position += len(part)
        wanted = consume([(target, data[size * k : size * (k + 1)]) for k, target in enumerate(part)])

    examine()
