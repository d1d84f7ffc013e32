"""Products of vectors and matrices."""

from __future__ import annotations

from conformance.program import Form, Seq
from conformance.vocabulary.operation import Arguments, Draw, Interval, Operation, products, sums

FUNCTION: tuple[Form, ...] = ("function",)
SMALL: Interval = (-8.0, 8.0)


def _mm(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    return (x, d.shaped((d.shape(x)[1], d.pick((2, 1, 3))))), {}


def _mv(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    return (x, d.shaped(d.shape(x)[1:])), {}


def _bmm(d: Draw) -> Arguments:
    x = d.x(ndim=3)
    b, _, k = d.shape(x)
    return (x, d.shaped((b, k, d.pick((2, 1, 3))))), {}


def _dot(d: Draw) -> Arguments:
    x = d.x(ndim=1)
    return (x, d.shaped(d.shape(x))), {}


def _outer(d: Draw) -> Arguments:
    x = d.x(ndim=1)
    return (x, d.x(ndim=1) if d.upto(2) else d.shaped((d.pick((2, 3, 1)),))), {}


def _matmul(d: Draw) -> Arguments:
    x = d.x(least=1)
    shape = d.shape(x)
    k = shape[-1]
    options = [(k,), (k, 2), (2, k, 3), (1, k, 1)] if len(shape) < 3 else [(k,), (k, 2), (shape[0], k, 2), (1, k, 2)]
    return (x, d.shaped(d.pick(options))), {}


def _einsum(d: Draw) -> Arguments:
    kind = d.upto(6)
    x = d.x(ndim=3 if kind == 5 else 2)
    shape = d.shape(x)
    if kind == 0:
        return ("ij,jk->ik", x, d.shaped((shape[1], 2))), {}
    if kind == 1:
        return ("ij->ji", x), {}
    if kind == 2:
        return ("ij,ij->", x, d.shaped(shape)), {}
    if kind == 3:
        return ("ij,j->ij", x, d.shaped(shape[1:])), {}
    if kind == 4:
        return ("ij->j", x), {}
    return ("bij,bjk->bik", x, d.shaped((shape[0], shape[2], 2))), {}


def _addmm(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    m, k = d.shape(x)
    n = d.pick((2, 1, 3))
    bias = d.shaped(d.pick(((m, n), (n,), (1, n), ())))
    return (bias, x, d.shaped((k, n))), ({"beta": d.number(), "alpha": d.number()} if d.upto(3) == 2 else {})


def _inner(d: Draw) -> Arguments:
    x = d.x(least=1)
    k = d.shape(x)[-1]
    return (x, d.shaped(d.pick(((k,), (2, k))))), {}


def _tensordot(d: Draw) -> Arguments:
    x = d.x(least=1)
    shape = d.shape(x)
    kind = d.upto(3)
    if kind == 0:
        return (x, d.shaped((shape[-1], 2))), {"dims": 1}
    if kind == 1:
        return (x, d.shaped((2, shape[0]))), {"dims": Seq((Seq((0,)), Seq((1,))))}
    return (x, d.shaped((2,))), {"dims": 0}


OPERATIONS = (
    Operation("matmul", "matmul", _matmul, SMALL, products, forms=("function", "method", "operator")),
    Operation("mm", "matmul", _mm, SMALL, products),
    Operation("mv", "matmul", _mv, SMALL, products),
    Operation("bmm", "matmul", _bmm, SMALL, products),
    Operation("dot", "matmul", _dot, SMALL, products),
    Operation("outer", "matmul", _outer, SMALL, products),
    Operation("inner", "matmul", _inner, SMALL, products),
    Operation("addmm", "matmul", _addmm, SMALL, lambda o, s: products([*o, (-9, 9)], s + 1)),
    Operation("einsum", "matmul", _einsum, SMALL, products, forms=FUNCTION),
    Operation("tensordot", "matmul", _tensordot, SMALL, products, forms=FUNCTION),
    Operation("trace", "matmul", lambda d: ((d.x(ndim=2),), {}), range=sums),
)
