"""Parameter: a tensor that is meant to be learnt."""

from __future__ import annotations

from typing import Any

from minigrad._tensor import Tensor, infer, make


class Parameter(Tensor):
    """`Parameter(data, requires_grad=True)`: a leaf that shares the data's memory and prints as a parameter."""

    _class_name = "tensor"

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        data = Tensor() if data is None else data
        if not isinstance(data, Tensor):
            raise AttributeError(f"'{type(data).__name__}' object has no attribute 'detach'")
        if requires_grad and data._data.dtype.kind not in "fc":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        made = make(data.materialize(), None, cls)
        made._cell = data._cell
        if data._inference:
            infer(made)
        made.requires_grad_(requires_grad)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        found: Parameter = memo[id(self)]
        return found

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + Tensor.__repr__(self)
