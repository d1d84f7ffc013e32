"""Operations that move elements without changing them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad._declare import op, unary
from minigrad._op import Array, Size

# ---- what the engine itself computes with ----------------------------------------------------------------------------


@op(function=False, method=False, self=lambda xp, grad, self_shape: xp.expand(grad, self_shape))
def sum_to_size(self: Array, size: Size) -> Array:
    """The sum over what broadcasting `size` to the tensor's shape repeated."""
    lead = self.ndim - len(size)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(size) if n == 1 and self.shape[i + lead] != 1)
    return np.add.reduce(self, axis=axes, keepdims=True).reshape(size)


@op(function=False, method=False, node="ToCopyBackward0", self=lambda xp, grad, self_dtype: xp.cast(grad, self_dtype))
def cast(self: Array, dtype: Any) -> Array:
    """The elements as another type; the real part of complex ones, if that is real."""
    return (self.real if self.dtype.kind == "c" and dtype.kind != "c" else self).astype(dtype)


unary(
    "conj", lambda self: np.conj(self) if self.dtype.kind == "c" else self, lambda xp, grad: xp.conj(grad),
    promote="keep", inplace=False, holomorphic=False,
)  # fmt: skip


@op(function=False, method=False, self=lambda xp, grad, indices, self_shape: xp.put_part(grad, indices, self_shape))
def take_part(self: Array, indices: Any) -> Array:
    """The elements at flat indices."""
    return np.reshape(self, -1)[indices]


@op(function=False, method=False, self=lambda xp, grad, indices: xp.take_part(grad, indices))
def put_part(self: Array, indices: Any, shape: Any) -> Array:
    """Zeros of a shape, with elements added at flat indices."""
    result = np.zeros(shape, self.dtype)
    np.add.at(result.reshape(-1), indices, self)
    return result


@op(
    function=False,
    method=False,
    self=lambda xp, grad, indices, part_shape: xp.set_part(grad, indices, xp.zeros(part_shape, grad)),
    part=lambda xp, grad, indices: xp.take_part(grad, indices),
)
def set_part(self: Array, indices: Any, part: Array) -> Array:
    """The tensor with the elements at flat indices replaced."""
    result = np.array(self)
    result.reshape(-1)[indices] = part
    return result


@op(name="zeros", function=False, method=False)
def zeros_as(shape: Any, like: Array) -> Array:
    """Zeros of a shape, of another tensor's type: what formulas make them with."""
    return np.zeros(shape, like.dtype)


# ---- shapes ----------------------------------------------------------------------------------------------------------


@op(view=True, self=lambda xp, grad, self_shape: xp.sum_to_size(grad, self_shape))
def expand(self: Array, size: Size) -> Array:
    if self.ndim == 0:
        return np.ndarray(size, self.dtype, np.asarray(self), 0, (0,) * len(size))
    return np.broadcast_to(self, size)


@op(view=True, node="ViewBackward0", self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))
def reshape(self: Array, shape: Size) -> Array:
    return np.reshape(self, shape)


@op(self=lambda grad: grad)
def clone(self: Array, *, memory_format: Any = None) -> Array:
    return np.array(self)
