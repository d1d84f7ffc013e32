"""Products of vectors and matrices: one operation per combination of ranks, and what torch composes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._apply import store_out
from minigrad._declare import composite, op
from minigrad._dims import wrap_dims
from minigrad._dtype import from_numpy, promote
from minigrad._layout import laid_as
from minigrad._op import OPS, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor
from minigrad.ops._checks import expect_same_factors, expect_same_kind, kind
from minigrad.ops._matrices import broadcast_batches

_PRODUCTS = frozenset("fdFDbBhilq")  # the types that np.matmul multiplies as torch does


def _dot(first: Array, second: Array, kernel: str) -> Array:
    """np.matmul, except for types that torch treats otherwise: it refuses bool and adds up half precision in single."""
    if first.dtype.char in _PRODUCTS:
        return np.matmul(first, second)
    if first.dtype.kind == "b":
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")
    return np.matmul(first.astype(np.float32), second.astype(np.float32)).astype(first.dtype)


def _scaled(self: Array, product: Array, beta: Any, alpha: Any) -> Array:
    """beta * self + alpha * product, in the product's memory; self is not looked at where beta is 0."""
    if product.dtype.kind in "iu":
        beta, alpha = int(beta), int(alpha)
    product = product if alpha == 1 else product * product.dtype.type(alpha)
    if beta == 0:
        return product
    return np.add(product, self if beta == 1 else self * product.dtype.type(beta), out=product)


def _check_expands(self: Array, shape: tuple[int, ...]) -> None:
    """Torch's error unless something broadcasts to the shape of the product that it is added to."""
    if self.shape != shape and self.shape != shape[-1:]:
        OPS["expand"].forward(self, shape)


def _plain(*arrays: Array) -> list[str]:
    return [from_numpy(each.dtype).cpp_name for each in arrays]


# ---- one operation per combination of ranks --------------------------------------------------------------------------


def _check_mm(self: Array, mat2: Array) -> None:
    for name, each in (("self", self), ("mat2", mat2)):
        if each.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    (n, k), (m, p) = self.shape, mat2.shape
    if k != m:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({n}x{k} and {m}x{p})")
    expect_same_factors(self, mat2)


def _mm(self: Array, mat2: Array) -> Array:
    _check_mm(self, mat2)
    return _dot(self, mat2, "addmm_impl_cpu_")


def _first_gradient(grad: Any, mat2: Any, strides: tuple[int, ...]) -> Any:
    """The gradient of the first factor, in its own memory layout."""
    return (mat2 @ grad.mT).mT if strides[0] < strides[1] else grad @ mat2.mT


def _second_gradient(grad: Any, mat1: Any, strides: tuple[int, ...]) -> Any:
    """The gradient of the second factor, in its own memory layout: then that of a transposed leaf needs no copy."""
    return (grad.mT @ mat1).mT if strides[0] < strides[1] else mat1.mT @ grad


op("mm", quick=_mm, self=lambda grad, mat2, self_strides: _first_gradient(grad, mat2, self_strides),
   mat2=lambda grad, self, mat2_strides: _second_gradient(grad, self, mat2_strides))(_mm)  # fmt: skip


def _check_mv(self: Array, mat: Array, vec: Array) -> None:
    if mat.ndim != 2 or vec.ndim != 1 or self.ndim > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {self.ndim}, {mat.ndim}, {vec.ndim}")
    (n, k), m = mat.shape, vec.shape[0]
    if k != m or self.ndim and self.shape[0] not in (1, n):
        raise RuntimeError(f"size mismatch, got input ({self.size if self.ndim else n}), mat ({n}x{k}), vec ({m})")
    if not self.dtype == mat.dtype == vec.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {kind(self)}, {kind(mat)}, and {kind(vec)}"
        )


def _mv(self: Array, vec: Array) -> Array:
    _check_mv(np.empty(self.shape[0] if self.ndim == 2 else 1, vec.dtype), self, vec)
    return _dot(self, vec, "addmv_impl_cpu")


op("mv", quick=_mv, self=lambda xp, grad, vec: xp.outer(grad, vec), vec=lambda grad, self: self.mT @ grad)(_mv)


def _bmm(self: Array, mat2: Array) -> Array:
    return _batch_product(self, mat2, "bmm")


op("bmm", quick=_bmm, self=lambda grad, mat2: grad @ mat2.mT, mat2=lambda grad, self: self.mT @ grad)(_bmm)


def _batch_product(batch1: Array, batch2: Array, kernel: str) -> Array:
    """The products of matrices; where there is nothing to multiply torch does not compare the types, and takes the
    second's."""
    for name, each in (("batch1", batch1), ("batch2", batch2)):
        if each.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    wanted, given = [batch1.shape[0], batch1.shape[2]], list(batch2.shape[:2])
    if wanted != given:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: {wanted} but got: {given}.")
    if batch1.size and batch2.size:
        expect_same_kind(batch1, batch2)
    elif batch1.dtype != batch2.dtype:
        batch1 = batch1.astype(batch2.dtype)
    return _dot(batch1, batch2, kernel)


def _check_dot(self: Array, other: Array) -> None:
    if self.ndim != 1 or other.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {self.ndim}D and {other.ndim}D tensors")
    if self.dtype != other.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {kind(self)} and {kind(other)}")
    n, m = self.size, other.size
    if n != m:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{n}] and src [{m}] to have the same number of elements, but"
            f" got {n} and {m} elements respectively"
        )


def _inner(self: Array, tensor: Array) -> Array:
    _check_dot(self, tensor)
    return _dot(self, tensor, "dot")


op("dot", quick=_inner, self=lambda grad, tensor: grad * tensor, tensor=lambda grad, self: grad * self)(_inner)


@op(holomorphic=False, self=lambda xp, grad, other: xp.conj(grad) * other, other=lambda grad, self: grad * self)
def vdot(self: Array, other: Array) -> Array:
    _check_dot(self, other)
    return _dot(self.conj(), other, "dot")


@composite(raw=np.multiply.outer, aliases=["ger"])
def outer(self: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of another: (n), (m) -> (n, m)."""
    for name, each in (("self", self), ("vec2", vec2)):
        if each.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {each.ndim}-D")
    return F.mul(F.reshape(self, (self.shape[0], 1)), vec2)


def _trace_grad(xp: Any, grad: Any, shape: tuple[int, int]) -> Any:
    count = min(shape)
    return xp.diagonal_backward(xp.expand(xp.reshape(grad, (1,)), (count,)), shape, 0, 0, 1)


@op(self=lambda xp, grad, self_shape: _trace_grad(xp, grad, self_shape))
def trace(self: Array) -> Array:
    if self.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {self.ndim}")
    if self.dtype.kind == "b":
        raise NotImplementedError("\"trace\" not implemented for 'Bool'")
    return np.asarray(np.trace(self, dtype=np.int64 if self.dtype.kind in "iu" else self.dtype))


# ---- products added to something -------------------------------------------------------------------------------------


def _times(value: Any, number: Any) -> Any:
    return value if number == 1 else value * number


@op(inplace=True,
    self=lambda grad, beta: _times(grad, beta),
    mat1=lambda grad, mat2, alpha: _times(grad @ mat2.mT, alpha),
    mat2=lambda grad, mat1, alpha, mat2_strides: _times(_second_gradient(grad, mat1, mat2_strides), alpha))  # fmt: skip
def addmm(self: Array, mat1: Array, mat2: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    if mat1.ndim == mat2.ndim == 2:
        _check_expands(self, (mat1.shape[0], mat2.shape[1]))
    _check_addmm(self, mat1, mat2)
    return _scaled(self, _dot(mat1, mat2, "addmm_impl_cpu_"), beta, alpha)


def _check_added_types(self: Array, mat1: Array, mat2: Array) -> None:
    for name, each in (("self", self), ("mat1", mat1)):
        if each.dtype != mat2.dtype:
            raise RuntimeError(f"{name} and mat2 must have the same dtype, but got {kind(each)} and {kind(mat2)}")


def _check_addmm(self: Array, mat1: Array, mat2: Array) -> None:
    _check_added_types(self, mat1, mat2)
    for name, each in (("mat1", mat1), ("mat2", mat2)):
        if each.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {each.ndim}-D tensor")
    _check_mm(mat1, mat2)


@op(inplace=True,
    self=lambda grad, beta: _times(grad, beta),
    mat=lambda xp, grad, vec, alpha: _times(xp.outer(grad, vec), alpha),
    vec=lambda grad, mat, alpha: _times(mat.mT @ grad, alpha))  # fmt: skip
def addmv(self: Array, mat: Array, vec: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    _check_mv(self, mat, vec)
    return _scaled(self, _dot(mat, vec, "addmv_impl_cpu"), beta, alpha)


# Nothing is promoted: a `self` without dimensions counts as what it expands to, and the vectors are saved as given.
@op(inplace=True,
    self=lambda grad, beta: _times(grad, beta),
    vec1=lambda xp, grad, vec2, alpha: _times(xp.mv(grad, vec2), alpha),
    vec2=lambda xp, grad, vec1, alpha: _times(xp.mv(grad.mT, vec1), alpha))  # fmt: skip
def addr(self: Array, vec1: Array, vec2: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    for name, each in (("vec1", vec1), ("vec2", vec2)):
        if each.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {each.ndim}-D")
    _check_expands(self, (vec1.size, vec2.size))
    dtype = promote(promote(self.dtype, vec1.dtype), vec2.dtype)
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if dtype.kind in "biu" and isinstance(factor, float):
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")
    product = np.multiply.outer(vec1.astype(dtype, copy=False), vec2.astype(dtype, copy=False))
    return laid_as(_scaled(self.astype(dtype, copy=False), product, beta, alpha), self, vec1[:, None], vec2)


@op(inplace=True,
    self=lambda grad, beta: _times(grad, beta),
    batch1=lambda grad, batch2, alpha: _times(grad @ batch2.mT, alpha),
    batch2=lambda grad, batch1, alpha: _times(batch1.mT @ grad, alpha))  # fmt: skip
def baddbmm(self: Array, batch1: Array, batch2: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    if batch1.ndim >= 2 and batch2.ndim >= 1:
        _check_expands(self, (*batch1.shape[:2], batch2.shape[-1]))
    if self.dtype != batch1.dtype:
        a, b, c = _plain(self, batch1, batch2)
        raise RuntimeError(f"Input dtypes must be the same, got: input {a}, batch1: {b}, batch2: {c}")
    product = _batch_product(batch1, batch2, "baddbmm")
    return _scaled(self.astype(product.dtype, copy=False), product, beta, alpha)


@op(inplace=True,
    self=lambda grad, beta: _times(grad, beta),
    batch1=lambda grad, batch2, alpha: _times(grad @ batch2.mT, alpha),
    batch2=lambda grad, batch1, alpha: _times(batch1.mT @ grad, alpha))  # fmt: skip
def addbmm(self: Array, batch1: Array, batch2: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    if batch1.ndim >= 2 and batch2.ndim >= 1:
        _check_expands(self, (batch1.shape[1], batch2.shape[-1]))
    _check_added_types(self, batch1, batch2)
    for name, each in (("batch1", batch1), ("batch2", batch2)):
        if each.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    (count, n, k), (other, l, p) = batch1.shape, batch2.shape
    if count != other:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {count} and {other}")
    if k != l:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({n}x{k} and {l}x{p})")
    product = np.add.reduce(_dot(batch1, batch2, "addmm_impl_cpu_"), axis=0, dtype=batch1.dtype)
    return _scaled(self, product, beta, alpha)


# ---- matmul: any ranks -----------------------------------------------------------------------------------------------


@composite(raw=np.matmul)
def matmul(self: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two vectors, matrices or batches of matrices; the batches broadcast.

    (n) and (n) give a 0-d tensor; a vector beside matrices is taken as a row on the left, a column on the right, and
    its dimension left out of the result. RuntimeError where shapes or types do not go together.
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"matmul(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    if out is not None:
        return _stored(self, other, out)
    ranks = self._data.ndim, other._data.ndim
    if ranks == (2, 2):
        return F.mm(self, other)
    if ranks == (1, 1):
        return F.dot(self, other)
    if ranks == (2, 1):
        return F.mv(self, other)
    if not all(ranks):
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {ranks[0]}D and {ranks[1]}D")
    if ranks == (1, 2):
        return F.squeeze__dim(F.mm(F.unsqueeze(self, 0), other), 0)
    return _folded(self, other) if _should_fold(self, other) else _batched(self, other)


def _stored(self: Tensor, other: Tensor, out: Tensor) -> Tensor:
    if (self.ndim, other.ndim) != (1, 2):
        return store_out("matmul", out, matmul(self, other), (self, other))
    row = F.mm(F.unsqueeze(self, 0), other)  # torch makes `out` a row first, and says so
    return store_out("matmul", out, row, (self, other)).squeeze_(0)


def _should_fold(first: Tensor, second: Tensor) -> bool:
    """Whether to make one product of a batch and one matrix, which saves a copy of the matrix per batch element."""
    if max(first.ndim, second.ndim) < 3 or min(first.ndim, second.ndim) > 2:
        return False
    batch, matrix = (first, second) if first.ndim > second.ndim else (second.mT, first)
    if matrix.requires_grad:
        return True
    if first.ndim == 2:
        return False
    strides = batch.stride()
    return not batch.numel() or all(strides[i] == strides[i + 1] * batch.shape[i + 1] for i in range(batch.ndim - 2))


def _folded(first: Tensor, second: Tensor) -> Tensor:
    turned = second.ndim > first.ndim
    batch = F.transpose(second, -2, -1) if turned else first
    matrix = second if not turned else F.t(first) if first.ndim == 2 else first
    *lead, size = batch.shape
    flat = F.reshape(batch, (math.prod(lead), size))
    if matrix.ndim == 1:
        return F._unsafe_view(F.mv(flat, matrix), tuple(lead))
    result = F._unsafe_view(F.mm(flat, matrix), (*lead, matrix.shape[1]))
    return F.contiguous(F.transpose(result, -2, -1)) if turned else result


def _batched(first: Tensor, second: Tensor) -> Tensor:
    a, b = first._data.shape, second._data.shape
    if len(a) == len(b) == 3 and a[0] != b[0]:
        if a[0] == 1 and first.requires_grad:
            return matmul(F.squeeze(first, 0), second)
        if b[0] == 1 and second.requires_grad:
            return matmul(first, F.squeeze(second, 0))
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    lead = a[:-2] if a[:-2] == b[:-2] else broadcast_batches(a[:-2], b[:-2])
    if not columns:
        second = F.unsqueeze(second, 1)
    left, right = (*(rows or (1,)), a[-1]), b[-2:] if columns else (b[-1], 1)
    count = math.prod(lead)
    product = F.bmm(
        F.reshape(F.expand(first, (*lead, *left)), (count, *left)),
        F.reshape(F.expand(second, (*lead, *right)), (count, *right)),
    )
    return F._unsafe_view(product, (*lead, *rows, *columns))


@composite(raw=np.inner)
def inner(self: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimension of both: (…, n), (…', n) -> (…, …'); a 0-d tensor just multiplies."""
    if not self.ndim or not other.ndim:
        return F.mul(self, other)
    if self.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes"
            f" {list(self.shape)} and {list(other.shape)}"
        )
    return _tensordot(self, other, (-1,), (-1,))


@composite(method=False)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over pairs of dimensions: the last `dims` of `a` with the first of `b`, or two lists of them."""
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.numel() > 1 else int(dims.item())
    if isinstance(dims, (tuple, list)):
        dims_a, dims_b = dims
    elif not isinstance(dims, int):
        raise RuntimeError(
            "tensordot expects dims to be int or tuple[list[int], list[int]] or list[list[int]] containing two lists,"
            f" but got dims={dims}"
        )
    elif dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    elif dims > min(a.ndim, b.ndim):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
    else:
        dims_a, dims_b = range(-dims, 0), range(dims)
    return _tensordot(a, b, dims_a, dims_b)


def _tensordot(a: Tensor, b: Tensor, dims_a: Sequence[int], dims_b: Sequence[int]) -> Tensor:
    for each in (dims_a, dims_b):
        if isinstance(each, int):
            raise TypeError("tensordot(): argument 'dims_self' (position 3) must be tuple of ints, not int")
    if len(dims_a) != len(dims_b):
        raise RuntimeError("both dimension lists should have same length")
    if a.dtype is not b.dtype:
        raise RuntimeError("both inputs should have same dtype")
    places_a = wrap_dims(dims_a, a.ndim) if dims_a else ()
    places_b = wrap_dims(dims_b, b.ndim) if dims_b else ()
    for i, j, dim_a, dim_b in zip(places_a, places_b, dims_a, dims_b, strict=True):
        m, n = a.shape[i], b.shape[j]
        if n == 1:
            a = F.sum(a, (i,), True, dtype=a.dtype)
        elif m == 1:
            b = F.sum(b, (j,), True, dtype=b.dtype)
        elif m != n:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {dim_a} and second has size {n} in"
                f" dim {dim_b}"
            )
    free_a = [i for i in range(a.ndim) if i not in places_a]
    free_b = [i for i in range(b.ndim) if i not in places_b]
    shape = [a.shape[i] for i in free_a] + [b.shape[i] for i in free_b]
    a, b = F.permute(a, (*free_a, *places_a)), F.permute(b, (*places_b, *free_b))
    inside = math.prod(a.shape[len(free_a) :])
    if a.ndim == b.ndim == 1 and not shape:
        return F.reshape(F.dot(a, b), shape)
    rows = math.prod(a.shape[: len(free_a)])
    columns = math.prod(b.shape[len(places_b) :])
    return F.reshape(F.mm(F.reshape(a, (rows, inside)), F.reshape(b, (inside, columns))), shape)
