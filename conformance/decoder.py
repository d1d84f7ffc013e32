"""The decoder: builds a program step by step from bytes, and knows shapes, types and intervals without running it.

It is total: whatever the bytes, the steps it makes are valid. Each step reads its own stretch of them, operands are
absolute positions, and what the reference would refuse is left out, so that nothing shifts when a step goes.
"""

# ruff: noqa: D102 - most methods are those of `Draw`, which says what they do
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np

from conformance.execute import Operand, Result, Shapes, strides
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    DType,
    Form,
    GradMode,
    Inplace,
    Layout,
    Leaf,
    Ref,
    Seq,
    array,
    lay_out,
    refs,
    to_numpy,
)
from conformance.vocabulary import OPERATIONS, Operation
from conformance.vocabulary.operation import UNIT, WIDE, Interval, argument, hull, magnitude

T = TypeVar("T")

HEADER = 8
SLOT = 16
SLOTS = 9
#: Seconds that one program tries after a first.
FAN = SLOTS - 1
#: Bytes of a cell, which reads two slots only: Hypothesis takes its time by the byte.
SHORT = HEADER + 2 * SLOT
#: Bytes of one slot of a program that holds many operations for their being there, and of such a program.
NARROW = 6
FANNED = HEADER + SLOTS * NARROW
#: Steps of a free program, bytes of one of them, and of such a program.
STEPS = 30
STEP = 8
SIZE = HEADER + STEPS * STEP
LARGEST = 96

SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    0: ((),),
    1: ((3,), (2,), (4,), (1,)),
    2: ((2, 3), (3, 2), (2, 2), (1, 3), (3, 3), (3, 1)),
    3: ((2, 3, 2), (2, 1, 3), (1, 2, 2), (2, 2, 2)),
    4: ((1, 2, 3, 2), (2, 1, 2, 3)),
    5: ((1, 1, 2, 2, 3), (1, 2, 1, 2, 2)),
}
_EMPTY: dict[int, tuple[tuple[int, ...], ...]] = {1: ((0,),), 2: ((0, 2), (2, 0)), 3: ((2, 0, 2), (0, 2, 1))}
#: Features of which the values are in float32.
SINGLE = ("float32", "order 2 in float32")
NDIMS = (1, 2, 2, 1, 3, 2, 0, 2)
_NUMBERS = (2.0, 0.5, -1.0, 1.5, -0.5, 3.0, 0.25, -2.0)
_WEIGHTS = (1.0, -0.5, 2.0, 0.75, -1.25, 1.5, -2.0, 0.5)


class Info(msgspec.Struct, frozen=True):
    """What the decoder knows of a value without running it."""

    shape: tuple[int, ...]
    dtype: DType
    interval: Interval
    leaves: frozenset[int]
    constant: Array | None = None
    #: Distances of neighbours along each dimension, in elements; None for contiguous memory.
    strides: tuple[int, ...] | None = None

    def known(self, recorded: bool = True) -> Operand:
        if self.constant is not None:
            return self.constant
        return self.shape, self.dtype, recorded and bool(self.leaves), self.strides

    @property
    def floating(self) -> bool:
        return self.dtype[0] == "f"

    @property
    def written(self) -> bool:
        """Whether torch says what a write to it does: not where elements share memory and it does not refuse that."""
        pairs = [(n, step) for n, step in zip(self.shape, self.strides or (), strict=False) if n > 1]
        if 0 in self.shape or any(not step for _, step in pairs):
            return True
        places = np.zeros(1, np.int64)
        for n, step in pairs:
            places = np.add.outer(places, np.arange(n) * step).ravel()
        return len(np.unique(places)) == len(places)


@lru_cache(maxsize=512)
def _pool(domain: Interval) -> tuple[float, ...]:
    """Short, exact, different numbers of moderate size inside a domain; 0 is no member, since it is a kink of many."""
    low, high = max(domain[0], -3.0), min(domain[1], 3.0)
    eighths = [k / 8 for k in range(math.ceil(low * 8), math.floor(high * 8) + 1) if k]
    return (
        tuple(eighths[(i * 7 + 3) % len(eighths)] for i in range(len(eighths))) if len(eighths) % 7 else tuple(eighths)
    )


@lru_cache(maxsize=512)
def _far(domain: Interval) -> tuple[float, ...]:
    """Numbers of very different magnitudes, as far out as the domain allows."""
    sizes = (2.0**-30, 3.0, 2.0**20, 2.0**-10, 2.0**30, 0.75)
    signed = [sign * size for size in sizes for sign in (1.0, -1.0)]
    wide = domain == WIDE or domain[1] == WIDE[1]
    return tuple(v for v in signed if domain[0] < v and (wide or v < domain[1])) or _pool(domain)


@lru_cache(maxsize=16384)
def _filled(shape: tuple[int, ...], dtype: DType, pool: tuple[float, ...], start: int, layout: Layout) -> Array:
    n = math.prod(shape)
    values: list[float] = [pool[(start + i) % len(pool)] for i in range(n)]
    if layout == "expanded" and n:
        row = n // shape[0]
        values = values[:row] * shape[0]
    made = array(values, dtype, layout)
    return msgspec.structs.replace(made, shape=shape)


class Decoder:
    """Builds one program. Implements `vocabulary.operation.Draw`."""

    def __init__(self, data: bytes, shapes: Shapes, feature: str = "float64", stretch: int = SLOT) -> None:
        self.data = data
        self.at = 0
        self.end = HEADER
        self.base = 0
        self.shapes = shapes
        self.stretch = stretch
        self.feature = feature
        self.realized = feature in ("float64", *SINGLE)
        self.infos: dict[int, Info] = {}
        self.leaves: list[Leaf] = []
        self.steps: list[AnyStep] = []
        self.slots: list[int] = []
        self.used: list[int] = []
        self.helpers: dict[tuple[Any, ...], int] = {}
        self.forced: int | None = None
        self.fed = False
        self.operation: Operation | None = None
        self.inplace_target = -1
        #: How an operation is applied in a free program: in the way of one of the features.
        self.manner = ""
        self.latest = OPERATIONS["add"]
        self.extra: int | None = None
        self.source: int | None = None
        self.dead: tuple[int, ...] = ()
        self.observed: list[int] = []
        self.orders = 3
        self.went_back = False
        self.repeats = True

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def slot(self, number: int) -> None:
        """Read from the stretch of slot `number` from now on."""
        self.base = self.at = HEADER + number * self.stretch
        self.end = self.base + self.stretch

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

    def new(self, info: Info) -> int:
        number = len(self.infos)
        self.infos[number] = info
        return number

    def leaf(self, made: Array, interval: Interval, requires_grad: bool = True, matters: bool = False) -> int:
        """Append a leaf; `matters` says that shapes of results depend on its contents."""
        number = self.new(
            Info(
                made.shape,
                made.dtype,
                interval,
                frozenset((len(self.infos),)) if requires_grad else frozenset(),
                made if matters else None,
                None if made.layout == "contiguous" else strides(to_numpy(made)),
            )
        )
        self.leaves.append(Leaf(number, made, requires_grad))
        return number

    def _precision(self) -> DType:
        return "float32" if self.feature in SINGLE else "float64"

    def _dtype(self) -> DType:
        if self.feature == "float16":
            self.realized = True
            return "float16"
        if self.feature in ("integer", "bool") and len(self.leaves) == self.data[2] % 2:
            self.realized = True
            return "int64" if self.feature == "integer" else "bool"
        if self.feature == "mixed":
            dtype: DType = "float32" if len(self.leaves) % 2 else "float64"
            self.realized |= bool(self.leaves)
            return dtype
        return self._precision()

    def fresh(
        self, shape: tuple[int, ...], domain: Interval, requires_grad: bool = True, dtype: DType | None = None
    ) -> int:
        """A new leaf with numbers of the domain, or at the operation's kinks, or wherever the feature wants them."""
        pool = _pool(domain)
        layout: Layout = "contiguous"
        dtype = dtype or self._dtype()
        if dtype == "int64":
            pool = tuple(dict.fromkeys(float(round(v)) for v in pool if domain[0] <= round(v) <= domain[1])) or (1.0,)
        elif dtype == "bool":
            pool = (1.0, 0.0)
        elif self.operation is not None and self.feature == "wide":
            pool = _far(domain)
            self.realized = True
        elif self.operation is not None and self.feature == "nan or inf" and self.operation.odd_values:
            pool = (math.nan, pool[self.byte() % len(pool)], math.inf, -math.inf)
            self.realized = True
        if self.feature == "kink" and self.operation is not None and self.operation.kinks:
            pool = (*self.operation.kinks, pool[self.byte() % len(pool)])
            self.realized = True
        if self.feature == "strided" and shape and 0 not in shape:
            layouts: tuple[Layout, ...] = ("transposed", "strided", "expanded") if len(shape) > 1 else ("strided",)
            layout = self.pick(layouts)
        made = _filled(shape, dtype, pool, self.byte() % len(pool), layout)
        self.realized |= layout != "contiguous" and _scattered(shape, layout)
        interval = (min(pool), max(pool)) if all(map(math.isfinite, pool)) else (-math.inf, math.inf)
        return self.leaf(made, interval, requires_grad and made.dtype[0] == "f")

    def _some_shape(self, ndim: int | None, least: int, nonempty: bool) -> tuple[int, ...]:
        if self.feature == "0-d" and least == 0 and ndim in (None, 0):
            self.realized = True
            return ()
        n = ndim if ndim is not None else max(least, self.pick(NDIMS))
        nonempty |= self.operation is not None and not self.operation.empty
        if self.feature == "empty" and not nonempty and n in _EMPTY:
            self.realized = True
            empty: tuple[int, ...] = self.pick(_EMPTY[n])
            return empty
        return self.pick(SHAPES[n])

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
        self.fed = chosen is not None
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
        return self._once((value, wanted), lambda: self._reranked(value, wanted))

    def _once(self, key: tuple[Any, ...], make: Callable[[], int]) -> int:
        """A helper's value, made once: several operations that a value feeds share what they have in common."""
        if key not in self.helpers:
            self.helpers[key] = make()
        return self.helpers[key]

    def _reranked(self, value: int, wanted: int) -> int:
        shape = self.infos[value].shape
        n = len(shape)
        if n < wanted:
            new: tuple[int, ...] = (1,) * (wanted - n) + shape
        elif wanted == 0:
            return self.plain("sum", (Ref(value),), ())
        else:
            new = (math.prod(shape[: n - wanted + 1]), *shape[n - wanted + 1 :])
        return self.plain("reshape", (Ref(value), Seq(new)), new)

    def _within(self, value: int, domain: Interval) -> int:
        """The value moved into a domain by an exact scale and shift."""
        if _inside(self.infos[value].interval, domain):
            return value
        return self._once((value, domain), lambda: self._moved(value, domain))

    def _moved(self, value: int, domain: Interval) -> int:
        low, high = self.infos[value].interval
        if not (math.isfinite(low) and math.isfinite(high)):
            value = self.plain("sin", (Ref(value),))
            low, high = -1.0, 1.0
        a, b = max(domain[0], -4.0), min(domain[1], 4.0)
        if high - low > 0.75 * (b - a):
            scale = 2.0 ** math.floor(math.log2(0.75 * (b - a) / (high - low)))
            value = self.plain("mul", (Ref(value), scale))
            low, high = low * scale, high * scale
        if not (a <= low and high <= b):
            shift = round(((a + b) - (low + high)) * 4) / 8
            value = self.plain("add", (Ref(value), shift))
            self._bound(value, (low + shift, high + shift))
        else:
            self._bound(value, (low, high))
        return value

    def _bound(self, value: int, interval: Interval) -> None:
        info = self.infos[value]
        self.infos[value] = msgspec.structs.replace(info, interval=interval)

    def like(self, other: Ref, domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        shape = self.shape(other)
        b = self.byte()
        if self.feature == "reuse" and not self.slots and _inside(self.infos[other.id].interval, domain):
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

    def shaped(self, shape: tuple[int, ...], domain: Interval | None = None, of: Ref | None = None) -> Ref:
        domain = domain or self._domain
        dtype = None if of is None else self.infos[of.id].dtype
        b = self.byte()
        if self.slots and b % 2:
            same = [v for v in self.slots if self.infos[v].shape == shape and self.infos[v].floating]
            if dtype is not None:
                same = [v for v in same if self.infos[v].dtype == dtype]
            if same:
                return Ref(self._within(same[(b >> 1) % len(same)], domain))
        return Ref(self.fresh(shape, domain, dtype=dtype))

    def fit(self, shape: tuple[int, ...], domain: Interval | None = None) -> Ref:
        domain = domain or self._domain
        value = self.x(domain=domain) if self.forced is not None or self.slots else Ref(self.fresh(shape, domain))
        have = self.shape(value)
        if have == shape:
            return value
        if 0 in have:
            return Ref(self.fresh(shape, domain))
        return Ref(self._once((value.id, "shape", shape), lambda: self._arranged(value, shape)))

    def _arranged(self, value: Ref, shape: tuple[int, ...]) -> int:
        n, m = math.prod(self.shape(value)), math.prod(shape)
        if n == m:
            return self.plain("reshape", (value, argument(shape)), shape)
        index = Array(shape, "int64", tuple(str(i % n) for i in range(m)))
        return self.plain("take", (value, Ref(self.leaf(index, (0.0, float(n)), False))), shape)

    def square(self, batch: bool = True, spread: float = 3.0) -> Ref:
        n = self.pick((2, 3, 1, 2))
        value = self.fit((2, n, n) if batch and self.upto(4) == 3 else (n, n), (-0.5, 0.5))
        made = np.eye(n) * np.arange(1.0, n + 1) * spread
        spread = self.leaf(array(made, self.infos[value.id].dtype), (0.0, 3 * spread), False)
        matrix = self.plain("add", (value, Ref(spread)))
        if self.feature == "strided":  # a sum has memory of its own
            matrix = self.plain("transpose", (Ref(matrix), -1, -2))
            self.realized = n > 1
        return Ref(matrix)

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

    def ascending(self, size: int) -> Ref:
        made = np.arange(float(size)) - size // 2 + self.upto(4) / 4
        return Ref(self.leaf(array(made, self._precision()), (float(made[0]), float(made[-1])), False))

    def signs(self, shape: tuple[int, ...]) -> Ref:
        b = self.byte()
        made = np.array([1.0 - 2.0 * (b >> i % 8 & 1) for i in range(math.prod(shape))]).reshape(shape)
        return Ref(self.leaf(array(made, self._precision()), (-1.0, 1.0), False))

    def apart(self, value: Ref) -> Ref:
        info = self.infos[value.id]
        ramp = np.arange(float(math.prod(info.shape))).reshape(info.shape) * 0.013671875
        constant = self.leaf(array(ramp, info.dtype), (0.0, 1.5), False)
        return Ref(self.plain("add", (value, Ref(constant))))

    def array(self, shape: tuple[int, ...]) -> Array:
        """A constant that is no value of the program."""
        return _filled(shape, "float64", _WEIGHTS, 0, "contiguous")

    def packed(self, value: Ref) -> Ref:
        if self.infos[value.id].strides is None:
            return value
        return Ref(self.emit("contiguous", (value,), {}, "method")[0])

    def unshared(self, value: Ref) -> Ref:
        return self.packed(value) if 0 in (self.infos[value.id].strides or ()) else value

    def mask(self, shape: tuple[int, ...], sizes: bool = False) -> Ref:
        b = self.byte() or 0b0101_1010
        values = tuple(str(b >> i % 8 & 1) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "bool", values), (0.0, 1.0), False, matters=sizes))

    def index(self, shape: tuple[int, ...], size: int) -> Ref:
        start, stride = self.upto(size), self.upto(3)
        values = tuple(str((start + i * stride) % size) for i in range(math.prod(shape)))
        return Ref(self.leaf(Array(shape, "int64", values), (0.0, float(size)), False))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def plain(self, op: str, args: tuple[Arg, ...], shape: tuple[int, ...] | None = None) -> int:
        """A helper step, which always works: its result has this shape, else that of the first operand, and its dtype.

        The reference, which need not be asked that, is asked where memory is not contiguous.
        """
        first: Any = args[0]
        info = self.infos[first.id]
        results: tuple[Result, ...] | None = None
        if info.strides is None:
            results = ((info.shape if shape is None else shape, info.dtype, True, None),)
        return self.emit(op, args, {}, results=results)[0]

    def times(self, value: int, number: float) -> int:
        """The value times a constant array, which asks less of an engine than a Python number."""
        info = self.infos[value]
        constant = _filled(info.shape, info.dtype, (number,), 0, "contiguous")
        return self.plain("mul", (Ref(value), Ref(self.leaf(constant, (number, number), False))))

    def _operands(self, args: tuple[Arg, ...], kwargs: dict[str, Arg]) -> dict[int, Any]:
        return {r: self.infos[r].known(False) for r in _read(args, kwargs)}

    def emit(
        self,
        op: str,
        args: tuple[Arg, ...],
        kwargs: dict[str, Arg],
        form: Form = "function",
        mode: GradMode = "grad",
        results: tuple[Result, ...] | None = None,
    ) -> tuple[int, ...]:
        """Append an application; () when the reference refuses it. It is not asked where the results are given."""
        named = tuple(kwargs.items())
        read = _read(args, kwargs)
        operation = OPERATIONS.get(op)
        recorded = (operation is None or operation.gradient) and "out" not in kwargs
        given = [self.infos[r] for r in read]
        if results is None:
            known = {r: info.known(recorded) for r, info in zip(read, given, strict=True)}
            results = self.shapes(form, op, args, named, known)
        if results is None or (len(results) == 1 and math.prod(results[0][0]) > 4 * LARGEST):
            return ()
        interval = _interval(operation, given)
        leaves = [info.leaves for info in given] if recorded and mode != "no_grad" else [frozenset[int]()] * len(given)
        if operation is None or not operation.separate:
            leaves = [leaves[0] if len(leaves) == 1 else frozenset[int]().union(*leaves)] * len(results)
        out = tuple(
            [
                self.new(Info(shape, dtype, interval, of if graded else frozenset(), None, strides))
                for (shape, dtype, graded, strides), of in zip(results, leaves, strict=True)
            ]
        )
        self.used += read
        self.steps.append(Apply(op, args, out, named, form, mode))
        return out

    def custom(self, name: str, value: int) -> tuple[int, ...]:
        """A function of the user's own (see `conformance.functions`) of a value; its results have the value's shape."""
        info = self.infos[value]
        args: tuple[Arg, ...] = (Ref(value),)
        if name == "product":
            args = (*args, Ref(self.fresh(info.shape, UNIT, dtype=info.dtype)))
        elif name == "parted":
            args = (*args, 2.0)
        strides = info.strides
        if strides is not None and name != "tripled":
            factors = (*args, *args)[:2]
            made = self.shapes("function", "mul", factors, (), self._operands(factors, {}))
            strides = made[0][3] if made else None
        results = [(info.shape, info.dtype, True, strides), (info.shape, info.dtype, False, strides)]
        out = self.emit(name, args, {}, "custom", results=tuple(results[: 1 + (name == "parted")]))
        size = magnitude(info.interval)
        size = min(size**3, math.inf) if name == "cube" and size < 1e6 else 3.0 * size
        self._bound(out[0], (-size, size))
        return out

    def dependence(self, read: Sequence[int]) -> frozenset[int]:
        return frozenset().union(*(self.infos[r].leaves for r in read))

    def apply(self, operation: Operation) -> tuple[int, ...]:
        """Draw and append an application of the operation; () when that is not possible."""
        self.operation = self.latest = operation
        before = len(self.leaves), len(self.steps), len(self.infos), len(self.used)
        self.orders = min(self.orders, operation.orders)
        self.repeats &= operation.repeats
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
        manner = self.manner or self.feature
        if manner in ("no_grad", "enable_grad"):
            mode = "no_grad" if manner == "no_grad" else "enable_grad"
            self.realized = True
        elif manner == "out":
            made = self.shapes(form, operation.name, args, tuple(kwargs.items()), self._operands(args, kwargs))
            if made is not None and len(made) == 1 and made[0][1][0] == "f":
                kwargs["out"] = Ref(
                    self.leaf(_filled(made[0][0], made[0][1], (7.0,), 0, "contiguous"), (7.0, 7.0), False)
                )
                mode = "no_grad"
                self.realized = True
        out = (
            self._inplace(operation, args, kwargs)
            if self.inplace_target >= 0
            else self.emit(operation.name, args, kwargs, form, mode)
        )
        for position in operation.up_to_sign if out else ():
            out = (*out[:position], self.plain("square", (Ref(out[position]),)), *out[position + 1 :])
        self.operation = None
        if not out:
            leaves, steps, infos, used = before
            del self.leaves[leaves:], self.steps[steps:], self.used[used:]
            for number in range(infos, len(self.infos)):
                del self.infos[number]
            self.helpers = {key: value for key, value in self.helpers.items() if value < infos}
        return out

    def _inplace(self, operation: Operation, args: tuple[Arg, ...], kwargs: dict[str, Arg]) -> tuple[int, ...]:
        """The in-place form, on an interior value of the results' shape."""
        target = args[0] if args else None
        op = operation.name + "_"
        if not isinstance(target, Ref) or target.id in [leaf.id for leaf in self.leaves]:
            return ()
        named = tuple(kwargs.items())
        read = _read(args, kwargs)
        if op in ("baddbmm_", "masked_scatter_") and target.id in read[1:]:
            return ()  # torch reads it while it writes to it
        info = self.infos[target.id]
        if op in ("tril_", "triu_") and info.strides is not None and 0 in info.strides:
            return ()  # torch writes, without a look, to elements that share memory with others
        results = self.shapes("in-place", op, args, named, {r: self.infos[r].known() for r in read})
        if results is None or results[0][0] != info.shape or not info.written:
            return ()
        out = self.new(
            Info(
                info.shape,
                info.dtype,
                _interval(operation, [self.infos[r] for r in read]),
                self.dependence(read),
                strides=info.strides,
            )
        )
        self.used += read
        self.infos[target.id] = self.infos[out]  # which is the same value
        self.steps.append(Inplace(op, target.id, args[1:], (out,), named))
        self.realized = True
        return (out,)

    def weights(self, value: int, start: int) -> Array:
        info = self.infos[value]
        dtype: Any = info.dtype
        return _filled(info.shape, dtype, _WEIGHTS, start % len(_WEIGHTS), "contiguous")


def _scattered(shape: tuple[int, ...], layout: Layout) -> bool:
    """Whether an array of this shape and layout lies otherwise in memory than a plain one."""
    return not lay_out(np.zeros(shape), layout).flags.c_contiguous


def _inside(interval: Interval, domain: Interval) -> bool:
    return domain[0] <= interval[0] and interval[1] <= domain[1]


def _interval(operation: Operation | None, read: Sequence[Info]) -> Interval:
    """Where an operation's results lie, as far as it is known."""
    floats = [info for info in read if info.dtype[0] == "f"]
    if not floats:
        return WIDE
    given = [info.interval for info in floats]
    try:
        size = max([math.prod(info.shape) for info in floats])
        low, high = operation.range(given, size) if operation is not None else hull(given)
        return (low, high) if low <= high else (-math.inf, math.inf)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):  # outside the domain: log(0), or complex powers
        return -math.inf, math.inf


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
