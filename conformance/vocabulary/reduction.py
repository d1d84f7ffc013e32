"""Reductions over all elements or some dimensions, cumulative operations, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from conformance.program import Arg, Ref, Seq, Special
from conformance.vocabulary.operation import (
    FUNCTION,
    Arguments,
    Draw,
    Interval,
    Operation,
    anywhere,
    argument,
    hull,
    keywords,
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


def _one_or_all(nonempty: bool = True, unshared: bool = False) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.x(nonempty=nonempty)
        x = d.unshared(x) if unshared else x
        return ((x,), {}) if d.upto(2) == 0 else ((x, d.dim(x)), _keep(d))

    return draw


#: Torch's median writes over an expanded tensor's memory while it looks for the result.
_MEDIAN: Final = _one_or_all(unshared=True)


def _must(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.dim(x)), _keep(d)


def _along(d: Draw) -> Arguments:
    x = d.x()
    return (x, d.dim(x)), {}


def _count(d: Draw, x: Ref, dims: Arg) -> int:
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
    power: Arg = Special("inf") if p == math.inf else p
    return ((x, power), {}) if d.upto(2) == 0 else ((x, power, d.dim(x)), _keep(d))


def _both(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return ((x,), {}) if d.upto(2) == 0 else ((x,), {"dim": d.dim(x), **_keep(d)})


def _kth(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    dim = d.dim(x)
    return (x, 1 + d.upto(d.shape(x)[dim] if d.shape(x) else 1), dim), _keep(d)


def _quantile(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    way = keywords(d, {"interpolation": (..., "lower", "higher", "midpoint", "nearest")})
    q = d.pick((0.5, 0.25, 0.9))
    return ((x, q), way) if d.upto(2) == 0 else ((x, q), {"dim": d.dim(x), **_keep(d), **way})


def _matrix(least: int = 1) -> Callable[[Draw], Arguments]:
    """Variables in rows, at least two observations."""

    def draw(d: Draw) -> Arguments:
        value = d.fit((d.pick((2, 3)), 3))
        if not least:  # the correlation of a constant row is nan, which no operation's domain has
            value = d.apart(value)
        return (value,), keywords(d, {"correction": (..., 0)} if least else {})

    return draw


def _dist(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.like(x), argument(d.pick((2, 1, 3.0, math.inf)))), {}


def _trapezoid(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.dim(x)
    if d.upto(2):
        return (x,), {"dim": dim, **keywords(d, {"dx": (..., 0.5)})}
    return (x, d.shaped((d.shape(x)[dim],))), {"dim": dim}


def _diff(d: Draw) -> Arguments:
    x = d.x(least=1)
    dim = d.dim(x)
    extra = {k: d.shaped(d.shape(x)) for k in ("prepend", "append") if d.upto(3) == 2}
    return (x,), {"n": d.pick((1, 2)), "dim": dim, **extra}


def _gradient(d: Draw) -> Arguments:
    x = d.fit(d.pick(((4,), (3, 4), (2, 3, 3))))
    n = len(d.shape(x))
    dim = d.upto(n) - n * d.upto(2)
    return (x,), {"dim": dim, **keywords(d, {"spacing": (..., 2.0, 0.5), "edge_order": (..., 1)})}


def _pairwise(d: Draw) -> Arguments:
    x = d.x(ndim=d.pick((2, 3)))
    *batch, _, k = d.shape(x)
    return (x, d.shaped((*batch, d.pick((2, 3)), k)), argument(d.pick((2.0, 1.0, 3.0, math.inf)))), {}


def _similar(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    return (x, d.shaped(d.shape(x))), {"dim": d.dim(x)}


def _similar_pairs(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    return (x, d.shaped(d.shape(x))), keywords(d, {"p": (..., 1.0, 3.0), "keepdim": (..., True)})


def _sorted(d: Draw) -> Arguments:
    x = d.x()
    return (d.apart(x), d.dim(x)), keywords(d, {"descending": (..., True)})


def reduction(
    name: str,
    draw: Callable[[Draw], Arguments],
    domain: Interval = (-32.0, 32.0),
    range: Callable[..., Interval] = lambda o, _: hull(o),
    kinks: tuple[float, ...] = (),
    **more: Any,
) -> Operation:
    """An operation that reduces, accumulates or compares along dimensions."""
    return Operation(name, "reduction", draw, domain, range, kinks, **more)


TIES = (1.0, 0.5)
HOLES = (math.nan, 1.0)
SMALL: Interval = (-8.0, 8.0)

OPERATIONS = (
    Operation("sum", "reduction", _some, range=sums),
    Operation("mean", "reduction", _some_full),
    Operation("prod", "reduction", _one_or_all(False), (-1.5, 1.5), lambda _o, s: (-(1.5**s), 1.5**s), (0.0,)),
    Operation("amax", "reduction", _some_full, kinks=TIES),
    Operation("amin", "reduction", _some_full, kinks=TIES),
    Operation("max", "reduction", _one_or_all(), kinks=TIES),
    Operation("min", "reduction", _one_or_all(), kinks=TIES),
    Operation("median", "reduction", _MEDIAN, kinks=TIES),
    Operation("var", "reduction", _spread, (-8.0, 8.0), largest(lambda v: 2 * v * v), kinks=(1.0,)),
    Operation("std", "reduction", _spread, range=largest(lambda v: 2 * v), kinks=(1.0,)),
    Operation("norm", "reduction", _norm, range=sums, kinks=(0.0,)),
    Operation("logsumexp", "reduction", _must, range=lambda o, s: (hull(o)[0], hull(o)[1] + math.log(s + 1))),
    Operation("cumsum", "reduction", _along, range=sums),
    Operation("cumprod", "reduction", _along, (-1.5, 1.5), lambda _o, s: (-(1.5**s), 1.5**s), (0.0,)),
    Operation("softmax", "reduction", _along, (-8.0, 8.0), within(0, 1)),
    Operation("log_softmax", "reduction", _along, (-8.0, 8.0), lambda o, _: product([hull(o), (-3, 3)], 0)),
    reduction("aminmax", _both, kinks=TIES),
    reduction("cummax", _along, kinks=TIES),
    reduction("cummin", _along, kinks=TIES),
    reduction("kthvalue", _kth, kinks=TIES),
    reduction("mode", _must, kinks=TIES),
    reduction("msort", lambda d: ((d.x(least=1),), {}), kinks=TIES),
    reduction("nanmean", _some_full, kinks=HOLES),
    reduction("nanmedian", _MEDIAN, kinks=HOLES),
    reduction("nansum", _some, range=sums, kinks=HOLES),
    reduction("quantile", _quantile, kinks=TIES),
    reduction("nanquantile", _quantile, kinks=HOLES),
    reduction("var_mean", _spread, SMALL, largest(lambda v: 2 * v * v), kinks=(1.0,)),
    reduction("std_mean", _spread, range=largest(lambda v: 2 * v), kinks=(1.0,)),
    reduction("cov", _matrix(), SMALL, largest(lambda v: 3 * v * v)),
    reduction("corrcoef", _matrix(0), SMALL, within(-1.5, 1.5)),
    reduction("logcumsumexp", _along, SMALL, anywhere),
    reduction("dist", _dist, SMALL, anywhere),
    reduction("trapezoid", _trapezoid, SMALL, lambda o, s: sums([*o, (-256, 256)], s), forms=FUNCTION),
    reduction("trapz", _trapezoid, SMALL, lambda o, s: sums([*o, (-256, 256)], s), forms=FUNCTION),
    reduction("cumulative_trapezoid", _trapezoid, SMALL, lambda o, s: sums([*o, (-256, 256)], s), forms=FUNCTION),
    reduction("diff", _diff, range=largest(lambda v: 4 * v)),
    reduction("gradient", _gradient, range=largest(lambda v: 4 * v), forms=FUNCTION),
    reduction("cdist", _pairwise, SMALL, anywhere, forms=FUNCTION, orders=1),
    reduction("cosine_similarity", _similar, (0.25, 8.0), within(-1.5, 1.5), forms=FUNCTION),
    reduction("pairwise_distance", _similar_pairs, SMALL, anywhere, forms=FUNCTION),
    reduction("count_nonzero", _along, kinks=(0.0,), gradient=False),
    *(reduction(name, _one_or_all(), kinks=TIES, gradient=False) for name in ("argmax", "argmin", "all", "any")),
    reduction("argsort", _sorted, gradient=False),
)
