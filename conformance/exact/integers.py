"""What integers, bools and comparisons with constants say, in numpy's own integers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from conformance.exact.arithmetic import Arr, Function


def _histogram(x: Arr, bins: int = 100, min: float = 0, max: float = 0) -> Arr:
    places = [int((v - min) * bins / (max - min)) for v in x.flat if min <= v <= max]
    counts = np.bincount(np.minimum(places, bins - 1).astype(int), minlength=bins)
    return counts.astype(float).astype(object)


def _bucket(x: Arr, edges: Arr, *, out_int32: bool = False, right: bool = False) -> Arr:
    found = [sum(e <= v if right else e < v for e in edges) for v in x.flat]
    return np.array(found, np.int32 if out_int32 else np.int64).reshape(x.shape)


def _consecutive(x: Arr) -> Arr:
    flat = x.reshape(-1)
    return flat[np.concatenate([[True], flat[1:] != flat[:-1]])]


def _one_hot(x: Arr, classes: int) -> Arr:
    return (x[..., None] == np.arange(classes)).astype(np.int64)


def _triangle(f: Function) -> Function:
    return lambda rows, columns, offset=0: np.stack(f(rows, offset, columns)).astype(np.int64)


def _isin(x: Arr, among: Arr, **options: Any) -> Arr:
    return np.isin(x, among, **options)


INTEGERS: Final[dict[str, Function]] = {
    "bitwise_not": np.bitwise_not,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
    "gcd": np.gcd,
    "lcm": np.lcm,
    "bincount": lambda x, minlength=0: np.bincount(x, minlength=minlength),
    "unique": np.unique,
    "unique_consecutive": _consecutive,
    "nonzero": np.argwhere,
    "argwhere": np.argwhere,
    "isin": _isin,
    "histc": _histogram,
    "bucketize": _bucket,
    "searchsorted": lambda edges, x, **options: _bucket(x, edges, **options),
    "one_hot": _one_hot,
    "unravel_index": lambda x, shape: np.unravel_index(x, shape),
    "tril_indices": _triangle(np.tril_indices),
    "triu_indices": _triangle(np.triu_indices),
}
