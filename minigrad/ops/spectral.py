"""Singular values and eigenvalues, and what is made of them: pseudo-inverse, least squares, rank, norms, condition."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np

from minigrad import return_types
from minigrad._declare import composite, op
from minigrad._dims import wrap_dim
from minigrad._dtype import as_numpy, promote
from minigrad._op import RECORDED as F
from minigrad._op import Array
from minigrad._tensor import Tensor, make
from minigrad._warning import warn_once
from minigrad.ops import _matrices as m
from minigrad.ops._checks import kind, refuse_grad
from minigrad.ops._matrices import LinAlgError, adjoint, check_matrix, check_square, check_type

# ---- singular values -------------------------------------------------------------------------------------------------


def _gaps(xp: Any, values: Any) -> Any:
    """E[i, j] = values[j] - values[i], and 1 on the diagonal."""
    return xp.unsqueeze(values, -2) - xp.unsqueeze(values, -1) + m.constant(values, np.eye(values.shape[-1]))


def _svd_vjp(xp: Any, given: Any, U: Any, S: Any, Vh: Any) -> Any:
    """The columns of U and V that belong to no singular value are arbitrary: their gradients are left out."""
    grad_U, grad_S, grad_Vh = given
    k, rows, columns = S.shape[-1], U.shape[-2], Vh.shape[-1]
    U, Vh = U[..., :, :k], Vh[..., :k, :]
    if grad_U is None and grad_Vh is None:
        return m.column_scaled(xp, U, grad_S) @ Vh
    grad_U = None if grad_U is None else grad_U[..., :, :k]
    grad_Vh = None if grad_Vh is None else grad_Vh[..., :k, :]
    left = None if grad_U is None else adjoint(xp, U) @ grad_U
    right = None if grad_Vh is None else Vh @ adjoint(xp, grad_Vh)
    if m.value(U).dtype.kind == "c":
        both = [np.diagonal(m.value(each), 0, -2, -1) for each in (left, right) if each is not None]
        m.check_phase(sum(both), "svd_backward", "singular vectors", "phase term, making it ill-defined")
    gaps = _gaps(xp, S * S)
    inner = xp.diag_embed(S * 0 if grad_S is None else grad_S)
    if left is not None:
        skew = left - adjoint(xp, left)
        inner = inner + m.column_scaled(xp, skew / gaps, S)
        if right is not None and m.value(U).dtype.kind == "c":
            inner = inner + xp.diag_embed(xp.diagonal(skew, 0, -2, -1) / (2 * S))
    if right is not None:
        inner = inner + m.row_scaled(xp, S, (right - adjoint(xp, right)) / gaps)
    result = U @ inner @ Vh
    if rows > k and grad_U is not None:  # what of grad_U is orthogonal to U
        scaled = grad_U / xp.unsqueeze(S, -2)
        result = result + (scaled - U @ (adjoint(xp, U) @ scaled)) @ Vh
    if columns > k and grad_Vh is not None:
        scaled = grad_Vh / xp.unsqueeze(S, -1)
        result = result + U @ (scaled - (scaled @ adjoint(xp, Vh)) @ Vh)
    return result


def _converged(function: Any, name: str, A: Array, *args: Any) -> Any:
    try:
        return function(A, *args)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix contained non-finite values."
        ) from None


@op("linalg.svd", returns=return_types.linalg_svd, holomorphic=False, A=_svd_vjp)
def linalg_svd(A: Array, full_matrices: bool = True, *, driver: Any = None) -> tuple[Array, Array, Array]:
    check_matrix(A, "linalg.svd")
    check_type(A, "linalg.svd", "linalg_svd_cpu")
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    U, S, Vh = _converged(np.linalg.svd, "linalg.svd", A, full_matrices)
    return m.by_columns(U), S, m.by_columns(Vh)


@composite(name="linalg.svdvals")
def svdvals(A: Tensor, *, driver: Any = None) -> Tensor:
    """The singular values of each matrix of a batch, largest first."""
    return F.linalg_svd(A, False, driver=driver)[1]


@composite
def svd(self: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """U, S, V with self = U diag(S) V^H: `linalg.svd` as `torch.svd`."""
    if self.ndim < 2:
        raise RuntimeError(
            f"linalg.svd: input should have at least 2 dimensions, but has {self.ndim} dimensions instead"
        )
    U, S, Vh = F.linalg_svd(self, not some)
    if compute_uv:
        V = F.transpose(Vh, -2, -1)
        return return_types.svd(U, S, F.conj(V) if V.dtype.is_complex else V)
    zeros = [make(np.zeros((*self.shape[:-2], n, n), self._data.dtype), None) for n in self.shape[-2:]]
    return return_types.svd(zeros[0], S, zeros[1])


# ---- eigenvalues -----------------------------------------------------------------------------------------------------


def _eigh_vjp(xp: Any, given: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    grad, grad_V = given
    V, Vh = eigenvectors, adjoint(xp, eigenvectors)
    if grad_V is None:
        return m.column_scaled(xp, V, grad) @ Vh
    inner = Vh @ grad_V
    if m.value(V).dtype.kind == "c":
        m.check_phase(np.diagonal(m.value(inner), 0, -2, -1), "linalg_eigh_backward", "eigenvectors")
    off = 1 - m.constant(inner, np.eye(inner.shape[-1]))
    inner = 0.5 * (inner - adjoint(xp, inner)) / _gaps(xp, eigenvalues) * off
    if grad is not None:
        inner = inner + xp.diag_embed(grad)
    return V @ inner @ Vh


@op("linalg.eigh", returns=return_types.linalg_eigh, holomorphic=False, A=_eigh_vjp)
def eigh(A: Array, UPLO: str = "L") -> tuple[Array, Array]:
    check_square(A, "linalg.eigh")
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    check_type(A, "", "linalg_eigh_cpu")
    values, vectors = _converged(np.linalg.eigh, "linalg.eigh", A, UPLO)
    return values, m.by_columns(vectors)


@composite(name="linalg.eigvalsh")
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of each symmetric (Hermitian) matrix, smallest first; only one triangle is looked at."""
    return F.linalg_eigh(A, UPLO)[0]


def _eig_vjp(xp: Any, given: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    grad, grad_V = given
    V, Vh = eigenvectors, adjoint(xp, eigenvectors)
    if grad_V is None:
        return xp.linalg_solve(Vh, m.row_scaled(xp, grad, Vh))
    inner = Vh @ grad_V
    diagonal = xp.diagonal(inner, 0, -2, -1)
    m.check_phase(m.value(diagonal), "linalg_eig_backward", "eigenvectors")
    real = (diagonal + xp.conj(diagonal)) / 2
    inner = (inner - m.column_scaled(xp, Vh @ V, real)) / xp.conj(_gaps(xp, eigenvalues))
    off = 1 - m.constant(inner, np.eye(inner.shape[-1]))
    inner = inner * off + xp.diag_embed(diagonal * 0 if grad is None else grad)
    return xp.linalg_solve(Vh, inner @ Vh)


@op("linalg.eig", returns=return_types.linalg_eig, holomorphic=False, A=_eig_vjp)
def eig(A: Array) -> tuple[Array, Array]:
    check_square(A, "linalg.eig")
    if A.dtype.kind not in "fc":
        raise RuntimeError(f"Unknown Complex ScalarType for {kind(A)}")
    check_type(A, "", "linalg_eig_out_cpu")
    if not np.isfinite(A).all():
        raise LinAlgError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    values, vectors = np.linalg.eig(A)
    dtype = np.result_type(A.dtype, np.complex64)
    return values.astype(dtype), m.by_columns(vectors.astype(dtype))


@composite(name="linalg.eigvals")
def eigvals(A: Tensor) -> Tensor:
    """The complex eigenvalues of each matrix of a batch, in no particular order."""
    return F.linalg_eig(A)[0]


# ---- rank, pseudo-inverse, least squares -----------------------------------------------------------------------------


def _cutoff(A: Array, largest: Array, atol: Any, rtol: Any) -> Array:
    """Below which a singular value counts as zero."""
    absolute = np.asarray(0.0 if atol is None else atol)
    if rtol is None:
        default = np.finfo(A.dtype).eps * max(A.shape[-2:])
        relative = np.where(absolute > 0, 0.0, default)
    else:
        relative = np.asarray(rtol)
    return np.asarray(np.maximum(absolute, relative * largest)[..., None], largest.dtype)


def _tolerance(given: Any) -> Any:
    return given._data if isinstance(given, Tensor) else given


def _pinv_vjp(xp: Any, grad: Any, A: Any, result: Any) -> Any:
    P, Ph, grad_h = result, adjoint(xp, result), adjoint(xp, grad)
    if A.shape[-2] <= A.shape[-1]:
        K = grad_h @ P
        right = K @ Ph
        return -adjoint(xp, P @ K) + right - (A @ P) @ right + (Ph @ P) @ (grad_h - K @ A)
    K = P @ grad_h
    left = Ph @ K
    return -adjoint(xp, K @ P) + (grad_h - A @ K) @ P @ Ph + left - (left @ P) @ A


def _pinv(A: Array, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Array:
    if A.ndim < 2 or A.dtype.kind not in "fc" or A.dtype.itemsize == 2:
        raise RuntimeError(
            f"linalg.pinv({kind(A)}{{{list(A.shape)}}}): expected a tensor with 2 or more"
            " dimensions of float, double, cfloat or cdouble types"
        )
    if not A.size:
        return np.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        check_square(A, "linalg.eigh")
        S, U = np.linalg.eigh(A)
        sizes, Vh = np.abs(S), np.conj(U.mT)
    else:
        U, S, Vh = _converged(np.linalg.svd, "linalg.svd", A, False)
        sizes = S
    keep = sizes > _cutoff(A, sizes.max(-1), atol, rtol)
    inverse = np.where(keep, 1 / np.where(keep, S, 1), 0).astype(S.dtype)
    return np.matmul(np.conj(Vh.mT), inverse[..., None] * np.conj(U.mT))


op("linalg._pinv", node="LinalgPinvBackward0", function=False, holomorphic=False, A=_pinv_vjp)(_pinv)


@composite(name="linalg.pinv", raw=_pinv)
def linalg_pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse: (…, m, n) -> (…, n, m). Singular values up to max(atol, rtol * the largest) count as zero."""
    refuse_grad("linalg_pinv", **{k: v for k, v in (("atol", atol), ("rtol", rtol)) if isinstance(v, Tensor)})
    return F.linalg__pinv(A, _tolerance(atol), _tolerance(rtol if rcond is None else rcond), hermitian)


@composite
def pinverse(self: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` as `torch.pinverse`."""
    return F.linalg_pinv(self, rcond)


@composite(name="linalg.matrix_rank")
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values exceed max(atol, rtol * the largest): int64, one per matrix."""
    data = A._data
    if data.ndim < 2:
        raise RuntimeError("torch.linalg.matrix_rank: The input tensor input must have at least 2 dimensions.")
    if data.dtype.kind not in "fc" or data.dtype.itemsize == 2:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if not data.size:
        return make(np.zeros(data.shape[:-2], np.int64), None)
    values = np.abs(np.linalg.eigvalsh(data)) if hermitian else np.linalg.svd(data, compute_uv=False)
    atol, rtol = (tol, 0.0) if tol is not None else (atol, rtol)
    cutoff = _cutoff(data, values.max(-1), _tolerance(atol), _tolerance(rtol))
    return make(np.sum(values > cutoff, -1, dtype=np.int64), None)


def _lstsq_vjps(xp: Any, given: Any, A: Any, B: Any, solution: Any, wrt_A: bool) -> Any:
    """Through the pseudo-inverse, whose product with B the solution is; and through the residuals."""
    grad, grad_residuals, *_ = given
    vector = B.ndim < A.ndim
    if vector:
        B, solution = xp.unsqueeze(B, -1), xp.unsqueeze(solution, -1)
        grad = None if grad is None else xp.unsqueeze(grad, -1)
    result = None  # where neither has elements that a gradient came from, nothing depends on anything
    if grad is not None:
        inverse = xp.linalg_pinv(A)
        result = _pinv_vjp(xp, grad @ adjoint(xp, B), A, inverse) if wrt_A else adjoint(xp, inverse) @ grad
    if grad_residuals is not None and m.value(grad_residuals).size:
        rest = 2 * m.column_scaled(xp, A @ solution - B, grad_residuals)
        part = rest @ adjoint(xp, solution) if wrt_A else -rest
        result = part if result is None else result + part
    return xp.squeeze(result, -1) if vector and not wrt_A and result is not None else result


def _by_qr(A: Array, B: Array) -> Array:
    """The solution where A has full rank, from its orthogonal factor, as LAPACK's gels and gelsy have it."""
    if A.shape[-2] >= A.shape[-1]:
        Q, R = np.linalg.qr(A)
        return m.substitute(R, np.conj(Q.mT) @ B, True, False)
    Q, R = np.linalg.qr(np.conj(A.mT))
    return Q @ m.substitute(np.conj(R.mT), B, False, False)


@op("linalg._lstsq", node="LinalgLstsqBackward0", function=False, returns=return_types.linalg_lstsq, holomorphic=False,
    A=lambda xp, given, A, B, solution: _lstsq_vjps(xp, given, A, B, solution, True),
    B=lambda xp, given, A, B, solution: _lstsq_vjps(xp, given, A, B, solution, False))  # fmt: skip
def _lstsq(A: Array, B: Array, rcond: Any, driver: str) -> tuple[Array, ...]:
    check_lstsq(A, B, driver)
    vector = B.ndim < A.ndim
    right = B[..., None] if vector else B
    lead = m.broadcast_batches(A.shape[:-2], right.shape[:-2])
    (rows, columns), count = A.shape[-2:], right.shape[-1]
    each_A = np.broadcast_to(A, (*lead, rows, columns)).reshape(prod(lead), rows, columns)
    each_B = np.broadcast_to(right, (*lead, rows, count)).reshape(prod(lead), rows, count)
    nothing_to_solve = np.zeros((columns, count)), None, 0, np.zeros(0)
    found = [np.linalg.lstsq(a, b, rcond) if a.size else nothing_to_solve for a, b in zip(each_A, each_B, strict=True)]

    def stacked(parts: list[Any], *shape: int, dtype: Any = A.dtype) -> Array:
        return np.array(parts, dtype).reshape((*lead, *shape))

    nothing = np.empty(0, A.dtype)
    rank = stacked([each[2] for each in found], dtype=np.int64)
    if driver in ("gels", "gelsy") and A.size and (rank == min(rows, columns)).all():
        solution = _by_qr(A, right)
    else:
        solution = stacked([each[0] for each in found], columns, count)
    room = np.empty((*lead, count, max(rows, columns)), A.dtype)  # LAPACK returns it in the place of the right side
    room.mT[..., :columns, :] = solution
    solution = room.mT[..., :columns, :]
    if driver == "gels" and (rank < min(rows, columns)).any():
        raise LinAlgError(
            "torch.linalg.lstsq: The least squares solution could not be computed because the input matrix does not"
            f" have full rank (error code: {int(rank.min()) + 1})."
        )
    full = rows > columns and (rank == columns).all() and driver != "gelsy"
    residuals = np.sum(np.abs(right - A @ solution) ** 2, -2) if full else nothing.real
    values = stacked([each[3] for each in found], min(rows, columns), dtype=A.real.dtype)
    return (
        solution[..., 0] if vector else solution,
        residuals,
        rank if driver != "gels" else np.empty(0, np.int64),
        values if driver in ("gelsd", "gelss") else nothing.real,
    )


def check_lstsq(A: Array, B: Array, driver: str) -> None:
    """Torch's errors for what `linalg.lstsq` cannot solve."""
    name = "torch.linalg.lstsq"
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if B.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype {kind(A)} and other's"
            f" dtype {kind(B)}"
        )
    if A.ndim - B.ndim not in (0, 1):
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    place = -1 if B.ndim < A.ndim else -2
    if A.shape[-2] != B.shape[place]:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({place})")
    check_type(A, "", "linalg_lstsq_cpu")
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")


@composite(name="linalg.lstsq")
def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None) -> Any:
    """The X that makes the norm of A X - B least, the squares of these norms, the rank of A and its singular values.

    As in torch, residuals are there for more rows than columns, full rank and a driver other than "gelsy", which is the
    default; singular values for "gelsd" and "gelss". Every driver solves by numpy's "gelsd".
    """
    solution, residuals, rank, values = F.linalg__lstsq(A, B, rcond, driver or "gelsy")
    return return_types.linalg_lstsq(solution, residuals, rank, values.detach())


# ---- norms -----------------------------------------------------------------------------------------------------------

_INFINITE = (float("inf"), float("-inf"))


def _matrix_dims(A: Tensor, dim: Any) -> tuple[int, int]:
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {', '.join(map(str, dims))}")
    first, second = (wrap_dim(each, A.ndim) for each in dims)
    if first == second:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dims[0]}, {dims[1]})")
    return first, second


@composite(name="linalg.matrix_norm")
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices along two dimensions: "fro", "nuc", or by ord 1, 2, inf and their negatives."""
    check_matrix(A, "linalg.matrix_norm")
    spectral = ord == "nuc" or ord in (2, -2)
    if spectral or A._data.dtype.kind not in "fc":
        check_type(A._data, "linalg.matrix_norm")
    if dtype is not None:
        wanted = as_numpy(dtype, "linalg_matrix_norm")
        if promote(A._data.dtype, wanted) != wanted:
            raise RuntimeError(
                f"linalg.matrix_norm: the dtype of the input ({kind(A)}) should be convertible without"
                f" narrowing to the specified dtype ({dtype.legacy_name})"
            )
        A = A.to(dtype)
    if not (spectral or ord == "fro" or ord in (1, -1, *_INFINITE)):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = _matrix_dims(A, dim)
    if ord == "fro":
        return F.linalg_vector_norm(A, 2, (rows, columns), keepdim)
    if spectral:
        rest = [i for i in range(A.ndim) if i not in (rows, columns)]
        order = (*rest, rows, columns)
        values = F.linalg_svdvals(F.permute(A, order))
        found = F.sum(values, (-1,), keepdim) if ord == "nuc" else _extreme(values, -1, keepdim, ord)
        back = tuple(order.index(i) for i in range(A.ndim))
        return F.permute(F.unsqueeze(found, -1), back) if keepdim else found
    if ord in _INFINITE:
        rows, columns = columns, rows
    sums = F.linalg_vector_norm(A, 1, (rows,), keepdim)
    if columns > rows and not keepdim:
        columns -= 1
    return _extreme(sums, columns, keepdim, ord)


def _extreme(values: Tensor, dim: int, keepdim: bool, ord: float) -> Tensor:
    """The largest (smallest, for a negative ord) of what cannot be negative; 0 is the largest of nothing."""
    if ord > 0 and not values.shape[dim]:
        return make(np.zeros_like(values._data, shape=np.sum(values._data, dim, keepdims=keepdim).shape), None)
    return (F.amax if ord > 0 else F.amin)(values, (dim,), keepdim)


@composite(name="linalg.norm")
def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm along one dimension or of all elements, or a matrix norm along two (see `matrix_norm`)."""
    dims: Sequence[int] | None = (dim,) if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and ord is not None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
        )
    if isinstance(ord, str) or ord is not None and (A.ndim == 2 if dims is None else len(dims) == 2):
        return matrix_norm(A, ord, (0, 1) if dims is None else dims, keepdim, dtype=dtype)
    return F.linalg_vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


@composite(method=False)
def nuclear_norm(self: Tensor, dim: Any = (0, 1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    warn_once(
        "at::nuclear_norm is deprecated and it is just left for JIT compatibility. It will be removed in a future"
        " PyTorch release. Please use `linalg.matrix_norm(A, 'nuc', dim, keepdim)` instead"
    )
    return matrix_norm(self, "nuc", dim, keepdim)


@composite(name="linalg.cond")
def cond(A: Tensor, p: float | Literal["fro", "nuc"] | None = None) -> Tensor:
    """The norm of a matrix times that of its inverse: by singular values for p None, 2 and -2."""
    if A.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if not (p is None or p in ("fro", "nuc", 1, -1, 2, -2, *_INFINITE)):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if not A._data.size:
        return make(np.zeros(A.shape[:-2], A._data.real.dtype), None)
    if p is None or p in (2, -2):
        values = F.linalg_svdvals(A)
        ends = F.slice(values, -1, 0, 1, 1), F.slice(values, -1, -1, None, 1)
        return F.squeeze(F.div(*(ends[::-1] if p == -2 else ends)), -1)
    check_square(A, f"linalg.cond(ord={p})")
    if p == "nuc":
        values = F.linalg_svdvals(A)
        return F.mul(F.sum(values, (-1,)), F.sum(F.reciprocal(values), (-1,)))
    inverse, info = F.linalg_inv_ex(A)
    failed = make((info._data > 0)[..., None, None], None)
    inverse = F.masked_fill(inverse, failed, float("inf"))
    product = F.mul(matrix_norm(A, p), matrix_norm(inverse, p))
    return F.nan_to_num(product, float("inf"), float("inf"), float("-inf"))
