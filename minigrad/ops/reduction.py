"""Operations that combine elements along dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad._declare import op
from minigrad._op import Array, Dims, Size


def spread(xp: Any, grad: Any, shape: Size, dim: Dims, keepdim: bool) -> Any:
    """A reduced gradient, expanded to the shape that was reduced."""
    if not keepdim and dim is not None:
        axes = {d % len(shape) for d in ((dim,) if isinstance(dim, int) else dim)} if shape else set()
        grad = xp.reshape(grad, tuple(1 if i in axes else n for i, n in enumerate(shape)))
    return xp.expand(grad, shape)


@op(
    self=lambda xp, grad, self_shape, dim, keepdim: spread(xp, grad, self_shape, dim, keepdim),
    node=lambda dim: "SumBackward0" if dim is None else "SumBackward1",
)
def sum(self: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    return np.add.reduce(self, axis=dim, keepdims=keepdim)
