"""Operations that order elements: sort, topk, k-th values, medians, modes, quantiles, unique. nan is greatest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import return_types
from minigrad._declare import composite, op
from minigrad._dims import wrap_dim
from minigrad._layout import laid_as
from minigrad._op import RECORDED, Array
from minigrad._tensor import Tensor, make
from minigrad.ops import _selection
from minigrad.ops.reduction import need_elements, ordered, overloaded, pick, select_vjp, share_evenly

# ---- order -----------------------------------------------------------------------------------------------------------


def _order(rows: Array, descending: bool = False) -> Array:
    """The indices that sort each row, equal elements in their order."""
    if not descending:
        return np.argsort(rows, axis=-1, kind="stable")
    return rows.shape[-1] - 1 - np.argsort(rows[..., ::-1], axis=-1, kind="stable")[..., ::-1]


@op(returns=return_types.sort,
    node=lambda stable: f"SortBackward{int(stable is not None)}",
    promote="keep", kinds="biuf", refusal=RuntimeError(" Sort does not support complex dtypes on CPU"),
    self=lambda xp, grad, dim, indices, self_shape: select_vjp(xp, grad, dim, indices, self_shape, True))  # fmt: skip
def sort(self: Array, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> tuple[Array, Array]:
    dim = wrap_dim(dim, self.ndim)
    if not self.ndim:
        return np.array(self), np.array(0)
    rows = np.moveaxis(self, dim, -1)
    order = _order(rows, descending)
    if not stable and rows.shape[-1] > _selection.SHORT:  # an insertion sort is stable
        order = _selection.replayed(rows, order, order.copy(), _selection.sort)
    order = np.moveaxis(order, -1, dim)
    return laid_as(np.take_along_axis(self, order, dim), self), laid_as(order, self)


@composite
def argsort(self: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices that sort along `dim`."""
    return sort(self, dim=dim, descending=descending, stable=stable)[1]


@composite
def msort(self: Tensor) -> Any:
    """The elements sorted along the first dimension."""
    return sort(self, 0)[0]


@op(returns=return_types.topk, promote="keep", kinds="biuf",
    refusal=RuntimeError(" topk does not support complex dtypes on CPU"),
    self=lambda xp, grad, dim, indices, self_shape: select_vjp(xp, grad, dim, indices, self_shape, True))  # fmt: skip
def topk(self: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    if self.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    dim = wrap_dim(dim, self.ndim)
    if not 0 <= k <= (self.shape[dim] if self.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if not self.ndim:
        return np.array(self), np.array(0)
    rows = np.moveaxis(self, dim, -1)
    order = _order(rows, largest)
    found = _selection.replayed(rows, order, order[..., :k].copy(), lambda row: _selection.top(row, k, sorted), sorted)
    found = np.ascontiguousarray(np.moveaxis(found, -1, dim))
    return np.take_along_axis(self, found, dim), found


@composite
def unique(
    self: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct elements, ascending; with where each element went, and how often each occurs, if asked for."""
    if dim is not None:
        raise NotImplementedError("unique() along a dimension")
    values, inverse, counts = _unique2(self)
    chosen = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return tuple(chosen) if len(chosen) > 1 else values


def _not_differentiable(grad: Any) -> Any:
    raise NotImplementedError("the derivative for '_unique2' is not implemented.")


@op("_unique2", function=False, node="Unique2Backward0", returns=tuple, self=_not_differentiable)
def _unique2(self: Array) -> tuple[Array, Array, Array]:
    values, inverse, counts = np.unique(self, return_inverse=True, return_counts=True, equal_nan=False)
    return values, np.reshape(inverse, self.shape), counts


# ---- the k-th --------------------------------------------------------------------------------------------------------


@op(returns=return_types.kthvalue, promote="keep", kinds="iuf", refusal="kthvalue_cpu", self=select_vjp)
def kthvalue(self: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    dim = wrap_dim(dim, self.ndim)
    need_elements(self, dim, "kthvalue")
    if not 1 <= k <= (self.shape[dim] if self.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    if not self.ndim:
        return np.array(self), np.array(0)
    rows = np.moveaxis(self, dim, -1)
    order = _order(rows)
    found = _selection.replayed(rows, order, order[..., k - 1 : k].copy(), lambda row: _selection.kth(row, k - 1))
    return pick(self, dim, np.moveaxis(found, -1, dim), keepdim)


def _median(name: str, middle: Callable[[Array], Array]) -> None:
    """Declare a median; `middle` gives the rank of the median of each row, the lower one of two."""
    node = f"{name.capitalize()}Backward"

    @op(f"{name}.all", function=False, node=f"{node}0", promote="keep", kinds="iuf", refusal="median_cpu",
        self=share_evenly)  # fmt: skip
    def whole(self: Array) -> Array:
        if not self.size:
            return np.array(math.nan if self.dtype.kind == "f" else np.iinfo(self.dtype).min, self.dtype)
        flat = np.reshape(self, -1)
        rank = int(middle(flat))
        return np.partition(flat, rank)[rank]

    @op(f"{name}.dim", function=False, node=f"{node}1", promote="keep", kinds="iuf", refusal="median_out",
        returns=getattr(return_types, name), self=select_vjp)  # fmt: skip
    def along(self: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
        dim = wrap_dim(dim, self.ndim)
        need_elements(self, dim, "median")
        if not self.ndim:
            return np.array(self), np.array(0)
        rows = np.moveaxis(self, dim, -1)
        found = np.take_along_axis(_order(rows), middle(rows)[..., None], -1)
        return pick(self, dim, np.ascontiguousarray(np.moveaxis(found, -1, dim)), keepdim)

    overloaded(name, whole, along)


def _middle(rows: Array) -> Array:
    """The rank of the median: with nans the first of these, which comes right after all numbers."""
    return np.where((rows != rows).any(-1), (rows == rows).sum(-1), (rows.shape[-1] - 1) // 2)


_median("median", _middle)
_median("nanmedian", lambda rows: np.maximum((rows == rows).sum(-1) - 1, 0) // 2)


@op(returns=return_types.mode, self=select_vjp)
def mode(self: Array, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    """The most frequent element, the smallest of several; the index is that of its last occurrence."""
    ordered(self, "mode_cpu")
    dim = wrap_dim(dim, self.ndim)
    need_elements(self, dim, "mode")
    if not self.ndim:
        return np.array(self), np.array(0)
    rows = np.moveaxis(self, dim, -1)
    order = _order(rows)
    order = _selection.replayed(rows, order, order.copy(), _selection.sort)
    for place in map(tuple, np.argwhere((rows != rows).any(-1))):  # which compare less to nothing here
        order[place] = [i for _, i in _selection.sort([(each, i) for i, each in enumerate(rows[place].tolist())])]
    ranked = np.take_along_axis(rows, order, -1)
    size = ranked.shape[-1]
    places = np.arange(size)
    differs = ranked[..., 1:] != ranked[..., :-1]
    starts = np.concatenate([np.ones((*ranked.shape[:-1], 1), bool), differs], -1)
    lengths = places - np.maximum.accumulate(np.where(starts, places, 0), -1) + 1
    last = np.argmax(lengths, -1, keepdims=True)
    return pick(self, dim, np.moveaxis(np.take_along_axis(order, last, -1), -1, dim), keepdim)


# ---- quantiles -------------------------------------------------------------------------------------------------------

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@op("squeeze_.dim", function=False, node="SqueezeBackward4",
    self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))  # fmt: skip
def _squeezed(self: Array, dim: int) -> Array:
    """Without a dimension, whose size is one: what torch does in place to some results of its own."""
    return np.squeeze(self, dim)


def _quantile(self: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool) -> Any:
    if self.dim() and not self.numel():
        raise RuntimeError("quantile() input tensor must be non-empty")
    if self._data.dtype.char not in "fd":
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
        q = make(np.array(q, self._data.dtype), None)
    if q.dim() > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if q._data.dtype != self._data.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got"
            f" {interpolation}"
        )
    if not ((q._data >= 0) & (q._data <= 1)).all():
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    if dim is None:
        rows = sort(self.flatten(), -1)[0]
        shape = (1,) * self.dim() if keepdim else ()
    else:
        dim = wrap_dim(dim, self.dim())
        rows = sort(self if dim == self.dim() - 1 else self.unsqueeze(-1).transpose(dim, -1), -1)[0]
        rest = list(self.shape)
        rest[dim : dim + 1] = [1] if keepdim else []
        shape = tuple(rest) if self.dim() else ()
    rows = rows.view(*shape, rows.shape[-1] if rows.dim() else 1)
    missing = rows._data != rows._data
    if skip_nan:
        ranks = (q * make((~missing).sum(-1, keepdims=True) - 1, None)).clamp(min=0)
    else:
        last = rows.shape[-1] - 1
        ranks = RECORDED.where(make(missing.any(-1, keepdims=True), None), last, q * last)
    rounded = {"lower": "floor", "higher": "ceil", "nearest": "round"}.get(interpolation)
    if rounded:
        ranks = getattr(ranks, rounded)()
    below = make(ranks._data.astype(np.int64), None)
    values = rows.gather(-1, below)
    if interpolation in ("linear", "midpoint"):
        weights = ranks - below if interpolation == "linear" else make(np.full_like(ranks._data, 0.5), None)
        values = values.lerp(rows.gather(-1, make(np.ceil(ranks._data).astype(np.int64), None)), weights)
    return _squeezed(values if q.dim() == 0 else values.unsqueeze(0).transpose(0, -1), -1)


def _declare_quantile(name: str, skip_nan: bool) -> None:
    def function(
        self: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Any:
        return _quantile(self, q, dim, keepdim, interpolation, skip_nan)

    composite(name=name)(function)


_declare_quantile("quantile", False)
_declare_quantile("nanquantile", True)
