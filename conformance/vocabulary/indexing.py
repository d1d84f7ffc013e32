"""Indexing, gathering, scattering and masking."""

from __future__ import annotations

import math

from conformance.program import Arg, Dots, Form, Ref, Seq, Slice
from conformance.vocabulary.operation import Arguments, Draw, Operation, anywhere, sums

OPERATOR: tuple[Form, ...] = ("operator",)


def _part(d: Draw, n: int) -> Arg:
    """An integer or a slice for a dimension of n elements (torch has no negative step)."""
    if n and d.upto(2) == 0:
        return d.upto(n) - n * d.upto(2)
    return d.pick((Slice(), Slice(1), Slice(None, -1), Slice(None, None, 2), Slice(-2, None), Slice(0, 2)))


def _getitem(d: Draw) -> Arguments:
    x = d.x(least=1)
    shape = d.shape(x)
    kind = d.upto(6)
    index: Arg
    if kind == 0:
        index = _part(d, shape[0])
    elif kind == 1:
        index = Seq(tuple(_part(d, n) for n in shape))
    elif kind == 2:
        index = Seq((Dots(), _part(d, shape[-1])) if d.upto(2) else (None, Dots(), None))
    elif kind == 3:
        index = d.mask(shape[: 1 + d.upto(len(shape))], sizes=True)
    elif not shape[0]:
        index = Slice()
    elif kind == 4 or len(shape) < 2 or not shape[1]:
        index = d.index(d.pick(((2,), (3,), (2, 2), ())), shape[0])
    else:
        index = Seq((d.index((3,), shape[0]), d.index((3,), shape[1]) if d.upto(2) else _part(d, shape[1])))
    return (x, index), {}


def _dim(d: Draw, x: Ref) -> tuple[int, int]:
    """A dimension and its size (1 for 0-d)."""
    shape = d.shape(x)
    dim = d.upto(len(shape))
    return dim, shape[dim] if shape else 1


def _index_select(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim, n = _dim(d, x)
    return (x, dim, d.index((d.pick((2, 3, 1)),) if d.shape(x) else (1,), n)), {}


def _gather(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim, n = _dim(d, x)
    shape = tuple(d.pick((n, 1, 3)) if i == dim else m for i, m in enumerate(d.shape(x)))
    return (x, dim, d.index(shape, n)), {}


def _masked_fill(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.mask(d.shape(x)), d.number()), {}


def _masked_select(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.mask(d.shape(x), sizes=True)), {}


def _scatter_add(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim, n = _dim(d, x)
    shape = d.shape(x)
    return (x, dim, d.index(shape, n), d.shaped(shape)), {}


def _index_add(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim, n = _dim(d, x)
    count = d.pick((2, 3, 1))
    source = tuple(count if i == dim else m for i, m in enumerate(d.shape(x)))
    return (x, dim, d.index((count,), n), d.shaped(source)), ({"alpha": d.number()} if d.upto(3) == 2 else {})


def _take(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.index(d.pick(((2,), (3,), (2, 2), ())), math.prod(d.shape(x)))), {}


def _copied(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim, n = _dim(d, x)
    source = tuple(n if i == dim else m for i, m in enumerate(d.shape(x)))
    return (x, dim, d.index((n,), n), d.shaped(source)), {}


def _filled(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim, n = _dim(d, x)
    return (x, dim, d.index((d.pick((2, 1)),), n), d.shaped(()) if d.upto(2) else d.number()), {}


def _put(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    shape = d.shape(x)
    parts = tuple(d.index((3,), n) for n in shape[: 1 + d.upto(len(shape))])
    values = d.shaped((3, *shape[len(parts) :]) if d.upto(3) else ())
    return (x, Seq(parts), values), ({"accumulate": True} if d.upto(2) else {})


def _put_flat(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    n = math.prod(d.shape(x))
    count = 1 + d.upto(min(n, 3))
    if d.upto(2):
        return (x, d.index((count + 1,), n), d.shaped((count + 1,))), {"accumulate": True}
    return (x, d.places((count,), n), d.shaped((count,))), {}  # torch leaves open which of several stays


def _scatter(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim, n = _dim(d, x)
    shape = d.shape(x)
    return (x, dim, d.index(shape, n), d.shaped(shape) if d.upto(3) else d.number()), {}


def _scatter_reduce(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim, n = _dim(d, x)
    shape = d.shape(x)
    way = d.pick(("sum", "prod", "mean", "amax", "amin"))
    more: dict[str, Arg] = {"include_self": False} if d.upto(3) == 2 else {}
    return (x, dim, d.index(shape, n), d.shaped(shape), way), more


def _masked_scatter(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.mask(d.shape(x)), d.shaped(d.shape(x))), {}


def _take_along(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim, n = _dim(d, x)
    shape = tuple(d.pick((n, 1, 3)) if i == dim else m for i, m in enumerate(d.shape(x)))
    return (x, d.index(shape, n), dim), {}


OPERATIONS = (
    Operation("__getitem__", "indexing", _getitem, forms=OPERATOR),
    Operation("index_select", "indexing", _index_select),
    Operation("gather", "indexing", _gather),
    Operation("take", "indexing", _take),
    Operation("masked_fill", "indexing", _masked_fill),
    Operation("masked_select", "indexing", _masked_select),
    Operation("scatter_add", "indexing", _scatter_add, range=sums),
    Operation("index_add", "indexing", _index_add, range=lambda o, s: sums([*o, (-3 * 32.0, 3 * 32.0)], s)),
    Operation("index_copy", "indexing", _copied),
    Operation("index_fill", "indexing", _filled),
    Operation("index_put", "indexing", _put, range=lambda o, s: sums([*o, (-3, 3)], s)),
    Operation("put", "indexing", _put_flat, range=sums),
    Operation("scatter", "indexing", _scatter),
    Operation("scatter_reduce", "indexing", _scatter_reduce, (0.5, 2.0), anywhere),
    Operation("masked_scatter", "indexing", _masked_scatter),
    Operation("take_along_dim", "indexing", _take_along),
)
