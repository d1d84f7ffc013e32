"""Variable: the old name of a tensor that takes part in autograd."""

from __future__ import annotations

import warnings
from operator import index
from typing import Any

from minigrad._tensor import Tensor, make
from minigrad._text import type_name


class _VariableMeta(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """`Variable(tensor, requires_grad=False)`: a tensor that shares the given one's memory, as a leaf.

    Kept, as in torch, for code from before tensors and variables became one; what it makes is a `Tensor`.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False, **unknown: Any) -> Any:
        if unknown:
            raise TypeError(f"'{next(iter(unknown))}' is an invalid keyword argument for this function")
        index(requires_grad)  # whole numbers are as good as bools in torch
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if data is None:
            return Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type_name(data)}")
        if requires_grad and data._data.dtype.kind not in "fc":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        result = make(data.materialize(), None)
        result._cell = data._cell
        result._require(bool(requires_grad))
        return result
