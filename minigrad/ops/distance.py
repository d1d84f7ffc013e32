"""Norms and distances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite, op
from minigrad._dims import wrap_dim
from minigrad._modes import no_grad
from minigrad._op import RECORDED, Array, Dims
from minigrad.ops._checks import expect_continuous, expect_same_factors, expect_same_kind, kind, not_implemented
from minigrad.ops._scalar import plus
from minigrad.ops.reduction import add_of, axes, count, minimum_of, restore, widened
from minigrad.ops.shape import broadcast

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


def _empty_error(self: Array, p: float, dim: Dims) -> None:
    """Torch's error for the norm of nothing, where the norm has no neutral element."""
    if self.size or 0 <= p < math.inf:
        return
    start = f"linalg.vector_norm cannot compute the {p:g} norm on"
    if dim is None:
        raise RuntimeError(f"{start} an empty tensor because the operation does not have an identity")
    for each in (dim,) if isinstance(dim, int) else dim:
        if not self.shape[wrap_dim(each, self.ndim)]:
            raise RuntimeError(
                f"{start} the dimension {each}because this dimension is empty and the operation does not have an"
                " identity"
            )


def norm_of(self: Array, p: float, dim: Dims, keepdim: bool) -> Array:
    """The p-norm along dimensions; float16 is computed in float32."""
    size, axis = np.abs(widened(self)), axes(dim, self.ndim)

    def reduced(ufunc: np.ufunc, array: Array) -> Array:
        return ufunc.reduce(array, axis=axis, keepdims=keepdim, initial=0)

    if p == -math.inf:
        found = minimum_of(size, axis=axis, keepdims=keepdim)
    elif p == math.inf:
        found = reduced(np.maximum, size)
    elif p == 0:
        found = reduced(np.add, (size != 0).astype(size.dtype))
    elif p == 1 or count(size.shape, dim) == 1:
        found = reduced(np.add, size)  # which the norm of one number is for each p
    elif p == 2:
        found = np.sqrt(reduced(np.add, size * size))
    else:
        found = reduced(np.add, size**p) ** (1.0 / p)
    return found.astype(self.real.dtype, copy=False)


@op(
    "linalg.vector_norm", holomorphic=False, in_order=True,
    self=lambda xp, grad, self, result, ord, dim, keepdim: norm_vjp(xp, grad, self, result, ord, dim, keepdim),
)  # fmt: skip
def vector_norm(self: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    expect_continuous("linalg.vector_norm", self)
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    if dtype is not None:
        wanted = _dtype.as_numpy(dtype, "linalg_vector_norm")
        if wanted.kind not in "fc":
            raise RuntimeError(f"linalg.vector_norm: dtype should be floating point or complex, but got {kind(wanted)}")
        if wanted.kind != self.dtype.kind:
            what = "real" if self.dtype.kind == "f" else "complex"
            raise RuntimeError(f"linalg.vector_norm: dtype should be {what} for {what} inputs, but got {kind(wanted)}")
        self = self.astype(wanted)
    _empty_error(self, ord, dim)
    return norm_of(self, ord, dim, keepdim)


@composite
def norm(self: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None) -> Any:
    """A vector norm of the elements along `dim` (all by default); with p="nuc" the nuclear norm of matrices."""
    if p == "nuc":
        return RECORDED.linalg_matrix_norm(self, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    order = 2.0 if p in ("fro", None) else p
    if isinstance(order, str):
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    return vector_norm(self, order, dim, keepdim, dtype=dtype, out=out)


@op("norm.dim", function=False, node="NormBackward1", holomorphic=False, in_order=True, self=norm_vjp)
def _norm_dim(self: Array, p: float, dim: Dims, keepdim: bool) -> Array:
    return norm_of(self, p, dim, keepdim)


# ---- distances -------------------------------------------------------------------------------------------------------


def _dist_vjp(xp: Any, grad: Any, self: Any, other: Any, result: Any, p: float) -> Any:
    return norm_vjp(xp, grad, self - other, result, p, None, False)


@op(promote="keep", holomorphic=False, self=_dist_vjp, other=lambda xp, grad, self, other, result, p:
    -_dist_vjp(xp, grad, self, other, result, p) if p != 0 else None)  # fmt: skip
def dist(self: Array, other: Array, p: float = 2) -> Array:
    if self.dtype.kind not in "fc":
        raise RuntimeError(f"norm(): input dtype should be either floating point or complex. Got {kind(self)} instead.")
    return norm_of(self - other, p, None, False)


@composite(method=False, aliases=["nn.functional.pairwise_distance"])
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    dim = max(x1.dim(), x2.dim()) - 1
    return _norm_dim(plus(x1 - x2, eps), p, (dim,) if dim >= 0 else (), keepdim)


@composite(name="nn.functional.normalize")
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """The tensor divided by its norm along `dim`, or by `eps` where the norm is less."""
    return input / norm(input, p, dim, True).clamp_min(eps).expand_as(input)


@composite(method=False, aliases=["nn.functional.cosine_similarity"])
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`; norms count as `eps` at least."""
    common = _dtype.promote(x1._data.dtype, x2._data.dtype)
    if common.kind not in "fc":
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {kind(common)}")
    first, second = RECORDED.broadcast_tensors(*[x.to(_dtype.from_numpy(common)) for x in (x1, x2)])
    return (_unit(first, dim, eps) * _unit(second, dim, eps)).sum(dim)


def _unit(self: Any, dim: int, eps: float) -> Any:
    size = vector_norm(self, 2, dim, True).clone()
    with no_grad():
        size.clamp_min_(eps)
    return self / size


# Distances between all points of two sets, which lie along the last dimension but one.

_MATRIX_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@composite(method=False)
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = _MATRIX_MODES[0]) -> Any:
    """The p-norm of the difference of each point of x1 (…, P, M) and each of x2 (…, R, M): (…, P, R)."""
    if compute_mode not in _MATRIX_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, each in (("X1", x1), ("X2", x2)):
        if each._data.dtype.kind != "f":
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {kind(each)}")
        if each.dim() < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {each.dim()}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    batch = broadcast(x1.shape[:-2], x2.shape[:-2])
    if tuple(x1.shape[:-2]) != tuple(x2.shape[:-2]):
        x1, x2 = (each.expand(*batch, *each.shape[-2:]) for each in (x1, x2))
    large = compute_mode == _MATRIX_MODES[0] and max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and (large or compute_mode == _MATRIX_MODES[1]) and x1.numel() and x2.numel():
        return _euclidean_dist(x1, x2).view(*batch, x1.shape[-2], x2.shape[-2])
    return _cdist_forward(x1, x2, p)


@op(function=False, node="CdistBackward0",
    x1=lambda xp, grad, x1, x2, result, p: xp._cdist_backward(grad, x1, x2, p, result),
    x2=lambda xp, grad, x1, x2, result, p:
        xp._cdist_backward(xp.transpose(grad, -1, -2), x2, x1, p, xp.transpose(result, -1, -2)))  # fmt: skip
def _cdist_forward(x1: Array, x2: Array, p: float) -> Array:
    if not x1.size or not x2.size:  # then torch looks no further, not at the types either
        return np.zeros((*x1.shape[:-1], x2.shape[-2]), x1.dtype)
    expect_same_kind(x1, x2)
    if x1.dtype.char == "e":
        raise not_implemented("cdist", x1)
    apart = np.subtract(x1[..., :, None, :], x2[..., None, :, :], order="C")  # and so is the result
    if p == 0:
        return add_of(np.minimum(np.ceil(np.abs(apart)), 1), axis=-1)  # nan stays
    if p == math.inf:
        return np.fmax.reduce(np.abs(apart), axis=-1, initial=0)  # nan counts for nothing
    return norm_of(apart, p, -1, False)


def _not_differentiable(xp: Any, grad: Any) -> Any:
    raise NotImplementedError("the derivative for '_cdist_backward' is not implemented.")


@op(function=False, node="CdistBackwardBackward0", grad_output=_not_differentiable, x1=_not_differentiable,
    x2=_not_differentiable, cdist=_not_differentiable)  # fmt: skip
def _cdist_backward(grad_output: Array, x1: Array, x2: Array, p: float, cdist: Array) -> Array:
    """The gradient for x1; as in torch it cannot be differentiated again."""
    apart = x1[..., :, None, :] - x2[..., None, :, :]
    grad, norm, size = grad_output[..., None], cdist[..., None], np.abs(apart)
    if p == 0:
        return np.zeros_like(x1)
    if p == 1:
        parts = grad * np.sign(apart)
    elif math.isinf(p):
        # Where the distance is infinite torch gives nan, by its difference from the largest.
        parts = grad * np.sign(apart) * (1 - np.minimum(1, np.ceil(np.abs(size - norm))))
    else:
        powers = apart if p == 2 else np.where(apart == 0, 0, np.sign(apart) * size ** (p - 1))
        parts = np.where(norm == 0, 0, grad * powers / norm ** (p - 1))
    return add_of(parts, axis=-2)


def _euclidean_vjp(xp: Any, grad: Any, x1: Any, x2: Any, result: Any) -> Any:
    ratio = xp.where(result == 0, 0, grad / result)
    return x1 * xp.sum(ratio, -1, True) - xp.matmul(ratio, x2)


@op(function=False,
    x1=_euclidean_vjp,
    x2=lambda xp, grad, x1, x2, result:
        _euclidean_vjp(xp, xp.transpose(grad, -1, -2), x2, x1, xp.transpose(result, -1, -2)))  # fmt: skip
def _euclidean_dist(x1: Array, x2: Array) -> Array:
    """Distances from one matrix product, as |a|² - 2ab + |b|²: faster for many points, less exact for near ones."""
    (expect_same_kind if x1.ndim > 2 else expect_same_factors)(x1, x2)
    first, second = (add_of(each * each, axis=-1, keepdims=True) for each in (x1, x2))
    left = np.concatenate([x1 * -2, first, np.ones_like(first)], -1)
    right = np.concatenate([x2, np.ones_like(second), second], -1)
    return np.sqrt(np.maximum(np.matmul(left, np.swapaxes(right, -1, -2)), 0))
