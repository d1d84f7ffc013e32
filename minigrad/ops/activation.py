"""Activation functions of `nn.functional` that work on each element."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad._apply import apply_inplace
from minigrad._arguments import bind
from minigrad._declare import DECLARED, PUBLIC, composite, op, unary
from minigrad._op import OPS, Array, Formula, Op
from minigrad._tensor import Tensor
from minigrad.ops._checks import kind
from minigrad.ops._where import where
from minigrad.ops.pointwise import NO_COMPLEX_CLAMP, logistic
from minigrad.ops.special import ROOT_2, ROOT_2_PI, erf


def activation(
    slope: Formula, *, kernel: str | Exception, kinds: str = "f", inplace: bool = False, node: str | None = None,
    written: tuple[str, Formula] | None = None, published: Sequence[str] = (), elementwise: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
    """Declare the decorated forward as `nn.functional.NAME`.

    `inplace`: it takes an `inplace=` argument; `written`: name and formula of the node that the in-place form has in
    torch, where these differ. `published`: its other public names, each an in-place form if it ends in `_`.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        name = forward.__name__
        camel = "".join(part.capitalize() for part in name.split("_"))
        full = f"nn.functional.{name}"
        op(
            full, elementwise=elementwise, promote="keep", kinds=kinds, refusal=kernel, quick=forward, self=slope,
            node=node or f"{camel}Backward0",
        )(forward)  # fmt: skip
        made, plain = PUBLIC[full], OPS[full]
        writing = plain
        if written is not None:
            writing = Op(
                full + "_", forward, {"self": written[1]}, promote="keep", kinds=kinds, refusal=kernel, node=written[0]
            )

        @functools.wraps(forward)
        def function(input: Any, *args: Any, **kwargs: Any) -> Any:
            if not (inplace or written):
                return made(input, *args, **kwargs)
            wanted = kwargs.pop("inplace", False)
            if len(args) == len(plain.params):
                *args, wanted = args  # type: ignore[assignment]
            return write(input, *args, **kwargs) if wanted else made(input, *args, **kwargs)

        def write(input: Any, *args: Any, **kwargs: Any) -> Any:
            return apply_inplace(writing, bind(writing, (input, *args), kwargs))

        PUBLIC[full] = function
        for each in published:
            PUBLIC[each] = write if each.endswith("_") else made
            DECLARED[each] = full
        return function

    return declare


# ---- rectifiers ------------------------------------------------------------------------------------------------------


def rectified(self: Any) -> Any:
    if self.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return np.maximum(self, 0)


relu_of = unary("relu", rectified, lambda xp, grad, result: xp.switch(result <= 0, 0, grad, result), promote="keep",
                kinds="biuf", refusal=NO_COMPLEX_CLAMP)  # fmt: skip


@composite(name="nn.functional.relu")
def relu(input: Tensor, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return PUBLIC["relu_"](input) if inplace else relu_of(input)


for name in ("relu_", "sigmoid", "tanh"):
    PUBLIC[f"nn.functional.{name}"] = PUBLIC[name]


def inplace_slope(name: str, cause: str = "") -> Callable[[Any], None]:
    """A check of the slope below 0, whose sign the in-place form's backward infers from the result."""

    def check(slope: Any) -> None:
        if slope < 0:
            raise RuntimeError(
                f"In-place {name} backward calculation is triggered with a negative slope which is not supported."
                " This is caused by calling in-place forward function with a negative slope, please call out-of-place"
                f" version instead.{cause}"
            )

    return check


check_leaky: Final = inplace_slope(
    "leakyReLu",
    " File an issue at https://github.com/pytorch/pytorch if you do require supporting in-place leakRelu backward"
    " calculation with negative slope",
)
check_elu: Final = inplace_slope("elu")


def leaky_written(xp: Any, grad: Any, result: Any, negative_slope: Any) -> Any:
    check_leaky(negative_slope)
    return xp.switch(result > 0, grad, grad * negative_slope, result)


@activation(lambda xp, grad, self, negative_slope: xp.switch(self > 0, grad, grad * negative_slope, self),
            kernel="leaky_relu_cpu", written=("LeakyReluBackward1", leaky_written),
            published=["nn.functional.leaky_relu_"])  # fmt: skip
def leaky_relu(self: Array, negative_slope: float = 0.01) -> Array:
    """x above 0, negative_slope * x below."""
    return where(self > 0, self, self * negative_slope)


@activation(
    lambda xp, grad, self, threshold: xp.switch(self <= threshold, 0, grad, self), kernel="threshold_cpu", kinds="iuf",
    written=("ThresholdBackward1", lambda xp, grad, self, threshold: xp.switch(self <= threshold, 0, grad, self)),
    published=["threshold", "threshold_", "nn.functional.threshold_"],
)  # fmt: skip
def threshold(self: Array, threshold: float, value: float) -> Array:
    """x above the threshold, `value` elsewhere."""
    number = self.dtype.type
    return where(self <= number(threshold), number(value), self)


def exponential(self: Any, alpha: Any, scale: Any, steep: Any) -> Any:
    return where(self <= 0, np.expm1(self * steep) * (alpha * scale), self * scale)


def exponential_slope(xp: Any, grad: Any, self: Any, alpha: Any, scale: Any, steep: Any) -> Any:
    """Cut before exp, so that what overflows there reaches no derivative of the other branch."""
    below = grad * (steep * alpha * scale) * xp.exp(xp.where(self < 0, self, 0) * steep)
    return xp.where(self <= 0, below, grad * scale)


def exponential_written(xp: Any, grad: Any, result: Any, alpha: Any, scale: Any, steep: Any) -> Any:
    check_elu(alpha)
    return xp.where(result <= 0, grad * steep * (xp.where(result < 0, result, 0) + alpha * scale), grad * scale)


@activation(
    lambda xp, grad, self, alpha: exponential_slope(xp, grad, self, alpha, 1, 1), kernel="elu_cpu",
    written=("EluBackward1", lambda xp, grad, result, alpha: exponential_written(xp, grad, result, alpha, 1, 1)),
    published=["nn.functional.elu_"],
)  # fmt: skip
def elu(self: Array, alpha: float = 1.0) -> Any:
    """x above 0, alpha * (exp(x) - 1) below."""
    return exponential(self, alpha, 1, 1)


@activation(lambda xp, grad, self, alpha: exponential_slope(xp, grad, self, alpha, 1, 1 / alpha), kernel="elu_cpu",
            written=(
                "CeluBackward1",
                lambda xp, grad, result, alpha: exponential_written(xp, grad, result, alpha, 1, 1 / alpha),
            ),
            published=["celu", "celu_", "nn.functional.celu_"])  # fmt: skip
def celu(self: Array, alpha: float = 1.0) -> Any:
    """x above 0, alpha * (exp(x / alpha) - 1) below."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return exponential(self, alpha, 1, 1 / alpha)


SELU: Final = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1)  # alpha, scale


@activation(lambda xp, grad, self: exponential_slope(xp, grad, self, *SELU),
            kernel="elu_cpu", node="EluBackward0",
            written=("EluBackward1", lambda xp, grad, result: exponential_written(xp, grad, result, *SELU)),
            published=["selu", "selu_", "nn.functional.selu_"])  # fmt: skip
def selu(self: Array) -> Any:
    """elu with the alpha and the scale that keep mean and variance."""
    return exponential(self, *SELU)


@op(elementwise=True, promote="keep", kinds="f", refusal="prelu_cpu", method=False, function=False,
    node="PreluKernelBackward0",
    self=lambda xp, grad, self, weight: xp.anchored(xp.prelu_by_self(grad, self, weight), self),
    weight=lambda xp, grad, self, weight: xp.anchored(xp.prelu_by_weight(grad, self), weight))  # fmt: skip
def prelu_kernel(self: Array, weight: Array) -> Array:
    return where(self > 0, self, self * weight)


# Backward as operations of their own: their slopes at 0 are others than their values suggest, as torch's backward of
# backward counts 0 among the positive numbers, and backward itself among the negative ones.
@op(function=False, method=False,
    cotangent=lambda xp, grad, self, weight: xp.where(self >= 0, grad, weight * grad),
    weight=lambda xp, grad, self, cotangent: xp.where(self >= 0, 0, cotangent * grad))  # fmt: skip
def prelu_by_self(cotangent: Array, self: Array, weight: Array) -> Array:
    return where(self > 0, cotangent, weight * cotangent)


@op(function=False, method=False,
    cotangent=lambda xp, grad, self: xp.where(self >= 0, 0, self * grad),
    self=lambda xp, grad, self, cotangent: xp.where(self >= 0, 0, cotangent * grad))  # fmt: skip
def prelu_by_weight(cotangent: Array, self: Array) -> Array:
    return where(self > 0, 0, self * cotangent)


@composite(aliases=["nn.functional.prelu"])
def prelu(input: Tensor, weight: Tensor) -> Any:
    """x above 0, weight * x below; one weight, or one for each channel (dimension 1)."""
    x, w = input._data, weight._data
    if x.dtype != w.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {kind(x)} and {kind(w)}")
    if w.size != 1:
        if not x.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != w.size:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {w.size} and channel"
                f" size = {channels}."
            )
    if w.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}")
    shape = (1, -1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (w.size,) * x.ndim
    return prelu_kernel(input, weight if tuple(weight.shape) == shape else weight.reshape(shape))


# ---- pieces of straight lines ----------------------------------------------------------------------------------------


@activation(lambda xp, grad, self, min_val, max_val: xp.switch((self <= min_val) | (self >= max_val), 0, grad, self),
            kernel=NO_COMPLEX_CLAMP, kinds="biuf", inplace=True, published=["nn.functional.hardtanh_"])  # fmt: skip
def hardtanh(self: Array, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x clamped to an interval; the slope at its ends is 0."""
    if self.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if self.dtype.kind == "u" and (min_val < 0 or max_val < 0):
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return np.minimum(np.maximum(self, self.dtype.type(min_val)), self.dtype.type(max_val))


@composite(name="nn.functional.relu6")
def relu6(input: Tensor, inplace: bool = False) -> Any:
    """x clamped to [0, 6]."""
    return PUBLIC["nn.functional.hardtanh"](input, 0, 6, inplace)


@activation(lambda xp, grad, self: xp.undifferentiable(
                xp.where((self > -3) & (self < 3), grad / 6, 0), [self], "hardsigmoid_backward"),
            kernel="hardsigmoid_cpu", inplace=True)  # fmt: skip
def hardsigmoid(self: Array) -> Any:
    """relu6(x + 3) / 6."""
    return np.minimum(np.maximum(self + 3, 0), 6) / 6


@op(method=False, function=False, elementwise=True, node="HardswishBackwardBackward0",
    grad_output=lambda xp, grad, self: xp.hardswish_backward(grad, self),
    self=lambda xp, grad, grad_output, self: xp.where((self > -3) & (self < 3), grad * grad_output / 3, 0))  # fmt: skip
def hardswish_backward(grad_output: Array, self: Array) -> Any:
    """The gradient of hardswish; where that is constant, its own is 0 whatever comes, nan too."""
    return where(self <= -3, 0, where(self < 3, grad_output * (self / 3 + 0.5), grad_output))


@activation(lambda xp, grad, self: xp.hardswish_backward(grad, self), kernel="hardswish_cpu", inplace=True)
def hardswish(self: Array) -> Any:
    """x * relu6(x + 3) / 6."""
    return self * np.minimum(np.maximum(self + 3, 0), 6) / 6


def outside(xp: Any, grad: Any, self: Any, lambd: Any) -> Any:
    return xp.switch((self >= -lambd) & (self <= lambd), 0, grad, self)


@activation(outside, kernel="hardshrink_cpu", published=["hardshrink"])
def hardshrink(self: Array, lambd: float = 0.5) -> Array:
    """0 in [-lambd, lambd], x elsewhere."""
    return where((self >= -lambd) & (self <= lambd), 0, self)


@activation(outside, kernel="softshrink_check")
def softshrink(self: Array, lambd: float = 0.5) -> Array:
    """x moved by lambd towards 0, at most to 0."""
    if not 0 <= lambd <= np.finfo(self.dtype).max:
        most = np.finfo(self.dtype).max
        raise RuntimeError(f"lambda must be in range [0, {most:g}] for input dtype {kind(self)}, but found {lambd:g}")
    return where(self > lambd, self - lambd, where(self < -lambd, self + lambd, self * 0))


# ---- smooth ones -----------------------------------------------------------------------------------------------------


def softplus_slope(xp: Any, grad: Any, self: Any, beta: float, threshold: float) -> Any:
    """The logistic function below the threshold; its own slope is cut there, as torch does."""
    steep = self * beta
    return xp.where(steep > threshold, grad, grad * xp.sigmoid(xp.where(steep >= threshold, threshold, steep)))


@activation(softplus_slope, kernel="softplus_cpu")
def softplus(self: Array, beta: float = 1, threshold: float = 20) -> Array:
    """log(1 + exp(beta * x)) / beta, and x where beta * x exceeds the threshold."""
    return where(self * beta > threshold, self, np.log1p(np.exp(self * beta)) / beta)


@activation(lambda xp, grad, self: grad * xp.sigmoid(-self), kernel="log_sigmoid_cpu", node="LogSigmoidBackward0",
            elementwise=False)  # fmt: skip
def logsigmoid(self: Array) -> Array:
    """log(sigmoid(x)), without overflow, always in C order."""
    self = np.asarray(self, order="C")
    return np.minimum(self, 0) - np.log1p(np.exp(-np.abs(self)))


def silu_slope(xp: Any, grad: Any, self: Any) -> Any:
    share = xp.sigmoid(self)
    return grad * share * (1 + self * (1 - share))


@activation(silu_slope, kernel="silu_cpu", inplace=True)
def silu(self: Array) -> Any:
    """x * sigmoid(x)."""
    return self * logistic(self)


def mish_slope(xp: Any, grad: Any, self: Any) -> Any:
    turn = xp.tanh(xp.nn_functional_softplus(self, 1, 20))
    return grad * (turn + self * xp.sigmoid(self) * (1 - turn * turn))


@activation(mish_slope, kernel="mish_cpu", inplace=True)
def mish(self: Array) -> Array:
    """x * tanh(softplus(x))."""
    return self * np.tanh(where(self > 20, self, np.log1p(np.exp(self))))


CUBIC: Final = 0.044715  # of gelu's approximation by tanh
SLOPE: Final = math.sqrt(2 / math.pi)


def gelu_slope(xp: Any, grad: Any, self: Any, approximate: str) -> Any:
    if approximate == "none":
        return grad * ((1 + xp.erf(self / ROOT_2)) / 2 + self * xp.exp(self * self * -0.5) / ROOT_2_PI)
    square = self * self
    turn = xp.tanh(SLOPE * self * (1 + CUBIC * square))
    return grad * ((1 + turn) / 2 + self / 2 * (1 - turn * turn) * SLOPE * (1 + 3 * CUBIC * square))


@activation(gelu_slope, kernel="GeluKernelImpl")
def gelu(self: Array, *, approximate: str = "none") -> Any:
    """x times the normal distribution function of x, or its approximation by "tanh"."""
    if approximate == "none":
        return self * (1 + erf(self / ROOT_2)) / 2
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    return self / 2 * (1 + np.tanh(SLOPE * self * (1 + CUBIC * self * self)))


@composite(name="nn.functional.softsign")
def softsign(input: Tensor) -> Any:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


@composite(name="nn.functional.tanhshrink")
def tanhshrink(input: Tensor) -> Any:
    """x - tanh(x)."""
    return input - input.tanh()


for name in ("hardshrink",):  # the one of these that is a method
    setattr(Tensor, name, PUBLIC[name])
