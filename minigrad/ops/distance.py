"""Norms and distances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite, op
from minigrad._op import RECORDED, Array, Dims
from minigrad.ops.reduction import axes, need_elements, restore, widened

# ---- norms -----------------------------------------------------------------------------------------------------------


def norm_vjp(xp: Any, grad: Any, self: Any, result: Any, p: float, dim: Dims, keepdim: bool) -> Any:
    """The gradient of a p-norm; zero where the norm is not differentiable at zero, as torch has it."""
    grad, norm = (restore(xp, each, self.shape, dim, keepdim) for each in (grad, result))
    if p == 0:
        return None
    if p == 1:
        return xp.sgn(self) * grad
    if p == 2:
        return grad * xp.where(norm == 0, 0, self / norm)
    size = xp.abs(self)
    if math.isinf(p):
        mask = (size == norm) | (size != size)
        return xp.sgn(self) * (grad / xp.sum(mask, dim, True) * mask)
    if p < 1:
        return xp.sgn(self) * xp.where(self == 0, 0, size ** (p - 1)) * grad * norm ** (1 - p)
    scaled = xp.sgn(self) * size ** (p - 1) if p < 2 else self * size ** (p - 2)
    return scaled * xp.where(norm == 0, 0, grad / norm ** (p - 1))


@op(
    "linalg.vector_norm", holomorphic=False, node="LinalgVectorNormBackward0",
    self=lambda xp, grad, self, result, ord, dim, keepdim: norm_vjp(xp, grad, self, result, ord, dim, keepdim),
)  # fmt: skip
def vector_norm(self: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    if self.dtype.kind not in "fc":
        name = _dtype.from_numpy(self.dtype).legacy_name
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {name}")
    if dtype is not None:
        self = self.astype(_dtype.as_numpy(dtype, "linalg_vector_norm"))
    size, axis = np.abs(widened(self)), axes(dim, self.ndim)
    if ord == math.inf:
        found = np.maximum.reduce(size, axis=axis, keepdims=keepdim)
    elif ord == -math.inf:
        found = np.minimum.reduce(size, axis=axis, keepdims=keepdim)
    elif ord == 0:
        found = np.add.reduce(size != 0, axis=axis, keepdims=keepdim, dtype=size.dtype)
    elif ord == 1:
        found = np.add.reduce(size, axis=axis, keepdims=keepdim)
    elif ord == 2:
        found = np.sqrt(np.add.reduce(size * size, axis=axis, keepdims=keepdim))
    else:
        found = np.add.reduce(size**ord, axis=axis, keepdims=keepdim) ** (1.0 / ord)
    return found.astype(self.real.dtype, copy=False)


@composite
def norm(self: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None) -> Any:
    """A vector norm of the elements along `dim` (all by default); with p="nuc" the nuclear norm of matrices."""
    if p == "nuc":
        return RECORDED.linalg_matrix_norm(self, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    order = 2.0 if p in ("fro", None) else p
    return vector_norm(self, order, dim, keepdim, dtype=dtype, **({} if out is None else {"out": out}))
