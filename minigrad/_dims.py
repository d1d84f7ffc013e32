"""Dimension numbers: negative ones count from the end, and a 0-d tensor has dimensions -1 and 0."""

from __future__ import annotations

from collections.abc import Iterable


def wrap_dim(dim: int, ndim: int) -> int:
    """The dimension as a number from 0; IndexError with torch's text out of range."""
    low, high = (-ndim, ndim - 1) if ndim else (-1, 0)
    if not low <= dim <= high:
        if not hasattr(dim, "__index__"):
            raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
        raise IndexError(f"Dimension out of range (expected to be in range of [{low}, {high}], but got {dim})")
    return dim % ndim if ndim else 0


def wrap_dims(dim: int | Iterable[int] | None, ndim: int) -> tuple[int, ...]:
    """The dimensions as numbers from 0, all of them for None or (); RuntimeError when one is named twice."""
    if dim is None:
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    found = tuple(wrap_dim(each, ndim) for each in dims)
    for each in found:
        if found.count(each) > 1:
            raise RuntimeError(f"dim {each} appears multiple times in the list of dims")
    return found or tuple(range(ndim))
