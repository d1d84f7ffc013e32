"""`np.where` at the speed of memory.

numpy's own branches at every element: where the condition is random, as with relu's, the processor guesses wrong half
of the time, which costs twenty times more than reading and writing do. Masks of bits have no branch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_WORDS: Final = {2: np.int16, 4: np.int32, 8: np.int64}  # a number of as many bits as an element
_LARGE: Final = 2048  # below, numpy's one call is cheaper than several


def where(condition: Any, first: Any, second: Any) -> Any:
    """The elements of `first` where the condition holds, else of `second`; each is an array or a number."""
    if condition.size < _LARGE:
        return np.where(condition, first, second)
    array = first if isinstance(first, np.ndarray) else second
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.itemsize not in _WORDS:
        return np.where(condition, first, second)
    a, b = (_bits(each, array.dtype) for each in (first, second))
    if a is None or b is None:
        return np.where(condition, first, second)
    truth, word = condition.view(np.int8), _WORDS[array.itemsize]
    if a.ndim == 0 and not a:
        return _masked(np.subtract(truth, 1, dtype=word), b).view(array.dtype)
    mask = np.negative(truth, dtype=word)  # all bits where the condition holds, none elsewhere
    if b.ndim == 0 and not b:
        return _masked(mask, a).view(array.dtype)
    found = _masked(mask, np.bitwise_xor(a, b))
    return np.bitwise_xor(found, b, out=found).view(array.dtype)


def _masked(mask: Any, bits: Any) -> Any:
    """Some bits of each element; in the mask's memory, where it has the right shape: fresh memory costs more."""
    return np.bitwise_and(mask, bits, out=mask if mask.shape == bits.shape or not bits.ndim else None)


def _bits(value: Any, dtype: np.dtype[Any]) -> Any:
    """An array or a real number, as one of the type, seen as integers; None if it is of another type."""
    if type(value) in (int, float):
        value = dtype.type(value)
    return value.view(_WORDS[dtype.itemsize]) if getattr(value, "dtype", None) == dtype else None
