"""Operations that change the shape or the order of elements, join and split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from conformance.program import Arg, Form, Ref, Seq
from conformance.vocabulary.operation import Arguments, Draw, Operation

METHOD: tuple[Form, ...] = ("method",)
FUNCTION: tuple[Form, ...] = ("function",)


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


def shape(name: str, draw: Callable[[Draw], Arguments], forms: tuple[Form, ...] = ("function", "method")) -> Operation:
    """An operation that only moves elements: results lie where operands lie."""
    return Operation(name, "shape", draw, forms=forms)


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
)
