"""Operations that move elements: shapes, indexing, gathering and scattering."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from conformance.exact.arithmetic import ZERO, Arr, Function, UnspecifiedError, arr, axes, mean, product, total


def sizes(first: Any, rest: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as one sequence or as several integers."""
    return tuple(first) if isinstance(first, (tuple, list)) else (first, *rest)


def turned(f: Function) -> Function:
    """`f`, which moves dimensions, of a tensor that has some; one that has none stays, whatever is named."""
    return lambda x, *dims, **more: f(x, *dims, **more) if x.ndim else x


def _reshape(x: Arr, shape: Any, *rest: int) -> Arr:
    return x.reshape(sizes(shape, rest))


def _expand(x: Arr, shape: Any, *rest: int) -> Arr:
    wanted = sizes(shape, rest)
    own = (1,) * (len(wanted) - x.ndim) + x.shape
    return np.broadcast_to(x, [m if n == -1 else n for m, n in zip(own, wanted, strict=True)])


def _squeeze(x: Arr, dim: Any = None) -> Arr:
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or (dim is not None and i not in axes(x, dim))])


def _flatten(x: Arr, start_dim: int = 0, end_dim: int = -1) -> Arr:
    if not x.ndim:
        return x.reshape(1)
    a, b = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(*x.shape[:a], math.prod(x.shape[a : b + 1]), *x.shape[b + 1 :])


def _unflatten(x: Arr, dim: int, sizes: Sequence[int]) -> Arr:
    d = dim % x.ndim
    n = x.shape[d] // max(1, -math.prod(sizes)) if -1 in sizes else 0
    return x.reshape(*x.shape[:d], *(n if s == -1 else s for s in sizes), *x.shape[d + 1 :])


def _narrow(x: Arr, dim: int, start: Any, length: int) -> Arr:
    d = dim % x.ndim
    first = int(start) % x.shape[d] if x.shape[d] else 0
    return x[(slice(None),) * d + (slice(int(start) if start == x.shape[d] else first, None),)][
        (slice(None),) * d + (slice(0, length),)
    ]


def _cut(x: Arr, lengths: Sequence[int], dim: int) -> tuple[Arr, ...]:
    d = dim % x.ndim
    ends = list(itertools.accumulate(lengths))
    return tuple(x[(slice(None),) * d + (slice(b - n, b),)] for n, b in zip(lengths, ends, strict=True))


def _split(x: Arr, size: Any, dim: int = 0) -> tuple[Arr, ...]:
    if isinstance(size, (tuple, list)):
        return _cut(x, size, dim)
    n = x.shape[dim]
    return _cut(x, [min(size, n - i) for i in range(0, n, size)] or [n], dim)


def _tensor_split(x: Arr, parts: Any, dim: int = 0) -> tuple[Arr, ...]:
    return tuple(np.array_split(x, parts if isinstance(parts, int) else list(parts), axis=dim))


def _by_dim(single: int, other: int) -> Function:
    return lambda x, parts: _tensor_split(x, parts, single if x.ndim == 1 else other)


def _take_from(x: Arr, index: Any) -> Arr:
    """x[index] as torch does: integers and slices first, then arrays of indices together."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for i, part in enumerate(parts):
        if isinstance(part, (tuple, list)):
            parts[i] = np.array(part)
    consumed = sum(p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else p is not None for p in parts)
    if Ellipsis in [p for p in parts if not isinstance(p, np.ndarray)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (x.ndim - consumed + 1)
    basic: list[Any] = []
    later: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            basic += [slice(None)] * (part.ndim if part.dtype == bool else 1)
            later.append(part)
        else:
            basic.append(part)
            later += [] if isinstance(part, int) else [slice(None)]
    view = x[(*basic, ...)]
    return arr(view[tuple(later)]) if any(isinstance(p, np.ndarray) for p in parts) else view


def _positions(x: Arr) -> Arr:
    return np.arange(x.size).reshape(x.shape)


def _at(x: Arr, dim: int, index: Arr) -> tuple[Any, ...]:
    """Where gather and scatter read and write: the index along `dim`, its own position along the others."""
    grid = list(np.indices(index.shape))
    grid[dim % x.ndim] = index % max(x.shape[dim], 1)
    return tuple(grid)


def _gather(x: Arr, dim: int, index: Arr, sparse_grad: bool = False) -> Arr:
    return arr(x[_at(x, dim, index)]) if x.ndim else x.reshape(1)[index]


def _written(x: Arr, places: Any, values: Any, merge: Function | None = None) -> Arr:
    """A copy of x with values at flat places, the last one winning, or merged with what stands there."""
    if merge is None and isinstance(values, np.ndarray) and len(set(places.reshape(-1).tolist())) < places.size:
        raise UnspecifiedError("a place that is written twice")
    out = x.copy().reshape(-1)
    flat = np.broadcast_to(values, places.shape).reshape(-1)
    for place, value in zip(places.reshape(-1), flat, strict=True):
        out[place] = value if merge is None else merge(out[place], value)
    return out.reshape(x.shape)


def _scatter(x: Arr, dim: int, index: Arr, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Arr:
    src = value if src is None else src
    wide, places = (x, index) if x.ndim else (x.reshape(1), index.reshape(-1))
    where = _positions(wide)[_at(wide, dim, places)]
    part = src[tuple(slice(n) for n in places.shape)] if isinstance(src, np.ndarray) and src.ndim else src
    merge = {None: None, "add": _ADD, "multiply": _MUL}[reduce]
    return _written(wide, where, part, merge).reshape(x.shape)


def _ADD(a: Any, b: Any) -> Any:  # noqa: N802 - a constant of the table
    return a + b


def _MUL(a: Any, b: Any) -> Any:  # noqa: N802
    return a * b


def _scatter_reduce(x: Arr, dim: int, index: Arr, src: Arr, reduce: str, *, include_self: bool = True) -> Arr:
    if not x.ndim:
        one = _scatter_reduce(x.reshape(1), 0, index.reshape(-1), src.reshape(-1), reduce, include_self=include_self)
        return one.reshape(())
    where = _positions(x)[_at(x, dim, index)].reshape(-1)
    part = src[tuple(slice(n) for n in index.shape)].reshape(-1)
    groups: dict[int, list[Any]] = {}
    for place, value in zip(where, part, strict=True):
        groups.setdefault(int(place), [x.reshape(-1)[place]] if include_self else []).append(value)
    kinds: dict[str, Function] = {"sum": total, "prod": product, "mean": mean, "amax": max, "amin": min}
    f = kinds[reduce]
    out = x.copy().reshape(-1)
    for place, row in groups.items():
        out[place] = f(row)
    return out.reshape(x.shape)


def _index_write(merge: Function | None) -> Function:
    def written(x: Arr, dim: int, index: Arr, source: Any, *, alpha: Any = 1) -> Arr:
        wide = x if x.ndim else x.reshape(1)
        where = np.take(_positions(wide), np.atleast_1d(index), axis=dim)
        values = source * alpha if alpha != 1 else source
        return _written(wide, where, np.reshape(values, where.shape) if np.ndim(values) else values, merge).reshape(
            x.shape
        )

    return written


def _index_put(x: Arr, indices: Any, values: Any, accumulate: bool = False) -> Arr:
    return _written(x, _take_from(_positions(x), tuple(indices)), values, _ADD if accumulate else None)


def _setitem(x: Arr, index: Any, value: Any) -> Arr:
    return _written(x, np.asarray(_take_from(_positions(x), index)), value)


def _masked_select(x: Arr, mask: Arr) -> Arr:
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]


def _masked_scatter(x: Arr, mask: Arr, source: Arr) -> Arr:
    x, mask = (a.copy() for a in np.broadcast_arrays(x, mask))
    x[mask] = source.reshape(-1)[: int(mask.sum())]
    return x


def _where(condition: Arr, a: Any, b: Any) -> Arr:
    return arr(np.where(condition, arr(a), arr(b)))


def _slot(x: Arr, key: tuple[Any, ...], value: Arr) -> Arr:
    out = x.copy()
    out[key] = value
    return out


def _slice_scatter(x: Arr, src: Arr, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Arr:
    return _slot(x, (slice(None),) * (dim % x.ndim) + (slice(start, end, step),), src)


def _diagonal_places(x: Arr, offset: int, dim1: int, dim2: int) -> Arr:
    return np.diagonal(_positions(x), offset, dim1, dim2)


def _diag_embed(x: Arr, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Arr:
    n = x.shape[-1] + abs(offset)
    out = zeros((*x.shape[:-1], n, n))
    i = np.arange(x.shape[-1])
    out[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def _diag(x: Arr, diagonal: int = 0) -> Arr:
    return np.diagonal(x, diagonal) if x.ndim == 2 else _diag_embed(x, diagonal)


def _triangle(keep: Callable[[Arr, Arr, int], Arr]) -> Function:
    def cut(x: Arr, diagonal: int = 0) -> Arr:
        rows, columns = np.indices(x.shape[-2:])
        return np.where(keep(columns - rows, rows, diagonal), x, ZERO)

    return cut


tril = _triangle(lambda gap, _, k: gap <= k)
triu = _triangle(lambda gap, _, k: gap >= k)


def _repeat_interleave(x: Arr, repeats: Any, dim: int | None = None, **_: Any) -> Arr:
    return np.repeat(x.reshape(-1) if dim is None else x, repeats, axis=dim or 0)


def _unfold(x: Arr, dimension: int, size: int, step: int) -> Arr:
    if not x.ndim:
        return x.reshape(1)[:size]
    starts = range(0, x.shape[dimension] - size + 1, step)
    return np.stack(
        [np.moveaxis(_narrow(x, dimension, s, size), dimension, -1) for s in starts], axis=dimension % x.ndim
    )


def _roll(x: Arr, shifts: Any, dims: Any = None) -> Arr:
    return np.roll(x, shifts, axis=None if dims in (None, ()) else dims)


def _operands(*tensors: Any) -> Sequence[Arr]:
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors


def _block_diag(*tensors: Any) -> Arr:
    parts = [np.atleast_2d(t) for t in _operands(*tensors)]
    out = zeros((sum(p.shape[0] for p in parts), sum(p.shape[1] for p in parts)))
    row = column = 0
    for p in parts:
        out[row : row + p.shape[0], column : column + p.shape[1]] = p
        row, column = row + p.shape[0], column + p.shape[1]
    return out


def _cartesian(*tensors: Arr) -> Arr:
    grids = [g.reshape(-1) for g in np.meshgrid(*tensors, indexing="ij")]
    return np.stack(grids, axis=-1) if len(grids) > 1 else grids[0]


def zeros(shape: Sequence[int]) -> Arr:
    """Exact zeros."""
    out = np.empty(tuple(shape), dtype=object)
    out[...] = ZERO
    return out


def unknown(shape: Sequence[int]) -> Arr:
    """Integers that are not worked out here, such as pivots: -1 is none of theirs."""
    return np.full(shape, -1)
