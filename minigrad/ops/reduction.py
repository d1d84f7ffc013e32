"""Operations that combine elements along dimensions: sums, products, extremes, moments, and softmax.

`dim` is None for all dimensions (so is an empty tuple), one number, or several. Types accumulate as in torch: integers
in int64, float16 in float32.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import _dtype, return_types
from minigrad._arguments import combination_error
from minigrad._declare import composite, op
from minigrad._dims import wrap_dim, wrap_dims
from minigrad._op import RECORDED, Array, Dims, Size
from minigrad._tensor import Tensor, make
from minigrad._warning import warn
from minigrad.ops._checks import kind as type_of
from minigrad.ops._checks import not_implemented, refuse_kinds

# Typed here, since numpy's stubs know no `keepdims` that is decided at run time.
add_of: Callable[..., Array] = np.add.reduce
multiply_of: Callable[..., Array] = np.multiply.reduce
maximum_of: Callable[..., Array] = np.maximum.reduce
minimum_of: Callable[..., Array] = np.minimum.reduce

# ---- what reductions share -------------------------------------------------------------------------------------------


def axes(dim: Dims, ndim: int) -> Any:
    """Dimensions as numpy's `axis`: None for all of them; a tuple for a tuple."""
    if dim is None or type(dim) is int and -ndim <= dim < ndim:
        return dim
    found = wrap_dims(dim, ndim)
    return found if ndim else None


def count(shape: Size, dim: Dims) -> int:
    """How many elements are combined into one."""
    if type(dim) is int and shape:
        return shape[dim]
    return math.prod(shape if dim is None or not shape else [shape[each] for each in wrap_dims(dim, len(shape))])


def restore(xp: Any, value: Any, shape: Size, dim: Dims, keepdim: bool) -> Any:
    """Something reduced, with the reduced dimensions as ones; ready to broadcast to the shape that was reduced."""
    if keepdim or dim is None or not shape:
        return value
    if type(dim) is int:
        place = dim % len(shape)
        return xp.reshape(value, (*shape[:place], 1, *shape[place + 1 :]))
    gone = wrap_dims(dim, len(shape))
    return xp.reshape(value, tuple([1 if i in gone else n for i, n in enumerate(shape)]))


def spread(xp: Any, grad: Any, shape: Size, dim: Dims, keepdim: bool) -> Any:
    """A reduced gradient, expanded to the shape that was reduced."""
    return xp.expand(restore(xp, grad, shape, dim, keepdim), shape)


def floating(self: Array, kernel: str) -> Array:
    """The tensor; NotImplementedError as torch's kernel gives it unless it is floating."""
    if self.dtype.kind != "f":
        raise not_implemented(kernel, self)
    return self


def widened(self: Array, narrow: str = "e") -> Array:
    """The tensor in the type that torch accumulates it in: float16 as float32 (with narrow="ef", both as float64)."""
    if self.dtype.char not in narrow:
        return self
    return self.astype(np.float32 if narrow == "e" else np.float64)


def ordered(self: Array, kernel: str) -> None:
    """NotImplementedError as torch's kernel gives it for complex numbers, which have no order."""
    refuse_kinds(kernel, self, "c")


def overloaded(name: str, whole: Any, along: Any, pair: str | None = None) -> None:
    """Publish torch's overloads of one name: of all elements, along `dim`, and of two tensors."""

    def function(*args: Any, **kwargs: Any) -> Any:
        if pair is not None and ("other" in kwargs or len(args) > 1 and isinstance(args[1], Tensor)):
            chosen = getattr(RECORDED, pair)
        else:
            chosen = along if len(args) > 1 or "dim" in kwargs or "axis" in kwargs else whole
        try:
            return chosen(*args, **kwargs)
        except TypeError:
            if pair is None or len(args) + len(kwargs) == 1:
                raise
            raise combination_error(name, *args, **kwargs) from None

    composite(name=name)(function)


# ---- sums ------------------------------------------------------------------------------------------------------------


def _sum(self: Array, axis: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Numpy's sum in torch's types."""
    if dtype is not None:
        wide: Any = _dtype.as_numpy(dtype, "sum")
    else:
        wide = self.dtype if self.dtype.kind in "fc" else np.dtype(np.int64)
    if wide.char == "e":
        return add_of(self, axis=axis, keepdims=keepdim, dtype=np.float32).astype(np.float16)
    if self.dtype.kind == "c" and wide.kind != "c":
        self = self.real
    return add_of(self, axis=axis, keepdims=keepdim, dtype=wide)


def _mean(self: Array, axis: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
    kind = self.dtype if dtype is None else _dtype.as_numpy(dtype, "mean")
    if kind.kind not in "fc":
        which = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} dtype must be either a floating point or complex dtype."
            f" Got: {type_of(kind)}"
        )
    if kind.char == "e":
        return _mean(self.astype(np.float32), axis, keepdim).astype(kind)
    total = add_of(self, axis=axis, keepdims=keepdim, dtype=kind)
    return total / count(self.shape, axis)


def _numbered(name: str) -> Callable[..., str]:
    """Torch's node name: 0 for the overload without `dim`, 1 for the one with it."""
    without, along = f"{name}Backward0", f"{name}Backward1"
    return lambda dim, keepdim: along if dim is not None or keepdim else without


@op(quick=_sum, in_order=True, node=_numbered("Sum"),
    self=lambda xp, grad, self_shape, dim, keepdim: spread(xp, grad, self_shape, dim, keepdim))  # fmt: skip
def sum(self: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    return _sum(self, axes(dim, self.ndim), keepdim, dtype)


@op(
    quick=_mean, in_order=True, node=_numbered("Mean"),
    self=lambda xp, grad, self_shape, dim, keepdim: spread(xp, grad, self_shape, dim, keepdim) / count(self_shape, dim),
)  # fmt: skip
def mean(self: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    return _mean(self, axes(dim, self.ndim), keepdim, dtype)


@op(in_order=True,
    self=lambda xp, grad, self, dim, keepdim: spread(xp, grad, self.shape, dim, keepdim) * (self == self))  # fmt: skip
def nansum(self: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    kind = self.dtype if dtype is None else _dtype.as_numpy(dtype, "nansum")
    if self.dtype.kind == "c":
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if kind.kind == "c" and self.dtype.kind == "f":
        raise not_implemented("nansum_cpu", kind)
    return _sum(self if self.dtype.kind in "biu" else np.where(self == self, self, self.dtype.type(0)),
                axes(dim, self.ndim), keepdim, dtype)  # fmt: skip


@composite
def nanmean(self: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of the elements that are not nan."""
    if self._data.dtype.kind not in "fc":
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {type_of(self)}")
    if dtype is not None and _dtype.as_numpy(dtype, "nanmean").kind not in "fc":
        raise RuntimeError(
            "nanmean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype."
            f" Got: {type_of(_dtype.as_numpy(dtype, 'nanmean'))}"
        )
    present = make(add_of(self._data == self._data, axis=axes(dim, self.dim()), keepdims=keepdim), None)
    return nansum(self, dim, keepdim, dtype=dtype) / present


# ---- products --------------------------------------------------------------------------------------------------------


def other_factors(xp: Any, self: Any, dim: int) -> Any:
    """For each element, the product of all others along a dimension, exact where there are zeros."""
    size = self.shape[dim]
    one = xp.zeros((*self.shape[:dim], 1, *self.shape[dim + 1 :]), self) + 1
    if size == 1:
        return one
    before = xp.cumprod(xp.cat([one, xp.slice(self, dim, 0, size - 1)], dim), dim)
    after = xp.cumprod(xp.cat([one, xp.flip(xp.slice(self, dim, 1, size), (dim,))], dim), dim)
    return before * xp.flip(after, (dim,))


def _prod_vjp(xp: Any, grad: Any, self: Any, result: Any, dim: int | None, keepdim: bool, dtype: Any) -> Any:
    if dtype is not None:
        self = xp.cast(self, _dtype.as_numpy(dtype, "prod"))
    if self.ndim == 0:
        return grad
    grad, result = (restore(xp, each, self.shape, dim, keepdim) for each in (grad, result))
    if not (self == 0).any():
        return grad * (result / self)
    if dim is not None:
        return grad * other_factors(xp, self, dim % self.ndim)
    return grad * xp.reshape(other_factors(xp, xp.reshape(self, (-1,)), 0), self.shape)


@op(node=_numbered("Prod"), in_order=True, self=_prod_vjp)
def prod(self: Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    wide = _dtype.as_numpy(dtype, "prod") if dtype else self.dtype if self.dtype.kind in "fc" else np.dtype(np.int64)
    axis = None if dim is None else axes((wrap_dim(dim, self.ndim),), self.ndim)
    if wide.char == "e":
        return multiply_of(self, axis=axis, keepdims=keepdim, dtype=np.float32).astype(wide)
    return multiply_of(self, axis=axis, keepdims=keepdim, dtype=wide)


# ---- extremes --------------------------------------------------------------------------------------------------------


def need_elements(self: Array, dim: Dims, function: str) -> None:
    """Torch's error for a reduction of nothing that has no neutral element."""
    if self.size:
        return
    if dim is None or not isinstance(dim, int) and not dim:
        raise RuntimeError(
            f"{function}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim"
            " with the 'dim' argument."
        )
    for each in (dim,) if isinstance(dim, int) else dim:
        if self.ndim and not self.shape[wrap_dim(each, self.ndim)]:
            raise IndexError(f"{function}(): Expected reduction dim {each} to have non-zero size.")


def share_evenly(xp: Any, grad: Any, self: Any, result: Any, self_dtype: Any) -> Any:
    """The gradient of one element that may stand at several places: they share it; nans share that of a nan."""
    mask = (self != self) if (result != result).any() else self == result
    return xp.where(mask, grad / xp.cast(xp.sum(mask), self_dtype), 0)


def _share_along(
    xp: Any, grad: Any, self: Any, result: Any, self_dtype: Any, self_shape: Size, dim: Dims, keepdim: bool
) -> Any:
    grad, result = (restore(xp, each, self_shape, dim, keepdim) for each in (grad, result))
    mask = xp.cast(self == result, self_dtype)
    return grad * mask / xp.sum(mask, dim, True)


def select_vjp(xp: Any, grad: Any, dim: int, indices: Any, self_shape: Size, keepdim: bool) -> Any:
    """The gradient of elements that were picked along a dimension: zero for the rest."""
    if not self_shape:
        return grad
    grad, indices = (restore(xp, each, self_shape, dim, keepdim) for each in (grad, indices))
    return xp.put_picked(grad, dim, indices, self_shape)


@op(function=False, method=False, node="ScatterBackward0",
    self=lambda xp, grad, dim, indices: xp.gather(grad, dim, indices))  # fmt: skip
def put_picked(self: Array, dim: int, indices: Array, shape: Any) -> Array:
    """Zeros, with elements put at distinct indices along a dimension."""
    result = np.zeros(shape, self.dtype)
    np.put_along_axis(result, np.asarray(indices), self, dim)
    return result


def pick(self: Array, dim: int, indices: Array, keepdim: bool) -> tuple[Array, Array]:
    """The elements at `indices`, which have size one along `dim`; both without that dimension unless `keepdim`."""
    values = np.take_along_axis(self, indices, dim)
    return (values, indices) if keepdim else (np.squeeze(values, dim), np.squeeze(indices, dim))


def _extreme(name: str, ufunc: np.ufunc, arg: Callable[..., Any]) -> None:
    """Declare max, amax and argmax, or those of min."""

    @op(f"{name}.all", function=False, node=f"{name.capitalize()}Backward1", self=share_evenly)
    def whole(self: Array) -> Array:
        need_elements(self, None, name)
        ordered(self, f"{name}_all")
        return ufunc.reduce(self, axis=None)

    @op(f"{name}.dim", function=False, node=f"{name.capitalize()}Backward0", returns=getattr(return_types, name),
        self=select_vjp)  # fmt: skip
    def along(self: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
        dim = wrap_dim(dim, self.ndim)
        if self.dtype.kind == "c":
            raise RuntimeError(f"{name}(): does not support complex input")
        if not self.ndim:
            return np.array(self), np.array(0)
        need_elements(self, dim, name)
        return pick(self, dim, arg(self, axis=dim, keepdims=True), keepdim)

    overloaded(name, whole, along, f"{name}imum")

    @op(f"a{name}", in_order=True, self=_share_along)
    def extreme(self: Array, dim: Dims = (), keepdim: bool = False) -> Array:
        need_elements(self, dim, f"a{name}")
        ordered(self, f"{name}_values_cpu")
        return ufunc.reduce(self, axis=axes(dim, self.ndim), keepdims=keepdim)

    @op(f"arg{name}")
    def position(self: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        if self.dtype.kind in "bc":
            kind = "bool" if self.dtype.kind == "b" else "complex"
            raise RuntimeError(f"arg{name}(): does not support {kind} input")
        if not self.size and dim is None:
            raise IndexError(f"arg{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        axis = None if dim is None else wrap_dim(dim, self.ndim)
        need_elements(self, axis, f"arg{name}")
        return arg(self, axis=axis if self.ndim else None, keepdims=keepdim)


_extreme("max", np.maximum, np.argmax)
_extreme("min", np.minimum, np.argmin)


def _aminmax_vjp(
    xp: Any, grads: Any, self: Any, min: Any, max: Any, self_dtype: Any, self_shape: Size, dim: Any, keepdim: bool
) -> Any:
    parts = [_share_along(xp, grad, self, result, self_dtype, self_shape, dim, keepdim)
             for grad, result in zip(grads, (min, max), strict=True)]  # fmt: skip
    return parts[0] + parts[1]


@op(returns=return_types.aminmax, in_order=True, self=_aminmax_vjp)
def aminmax(self: Array, *, dim: int | None = None, keepdim: bool = False) -> tuple[Array, Array]:
    ordered(self, "aminmax_cpu")
    axis = None if dim is None else axes((wrap_dim(dim, self.ndim),), self.ndim)
    if not self.size and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    if axis is not None and not self.shape[axis[0]]:
        raise IndexError(f"aminmax: Expected reduction dim {axis[0]} to have non-zero size.")
    return minimum_of(self, axis=axis, keepdims=keepdim), maximum_of(self, axis=axis, keepdims=keepdim)


# ---- truth -----------------------------------------------------------------------------------------------------------


def _truth(name: str, function: Callable[..., Any]) -> None:
    @op(name, in_order=True)
    def truth(self: Array, dim: Dims = None, keepdim: bool = False) -> Array:
        axis = () if isinstance(dim, (tuple, list)) and not dim else axes(dim, self.ndim)
        found = function(self, axis=axis, keepdims=keepdim)
        return found.astype(np.uint8) if self.dtype == np.uint8 else found


_truth("any", np.any)
_truth("all", np.all)


@op(in_order=True)
def count_nonzero(self: Array, dim: Dims = None) -> Array:
    return np.asarray(np.count_nonzero(self, axis=axes(dim, self.ndim)))


# ---- moments ---------------------------------------------------------------------------------------------------------


def _moments(self: Array, dim: Dims, correction: float | None, keepdim: bool, function: str) -> tuple[Array, Array]:
    """Variance and mean; narrower types are computed with in float64, as torch does."""
    if self.dtype.kind not in "fc":
        which = function if "mean" in function else "std and var"
        raise RuntimeError(f"{which} only support floating point and complex dtypes")
    wide, axis = widened(self, "ef"), axes(dim, self.ndim)
    size = count(self.shape, axis)
    along = {*range(wide.ndim)} if axis is None else {d % wide.ndim for d in np.atleast_1d(axis).tolist()}
    first = wide[tuple([slice(0, 1) if d in along else slice(None) for d in range(wide.ndim)])] if wide.size else 0
    apart = wide - first  # so that what is constant has no variance at all, as in torch
    off = add_of(apart, axis=axis, keepdims=True) / size
    mean = first + off
    apart = apart - off
    squares = apart * apart if apart.dtype.kind == "f" else apart.real**2 + apart.imag**2
    correction = 1 if correction is None else correction
    if size - correction <= 0:
        warn(
            f"{function}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor"
            " (input numel divided by output numel)."
        )
    variance = add_of(squares, axis=axis, keepdims=keepdim) / np.float64(max(size - correction, 0))
    if "mean" in function and wide.dtype.kind == "f" and size:
        mean = _running_mean(wide, axis, size, mean)
    return variance, np.reshape(mean, variance.shape)


def _running_mean(wide: Array, axis: Any, size: int, mean: Array) -> Array:
    """The mean as torch's kernel finds it beside the variance, element by element: nan after an infinity, and rounded
    in each step. Of many elements (which would take long) the given mean, but for that nan."""
    first = range(wide.ndim) if axis is None else (axis,) if type(axis) is int else axis
    rows = np.moveaxis(wide, first, range(len(first))).reshape(size, -1)
    if size > 64:
        return np.where(np.isinf(rows[:-1]).any(0).reshape(mean.shape), np.nan, mean)
    found = rows[0]
    for number in range(1, size):
        found = found + (rows[number] - found) / (number + 1)
    return found


def _var_vjp(xp: Any, grad: Any, self: Any, dim: Dims, correction: float | None, keepdim: bool) -> Any:
    grad = restore(xp, grad, self.shape, dim, keepdim)
    freedom = count(self.shape, dim) - (1 if correction is None else correction)
    apart = self - xp.mean(self, dim, dim is not None)
    if freedom <= 0 and (dim is None or not self.ndim):
        return grad * xp.where(apart == 0, math.nan, math.inf)
    return (2.0 / freedom if freedom else math.inf) * grad * apart


def _std_vjp(xp: Any, grad: Any, self: Any, result: Any, dim: Dims, correction: float | None, keepdim: bool) -> Any:
    return _var_vjp(xp, xp.where(result == 0, 0, grad / (result * 2)), self, dim, correction, keepdim)


def _both_vjp(xp: Any, given: Any, vjp: Callable[..., Any], self: Any, *arguments: Any) -> Any:
    """The gradient of a moment, plus that of the mean that was returned with it; of either, if the other has none."""
    moment, mean = given
    *_, dim, _, keepdim = arguments
    first = None if moment is None else vjp(xp, moment, self, *arguments)
    if mean is None:
        return first
    second = spread(xp, mean, self.shape, dim, keepdim) / count(self.shape, dim)
    return second if first is None else first + second


def _as_part(value: Array, self: Array) -> Array:
    """A variance in the type of the tensor's elements, or of their real part."""
    return value.astype(self.real.dtype, copy=False)


@op("var.correction", in_order=True, function=False, node="VarBackward0", self=_var_vjp)
def _var(self: Array, dim: Dims, correction: float | None, keepdim: bool) -> Array:
    return _as_part(_moments(self, dim, correction, keepdim, "var")[0], self)


@op("std.correction", in_order=True, function=False, node="StdBackward0", self=_std_vjp)
def _std(self: Array, dim: Dims, correction: float | None, keepdim: bool) -> Array:
    return _as_part(np.sqrt(_moments(self, dim, correction, keepdim, "std")[0]), self)


class _Moments(NamedTuple):
    """The outputs of `std_mean`, of which the first is saved."""

    result0: Any
    result1: Any


@op(
    "var_mean.correction", in_order=True, function=False, node="VarMeanBackward0", returns=tuple,
    self=lambda xp, given, self, dim, correction, keepdim:
        _both_vjp(xp, given, _var_vjp, self, dim, correction, keepdim),
)  # fmt: skip
def _var_mean(self: Array, dim: Dims, correction: float | None, keepdim: bool) -> tuple[Array, Array]:
    variance, mean = _moments(self, dim, correction, keepdim, "var_mean")
    return _as_part(variance, self), mean.astype(self.dtype)


@op(
    "std_mean.correction", in_order=True, function=False, node="StdMeanBackward0", returns=_Moments,
    self=lambda xp, given, self, result0, dim, correction, keepdim:
        _both_vjp(xp, given, _std_vjp, self, result0, dim, correction, keepdim),
)  # fmt: skip
def _std_mean(self: Array, dim: Dims, correction: float | None, keepdim: bool) -> tuple[Array, Array]:
    variance, mean = _moments(self, dim, correction, keepdim, "std_mean")
    return _as_part(np.sqrt(variance), self), mean.astype(self.dtype)


def _corrected(name: str, made: Callable[..., Any], method: bool | None = None) -> None:
    """Publish a moment's overloads: `(unbiased)`, `(dim, unbiased, keepdim)` and `(dim, *, correction, keepdim)`."""

    def function(
        self: Any,
        dim: Any = None,
        unbiased: bool | None = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        elif dim is None and unbiased is True:
            unbiased = None  # which torch keeps as it came
        found = made(self, dim, unbiased if correction is None else correction, keepdim)
        return tuple(found) if isinstance(found, tuple) else found

    composite(name=name, method=method)(function)


_corrected("var", _var)
_corrected("std", _std)
_corrected("var_mean", _var_mean, method=False)
_corrected("std_mean", _std_mean, method=False)

# ---- exponentials, normalised ----------------------------------------------------------------------------------------


def _shifted(self: Array, dim: int, function: str) -> tuple[Array, int | None]:
    """The elements less their greatest along a dimension, and numpy's axis."""
    axis = wrap_dim(dim, self.ndim) if self.ndim else wrap_dim(dim, 0) and None
    last = "lastdim_" if axis in (None, self.ndim - 1) else ""
    wide = np.asarray(widened(floating(self, f"{function}_{last}kernel_impl")), order="C")  # as the result is
    if not self.size:
        return wide, axis
    return wide - maximum_of(wide, axis=axis, keepdims=True), axis


def _softmax_again(xp: Any, grad: Any, grad_output: Any, value: Any, dim: int) -> Any:
    sums = xp.sum(value * grad_output, dim, True) * grad + grad_output * xp.sum(value * grad, dim, True)
    return grad_output * grad - sums


@op(function=False, node="SoftmaxBackwardDataBackward0",
    grad_output=lambda xp, grad, value, dim: xp._softmax_backward_data(grad, value, dim),
    value=_softmax_again)  # fmt: skip
def _softmax_backward_data(grad_output: Array, value: Array, dim: int) -> Array:
    grad, wide = widened(grad_output), widened(value)
    total = add_of(grad * wide, axis=dim if wide.ndim else None, keepdims=True)
    found: Array = wide * (grad - total)
    return found.astype(value.dtype, copy=False)


@op(node="SoftmaxBackward0", function=False,
    self=lambda xp, grad, result, dim: xp._softmax_backward_data(grad, result, dim))  # fmt: skip
def _softmax(self: Array, dim: int) -> Array:
    shifted, axis = _shifted(self, dim, "softmax")
    powers = np.exp(shifted)
    return (powers / add_of(powers, axis=axis, keepdims=True)).astype(self.dtype, copy=False)


@composite(aliases=["special.softmax"])
def softmax(self: Any, dim: int, dtype: Any = None) -> Any:
    """The exponentials along `dim`, divided by their sum; computed in `dtype` if it is given."""
    return _softmax(self if dtype is None else self.to(dtype), dim)


@op(function=False, node="LogSoftmaxBackwardDataBackward0",
    grad_output=lambda xp, grad, value, dim: grad - xp.sum(grad * xp.exp(value), dim, True),
    value=lambda xp, grad, grad_output, value, dim: -xp.sum(grad_output, dim, True) * xp.exp(value) * grad)  # fmt: skip
def _log_softmax_backward_data(grad_output: Array, value: Array, dim: int) -> Array:
    grad = widened(grad_output)
    total = add_of(grad, axis=dim if grad.ndim else None, keepdims=True)
    found: Array = grad - np.exp(widened(value)) * total
    return found.astype(value.dtype, copy=False)


@op(node="LogSoftmaxBackward0", function=False,
    self=lambda xp, grad, result, dim: xp._log_softmax_backward_data(grad, result, dim))  # fmt: skip
def _log_softmax(self: Array, dim: int) -> Array:
    shifted, axis = _shifted(self, dim, "log_softmax")
    return (shifted - np.log(add_of(np.exp(shifted), axis=axis, keepdims=True))).astype(self.dtype, copy=False)


@composite(aliases=["special.log_softmax"])
def log_softmax(self: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm of softmax, without forming it; computed in `dtype` if it is given."""
    return _log_softmax(self if dtype is None else self.to(dtype), dim)


@op(aliases=["special.logsumexp"], in_order=True,
    self=lambda xp, grad, self, result, dim, keepdim:
        restore(xp, grad, self.shape, dim, keepdim)
        * xp.exp(self - restore(xp, result, self.shape, dim, keepdim)))  # fmt: skip
def logsumexp(self: Array, dim: Dims, keepdim: bool = False) -> Array:
    wide = widened(self if self.dtype.kind in "fc" else self.astype(_dtype.default_float()))
    axis = axes(dim, self.ndim)
    greatest = maximum_of(wide.real, axis=axis, keepdims=True, initial=-math.inf)
    greatest = np.where(np.isinf(greatest), 0, greatest)
    total = add_of(np.exp(wide - greatest), axis=axis, keepdims=keepdim)
    found = np.log(total) + greatest.reshape(total.shape)
    return found.astype(self.dtype) if self.dtype.char == "e" else found


def _implicit(name: str, made: Callable[..., Any]) -> None:
    """Publish the form in nn.functional, which may leave out `dim`."""

    def function(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
        if dim is None:
            warnings.warn(
                f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an"
                " argument.",
                stacklevel=_stacklevel,
            )
            dim = 0 if input.dim() in (0, 1, 3) else 1
        return made(input, dim, dtype)

    composite(name=f"nn.functional.{name}")(function)


_implicit("softmax", softmax)
_implicit("log_softmax", log_softmax)
_implicit("softmin", lambda input, dim, dtype: softmax(-input, dim, dtype))
