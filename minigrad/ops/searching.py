"""Where values lie among others, and how often they occur: nothing here is differentiable."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite
from minigrad._tensor import Tensor, make


def _found(data: Any, dtype: Any = None) -> Tensor:
    return make(np.asarray(data, dtype), None)


def _data(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else np.asarray(value)


@composite(method=False)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements`."""
    return _found(np.isin(_data(elements), _data(test_elements), assume_unique, invert))


@composite
def bincount(self: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 on occurs, or the sums of the weights of those."""
    data = self._data
    if data.dtype.kind not in "iu":
        name = _dtype.from_numpy(data.dtype).legacy_name
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{name}'")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if data.ndim != 1 or data.size and data.min() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return _found(np.bincount(data, minlength=minlength), np.int64)
    if weights._data.shape != data.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    kind = np.float32 if weights._data.dtype == np.float32 else np.float64
    return _found(np.bincount(data, weights._data, minlength), kind)


@composite
def histc(self: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of [min, max] (by default of the elements' range)."""
    data = self._data
    if data.dtype.kind != "f":
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{self.dtype.legacy_name}'")
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but got {bins}")
    if min > max:
        raise RuntimeError("torch.histc(): max must be larger than min")
    low, high = (min, max) if min != max else (data.min(), data.max()) if data.size else (0, 1)
    if low == high:
        low, high = low - 1, high + 1
    return _found(np.histogram(data, bins, (low, high))[0], data.dtype)


@composite(method=False)
def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Tensor:
    """The places in each ascending row of `sorted_sequence` where values would keep it ascending: the first of them,
    or the last with `right`."""
    rows, values = sorted_sequence._data, _data(input)
    where: Literal["left", "right"] = "right" if right or side == "right" else "left"
    if rows.ndim == 1:
        return _found(np.searchsorted(rows, values, where), np.int32 if out_int32 else np.int64)
    if rows.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries"
            f" tensor and input value tensor must match, but we got boundaries tensor {list(rows.shape)} and input"
            f" value tensor {list(values.shape)}"
        )
    found = np.empty(values.shape, np.int32 if out_int32 else np.int64)
    for place in np.ndindex(rows.shape[:-1]):
        found[place] = np.searchsorted(rows[place], values[place], where)
    return _found(found)


@composite(method=False)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between `boundaries` that each value falls in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@composite
def unique_consecutive(
    self: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements without repetitions in a row; with where each went, and how long the repetitions were."""
    if dim is not None:
        raise NotImplementedError("unique_consecutive() along a dimension")
    flat = self._data.reshape(-1)
    first = np.ones(flat.shape, bool)
    first[1:] = flat[1:] != flat[:-1]
    starts = np.flatnonzero(first)
    inverse = (np.cumsum(first) - 1).reshape(self._data.shape)
    counts = np.diff(np.append(starts, flat.size))
    chosen = [flat[starts], *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    tensors = tuple(map(_found, chosen))
    return tensors if len(tensors) > 1 else tensors[0]


@composite(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The index in each dimension of a shape that a place among all elements means."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    found = np.stack(np.unravel_index(indices._data, shape), axis=-1)
    return tuple(_found(found, np.int64).unbind(-1))
