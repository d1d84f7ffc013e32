"""Variable: the old name of a tensor that takes part in autograd."""

from __future__ import annotations

import warnings
from typing import Any

from minigrad._tensor import Tensor, make


class _VariableMeta(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """`Variable(tensor, requires_grad=False)`: a tensor that shares the given one's memory, as a leaf.

    Kept, as in torch, for code from before tensors and variables became one; what it makes is a `Tensor`.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
        if data is None:
            return Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        result = make(data.materialize(), None)
        result.requires_grad = bool(requires_grad)
        return result
