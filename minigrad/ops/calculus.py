"""Calculus and statistics of samples: differences, gradients, trapezoids, covariance. Compositions, as in torch."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._declare import composite
from minigrad._dims import wrap_dim, wrap_dims
from minigrad._op import RECORDED
from minigrad._tensor import Tensor, make
from minigrad._warning import warn
from minigrad.ops._checks import kind
from minigrad.ops._scalar import over, times


def _part(self: Any, dim: int, start: int | None, end: int | None = None) -> Any:
    return RECORDED.slice(self, dim, start, end, 1)


# ---- differences -----------------------------------------------------------------------------------------------------


@composite
def diff(self: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th differences of neighbours along `dim`, of the tensor with `prepend` and `append` at its ends."""
    if not self.dim():
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = wrap_dim(dim, self.dim())
    ends = [each for each in (prepend, append) if each is not None]
    for each in ends:
        if each.dim() != self.dim():
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        for i, (size, other) in enumerate(zip(self.shape, each.shape, strict=True)):
            if i != axis and size != other:
                raise RuntimeError(
                    "diff expects the shape of tensor to prepend or append to match that of input except along the"
                    f" differencing dimension; input.size({i}) = {size}, but got tensor.size({i}) = {other}"
                )
    if not n:
        return make(np.zeros(self.shape, self._data.dtype), None).copy_(self)
    if ends:
        self = RECORDED.cat([each for each in (prepend, self, append) if each is not None], dim)
    for _ in range(min(n, self.shape[axis])):
        size = self.shape[axis]
        later, earlier = _part(self, dim, 1, size), _part(self, dim, 0, max(size - 1, 0))
        self = later.logical_xor(earlier) if self._data.dtype.kind == "b" else later - earlier
    return self


@composite(method=False)
def gradient(
    input: Any, *, spacing: Any = None, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """The derivative along each of `dim`, from samples at `spacing` (numbers, or tensors of coordinates) apart."""
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if input._data.dtype == np.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    dims = () if not isinstance(dim, int) and dim is not None and not dim else wrap_dims(dim, input.dim())
    if isinstance(spacing, Tensor):
        if spacing.dim() or spacing.requires_grad:
            raise TypeError("gradient(): argument 'spacing' must be a number or a tuple, not Tensor")
        spacing = spacing.item()
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [1.0 if spacing is None else spacing] * len(dims)
    if len(steps) != len(dims):
        if dim is not None:
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have"
                f" the same length, but got a spacing argument of length {len(steps)} and a dim argument of length"
                f" {len(dims)}."
            )
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() ="
            f" {input.dim()}', since dim argument was not given, but got a list of length {len(steps)}"
        )
    if not input.dim() and dims:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    if any(input.shape[each] <= edge_order for each in dims):
        raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple(
        (_slope_at if isinstance(step, Tensor) else _slope)(input, each, step, edge_order)
        for each, step in zip(dims, steps, strict=True)
    )


def _slope(self: Any, dim: int, step: float, edge_order: int) -> Any:
    """The derivative from evenly spaced samples."""
    center = over(_part(self, dim, 2) - _part(self, dim, 0, -2), step)
    if edge_order == 1:
        first = over(_part(self, dim, 1, 2) - _part(self, dim, 0, 1), step)
        last = over(_part(self, dim, -1) - _part(self, dim, -2, -1), step)
    else:
        one, two, three = (_part(self, dim, i, i + 1) for i in range(3))
        first = over(times(one, -1.5) + times(two, 2) - times(three, 0.5), step)
        three, two, one = (_part(self, dim, i, i + 1 or None) for i in (-3, -2, -1))
        last = over(times(three, 0.5) - times(two, 2) + times(one, 1.5), step)
    return RECORDED.cat([first, over(center, 2), last], dim)


_total = functools.partial(functools.reduce, operator.add)


def _slope_at(self: Any, dim: int, at: Any, edge_order: int) -> Any:
    """The derivative from samples at the coordinates `at`: of the parabola through each three."""
    step = diff(at)
    one, two = _part(step, 0, 0, -1), _part(step, 0, 1)
    shape = [-1 if i == dim else 1 for i in range(self.dim())]
    weights = (-two / (one * (one + two)), (two - one) / (one * two), one / (two * (one + two)))
    ends = (0, -2), (1, -1), (2, None)
    center = _total(w.reshape(shape) * _part(self, dim, *end) for w, end in zip(weights, ends, strict=True))
    if edge_order == 1:
        first = (_part(self, dim, 1, 2) - _part(self, dim, 0, 1)) / step[0]
        last = (_part(self, dim, -1) - _part(self, dim, -2, -1)) / step[-1]
    else:
        one, two = step[0], step[1]
        weights = (-(2.0 * one + two) / (one * (one + two)), (one + two) / (one * two), -one / (two * (one + two)))
        first = _total(w * _part(self, dim, i, i + 1) for i, w in enumerate(weights))
        one, two = step[-1], step[-2]
        weights = (one / (two * (one + two)), -(one + two) / (one * two), (2 * one + two) / (one * (one + two)))
        ends = (-3, -2), (-2, -1), (-1, None)
        last = _total(w * _part(self, dim, *end) for w, end in zip(weights, ends, strict=True))
    return RECORDED.cat([first, center, last], dim)


# ---- integrals -------------------------------------------------------------------------------------------------------


def _steps(y: Any, x: Any, dim: int, function: str) -> Any:
    """The distances between the sample points x, ready to multiply samples of y."""
    if x._data.dtype.kind == "b" or y._data.dtype.kind == "b":
        raise RuntimeError(f"{function}: received a bool input for `x` or `y`, but bool is not supported")
    if x.dim() == 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(f"{function}: There must be one `x` value for each sample point")
        x = x.reshape([-1 if i == wrap_dim(dim, y.dim()) else 1 for i in range(y.dim())])
    elif x.dim() < y.dim():
        x = x.reshape([*[1] * (y.dim() - x.dim()), *x.shape])
    return _part(x, dim, 1) - _part(x, dim, 0, -1)


def _check(y: Any, x: Any, dx: Any, dim: int, function: str) -> int:
    """The dimension, counted from the front where there are points; errors in torch's words."""
    if not y.dim():
        raise IndexError(
            f"Dimension specified as {dim} but tensor has no dimensions" if function == "trapezoid"
            else "slice() cannot be applied to a 0-dim tensor."
        )  # fmt: skip
    if x is None:
        if y._data.dtype.kind == "b":
            raise RuntimeError(f"{function}: received a bool input for `y`, but bool is not supported")
        if isinstance(dx, (bool, complex)):
            raise RuntimeError(f"{function}: Currently, we only support dx as a real number.")
    wrapped = wrap_dim(dim, y.dim())
    return dim if x is None else wrapped


@composite(method=False, aliases=["trapz"])
def trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """The integral along `dim` of samples `y`, at the points `x` or `dx` apart, by the trapezoidal rule."""
    dim = _check(y, x, dx, dim, "trapezoid")
    if not y.shape[dim]:
        return make(np.zeros([n for i, n in enumerate(y.shape) if i != wrap_dim(dim, y.dim())], y._data.dtype), None)
    if x is None:
        return times(y.sum(dim) - times(y.select(dim, 0) + y.select(dim, -1), 0.5), float(dx))
    return over(((_part(y, dim, 0, -1) + _part(y, dim, 1)) * _steps(y, x, dim, "trapezoid")).sum(dim), 2.0)


@composite(method=False)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """The running integral along `dim`: as `trapezoid`, up to each sample but the first."""
    dim = _check(y, x, dx, dim, "cumulative_trapezoid")
    if x is None:
        return times(_part(y, dim, 0, -1) + _part(y, dim, 1), dx / 2.0).cumsum(dim)
    steps = _steps(y, x, dim, "cumulative_trapezoid")
    return over(((_part(y, dim, 0, -1) + _part(y, dim, 1)) * steps).cumsum(dim), 2.0)


# ---- covariance ------------------------------------------------------------------------------------------------------


def _weights(given: Any, kinds: str, name: str, observations: int) -> None:
    if given is None:
        return
    if given.dim() > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {given.dim()} dimensions"
        )
    if given._data.dtype.kind not in kinds:
        wanted = "integral" if "i" in kinds else "floating point"
        raise RuntimeError(f"cov(): expected {name} to have {wanted} dtype but got {name} with {kind(given)} dtype")
    if given.numel() != observations:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got"
            f" {given.numel()} != {observations}"
        )
    if (given._data < 0).any():
        raise RuntimeError(f"cov(): {name} cannot be negative")


@composite
def cov(self: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of variables (rows) over observations (columns), which weights may repeat or weigh."""
    if self.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {self.dim()} dimensions"
        )
    if self._data.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    values = self if self.dim() == 2 else self.reshape(1, -1)
    observations = values.shape[1]
    _weights(fweights, "iu", "fweights", observations)
    _weights(aweights, "f", "aweights", observations)
    given = [each for each in (fweights, aweights) if each is not None]
    weights = math.prod(given[1:], start=given[0]) if given else None
    total = observations if weights is None else weights.sum()
    if weights is None:
        total = make(np.asarray(observations), None)
    center = (values if weights is None else values * weights).sum(1) / total
    norm = total - correction
    if aweights is not None and correction:
        norm = total - correction * (weights * aweights).sum() / total
    if norm <= 0:
        warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.")
        norm = make(np.zeros((), np.int64), None)
    values = values - center.unsqueeze(1)
    return (values.mm((values if weights is None else values * weights).t().conj()) / norm).squeeze()


@composite
def corrcoef(self: Any) -> Any:
    """The correlation of variables (rows) over observations (columns)."""
    if self.dim() > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {self.dim()} dimensions"
        )
    found = cov(self)
    if not found.dim():
        return found / found
    deviation = found.diagonal().sqrt()
    return (found / deviation.reshape(-1, 1) / deviation.reshape(1, -1)).clip(-1, 1)
