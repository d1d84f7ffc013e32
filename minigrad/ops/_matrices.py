"""What the operations on matrices share: torch's checks, kernels that numpy lacks, and parts of formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._op import Array
from minigrad._tensor import Tensor, make
from minigrad.ops._checks import expect_continuous, kind, not_implemented


class _LinAlgError(RuntimeError):
    """What torch raises for a matrix that has no such decomposition; users know it as `linalg.LinAlgError`."""


LinAlgError = _LinAlgError


# ---- checks ----------------------------------------------------------------------------------------------------------


def check_matrix(A: Any, name: str, what: str = "A") -> None:
    """RuntimeError unless there are at least two dimensions."""
    if A.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {what} must have at least 2 dimensions.")


def check_square(A: Any, name: str) -> None:
    """RuntimeError unless the last two dimensions have the same size."""
    check_matrix(A, name)
    rows, columns = A.shape[-2:]
    if rows != columns:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {rows} by {columns} matrices")


def check_type(A: Array, name: str, kernel: str = "") -> None:
    """An error unless the type is a floating or complex one that LAPACK has: of the function, or of a torch kernel."""
    if name:
        expect_continuous(name, A)
    if A.dtype.kind not in "fc" or A.dtype.itemsize == 2:
        if kernel:
            raise not_implemented(kernel, A)
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {kind(A)}")


def first_bad(info: Array) -> tuple[str, int]:
    """Words for the batch element that failed first, if it is one of several, and its `info`."""
    flat = np.reshape(info, -1)
    number = int(np.flatnonzero(flat)[0])
    return (f"(Batch element {number}): " if info.ndim else ""), int(flat[number])


# ---- kernels that numpy lacks ----------------------------------------------------------------------------------------


def by_columns(A: Array) -> Array:
    """The matrices as LAPACK leaves them in memory, and so torch: column after column."""
    return np.ascontiguousarray(A.mT).mT


def lu(A: Array) -> tuple[Array, Array, Array]:
    """LU factors in one matrix, LAPACK's pivots (from 1), and the permutation: A[permutation] = L U.

    LAPACK measures a complex pivot by the sum of its parts' absolute values.
    """
    packed = np.array(A, order="C")
    m, n = A.shape[-2:]
    flat = packed.reshape(-1, m, n) if packed.size else np.empty((int(np.prod(A.shape[:-2])), m, n), A.dtype)
    each = np.arange(len(flat))
    order = np.tile(np.arange(m), (len(flat), 1))
    pivots = np.zeros((len(flat), min(m, n)), np.int32)
    for j in range(min(m, n)):
        column = flat[:, j:, j]
        best = np.argmax(np.abs(column.real) + np.abs(column.imag), 1) + j
        pivots[:, j] = best + 1
        for rows in (flat, order):
            rows[each, best], rows[:, j] = rows[:, j].copy(), rows[each, best]
        pivot = flat[:, j, j, None]
        below = flat[:, j + 1 :, j]
        below[...] = np.where(pivot != 0, below / pivot, below)
        flat[:, j + 1 :, j + 1 :] -= below[:, :, None] * flat[:, j, None, j + 1 :]
    lead = A.shape[:-2]
    return packed, pivots.reshape(*lead, min(m, n)), order.reshape(*lead, m)


def zero_pivot(packed: Array) -> Array:
    """LAPACK's info of LU factors: which diagonal element of U is the first to be zero, from 1; 0 for none."""
    zero = np.diagonal(packed, 0, -2, -1) == 0
    return np.where(zero.any(-1), np.argmax(zero, -1) + 1 if zero.shape[-1] else 0, 0).astype(np.int32)


def substitute(T: Array, B: Array, upper: bool, unit: bool) -> Array:
    """The X of T X = B for a triangular T, of which only that triangle is looked at; inf or nan if it is singular."""
    lead = np.broadcast_shapes(T.shape[:-2], B.shape[:-2])
    X = np.array(np.broadcast_to(B, (*lead, *B.shape[-2:])))
    n = T.shape[-1]
    for i in reversed(range(n)) if upper else range(n):
        if not unit:
            X[..., i, :] /= T[..., i, i, None]
        rest = slice(0, i) if upper else slice(i + 1, n)
        X[..., rest, :] -= T[..., rest, i, None] * X[..., i, None, :]
    return X


def permuted(B: Array, order: Array) -> Array:
    """The rows of B in another order, for each matrix of a batch."""
    lead = np.broadcast_shapes(B.shape[:-2], order.shape[:-1])
    B = np.broadcast_to(B, (*lead, *B.shape[-2:]))
    return np.take_along_axis(B, np.broadcast_to(order, (*lead, order.shape[-1]))[..., None], -2)


def solve(A: Array, B: Array) -> Array:
    """The X of A X = B; where A is singular, what dividing by the zero pivots gives."""
    try:
        return np.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        packed, _, order = lu(A)
        return substitute(packed, substitute(packed, permuted(B, order), False, True), True, False)


# ---- parts of formulas; `xp` is the namespace they compute with ------------------------------------------------------


def adjoint(xp: Any, A: Any) -> Any:
    """The conjugate transpose."""
    return xp.conj(A.mT)


def column_scaled(xp: Any, A: Any, factors: Any) -> Any:
    """A diag(factors)."""
    return A * xp.unsqueeze(factors, -2)


def row_scaled(xp: Any, factors: Any, A: Any) -> Any:
    """diag(factors) A."""
    return xp.unsqueeze(factors, -1) * A


def value(x: Any) -> Array:
    """The numbers of an array or a tensor, for a decision that depends on them."""
    return x._data if isinstance(x, Tensor) else np.asarray(x)


def constant(like: Any, numbers: Any) -> Any:
    """Numbers as what `like` is, an array or a tensor, of its type."""
    found = np.asarray(numbers).astype(value(like).dtype)
    return make(found, None) if isinstance(like, Tensor) else found


def check_phase(diagonal: Any, name: str, whose: str, what: str = "quantity, so it is ill-defined") -> None:
    """RuntimeError where a loss depends on the phase of complex eigenvectors or singular vectors: it is arbitrary."""
    if not np.allclose(np.imag(value(diagonal)), 0, rtol=1e-2, atol=1e-2):
        raise RuntimeError(
            f"{name}: The {whose} in the complex case are specified up to multiplication by e^{{i phi}}. The specified"
            f" loss function depends on this {what}."
        )


def broadcast_batches(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape that two batches broadcast to; RuntimeError with torch's text where they don't."""
    low, high = sorted((tuple(a), tuple(b)), key=len)
    lead = len(high) - len(low)
    result = list(high)
    for i in reversed(range(len(low))):
        x, y = (a[i - len(low)], b[i - len(low)])
        if x not in (1, y) and y != 1:
            raise RuntimeError(
                f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension"
                f" {lead + i}"
            )
        result[lead + i] = y if x == 1 else x
    return tuple(result)
