"""How results lie in memory, where torch promises more than numpy: without gaps, in the order of the operands' strides.

numpy's own rule differs from torch's (`TensorIterator::reorder_dimensions`) in two ways. An expanded dimension has
stride 0, which numpy takes for the innermost in memory; to torch it says nothing about the order, and its neighbours
decide. And where operands lie in different orders, numpy's result lies in C order, torch's as the first of them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._op import Array
from minigrad._views import dense, extent


def copied(self: Array) -> Array:
    """A copy that lies as torch's `clone` does."""
    return laid_as(np.array(self), self) if tied(self) else np.array(self)


def copied_with_gaps(self: Array) -> Array:
    """A copy with the same strides, as torch's `*_scatter` make it; of an expanded tensor, a clone."""
    if self.flags.forc or any(not stride and size > 1 for stride, size in zip(self.strides, self.shape, strict=True)):
        return copied(self)
    copy: Array = np.ndarray(self.shape, self.dtype, np.zeros(extent(self), np.uint8), 0, self.strides)
    copy[...] = self
    return copy


def empty_like(self: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """An array with the strides of one without gaps: also where they are 0, for which numpy's has its own."""
    if 0 not in self.strides:
        return np.empty_like(self, dtype)
    made = np.empty(extent(self) // self.itemsize, dtype or self.dtype)
    return np.lib.stride_tricks.as_strided(
        made, self.shape, [stride // self.itemsize * made.itemsize for stride in self.strides]
    )


def obeys(grad: Array, data: Array) -> bool:
    """Whether a leaf's gradient lies in memory as the leaf (or, where that has gaps, without gaps in C order).

    Torch's `obeys_layout_contract`, to which dimensions of 1 say nothing unless their stride in the gradient is 0.
    """
    if not grad.size or data.flags.forc and grad.strides == data.strides and 0 not in grad.strides:
        return True
    if not dense(data):
        return grad.flags.c_contiguous
    pairs = zip(grad.strides, data.strides, grad.shape, strict=False)  # the data may be others since
    return all(own != 0 and (size == 1 or own == wanted) for own, wanted, size in pairs)


def in_order(found: Any) -> Any:
    """The array, or each of several, in C order."""
    if isinstance(found, tuple):
        return tuple(map(in_order, found))
    return found if found.flags.c_contiguous else np.asarray(found, order="C")


def laid_as(found: Array, *operands: Array) -> Array:
    """The array in memory as torch's result of these operands, which broadcast to its shape."""
    shape = found.shape
    axes = c_order = list(range(len(shape)))
    if not all(each.flags.c_contiguous for each in operands) or not (
        all(each.shape == shape for each in operands) or all(map(_plain, operands))
    ):
        axes = _axes(shape, [_strides(each, shape) for each in operands])
    if axes == c_order:
        return np.asarray(found, order="C")
    return np.asarray(found.transpose(axes), order="C").transpose(np.argsort(axes))


def laid_out(found: Array, *operands: Array) -> Array:
    """The array in memory as torch's kernels of windows, and `cat`, lay theirs: channels last where all of these have
    them last, else in C order."""
    return by_channels(found, all(each.ndim in (4, 5) and channels_last(each) for each in operands))


def tied(operand: Array) -> bool:
    """Whether numpy lays what is made of the operand by other rules than torch: where a stride is 0, or two are one."""
    return not operand.flags.forc and (0 in operand.strides or len({*operand.strides}) < operand.ndim)


def by_channels(found: Array, last: bool) -> Array:
    """The array (N, C, *spatial) in memory with its channels last, or in C order."""
    if last:
        return np.moveaxis(np.asarray(np.moveaxis(found, 1, -1), order="C"), -1, 1)
    return np.asarray(found, order="C")


def channels_last(operand: Array) -> bool:
    """Torch's `is_channels_last_strides`, which heeds the order of strides alone."""
    if not operand.size or not operand.strides[1]:
        return False
    least = 0
    for d in (1, *range(operand.ndim - 1, 1, -1), 0):
        stride, size = operand.strides[d], operand.shape[d]
        if stride < least or (not d and least == operand.strides[1]):
            return False
        least = stride * max(size, 1)
    return True


def _plain(operand: Array) -> bool:
    """Whether the strides are those of C order, also in dimensions of size 1, where numpy and torch take any others."""
    step = operand.itemsize
    for size, stride in zip(reversed(operand.shape), reversed(operand.strides), strict=True):
        if stride != step:
            return False
        step *= size
    return True


def _strides(operand: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an operand broadcast to `shape`."""
    if operand.shape == shape:
        return operand.strides
    lead = len(shape) - operand.ndim
    return (0,) * lead + tuple(
        0 if size == 1 != whole else stride
        for size, stride, whole in zip(operand.shape, operand.strides, shape[lead:], strict=True)
    )


def _axes(shape: tuple[int, ...], operands: Sequence[tuple[int, ...]]) -> list[int]:
    """The dimensions from the outermost in memory to the innermost: torch's insertion sort, step by step."""
    axes = list(range(len(shape)))  # torch's list from its end
    for i in range(len(shape) - 2, -1, -1):
        place = i
        for k in range(i + 1, len(shape)):
            order = _order(axes[place], axes[k], shape, operands)
            if order > 0:
                axes[place], axes[k] = axes[k], axes[place]
                place = k
            elif order < 0:
                break
    return axes


def _order(outer: int, inner: int, shape: tuple[int, ...], operands: Sequence[tuple[int, ...]]) -> int:
    """Whether two dimensions are to be swapped: 1 yes, -1 no, 0 if no operand tells."""
    for strides in operands:
        a, b = strides[outer], strides[inner]
        if a and b and (a != b or shape[inner] > shape[outer]):
            return 1 if b >= a else -1
    return 0
