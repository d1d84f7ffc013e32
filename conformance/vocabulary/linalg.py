"""Products of vectors and matrices; decompositions, systems, determinants and norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.program import Seq
from conformance.vocabulary.operation import (
    FUNCTION,
    Arguments,
    Draw,
    Interval,
    Operation,
    anywhere,
    argument,
    keywords,
    products,
    sums,
)

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


def _addmv(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    m, k = d.shape(x)
    return (d.shaped(d.pick(((m,), (), (1,)))), x, d.shaped((k,))), keywords(
        d, {"beta": (..., 0.5), "alpha": (..., 2.0)}
    )


def _addr(d: Draw) -> Arguments:
    x = d.x(ndim=1)
    (m,), n = d.shape(x), d.pick((2, 3))
    bias = d.shaped(d.pick(((m, n), (n,))))
    return (bias, x, d.shaped((n,), of=x)), keywords(d, {"beta": (..., 0.5), "alpha": (..., 2.0)})


def _batched(summed: bool) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.x(ndim=3)
        b, m, k = d.shape(x)
        n = d.pick((2, 1))
        bias = d.shaped(d.pick(((m, n), (n,)) if summed else ((b, m, n), (m, n), (1, 1, n))))
        return (bias, x, d.shaped((b, k, n))), keywords(d, {"beta": (..., 0.5), "alpha": (..., 2.0)})

    return draw


def _same(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.shaped(d.shape(x))), {"dim": d.dim(x)}


def _cross(d: Draw) -> Arguments:
    x = d.fit(d.pick(((3,), (2, 3), (3, 2))))
    dim = 0 if d.shape(x)[0] == 3 else 1
    return (x, d.shaped(d.shape(x))), {"dim": dim}


def _same_threes(d: Draw) -> Arguments:
    x = d.fit(d.pick(((3,), (2, 3), (1, 2, 3))))
    return (x, d.shaped(d.shape(x))), {}


def _kron(d: Draw) -> Arguments:
    x = d.x()
    return (d.packed(x), d.packed(d.shaped(d.pick(((2,), (2, 1), (), (1, 2)))))), {}  # torch asks for it in places


def _square(*more: tuple[Any, ...], batch: bool = True, **options: tuple[Any, ...]) -> Callable[[Draw], Arguments]:
    """A matrix far from singular, then one of each of the options."""

    def draw(d: Draw) -> Arguments:
        return (d.square(batch), *(argument(d.pick(values)) for values in more)), keywords(d, options)

    return draw


def _exponent(d: Draw) -> Arguments:
    """A small matrix: the exponential of a large one is large, and its last places are the algorithm's own affair."""
    return (d.square(batch=False, spread=0.25),), {}


def _definite(d: Draw) -> Arguments:
    """Cholesky reads one triangle, and the symmetric matrix that it stands for is positive definite."""
    return (d.square(),), keywords(d, {"upper": (..., True)})


def _system(d: Draw) -> Arguments:
    a = d.square()
    *batch, n, _ = d.shape(a)
    matrix = bool(batch) or d.upto(3) > 0
    right = d.shaped((*batch, n, d.pick((1, 2))) if matrix else (n,))
    if matrix and d.shape(right)[-1] == n and d.upto(2):
        return (a, right), {"left": False}
    return (a, right), {}


def _triangular(d: Draw) -> Arguments:
    a = d.square()
    *batch, n, _ = d.shape(a)
    left = d.upto(3) != 0
    right = d.shaped((*batch, n, 2) if left else (*batch, 2, n))
    return (a, right), {
        "upper": d.upto(2) == 1,
        **({} if left else {"left": False}),
        **keywords(d, {"unitriangular": (..., True)}),
    }


def _least_squares(d: Draw) -> Arguments:
    a = d.square()
    *batch, n, _ = d.shape(a)
    return (a, d.shaped((*batch, n, 2))), keywords(d, {"driver": ("gelsd", "gels", "gelsd", "gelss")})


def _multi(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    k = d.shape(x)[1]
    return (Seq((x, d.shaped((k, 2)), d.shaped((2, 3)))),), {}


def _vector_norm(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dims = d.dims(x)
    return (x, argument(d.pick((2, 1, 3, 0.5, float("inf"), float("-inf"))))), {
        "dim": dims,
        **keywords(d, {"keepdim": (..., True)}),
    }


def _as_solution(d: Draw) -> Arguments:
    a = d.square(batch=False)
    return (a, d.shaped((d.shape(a)[0],))), {}


def _vander(d: Draw) -> Arguments:
    return (d.x(ndim=1),), keywords(d, {"N": (..., 2, 3)})


def _factored(d: Draw) -> Arguments:
    """A matrix that stands for its own factors, with rows that change places."""
    a = d.square(batch=False)
    n = d.shape(a)[0]
    return (a, d.pivots(n), d.shaped((n, 2))), keywords(d, {"left": (...,), "adjoint": (..., True)})


def _unpacked(d: Draw) -> Arguments:
    a = d.square(batch=False)
    return (a, d.pivots(d.shape(a)[0])), {}


def _with_factor(d: Draw) -> Arguments:
    a = d.square()
    *batch, n, _ = d.shape(a)
    return (d.shaped((*batch, n, 2)), a), keywords(d, {"upper": (..., True)})


def _with_triangle(d: Draw) -> Arguments:
    a = d.square()
    *batch, n, _ = d.shape(a)
    options = {"upper": (..., False), "transpose": (..., True), "unitriangular": (..., True)}
    return (d.shaped((*batch, n, 2)), a), keywords(d, options)


NORMS = ("fro", "nuc", 2, -2, 1, -1, float("inf"), float("-inf"))


def linalg(name: str, draw: Callable[[Draw], Arguments], **more: Any) -> Operation:
    """An operation on matrices."""
    return Operation(f"linalg.{name}", "linalg", draw, SMALL, anywhere, forms=FUNCTION, odd_values=False, **more)


def old(name: str, draw: Callable[[Draw], Arguments], **more: Any) -> Operation:
    """The same, under a name outside of `linalg`."""
    return Operation(name, "linalg", draw, SMALL, anywhere, odd_values=False, **more)


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
    old("addmv", _addmv, empty=False),
    old("addr", _addr),
    old("addbmm", _batched(summed=True)),
    old("baddbmm", _batched(summed=False)),
    old("vdot", _dot),
    old("kron", _kron),
    old("cross", _cross),
    Operation("__rmatmul__", "matmul", _matmul, SMALL, products, forms=("operator",)),
    old("chain_matmul", lambda d: ((_multi(d)[0][0]).items, {}), forms=FUNCTION),  # type: ignore[union-attr]
    old("logdet", _square()),
    old("slogdet", _square()),
    old("det", _square()),
    old("inverse", _square()),
    old("pinverse", _square(batch=False)),
    old("matrix_exp", _exponent),
    old("matrix_power", _square((2, 3, 1, 0, -1))),
    old("cholesky", _definite),
    old("qr", _square()),
    old("svd", _square(), up_to_sign=(0, 2)),
    old("nuclear_norm", lambda d: ((d.square(batch=False),), {}), forms=FUNCTION),
    linalg("cholesky", _definite),
    linalg("cond", _square((None, 2, -2))),
    linalg("cross", _same_threes),
    linalg("det", _square()),
    linalg("diagonal", _square(offset=(..., 1, -1))),
    linalg("eigh", _square(UPLO=(..., "U")), up_to_sign=(1,)),
    linalg("eigvalsh", _square(UPLO=(..., "U"))),
    linalg("inv", _square()),
    linalg("lstsq", _least_squares, given=("driver",)),  # the default, gelsy, guesses at a matrix without full rank
    linalg("lu", _square()),
    linalg("lu_factor", _square()),
    linalg("matrix_exp", _exponent),
    linalg("matrix_norm", _square(NORMS, keepdim=(..., True))),
    linalg("matrix_power", _square((2, 3, 1, 0, -1))),
    linalg("matrix_rank", _square(atol=(..., 0.01), hermitian=(...,)), gradient=False),
    linalg("multi_dot", _multi),
    linalg("norm", _square((None, *NORMS), batch=False, keepdim=(..., True))),
    linalg("pinv", _square(atol=(..., 0.01), rtol=(..., 1e-9))),
    linalg("qr", _square(mode=(..., "complete"))),
    linalg("slogdet", _square()),
    linalg("solve", _system),
    linalg("solve_triangular", _triangular),
    linalg("svd", _square(full_matrices=(False,)), up_to_sign=(0, 2)),
    linalg("svdvals", _square()),
    linalg("tensorinv", lambda d: ((d.square(batch=False),), {"ind": 1})),
    linalg("tensorsolve", _as_solution),
    linalg("vander", _vander),
    linalg("vecdot", _same),
    linalg("vector_norm", _vector_norm, kinks=(0.0,)),
    linalg("matmul", _matmul),
    linalg("cholesky_ex", _definite),
    linalg("inv_ex", _square()),
    linalg("lu_factor_ex", _square()),
    linalg("solve_ex", _system),
    linalg("lu_solve", _factored),
    old("lu_unpack", _unpacked, forms=FUNCTION),
    old("lu", _square()),
    old("cholesky_inverse", _definite),
    old("cholesky_solve", _with_factor),
    old("triangular_solve", _with_triangle),
    old("vander", _vander, forms=FUNCTION, gradient=False),  # torch's backward fails on its own in-place product
)
