"""Products of vectors and matrices, and linalg, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from against_torch import check

import minigrad

# torch warns, once per process, of functions that it calls deprecated; they are tested all the same.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*deprecated:UserWarning")


def noise(*shape: int, dtype: str = "float64") -> np.ndarray:
    """Numbers that are all different, the same ones in every run; of full rank."""
    return np.asarray(np.random.default_rng([7, *shape]).standard_normal(shape) * 2).astype(dtype)


SHAPES = [
    (),
    (3,),
    (2, 3),
    (3, 2),
    (4, 3, 2),
    (4, 2, 3),
    (1, 3, 2),
    (5, 4, 3, 2),
    (5, 1, 2, 3),
    (4, 3, 1),
    (0, 3),
    (3, 0),
]


@pytest.mark.parametrize("other", SHAPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matmul_of_any_ranks(shape, other):
    check("matmul", noise(*shape), noise(*other))
    check("matmul", noise(*shape), noise(*other), grad_for=[0])
    check("matmul", noise(*shape), noise(*other), grad_for=[1])


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("mm", [(2, 3), (3, 2)]),
        ("mm", [(2, 3), (2, 3)]),
        ("mm", [(2,), (2, 3)]),
        ("mm", [(2, 3), (3,)]),
        ("mm", [(0, 3), (3, 0)]),
        ("mv", [(2, 3), (3,)]),
        ("mv", [(2, 3), (2,)]),
        ("mv", [(2,), (2,)]),
        ("mv", [(2, 3), (3, 1)]),
        ("mv", [(2, 0), (0,)]),
        ("bmm", [(2, 2, 3), (2, 3, 4)]),
        ("bmm", [(2, 3), (3, 2)]),
        ("bmm", [(2, 2, 3), (2, 2, 3)]),
        ("bmm", [(1, 2, 3), (2, 3, 2)]),
        ("dot", [(3,), (3,)]),
        ("dot", [(2,), (3,)]),
        ("dot", [(2, 2), (2,)]),
        ("dot", [(2,), (1,)]),
        ("dot", [(0,), (0,)]),
        ("vdot", [(3,), (3,)]),
        ("vdot", [(2,), (3,)]),
        ("vdot", [(), (2,)]),
        ("outer", [(2,), (3,)]),
        ("outer", [(2, 2), (2,)]),
        ("ger", [(2,), (0,)]),
        ("outer", [(2,), ()]),
        ("inner", [(3,), (3,)]),
        ("inner", [(2, 3), (4, 3)]),
        ("inner", [(2, 2, 3), (3,)]),
        ("inner", [(), (4, 3)]),
        ("inner", [(2, 3), (4, 2)]),
        ("inner", [(2, 3), (4, 1)]),
        ("inner", [(2, 0), (4, 0)]),
        ("trace", [(2, 2)]),
        ("trace", [(2, 3)]),
        ("trace", [(3, 2)]),
        ("trace", [(0, 2)]),
        ("trace", [(2,)]),
        ("trace", [(2, 2, 2)]),
        ("linalg.vecdot", [(2, 3), (2, 3)]),
        ("linalg.vecdot", [(2, 3), (3,)]),
        ("kron", [(2, 3), (3, 2)]),
        ("kron", [(2, 3), (3,)]),
        ("kron", [(), (3,)]),
        ("kron", [(2, 1, 2), (2, 2)]),
    ],
    ids=str,
)
def test_products(name, shapes):
    check(name, *[noise(*shape) for shape in shapes])


@pytest.mark.parametrize("name", ["mm", "mv", "bmm", "dot", "vdot", "outer", "inner", "matmul", "kron"])
@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float32"),
        ("int64", "int64"),
        ("int8", "int8"),
        ("bool", "bool"),
        ("float16", "float16"),
        ("complex128", "complex128"),
        ("float32", "float64"),
        ("int64", "float32"),
        ("float64", "complex128"),
    ],
    ids="-".join,
)
def test_types_of_products(name, dtypes):
    shapes = {
        "mm": [(2, 3), (3, 2)],
        "mv": [(2, 3), (3,)],
        "bmm": [(2, 2, 3), (2, 3, 2)],
        "matmul": [(2, 2, 3), (3, 2)],
        "inner": [(2, 3), (2, 3)],
        "kron": [(2, 3), (2, 2)],
    }.get(name, [(3,), (3,)])
    check(name, *[noise(*shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes)])


ADDED = [
    ("addmm", [(2, 2), (2, 3), (3, 2)]),
    ("addmm", [(), (2, 3), (3, 2)]),
    ("addmm", [(2,), (2, 3), (3, 2)]),
    ("addmm", [(2, 1), (2, 3), (3, 2)]),
    ("addmm", [(3,), (2, 3), (3, 2)]),
    ("addmm", [(2, 2), (2, 3), (2, 2)]),
    ("addmm", [(1, 2, 2), (2, 3), (3, 2)]),
    ("addmm", [(2, 2), (3,), (3, 2)]),
    ("addmm", [(2, 2), (2, 3), (3,)]),
    ("addmm", [(2, 2), (2, 0), (0, 2)]),
    ("addmv", [(2,), (2, 3), (3,)]),
    ("addmv", [(), (2, 3), (3,)]),
    ("addmv", [(1,), (2, 3), (3,)]),
    ("addmv", [(3,), (2, 3), (3,)]),
    ("addmv", [(2,), (2, 3), (2,)]),
    ("addmv", [(2,), (3,), (3,)]),
    ("addmv", [(1, 2), (2, 3), (3,)]),
    ("addr", [(2, 3), (2,), (3,)]),
    ("addr", [(), (2,), (3,)]),
    ("addr", [(3,), (2,), (3,)]),
    ("addr", [(2, 2), (2,), (3,)]),
    ("addr", [(2, 3), (2, 1), (3,)]),
    ("baddbmm", [(2, 2, 2), (2, 2, 3), (2, 3, 2)]),
    ("baddbmm", [(2, 1), (2, 2, 3), (2, 3, 2)]),
    ("baddbmm", [(), (2, 2, 3), (2, 3, 2)]),
    ("baddbmm", [(3, 2), (2, 2, 3), (2, 3, 2)]),
    ("baddbmm", [(2, 2, 2), (2, 2, 3), (2, 2, 2)]),
    ("baddbmm", [(2,), (2, 2, 3), (1, 3, 2)]),
    ("addbmm", [(2, 2), (2, 2, 3), (2, 3, 2)]),
    ("addbmm", [(2,), (2, 2, 3), (2, 3, 2)]),
    ("addbmm", [(3, 3), (2, 2, 3), (2, 3, 2)]),
    ("addbmm", [(2, 2), (2, 2, 3), (2, 2, 2)]),
    ("addbmm", [(2, 2), (0, 2, 3), (0, 3, 2)]),
]


@pytest.mark.parametrize("name, shapes", ADDED, ids=str)
@pytest.mark.parametrize("factors", [{}, {"beta": 0.5, "alpha": 2}, {"beta": 0, "alpha": -1.5}, {"alpha": 0}], ids=str)
def test_products_added(name, shapes, factors):
    check(lambda engine, *args: getattr(engine, name)(*args, **factors), *[noise(*shape) for shape in shapes])


@pytest.mark.parametrize("dtypes", ["ddd", "fff", "lll", "bbb", "eee", "DDD", "fdd", "dfd", "ddf", "ldd"])
@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "baddbmm", "addbmm"])
def test_types_of_products_added(name, dtypes):
    shapes = next(shapes for each, shapes in ADDED if each == name)
    arrays = [noise(*shape, dtype=dtype if dtype != "b" else "?") for shape, dtype in zip(shapes, dtypes)]
    check(name, *arrays)
    check(lambda engine, *args: getattr(engine, name)(*args, beta=2, alpha=0.5), *arrays)


@pytest.mark.parametrize("dtypes", ["dff", "ffd", "fdf", "lff", "fll", "ddf", "ebb"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_addr_promotes_what_self_expands_to(shape, dtypes):
    arrays = [np.ones(each, "?" if dtype == "b" else dtype) for each, dtype in zip((shape, (2,), (3,)), dtypes)]
    check("addr", *arrays)
    for one in range(3):  # each gradient by itself: torch refuses some
        check("addr", *arrays, grad_for=[one])


@pytest.mark.parametrize("shapes", [((0, 2), (3, 2)), ((2, 2), (0, 2)), ((2, 0), (3, 0)), ((2, 2), (3, 2))], ids=str)
@pytest.mark.parametrize("p", [0.0, 2.0, 3.0])
def test_cdist_of_two_types(shapes, p):
    arrays = np.ones(shapes[0], np.float32), np.ones(shapes[1], np.float64)
    for mode in ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist"):
        check(lambda engine, *args, mode=mode: engine.cdist(*args, p, compute_mode=mode), *arrays, orders=1)


@pytest.mark.parametrize("name", ["bmm", "baddbmm"])
@pytest.mark.parametrize("shapes", [[(2, 2, 0), (2, 0, 2)], [(0, 2, 3), (0, 3, 2)], [(2, 2, 3), (2, 3, 0)]], ids=str)
def test_products_of_nothing_in_two_types(name, shapes):
    """Torch compares no types where there is nothing to multiply; the result has the second's."""
    (b, n, _), (_, _, m) = shapes
    for first, second in ("df", "fd", "lf", "fe"):
        arrays = [noise(*shape, dtype=dtype) for shape, dtype in zip(shapes, (first, second))]
        check(name, *([noise(b, n, m, dtype=first)] if name == "baddbmm" else []), *arrays)


def test_beta_zero_ignores_nan_and_inplace_forms():
    nan = np.full((2, 2), np.nan)
    check(lambda engine, s, a, b: engine.addmm(s, a, b, beta=0), nan, noise(2, 3), noise(3, 2))
    check(lambda engine, s, a, b: s.clone().addmm_(a, b, alpha=2), noise(2, 2), noise(2, 3), noise(3, 2))
    check(lambda engine, s, a, b: s.clone().addmm_(a, b), noise(2), noise(2, 3), noise(3, 2), errors="type")
    check(lambda engine, s, a, b: s.clone().baddbmm_(a, b, beta=3), noise(2, 2, 2), noise(2, 2, 3), noise(2, 3, 2))


def test_layouts_and_operators():
    check(lambda engine, a, b: a @ b, noise(3, 2).T, noise(2, 3).T[::-1])
    check(lambda engine, a, b: a.mT @ b[..., ::2], noise(2, 3, 4), noise(3, 6))
    check(lambda engine, a, b: a.expand(4, 2, 3) @ b, noise(2, 3), noise(3, 2))
    check(lambda engine, a: a @ 2.0, noise(2, 3))
    check(lambda engine, a: 2.0 @ a, noise(2, 3))
    check(lambda engine, a: engine.matmul(a, 2.0), noise(2, 3))
    check(lambda engine, a: engine.mm(a, 2.0), noise(2, 3))
    check(lambda engine, a: a.matmul(a).mm(a).mv(a[0]).dot(a[1]), noise(2, 2), orders=3)


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("ij,j->ij", [(2, 3), (3,)]),
        ("ij->j", [(2, 3)]),
        ("bij,bjk->bik", [(2, 3, 2), (2, 2, 3)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("iii->i", [(2, 2, 2)]),
        ("iij->ij", [(2, 2, 3)]),
        ("iji->j", [(2, 3, 2)]),
        ("...ij,...jk", [(2, 3, 2), (2, 2, 3)]),
        ("i,i", [(3,), (3,)]),
        ("i,j", [(3,), (2,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]),
        ("ij,k->ik", [(2, 3), (4,)]),
        ("i,i,i->", [(3,), (3,), (3,)]),
        ("ij,ij,jk->ik", [(2, 3), (2, 3), (3, 2)]),
        ("...i->i", [(2, 3)]),
        ("...i->...", [(2, 3)]),
        ("i...->...i", [(2, 3, 4)]),
        (" i j , j -> i ", [(2, 3), (3,)]),
        ("Ij->jI", [(2, 3)]),
        ("bA", [(2, 3)]),
        ("", [()]),
        (",", [(), ()]),
        ("->", [()]),
        ("...,...", [(2, 3), (3,)]),
        ("...i,...i->...", [(2, 1, 3), (4, 3)]),
        ("ij,ij->ij", [(1, 3), (2, 3)]),
        ("i,i", [(1,), (3,)]),
        ("ij->...ij", [(2, 3)]),
        ("i->...", [(2,)]),
        ("...->...", [(2,)]),
        ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)]),
        ("ij,jk", [(0, 3), (3, 2)]),
        ("ij,jk", [(2, 0), (0, 2)]),
        ("bi,bj->ij", [(2, 3), (2, 2)]),
        ("ab,bc,cd,de->ae", [(2, 3), (3, 2), (2, 3), (3, 1)]),
        ("ij,ij->ij", [(1, 1), (2, 3)]),
        ("i...j,jk->i...k", [(2, 4, 3), (3, 2)]),
        ("ij,jk->ik", [(2, 3)]),
        ("ij", [(2, 3), (3, 2)]),
        ("ij", [(2,)]),
        ("i", [(2, 3)]),
        ("i...jk", [(2, 3)]),
        ("ij->ik", [(2, 3)]),
        ("ij->ii", [(2, 3)]),
        ("ii->i", [(2, 3)]),
        ("ii->i", [(1, 3)]),
        ("i,i", [(2,), (3,)]),
        ("i.j", [(2, 3)]),
        ("i..j", [(2, 3)]),
        ("...i...", [(2, 3)]),
        ("i1", [(2, 3)]),
        ("i-j", [(2, 3)]),
        ("i->i->i", [(2,)]),
        ("i->ij", [(2,)]),
        ("i-", [(2,)]),
        ("ij->i..", [(2, 3)]),
        ("ij->......", [(2, 3)]),
        ("ij->i2", [(2, 3)]),
        ("...i,...i", [(2, 3), (4, 3)]),
        ("i,", [(2,)]),
        ("i>j", [(2,)]),
    ],
    ids=str,
)
def test_einsum(equation, shapes):
    check(lambda engine, *args: engine.einsum(equation, *args), *[noise(*shape) for shape in shapes])


def test_einsum_arguments_and_types():
    a, b = noise(2, 3), noise(3, 4)
    check(lambda engine, a, b: engine.einsum(a, [0, 1], b, [1, 2], [0, 2]), a, b)
    check(lambda engine, a, b: engine.einsum(a, [Ellipsis, 30], b, [30, 2]), a, b)
    check(lambda engine, a, b: engine.einsum("ij,jk", [a, b]), a, b)
    check(lambda engine, a: engine.einsum(a, [0, 60]), a)
    check(lambda engine, a: engine.einsum(a, [0, -1]), a)
    check(lambda engine, a: engine.einsum(a), a)
    check(lambda engine, a: engine.einsum("ij"), a)
    check(lambda engine, a: engine.einsum(3, a), a)
    check(lambda engine, a: engine.einsum("ij", 3.0), a)
    check(lambda engine, a, b: engine.einsum("ij,ij", a, b), a, a.astype("float32"))
    check(lambda engine, a, b: engine.einsum("ij,ij->ij", a, b), a, a.astype("float32"))
    for dtype in ("int32", "bool", "complex128", "float16"):
        check(lambda engine, a, b: engine.einsum("ij,jk->k", a, b), a.astype(dtype), b.astype(dtype))
        check(lambda engine, a: engine.einsum("ij->j", a), a.astype(dtype))


@pytest.mark.parametrize(
    "shapes, dims",
    [
        ([(2, 3), (3, 4)], 1),
        ([(2, 3), (3, 4)], 2),
        ([(2, 3), (2, 3)], 2),
        ([(2, 3), (4, 5)], 0),
        ([(2, 3), (3, 4)], -1),
        ([(2, 3), (3, 2)], ([1, 0], [0, 1])),
        ([(2, 3), (3, 2)], ([1], [1])),
        ([(2, 3), (3, 2)], ([1, 0], [0])),
        ([(2, 3), (3, 2)], [1, 0]),
        ([(2, 1), (3, 2)], ([1], [0])),
        ([(2, 3), (1, 4)], 1),
        ([(2, 3), (3, 2)], ([2], [0])),
        ([(2, 3), (3, 2)], ([0, 0], [1, 1])),
        ([(3,), (3,)], 1),
        ([(), ()], 0),
        ([(2, 3), (3, 4)], 3),
        ([(2, 3), (3, 4)], 1.5),
        ([(2, 3, 4), (4, 3, 5)], ([-1, 1], [0, 1])),
    ],
    ids=str,
)
def test_tensordot(shapes, dims):
    check(lambda engine, a, b: engine.tensordot(a, b, dims), *[noise(*shape) for shape in shapes])


# ---- torch.linalg: square (A), positive definite (S), wide (W) and tall (T) matrices, and batches --------------------


def _spd(*shape: int) -> np.ndarray:
    half = noise(*shape) + np.eye(shape[-1])
    return half @ np.swapaxes(half, -1, -2) + np.diag(np.arange(1.0, shape[-1] + 1))


A, S, W, T = noise(3, 3) + np.diag([1.0, 2.0, -1.5]), _spd(3, 3), noise(3, 5), noise(5, 3)
BATCH, B, VECTOR = noise(2, 3, 3) + np.diag([3.0, -2.0, 1.0]), noise(3, 2), noise(3)

LINALG = {
    "inv": (lambda t, a: t.linalg.inv(a), A),
    "inverse batch": (lambda t, a: a.inverse(), BATCH),
    "inv_ex": (lambda t, a: t.linalg.inv_ex(a), A),
    "det": (lambda t, a: t.linalg.det(a), A),
    "det batch": (lambda t, a: a.det(), BATCH),
    "det 1x1": (lambda t, a: t.det(a), noise(2, 1, 1)),
    "slogdet": (lambda t, a: t.linalg.slogdet(a), A),
    "slogdet batch": (lambda t, a: t.slogdet(a), BATCH),
    "logdet": (lambda t, a: t.logdet(a), S),
    "solve": (lambda t, a, b: t.linalg.solve(a, b), A, B),
    "solve vector": (lambda t, a, b: t.linalg.solve(a, b), A, VECTOR),
    "solve right": (lambda t, a, b: t.linalg.solve(a, b, left=False), A, noise(2, 3)),
    "solve batch": (lambda t, a, b: t.linalg.solve(a, b), BATCH, B),
    "solve vectors": (lambda t, a, b: t.linalg.solve(a, b), BATCH, noise(2, 3)),
    "solve_ex": (lambda t, a, b: t.linalg.solve_ex(a, b), A, noise(4, 3, 2)),
    "triangular": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), BATCH, B),
    "triangular unit": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=False, unitriangular=True), A, B),
    "triangular right": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=False, left=False), A, noise(2, 3)),
    "triangular_solve": (lambda t, b, a: t.triangular_solve(b, a), B, BATCH),
    "triangular_solve turned": (lambda t, b, a: t.triangular_solve(b, a, False, True), B, A),
    "triangular_solve, the copy": (lambda t, b, a: t.triangular_solve(b, a)[1], B, BATCH),
    "triangular_solve, the solution": (lambda t, b, a: b.triangular_solve(a, unitriangular=True)[0], B, A),
    "lu of nothing": (lambda t, a: t.linalg.lu_factor(a), np.zeros((2, 0, 0))),
    "lstsq of nothing": (lambda t, a, b: t.linalg.lstsq(a, b), np.zeros((0, 3)), np.zeros((0, 2))),
    "lu of many": (lambda t, a: t.linalg.lu(a), noise(8, 4, 4)),
    "cholesky": (lambda t, a: t.linalg.cholesky(a), S),
    "cholesky upper": (lambda t, a: t.linalg.cholesky(a, upper=True), np.stack([S, S * 2])),
    "torch.cholesky": (lambda t, a: (t.cholesky(a), a.cholesky(True)), S),
    "cholesky_ex": (lambda t, a: t.linalg.cholesky_ex(a), S),
    "cholesky_solve": (lambda t, b, a: (t.cholesky_solve(b, a), b.cholesky_solve(a, upper=True)), B, A),
    "cholesky_inverse": (lambda t, a: (t.cholesky_inverse(a), a.cholesky_inverse(upper=True)), A),
    "qr": (lambda t, a: t.linalg.qr(a), T),
    "qr wide": (lambda t, a: t.linalg.qr(a), W),
    "qr complete": (lambda t, a: t.linalg.qr(a, "complete"), W),
    "qr not unique": (lambda t, a: t.linalg.qr(a, "complete"), T),
    "qr r": (lambda t, a: t.linalg.qr(a, "r"), T),
    "torch.qr": (lambda t, a: t.qr(a), A),
    "qr Q": (lambda t, a: t.linalg.qr(a)[0], W),
    "qr R": (lambda t, a: t.linalg.qr(a)[1], W),
    "qr tall R": (lambda t, a: t.linalg.qr(a)[1], T),
    "svdvals": (lambda t, a: t.linalg.svdvals(a), W),
    "svdvals equal": (lambda t, a: t.linalg.svdvals(a), np.eye(3)),
    "svd": (lambda t, a: t.linalg.svd(a), S),
    "svd U": (lambda t, a: t.linalg.svd(a, full_matrices=False)[0].abs(), T),
    "svd V": (lambda t, a: t.linalg.svd(a, full_matrices=False)[2].abs(), W),
    "svd V tall": (lambda t, a: t.linalg.svd(a, full_matrices=False)[2].abs(), T),
    "torch.svd": (lambda t, a: (t.svd(a)[0].abs(), t.svd(a, some=False)[2].abs()), A),
    "svd without uv": (lambda t, a: a.svd(compute_uv=False), W),
    "eigh": (lambda t, a: (t.linalg.eigh(a)[0], t.linalg.eigh(a).eigenvectors.abs()), S),
    "eigvalsh": (lambda t, a: t.linalg.eigvalsh(a, "U"), np.stack([S, A])),
    "eigvalsh equal": (lambda t, a: t.linalg.eigvalsh(a), np.eye(3)),
    "eigvals": (lambda t, a: t.linalg.eigvals(a).abs().sum(), A),
    "eig": (lambda t, a: (t.linalg.eig(a)[1].abs() ** 2).sum(-1), A),
    "lu": (lambda t, a: t.linalg.lu(a), A),
    "lu wide": (lambda t, a: t.linalg.lu(a), W),
    "lu tall": (lambda t, a: t.linalg.lu(a), noise(2, 4, 3)),
    "lu L": (lambda t, a: t.linalg.lu(a)[1], W),
    "lu U": (lambda t, a: t.linalg.lu(a)[2], T),
    "lu_factor": (lambda t, a: t.linalg.lu_factor(a), W),
    "lu_factor_ex": (lambda t, a: t.linalg.lu_factor_ex(a), noise(2, 4, 3)),
    "torch.lu": (lambda t, a: a.lu(), A),
    "lu_solve": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b), BATCH, B),
    "lu_solve adjoint": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b, adjoint=True), A, B),
    "lu_solve right": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b, left=False), A, noise(2, 3)),
    "lu_solve right adjoint": (
        lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b, left=False, adjoint=True),
        A,
        noise(2, 3),
    ),
    "lu_unpack": (lambda t, a, b: (t.lu_unpack(*t.linalg.lu_factor(a)), t.lu_unpack(*t.linalg.lu_factor(b))), W, T),
    "pinv": (lambda t, a: t.linalg.pinv(a), W),
    "pinverse": (lambda t, a: t.pinverse(a), T),
    "pinv hermitian": (lambda t, a: t.linalg.pinv(a, hermitian=True), S),
    "pinv rtol": (lambda t, a: t.linalg.pinv(a, rtol=0.3), W),
    "pinv atol": (lambda t, a: t.linalg.pinv(a, atol=0.3), BATCH),
    "lstsq": (lambda t, a, b: t.linalg.lstsq(a, b), T, noise(5, 2)),
    "lstsq wide": (lambda t, a, b: t.linalg.lstsq(a, b), W, B),
    "lstsq residuals": (lambda t, a, b: t.linalg.lstsq(a, b, driver="gels"), T, noise(5, 2)),
    "lstsq, no residuals": (lambda t, a, b: t.linalg.lstsq(a, b)[1], A, B),
    "lstsq gelsd": (lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd"), noise(2, 4, 2), noise(2, 4, 3)),
    "lstsq vectors": (lambda t, a, b: t.linalg.lstsq(a, b), noise(2, 3, 2), noise(2, 3)),
    "matrix_power": (lambda t, a: [t.linalg.matrix_power(a, n) for n in (1, 2, 3, 5, -1, -2)], BATCH),
    "matrix_power 0": (lambda t, a: a.matrix_power(0), A),
    "matrix_exp": (lambda t, a: t.linalg.matrix_exp(a), A),
    "matrix_exp large": (lambda t, a: t.matrix_exp(a), BATCH * 4),
    "matrix_exp 0": (lambda t, a: a.matrix_exp(), np.zeros((3, 3))),
    "multi_dot 3": (lambda t, *a: t.linalg.multi_dot(a), noise(2, 3), noise(3, 4), noise(4, 2)),
    "multi_dot vectors": (lambda t, *a: t.linalg.multi_dot(a), noise(3), noise(3, 4), noise(4)),
    "multi_dot 5": (
        lambda t, *a: t.linalg.multi_dot(a),
        noise(5, 2),
        noise(2, 7),
        noise(7, 1),
        noise(1, 4),
        noise(4, 3),
    ),
    "chain_matmul": (lambda t, *a: t.chain_matmul(*a), noise(2, 3), noise(3, 4), noise(4, 1)),
    "cross": (lambda t, a, b: (t.cross(a, b), t.cross(a, b, dim=1), t.linalg.cross(a, b[:1])), noise(3, 3), A),
    "vecdot dim": (lambda t, a, b: t.linalg.vecdot(a, b, dim=0), A, B[:, :1]),
    "diagonal": (lambda t, a: t.linalg.diagonal(a, offset=1), BATCH),
    "linalg.matmul": (lambda t, a: t.linalg.matmul(a, a), A),
    "vander": (lambda t, a: t.linalg.vander(a, N=4), VECTOR),
    "tensorsolve": (lambda t, a, b: t.linalg.tensorsolve(a, b), noise(2, 3, 6), noise(2, 3)),
    "tensorinv": (lambda t, a: t.linalg.tensorinv(a, ind=1) * 1, A),
    "norm": (
        lambda t, a: [t.linalg.norm(a, p) for p in (None, "fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))],
        A,
    ),
    "norm vector": (lambda t, a: [t.linalg.norm(a, p) for p in (None, 0, 1, 3, float("inf"))], VECTOR),
    "norm dims": (
        lambda t, a: (
            t.linalg.norm(a, 2, dim=(0, 2)),
            t.linalg.norm(a, 1, dim=(2, 0), keepdim=True),
            t.linalg.norm(a, 3, dim=1),
            t.linalg.norm(a),
        ),
        BATCH,
    ),
    "matrix_norm": (
        lambda t, a: [
            t.linalg.matrix_norm(a, p, dim=d, keepdim=k)
            for p in ("fro", "nuc", -2, float("inf"))
            for d, k in (((-2, -1), False), ((1, 0), True))
        ],
        BATCH,
    ),
    "matrix_norm empty": (
        lambda t, a: [t.linalg.matrix_norm(a, p, keepdim=True) for p in ("fro", "nuc", 1, 2, float("inf"))],
        np.ones((2, 0, 3)),
    ),
    "nuclear_norm": (lambda t, a: t.nuclear_norm(a), A),
    "cond": (
        lambda t, a: (t.linalg.cond(a), t.linalg.cond(a, 2), t.linalg.cond(a, -2), t.linalg.cond(a, "nuc")),
        BATCH,
    ),
    "cond wide": (lambda t, a: t.linalg.cond(a), W),
    "matrix_rank": (
        lambda t, a: (
            t.linalg.matrix_rank(a),
            t.linalg.matrix_rank(a, 0.5),
            t.linalg.matrix_rank(a, hermitian=True),
            t.linalg.matrix_rank(a, atol=1.5),
        ),
        np.stack([np.eye(2), np.ones((2, 2))]),
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("case", LINALG)
def test_linalg(case, dtype):
    call, *arrays = LINALG[case]
    if dtype == "complex128":
        arrays = [each + 0.3j * _skew(each) for each in arrays]
    check(call, *[each.astype(dtype) for each in arrays])


def _skew(matrix: np.ndarray) -> np.ndarray:
    """Imaginary parts that keep a symmetric matrix Hermitian."""
    other = noise(*matrix.shape)[..., ::-1]
    if matrix.ndim > 1 and matrix.shape[-2] == matrix.shape[-1]:
        return other - np.swapaxes(other, -1, -2)
    return other


ERRORS = {
    "wide": noise(2, 3),
    "vector": noise(3),
    "integers": np.ones((2, 2), np.int64),
    "half": np.ones((2, 2), np.float16),
    "singular": np.array([[1.0, 2.0], [2.0, 4.0]]),
    "zeros": np.zeros((2, 2)),
    "batch": np.stack([np.eye(2), np.zeros((2, 2))]),
    "empty": np.ones((0, 0)),
    "empty batch": np.ones((2, 0, 0)),
    "no rows": np.ones((0, 3)),
    "nan": np.array([[np.nan, 1.0], [1.0, 2.0]]),
}
OF_ONE = {
    "inv": lambda t, a: t.linalg.inv(a),
    "inv_ex": lambda t, a: t.linalg.inv_ex(a)[1],
    "det": lambda t, a: t.linalg.det(a),
    "slogdet": lambda t, a: t.slogdet(a),
    "logdet": lambda t, a: t.logdet(a),
    "cholesky": lambda t, a: t.linalg.cholesky(a),
    "torch.cholesky": lambda t, a: t.cholesky(a),
    "cholesky_ex": lambda t, a: t.linalg.cholesky_ex(a)[1],
    "qr": lambda t, a: [each.shape for each in t.linalg.qr(a)],
    "svdvals": lambda t, a: t.linalg.svdvals(a),
    "svd": lambda t, a: [each.shape for each in t.svd(a)],
    "eigh": lambda t, a: [each.shape for each in t.linalg.eigh(a)],
    "eig": lambda t, a: [each.shape for each in t.linalg.eig(a)],
    "lu": lambda t, a: t.linalg.lu(a),
    "lu_factor": lambda t, a: t.linalg.lu_factor(a),
    "pinv": lambda t, a: t.linalg.pinv(a),
    "matrix_exp": lambda t, a: t.linalg.matrix_exp(a),
    "matrix_power": lambda t, a: t.matrix_power(a, 2),
    "inverse power": lambda t, a: t.matrix_power(a, -2),
    "matrix_rank": lambda t, a: t.linalg.matrix_rank(a),
    "cond": lambda t, a: t.linalg.cond(a) * 0,
    "cond 1": lambda t, a: t.linalg.cond(a, 1),
    "matrix_norm": lambda t, a: t.linalg.matrix_norm(a),
    "norm 2": lambda t, a: t.linalg.norm(a, 2),
    "norm nuc": lambda t, a: t.linalg.norm(a, "nuc"),
    "diagonal": lambda t, a: t.linalg.diagonal(a),
    "vander": lambda t, a: t.linalg.vander(a),
    "solve": lambda t, a: t.linalg.solve(a, a),
    "trace": lambda t, a: t.trace(a),
}
# What LAPACK makes of nan is nobody's promise; the small singular values of a singular matrix are rounding;
# in half precision torch takes exp([[1, 1], [1, 1]]) for infinite.
UNDEFINED = {
    ("nan", each)
    for each in (
        "eigh",
        "eig",
        "lu",
        "lu_factor",
        "matrix_rank",
        "matrix_exp",
        "svd",
        "cond",
        "inv",
        "slogdet",
        "solve",
    )
} | {
    ("singular", "svdvals"),
    ("singular", "matrix_exp"),
    ("half", "matrix_exp"),
}


@pytest.mark.parametrize("matrix", ERRORS)
@pytest.mark.parametrize("function", OF_ONE)
def test_values_and_errors_of_one_matrix(function, matrix):
    if (matrix, function) not in UNDEFINED:
        check(OF_ONE[function], ERRORS[matrix], grad_for=[])


I2, X23, V3 = np.eye(2), noise(2, 3), noise(3)


@pytest.mark.parametrize(
    "call, arrays",
    [
        (lambda t, a, b: t.linalg.solve(a, b), (I2, noise(3, 2))),
        (lambda t, a, b: t.linalg.solve(a, b), (X23, X23)),
        (lambda t, a, b: t.linalg.solve(a, b), (I2, X23.astype("f"))),
        (lambda t, a, b: t.linalg.solve(a, b), (I2, V3)),
        (lambda t, a, b: t.linalg.solve(a, b), (V3, V3)),
        (lambda t, a, b: t.linalg.solve(a, b), (noise(3, 2, 2), noise(2, 2, 2))),
        (lambda t, a, b: t.linalg.solve(a, b, left=False), (I2, X23)),
        (lambda t, a, b: t.linalg.solve(a, b), (I2, noise())),
        (lambda t, a, b: t.linalg.solve(a, b, left=False), (noise(1, 1), noise(1))),
        (lambda t, a, b: t.linalg.solve(a, b), (np.stack([I2, I2 * 0]), X23)),
        (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), (I2, noise(3, 2))),
        (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), (X23, X23)),
        (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), (I2.astype("f"), X23)),
        (lambda t, a, b: t.triangular_solve(b, a), (I2, V3)),
        (lambda t, a, b: t.triangular_solve(b, a), (X23, X23)),
        (lambda t, a, b: t.triangular_solve(b, a), (I2, noise(3, 2))),
        (lambda t, a, b: t.triangular_solve(b, a), (I2, X23.astype("f"))),
        (lambda t, a, b: t.triangular_solve(b, a), (np.ones((2, 2), int), np.ones((2, 2), int))),
        (lambda t, a, b: t.cholesky_solve(b, a), (I2, noise(3, 2))),
        (lambda t, a, b: t.linalg.lstsq(a, b), (X23, noise(4, 2, 2))),
        (lambda t, a, b: t.linalg.pinv(a, rtol=b), (I2, np.array(0.5))),
        (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), (I2, V3)),
        (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), (I2 * 0, X23)),
        (lambda t, a: t.linalg.cholesky(a), (np.stack([I2, -I2]),)),
        (lambda t, a: t.linalg.qr(a, "foo"), (I2,)),
        (lambda t, a: t.linalg.eigh(a, "Q"), (I2,)),
        (lambda t, a, b: t.linalg.cross(a, b), (I2, I2)),
        (lambda t, a, b: t.linalg.cross(a, b), (V3, X23)),
        (lambda t, a, b: t.linalg.cross(a, b), (V3, V3.astype("f"))),
        (lambda t, a, b: t.linalg.cross(a, b), (V3.astype(bool), V3.astype(bool))),
        (lambda t, a, b: t.linalg.cross(a, b), (V3.astype(int), V3.astype(int))),
        (lambda t, a, b: t.linalg.cross(a, b), (X23, noise(3, 3))),
        (lambda t, a, b: t.cross(a, b), (I2, I2)),
        (lambda t, a: t.linalg.matrix_power(a, 0.5), (I2,)),
        (lambda t, a: t.linalg.matrix_power(a, 3), (np.ones((2, 2), int),)),
        (lambda t, a: t.linalg.matrix_power(a, -1), (np.ones((2, 2), int),)),
        (lambda t, *a: t.linalg.multi_dot(a), (X23,)),
        (lambda t, *a: t.linalg.multi_dot(a), (X23, X23)),
        (lambda t, *a: t.linalg.multi_dot(a), (X23, noise(3, 2, 2))),
        (lambda t, *a: t.linalg.multi_dot(a), (X23, noise(3, 2, 2), X23)),
        (lambda t, *a: t.linalg.multi_dot(a), (X23, X23.T.astype("f"))),
        (lambda t, *a: t.linalg.multi_dot(a), (noise(), V3)),
        (lambda t, *a: t.chain_matmul(*a), (X23, V3)),
        (lambda t, *a: t.chain_matmul(*a), (X23,)),
        (lambda t, a: t.linalg.norm(a, "foo"), (X23,)),
        (lambda t, a: t.linalg.norm(a, 2), (noise(2, 2, 2),)),
        (lambda t, a: t.linalg.norm(a, 2, dim=(0, 1, 2)), (noise(2, 2, 2),)),
        (lambda t, a: t.linalg.norm(a, "fro"), (V3,)),
        (lambda t, a: t.linalg.norm(a, 3), (X23,)),
        (lambda t, a: t.linalg.norm(a, "fro", dim=0), (X23,)),
        (lambda t, a: t.linalg.matrix_norm(a, dim=(0,)), (X23,)),
        (lambda t, a: t.linalg.matrix_norm(a, dim=(0, 0)), (X23,)),
        (lambda t, a: t.linalg.matrix_norm(a, -2), (np.ones((0, 3)),)),
        (lambda t, a: t.linalg.matrix_norm(a, 2, dtype=t.float64), (X23.astype("f"),)),
        (lambda t, a: t.linalg.matrix_norm(a, dtype=t.float32), (X23,)),
        (lambda t, a: t.linalg.cond(a, 3), (I2,)),
        (lambda t, a: t.linalg.cond(a, "x"), (I2,)),
        (lambda t, a: t.linalg.cond(a, 1), (X23,)),
        (lambda t, a: t.linalg.cond(a), (V3,)),
        (lambda t, a, b: t.linalg.lstsq(a, b), (X23, noise(3, 2))),
        (lambda t, a, b: t.linalg.lstsq(a, b, driver="foo"), (X23, X23)),
        (lambda t, a, b: t.linalg.lstsq(a, b), (V3, V3)),
        (lambda t, a, b: t.linalg.lstsq(a, b), (X23, X23.astype("f"))),
        (lambda t, a, b: t.linalg.lstsq(a, b), (noise(2, 3, 2), noise(3, 3, 2))),
        (lambda t, a: t.linalg.lu(a, pivot=False), (I2,)),
        (lambda t, a: t.linalg.lu_solve(a, t.tensor([1, 2]), a), (I2,)),
        (lambda t, a: t.linalg.pinv(a, hermitian=True), (X23,)),
        (lambda t, a: t.linalg.tensorinv(a), (np.ones((4, 6, 8, 3)),)),
        (lambda t, a: t.linalg.tensorinv(a, 0), (I2,)),
        (lambda t, a, b: t.linalg.tensorsolve(a, b), (noise(2, 3, 4), noise(2))),
        (lambda t, a: t.linalg.vander(a, N=1), (V3,)),
        (lambda t, a, b: t.linalg.vecdot(a, b), (V3, V3.astype("f"))),
        (lambda t, a, b: t.linalg.vecdot(a, b), (X23, I2)),
        (lambda t, a: t.linalg.vecdot(a, a), (V3.astype(int),)),
    ],
)
def test_errors_of_arguments(call, arrays):
    check(call, *arrays)


# ---- where derivatives are special -----------------------------------------------------------------------------------


def test_det_of_singular_matrices():
    """The gradient is the adjugate's transpose. torch says so under create_graph, and zero without it."""
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    check(lambda t, a: t.autograd.grad(t.linalg.det(a), a, create_graph=True)[0] * 1, singular, orders=1, grad_fn=False)
    check(
        lambda t, a: t.autograd.grad(t.linalg.det(a).sum(), a, create_graph=True)[0] * 1,
        np.stack([np.eye(2), singular]),
        orders=1,
    )
    a = minigrad.tensor(singular, requires_grad=True)
    minigrad.linalg.det(a).backward()
    np.testing.assert_allclose(a.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)


def test_slogdet_of_singular_matrices():
    check(lambda t, a: t.linalg.slogdet(a), np.array([[1.0, 2.0], [2.0, 4.0]]), orders=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda t, a: t.linalg.eigh(a)[1].real,
        lambda t, a: t.linalg.svd(a)[0].real,
        lambda t, a: t.linalg.svd(a)[2].real,
        lambda t, a: t.linalg.eig(a)[1].real,
    ],
)
def test_losses_that_depend_on_a_phase_are_refused(call):
    hermitian = S + 1j * _skew(S)
    text = {engine.__name__: _backward_error(engine, call, hermitian) for engine in (torch, minigrad)}
    assert text["torch"] == text["minigrad"]
    assert "ill-defined" in text["torch"]


def _backward_error(engine, call, array):
    leaf = engine.from_numpy(array).requires_grad_()
    with pytest.raises(RuntimeError) as caught:
        call(engine, leaf).sum().backward()
    return str(caught.value)


def test_results_lie_by_columns_as_lapack_leaves_them():
    """What reshapes and views make of them depends on it."""
    arrays = noise(2, 3, 3) + 3 * np.eye(3), noise(2, 3, 2)

    def strides(t):
        a, b = map(t.from_numpy, arrays)
        spd = a @ a.mT
        found = [
            t.linalg.inv(a), t.linalg.solve(a, b), t.linalg.solve(a, b.mT, left=False), t.linalg.cholesky(spd),
            t.linalg.solve_triangular(a, b, upper=True), t.linalg.solve_triangular(a, b.mT, upper=True, left=False),
            t.linalg.eigh(spd)[1], t.linalg.lu_factor(a)[0], t.linalg.lstsq(a, b)[0], t.linalg.cross(a, a, dim=1),
            t.cholesky_solve(b, spd), t.cholesky_inverse(spd), t.linalg.tensorinv(a[0], 1), *t.linalg.qr(b),
            *t.linalg.lu(b), *t.linalg.svd(b, False), *t.svd(b), *t.triangular_solve(b, a),
            t.einsum("bij,bjk->kbi", a, b),
        ]  # fmt: skip
        return [each.stride() for each in found]

    assert strides(minigrad) == strides(torch)


def test_writing_to_what_lu_saved_is_noticed():
    def call(t, a):
        found = t.linalg.lu(a)
        found.P.mul_(2)
        found.L.sum().backward()

    check(call, BATCH, errors="type")


def test_repeated_eigenvalues():
    """Eigenvectors that are not unique have no derivative: nan, as in torch."""
    check(lambda t, a: t.linalg.eigh(a)[1].abs(), np.eye(2), orders=1)
    check(lambda t, a: t.linalg.svd(a)[0].abs(), np.eye(2), orders=1)


def test_gradient_of_the_condition_number_by_the_inverse():
    """torch refuses it: it writes to the inverse that it saved. What the definition gives is compared instead."""

    def defined(t, a):
        return t.linalg.matrix_norm(a, 1) * t.linalg.matrix_norm(t.linalg.inv(a), 1)

    check(lambda t, a: defined(t, a) if t is torch else t.linalg.cond(a, 1), BATCH, grad_fn=False)
    check(lambda t, a: t.linalg.cond(a, 1), np.stack([I2, I2 * 0]), orders=0)


def test_torch_vander():
    """torch cannot differentiate its own: it writes to what it saved."""
    check(lambda t, a: (t.vander(a, 4), t.vander(a, increasing=True)), VECTOR, grad_for=[])
    check(lambda t, a: t.vander(a, 4), VECTOR)
    check(lambda t, a: t.vander(a, -1), VECTOR)
    check(lambda t, a: t.vander(a), I2)


def test_third_order():
    check(lambda t, a: t.linalg.inv(a) @ a.T, A, orders=3)
    check(lambda t, a: t.linalg.det(a), A, orders=3)
    check(lambda t, a: t.linalg.cholesky(a @ a.mT + t.eye(3, dtype=a.dtype)), A, orders=3)
    check(lambda t, a, b: t.einsum("ij,jk,ik->i", a, b, a @ b), A, B, orders=3)


def test_named_tuples_print_as_in_torch():
    def shown(engine):
        matrix = engine.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=engine.float64, requires_grad=True)
        found = [
            engine.linalg.slogdet(matrix),
            engine.slogdet(matrix),
            engine.linalg.inv_ex(matrix),
            engine.linalg.qr(matrix.detach())[1:],
        ]
        return [repr(each) for each in found]

    assert shown(torch) == shown(minigrad)


def test_out_arguments():
    check(lambda t, a: t.mm(a, a, out=t.empty(2, 2, dtype=t.float64)), I2, grad_for=[])
    check(lambda t, a: t.matmul(a, a, out=t.empty(2, 2, dtype=t.float64)), I2, grad_for=[])
    check(lambda t, a: t.mm(a, a, out=t.empty(2, 2, dtype=t.float64)), I2)
