"""Operations that change the shape or the order of elements, join and split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from conformance.program import Arg, Form, Ref, Seq
from conformance.vocabulary.operation import (
    ATTRIBUTE,
    FUNCTION,
    FUNCTION_METHOD,
    METHOD,
    Arguments,
    Draw,
    Operation,
    keywords,
    one,
)


def _seq(items: Iterable[int]) -> Seq:
    return Seq(tuple(items))


def _new_shape(d: Draw) -> tuple[tuple[Ref, Seq], dict[str, Arg]]:
    x = d.x()
    shape = d.shape(x)
    n = math.prod(shape)
    options: list[tuple[int, ...]] = [(n,), (1, n), (n, 1), *([()] if n == 1 else [])]
    options += [(k, n // k) for k in (2, 3) if n and n % k == 0]
    options += [(-1,)] if n else []
    return (x, _seq(d.pick(options))), {}


def _view(d: Draw) -> Arguments:
    (x, shape), _ = _new_shape(d)
    return (d.packed(x), shape), {}


def _order(d: Draw) -> Arguments:
    x = d.x()
    dims = list(range(len(d.shape(x))))
    order = [dims.pop(d.upto(len(dims))) for _ in range(len(dims))]
    return (x, _seq(order)), {}


def _swap(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.dim(x), d.dim(x)), {}


def _matrix(d: Draw) -> Arguments:
    return (d.x(ndim=d.pick((2, 2, 1, 0))),), {}


def _squeeze(d: Draw) -> Arguments:
    x = d.x()
    return ((x,), {}) if d.upto(2) == 0 else ((x, d.dim(x)), {})


def _unsqueeze(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.upto(len(d.shape(x)) + 1) - d.upto(2) * (len(d.shape(x)) + 1)), {}


def _expand(d: Draw) -> Arguments:
    x = d.x()
    shape = tuple(2 if n == 1 else (n if d.upto(2) else -1) for n in d.shape(x))
    return (x, _seq([d.pick((2, 1, 3)), *shape] if d.upto(2) == 0 else shape)), {}


def _flatten(d: Draw) -> Arguments:
    x = d.x()
    n = len(d.shape(x))
    start = d.upto(n)
    return ((x,), {}) if d.upto(2) == 0 else ((x, start, start + d.upto(n - start)), {})


def _cat(d: Draw) -> Arguments:
    x = d.x(least=1)
    shape, dim = d.shape(x), d.upto(len(d.shape(x)))
    other = tuple(d.pick((n, 1, 2)) if i == dim else n for i, n in enumerate(shape))
    return (Seq((x, d.shaped(other))), dim), {}


def _stack(d: Draw) -> Arguments:
    x = d.x()
    shape = d.shape(x)
    return (Seq((x, d.shaped(shape), *([x] if d.upto(3) == 2 else []))), d.upto(len(shape) + 1)), {}


def _split(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.upto(len(d.shape(x)))
    n = d.shape(x)[dim]
    cut = d.upto(n + 1)
    return (x, _seq((cut, n - cut)) if d.upto(2) else d.pick((1, 2)), dim), {}


def _chunk(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.pick((2, 3)), d.dim(x)), {}


def _unbind(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.dim(x)), {}


def _narrow(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.upto(len(d.shape(x)))
    n = d.shape(x)[dim]
    start = d.upto(n)
    return (x, dim, start, d.upto(n - start + 1)), {}


def _select(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim = d.upto(len(d.shape(x)))
    n = d.shape(x)[dim]
    return (x, dim, d.upto(n) - n * d.upto(2)), {}


def _flip(d: Draw) -> Arguments:
    x = d.x()
    dims = d.dims(x) if d.shape(x) else None
    n = len(d.shape(x))
    return (x, _seq(range(n)) if dims is None else dims if isinstance(dims, Seq) else Seq((dims,))), {}


def _roll(d: Draw) -> Arguments:
    x = d.x()
    shift = d.pick((1, -1, 2))
    return ((x, shift), {}) if d.upto(2) == 0 or not d.shape(x) else ((x, shift, d.dim(x)), {})


def _repeat(d: Draw) -> Arguments:
    x = d.x()
    more = [d.pick((2, 1))] if d.upto(3) == 2 else []
    return (x, _seq([*more, *(d.pick((1, 2)) for _ in d.shape(x))])), {}


def _triangle(d: Draw) -> Arguments:
    x = d.x(least=2)
    return ((x,), {}) if d.upto(2) == 0 else ((x, d.pick((1, -1))), {})


def _diagonal(d: Draw) -> Arguments:
    x = d.x(least=2)
    return ((x,), {}) if d.upto(2) == 0 else ((x, d.pick((0, 1, -1)), d.pick((0, -2)), d.pick((1, -1))), {})


def _diag(d: Draw) -> Arguments:
    x = d.x(ndim=d.pick((2, 1)))
    return ((x,), {}) if d.upto(2) == 0 else ((x, d.pick((1, -1))), {})


def _move(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.dim(x), d.dim(x)), {}


def _rows(*ndims: int) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        return (d.x(ndim=d.pick(ndims)),), {}

    return draw


def _least(n: int) -> Callable[[Draw], Arguments]:
    return lambda d: ((d.x(least=n),), {})


def _as(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.constant((2, *d.shape(x)) if d.upto(2) and len(d.shape(x)) < 3 else d.shape(x))), {}


def _same_size(d: Draw) -> Arguments:
    x = d.x()
    n = math.prod(d.shape(x))
    return (d.packed(x), d.constant(d.pick(((n,), (1, n), (n, 1))))), {}


def _broadcast_to(d: Draw) -> Arguments:
    x = d.x()
    shape = tuple(2 if n == 1 else n for n in d.shape(x))
    return (x, _seq((2, *shape) if d.upto(2) and len(shape) < 3 else shape)), {}


def _several(least: int = 0, ndim: int | None = None) -> Callable[[Draw], Arguments]:
    """A tuple of operands of one shape."""

    def draw(d: Draw) -> Arguments:
        x = d.x(ndim=ndim, least=least)
        return (Seq((x, d.shaped(d.shape(x)), *([x] if d.upto(3) == 2 else []))),), {}

    return draw


def _operands(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.like(x)), {}


def _vectors(d: Draw) -> Arguments:
    x = d.x(ndim=1)
    return (x, d.shaped((d.pick((2, 3, 1)),))), {}


def _mesh(d: Draw) -> Arguments:
    args, _ = _vectors(d)
    return args, {"indexing": d.pick(("ij", "xy"))}


def _blocks(d: Draw) -> Arguments:
    x = d.x(ndim=d.pick((2, 1, 0)))
    return (x, d.shaped(d.pick(((2, 1), (2,), ())))), {}


def _sections(dim: int | None, least: int) -> Callable[[Draw], Arguments]:
    """Cut in equal parts (a divisor of the dimension's size) or at places."""

    def draw(d: Draw) -> Arguments:
        x = d.x(least=least)
        shape = d.shape(x)
        at = d.upto(len(shape)) if dim is None else 0 if len(shape) == 1 else dim
        n = shape[at]
        divisors: list[Arg] = [k for k in (1, 2, 3) if n % k == 0] if dim is not None else [2, 3]
        cut = d.pick((*divisors, _seq((1,)), _seq((1, 2)), _seq((0, max(n - 1, 0)))))
        args: tuple[Arg, ...] = (x, cut, at) if dim is None else (x, cut)
        return args, {}

    return draw


def _sizes(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.upto(len(d.shape(x)))
    n = d.shape(x)[dim]
    cut = d.upto(n + 1)
    return (x, _seq((cut, n - cut)), dim), {}


def _rotate(d: Draw) -> Arguments:
    x = d.x(least=2)
    return (x, d.pick((1, 2, 3, -1, 0)), d.pick((_seq((0, 1)), _seq((-1, 0))))), {}


def _unsafe(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, d.pick((1, 2)), d.dim(x)), {}


def _repeat_each(d: Draw) -> Arguments:
    x = d.x(least=1)
    if d.upto(2):
        return (x, d.pick((2, 1, 3))), ({} if d.upto(2) else {"dim": d.dim(x)})
    dim = d.dim(x)
    return (x, d.whole((d.shape(x)[dim],))), {"dim": dim}


def _unflatten(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.dim(x)
    n = d.shape(x)[dim]
    return (
        x,
        dim,
        _seq(d.pick(((n, 1), (1, n), *([(2, n // 2)] if n % 2 == 0 else []), *([(-1, 1)] if n else [])))),
    ), {}


def _unfold(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim = d.dim(x)
    size = 1 + d.upto(d.shape(x)[dim])
    return (x, dim, size, d.pick((1, 2))), {}


def _strided(d: Draw) -> Arguments:
    x = d.fit(d.pick(((2, 3), (6,))))
    return (
        d.packed(x),
        *d.pick(((_seq((2, 2)), _seq((3, 1))), (_seq((3,)), _seq((2,)), 1), (_seq((2, 2)), _seq((1, 2))))),
    ), {}


def _written(part: Callable[[Draw, Ref], tuple[tuple[int, ...], dict[str, Arg]]]) -> Callable[[Draw], Arguments]:
    """An operand and what replaces a part of it."""

    def draw(d: Draw) -> Arguments:
        x = d.x(least=2, nonempty=True)
        shape, kwargs = part(d, x)
        return (x, d.shaped(shape)), kwargs

    return draw


def _selected(d: Draw, x: Ref) -> tuple[tuple[int, ...], dict[str, Arg]]:
    shape = d.shape(x)
    dim = d.upto(len(shape))
    return shape[:dim] + shape[dim + 1 :], {"dim": dim, "index": d.upto(shape[dim])}


def _sliced(d: Draw, x: Ref) -> tuple[tuple[int, ...], dict[str, Arg]]:
    shape = d.shape(x)
    dim = d.upto(len(shape))
    start, step = d.upto(shape[dim]), d.pick((1, 2))
    n = len(range(start, shape[dim], step))
    return (*shape[:dim], n, *shape[dim + 1 :]), {"dim": dim, "start": start, "step": step}


def _on_diagonal(d: Draw, x: Ref) -> tuple[tuple[int, ...], dict[str, Arg]]:
    *batch, n, m = d.shape(x)
    return (*batch, min(n, m)), {"dim1": -2, "dim2": -1}


def _sort(d: Draw) -> Arguments:
    x = d.x()
    return (x,), {"dim": d.dim(x), **keywords(d, {"descending": (..., True), "stable": (True,)})}


def _top(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    dim = d.dim(x)
    return (d.apart(x), 1 + d.upto(d.shape(x)[dim]), dim), keywords(d, {"largest": (..., False)})


def shape(
    name: str, draw: Callable[[Draw], Arguments], forms: tuple[Form, ...] = FUNCTION_METHOD, separate: bool = False
) -> Operation:
    """An operation that only moves elements: results lie where operands lie."""
    return Operation(name, "shape", draw, forms=forms, separate=separate)


OPERATIONS = (
    shape("reshape", _new_shape),
    shape("view", _view, METHOD),
    shape("transpose", _swap),
    shape("permute", _order),
    shape("movedim", _move),
    shape("t", _matrix),
    shape("squeeze", _squeeze),
    shape("unsqueeze", _unsqueeze),
    shape("expand", _expand, METHOD),
    shape("flatten", _flatten),
    shape("cat", _cat, FUNCTION),
    shape("stack", _stack, FUNCTION),
    shape("split", _split),
    shape("chunk", _chunk),
    shape("unbind", _unbind),
    shape("narrow", _narrow),
    shape("select", _select),
    shape("flip", _flip),
    shape("roll", _roll),
    shape("repeat", _repeat, METHOD),
    shape("tril", _triangle),
    shape("triu", _triangle),
    shape("diagonal", _diagonal),
    shape("diag", _diag),
    *(shape(name, _rows(2), ATTRIBUTE) for name in ("T", "H")),
    *(shape(name, _least(2), ATTRIBUTE) for name in ("mT", "mH")),
    *(shape(f"atleast_{n}d", one(), FUNCTION) for n in (1, 2, 3)),
    *(shape(name, _least(2)) for name in ("adjoint", "fliplr")),
    shape("flipud", _least(1)),
    shape("ravel", one()),
    shape("swapaxes", _swap),
    shape("swapdims", _swap),
    shape("narrow_copy", _narrow),
    shape("unsafe_chunk", _chunk),
    shape("unsafe_split", _unsafe),
    shape("broadcast_to", _broadcast_to),
    shape("broadcast_tensors", _operands, FUNCTION, separate=True),
    shape("expand_as", _as, METHOD),
    shape("reshape_as", _same_size, METHOD),
    shape("view_as", _same_size, METHOD),
    shape("as_strided", _strided),
    shape("block_diag", _blocks, FUNCTION),
    *(shape(name, _several(), FUNCTION) for name in ("column_stack", "dstack", "hstack", "vstack")),
    shape("cartesian_prod", _vectors, FUNCTION),
    shape("combinations", lambda d: ((d.x(ndim=1),), keywords(d, {"with_replacement": (..., True)})), FUNCTION),
    shape("meshgrid", _mesh, FUNCTION, separate=True),
    shape("diag_embed", lambda d: ((d.x(ndim=d.pick((1, 2))),), keywords(d, {"offset": (..., 1, -1)}))),
    shape("diagflat", one(), FUNCTION_METHOD),
    shape("hsplit", _sections(1, 1)),
    shape("vsplit", _sections(0, 2)),
    shape("dsplit", _sections(2, 3)),
    shape("tensor_split", _sections(None, 1)),
    *(shape(name, _sizes) for name in ("split_with_sizes", "unsafe_split_with_sizes")),
    shape("rot90", _rotate),
    shape("tile", _repeat),
    shape("repeat_interleave", _repeat_each),
    shape("unflatten", _unflatten),
    shape("unfold", _unfold, METHOD),
    shape("select_scatter", _written(_selected)),
    shape("slice_scatter", _written(_sliced)),
    shape("diagonal_scatter", _written(_on_diagonal)),
    shape("sort", _sort),
    shape("topk", _top),
)
