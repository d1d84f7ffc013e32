"""Inverses, determinants, linear systems, and the factorisations that solve them: LU, Cholesky, QR."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad import return_types
from minigrad._declare import composite, op
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor, make
from minigrad._warning import warn_once
from minigrad.ops import _matrices as m
from minigrad.ops._checks import check_same_kind, kind
from minigrad.ops._matrices import LinAlgError, adjoint, check_matrix, check_square, check_type

# ---- inverse ---------------------------------------------------------------------------------------------------------


@op("linalg.inv_ex", returns=return_types.linalg_inv_ex, holomorphic=False,
    A=lambda xp, grad, inverse: -(adjoint(xp, inverse) @ grad @ adjoint(xp, inverse)))  # fmt: skip
def inv_ex(A: Array, *, check_errors: bool = False) -> tuple[Array, Array]:
    check_square(A, "linalg.inv")
    check_type(A, "linalg.inv")
    try:
        return m.by_columns(np.linalg.inv(A)), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = m.zero_pivot(m.lu(A)[0])
        if check_errors and info.any():
            refuse_singular("linalg.inv", info)
        return m.by_columns(m.solve(A, np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape))), info


def refuse_singular(name: str, info: Array) -> None:
    batch, number = m.first_bad(info)
    raise LinAlgError(
        f"{name}: {batch}The diagonal element {number} is zero, the inversion could not be completed because the input"
        " matrix is singular."
    )


@composite(name="linalg.inv", aliases=["inverse"])
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix of a batch: (…, n, n). LinAlgError for a singular one."""
    return F.linalg_inv_ex(A, check_errors=True)[0]


# ---- determinant -----------------------------------------------------------------------------------------------------


def _det_vjp(xp: Any, grad: Any, A: Any, result: Any) -> Any:
    """The gradient is the conjugate of the adjugate's transpose: det times inverse; of a singular matrix by its SVD."""
    if 0 in A.shape or A.shape[-1] == 1:
        return xp.zeros(A.shape, A) if 0 in A.shape else xp.reshape(grad, A.shape)
    numbers = m.value(result)
    singular = np.abs(numbers) < 100 * np.finfo(numbers.dtype).eps
    if not singular.any():
        scaled = xp.expand(xp.unsqueeze(grad * xp.conj(result), -1), A.shape[:-1])
        return xp.linalg_solve(adjoint(xp, A), xp.diag_embed(scaled))
    if not singular.all():
        whole, batch = A.shape, (singular.size,)
        A, grad, result = xp.reshape(A, (*batch, *whole[-2:])), xp.reshape(grad, batch), xp.reshape(result, batch)
        parts = [_det_vjp(xp, *(xp.select(each, 0, i) for each in (grad, A, result))) for i in range(*batch)]
        return xp.reshape(xp.stack(parts, 0), whole)
    U, S, Vh = xp.linalg_svd(A, False)
    eye = m.constant(S, np.eye(S.shape[-1]))
    others = xp.prod(xp.unsqueeze(S, -2) * (1 - eye) + eye, -1)  # of each singular value, the product of the others
    factors = xp.unsqueeze(xp.conj(xp.linalg_det(U) * xp.linalg_det(Vh)) * grad, -1) * others
    return m.column_scaled(xp, U, factors) @ Vh


@op("linalg.det", aliases=["det"], holomorphic=False, A=_det_vjp)
def det(A: Array) -> Array:
    check_square(A, "linalg.det")
    check_type(A, "linalg.det", "lu_cpu")
    return _or_nan(A, np.asarray(np.linalg.det(A), A.dtype), 0)


def _or_nan(A: Array, found: Array, singular: float) -> Array:
    """nan for what LAPACK takes for singular matrices where nan stands in them."""
    return np.where(np.isnan(A).any((-2, -1)), found.dtype.type(np.nan), found) if (found == singular).any() else found


def _slogdet_vjp(xp: Any, given: Any, A: Any, sign: Any) -> Any:
    grad_sign, grad = given
    if A._data.dtype.kind == "c" if isinstance(A, Tensor) else A.dtype.kind == "c":
        angle = 0 if grad_sign is None else -(xp.conj(grad_sign) * sign - xp.conj(xp.conj(grad_sign) * sign)) / 2
        grad = angle if grad is None else grad + angle
    elif grad is None:
        return None
    diagonal = xp.expand(xp.unsqueeze(grad, -1), A.shape[:-1])
    return xp.linalg_solve(adjoint(xp, A), xp.diag_embed(diagonal))


@op("linalg.slogdet", returns=return_types.linalg_slogdet, holomorphic=False, A=_slogdet_vjp)
def linalg_slogdet(A: Array) -> tuple[Array, Array]:
    return _slogdet(A, "linalg.slogdet")


def _slogdet(A: Array, name: str) -> tuple[Array, Array]:
    check_square(A, name)
    check_type(A, name)
    sign, logabsdet = np.linalg.slogdet(A)
    return np.asarray(sign, A.dtype), _or_nan(A, np.asarray(logabsdet, A.real.dtype), -np.inf)


@composite
def slogdet(self: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its absolute value."""
    return return_types.slogdet(*F.linalg_slogdet(self))


@composite
def logdet(self: Tensor) -> Tensor:
    """The logarithm of the determinant: nan where that is negative."""
    check_square(self, "logdet")
    check_type(self._data, "logdet")
    sign, logabsdet = F.linalg_slogdet(self)
    if self._data.dtype.kind == "c":
        return F.add(F.log(sign), logabsdet)
    return F.where(F.eq(sign, -1.0), float("nan"), logabsdet)


# ---- linear systems --------------------------------------------------------------------------------------------------


def _is_vector(A: Any, B: Any) -> bool:
    """Whether B is a batch of vectors, rather than of matrices."""
    return len(B) == 1 or len(A) - 1 == len(B) and tuple(B) == tuple(A[:-1])


def check_system(name: str, A: Array, B: Array, left: bool = True, vector: bool = False) -> None:
    """RuntimeError unless A X = B (or X A = B) makes sense."""
    shape = (B.shape[-1], 1) if vector else B.shape[-2:]
    if A.shape[-2] != shape[0] if left else A.shape[-1] != shape[1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} ({A.shape[-2]}x{A.shape[-1]} and"
            f" {shape[0]}x{shape[1]})"
        )


def _solve_B(xp: Any, given: Any, A: Any, left: bool, B_shape: Any) -> Any:
    return xp.linalg_solve(adjoint(xp, A), given[0], left=left)


def _solve_A(xp: Any, given: Any, A: Any, results: Any, left: bool, B_shape: Any) -> Any:
    B, X = -_solve_B(xp, given, A, left, B_shape), results[0]
    if _is_vector(A.shape, B_shape):
        return xp.unsqueeze(B, -1) @ xp.unsqueeze(xp.conj(X), -2)
    return B @ adjoint(xp, X) if left else adjoint(xp, X) @ B


def _solve(A: Array, B: Array, left: bool = True, kernel: Callable[[Array, Array], Array] = m.solve) -> Array:
    """The X of A X = B, or of X A = B, for matrices or vectors."""
    if _is_vector(A.shape, B.shape):
        found = kernel(A, B[..., None])[..., 0]
        return m.by_columns(found) if found.ndim > 1 else found
    return m.by_columns(kernel(A, B)) if left else m.by_columns(kernel(A.mT, B.mT)).mT


@op("linalg.solve_ex", returns=return_types.linalg_solve_ex, holomorphic=False, A=_solve_A, B=_solve_B)
def solve_ex(A: Array, B: Array, *, left: bool = True, check_errors: bool = False) -> tuple[Array, Array]:
    check_type(A, "linalg.solve", "lu_cpu")
    check_square(A, "linalg.solve")
    check_same_kind("linalg.solve", A, B)
    vector = _is_vector(A.shape, B.shape)
    if not vector:
        check_matrix(B, "linalg.solve", "B")
        m.broadcast_batches(B.shape[:-2], A.shape[:-2])
    check_system("linalg.solve", A, B, left, vector)
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case"
            " linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    try:
        return _solve(A, B, left, np.linalg.solve), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = m.zero_pivot(m.lu(A)[0])
    if check_errors and info.any():
        batch, _ = m.first_bad(info)
        raise LinAlgError(f"torch.linalg.solve: {batch}The solver failed because the input matrix is singular.")
    return _solve(A, B, left), info


@composite(name="linalg.solve", raw=_solve)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X of A X = B (of X A = B unless `left`): (…, n, n) and (…, n, k) or (n); LinAlgError if A is singular."""
    return F.linalg_solve_ex(A, B, left=left, check_errors=True)[0]


def _triangle(xp: Any, A: Any, upper: bool, unit: bool = False) -> Any:
    return xp.triu(A, int(unit)) if upper else xp.tril(A, -int(unit))


def _triangular_B(xp: Any, grad: Any, A: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    return _triangular(xp, adjoint(xp, A), grad, not upper, left, unitriangular)


def _triangular_A(xp: Any, grad: Any, A: Any, result: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    B, Xh = -_triangular_B(xp, grad, A, upper, left, unitriangular), adjoint(xp, result)
    return _triangle(xp, B @ Xh if left else Xh @ B, upper, unitriangular)


def _triangular(xp: Any, A: Any, B: Any, upper: bool, left: bool = True, unit: bool = False) -> Any:
    return xp.linalg_solve_triangular(A, B, upper=upper, left=left, unitriangular=unit)


@op("linalg.solve_triangular", holomorphic=False, A=_triangular_A, B=_triangular_B)
def solve_triangular(A: Array, B: Array, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Array:
    name = "linalg.solve_triangular"
    check_square(A, name)
    check_matrix(B, name, "B")
    check_system(name, A, B, left)
    m.broadcast_batches(B.shape[:-2], A.shape[:-2])
    check_type(A, "", "triangular_solve_cpu")
    B = B.astype(A.dtype, copy=False)
    if left:
        return m.by_columns(m.substitute(A, B, upper, unitriangular))
    return m.by_columns(m.substitute(A.mT, B.mT, not upper, unitriangular).mT)


def _check_operands(name: str, B: Array, A: Array) -> None:
    """Torch's errors for a system given as a right side and a factor of the matrix."""
    for what, each in (("b", B), ("A", A)):
        if each.ndim < 2:
            raise RuntimeError(
                f"torch.{name}: Expected {what} to have at least 2 dimensions, but it has {each.ndim} dimensions"
                " instead"
            )
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {kind(B)} and A of type {kind(A)} instead."
        )
    (rows, columns), (height, width) = A.shape[-2:], B.shape[-2:]
    if rows != columns:
        raise RuntimeError(f"A must be batches of square matrices, but they are {rows} by {columns} matrices")
    if rows != height:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {rows} by {rows} but each b matrix is {height} by"
            f" {width}"
        )
    check_type(A, "", f"{name}_cpu")
    m.broadcast_batches(B.shape[:-2], A.shape[:-2])


def _deprecated_triangular() -> None:
    warn_once(
        "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand will be removed in a future"
        " PyTorch release.\ntorch.linalg.solve_triangular has its arguments reversed and does not return a copy of one"
        " of the inputs.\nX = torch.triangular_solve(B, A).solution\nshould be replaced with\n"
        "X = torch.linalg.solve_triangular(A, B)."
    )


def _old_triangular(xp: Any, given: Any, A: Any, upper: bool, transpose: bool, unitriangular: bool) -> Any:
    return xp.triangular_solve(given[0], xp.conj(A), upper, not transpose, unitriangular)[0]  # which warns, as torch's


def _old_triangular_A(
    xp: Any, given: Any, self: Any, A: Any, solution: Any, upper: bool, transpose: bool, unitriangular: bool
) -> Any:
    if given[0] is None:
        return given[1]
    B = -_old_triangular(xp, given, A, upper, transpose, unitriangular)
    grad = xp.conj(solution) @ B.mT if transpose else B @ adjoint(xp, solution)
    grad = _triangle(xp, grad, upper, unitriangular)
    return grad if given[1] is None else grad + given[1]


@op(returns=return_types.triangular_solve, holomorphic=False, A=_old_triangular_A,
    self=lambda xp, given, self, A, solution, upper, transpose, unitriangular: xp.zeros(self.shape, A)
    if given[0] is None else _old_triangular(xp, given, A, upper, transpose, unitriangular))  # fmt: skip
def triangular_solve(
    self: Array, A: Array, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Array, Array]:
    """The X of A X = self for a triangular A (of its transpose, if asked), and a copy of A."""
    _check_operands("triangular_solve", self, A)
    _deprecated_triangular()
    found = m.substitute(A.mT if transpose else A, self, upper != transpose, unitriangular)
    return m.by_columns(found), np.broadcast_to(m.by_columns(A), (*found.shape[:-2], *A.shape[-2:]))


# ---- LU --------------------------------------------------------------------------------------------------------------


def _split(xp: Any, packed: Any) -> tuple[Any, Any]:
    """L and U out of one matrix."""
    k = min(packed.shape[-2:])
    eye = m.constant(packed, np.eye(packed.shape[-2], k))
    return xp.tril(packed[..., :, :k], -1) + eye, xp.triu(packed[..., :k, :])


def _lu_vjp(xp: Any, grad_L: Any, grad_U: Any, P: Any, L: Any, U: Any) -> Any:
    """The gradient of A = P L U from those of its factors.

    What lies beside the square part of U, or below that of L, is first expressed by the square parts.
    """
    k = L.shape[-1]
    grad_L = xp.zeros(L.shape, U) if grad_L is None else grad_L
    grad_U = xp.zeros(U.shape, L) if grad_U is None else grad_U
    L1, U1, grad_L1, grad_U1 = L[..., :k, :], U[..., :, :k], grad_L[..., :k, :], grad_U[..., :, :k]
    Lh, Uh = adjoint(xp, L1), adjoint(xp, U1)
    beside = below = None
    if U.shape[-1] > k:
        beside = _triangular(xp, Lh, grad_U[..., :, k:], upper=True, unit=True)
        grad_L1 = grad_L1 - beside @ adjoint(xp, U[..., :, k:])
    if L.shape[-2] > k:
        below = _triangular(xp, Uh, grad_L[..., k:, :], upper=False, left=False)
        grad_U1 = grad_U1 - adjoint(xp, L[..., k:, :]) @ below
    inner = xp.tril(Lh @ grad_L1, -1) + xp.triu(grad_U1 @ Uh)
    square = _triangular(xp, Uh, _triangular(xp, Lh, inner, upper=True, unit=True), upper=False, left=False)
    if beside is not None:
        square = xp.cat([square, beside], -1)
    if below is not None:
        square = xp.cat([square, below], -2)
    return P @ square


def permutation(order: Array, dtype: Any) -> Array:
    """The matrices P of A = P L U, for A[order] = L U."""
    return np.ascontiguousarray(np.eye(order.shape[-1], dtype=dtype)[order].mT)


def _check_lu(A: Array, name: str, pivot: bool) -> None:
    if A.ndim < 2:
        raise RuntimeError(f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead")
    check_type(A, "", "lu_cpu")
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


class _Factors(NamedTuple):
    """The outputs of `linalg.lu`, in the order in which its node numbers them."""

    L: Any
    U: Any
    P: Any


@op("linalg._lu", node="LinalgLuBackward0", function=False, returns=_Factors, holomorphic=False,
    A=lambda xp, given, P, L, U: _lu_vjp(xp, given[0], given[1], P, L, U))  # fmt: skip
def _lu(A: Array, pivot: bool) -> tuple[Array, Array, Array]:
    _check_lu(A, "linalg.lu", pivot)
    packed, _, order = m.lu(A)
    return *_split(RAW, packed), permutation(order, A.dtype)


@composite(name="linalg.lu")
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """P, L, U with A = P L U: P permutes rows, L has ones on its diagonal, U is upper triangular."""
    L, U, P = F.linalg__lu(A, pivot)
    return return_types.linalg_lu(P.detach(), L, U)


def _order(pivots: Array, rows: int) -> Array:
    """The permutation that LAPACK's row exchanges, counted from 1, amount to."""
    flat = pivots.reshape(prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(rows), (len(flat), 1))
    each = np.arange(len(flat))
    for j, other in enumerate(flat.T - 1):
        order[each, other], order[:, j] = order[:, j].copy(), order[each, other]
    return order.reshape(*pivots.shape[:-1], rows)


def _lu_factor_vjp(xp: Any, given: Any, LU: Any, pivots: Any) -> Any:
    k = min(LU.shape[-2:])
    L, U = _split(xp, LU)
    grad = given[0]
    return _lu_vjp(xp, xp.tril(grad[..., :, :k], -1), xp.triu(grad[..., :k, :]), _exchanges(LU, pivots), L, U)


def _exchanges(LU: Any, pivots: Any) -> Any:
    """P of A = P L U, from the two that hold it packed."""
    return m.constant(LU, permutation(_order(m.value(pivots), LU.shape[-2]), m.value(LU).dtype))


@op("linalg.lu_factor_ex", returns=return_types.linalg_lu_factor_ex, holomorphic=False, A=_lu_factor_vjp)
def lu_factor_ex(A: Array, *, pivot: bool = True, check_errors: bool = False) -> tuple[Array, Array, Array]:
    _check_lu(A, "torch.lu_factor", pivot)
    packed, pivots, _ = m.lu(A)
    info = m.zero_pivot(packed)
    if check_errors and info.any():
        batch, number = m.first_bad(info)
        raise RuntimeError(
            f"torch.linalg.lu_factor: {batch}U[{number},{number}] is zero and using it on lu_solve would result in a"
            " division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or"
            " linalg.lu_factor_ex(A, pivot)"
        )
    return m.by_columns(packed), pivots, info


@composite(name="linalg.lu_factor")
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """L and U in one matrix, and which rows were exchanged, as `lu_solve` wants them; RuntimeError if A is singular."""
    return return_types.linalg_lu_factor(*F.linalg_lu_factor_ex(A, pivot=pivot, check_errors=True)[:2])


@composite(name="lu")
def torch_lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """`linalg.lu_factor` as `torch.lu`; with the infos if asked."""
    warn_once(
        "torch.lu is deprecated in favor of torch.linalg.lu_factor / torch.linalg.lu_factor_ex and will be removed in a"
        " future PyTorch release.\nLU, pivots = torch.lu(A, compute_pivots)\nshould be replaced with\n"
        "LU, pivots = torch.linalg.lu_factor(A, compute_pivots)\nand\n"
        "LU, pivots, info = torch.lu(A, compute_pivots, get_infos=True)\nshould be replaced with\n"
        "LU, pivots, info = torch.linalg.lu_factor_ex(A, compute_pivots)"
    )
    found = F.linalg_lu_factor_ex(self, pivot=pivot, check_errors=not get_infos)
    return tuple(found) if get_infos else tuple(found[:2])


@composite(method=False)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """P, L, U out of what `lu_factor` gives; empty tensors for those that are not wanted."""
    nothing = make(np.empty(0, LU_data._data.dtype), None)
    P, L, U = nothing, nothing, nothing
    if unpack_pivots:
        P = _exchanges(LU_data, LU_pivots)
    if unpack_data:
        L, U = F._lu_unpack(LU_data)
    return return_types.lu_unpack(P, L, U)


def _lu_unpack_vjp(xp: Any, grads: Any, LU_data_shape: Any) -> Any:
    rows, columns = LU_data_shape[-2:]
    L, U = xp.tril(grads[0], -1), xp.triu(grads[1])
    if columns > rows:
        L = xp.cat([L, xp.zeros((*LU_data_shape[:-1], columns - rows), L)], -1)
    if rows > columns:
        U = xp.cat([U, xp.zeros((*LU_data_shape[:-2], rows - columns, columns), U)], -2)
    return L + U


@op("_lu_unpack", node="LuUnpackBackward0", function=False, method=False, returns=tuple, LU_data=_lu_unpack_vjp)
def _lu_unpack(LU_data: Array) -> tuple[Array, Array]:
    return _split(RAW, LU_data)


def _lu_solve(LU: Array, B: Array, order: Array, adjoint: bool) -> Array:
    if adjoint:
        LUh = np.conj(LU.mT)
        X = m.substitute(LUh, m.substitute(LUh, B, False, False), True, True)
        return m.permuted(X, np.argsort(order, -1))
    return m.substitute(LU, m.substitute(LU, m.permuted(B, order), False, True), True, False)


def _lu_solve_LU(xp: Any, grad: Any, LU: Any, pivots: Any, result: Any, left: bool, adjoint: bool) -> Any:
    """By the gradient of A = P L U, whichever equation it was."""
    B = _lu_solve_B(xp, grad, LU, pivots, left, adjoint)
    A = -(B @ m.adjoint(xp, result) if left else m.adjoint(xp, result) @ B)
    inner = _exchanges(LU, pivots).mT @ (m.adjoint(xp, A) if adjoint else A)
    L, U = _split(xp, LU)
    return xp.tril(inner @ m.adjoint(xp, U), -1) + xp.triu(m.adjoint(xp, L) @ inner)


def _lu_solve_B(xp: Any, grad: Any, LU: Any, pivots: Any, left: bool, adjoint: bool) -> Any:
    return xp.linalg_lu_solve(LU, pivots, grad, left=left, adjoint=not adjoint)


@op("linalg.lu_solve", holomorphic=False, LU=_lu_solve_LU, B=_lu_solve_B)
def lu_solve(LU: Array, pivots: Array, B: Array, *, left: bool = True, adjoint: bool = False) -> Array:
    if pivots.dtype != np.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    check_type(LU, "linalg.lu_solve")
    check_square(LU, "linalg.lu_solve")
    check_same_kind("linalg.lu_solve", LU, B)
    check_matrix(B, "linalg.lu_solve", "B")
    check_system("linalg.lu_solve", LU, B, left)
    order = _order(pivots, LU.shape[-2])
    if left:
        return m.by_columns(_lu_solve(LU, B, order, adjoint))
    return np.conj(m.by_columns(_lu_solve(LU, np.conj(B.mT), order, not adjoint)).mT)


# ---- Cholesky --------------------------------------------------------------------------------------------------------


def _cholesky_vjp(xp: Any, grad: Any, L: Any, upper: bool) -> Any:
    """L^-H P(tril(L^H grad)) L^-1, where P takes the half of a matrix and of its adjoint, but the diagonal once."""
    if upper:
        L, grad = adjoint(xp, L), adjoint(xp, grad)
    inner = xp.tril(adjoint(xp, L) @ grad)
    inner = 0.5 * (inner + adjoint(xp, xp.tril(inner, -1)))
    inner = _triangular(xp, adjoint(xp, L), inner, upper=True)
    return _triangular(xp, L, inner, upper=False, left=False)


def _cholesky(A: Array, upper: bool, name: str = "") -> tuple[Array, Array]:
    """The factor, and by how many rows the leading part is that has none (0: all is well); LinAlgError under a name."""
    try:
        return _factor(A, upper), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        flat = A.reshape(-1, *A.shape[-2:])
        info = np.array([_bad_minor(each, upper) for each in flat], np.int32).reshape(A.shape[:-2])
        if name:
            batch, number = m.first_bad(info)
            raise LinAlgError(
                f"{name}: {batch}The factorization could not be completed because the input is not positive-definite"
                f" (the leading minor of order {number} is not positive-definite)."
            ) from None
        good = np.where((info == 0)[..., None, None], A, np.eye(A.shape[-1], dtype=A.dtype))
        part = (np.triu if upper else np.tril)(A)
        return m.by_columns(np.where((info == 0)[..., None, None], _factor(good, upper), part)), info


def _factor(A: Array, upper: bool) -> Array:
    """The Cholesky factor; LinAlgError of numpy if there is none, also where numpy gives nan."""
    found = np.linalg.cholesky(A, upper=upper)
    if np.isnan(np.diagonal(found, 0, -2, -1)).any():
        raise np.linalg.LinAlgError
    return m.by_columns(found)


def _bad_minor(A: Array, upper: bool) -> int:
    for size in range(1, A.shape[-1] + 1):
        try:
            _factor(A[:size, :size], upper)
        except np.linalg.LinAlgError:
            return size
    return 0


@op("linalg.cholesky_ex", returns=return_types.linalg_cholesky_ex, holomorphic=False, A=_cholesky_vjp)
def cholesky_ex(A: Array, *, upper: bool = False, check_errors: bool = False) -> tuple[Array, Array]:
    check_square(A, "linalg.cholesky")
    check_type(A, "linalg.cholesky", "cholesky_cpu")
    return _cholesky(A, upper, "linalg.cholesky" if check_errors else "")


@composite(name="linalg.cholesky")
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The triangular L of A = L L^H, or U of A = U^H U; only that triangle of A is looked at.

    LinAlgError if A is not positive-definite.
    """
    return F.linalg_cholesky_ex(A, upper=upper, check_errors=True)[0]


@op(holomorphic=False, self=lambda xp, grad, result, upper: _cholesky_vjp(xp, grad, result, upper))
def cholesky(self: Array, upper: bool = False) -> Array:
    warn_once(
        "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be removed in a future PyTorch"
        " release.\nL = torch.cholesky(A)\nshould be replaced with\nL = torch.linalg.cholesky(A)\nand\n"
        "U = torch.cholesky(A, upper=True)\nshould be replaced with\nU = torch.linalg.cholesky(A).mH\n"
        "This transform will produce equivalent results for all valid (symmetric positive definite) inputs."
    )
    if self.size:
        check_square(self, "cholesky")
    check_type(self, "", "cholesky_cpu")
    return _cholesky(self, upper, "cholesky")[0] if self.size else self.copy()


def _cholesky_solve_factor(xp: Any, grad: Any, self: Any, input2: Any, result: Any, upper: bool) -> Any:
    """As in torch, the gradient fills the whole matrix, though only one triangle of the factor is looked at."""
    both = xp.cholesky_solve(grad, input2, upper) @ adjoint(xp, result)
    both = both + adjoint(xp, both)
    return -(input2 @ both) if upper else -(both @ input2)


@op(holomorphic=False, input2=_cholesky_solve_factor,
    self=lambda xp, grad, self, input2, result, upper: xp.cholesky_solve(grad, input2, upper))  # fmt: skip
def cholesky_solve(self: Array, input2: Array, upper: bool = False) -> Array:
    for name, each in (("b", self), ("u", input2)):
        if each.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {each.ndim} dimensions instead")
    _check_operands("cholesky_solve", self, input2)
    return _solve_by_cholesky(self, input2, upper)


def _solve_by_cholesky(B: Array, factor: Array, upper: bool) -> Array:
    lower = np.conj(factor.mT) if upper else factor
    return m.by_columns(m.substitute(np.conj(lower.mT), m.substitute(lower, B, False, False), True, False))


def _cholesky_inverse_vjp(xp: Any, grad: Any, self: Any, result: Any, upper: bool) -> Any:
    both = result @ (grad + adjoint(xp, grad)) @ result
    return -(self @ both) if upper else -(both @ self)


@op(holomorphic=False, self=_cholesky_inverse_vjp)
def cholesky_inverse(self: Array, upper: bool = False) -> Array:
    check_square(self, "cholesky_inverse")
    check_type(self, "", "cholesky_inverse_out_cpu")
    return _solve_by_cholesky(np.broadcast_to(np.eye(self.shape[-1], dtype=self.dtype), self.shape), self, upper)


# ---- QR --------------------------------------------------------------------------------------------------------------


def _qr_vjp(xp: Any, given: Any, Q: Any, R: Any, mode: str) -> Any:
    grad_Q, grad_R = given
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A,"
            " mode='reduced') if you are going to differentiate through linalg.qr."
        )
    rows, columns = Q.shape[-2], R.shape[-1]
    if mode == "complete" and rows > columns:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    k = Q.shape[-1]
    grad_R1 = None if grad_R is None else grad_R[..., :, :k]
    beside = None
    if columns > k:  # the columns of R beside its square part are Q^H A2
        beside = xp.zeros((*R.shape[:-1], columns - k), R) if grad_R is None else grad_R[..., :, k:]
        grad_Q = (0 if grad_Q is None else grad_Q) + Q @ R[..., :, k:] @ adjoint(xp, beside)
    inner = 0 if grad_R1 is None else grad_R1 @ adjoint(xp, R[..., :, :k])
    inner = xp.triu(inner if grad_Q is None else inner - adjoint(xp, Q) @ grad_Q)
    both = inner + adjoint(xp, inner)
    square = Q @ (both - 0.5 * both * m.constant(both, np.eye(k)))
    square = square if grad_Q is None else square + grad_Q
    square = _triangular(xp, adjoint(xp, R[..., :, :k]), square, upper=False, left=False)
    return square if beside is None else xp.cat([square, Q @ beside], -1)


@op("linalg.qr", returns=return_types.linalg_qr, holomorphic=False, A=_qr_vjp)
def linalg_qr(A: Array, mode: str = "reduced") -> tuple[Array, Array]:
    check_matrix(A, "linalg.qr")
    check_type(A, "linalg.qr", "geqrf_cpu")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode == "r":
        return np.empty(0, A.dtype), m.by_columns(np.asarray(np.linalg.qr(A, "r"), A.dtype))
    Q, R = np.linalg.qr(A, "complete" if mode == "complete" else "reduced")
    return m.by_columns(Q.astype(A.dtype)), m.by_columns(R.astype(A.dtype))


@composite
def qr(self: Tensor, some: bool = True) -> Any:
    """`linalg.qr` as `torch.qr`: reduced if `some`."""
    warn_once(
        "torch.qr is deprecated in favor of torch.linalg.qr and will be removed in a future PyTorch release.\n"
        "The boolean parameter 'some' has been replaced with a string parameter 'mode'.\nQ, R = torch.qr(A, some)\n"
        "should be replaced with\nQ, R = torch.linalg.qr(A, 'reduced' if some else 'complete')"
    )
    return return_types.qr(*F.linalg_qr(self, "reduced" if some else "complete"))
