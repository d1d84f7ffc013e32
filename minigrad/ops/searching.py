"""Where values lie among others, and how often they occur: nothing here is differentiable."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite
from minigrad._tensor import Tensor, make
from minigrad._warning import warn_once


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
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    low, high = (min, max) if min != max else (data.min(), data.max()) if data.size else (0, 1)
    if low == high:
        low, high = low - 1, high + 1
    return _found(np.histogram(data, bins, (low, high))[0], data.dtype)


def _searched(name: str, sequence: Any, values: Any, sorter: Any, right: bool, side: str | None) -> None:
    """Refuse what torch refuses to search, and warn of what it copies first."""
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    if name == "bucketize" and sequence.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({sequence.ndim})")
    if sequence.ndim == 0:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if sequence.ndim > 1 and values.ndim == 0:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got"
            f" boundaries tensor dim({sequence.ndim}) and input value's dim(0) numel(1)"
        )
    if sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries"
            f" tensor and input value tensor must match, but we got boundaries tensor {list(sequence.shape)} and input"
            f" value tensor {list(values.shape)}"
        )
    if sorter is not None:
        if sorter.shape != sequence.shape:
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor"
                f" {list(sequence.shape)}and got sorter tensor {list(sorter.shape)}"
            )
        if sorter.dtype != np.int64:
            kind = _dtype.from_numpy(sorter.dtype).legacy_name
            raise RuntimeError(f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {kind}")
        if sorter.size and not 0 <= sorter.min() <= sorter.max() < sequence.shape[-1]:
            raise RuntimeError("torch.searchsorted(): sorter index out of range")
    for what, data in (("input value", values), ("boundary", sequence), ("sorter", sorter)):
        if data is not None and not data.flags.c_contiguous:
            warn_once(
                f"torch.searchsorted(): {what} tensor is non-contiguous, this will lower the performance due to extra"
                f" data copy when converting non-contiguous tensor to contiguous, please use contiguous {what} tensor"
                " if possible. This message will only appear once per program."
            )


def _places(
    name: str, sequence: Tensor, input: Any, sorter: Tensor | None, out_int32: bool, right: bool, side: str | None
) -> Tensor:
    rows, values, order = sequence._data, _data(input), None if sorter is None else sorter._data
    _searched(name, rows, values, order, right, side)
    where: Literal["left", "right"] = "right" if right or side == "right" else "left"
    if rows.ndim == 1:
        return _found(np.searchsorted(rows, values, where, order), np.int32 if out_int32 else np.int64)
    found = np.empty(values.shape, np.int32 if out_int32 else np.int64)
    for place in np.ndindex(rows.shape[:-1]):
        found[place] = np.searchsorted(rows[place], values[place], where, None if order is None else order[place])
    return _found(found)


@composite(method=False)
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """The places in each ascending row of `sorted_sequence` (or of what `sorter` makes ascending) where values would
    keep it ascending: the first of them, or the last with `right`."""
    return _places("searchsorted", sorted_sequence, input, sorter, out_int32, right, side)


@composite(method=False)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between `boundaries` that each value falls in."""
    return _places("bucketize", boundaries, input, None, out_int32, right, None)


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
