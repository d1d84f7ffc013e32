"""What integers, bools and comparisons with constants say: no gradient flows through it."""

from __future__ import annotations

from collections.abc import Callable

from conformance.program import Form, Seq
from conformance.vocabulary.operation import FUNCTION, FUNCTION_METHOD, Arguments, Draw, Operation, keywords

SIZES = ((3,), (2, 3), (), (2, 2), (4,))


def _whole(d: Draw) -> Arguments:
    return (d.whole(d.pick(SIZES)),), {}


def _wholes(d: Draw) -> Arguments:
    x, y = d.pick((((3,), (3,)), ((2, 3), (3,)), ((), (2,)), ((2, 1), (1, 3)), ((2, 2), ())))
    return (d.whole(x), d.whole(y)), {}


def _counted(d: Draw) -> Arguments:
    return (d.whole((d.pick((3, 4, 5)),)),), keywords(d, {"minlength": (..., 5)})


def _unique(d: Draw) -> Arguments:
    return (d.whole(d.pick(((3,), (2, 3), (4,)))),), {}


def _nonzero(d: Draw) -> Arguments:
    return (d.mask(d.pick(SIZES[:2]), sizes=True),), {}


def _isin(d: Draw) -> Arguments:
    return (d.whole(d.pick(SIZES)), d.whole((2,))), keywords(d, {"invert": (..., True), "assume_unique": (...,)})


def _histogram(d: Draw) -> Arguments:
    return (d.x(),), {"bins": d.pick((4, 2, 3)), "min": -2, "max": 2}


def _bucket(d: Draw) -> Arguments:
    return (d.x(), d.ascending(3)), keywords(d, {"right": (..., True), "out_int32": (..., True)})


def _search(d: Draw) -> Arguments:
    (x, edges), more = _bucket(d)
    return (edges, x), more


def _one_hot(d: Draw) -> Arguments:
    return (d.index(d.pick(SIZES), 3), 3 + d.upto(2)), {}


def _unravelled(d: Draw) -> Arguments:
    return (d.index(d.pick(((3,), (2, 2))), 6), Seq((2, 3))), {}


def _triangle(d: Draw) -> Arguments:
    return (d.pick((2, 3, 1)), d.pick((3, 2)), d.pick((0, 1, -1))), {}


def integer(name: str, draw: Callable[[Draw], Arguments], forms: tuple[Form, ...] = FUNCTION_METHOD) -> Operation:
    """An operation through which no gradient flows, and which does not say what nan is less than."""
    return Operation(name, "integer", draw, forms=forms, gradient=False, odd_values=False)


OPERATIONS = (
    integer("bitwise_not", _whole),
    *(integer(f"bitwise_{name}", _wholes) for name in ("and", "or", "xor", "left_shift", "right_shift")),
    integer("gcd", _wholes),
    integer("lcm", _wholes),
    integer("bincount", _counted),
    integer("unique", _unique),
    integer("unique_consecutive", _unique),
    integer("nonzero", _nonzero),
    integer("argwhere", _nonzero),
    integer("isin", _isin, FUNCTION),
    integer("histc", _histogram),
    integer("bucketize", _bucket, FUNCTION),
    integer("searchsorted", _search, FUNCTION),
    integer("nn.functional.one_hot", _one_hot, FUNCTION),
    integer("unravel_index", _unravelled, FUNCTION),
    integer("tril_indices", _triangle, FUNCTION),
    integer("triu_indices", _triangle, FUNCTION),
)
