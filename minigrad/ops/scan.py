"""Operations that accumulate along a dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import _dtype, return_types
from minigrad._declare import op
from minigrad._dims import wrap_dim
from minigrad._op import Array
from minigrad.ops.pointwise import is_complex, log_add
from minigrad.ops.reduction import ordered


def _accumulate(self: Array, ufunc: np.ufunc, dim: int, dtype: Any, function: str) -> Array:
    """A running sum or product; narrow floating types are accumulated in float64, as torch does."""
    dim = wrap_dim(dim, self.ndim)
    kind = self.dtype if self.dtype.kind in "fc" else np.dtype(np.int64)
    if dtype is not None:
        kind = _dtype.as_numpy(dtype, function)
        if kind.kind == "b":
            raise NotImplementedError(f"\"{function}_out_cpu\" not implemented for 'Bool'")
        self = self.astype(kind)
    if not self.ndim:
        return self.astype(kind)
    self = np.ascontiguousarray(self)  # as the result is
    return ufunc.accumulate(self, axis=dim, dtype=np.float64 if kind.char in "ef" else kind).astype(kind, copy=False)


def _uncast(xp: Any, grad: Any, self_dtype: Any, dtype: Any) -> Any:
    """The gradient in the type of the tensor, if another was asked for."""
    return grad if dtype is None else xp.cast(grad, self_dtype)


def backwards(xp: Any, values: Any, dim: int) -> Any:
    """The running sum from the end."""
    return xp.flip(xp.cumsum(xp.flip(values, (dim,)), dim), (dim,)) if values.ndim else values


@op(inplace=True,
    self=lambda xp, grad, dim, self_dtype, dtype: backwards(xp, _uncast(xp, grad, self_dtype, dtype), dim))  # fmt: skip
def cumsum(self: Array, dim: int, *, dtype: Any = None) -> Array:
    return _accumulate(self, np.add, dim, dtype, "cumsum")


def _shifted(xp: Any, first: float, values: Any, dim: int) -> Any:
    """The values one place later along a dimension, after `first`."""
    start = xp.zeros((*values.shape[:dim], 1, *values.shape[dim + 1 :]), values) + first
    return xp.cat([start, xp.slice(values, dim, 0, values.shape[dim] - 1)], dim)


@op(function=False, method=False,
    factor=lambda xp, grad, factor, result, dim:
        _recurrence_vjp(xp, grad, factor, dim) * _shifted(xp, 0, result, dim),
    term=lambda xp, grad, factor, dim: _recurrence_vjp(xp, grad, factor, dim))  # fmt: skip
def recurrence(factor: Array, term: Array, dim: int) -> Array:
    """y[k] = factor[k] y[k-1] + term[k] along a dimension, from y[-1] = 0: what running products differentiate to."""
    factors, result = np.moveaxis(factor, dim, 0), np.array(term)
    rows = np.moveaxis(result, dim, 0)
    for k in range(1, len(rows)):
        rows[k] += factors[k] * rows[k - 1]
    return result


def _recurrence_vjp(xp: Any, grad: Any, factor: Any, dim: int) -> Any:
    """The same recurrence from the end: g[k] = grad[k] + factor[k+1] g[k+1]."""
    size, one = factor.shape[dim], xp.slice(factor, dim, 0, 1)
    later = xp.flip(xp.cat([xp.slice(factor, dim, 1, size), one], dim), (dim,))
    return xp.flip(xp.recurrence(later, xp.flip(grad, (dim,)), dim), (dim,))


def _cumprod_vjp(xp: Any, grad: Any, self: Any, result: Any, self_dtype: Any, dim: int, dtype: Any) -> Any:
    grad = _uncast(xp, grad, self_dtype, dtype)
    if math.prod(self.shape) <= 1 or self.shape[dim] == 1:
        return grad
    if not (self == 0).any():
        return backwards(xp, result * grad, dim) / self
    dim = dim % self.ndim  # from the input alone, as in torch: a gradient of this does not pass through the result
    return _shifted(xp, 1, xp.cumprod(self, dim, dtype=dtype), dim) * _recurrence_vjp(xp, grad, self, dim)


@op(inplace=True, self=_cumprod_vjp)
def cumprod(self: Array, dim: int, *, dtype: Any = None) -> Array:
    return _accumulate(self, np.multiply, dim, dtype, "cumprod")


def _extreme(name: str, ufunc: np.ufunc) -> None:
    """Declare the running maximum or minimum, with where it was last met."""

    @op(
        name, returns=getattr(return_types, name),
        self=lambda xp, grad, self, indices, dim:
            xp.scatter_add(xp.zeros(self.shape, grad), dim, indices, grad) if math.prod(self.shape) else self,
    )  # fmt: skip
    def extreme(self: Array, dim: int) -> tuple[Array, Array]:
        dim = wrap_dim(dim, self.ndim)
        ordered(self, f"{name}_cpu")
        if not self.ndim:
            return np.array(self), np.array(0)
        self = np.ascontiguousarray(self)  # as the results are
        values = ufunc.accumulate(self, axis=dim)
        places = np.arange(self.shape[dim]).reshape([-1 if i == dim else 1 for i in range(self.ndim)])
        met = (self == values) | (self != self)
        return values, np.maximum.accumulate(np.where(met, places, 0), axis=dim)


_extreme("cummax", np.maximum)
_extreme("cummin", np.minimum)


def _logcumsumexp_vjp(xp: Any, grad: Any, self: Any, result: Any, self_dtype: Any, dim: int) -> Any:
    if not self.ndim or not math.prod(self.shape):
        return grad

    def reverse(values: Any) -> Any:
        return xp.flip(xp.logcumsumexp(xp.flip(values, (dim,)), dim), (dim,))

    if is_complex(grad):
        return xp.exp(reverse(xp.log(grad) - result) + self)
    lowest, size = float(np.finfo(self_dtype).min), xp.log(xp.abs(grad))
    positive, negative = xp.where(grad > 0, size, lowest), xp.where(grad < 0, size, lowest)
    return xp.exp(reverse(positive - result) + self) - xp.exp(reverse(negative - result) + self)


@op(promote="keep", kinds="fc", refusal="logcumsumexp_out_cpu", self=_logcumsumexp_vjp)
def logcumsumexp(self: Array, dim: int) -> Array:
    if self.dtype.kind != "c" or not self.ndim:
        return _accumulate(self, np.logaddexp, dim, None, "logcumsumexp")
    result = np.array(self, order="C")
    rows = np.moveaxis(result, dim, 0)
    for k in range(1, len(rows)):
        rows[k] = log_add(rows[k - 1], rows[k])
    return result
