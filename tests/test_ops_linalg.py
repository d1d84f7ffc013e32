"""Products of vectors and matrices, and linalg, against torch."""

from __future__ import annotations

import numpy as np
import pytest

from against_torch import check


def ramp(*shape: int, dtype: str = "float64") -> np.ndarray:
    """Numbers that are all different, in a fixed order."""
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 1.3 + 0.5 + len(shape)) * 2).reshape(shape).astype(dtype)


SHAPES = [(), (3,), (2, 3), (3, 2), (4, 3, 2), (4, 2, 3), (1, 3, 2), (5, 4, 3, 2), (5, 1, 2, 3), (4, 3, 1), (0, 3), (3, 0)]


@pytest.mark.parametrize("other", SHAPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matmul_of_any_ranks(shape, other):
    check("matmul", ramp(*shape), ramp(*other))
    check("matmul", ramp(*shape), ramp(*other), grad_for=[0])
    check("matmul", ramp(*shape), ramp(*other), grad_for=[1])


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("mm", [(2, 3), (3, 2)]), ("mm", [(2, 3), (2, 3)]), ("mm", [(2,), (2, 3)]), ("mm", [(2, 3), (3,)]), ("mm", [(0, 3), (3, 0)]),
        ("mv", [(2, 3), (3,)]), ("mv", [(2, 3), (2,)]), ("mv", [(2,), (2,)]), ("mv", [(2, 3), (3, 1)]), ("mv", [(2, 0), (0,)]),
        ("bmm", [(2, 2, 3), (2, 3, 4)]), ("bmm", [(2, 3), (3, 2)]), ("bmm", [(2, 2, 3), (2, 2, 3)]), ("bmm", [(1, 2, 3), (2, 3, 2)]),
        ("dot", [(3,), (3,)]), ("dot", [(2,), (3,)]), ("dot", [(2, 2), (2,)]), ("dot", [(2,), (1,)]), ("dot", [(0,), (0,)]),
        ("vdot", [(3,), (3,)]), ("vdot", [(2,), (3,)]), ("vdot", [(), (2,)]),
        ("outer", [(2,), (3,)]), ("outer", [(2, 2), (2,)]), ("ger", [(2,), (0,)]), ("outer", [(2,), ()]),
        ("inner", [(3,), (3,)]), ("inner", [(2, 3), (4, 3)]), ("inner", [(2, 2, 3), (3,)]), ("inner", [(), (4, 3)]),
        ("inner", [(2, 3), (4, 2)]), ("inner", [(2, 3), (4, 1)]), ("inner", [(2, 0), (4, 0)]),
        ("trace", [(2, 2)]), ("trace", [(2, 3)]), ("trace", [(3, 2)]), ("trace", [(0, 2)]), ("trace", [(2,)]), ("trace", [(2, 2, 2)]),
        ("linalg.vecdot", [(2, 3), (2, 3)]), ("linalg.vecdot", [(2, 3), (3,)]),
        ("kron", [(2, 3), (3, 2)]), ("kron", [(2, 3), (3,)]), ("kron", [(), (3,)]), ("kron", [(2, 1, 2), (2, 2)]),
    ],
    ids=str,
)  # fmt: skip
def test_products(name, shapes):
    check(name, *[ramp(*shape) for shape in shapes])


@pytest.mark.parametrize("name", ["mm", "mv", "bmm", "dot", "vdot", "outer", "inner", "matmul", "kron"])
@pytest.mark.parametrize(
    "dtypes",
    [("float32", "float32"), ("int64", "int64"), ("int8", "int8"), ("bool", "bool"), ("float16", "float16"), ("complex128", "complex128"),
     ("float32", "float64"), ("int64", "float32"), ("float64", "complex128")],
    ids="-".join,
)  # fmt: skip
def test_types_of_products(name, dtypes):
    shapes = {"mm": [(2, 3), (3, 2)], "mv": [(2, 3), (3,)], "bmm": [(2, 2, 3), (2, 3, 2)], "matmul": [(2, 2, 3), (3, 2)],
              "inner": [(2, 3), (2, 3)], "kron": [(2, 3), (2, 2)]}.get(name, [(3,), (3,)])  # fmt: skip
    check(name, *[ramp(*shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes)])


ADDED = [
    ("addmm", [(2, 2), (2, 3), (3, 2)]), ("addmm", [(), (2, 3), (3, 2)]), ("addmm", [(2,), (2, 3), (3, 2)]), ("addmm", [(2, 1), (2, 3), (3, 2)]),
    ("addmm", [(3,), (2, 3), (3, 2)]), ("addmm", [(2, 2), (2, 3), (2, 2)]), ("addmm", [(1, 2, 2), (2, 3), (3, 2)]), ("addmm", [(2, 2), (3,), (3, 2)]),
    ("addmm", [(2, 2), (2, 3), (3,)]), ("addmm", [(2, 2), (2, 0), (0, 2)]),
    ("addmv", [(2,), (2, 3), (3,)]), ("addmv", [(), (2, 3), (3,)]), ("addmv", [(1,), (2, 3), (3,)]), ("addmv", [(3,), (2, 3), (3,)]),
    ("addmv", [(2,), (2, 3), (2,)]), ("addmv", [(2,), (3,), (3,)]), ("addmv", [(1, 2), (2, 3), (3,)]),
    ("addr", [(2, 3), (2,), (3,)]), ("addr", [(), (2,), (3,)]), ("addr", [(3,), (2,), (3,)]), ("addr", [(2, 2), (2,), (3,)]), ("addr", [(2, 3), (2, 1), (3,)]),
    ("baddbmm", [(2, 2, 2), (2, 2, 3), (2, 3, 2)]), ("baddbmm", [(2, 1), (2, 2, 3), (2, 3, 2)]), ("baddbmm", [(), (2, 2, 3), (2, 3, 2)]),
    ("baddbmm", [(3, 2), (2, 2, 3), (2, 3, 2)]), ("baddbmm", [(2, 2, 2), (2, 2, 3), (2, 2, 2)]), ("baddbmm", [(2,), (2, 2, 3), (1, 3, 2)]),
    ("addbmm", [(2, 2), (2, 2, 3), (2, 3, 2)]), ("addbmm", [(2,), (2, 2, 3), (2, 3, 2)]), ("addbmm", [(3, 3), (2, 2, 3), (2, 3, 2)]),
    ("addbmm", [(2, 2), (2, 2, 3), (2, 2, 2)]), ("addbmm", [(2, 2), (0, 2, 3), (0, 3, 2)]),
]  # fmt: skip


@pytest.mark.parametrize("name, shapes", ADDED, ids=str)
@pytest.mark.parametrize("factors", [{}, {"beta": 0.5, "alpha": 2}, {"beta": 0, "alpha": -1.5}, {"alpha": 0}], ids=str)
def test_products_added(name, shapes, factors):
    check(lambda engine, *args: getattr(engine, name)(*args, **factors), *[ramp(*shape) for shape in shapes])


@pytest.mark.parametrize("dtypes", ["ddd", "fff", "lll", "bbb", "eee", "DDD", "fdd", "dfd", "ddf", "ldd"])
@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "baddbmm", "addbmm"])
def test_types_of_products_added(name, dtypes):
    shapes = next(shapes for each, shapes in ADDED if each == name)
    arrays = [ramp(*shape, dtype=dtype if dtype != "b" else "?") for shape, dtype in zip(shapes, dtypes)]
    check(name, *arrays)
    check(lambda engine, *args: getattr(engine, name)(*args, beta=2, alpha=0.5), *arrays)


def test_beta_zero_ignores_nan_and_inplace_forms():
    nan = np.full((2, 2), np.nan)
    check(lambda engine, s, a, b: engine.addmm(s, a, b, beta=0), nan, ramp(2, 3), ramp(3, 2))
    check(lambda engine, s, a, b: s.clone().addmm_(a, b, alpha=2), ramp(2, 2), ramp(2, 3), ramp(3, 2))
    check(lambda engine, s, a, b: s.clone().addmm_(a, b), ramp(2), ramp(2, 3), ramp(3, 2), errors="type")
    check(lambda engine, s, a, b: s.clone().baddbmm_(a, b, beta=3), ramp(2, 2, 2), ramp(2, 2, 3), ramp(2, 3, 2))


def test_layouts_and_operators():
    check(lambda engine, a, b: a @ b, ramp(3, 2).T, ramp(2, 3).T[::-1])
    check(lambda engine, a, b: a.mT @ b[..., ::2], ramp(2, 3, 4), ramp(3, 6))
    check(lambda engine, a, b: a.expand(4, 2, 3) @ b, ramp(2, 3), ramp(3, 2))
    check(lambda engine, a: a @ 2.0, ramp(2, 3))
    check(lambda engine, a: 2.0 @ a, ramp(2, 3))
    check(lambda engine, a: engine.matmul(a, 2.0), ramp(2, 3))
    check(lambda engine, a: engine.mm(a, 2.0), ramp(2, 3))
    check(lambda engine, a: a.matmul(a).mm(a).mv(a[0]).dot(a[1]), ramp(2, 2), orders=3)


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]), ("ij,ij->", [(2, 3), (2, 3)]), ("ij,j->ij", [(2, 3), (3,)]),
        ("ij->j", [(2, 3)]), ("bij,bjk->bik", [(2, 3, 2), (2, 2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("iii->i", [(2, 2, 2)]),
        ("iij->ij", [(2, 2, 3)]), ("iji->j", [(2, 3, 2)]), ("...ij,...jk", [(2, 3, 2), (2, 2, 3)]), ("i,i", [(3,), (3,)]), ("i,j", [(3,), (2,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]), ("ij,k->ik", [(2, 3), (4,)]), ("i,i,i->", [(3,), (3,), (3,)]), ("ij,ij,jk->ik", [(2, 3), (2, 3), (3, 2)]),
        ("...i->i", [(2, 3)]), ("...i->...", [(2, 3)]), ("i...->...i", [(2, 3, 4)]), (" i j , j -> i ", [(2, 3), (3,)]), ("Ij->jI", [(2, 3)]),
        ("bA", [(2, 3)]), ("", [()]), (",", [(), ()]), ("->", [()]), ("...,...", [(2, 3), (3,)]), ("...i,...i->...", [(2, 1, 3), (4, 3)]),
        ("ij,ij->ij", [(1, 3), (2, 3)]), ("i,i", [(1,), (3,)]), ("ij->...ij", [(2, 3)]), ("i->...", [(2,)]), ("...->...", [(2,)]),
        ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)]), ("ij,jk", [(0, 3), (3, 2)]), ("ij,jk", [(2, 0), (0, 2)]), ("bi,bj->ij", [(2, 3), (2, 2)]),
        ("ab,bc,cd,de->ae", [(2, 3), (3, 2), (2, 3), (3, 1)]), ("ij,ij->ij", [(1, 1), (2, 3)]), ("i...j,jk->i...k", [(2, 4, 3), (3, 2)]),
        ("ij,jk->ik", [(2, 3)]), ("ij", [(2, 3), (3, 2)]), ("ij", [(2,)]), ("i", [(2, 3)]), ("i...jk", [(2, 3)]), ("ij->ik", [(2, 3)]), ("ij->ii", [(2, 3)]),
        ("ii->i", [(2, 3)]), ("ii->i", [(1, 3)]), ("i,i", [(2,), (3,)]), ("i.j", [(2, 3)]), ("i..j", [(2, 3)]), ("...i...", [(2, 3)]), ("i1", [(2, 3)]),
        ("i-j", [(2, 3)]), ("i->i->i", [(2,)]), ("i->ij", [(2,)]), ("i-", [(2,)]), ("ij->i..", [(2, 3)]), ("ij->......", [(2, 3)]), ("ij->i2", [(2, 3)]),
        ("...i,...i", [(2, 3), (4, 3)]), ("i,", [(2,)]), ("i>j", [(2,)]),
    ],
    ids=str,
)  # fmt: skip
def test_einsum(equation, shapes):
    check(lambda engine, *args: engine.einsum(equation, *args), *[ramp(*shape) for shape in shapes])


def test_einsum_arguments_and_types():
    a, b = ramp(2, 3), ramp(3, 4)
    check(lambda engine, a, b: engine.einsum(a, [0, 1], b, [1, 2], [0, 2]), a, b)
    check(lambda engine, a, b: engine.einsum(a, [Ellipsis, 30], b, [30, 2]), a, b)
    check(lambda engine, a, b: engine.einsum("ij,jk", [a, b]), a, b)
    for bad in ([0, 60], [0, -1]):
        check(lambda engine, a: engine.einsum(a, bad), a)
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
        ([(2, 3), (3, 4)], 1), ([(2, 3), (3, 4)], 2), ([(2, 3), (2, 3)], 2), ([(2, 3), (4, 5)], 0), ([(2, 3), (3, 4)], -1),
        ([(2, 3), (3, 2)], ([1, 0], [0, 1])), ([(2, 3), (3, 2)], ([1], [1])), ([(2, 3), (3, 2)], ([1, 0], [0])), ([(2, 3), (3, 2)], [1, 0]),
        ([(2, 1), (3, 2)], ([1], [0])), ([(2, 3), (1, 4)], 1), ([(2, 3), (3, 2)], ([2], [0])), ([(2, 3), (3, 2)], ([0, 0], [1, 1])),
        ([(3,), (3,)], 1), ([(), ()], 0), ([(2, 3), (3, 4)], 3), ([(2, 3), (3, 4)], 1.5), ([(2, 3, 4), (4, 3, 5)], ([-1, 1], [0, 1])),
    ],
    ids=str,
)  # fmt: skip
def test_tensordot(shapes, dims):
    check(lambda engine, a, b: engine.tensordot(a, b, dims), *[ramp(*shape) for shape in shapes])
