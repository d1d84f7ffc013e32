"""Reductions over all elements or some dimensions, cumulative operations, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

from conformance.program import Arg, Ref
from conformance.vocabulary.operation import (
    Arguments,
    Draw,
    Operation,
    hull,
    largest,
    product,
    sums,
    within,
)


def _keep(d: Draw) -> dict[str, Arg]:
    return {"keepdim": True} if d.upto(3) == 2 else {}


def _some(d: Draw) -> Arguments:
    x = d.x()
    dims = d.dims(x)
    return ((x,), {}) if dims is None else ((x, dims), _keep(d))


def _some_full(d: Draw) -> Arguments:
    """As `_some`, of at least one element."""
    x = d.x(nonempty=True)
    dims = d.dims(x)
    return ((x,), {}) if dims is None else ((x, dims), _keep(d))


def _one_or_all(nonempty: bool = True) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.x(nonempty=nonempty)
        return ((x,), {}) if d.upto(2) == 0 else ((x, d.dim(x)), _keep(d))

    return draw


def _must(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.dim(x)), _keep(d)


def _along(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.dim(x)), {}


def _count(d: Draw, x: Ref, dims: Arg) -> int:
    from conformance.program import Seq

    shape = d.shape(x)
    if dims is None or not shape:
        return math.prod(shape)
    chosen = dims.items if isinstance(dims, Seq) else (dims,)
    return math.prod(shape[i] for i in chosen if isinstance(i, int))


def _spread(d: Draw) -> Arguments:
    """Variance and deviation: of one element, the unbiased one is nan, so the biased one is asked for."""
    x = d.x(nonempty=True)
    dims = d.dims(x)
    biased = _count(d, x, dims) < 2 or d.upto(4) == 3
    kwargs: dict[str, Arg] = {"correction": 0} if biased else {}
    return (x,), kwargs if dims is None else {"dim": dims, **kwargs, **_keep(d)}


def _norm(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    p: float | int = d.pick((2, 1, 3, 2.5, math.inf))
    from conformance.program import Special

    power: Arg = Special("inf") if p == math.inf else p
    return ((x, power), {}) if d.upto(2) == 0 else ((x, power, d.dim(x)), _keep(d))


TIES = (1.0, 0.5)

OPERATIONS = (
    Operation("sum", "reduction", _some, range=sums),
    Operation("mean", "reduction", _some_full),
    Operation("prod", "reduction", _one_or_all(False), (-1.5, 1.5), lambda _o, s: (-(1.5**s), 1.5**s), (0.0,)),
    Operation("amax", "reduction", _some_full, kinks=TIES),
    Operation("amin", "reduction", _some_full, kinks=TIES),
    Operation("max", "reduction", _one_or_all(), kinks=TIES),
    Operation("min", "reduction", _one_or_all(), kinks=TIES),
    Operation("median", "reduction", _one_or_all(), kinks=TIES),
    Operation("var", "reduction", _spread, (-8.0, 8.0), largest(lambda v: 2 * v * v), kinks=(1.0,)),
    Operation("std", "reduction", _spread, range=largest(lambda v: 2 * v), kinks=(1.0,)),
    Operation("norm", "reduction", _norm, range=sums, kinks=(0.0,)),
    Operation("logsumexp", "reduction", _must, range=lambda o, s: (hull(o)[0], hull(o)[1] + math.log(s + 1))),
    Operation("cumsum", "reduction", _along, range=sums),
    Operation("cumprod", "reduction", _along, (-1.5, 1.5), lambda _o, s: (-(1.5**s), 1.5**s), (0.0,)),
    Operation("softmax", "reduction", _along, (-8.0, 8.0), within(0, 1)),
    Operation("log_softmax", "reduction", _along, (-8.0, 8.0), lambda o, _: product([hull(o), (-3, 3)], 0)),
)
