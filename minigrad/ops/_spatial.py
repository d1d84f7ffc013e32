"""What operations over sliding windows share: arguments per dimension, and strided parts of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.ops.shape import integers

Ints = tuple[int, ...]


def per_dim(value: Any, n: int, name: str = "", argument: str = "", position: int = 2) -> Ints:
    """An argument as one number per spatial dimension; a single number serves all of them. TypeError as torch's."""
    found = (value,) if type(value) is int else integers((value,), name, argument, position)
    return found * n if len(found) == 1 else found


def windows(data: np.ndarray[Any, Any], kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> Any:
    """A view of the trailing dimensions' windows: (..., *kernel, *count)."""
    n = len(kernel)
    lead, trail = data.strides[:-n], data.strides[-n:]
    return as_strided(
        data,
        (*data.shape[:-n], *kernel, *count),
        (*lead, *(s * d for s, d in zip(trail, dilation)), *(s * t for s, t in zip(trail, stride))),
        writeable=False,
    )


def offsets(kernel: Ints, stride: Ints, dilation: Ints, count: Ints) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
    """Each position in the kernel, and the index of what all windows hold there."""
    for place in product(*map(range, kernel)):
        steps = zip(place, stride, dilation, count)
        yield place, (..., *(slice(k * d, k * d + s * (c - 1) + 1, s) for k, s, d, c in steps))


def padded(data: np.ndarray[Any, Any], low: Ints, high: Ints, value: Any = 0) -> np.ndarray[Any, Any]:
    """The array with its trailing dimensions extended by `low` and `high`."""
    if not any(low) and not any(high):
        return data
    n = len(low)
    spatial = tuple(a + s + b for a, s, b in zip(low, data.shape[-n:], high))
    result = np.full((*data.shape[:-n], *spatial), value, data.dtype)
    inside: tuple[Any, ...] = (..., *(slice(a, a + s) for a, s in zip(low, data.shape[-n:])))
    result[inside] = data
    return result
