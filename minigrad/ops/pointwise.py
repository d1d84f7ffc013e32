"""Operations on each element: arithmetic, comparison, exponentials, trigonometry, rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._apply import apply_inplace
from minigrad._arguments import combination_error
from minigrad._declare import PUBLIC, binary, composite, op, unary
from minigrad._dtype import complex128 as COMPLEX
from minigrad._dtype import float64 as DOUBLE
from minigrad._dtype import from_numpy, result_type
from minigrad._graph import NOT_IMPLEMENTED
from minigrad._layout import copied
from minigrad._op import OPS, RAW, Array, ArrayAsIs, ArrayOrNumber, is_number
from minigrad._tensor import Tensor
from minigrad._views import edge_of
from minigrad._warning import warn
from minigrad.ops import shape  # noqa: F401  (declares conj)
from minigrad.ops._checks import fitted, kind, real_node, refuse_kinds
from minigrad.ops._where import where as select

BOTH: Final = ("self", "other")  # the operands that may be Python numbers
OTHER: Final = ("other",)


def zeros(xp: Any, grad: Any) -> Any:
    """No dependence: zeros, as torch gives for functions that are constant piece by piece."""
    return xp.zeros(grad.shape, grad)


def is_complex(value: Any) -> bool:
    """Whether an array or a tensor is complex."""
    return bool((value._data if isinstance(value, Tensor) else value).dtype.kind == "c")


def pass_where(xp: Any, mask: Any, grad: Any) -> Any:
    """The gradient where `mask` holds; a product would turn its infinities into nan elsewhere."""
    return xp.where(mask, grad, 0)


def overloads(name: str, both: int, other_number: int, self_number: int | None = None) -> Callable[[Any, Any], str]:
    """How torch numbers the nodes of an operation's overloads: two tensors, a number second, a number first."""

    def node(self: Any, other: Any) -> str:
        if self_number is not None and is_number(self):
            return f"{name}Backward{self_number}"
        return f"{name}Backward{other_number if is_number(other) else both}"

    return node


# ---- arithmetic ------------------------------------------------------------------------------------------------------


def scaled(value: Any, alpha: Any) -> Any:
    """`value * alpha`, which must be a number that the type of `value` holds."""
    if alpha == 1 and type(alpha) is int:
        return value
    kind = value.dtype.kind
    if isinstance(alpha, bool) and kind != "b":
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, (float, complex)) and kind not in "fc":
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, complex) and kind != "c":
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")
    return value * fitted(alpha, value.dtype)


def subtraction(self: Any, other: Any) -> str:
    """Promotion as usual; torch refuses to subtract bools."""
    bools = [
        isinstance(each, bool) or isinstance(each, Tensor) and each._data.dtype.kind == "b" for each in (self, other)
    ]
    if any(bools):
        what, use = ("two bool tensors", "Use the `^` or `logical_xor()`") if all(bools) else ("a bool tensor", INVERT)
        raise RuntimeError(f"Subtraction, the `-` operator, with {what} is not supported. {use} operator instead.")
    return "keep"


INVERT: Final = "If you are trying to invert a mask, use the `~` or `logical_not()`"


@op(elementwise=True, promote="keep", inplace=True, quick=np.add,
    self=lambda grad: grad,
    other=lambda grad, alpha: grad if alpha == 1 else grad * alpha)  # fmt: skip
def add(self: ArrayOrNumber, other: ArrayOrNumber, *, alpha: Any = 1) -> Any:
    return np.add(self, scaled(other, alpha))


@op(elementwise=True, promote=subtraction, inplace=True, quick=np.subtract, aliases=["subtract"],
    self=lambda grad: grad,
    other=lambda grad, alpha: -grad if alpha == 1 else grad * -alpha)  # fmt: skip
def sub(self: ArrayOrNumber, other: ArrayOrNumber, *, alpha: Any = 1) -> Any:
    return np.subtract(self, scaled(other, alpha))


@op(
    promote=subtraction, method=False, quick=lambda self, other: np.subtract(other, self),
    node=lambda other: "RsubBackward1" if is_number(other) else "RsubBackward0",
    self=lambda grad, alpha: -grad if alpha == 1 else grad * -alpha, other=lambda grad: grad,
)  # fmt: skip
def rsub(self: Array, other: ArrayOrNumber, *, alpha: Any = 1) -> Any:
    return np.subtract(other, scaled(self, alpha))


binary("mul", np.multiply, numbers=BOTH, self=lambda grad, other: grad * other, other=lambda grad, self: grad * self,
       aliases=["multiply"])  # fmt: skip


def quotient(self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return np.true_divide(self, other)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    refuse_kinds(f"div_{rounding_mode}_cpu", self, "bc")
    check_divisor(other)
    if rounding_mode == "floor":
        return floor_quotient(self, other)
    if self.dtype.kind == "f":
        return np.trunc(np.true_divide(self, other))
    return (self - np.fmod(self, other)) // other


def check_divisor(other: Any) -> None:
    if other.dtype.kind in "iu" and not np.all(other):
        raise RuntimeError("ZeroDivisionError")


def floor_quotient(self: Any, other: Any) -> Any:
    check_divisor(other)
    return np.floor_divide(self, other)


@op(elementwise=True, promote=lambda rounding_mode: "float" if rounding_mode is None else "keep",
    inplace=True, quick=np.true_divide, aliases=["divide", "true_divide"],
    node=lambda rounding_mode: "DivBackward0" if rounding_mode is None else "DivBackward2",
    self=lambda xp, grad, other, rounding_mode: grad / other if rounding_mode is None else zeros(xp, grad),
    other=lambda xp, grad, self, other, rounding_mode: (
        -grad * ((self / other) / other) if rounding_mode is None else zeros(xp, grad)
    ))  # fmt: skip
def div(self: ArrayOrNumber, other: ArrayOrNumber, *, rounding_mode: str | None = None) -> Any:
    return quotient(self, other, rounding_mode)


def refuse(error: Exception) -> Callable[[Any], Any]:
    """The formula of an operation that torch records but cannot differentiate."""

    def formula(grad: Any) -> Any:
        raise type(error)(*error.args)

    return formula


def not_implemented(name: str) -> Callable[[Any], Any]:
    return refuse(RuntimeError(f"derivative for aten::{name} is not implemented"))


binary("floor_divide", floor_quotient, numbers=BOTH, kinds="iuf", refusal="div_floor_cpu",
       node=lambda self, other: NOT_IMPLEMENTED,
       self=not_implemented("floor_divide"), other=not_implemented("floor_divide"))  # fmt: skip


def exponent(self: Any, other: Any) -> str:
    """Promotion as usual, of integers to a power that is none of theirs refused."""
    if isinstance(self, Tensor) and isinstance(other, int) and self._data.dtype.kind in "biu" and other < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if isinstance(other, int) or isinstance(self, Tensor) and self._data.dtype.kind == "f":
        check_fits(self, other)
    return "keep"


def check_fits(self: Any, *numbers: Any) -> None:
    """RuntimeError when a Python number is too large for the type that it makes with a tensor."""
    for each in numbers:
        if isinstance(each, (int, float)) and isinstance(self, Tensor) and self._data.dtype.char in "?bBhilefF":
            fitted(each, result_type([(self._data.dtype, self._data.ndim), each]))


def power(self: Any, other: Any) -> Any:
    if self.dtype.kind in "iu":
        whole = np.power(self, np.maximum(other, 0))
        # Inverses are truncated: only those of 1 and -1 are not 0.
        inverse = np.where(np.abs(self) == 1, np.power(self, other & 1), 0)
        return np.where(other >= 0, whole, inverse).astype(self.dtype)[()]
    if not other.ndim and other.item() == -0.5 and self.dtype.char != "e":  # as numpy has it for 0.5
        return 1 / np.sqrt(self)
    found = np.power(self, other)
    return found if isinstance(self, np.ndarray) else np.asarray(found, order="C")  # as torch lays those of a number


def power_slope(xp: Any, grad: Any, self: Any, other: Any, other_number: bool) -> Any:
    if other_number:
        number = other.item()
        if number == 0:
            return zeros(xp, grad)
        return grad * (number * xp.pow(self, other.dtype.type(number - 1) if xp is RAW else number - 1))
    return xp.where(other == 0, 0, grad * (other * self ** (other - 1)))


def exponent_slope(xp: Any, grad: Any, self: Any, other: Any, result: Any) -> Any:
    flat = (self == 0) & ((xp.real(other) if is_complex(other) else other) >= 0)
    if xp is not RAW and self.dtype != result.dtype:  # arrays are of one type: the logarithm is as precise as the power
        self = self.to(result.dtype)
    return grad * xp.where(flat, 0, result * xp.log(self))


binary(
    "pow", power, promote=exponent, numbers=BOTH, kinds="iufc", refusal="pow",
    node=overloads("Pow", 1, 0, 2), self=power_slope, other=exponent_slope,
)  # fmt: skip


def remains(rounding_mode: str) -> Callable[..., Any]:
    """The formula of a remainder's divisor."""

    def formula(xp: Any, grad: Any, self: Any, other: Any) -> Any:
        return -grad * xp.div(self, other, rounding_mode=rounding_mode)

    return formula


def by_divisor(function: Callable[..., Any]) -> Callable[..., Any]:
    """A numpy function that refuses integer division by zero."""

    def forward(self: Any, other: Any) -> Any:
        check_divisor(other)
        return function(self, other)

    return forward


def remainder_slope(xp: Any, grad: Any, self: Any, other: Any, self_number: bool) -> Any:
    return not_implemented("remainder")(grad) if self_number else remains("floor")(xp, grad, self, other)


def remainder(self: Any, other: Any) -> Any:
    """Of the divisor's sign, but a zero is of the dividend's, as fmod makes it."""
    result = np.remainder(self, other)
    return result if result.dtype.kind != "f" else np.copysign(result, np.where(result == 0, self, result))


REMAINDER: Final = overloads("Remainder", 1, 0)
binary("remainder", by_divisor(remainder), numbers=BOTH, kinds="iuf", refusal="remainder_cpu",
       node=lambda self, other: NOT_IMPLEMENTED if is_number(self) else REMAINDER(self, other),
       self=lambda grad: grad, other=remainder_slope)  # fmt: skip
binary("fmod", by_divisor(np.fmod), numbers=OTHER, kinds="iuf", refusal="fmod_cpu", node=overloads("Fmod", 1, 0),
       self=lambda grad: grad, other=remains("trunc"))  # fmt: skip


def negative(self: Any) -> Any:
    if self.dtype.kind == "b":
        raise RuntimeError(f"Negation, the `-` operator, on a bool tensor is not supported. {INVERT} operator instead.")
    return np.negative(self)


unary("neg", negative, lambda grad: -grad, promote="keep", aliases=["negative"])
unary("abs", np.abs, lambda xp, grad, self: grad * xp.sgn(self), promote="keep", kinds="iufc", refusal="abs_cpu",
      holomorphic=False, aliases=["absolute"], inplace=False)  # fmt: skip


@composite(aliases=["absolute_"])
def abs_(self: Tensor) -> Tensor:
    """The absolute values, of the tensor itself."""
    if is_complex(self):
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return apply_inplace(OPS["abs"], [self])


unary("reciprocal", np.reciprocal, lambda grad, result: -grad * (result * result))


@composite
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    if input._data.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


# ---- comparison and logic --------------------------------------------------------------------------------------------

for name, compare, alias in [
    ("eq", np.equal, None), ("ne", np.not_equal, "not_equal"), ("lt", np.less, "less"),
    ("le", np.less_equal, "less_equal"), ("gt", np.greater, "greater"), ("ge", np.greater_equal, "greater_equal"),
]:  # fmt: skip
    binary(name, compare, numbers=OTHER, kinds="biufc" if name in ("eq", "ne") else "biuf", refusal=f"{name}_cpu",
           aliases=[alias] if alias else [], node=overloads(name.capitalize(), 1, 0),
           # Recorded only in place, where the result keeps its floating type.
           self=lambda xp, grad: zeros(xp, grad), other=lambda xp, grad: zeros(xp, grad))  # fmt: skip

for name, combine in [("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)]:
    binary(f"bitwise_{name}", combine, numbers=BOTH, kinds="biu", refusal=f"bitwise_{name}_cpu")
for name, both in [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)]:
    binary(f"logical_{name}", both)
binary("bitwise_left_shift", np.left_shift, numbers=BOTH, kinds="iu", refusal="lshift_cpu")
binary("bitwise_right_shift", np.right_shift, numbers=BOTH, kinds="iu", refusal="rshift_cpu")
unary("bitwise_not", np.invert, promote="keep", kinds="biu", refusal="bitwise_not_cpu")
unary("logical_not", np.logical_not, promote="keep")

TESTS: Final[dict[str, Callable[..., Any]]] = {
    "isnan": np.isnan, "isinf": np.isinf,
    "isreal": lambda self: self.imag == 0 if self.dtype.kind == "c" else np.ones_like(self, bool),
}  # fmt: skip
for name, test in TESTS.items():
    unary(name, test, promote="keep", inplace=False)


@op(name="_isfinite", function=False, method=False)
def _isfinite(self: Array) -> Array:
    return np.isfinite(self)


@composite(raw=np.isfinite)
def isfinite(self: Tensor) -> Tensor:
    """Whether the elements are neither infinite nor nan."""
    if self._view is not None and self._data.dtype.kind in "fc":
        edge_of(self)  # torch asks for the absolute values first, and so for the view's place in the graph
    found: Tensor = _isfinite(self)
    return found


for name, infinite in [("isposinf", np.isposinf), ("isneginf", np.isneginf)]:
    unary(name, infinite, promote="keep", inplace=False, kinds="biuf",
          refusal=RuntimeError(f"{name} does not support complex inputs."))  # fmt: skip
unary("signbit", lambda self: np.signbit(self) if self.dtype.kind != "b" else np.zeros_like(self), promote="keep",
      inplace=False, kinds="biuf",
      refusal=NotImplementedError("signbit is not implemented for complex tensors."))  # fmt: skip


@op(elementwise=True)
def isclose(self: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where the two differ by at most `atol + rtol * |other|`, or are equal."""
    if self.dtype != other.dtype:
        raise RuntimeError(f"{kind(self)} did not match {kind(other)}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance:g}")
    near = (self == other) | (np.isfinite(other) & (np.abs(self - other) <= atol + np.abs(rtol * other)))
    return near | (np.isnan(self) & np.isnan(other)) if equal_nan else near


@composite
def allclose(self: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements of the two are close, as `isclose` says."""
    return bool(np.all(isclose(self.detach(), other.detach(), rtol, atol, equal_nan)._data))


@composite
def equal(self: Tensor, other: Tensor) -> bool:
    """Whether the two have the same shape and elements."""
    return self._data.shape == other._data.shape and bool(np.all(self._data == other._data))


# ---- complex numbers -------------------------------------------------------------------------------------------------


@op(name="real", view=True, function=False, method=False, node="SelectBackward0", self=lambda grad: grad)
def real_part(self: Array) -> Array:
    return self.real


@op(name="imag", view=True, function=False, method=False, node="SelectBackward0",
    self=lambda xp, grad, conjugated: xp.conj(-(grad * 1j)) if conjugated else grad * 1j)  # fmt: skip
def imaginary_part(self: Array, conjugated: bool = False) -> Array:
    return self.imag


conjugate = PUBLIC["conj"]


@composite
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself."""
    return conjugate(input) if is_complex(input) else input


@composite(method=False)
def real(input: Tensor) -> Tensor:
    """The real part, a view of the tensor; a real tensor itself."""
    return _part(input, real_part(input), 0) if is_complex(input) else input


@composite(method=False)
def imag(input: Tensor) -> Any:
    """The imaginary part, a view of the tensor, which must be complex."""
    if not is_complex(input):
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(input, imaginary_part(input, bool(input._lazy & 1)), 2)


def _part(whole: Tensor, part: Tensor, negative: int) -> Tensor:
    """The real part of a conjugate is no conjugate, its imaginary part a negative."""
    if whole._lazy:
        part._lazy = whole._lazy & 2 ^ (negative if whole._lazy & 1 else 0)
    return part


def angle_formula(xp: Any, grad: Any, self: Any) -> Any:
    if not is_complex(self):
        return zeros(xp, grad)
    size = xp.abs(self)
    return xp.where(self == 0, 0, grad * (1j * self / (size * size)))


def argument(self: Any) -> Any:
    if self.dtype.kind == "c":
        return np.angle(self)
    return np.where(self < 0, math.pi, np.where(self == self, 0, self)).astype(self.dtype)


unary("angle", argument, angle_formula, inplace=False)


# ---- choosing --------------------------------------------------------------------------------------------------------


def bound(self: Any, other: Any) -> str:
    """Promotion as usual, of numbers that fit."""
    check_fits(self, other)
    check_fits(other, self)
    return "keep"


@op(name="where", elementwise=True, promote=bound, method=False, node="WhereBackward0", function=False,
    self=lambda xp, grad, condition: xp.where(condition, grad, 0),
    other=lambda xp, grad, condition: xp.where(condition, 0, grad))  # fmt: skip
def choose(condition: ArrayAsIs, self: ArrayOrNumber, other: ArrayOrNumber) -> Array:
    if condition.dtype != bool:
        if condition.dtype != np.uint8:
            name = kind(condition)
            raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {name}")
        warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future"
            " version of PyTorch. Use a boolean condition instead."
        )
        condition = condition != 0
    return select(condition, self, other)


@op("switch", elementwise=True, promote="keep", function=False, method=False,
    self=lambda xp, grad, condition: xp.where(condition, grad, 0),
    other=lambda xp, grad, condition: xp.where(condition, 0, grad),
    source=lambda xp, grad, source_shape: xp.zeros(source_shape, grad))  # fmt: skip
def choose_by(condition: ArrayAsIs, self: ArrayOrNumber, other: ArrayOrNumber, source: ArrayAsIs) -> Array:
    """`where` that depends, piece by piece constantly, on the tensor that the condition is about.

    Torch has it so where a backward is a kernel of its own: its result requires grad, though that is zero.
    """
    return select(condition, self, other)


@composite(method=False)
def where(condition: Any, self: Any = None, other: Any = None) -> Any:
    """`self` where the bool tensor `condition` holds, else `other`; given the condition alone, where it holds."""
    if self is None and other is None:
        return PUBLIC["nonzero"](condition, as_tuple=True)
    return choose(condition, self, other)


def larger(mask: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A formula of maximum and the like: the gradient where `mask(mine, its)` holds, half of it at a tie."""

    def formula(xp: Any, grad: Any, self: Any, other: Any) -> Any:
        return xp.where(mask(self, other), 0, xp.where(self == other, grad / 2, grad))

    return formula


ORDERED: Final = "biuf"
binary("maximum", np.maximum, kinds=ORDERED, inplace=False,
       refusal=RuntimeError("maximum not implemented for complex tensors."),
       self=larger(lambda a, b: a < b), other=larger(lambda a, b: a > b))  # fmt: skip
binary("minimum", np.minimum, kinds=ORDERED, inplace=False,
       refusal=RuntimeError("minimum not implemented for complex tensors."),
       self=larger(lambda a, b: a > b), other=larger(lambda a, b: a < b))  # fmt: skip
binary("fmax", np.fmax, kinds=ORDERED, refusal=RuntimeError("fmax not implemented for complex tensors."), inplace=False,
       self=lambda xp, grad, self, other: pass_where(xp, (self >= other) | xp.isnan(other), grad),
       other=lambda xp, grad, self, other: xp.where((self >= other) | xp.isnan(other), 0, grad))  # fmt: skip
binary("fmin", np.fmin, kinds=ORDERED, refusal=RuntimeError("fmin not implemented for complex tensors."), inplace=False,
       self=lambda xp, grad, self, other: pass_where(xp, (self <= other) | xp.isnan(other), grad),
       other=lambda xp, grad, self, other: xp.where((self <= other) | xp.isnan(other), 0, grad))  # fmt: skip


NO_COMPLEX_CLAMP: Final = NotImplementedError("clamp is not supported for complex types")


def bounds(self: Tensor, min: Any, max: Any) -> str:
    """Promotion as usual, of bounds that are both tensors or both numbers."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None and max is not None and isinstance(min, Tensor) != isinstance(max, Tensor):
        raise combination_error("clamp", self, min, max)
    check_fits(self, min, max)
    return "keep"


def within(self: Any, min: Any, max: Any) -> Any:
    if min is None:
        return self <= max
    return self >= min if max is None else (self >= min) & (self <= max)


@op(elementwise=True, promote=bounds, kinds=ORDERED, refusal=NO_COMPLEX_CLAMP, inplace=True, aliases=["clip"],
    node=lambda min, max: "ClampBackward1" if is_number(min) or is_number(max) else "ClampBackward0",
    self=lambda xp, grad, self, min, max: pass_where(xp, within(self, min, max), grad),
    min=lambda xp, grad, self, min, max: pass_where(
        xp, self < min if max is None else (self < min) & (min < max), grad
    ),
    max=lambda xp, grad, self, min, max: pass_where(
        xp, self > max if min is None else (self > max) | (max < min), grad
    ))  # fmt: skip
def clamp(self: Array, min: ArrayOrNumber | None = None, max: ArrayOrNumber | None = None) -> Array:
    if min is not None and max is not None:
        refuse_kinds("clamp_cpu", self, "b")
    if min is not None:
        self = np.maximum(self, min)
    return self if max is None else np.minimum(self, max)


@op(
    elementwise=True, promote=lambda self, min: bound(self, min), inplace=True,
    node=lambda min: f"ClampMinBackward{0 if is_number(min) else 1}", kinds=ORDERED, refusal=NO_COMPLEX_CLAMP,
    self=lambda xp, grad, self, min: pass_where(xp, self >= min, grad),
    min=lambda xp, grad, self, min: pass_where(xp, self < min, grad),
)  # fmt: skip
def clamp_min(self: Array, min: ArrayOrNumber) -> Array:
    return np.maximum(self, min)


@op(
    elementwise=True, promote=lambda self, max: bound(self, max), inplace=True,
    node=lambda max: f"ClampMaxBackward{0 if is_number(max) else 1}", kinds=ORDERED, refusal=NO_COMPLEX_CLAMP,
    self=lambda xp, grad, self, max: pass_where(xp, self <= max, grad),
    max=lambda xp, grad, self, max: pass_where(xp, self > max, grad),
)  # fmt: skip
def clamp_max(self: Array, max: ArrayOrNumber) -> Array:
    return np.minimum(self, max)


# ---- roots, exponentials, logarithms ---------------------------------------------------------------------------------

unary("sqrt", np.sqrt, lambda grad, result: grad / (2 * result))
unary("rsqrt", lambda self: 1 / np.sqrt(self), lambda grad, result: -0.5 * grad * result**3)


def raise_in_place(self: Tensor, other: Any) -> Any:
    if self._data.dtype.itemsize != (16 if is_complex(self) else 8) or self._data.dtype.kind not in "fc":
        raise RuntimeError(
            f"the base given to float_power_ has dtype {kind(self)} but the operation's result requires dtype Double"
        )
    return self.pow_(other)


@composite(inplace=raise_in_place)
def float_power(self: Any, other: Any) -> Any:
    """The power, computed in double precision."""
    base, exponent = (
        each.to(COMPLEX if is_complex(each) else DOUBLE) if isinstance(each, Tensor) else each for each in (self, other)
    )
    return base**exponent


@composite(inplace=lambda self: self.pow_(2))
def square(input: Any) -> Any:
    return input**2


unary("exp", np.exp, lambda grad, result: grad * result)
unary("exp2", np.exp2, lambda grad, result: grad * result * math.log(2), aliases=["special.exp2"])
unary("expm1", np.expm1, lambda grad, result: grad * (result + 1), aliases=["special.expm1"])
unary("log", np.log, lambda grad, self: grad / self)
unary("log2", np.log2, lambda grad, self: grad / (self * math.log(2)))
unary("log10", np.log10, lambda grad, self: grad / (self * math.log(10)))
unary("log1p", np.log1p, lambda grad, self: grad / (self + 1), node="Log1PBackward0", aliases=["special.log1p"])


def log_add(self: Any, other: Any) -> Any:
    """log(exp(self) + exp(other)), from the one with the greater real part."""
    if self.dtype.kind != "c":
        return np.logaddexp(self, other)
    below = self.real < other.real
    less, most = np.where(below, self, other), np.where(below, other, self)
    found = most + np.log1p(np.exp(less - most))
    both = np.where(less.real < 0, less, np.log(np.exp(less) + np.exp(most)))  # where both are the same infinity
    found = np.where(np.isinf(less.real) & (less.real == most.real), both, found)
    return np.where(np.isnan(self) | np.isnan(other), self.dtype.type(complex(math.nan, math.nan)), found)


binary("logaddexp", log_add, kinds="fc", refusal="logaddexp_cpu", inplace=False,
       self=lambda xp, grad, self, other: grad / (1 + xp.exp(other - self)),
       other=lambda xp, grad, self, other: grad / (1 + xp.exp(self - other)))  # fmt: skip
binary("logaddexp2", np.logaddexp2, kinds="f", refusal="logaddexp2_cpu", inplace=False,
       self=lambda xp, grad, self, other: grad / (1 + xp.exp2(other - self)),
       other=lambda xp, grad, self, other: grad / (1 + xp.exp2(self - other)))  # fmt: skip
binary("ldexp", lambda self, other: self * np.exp2(other), promote="float",
       self=lambda xp, grad, other: grad * xp.exp2(other), other=lambda grad, result: grad * result * math.log(2),
       )  # fmt: skip


def logistic(self: Any) -> Any:
    """1 / (1 + exp(-self)), whose exp overflows to the right limit."""
    return 1 / (1 + np.exp(-self))


unary("sigmoid", logistic, lambda grad, result: grad * ((1 - result) * result), aliases=["special.expit"])

# ---- trigonometry ----------------------------------------------------------------------------------------------------

unary("sin", np.sin, lambda xp, grad, self: grad * xp.cos(self))
unary("cos", np.cos, lambda xp, grad, self: grad * -xp.sin(self))
unary("tan", np.tan, lambda grad, result: grad * (1 + result * result))
unary("asin", np.arcsin, lambda xp, grad, self: grad * xp.rsqrt(1 - self * self), aliases=["arcsin"])
unary("acos", np.arccos, lambda xp, grad, self: grad * -xp.rsqrt(1 - self * self), aliases=["arccos"])
unary("atan", np.arctan, lambda grad, self: grad / (self * self + 1), aliases=["arctan"])
unary("sinh", np.sinh, lambda xp, grad, self: grad * xp.cosh(self))
unary("cosh", np.cosh, lambda xp, grad, self: grad * xp.sinh(self))
unary("tanh", np.tanh, lambda grad, result: grad * (1 - result * result))


def no_inplace(name: str) -> Callable[[Any], Any]:
    """The formula of an in-place form that torch records but cannot differentiate."""
    return refuse(NotImplementedError(f"the derivative for 'inplace version of {name}' is not implemented."))


unary("asinh", np.arcsinh, lambda xp, grad, self: grad * xp.rsqrt(self * self + 1), aliases=["arcsinh"],
      inplace=no_inplace("asinh"))  # fmt: skip
unary("acosh", np.arccosh, lambda xp, grad, self: grad * (
    xp.rsqrt(self - 1) * xp.rsqrt(self + 1) if is_complex(self) else xp.rsqrt(self * self - 1)), aliases=["arccosh"],
      inplace=no_inplace("acosh"))  # fmt: skip
unary("atanh", np.arctanh, lambda grad, self: grad / (1 - self * self), aliases=["arctanh"],
      inplace=no_inplace("atanh"))  # fmt: skip
unary("deg2rad", lambda self: self * (math.pi / 180), lambda grad: grad * (math.pi / 180), node="Deg2RadBackward0",
      kinds="f", refusal=RuntimeError("deg2rad is not supported for complex tensors."))  # fmt: skip
unary("rad2deg", lambda self: self * (180 / math.pi), lambda grad: grad * (180 / math.pi), node="Rad2DegBackward0",
      kinds="f", refusal=RuntimeError("rad2deg is not supported for complex tensors."))  # fmt: skip


def over_square(xp: Any, value: Any, self: Any, other: Any) -> Any:
    """`value / (self² + other²)`, 0 at the origin."""
    square = self * self + other * other
    return value * xp.where(square == 0, 0, 1 / square)


binary("atan2", np.arctan2, promote="float", kinds="f", refusal="atan2_cpu", aliases=["arctan2"],
       self=lambda xp, grad, self, other: over_square(xp, grad * other, self, other),
       other=lambda xp, grad, self, other: over_square(xp, grad * -self, self, other))  # fmt: skip
binary("hypot", np.hypot, kinds="f", refusal="hypot_cpu", self=lambda grad, self, result: grad * self / result,
       other=lambda grad, other, result: grad * other / result)  # fmt: skip

# ---- rounding and sign -----------------------------------------------------------------------------------------------


def signs(self: Any) -> Any:
    """As torch's: nan has none."""
    if self.dtype.kind == "c":
        return np.sign(self)
    return ((self > 0) * 1 - (self < 0)).astype(self.dtype)


def stepped(name: str, step: Callable[..., Any]) -> Callable[[Any], Any]:
    """A rounding function, which torch refuses for bools in other words than for complex numbers."""

    def forward(self: Any) -> Any:
        if self.dtype.kind == "b":
            raise NotImplementedError(f"\"{name}_vml_cpu\" not implemented for 'Bool'")
        return step(self)

    return forward


STEPS: Final = [("floor", np.floor, []), ("ceil", np.ceil, []), ("trunc", np.trunc, ["fix"])]
for name, step, also in STEPS:
    unary(name, stepped(name, step), lambda xp, grad: zeros(xp, grad), promote="keep", kinds=ORDERED,
          refusal=NotImplementedError(f"{name} is not supported for complex inputs"), aliases=also)  # fmt: skip
unary("frac", lambda self: self - np.trunc(self), lambda grad: grad, promote="keep", kinds="f", refusal="frac_cpu")
unary("sign", signs, lambda xp, grad: zeros(xp, grad),
      promote="keep", kinds=ORDERED,
      refusal=NotImplementedError("Unlike NumPy, torch.sign is not intended to support complex numbers. Please use"
                                  " torch.sgn instead."),
      )  # fmt: skip


def sgn_formula(xp: Any, grad: Any, self: Any, result: Any) -> Any:
    if not is_complex(result):
        return zeros(xp, grad)
    size = xp.abs(self)
    return xp.where(size == 0, 0, grad / size - xp.real(grad / result) * result / size)


unary("sgn", signs, sgn_formula, promote="keep",
      holomorphic=False)  # fmt: skip


@op("round", elementwise=True, promote="keep", inplace=True,
    node=lambda decimals: "RoundBackward0" if decimals is None else "RoundBackward1",
    self=zeros)  # fmt: skip
def rounded(self: Array, *, decimals: int | None = None) -> Any:
    """To the nearest integer, halves to even; to that many decimal places of floating numbers."""
    refuse_kinds("round_cpu" if decimals else "round_vml_cpu", self, "bc" if decimals is None else "biuc")
    if not decimals:
        return np.rint(self) if self.dtype.kind == "f" else self
    scale = self.dtype.type(10.0 ** abs(decimals))
    return np.rint(self * scale) / scale if decimals > 0 else np.rint(self / scale) * scale


@composite(name="special.round")
def special_round(input: Tensor, *, decimals: int = 0) -> Any:
    """`round`, whose decimals are given in torch even by default."""
    return PUBLIC["round"](input, decimals=decimals)


def magnitude_ratio(xp: Any, grad: Any, self: Any, result: Any) -> Any:
    return grad * xp.where(self == 0, 0, result / self)


binary("copysign", np.copysign, promote="float", numbers=OTHER, kinds="f", refusal="copysign_cpu",
       node=overloads("Copysign", 0, 1), self=magnitude_ratio,
       other=lambda xp, grad, result: zeros(xp, grad))  # fmt: skip
binary("nextafter", np.nextafter, kinds="f", refusal="nextafter_cpu",
       self=lambda xp, grad, self, other: pass_where(xp, self != other, grad),
       other=lambda xp, grad: zeros(xp, grad))  # fmt: skip
binary("gcd", np.gcd, kinds="iu", refusal="gcd_cpu")
binary("lcm", np.lcm, kinds="iu", refusal="lcm_cpu")


def one_type(self: Any, values: Any) -> str:
    if self._data.dtype != values._data.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return "keep"


@op(elementwise=True, promote=one_type, node=NOT_IMPLEMENTED, inplace=True, self=not_implemented("heaviside"),
    values=not_implemented("heaviside"))  # fmt: skip
def heaviside(self: Array, values: Array) -> Array:
    """0 for negative numbers, 1 for positive ones, `values` for zeros."""
    return np.where(self == 0, values, self > 0).astype(self.dtype)


@op(elementwise=True, promote="keep", inplace=True, node=real_node("nan_to_num", "NanToNumBackward0"),
    self=lambda xp, grad, self: grad * xp.isfinite(self))  # fmt: skip
def nan_to_num(
    self: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Array:
    return np.nan_to_num(copied(self), False, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


# ---- three operands --------------------------------------------------------------------------------------------------


def of_one_type(self: Any, end: Any, weight: Any) -> str:
    """Torch's error unless the ends, and a weight with dimensions, are of one type."""
    wanted = self._data.dtype
    for name, each in (("end", end), ("weight", weight)):
        if not is_number(each) and each._data.dtype != wanted and (name == "end" or each._data.ndim):
            expected, got = (from_numpy(dtype).cpp_name for dtype in (wanted, each._data.dtype))
            raise RuntimeError(f"expected dtype {expected} for `{name}` but got dtype {got}")
    if is_number(weight) and wanted.kind not in "fc":
        name = from_numpy(wanted).legacy_name
        raise NotImplementedError(f"\"lerp_kernel_scalar\" not implemented for '{name}'")
    return "keep"


@op(elementwise=True, promote=of_one_type, kinds="fc", refusal="lerp_kernel_tensor", inplace=True,
    node=lambda weight: "LerpBackward0" if is_number(weight) else "LerpBackward1",
    self=lambda grad, weight: grad * (1 - weight),
    end=lambda grad, weight: grad * weight,
    weight=lambda grad, self, end: grad * (end - self))  # fmt: skip
def lerp(self: Array, end: Array, weight: ArrayOrNumber) -> Any:
    """`self + weight * (end - self)`, computed from the nearer end."""
    way = end - self
    return np.where(np.abs(weight) < 0.5, self + weight * way, end - way * (1 - weight)).astype(self.dtype)


@op(elementwise=True, promote="keep", kinds="iufc", refusal="addcmul_cpu_out", inplace=True,
    self=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * (tensor2 * value),
    tensor2=lambda grad, tensor1, value: grad * (tensor1 * value))  # fmt: skip
def addcmul(self: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Any:
    """`self + value * tensor1 * tensor2`."""
    return self + fitted(value, self.dtype) * tensor1 * tensor2


def division(tensor1: Any, tensor2: Any) -> str:
    if all(each._data.dtype.kind in "biu" for each in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true"
            " division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value *"
            " torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 /"
            " tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input +"
            " value * tensor1 / tensor2), for all dtypes."
        )
    return "keep"


@op(elementwise=True, promote=division, kinds="fc", refusal="addcdiv_cpu_out", inplace=True,
    self=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * (value / tensor2),
    tensor2=lambda grad, tensor1, tensor2, value: -grad * (value * tensor1 / (tensor2 * tensor2)))  # fmt: skip
def addcdiv(self: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Any:
    """`self + value * tensor1 / tensor2`."""
    return self + fitted(value, self.dtype) * tensor1 / tensor2


METHODS: Final[dict[str, Any]] = {
    "real": property(real, lambda self, value: self.real.copy_(value)),
    "imag": property(imag, lambda self, value: self.imag.copy_(value)),
    "where": lambda self, condition, other: where(condition, self, other),
}
for name, method in METHODS.items():
    setattr(Tensor, name, method)
