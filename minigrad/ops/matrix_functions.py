"""Functions of matrices that are products of them: powers, exponential, chains, Kronecker and cross products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._declare import composite, op
from minigrad._device import contiguous_format
from minigrad._dims import wrap_dim
from minigrad._op import RECORDED as F
from minigrad._op import Array
from minigrad._tensor import Tensor, make
from minigrad._warning import warn_once
from minigrad.ops import _matrices as m
from minigrad.ops._checks import check_same_kind, expect_continuous, expect_same_kind, kind, refuse_kinds
from minigrad.ops._matrices import adjoint, check_square, check_type
from minigrad.ops.linalg import refuse_singular

# ---- powers and exponential ------------------------------------------------------------------------------------------


@composite(name="linalg.matrix_power", aliases=["matrix_power"])
def matrix_power(A: Tensor, n: int) -> Tensor:
    """The n-th power of each square matrix of a batch, of the inverse for a negative n."""
    if not isinstance(n, int):
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    check_square(A, "linalg.matrix_power")
    if n == 0:
        eye = np.broadcast_to(np.eye(A.shape[-1], dtype=A._data.dtype), A.shape)
        return A.clone(memory_format=contiguous_format).copy_(make(eye, None))
    if n < 0:
        A, n = F.linalg_inv(A), -n
        if n == 1:
            return A
    if n == 1:
        return A.clone(memory_format=contiguous_format)
    if n == 3:
        return F.matmul(F.matmul(A, A), A)
    result, square = None, A
    while n > 1:
        if n % 2:
            result = square if result is None else F.matmul(result, square)
        n, square = n // 2, F.matmul(square, square)
    return square if result is None else F.matmul(result, square)


def _matrix_exp_vjp(xp: Any, grad: Any, self: Any) -> Any:
    """The derivative in a direction stands beside the diagonal of the exponential of a matrix twice as large."""
    Ah, n = adjoint(xp, self), self.shape[-1]
    above = xp.cat([Ah, grad], -1)
    below = xp.cat([xp.zeros(self.shape, self), Ah], -1)
    return xp.linalg_matrix_exp(xp.cat([above, below], -2))[..., :n, n:]


@op("linalg.matrix_exp", aliases=["matrix_exp"], holomorphic=False, self=_matrix_exp_vjp)
def matrix_exp(self: Array) -> Array:
    check_square(self, "linalg.matrix_exp")
    if self.dtype.kind not in "fc":
        check_type(self, "linalg.matrix_exp")
    if self.dtype.itemsize == 2:
        return matrix_exp_of(self.astype(np.float32)).astype(self.dtype)
    return matrix_exp_of(self)


def matrix_exp_of(A: Array) -> Array:
    """By its power series for A / 2^s, whose norm is below 1, squared s times."""
    norms = np.abs(A).sum(-2).max(-1, initial=0)
    with np.errstate(all="ignore"):
        halvings = np.where(np.isfinite(norms) & (norms > 1), np.ceil(np.log2(np.maximum(norms, 1))), 0).astype(int)
    scaled = A / (2.0 ** halvings[..., None, None]).astype(A.real.dtype)
    eye = np.eye(A.shape[-1], dtype=A.dtype)
    result = np.broadcast_to(eye, A.shape)
    for k in range(20, 0, -1):
        result = eye + scaled @ result / k
    for done in range(halvings.max(initial=0)):
        result = np.where((halvings > done)[..., None, None], result @ result, result)
    return result


# ---- chains of products ----------------------------------------------------------------------------------------------


@composite(name="linalg.multi_dot")
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices in the order that is cheapest; the first and the last may be vectors."""
    count = len(tensors)
    if count < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {count}")
    first, *middle, last = tensors
    for which, each in (("first", first), ("last", last)):
        if each.ndim not in (1, 2):
            raise RuntimeError(f"multi_dot(): the {which} tensor must be 1D or 2D but got {each.ndim}D")
    for i, each in enumerate(middle, 1):
        if each.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {each.ndim}D")
    shape = [*(first.shape[:1] if first.ndim == 2 else ()), *(last.shape[1:])]
    chain = [
        F.unsqueeze(first, 0) if first.ndim == 1 else first,
        *middle,
        F.unsqueeze(last, -1) if last.ndim == 1 else last,
    ]
    for i, each in enumerate(tensors):
        if each.dtype is not first.dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {first.dtype.cpp_name} and"
                f" tensor {i} {each.dtype.cpp_name}"
            )
    for i, (a, b) in enumerate(itertools.pairwise(chain)):
        if a.shape[-1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(tensors[i].shape)} and"
                f" {list(tensors[i + 1].shape)} cannot be multiplied"
            )
    return F.view(_multiplied(chain, _splits([each.shape for each in chain]), 0, count - 1), shape)


def _splits(shapes: Sequence[Sequence[int]]) -> dict[tuple[int, int], int]:
    """For each part of the chain, after which matrix to split it so that multiplying takes the fewest steps."""
    sizes = [shapes[0][0], *(shape[1] for shape in shapes)]
    if len(shapes) == 3:  # of two ways that cost the same torch takes the other one here
        a, b, c, d = sizes
        return {(0, 2): 0 if a * c * (b + d) > b * d * (a + c) else 1, (0, 1): 0, (1, 2): 1}
    cost = {(i, i): 0 for i in range(len(shapes))}
    best: dict[tuple[int, int], int] = {}
    for length in range(1, len(shapes)):
        for i in range(len(shapes) - length):
            j = i + length
            options = [cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i, j] = min(options)
            best[i, j] = i + options.index(cost[i, j])
    return best


def _multiplied(chain: Sequence[Tensor], best: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return chain[i]
    k = best[i, j]
    return F.mm(_multiplied(chain, best, i, k), _multiplied(chain, best, k + 1, j))


@composite(method=False)
def chain_matmul(*matrices: Tensor) -> Tensor:
    """`linalg.multi_dot` of matrices as `torch.chain_matmul`."""
    warn_once(
        "torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot"
        " instead, which accepts a list of two or more tensors rather than multiple parameters."
    )
    for each in matrices:
        if each.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {each.ndim}, expected 2 instead.")
    return F.clone(matrices[0]) if len(matrices) == 1 else multi_dot(matrices)


@composite
def kron(self: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of one tensor times all of the other, in the place of that element."""
    self.materialize(), other.materialize()  # whose memory the product keeps
    rank = max(self.ndim, other.ndim)
    a = (1,) * (rank - self.ndim) + tuple(self.shape)
    b = (1,) * (rank - other.ndim) + tuple(other.shape)
    product = F.mul(
        F._unsafe_view(self, tuple(itertools.chain(*((n, 1) for n in a)))),
        F._unsafe_view(other, tuple(itertools.chain(*((1, n) for n in b)))),
    )
    return F._unsafe_view(product, tuple(x * y for x, y in zip(a, b, strict=True)))


@composite(name="linalg.vecdot")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The dot products of vectors along a dimension; the first is conjugated."""
    expect_continuous("linalg.vecdot", x)
    check_same_kind("linalg.vecdot", x, y, ("x", "y"))
    if x.ndim == y.ndim == 1:
        return F.vdot(x, y)
    return F.sum(F.mul(F.conj(x) if x.dtype.is_complex else x, y), (dim,))


# ---- cross product ---------------------------------------------------------------------------------------------------


@op("linalg.cross", holomorphic=False,
    self=lambda xp, grad, other, dim: xp.linalg_cross(xp.conj(other), grad, dim=dim),
    other=lambda xp, grad, self, dim: xp.linalg_cross(grad, xp.conj(self), dim=dim))  # fmt: skip
def cross(self: Array, other: Array, *, dim: int = -1) -> Array:
    if self.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    place = wrap_dim(dim, self.ndim)
    if self.shape[place] != 3 or other.shape[place] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {self.shape[place]} and {other.shape[place]}"
        )
    m.broadcast_batches(self.shape, other.shape)
    expect_same_kind(self, other)
    refuse_kinds("cross", self, "b")
    return np.ascontiguousarray(np.cross(self, other, axis=place))


@composite(name="cross")
def torch_cross(self: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """`linalg.cross` as `torch.cross`: along the first dimension of size 3 unless one is given."""
    if dim is None:
        warn_once(
            "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass the dim explicitly or"
            " simply use torch.linalg.cross.\nThe default value of dim will change to agree with that of linalg.cross"
            " in a future release."
        )
        dim = next((i for i, n in enumerate(self.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return F.linalg_cross(self, other, dim=dim)


# ---- the rest of torch.linalg ----------------------------------------------------------------------------------------


@composite(name="linalg.diagonal")
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of each matrix: `torch.diagonal` along the last two dimensions."""
    return F.diagonal(A, offset, dim1, dim2)


@composite(name="linalg.matmul")
def linalg_matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`torch.matmul`."""
    return F.matmul(input, other, out=out)


@composite(name="linalg.vander")
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each element, in a new last dimension: (…, n) -> (…, n, N)."""
    if x._data.dtype.kind not in "fcui" or x._data.dtype.itemsize == 2 and x._data.dtype.kind == "f":
        raise RuntimeError(f"linalg.vander supports floating point, complex, and integer tensors, but got {kind(x)}")
    count = (x.shape[-1] if x.ndim else 1) if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = F.cumprod(F.expand(F.unsqueeze(x, -1), (*x.shape, count - 1)), -1)
    return F.cat([make(np.ones((*x.shape, 1), powers._data.dtype), None), powers], -1)


@composite(name="vander", method=False)
def torch_vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """`linalg.vander` of a vector as `torch.vander`: the highest power first unless `increasing`."""
    if x._data.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    powers = make(np.empty((x.shape[0], count), F.cumprod(x[:0], 0)._data.dtype), None)
    if count:
        powers[:, 0].fill_(1)
    if count > 1:  # as in torch: the second write is behind the back of cumprod's backward, which therefore refuses
        powers[:, 1:].copy_(x.unsqueeze(1))
        powers[:, 1:].copy_(powers[:, 1:].cumprod(1))
    return powers if increasing else F.flip(powers, (1,))


@composite(name="linalg.tensorinv")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of the map that tensordot with `ind` dimensions of A is."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    outer, inner = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    rows, columns = math.prod(outer), math.prod(inner)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got"
            f" {columns} != {rows}"
        )
    inverse, info = F.linalg_inv_ex(F.reshape(A, (columns, rows)))
    if info._data:
        refuse_singular("inv", info._data)
    return F.reshape(inverse, (*inner, *outer))


@composite(name="linalg.tensorsolve")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """The X whose tensordot with A is B; the dimensions `dims` of A are first moved to its end."""
    if dims is not None:
        A = F.movedim(A, tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    rows, columns = math.prod(A.shape[: B.ndim]), math.prod(shape)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]),"
            f" but got {columns} != {rows}"
        )
    flat = B if B.ndim == 1 else F.reshape(B, (rows,))
    return F.reshape(F.linalg_solve(F.reshape(A, (rows, columns)), flat), shape)
