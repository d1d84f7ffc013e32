"""Products, and functions of matrices, by their definitions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from conformance.exact.arithmetic import (
    MP,
    ONE,
    ZERO,
    Arr,
    Function,
    UnspecifiedError,
    _cumulative,
    arr,
    axes,
    each,
    mean,
    num,
    over,
    p_norm,
    product,
    real,
    total,
)
from conformance.exact.arrays import _ADD, _operands, tril, triu, unknown, zeros
from conformance.exact.scalars import _divide


def _einsum(equation: str, *operands: Any) -> Arr:
    """Sum of products over indices, by definition."""
    parts = [arr(o) for o in _operands(*operands)]
    left, arrow, right = equation.replace(" ", "").partition("->")
    names = left.split(",")
    batch = max(
        (p.ndim - len(n.replace("...", "")) for n, p in zip(names, parts, strict=True) if "..." in n), default=0
    )
    free = "".join(c for c in map(chr, range(0x3B1, 0x3C9)))[:batch]
    for k, (n, p) in enumerate(zip(names, parts, strict=True)):
        own = p.ndim - len(n.replace("...", ""))
        names[k] = n.replace("...", free[batch - own :] if own else "")
    letters = "".join(names)
    if arrow:
        right = right.replace("...", free)
    else:
        right = free + "".join(sorted(c for c in set(letters) - set(free) if letters.count(c) == 1))
    size: dict[str, int] = {}
    for n, p in zip(names, parts, strict=True):
        for c, length in zip(n, p.shape, strict=True):
            size[c] = max(size.get(c, length), length) if length else 0
    summed = [c for c in size if c not in right]
    out = zeros([size[c] for c in right])
    for at in np.ndindex(*out.shape):
        place = dict(zip(right, at, strict=True))
        for inner in np.ndindex(*[size[c] for c in summed]):
            place.update(zip(summed, inner, strict=True))
            out[at] += product(
                p[tuple(place[c] if m > 1 else 0 for c, m in zip(n, p.shape, strict=True))]
                for n, p in zip(names, parts, strict=True)
            )
    return out


def _tensordot(a: Arr, b: Arr, dims: Any = 2) -> Arr:
    pairs: Any = dims if isinstance(dims, int) else tuple(list(np.atleast_1d(d)) for d in dims)
    return arr(np.tensordot(a, b, pairs))


def _fused(multiply: Function) -> Function:
    """beta * bias + alpha * (a · b)."""

    def fused(bias: Arr, a: Arr, b: Arr, *, beta: Any = 1, alpha: Any = 1) -> Arr:
        made = multiply(a, b) * num(alpha)
        return made + bias * num(beta) if beta != 0 else made

    return fused


def _matmul(a: Arr, b: Arr) -> Arr:
    if 0 in (a.shape[-1], a.size, b.size):
        return arr(np.matmul(np.zeros(a.shape), np.zeros(b.shape))).astype(object)
    return arr(np.matmul(a, b))


def _multi_dot(tensors: Sequence[Arr]) -> Arr:
    out = tensors[0]
    for t in tensors[1:]:
        out = _matmul(out, t)
    return out


def _cross(a: Arr, b: Arr, dim: int | None = -1) -> Arr:
    a, b = np.broadcast_arrays(a, b)
    d = a.shape.index(3) if dim is None else dim
    (x, y, z), (u, v, w) = np.moveaxis(a, d, 0), np.moveaxis(b, d, 0)
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=d)


def _matrix(a: Arr) -> Any:
    return MP.matrix(a.tolist()) if a.size else MP.matrix(*a.shape)


def _array(m: Any) -> Arr:
    out = np.empty((m.rows, m.cols), dtype=object)
    for i, j in np.ndindex(m.rows, m.cols):
        out[i, j] = m[i, j]
    return out


def batched(f: Function, n: int = 1) -> Function:
    """`f` of matrices, for each matrix of a batch; it returns an array, a number, or a tuple of them."""

    def mapped(*args: Any, **kwargs: Any) -> Any:
        batch = np.broadcast_shapes(*(a.shape[:-2] for a in args[:n]))
        stacks = [np.broadcast_to(a, batch + a.shape[-2:]) for a in args[:n]]
        made = [f(*(s[at] for s in stacks), *args[n:], **kwargs) for at in np.ndindex(*batch)]
        if isinstance(made[0], tuple):
            return tuple(_stacked([m[k] for m in made], batch) for k in range(len(made[0])))
        return _stacked(made, batch)

    return mapped


def _stacked(parts: Sequence[Any], batch: tuple[int, ...]) -> Arr:
    first = arr(parts[0])
    out = np.empty((len(parts), *first.shape), dtype=first.dtype)
    for i, part in enumerate(parts):
        out[i] = part
    return out.reshape(batch + first.shape)


def _det(a: Arr) -> Any:
    """By Leibniz's formula: exact, and smooth where the matrix is singular."""
    n = a.shape[0]
    found = ZERO
    for order in itertools.permutations(range(n)):
        swaps = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        found += (-1) ** swaps * product(a[i, k] for i, k in enumerate(order))
    return found


def _slogdet(a: Arr) -> tuple[Any, Any]:
    d = _det(a)
    return MP.sign(d), MP.log(abs(d)) if d else -MP.inf


def _inverse(a: Arr) -> Arr:
    return _array(MP.inverse(_matrix(a)))


def _solve(a: Arr, b: Arr, *, left: bool = True) -> Arr:
    if not left:
        return np.swapaxes(_solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    made = _matmul(batched(_inverse)(a), b[..., None] if vector else b)
    return made[..., 0] if vector else made


def _solve_triangular(a: Arr, b: Arr, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Arr:
    part = (triu if upper else tril)(a)
    if unitriangular:
        i = np.arange(a.shape[-1])
        part[..., i, i] = ONE
    return _solve(part, b, left=left)


def is_symmetric(a: Arr) -> bool:
    """Whether a matrix is symmetric, but for the small step of a difference."""
    gaps = [abs(v) for v in (a - np.swapaxes(a, -1, -2)).reshape(-1)]
    return bool(max(gaps, default=ZERO) < MP.mpf(10) ** -8)


def symmetric(a: Arr) -> Arr:
    """The symmetric part of a matrix that is meant to be symmetric, so that both triangles count alike."""
    return (a + a.T) / 2 if is_symmetric(a) else a


def _cholesky(a: Arr, *, upper: bool = False) -> Arr:
    a, n = a.T if upper else a, a.shape[0]  # the triangle that is asked for is the one that is read
    a = symmetric(a)
    low = zeros((n, n))
    for i, j in zip(*np.tril_indices(n), strict=True):
        rest = a[i, j] - total(low[i, k] * low[j, k] for k in range(j))
        low[i, j] = real(lambda r=rest: MP.sqrt(r))() if i == j else rest / low[j, j]
    return low.T if upper else low


def _qr(a: Arr, mode: str = "reduced") -> tuple[Arr, Arr]:
    """By Householder reflections, whose signs are LAPACK's."""
    m, n = a.shape
    q, r = np.array([[ONE * (i == j) for j in range(m)] for i in range(m)], dtype=object), a.copy()
    for k in range(min(m - 1, n)):
        x = r[k:, k]
        size = MP.sqrt(total(v * v for v in x))
        if not total(abs(v) for v in x[1:]):
            continue
        v = x.copy()
        v[0] += size if x[0] >= 0 else -size
        scale = 2 / total(w * w for w in v)
        r[k:, :] = r[k:, :] - scale * np.outer(v, v.dot(r[k:, :]))
        q[:, k:] = q[:, k:] - scale * np.outer(q[:, k:].dot(v), v)
    k = m if mode == "complete" else min(m, n)
    return q[:, :k], triu(r)[:k]


def _svdvals(a: Arr) -> Arr:
    found = MP.svd_r(_matrix(a), compute_uv=False)
    return np.array([None, *sorted(found, reverse=True)], dtype=object)[1:]


def _svd(a: Arr, full_matrices: bool = True) -> tuple[Arr, Arr, Arr]:
    """Vectors up to their signs: programs use their squares."""
    u, scale, vh = MP.svd_r(_matrix(a), full_matrices=full_matrices)
    order = sorted(range(len(scale)), key=lambda k: -scale[k])
    u, vh = _rows(u), _rows(vh)
    u[:, : len(order)], vh[: len(order)] = u[:, order], vh[order]
    return u, np.array([None, *(scale[k] for k in order)], dtype=object)[1:], vh


def _rows(matrix: Any) -> Arr:
    return np.array(matrix.tolist(), dtype=object).reshape(matrix.rows, matrix.cols)


def _eigvalsh(a: Arr, UPLO: str = "L") -> Arr:
    return np.array([None, *sorted(MP.eigsy(_matrix(_mirrored(a, UPLO)), eigvals_only=True))], dtype=object)[1:]


def _eigh(a: Arr, UPLO: str = "L") -> tuple[Arr, Arr]:
    """Vectors up to their signs: programs use their squares."""
    values, vectors = MP.eigsy(_matrix(_mirrored(a, UPLO)))
    order = sorted(range(len(values)), key=lambda k: values[k])
    return np.array([None, *(values[k] for k in order)], dtype=object)[1:], _rows(vectors)[:, order]


def _mirrored(a: Arr, triangle: str) -> Arr:
    """The symmetric matrix that is meant; of a matrix that is symmetric, both triangles are read."""
    half = (tril if triangle == "L" else triu)(a)
    return symmetric(a) if is_symmetric(a) else half + half.T - np.where(np.eye(len(a), dtype=bool), a, ZERO)


def _cholesky_inverse(factor: Arr, upper: bool = False) -> Arr:
    low = triu(factor).T if upper else tril(factor)
    return _inverse(low.dot(low.T))


def _cholesky_solve(b: Arr, factor: Arr, upper: bool = False) -> Arr:
    low = np.swapaxes(triu(factor), -1, -2) if upper else tril(factor)
    return _solve(_matmul(low, np.swapaxes(low, -1, -2)), b)


def _triangular_solve(
    b: Arr, a: Arr, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Arr, Arr]:
    part = (triu if upper else tril)(a)
    if unitriangular:
        i = np.arange(a.shape[-1])
        part[..., i, i] = ONE
    return _solve(np.swapaxes(part, -1, -2) if transpose else part, b), a.copy()


def _lu_solve(packed: Arr, pivots: Arr, b: Arr, *, left: bool = True, adjoint: bool = False) -> Arr:
    """From the packed factors; `pivots` says which rows were exchanged, counted from 1."""
    n = packed.shape[-1]
    low = tril(packed, -1)
    low[..., np.arange(n), np.arange(n)] = ONE
    a = _matmul(low, triu(packed))
    for at in np.ndindex(*pivots.shape[:-1]):
        for k in reversed(range(n)):
            other = int(pivots[at][k]) - 1
            a[at][[k, other]] = a[at][[other, k]]
    return _solve(np.swapaxes(a, -1, -2) if adjoint else a, b, left=left)


def _vander(x: Arr, N: int | None = None, increasing: bool = False) -> Arr:
    powers = range(x.shape[-1] if N is None else N)
    return np.stack([each(lambda v, k=k: v**k)(x) for k in (powers if increasing else reversed(powers))], -1)


def beside(f: Function, more: int) -> Function:
    """`f`, with so many integers besides that are not worked out."""

    def both(*args: Any, **kwargs: Any) -> tuple[Arr, ...]:
        kwargs.pop("check_errors", None)
        made = f(*args, **kwargs)
        parts = made if isinstance(made, tuple) else (made,)
        return (*parts, *[unknown(parts[0].shape[:-2])] * more)

    return both


def _lu(a: Arr) -> tuple[Arr, Arr, Arr]:
    m, n = a.shape
    order, u = list(range(m)), a.copy()
    low = zeros((m, min(m, n)))
    for k in range(min(m, n)):
        best = max(range(k, m), key=lambda i: abs(u[i, k]))
        for t in (u, low):
            t[[k, best]] = t[[best, k]]
        order[k], order[best] = order[best], order[k]
        low[k, k] = ONE
        for i in range(k + 1, m):
            low[i, k] = u[i, k] / u[k, k]
            u[i] = u[i] - low[i, k] * u[k]
    p = zeros((m, m))
    for k, i in enumerate(order):
        p[i, k] = ONE
    return p, low, triu(u)[: min(m, n)]


def _lu_factor(a: Arr, **_: Any) -> tuple[Arr, Arr]:
    _, low, u = _lu(a)
    packed = zeros(a.shape)
    packed[: u.shape[0], :] = u
    packed[:, : low.shape[1]] += np.where(np.tri(low.shape[0], low.shape[1], -1, dtype=bool), low, ZERO)
    return packed, unknown((min(a.shape),))


def _lu_unpack(packed: Arr, pivots: Arr) -> tuple[Arr, Arr, Arr]:
    m, n = packed.shape
    k = min(m, n)
    low = tril(packed)[:, :k]
    low[np.arange(k), np.arange(k)] = ONE
    order = list(range(m))
    for i, best in enumerate(pivots.tolist()):  # counted from 1
        order[i], order[best - 1] = order[best - 1], order[i]
    p = zeros((m, m))
    for i, row in enumerate(order):
        p[row, i] = ONE
    return p, low, triu(packed)[:k]


def _pinv(a: Arr, **_: Any) -> Arr:
    """Of full rank."""
    return _inverse(a.T.dot(a)).dot(a.T) if a.shape[0] >= a.shape[1] else a.T.dot(_inverse(a.dot(a.T)))


def _lstsq(a: Arr, b: Arr, rcond: Any = None, *, driver: str | None = None) -> tuple[Arr, Arr, Arr, Arr]:
    """Solution, residuals, rank and singular values; empty is what the driver leaves out.

    Of full rank only: on others LAPACK's gelsy, which is torch's default, differs from call to call.
    """
    *batch, m, n = a.shape
    scale = batched(_svdvals)(a)
    least = MP.mpf(2) ** -52 * max(m, n) if rcond is None else num(rcond)
    if (scale[..., -1] <= least * scale[..., 0]).any():
        raise UnspecifiedError("least squares of a matrix that is not of full rank")
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    right = b[..., None] if vector else b
    made = _matmul(batched(_pinv)(a), right)
    empty, driver = zeros((0,)), driver or "gelsy"
    residuals = over(total)((right - _matmul(a, made)) ** 2, -2) if m > n and driver != "gelsy" else empty
    return (
        made[..., 0] if vector else made,
        residuals,
        np.full((0,) if driver == "gels" else batch, min(m, n)),
        scale if driver in ("gelsd", "gelss") else empty,
    )


def _matrix_power(a: Arr, n: int) -> Arr:
    base = _inverse(a) if n < 0 else a
    out = np.array([[ONE * (i == j) for j in range(len(a))] for i in range(len(a))], dtype=object)
    for _ in range(abs(n)):
        out = out.dot(base)
    return out


def _matrix_exp(a: Arr) -> Arr:
    return _array(MP.expm(_matrix(a))) if a.size else a


def _matrix_norm(a: Arr, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Arr:
    moved = np.moveaxis(a, dim, (-2, -1))

    def of(m: Arr) -> Any:
        if ord == "fro":
            return MP.sqrt(total(v * v for v in m.reshape(-1)))
        if ord == "nuc":
            return total(_svdvals(m))
        lines = _svdvals(m) if abs(ord) == 2 else [total(map(abs, r)) for r in (m.T if abs(ord) == 1 else m)]
        return (max if ord > 0 else min)(lines)

    found = batched(of)(moved)
    return np.expand_dims(found, sorted(d % a.ndim for d in dim)) if keepdim else found


def _vector_norm(a: Arr, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Arr:
    return over(p_norm)(a, dim, keepdim, p=ord)


def _linalg_norm(a: Arr, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Arr:
    matrix = (a.ndim == 2 and dim is None) or (isinstance(dim, (tuple, list)) and len(dim) == 2)
    if ord is not None and matrix:
        return _matrix_norm(a, ord, dim or (-2, -1), keepdim)
    return _vector_norm(a, 2 if ord is None else ord, dim, keepdim)


def _norm(a: Arr, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Arr:
    if p == "nuc":
        return _matrix_norm(a, p, dim or (-2, -1), keepdim)
    return _vector_norm(a, 2 if p in ("fro", None) else p, dim, keepdim)


def _cov(x: Arr, *, correction: int = 1) -> Arr:
    rows = np.atleast_2d(x)
    moved = rows - over(mean)(rows, 1, True)
    found = each(_divide, 2)(moved.dot(moved.T), MP.mpf(rows.shape[1] - correction))
    return found.reshape(() if x.ndim < 2 else (len(rows),) * 2)


def _corrcoef(x: Arr) -> Arr:
    c = _cov(x)
    if not c.ndim:
        return arr(c / c)
    d = each(MP.sqrt)(np.diagonal(c))
    return each(_divide, 2)(each(_divide, 2)(c, d[:, None]), d[None, :])


def _cdist(a: Arr, b: Arr, p: Any = 2.0, compute_mode: str = "") -> Arr:
    return over(p_norm)(a[..., :, None, :] - b[..., None, :, :], -1, p=p)


def _trapezoid(y: Arr, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Arr:
    y = np.moveaxis(y, dim, -1)
    gaps = num(dx) if x is None else np.diff(x)
    return over(total)((y[..., 1:] + y[..., :-1]) * gaps / MP.mpf(2), -1)


def _cumulative_trapezoid(y: Arr, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Arr:
    moved = np.moveaxis(y, dim, -1)
    gaps = num(dx) if x is None else np.diff(x)
    parts = _cumulative(_ADD)((moved[..., 1:] + moved[..., :-1]) * gaps / MP.mpf(2), -1)
    return np.moveaxis(parts, -1, dim)


def _gradient(x: Arr, *given: Any, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Arr, ...]:
    """Central differences inside, one-sided ones at the ends."""
    dims = axes(x, dim)
    spacing = given[0] if given else spacing
    gaps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(dims)
    found = []
    for d, gap in zip(dims, gaps, strict=True):
        n = x.shape[d]
        places = gap if isinstance(gap, np.ndarray) else [num(1 if gap is None else gap) * i for i in range(n)]
        rows = np.moveaxis(x, d, 0)
        out = [_slope(rows, places, i, n, edge_order) for i in range(n)]
        found.append(np.moveaxis(np.stack(out), 0, d))
    return tuple(found)


def _slope(rows: Arr, at: Any, i: int, n: int, edge_order: int) -> Arr:
    """Slope at i of the parabola through three neighbours, or of the line through two."""
    first = min(max(i - 1, 0), n - 3)
    if edge_order == 1 and i in (0, n - 1):
        a, b = (0, 1) if i == 0 else (n - 2, n - 1)
        return (rows[b] - rows[a]) / MP.mpf(at[b] - at[a])
    nodes = [first, first + 1, first + 2]
    weights = []
    for j in nodes:
        p, q = (k for k in nodes if k != j)
        weights.append((2 * at[i] - at[p] - at[q]) / MP.mpf((at[j] - at[p]) * (at[j] - at[q])))
    return sum(rows[j] * w for j, w in zip(nodes, weights, strict=True))


def _diff(x: Arr, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Arr:
    parts = [p for p in (prepend, x, append) if p is not None]
    return np.diff(np.concatenate(parts, axis=dim), n, axis=dim)
