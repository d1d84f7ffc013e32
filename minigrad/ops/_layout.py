"""How results lie in memory, where torch promises more than numpy: without gaps, in the order of an operand's strides.

An expanded dimension has stride 0, which numpy takes for the innermost in memory; to torch it says nothing about the
order, and its neighbours decide (`TensorIterator::reorder_dimensions`).
"""

from __future__ import annotations

import numpy as np

from minigrad._op import Array


def copied(self: Array) -> Array:
    """A copy that lies as torch's `clone` does."""
    return laid_as(np.array(self), self) if 0 in self.strides else np.array(self)


def laid_as(found: Array, like: Array) -> Array:
    """The array in memory in the order of the dimensions of `like`, which has as many."""
    if like.flags.c_contiguous or like.ndim < 2:
        return np.asarray(found, order="C")
    axes = _axes(like)
    return np.asarray(found.transpose(axes), order="C").transpose(np.argsort(axes))


def _axes(like: Array) -> list[int]:
    """The dimensions from the outermost in memory to the innermost: torch's insertion sort, step by step."""
    shape, strides = like.shape, like.strides
    axes = list(range(like.ndim))  # torch's list from its end
    for i in range(like.ndim - 2, -1, -1):
        place = i
        for k in range(i + 1, like.ndim):
            outer, inner = axes[place], axes[k]
            if not strides[outer] or not strides[inner]:
                continue  # says nothing
            if (strides[inner], shape[inner]) > (strides[outer], shape[outer]):
                axes[place], axes[k] = inner, outer
                place = k
            elif strides[inner] < strides[outer]:
                break
    return axes
