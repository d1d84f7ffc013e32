"""Pointwise operations: of one operand, of two with broadcasting, of three."""

from __future__ import annotations

import math
from collections.abc import Callable

from conformance.program import Arg, Form
from conformance.vocabulary.operation import (
    POSITIVE,
    UNIT,
    WIDE,
    Arguments,
    Draw,
    Interval,
    Operation,
    Range,
    difference,
    falling,
    hull,
    largest,
    product,
    rising,
    total,
    within,
)

FUNCTION: tuple[Form, ...] = ("function",)
BOTH: tuple[Form, ...] = ("function", "method")
ALL: tuple[Form, ...] = ("function", "method", "operator")
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
HALVES = (-1.5, -0.5, 0.0, 0.5, 2.5)


def _one(d: Draw) -> Arguments:
    return (d.x(),), {}


def _spread(operands: list[Interval]) -> Interval:
    return hull(operands)


def unary(
    name: str,
    range: Range,
    domain: Interval = WIDE,
    kinks: tuple[float, ...] = (),
    forms: tuple[Form, ...] = BOTH,
    draw: Callable[[Draw], Arguments] = _one,
) -> Operation:
    """A pointwise operation of one operand."""
    return Operation(name, "unary", draw, domain, range, kinks, forms)


def _clamp(d: Draw) -> Arguments:
    low, high = d.pick(((-1.0, 1.0), (0.0, 2.0), (-0.5, None), (None, 1.0), (1.0, -1.0)))
    return (d.x(), low, high), {}


def _grows(operands: object, _size: int) -> Interval:
    del operands
    return -33.0, 33.0


UNARY = (
    unary("neg", lambda o, _: (-o[0][1], -o[0][0]), forms=ALL),
    unary("abs", largest(abs), kinks=(0.0, -0.0), forms=ALL),
    unary("exp", rising(math.exp), (-16.0, 3.0)),
    unary("exp2", rising(lambda v: 2**v), (-16.0, 5.0)),
    unary("expm1", rising(math.expm1), (-16.0, 3.0)),
    unary("log", rising(math.log), POSITIVE, (0.0,)),
    unary("log2", rising(math.log2), POSITIVE, (0.0,)),
    unary("log10", rising(math.log10), POSITIVE, (0.0,)),
    unary("log1p", rising(math.log1p), (-0.75, 32.0), (-1.0,)),
    unary("sin", within(-1, 1)),
    unary("cos", within(-1, 1)),
    unary("tan", rising(math.tan), (-1.25, 1.25)),
    unary("asin", rising(math.asin), UNIT, (1.0, -1.0)),
    unary("acos", falling(math.acos), UNIT, (1.0, -1.0)),
    unary("atan", rising(math.atan)),
    unary("sinh", rising(math.sinh), (-4.0, 4.0)),
    unary("cosh", largest(math.cosh), (-4.0, 4.0)),
    unary("tanh", within(-1, 1), (-4.0, 4.0)),
    unary("sigmoid", within(0, 1), (-8.0, 8.0)),
    unary("sqrt", rising(math.sqrt), POSITIVE, (0.0,)),
    unary("rsqrt", falling(lambda v: v**-0.5), POSITIVE, (0.0,)),
    unary("reciprocal", falling(lambda v: 1 / v), POSITIVE, (0.0, -0.0)),
    unary("square", largest(lambda v: v * v)),
    unary("erf", within(-1, 1), (-3.0, 3.0)),
    unary("relu", largest(abs), kinks=(0.0, -0.0)),
    unary("nn.functional.softplus", lambda o, _: (0, max(o[0][1], 0) + 1), (-16.0, 16.0), (20.0,), forms=FUNCTION),
    unary("floor", _grows, kinks=STEPS),
    unary("ceil", _grows, kinks=STEPS),
    unary("round", _grows, kinks=HALVES),
    unary("trunc", _grows, kinks=STEPS),
    unary("frac", within(-1, 1), kinks=STEPS),
    unary("sign", within(-1, 1), kinks=(0.0, -0.0)),
    unary("clamp", largest(lambda v: v + 1), kinks=STEPS, draw=_clamp),
)


def _two(first: Interval | None = None, second: Interval | None = None) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.x(domain=first)
        return (x, d.like(x, second)), {}

    return draw


def _or_number(second: Interval | None = None) -> Callable[[Draw], Arguments]:
    """The second operand is a value or, now and then, a Python number (positive when the domain is)."""

    def draw(d: Draw) -> Arguments:
        x = d.x()
        if not d.scalar():
            return (x, d.like(x, second)), {}
        number = d.number()
        return (x, abs(number) if second is not None else number), {}

    return draw


def _alpha(d: Draw) -> Arguments:
    x = d.x()
    y = d.like(x)
    return (x, y), ({"alpha": d.number()} if d.upto(4) == 3 else {})


def _rounding(d: Draw) -> Arguments:
    args, _ = _or_number((0.5, 8.0))(d)
    mode: Arg = d.pick((None, None, None, "floor", "trunc"))
    return args, ({} if mode is None else {"rounding_mode": mode})


def binary(
    name: str,
    range: Range,
    draw: Callable[[Draw], Arguments],
    domain: Interval = WIDE,
    kinks: tuple[float, ...] = (),
    forms: tuple[Form, ...] = BOTH,
) -> Operation:
    """A pointwise operation of two operands that broadcast."""
    return Operation(name, "binary", draw, domain, range, kinks, forms)


def _power(operands: object, _size: int) -> Interval:
    del operands
    return -64.0, 64.0


BINARY = (
    binary("add", lambda o, s: product([total([*o, *o], s), (1, 4)], s), _alpha, forms=ALL),
    binary("sub", lambda o, s: product([difference([*o, *o], s), (1, 4)], s), _alpha, forms=ALL),
    binary("mul", lambda o, s: product([*o, (-3, 3)], s), _or_number(), forms=ALL),
    binary("div", largest(lambda v: 2 * v), _rounding, kinks=(0.0,), forms=ALL),
    binary("pow", _power, _or_number((0.5, 3.0)), (0.25, 4.0), (0.0,), forms=ALL),
    binary("maximum", lambda o, _: hull(o), _two(), kinks=(0.0, 1.0)),
    binary("minimum", lambda o, _: hull(o), _two(), kinks=(0.0, 1.0)),
    binary("atan2", within(-4, 4), _two(None, POSITIVE), kinks=(0.0,)),
    binary("hypot", largest(lambda v: 2 * v), _two(POSITIVE), kinks=(0.0,)),
    binary("remainder", lambda o, _: hull(o), _or_number((0.5, 8.0)), forms=ALL),
    binary("fmod", lambda o, _: hull(o), _or_number((0.5, 8.0))),
    binary("xlogy", largest(lambda v: v * 4), _two(None, POSITIVE), kinks=(0.0,)),
    binary("logaddexp", largest(lambda v: v + 1), _two()),
)


def _where(d: Draw) -> Arguments:
    x = d.x()
    y = d.like(x)
    return (d.mask(d.shape(x)), x, y), {}


def _lerp(d: Draw) -> Arguments:
    x = d.x()
    y = d.like(x)
    return (x, y, d.like(x) if d.upto(2) else d.number()), {}


def _addc(second: Interval | None) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.x()
        y, z = d.like(x), d.like(x, second)
        return (x, y, z), ({"value": d.number()} if d.upto(2) else {})

    return draw


TERNARY = (
    Operation("where", "ternary", _where, forms=FUNCTION),
    Operation("lerp", "ternary", _lerp, (-8.0, 8.0), lambda o, s: product([hull(o), (-20, 20)], s)),
    Operation("addcmul", "ternary", _addc(None), (-8.0, 8.0), largest(lambda v: v + 3 * v * v)),
    Operation("addcdiv", "ternary", _addc((0.5, 8.0)), (-8.0, 8.0), largest(lambda v: 7 * v)),
)

OPERATIONS = UNARY + BINARY + TERNARY
