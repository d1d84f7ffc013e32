"""Operations on each element, beside torch: values, types, nodes' names, gradients to second order, errors."""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from against_torch import check

import minigrad

nan, inf = np.nan, np.inf
EDGES = np.array([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.7, nan, inf, -inf])
TABLE = np.arange(6.0).reshape(2, 3) / 4 - 0.5
WHOLE = np.array([3, -2, 0, 5])
FLAGS = np.array([True, False])
COMPLEX = np.array([1 + 2j, -0.5 - 0.3j, 0.2 + 0j])


def names(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


INPUTS = {
    "edges": EDGES,
    "float32": EDGES[:10].astype("f4"),
    "float16": np.array([0.5, 1.25, -0.75], "f2"),
    "int": WHOLE,
    "uint8": np.array([0, 1, 5], "u1"),
    "bool": FLAGS,
    "0d": np.array(0.7),
    "empty": np.zeros((0, 3)),
    "transposed": TABLE.T,
    "reversed": np.arange(4.0)[::-1] * 0.3,
    "complex": COMPLEX,
}

UNARY = names(
    "abs sgn sqrt rsqrt reciprocal square log log2 log10 log1p exp exp2 expm1 tanh sigmoid sinh cosh asin "
    "acos atan asinh acosh atanh sin cos tan round frac positive erf erfc erfinv sinc logit deg2rad rad2deg "
    "angle real conj isnan isinf isfinite isposinf isneginf signbit logical_not bitwise_not isreal neg sign "
    "special.entr special.ndtr floor ceil trunc resolve_conj"
)
REAL = names("nan_to_num")  # torch does not differentiate it for complex tensors
ACTIVATIONS = names(
    "celu elu gelu hardshrink hardswish hardtanh leaky_relu logsigmoid relu relu6 selu softplus softshrink "
    "softsign sigmoid tanh"
)


@pytest.mark.parametrize("kind", INPUTS)
def test_unary(kind: str) -> None:
    for name in UNARY:
        check(name, INPUTS[kind])
    if kind != "complex":
        for name in REAL:
            check(name, INPUTS[kind])


@pytest.mark.parametrize("kind", INPUTS)
def test_activations(kind: str) -> None:
    for name in ACTIVATIONS:
        check(f"nn.functional.{name}", INPUTS[kind])


# Torch has no half-precision kernel for some of these, and loses digits in the second derivative of others: its
# trigamma is accurate to 1e-9, its hardsigmoid to 1e-8 (a float constant), mish overflows.
POSITIVE = np.array([0.3, 1.0, 2.5, 7.0])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_special(dtype: str) -> None:
    values = np.array([-1.5, -0.5, -0.0, 0.0, 0.3, 0.9, 4.0], dtype)
    for name in names("i0 special.i0e special.i1 special.i1e special.erfcx special.log_ndtr special.ndtri"):
        check(name, values)
    for name in ["lgamma", "digamma", "special.gammaln", "special.digamma", "special.psi"]:
        check(name, np.append(values, [nan, inf]).astype(dtype), orders=name != "special.psi" and "gammaln" in name)
    check("lgamma", np.array([-inf, inf]), orders=0)
    for n in range(4):
        check(lambda e, x, n=n: e.polygamma(n, x), POSITIVE.astype(dtype), orders=0 if n == 1 else 1 if n else 0)
        check(lambda e, x, n=n: x.polygamma(n), POSITIVE.astype(dtype), orders=0)
    for p in (0, 1, 3):
        check(lambda e, x, p=p: e.special.multigammaln(x, p), POSITIVE.astype(dtype) + 1, orders=1)
    for other in ("special.gammainc", "special.gammaincc"):
        check(other, POSITIVE.astype(dtype), POSITIVE[::-1].astype(dtype).copy(), grad_for=[1], orders=1)
        check(other, POSITIVE, POSITIVE)  # torch's error
    check("special.zeta", POSITIVE.astype(dtype) + 1.5, POSITIVE.astype(dtype), grad_for=[1])
    check("special.zeta", POSITIVE, POSITIVE)
    check("nn.functional.hardsigmoid", np.array([-4.0, -3.0, 0.5, 3.0, nan], "f4"), orders=1)
    check("nn.functional.mish", np.array([-30.0, -1.0, -0.0, 0.0, 2.0, 21.0, nan], dtype))
    check("nn.functional.silu", EDGES[:10].astype(dtype))
    check("nn.functional.tanhshrink", EDGES.astype(dtype))


FIRST, SECOND = (each.ravel().copy() for each in np.meshgrid(np.delete(EDGES, [1, 7, 8, 9]), EDGES[1:9]))
RANDOM = np.random.RandomState(0).randn(2, 3)
PAIRS: dict[str, tuple[Any, Any]] = {
    "edges": (FIRST, SECOND),
    "broadcast": (RANDOM[:, :1], RANDOM[0]),
    "0d": (np.array(0.7), np.array(-1.3)),
    "0d double and float": (np.array(0.7), RANDOM.astype("f4")),
    "float and double": (np.abs(RANDOM).astype("f4"), RANDOM),
    "half and float": (np.abs(RANDOM).astype("f2"), RANDOM.astype("f4")),
    "ints": (WHOLE, np.array([2, 3, -2, 1])),
    "short and byte": (np.array([3, 4], "i2"), np.array([2, 3], "u1")),
    "int and float": (np.array([3, 4]), np.array([0.5, 1.5], "f4")),
    "bools": (np.array([True, True, False]), np.array([True, False, True])),
    "bool and int": (FLAGS, np.array([3, 4])),
    "float and bool": (np.array([3.0, 4.0]), FLAGS),
    "complex": (COMPLEX[:2], np.array([-0.4 + 1j, 2 + 0.3j])),
    "complex and float": (COMPLEX[:2], np.array([0.7, 1.5])),
    "empty": (np.zeros((0, 3)), np.zeros(3)),
    "transposed": (TABLE.T, RANDOM.T),
    "unequal": (np.ones(2), np.ones(3)),
    "number": (np.array([-1.5, 0.0, 0.5, 2.0, nan, inf]), 2.0),
    "zero": (np.array([-1.5, 0.5, 2.0, nan, inf]), 0.0),
    "minus one": (np.array([-1.5, 0.0, 2.0, nan, inf]), -1),
    "half": (np.array([-1.5, 0.0, 2.0, nan, inf]), 0.5),
    "int and number": (np.array([3, 4]), 2),
    "int and fraction": (np.array([3, 4]), 2.5),
    "bool and number": (FLAGS, 2),
    "byte and wider": (np.array([1, 200], "u1"), 300),
    "byte and negative": (np.array([1, 200], "u1"), -1),
    "complex number": (np.array([3.0, 4.0]), 1j),
    "number first": (2.0, np.array([-1.5, 0.0, 0.5, 2.0, nan, inf])),
    "zero first": (0.0, np.array([-1.5, 0.0, 0.5, 2.0, nan, inf])),
    "text": (np.ones(2), "a"),
}
SIGNS_OF_ZERO = (
    (np.array([1.0, -1.0, 0.0, -0.0, -3.0, 2.5, -1.0]), np.array([0.25, 0.25, -0.25, 0.25, -3.0, 0.7, inf])),
    (np.array([1.0, -1.0, -0.0], "f4"), -0.25), (-1.0, np.array([0.25, -0.25])), (np.array(-1.0), 0.25),
)  # fmt: skip
BINARY = names(
    "add sub rsub mul div floor_divide pow maximum minimum fmax fmin atan2 hypot remainder fmod xlogy "
    "copysign nextafter eq ne lt le gt ge logical_and logical_or logical_xor special.xlog1py"
)
INTEGER = names("bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm")


@pytest.mark.parametrize("operands", SIGNS_OF_ZERO, ids=str)
def test_sign_of_a_zero_remainder(operands: Any) -> None:
    for name in ("remainder", "fmod"):
        if name == "remainder" or not isinstance(operands[0], float):
            check(lambda e, *given, f=name: e.signbit(getattr(e, f)(*given)), *operands)


@pytest.mark.parametrize("kind", PAIRS)
def test_binary(kind: str) -> None:
    for name in BINARY:
        errors = "type" if kind in ("unequal", "text") else "text"
        check(name, *PAIRS[kind], errors=errors)
    if kind not in ("unequal", "text"):
        for name in INTEGER:
            check(name, *PAIRS[kind])
    check("clamp_min", *PAIRS[kind], errors="type")
    check("clamp_max", *PAIRS[kind], errors="type")


@pytest.mark.parametrize("kind", [each for each in PAIRS if each != "text"])
def test_operators(kind: str) -> None:
    functions = names("add sub mul truediv floordiv mod pow eq ne lt le gt ge")
    if kind != "unequal":  # floats are refused first, where torch looks at shapes first
        functions += names("and_ or_ xor lshift rshift")
    for name in functions:
        function = getattr(operator, name)
        check(lambda e, *both, f=function: f(*both), *PAIRS[kind], errors="type" if kind == "unequal" else "text")


def test_aliases() -> None:
    for name in names(
        "absolute negative arccos arcsin arctan arccosh arcsinh arctanh special.expit special.exp2 "
        "special.expm1 special.log1p special.sinc special.round special.logit special.erf special.erfc "
        "special.erfinv special.i0 resolve_neg fix"
    ):
        check(name, np.array([0.3, 0.7]))
    for name in names(
        "subtract multiply divide true_divide arctan2 less less_equal greater greater_equal not_equal special.xlogy"
    ):
        check(name, np.array([0.3, 0.7]), np.array([0.7, 0.7]))


def test_sums_of_exponentials() -> None:
    values = np.array([-1.0, 0.0, 0.3, inf, -inf, nan, inf]), np.array([2.0, 0.0, -0.4, inf, -inf, 1.0, 1.0])
    check("logaddexp", *values)
    check("logaddexp2", *values, grad_for=[0])
    check("logaddexp2", *values, orders=1)
    check("logaddexp", RANDOM[:, :1], RANDOM[0])
    check("ldexp", np.array([0.3, -2.0]), np.array([2.0, -1.5]))
    check("float_power", np.array([0.3, 2.0], "f4"), 1.5)
    check("float_power", WHOLE, 2)


INPLACE = names(
    "abs sign sgn sqrt rsqrt reciprocal square log log2 log10 log1p exp exp2 expm1 tanh sigmoid relu sinh "
    "cosh asin acos atan sin cos tan floor ceil round trunc frac erf erfc erfinv i0 sinc logit deg2rad "
    "rad2deg logical_not nan_to_num neg absolute arccos fix"
)


@pytest.mark.parametrize("values", [np.array([0.3, 0.7]), WHOLE, TABLE.T], ids=["float", "int", "transposed"])
def test_inplace(values: Any) -> None:
    for name in INPLACE:
        check(lambda e, x, f=name + "_": getattr(x * 1, f)(), values)


def test_inplace_binary() -> None:
    x, y = np.array([0.3, 0.7]), np.array([0.2, 2.0])
    for name in names(
        "add sub mul div true_divide pow remainder fmod xlogy copysign eq ne lt le gt ge less multiply divide "
        "subtract clamp_min clamp_max"
    ):
        inplace = name + "_"
        for pair in ((x, y), (x, 2.0), (TABLE + 2, np.arange(1.0, 4)), (np.ones(1), np.ones(3)), (x.astype("f4"), y)):
            check(lambda e, a, b, f=inplace: getattr(a * 1, f)(b), *pair)
        check(lambda e, a, f=inplace: getattr(a * 1, f)(a * 2), x)
        check(lambda e, a, f=inplace: getattr(a, f)(2.0), x)  # a leaf
        check(lambda e, a, f=inplace: getattr(a * 1, f)(1.5), WHOLE, errors="type")
    for name in ("bitwise_and_", "bitwise_or_", "bitwise_xor_", "bitwise_left_shift_", "bitwise_right_shift_"):
        check(lambda e, a, f=name: getattr(a.clone(), f)(2), WHOLE)
    for name in ("atan2_", "hypot_", "nextafter_", "logical_and_"):
        check(lambda e, a, b, f=name: getattr(a * 1, f)(b), x, y)
    check(lambda e, a: (a * 1).float_power_(2), x)

    def augmented(e: Any, a: Any) -> Any:
        b = a * 1
        b += 2
        b *= a
        b -= 0.5
        b /= a
        b **= 2
        return b

    check(augmented, x)


def test_alpha() -> None:
    for name in ("add", "sub", "rsub"):
        for alpha in (2, 2.5, 0, -1, True):
            call = lambda e, a, b, f=name, alpha=alpha: getattr(e, f)(a, b, alpha=alpha)  # noqa: E731
            check(call, TABLE, RANDOM)
            check(call, TABLE, 3)
            check(call, WHOLE, WHOLE)


def test_division_modes() -> None:
    for mode in ("trunc", "floor", "x"):
        call = lambda e, a, b, mode=mode: e.div(a, b, rounding_mode=mode)  # noqa: E731
        for pair in ((EDGES, EDGES[::-1].copy()), (TABLE, 0.7), (WHOLE, 2), (WHOLE, 0), (FLAGS, FLAGS), (EDGES, 0.0)):
            check(call, *pair)
        check(lambda e, a, mode=mode: (a * 1).div_(a + 3, rounding_mode=mode), TABLE)


def test_powers_that_are_roots() -> None:
    """Of a number's exponent torch makes roots, which differ at -inf and -0; not in half precision."""
    for array in (EDGES, EDGES.astype("f4"), EDGES.astype("f2")):
        for number in (0.5, -0.5, 1.5):
            check(lambda e, x, n=number: x**n, array)
    for base in (1.0, 2):
        check(lambda e, x, b=base: (b**x, (b**x).stride()), TABLE.T)
    check(lambda e, x: e.mvlgamma(x, 2), EDGES, grad_for=[])
    check(lambda e, x: e.nn.functional.soft_margin_loss(x, e.ones_like(x), reduction="none"), EDGES)


def test_what_ndtr_saves_is_not_its_operand() -> None:
    def call(e: Any, x: Any) -> Any:
        y = x.clone()
        found = e.special.ndtr(y)
        y.mul_(2)
        return found

    check(call, TABLE)


def test_reflected() -> None:
    for call in (
        lambda e, x: 2 - x, lambda e, x: 2 / x, lambda e, x: 2**x, lambda e, x: 0**x, lambda e, x: (-2.0) ** x,
        lambda e, x: 2 // x, lambda e, x: abs(x), lambda e, x: -x, lambda e, x: (+x) is x, lambda e, x: ~x,
    ):  # fmt: skip
        check(call, EDGES)
        check(call, FLAGS)
    for call in (lambda e, x: 2 % x, lambda e, x: 3 & x, lambda e, x: 3 | x, lambda e, x: 1 << x, lambda e, x: ~x):
        check(call, np.array([1, 2, 5]))


def test_clamp() -> None:
    for bounds in ((None, None), (0, None), (None, 0.5), (0.0, 0.5), (1.0, 0.0), (0, 1), (nan, None)):
        for values in (EDGES, EDGES.astype("f4"), WHOLE):
            check(lambda e, x, b=bounds: x.clamp(*b), values)
            check(lambda e, x, b=bounds: e.clip(x, min=b[0], max=b[1]), values)
        check(lambda e, x, b=bounds: (x * 1).clamp_(*b), EDGES)
    low, high = EDGES[::-1].copy(), np.linspace(-1, 1, EDGES.size)
    check("clamp", EDGES, low, high)
    check("clamp", EDGES, low)
    check(lambda e, x, b: e.clamp(x, max=b), EDGES, low)
    check("clamp", TABLE, np.array(0.1), np.array([1.0, 0.0, 0.2]))
    check("clamp", EDGES, low, 1.0)
    check("clamp", EDGES.astype("f4"), low)


def test_closeness() -> None:
    near = EDGES * (1 + 1e-6)
    for call in (
        lambda e, x, y: e.isclose(x, y), lambda e, x, y: e.isclose(x, y, rtol=1e-7), lambda e, x, y: x.allclose(y),
        lambda e, x, y: e.allclose(x, y, equal_nan=True), lambda e, x, y: e.isclose(x, y, 0.0, 1e-6, True),
        lambda e, x, y: (e.equal(x, y), e.equal(x[:10], x[:10]), x.equal(x[:3])),
    ):  # fmt: skip
        check(call, EDGES, near)
    check("isclose", WHOLE, WHOLE + 1)


def test_where() -> None:
    for call in (
        lambda e, x: e.where(x > 0, x, 0), lambda e, x: e.where(x > 0, 1.5, x), lambda e, x: e.where(x > 0, 1, 2.0),
        lambda e, x: e.where(x > 0, 1, 2), lambda e, x: x.where(x > 0, -x), lambda e, x: e.where(x > 0, x.sqrt(), 0),
        lambda e, x: e.where(x, x, x), lambda e, x: e.where(True, x, x), lambda e, x: e.where(x > 0, x, None),
    ):  # fmt: skip
        check(call, np.array([0.0, 1.0, -1.0, nan]), errors="type")
    call = lambda e, c, x, y: e.where(c, x, y)  # noqa: E731
    check(call, np.array([[True], [False]]), np.ones(3), np.array(2.0))
    check(call, FLAGS, np.ones(2, "f4"), np.ones(2))
    check(call, np.array([1, 0], "u1"), np.ones(2), np.zeros(2), errors="type")  # a warning
    check(call, WHOLE, np.ones(4), np.ones(4))
    check(call, FLAGS, np.ones(3), np.ones(3))
    check(lambda e, c: e.where(c), np.array([[True, False], [True, True]]))


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "i4", "f2", "f4", "F"])
def test_numbers_that_a_type_does_not_have(kind: str) -> None:
    one = np.ones(1, kind)
    for number in (300, -3, -300, 2**40, 1e300, -1.5, inf, nan, 1j, 1 + 0j, 2**70):
        for call in (
            lambda e, x, n=number: x.masked_fill(x == 1, n), lambda e, x, n=number: x.clone().fill_(n),
            lambda e, x, n=number: x.scatter(0, e.tensor([0]), n), lambda e, x, n=number: e.add(x, x, alpha=n),
            lambda e, x, n=number: x.index_add(0, e.tensor([0]), x, alpha=n),
        ):  # fmt: skip
            check(call, one, grad_for=[], errors="type")


def test_three_operands() -> None:
    x, y, z = EDGES[:8], EDGES[2:10], np.linspace(-1, 2, 8)
    for weight in (0, 0.3, 0.5, 0.7, 1, -2, 1.5):
        check(lambda e, a, b, w=weight: e.lerp(a, b, w), x, y)
        check(lambda e, a, b, w=weight: (a * 1).lerp_(b, w), x, y)
    lerp = lambda e, a, b, w: e.lerp(a, b, w)  # noqa: E731
    check(lerp, x, y, z)
    check(lerp, x, y, np.array(0.4))
    for dtypes in ("ffd", "dff", "fdf", "lle", "lll", "fde"):  # a weight without dimensions is promoted, ends are not
        for shape in ((), (2,)):
            check(lerp, *(np.ones(each, dtype) for each, dtype in zip((2, 2, shape), dtypes)))
            check(lerp, *(np.ones((), dtype) for dtype in dtypes))
    check(lerp, TABLE, np.arange(3.0), TABLE[:, :1])
    check(lerp, x.astype("f4"), y, 0.5)
    check(lerp, WHOLE, WHOLE, 0.5)
    check(lerp, COMPLEX, COMPLEX[::-1].copy(), 0.3)
    for name in ("addcmul", "addcdiv"):
        call = lambda e, *each, f=name: getattr(e, f)(*each, value=2.5)  # noqa: E731
        check(name, EDGES, EDGES[::-1].copy(), np.linspace(-1, 1, EDGES.size))
        check(call, TABLE, np.arange(2.0, 5), TABLE[:, :1] + 3)
        check(call, TABLE.astype("f4"), TABLE, np.array(0.7))
        check(name, WHOLE, WHOLE, WHOLE + 7)
        check(name, TABLE[0], np.array([1, 2, 3]), np.array([4, 5, 6]))
        check(lambda e, a, f=name: getattr(a * 1, f + "_")(a + 2, a + 3, value=0.5), TABLE)
        check(name, TABLE, 2.0, TABLE, errors="type")


def test_arguments() -> None:
    for decimals in (0, 1, 2, -1):
        values = np.array([0.125, 1.375, -2.5, 3.5, 123.456, -150.0, nan, inf])
        check(lambda e, x, d=decimals: e.round(x, decimals=d), values)
        check(lambda e, x, d=decimals: x.round(decimals=d), values[:5].astype("f4"))
    check(lambda e, x: x.round(decimals=1), WHOLE)
    for given in ((), (1.0,), (1.0, 2.0, 3.0), (None, 5.0), (0.0, None, -7)):
        check(lambda e, x, g=given: e.nan_to_num(x, *g), EDGES)
        check(lambda e, x, g=given: x.nan_to_num(*g), EDGES.astype("f4"))
    for eps in (None, 0.1, 1e-6, 0.6):
        values = np.array([-0.5, 0.0, 0.05, 0.3, 0.9, 1.0, 1.5, nan])
        check(lambda e, x, eps=eps: e.logit(x, eps), values)
        check(lambda e, x, eps=eps: e.special.logit(x, eps=eps), values[2:5])
    for name in ("real", "imag"):
        check(lambda e, x, f=name: getattr(x, f), COMPLEX)
        check(lambda e, x, f=name: getattr(e, f)(x), TABLE)
    check(lambda e, x: (x.real is x, x.conj() is x), TABLE)
    check(lambda e, x: e.polygamma(-1, x), POSITIVE)
    check(lambda e, x: e.polygamma(1.5, x), POSITIVE)
    for given in ([], None):  # out= is for what needs no gradient
        check(lambda e, x: e.polygamma(1, x, out=e.zeros_like(x)), POSITIVE, grad_for=given)
    check("heaviside", EDGES, EDGES)
    check("heaviside", EDGES, EDGES.astype("f4"))
    for call in (
        lambda e, x: e.sin(input=x), lambda e, x: e.add(input=x, other=x), lambda e, x: e.sin(x, x),
        lambda e, x: e.sin(),
        lambda e, x: e.sin("a"), lambda e, x: e.sin(x, foo=1), lambda e, x: e.maximum(x),
        lambda e, x: e.sin(x, out=e.empty(2, 3, dtype=e.float64)),
        lambda e, x: e.sin(x.detach(), out=e.empty(2, 3, dtype=e.float64)),
    ):  # fmt: skip
        check(call, TABLE)


LINE = np.array([-100.0, -5, -3, -2, -1, -0.5, -0.0, 0.0, 0.1, 0.5, 1, 2, 3, 6, 100, 750, nan])
WITH_ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    "celu": [(), (0.5,), (2.0,), (-1.0,), (0.0,)],
    "elu": [(), (0.5,), (2,), (-1.0,)],
    "hardshrink": [(1.0,), (0.0,), (-1.0,)],
    "hardtanh": [(), (-2.0, 0.5), (0, 1)],
    "leaky_relu": [(), (0.2,), (0.0,), (-0.3,)],
    "softplus": [(), (2.0,), (0.5, 3.0), (1, -1)],
    "softshrink": [(1.0,), (0.0,), (-1.0,)],
    "threshold": [(0.1, 0.2), (0, -1), (-1.0, 5.0)],
    "relu": [()],
    "relu6": [()],
    "selu": [()],
    "silu": [()],
    "hardswish": [()],
    "logsigmoid": [()],
}
WRITABLE = names("celu elu hardtanh leaky_relu threshold relu relu6 selu silu hardswish")


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
def test_activation_arguments(name: str) -> None:
    for given in WITH_ARGUMENTS[name]:

        def apply(e: Any, x: Any, *more: Any, given: Any = given, **named: Any) -> Any:
            return getattr(e.nn.functional, name)(x, *given, *more, **named)

        check(apply, LINE)
        check(apply, LINE[:-2].astype("f4"))
        if name in WRITABLE:
            check(lambda e, x, f=apply: f(e, x * 1, inplace=True), LINE)
            check(lambda e, x, f=apply: f(e, x * 1, True), LINE)
            check(lambda e, x, f=apply: f(e, x, inplace=True), LINE)  # a leaf
    for function in (f"{name}_", f"nn.functional.{name}_"):
        if hasattr(torch.nn.functional if "." in function else torch, name + "_"):
            path = operator.attrgetter(function)
            check(lambda e, x, path=path, g=WITH_ARGUMENTS[name][0]: path(e)(x * 1, *g), LINE)


def test_gelu_and_prelu() -> None:
    for approximate in ("none", "tanh", "z"):
        for values in (LINE, LINE[:-2].astype("f4")):
            check(lambda e, x, a=approximate: e.nn.functional.gelu(x, approximate=a), values)
    for shape, count in [((4,), 1), ((2, 3), 3), ((2, 3), 1), ((2, 3, 4), 3), ((), 1), ((), 2), ((4,), 2), ((0, 3), 3)]:
        values = np.cos(np.arange(int(np.prod(shape))) + 1.0).reshape(shape)
        check("nn.functional.prelu", np.asarray(values), 0.25 + 0.1 * np.arange(count))
    check("prelu", np.array([0.0, nan]), np.array([0.2]))
    check("prelu", TABLE, np.array([0.2], "f4"))
    check("prelu", TABLE, np.ones((3, 1)))


def test_third_order() -> None:
    x = np.array([0.3, 0.8])
    for name in ("sin", "exp", "sigmoid", "tanh", "rsqrt", "erf", "nn.functional.gelu", "nn.functional.silu", "i0"):
        check(name, x, orders=3)
    check("pow", x, x, orders=3)
    check("atan2", x, x[::-1].copy(), orders=3)


def test_each_operation_needs_scipy_only_when_called() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None; sys.modules['scipy.special'] = None; import minigrad as torch\n"
        "assert torch.tensor(1.).sin() is not None\n"
        "try: torch.tensor(1.).erf()\n"
        "except ImportError as error: print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "erf needs scipy: pip install 'minigrad-conformance[scipy]'\n"


def test_precision_where_torch_has_less() -> None:
    """The second derivative of lgamma, and powers of two with integer exponents, against what is known exactly."""
    x = minigrad.tensor([1.0, 0.5], dtype=minigrad.float64, requires_grad=True)
    (slope,) = minigrad.autograd.grad(x.lgamma().sum(), x, create_graph=True)
    (curvature,) = minigrad.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(curvature.numpy(), [np.pi**2 / 6, np.pi**2 / 2], rtol=1e-14)
    (scale,) = minigrad.autograd.grad(minigrad.ldexp(x, minigrad.tensor(-4)).sum(), x)
    assert scale.tolist() == [1 / 16, 1 / 16]
    base, power = minigrad.tensor(2.0), minigrad.tensor(1.0, dtype=minigrad.float64, requires_grad=True)
    (slope,) = minigrad.autograd.grad(base**power, power, create_graph=True)
    (curvature,) = minigrad.autograd.grad(slope, power)
    np.testing.assert_allclose([slope.item(), curvature.item()], [2 * math.log(2), 2 * math.log(2) ** 2], rtol=1e-15)
    half, beyond = minigrad.tensor(0.5).double(), minigrad.linspace(1.0, 1.6, 61, dtype=minigrad.float64)
    for name, known in (("gammaincc", math.erfc), ("gammainc", math.erf)):
        found = getattr(minigrad.special, name)(half, beyond)
        np.testing.assert_allclose(found.numpy(), [known(math.sqrt(each)) for each in beyond.tolist()], rtol=4e-15)
    near = minigrad.tensor([1 - 2.0**-40, 1 + 2.0**-30, 2 - 2.0**-40, 2 + 2.0**-30], dtype=minigrad.float64)
    slopes, steps = [-np.euler_gamma] * 2 + [1 - np.euler_gamma] * 2, [-(2.0**-40), 2.0**-30] * 2
    np.testing.assert_allclose(near.lgamma().numpy(), np.multiply(slopes, steps), rtol=4e-9)
