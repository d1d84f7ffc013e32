"""Pointwise operations: of one operand, of two with broadcasting, of three."""

from __future__ import annotations

import math
from collections.abc import Callable

from conformance.program import Arg, Form
from conformance.vocabulary.operation import (
    FUNCTION,
    METHOD,
    POSITIVE,
    UNIT,
    WIDE,
    Arguments,
    Draw,
    Interval,
    Operation,
    Range,
    anywhere,
    difference,
    falling,
    hull,
    largest,
    one,
    product,
    rising,
    total,
    two,
    within,
)

BOTH: tuple[Form, ...] = ("function", "method")
ALL: tuple[Form, ...] = ("function", "method", "operator")
PROBABILITY: Interval = (0.125, 0.875)
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
    unary("acosh", rising(math.acosh), (1.25, 32.0), (1.0,)),
    unary("asinh", rising(math.asinh)),
    unary("atanh", rising(math.atanh), UNIT, (1.0, -1.0)),
    unary("angle", within(0, 4), kinks=(0.0, -0.0)),
    unary("conj", lambda o, _: o[0], forms=("function", "method")),
    unary("deg2rad", lambda o, _: hull(o)),
    unary("rad2deg", largest(lambda v: 64 * v)),
    unary("erfc", within(0, 2), (-3.0, 3.0)),
    unary("positive", lambda o, _: o[0]),
    unary("real", lambda o, _: o[0], forms=("function", "attribute")),
    Operation("sgn", "unary", one(), range=within(-1, 1), kinks=(0.0, -0.0), repeats=False),
    unary("sinc", within(-1, 1), kinks=(0.0, -0.0)),
    unary("logit", within(-3, 3), PROBABILITY, draw=one(eps=(..., 0.125)), kinks=(0.0, 1.0)),
    unary(
        "nan_to_num", lambda o, _: o[0], draw=one(nan=(..., 2.0), posinf=(..., 5.0)), kinks=(0.0, math.inf, math.nan)
    ),
    unary("double", lambda o, _: o[0], forms=METHOD),
    unary("float", lambda o, _: o[0], forms=METHOD),
    unary("to", lambda o, _: o[0], draw=one(("torch.float32", "torch.float64")), forms=METHOD),
    unary("clone", lambda o, _: o[0]),
    unary("conj_physical", lambda o, _: o[0]),
    unary("resolve_conj", lambda o, _: o[0]),
    unary("resolve_neg", lambda o, _: o[0]),
    unary("contiguous", lambda o, _: o[0], forms=METHOD),
    unary("threshold", lambda o, _: hull([*o, (0, 2)]), kinks=(0.5,), draw=one((0.5,), (0.0, 2.0)), forms=FUNCTION),
)


def _or_number(second: Interval | None = None) -> Callable[[Draw], Arguments]:
    """The second operand is a value or, now and then, a Python number (positive when the domain is)."""

    def draw(d: Draw) -> Arguments:
        x = d.x()
        if not d.scalar():
            return (x, d.like(x, second)), {}
        number = d.number()
        return (x, abs(number) if second is not None else number), {}

    return draw


def _reflected(d: Draw) -> Arguments:
    """A number stands before the operand: `2 - x`."""
    return (d.x(), abs(d.number())), {}


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
    binary("maximum", lambda o, _: hull(o), two(), kinks=(0.0, 1.0)),
    binary("minimum", lambda o, _: hull(o), two(), kinks=(0.0, 1.0)),
    binary("atan2", within(-4, 4), two(None, POSITIVE), kinks=(0.0,)),
    binary("hypot", largest(lambda v: 2 * v), two(POSITIVE), kinks=(0.0,)),
    binary("remainder", lambda o, _: hull(o), _or_number((0.5, 8.0)), forms=ALL),
    binary("fmod", lambda o, _: hull(o), _or_number((0.5, 8.0))),
    binary("xlogy", largest(lambda v: v * 4), two(None, POSITIVE), kinks=(0.0,)),
    binary("logaddexp", largest(lambda v: v + 1), two()),
    binary("logaddexp2", largest(lambda v: v + 1), two()),
    binary("fmax", lambda o, _: hull(o), two(), kinks=(0.0, 1.0)),
    binary("fmin", lambda o, _: hull(o), two(), kinks=(0.0, 1.0)),
    binary("clamp_max", lambda o, _: hull([*o, (-3, 3)]), _or_number(), kinks=(0.5, 2.0)),
    binary("clamp_min", lambda o, _: hull([*o, (-3, 3)]), _or_number(), kinks=(0.5, 2.0)),
    binary("copysign", largest(abs), _or_number(), kinks=(0.0, -0.0, 1.0)),
    binary("true_divide", largest(lambda v: 4 * v), _or_number((0.5, 8.0)), kinks=(0.0,)),
    binary("float_power", _power, _or_number((0.5, 3.0)), (0.25, 4.0)),
    binary("ldexp", largest(lambda v: 8 * v), two(None, (-3.0, 3.0))),
    binary("rsub", lambda o, _: (-3 - o[0][1], 3 - o[0][0]), _reflected, forms=FUNCTION),
    binary("special.xlog1py", largest(lambda v: v * 4), two(None, POSITIVE), kinks=(0.0,), forms=FUNCTION),
    *(
        binary(f"__r{name}__", bounds, _reflected, domain, forms=("operator",))
        for name, bounds, domain in (
            ("add", lambda o, _: (o[0][0] - 3, o[0][1] + 3), WIDE),
            ("sub", lambda o, _: (-3 - o[0][1], 3 - o[0][0]), WIDE),
            ("mul", largest(lambda v: 3 * v), WIDE),
            ("truediv", largest(lambda _: 12.0), POSITIVE),
            ("pow", within(0, 16), (-2.0, 2.0)),
        )
    ),
)

#: What has values but no gradient: comparisons, logic, and arithmetic of integers.
COMPARED = (
    Operation("floor_divide", "comparison", _or_number((0.5, 8.0)), gradient=False),
    Operation("special.round", "comparison", one(decimals=(1, 0, -1)), forms=FUNCTION),
    Operation("__rmod__", "comparison", _reflected, (0.5, 8.0), forms=("operator",), gradient=False),
    *(
        Operation(name, "comparison", two(), kinks=(0.0, 1.0), gradient=False)
        for name in (
            *("eq", "ne", "lt", "le", "gt", "ge", "isclose"),
            *("logical_and", "logical_or", "logical_xor", "heaviside", "nextafter"),
        )
    ),
    *(
        Operation(name, "comparison", one(), kinks=(0.0, -0.0), gradient=False)
        for name in ("logical_not", "signbit", "isnan", "isinf", "isfinite", "isreal", "isposinf", "isneginf")
    ),
)


def _where(d: Draw) -> Arguments:
    x = d.x()
    y = d.like(x)
    return (d.mask(d.shape(x)), x, y), {}


def _lerp(d: Draw) -> Arguments:
    x = d.x()
    y = d.like(x)
    return (x, y, d.like(x) if d.upto(2) else d.number()), {}


def _second_alone(domain: Interval) -> Callable[[Draw], Arguments]:
    """Torch has a gradient to the second operand alone; the first is a constant."""

    def draw(d: Draw) -> Arguments:
        x = d.x(domain=domain)
        return (d.constant(d.shape(x), domain), x), {}

    return draw


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

#: Special functions: of one operand, of two, and those whose first argument is a number of their own.
SPECIAL = (
    unary("digamma", anywhere, (0.5, 16.0)),
    unary("lgamma", within(-1, 32), (0.5, 16.0)),
    unary("mvlgamma", anywhere, (2.5, 16.0), draw=one((1, 2, 3))),
    unary("erfinv", within(-2, 2), UNIT, (1.0, -1.0)),
    unary("i0", within(0, 12), (-4.0, 4.0), (0.0,)),
    unary("polygamma", anywhere, (0.5, 8.0), draw=lambda d: ((d.pick((0, 1, 2)), d.x()), {}), forms=FUNCTION),
    *(
        unary(f"special.{name}", bounds, domain, kinks, FUNCTION)
        for name, bounds, domain, kinks in (
            ("entr", within(-128, 1), POSITIVE, (0.0,)),
            ("erfcx", within(0, 128), (-2.0, 4.0), ()),
            ("i0e", within(0, 1), (-4.0, 4.0), (0.0,)),
            ("i1", within(-12, 12), (-4.0, 4.0), (0.0,)),
            ("i1e", within(-1, 1), (-4.0, 4.0), (0.0,)),
            ("log_ndtr", within(-16, 0), (-4.0, 4.0), ()),
            ("ndtr", within(0, 1), (-4.0, 4.0), ()),
            ("ndtri", within(-2, 2), PROBABILITY, ()),
        )
    ),
    *(
        Operation(f"special.{name}", "special", _second_alone(domain), domain, bounds, forms=FUNCTION)
        for name, domain, bounds in (
            ("gammainc", (0.5, 8.0), within(0, 1)),
            ("gammaincc", (0.5, 8.0), within(0, 1)),
            ("zeta", (1.5, 8.0), anywhere),
        )
    ),
)

OPERATIONS = UNARY + BINARY + TERNARY + SPECIAL + COMPARED
