"""Dimension numbers: negative ones count from the end, and a 0-d tensor has dimensions -1 and 0.

And what broadcasting repeats, and torch says of shapes that do not broadcast.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np


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


def broadcast_error(*shapes: Sequence[int]) -> RuntimeError:
    """Torch's error for shapes of which two do not broadcast; it looks from the last dimension on."""
    found: Sequence[int] = ()
    for shape in shapes:
        for back, (a, b) in enumerate(zip(reversed(found), reversed(shape), strict=False), 1):
            if a != b and 1 not in (a, b):
                return RuntimeError(
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension"
                    f" {max(len(found), len(shape)) - back}"
                )
        found = np.broadcast_shapes(tuple(found), tuple(shape))
    return RuntimeError(f"output with shape {[*shapes[0]]} doesn't match the broadcast shape {[*shapes[-1]]}")


@functools.lru_cache(maxsize=1024)  # few pairs of shapes occur, each at every step
def repeated_dims(size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The dimensions of `shape` along which broadcasting repeats what has `size`; None if that does not broadcast."""
    lead = len(shape) - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, shape[lead:])):
        return None
    return (*range(lead), *[lead + i for i, (n, m) in enumerate(zip(size, shape[lead:])) if n != m])
