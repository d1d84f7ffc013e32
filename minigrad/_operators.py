"""Python's operators on tensors, in terms of the published operations."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._creation import from_numpy
from minigrad._declare import PUBLIC
from minigrad._op import NUMBER, OPS
from minigrad._quick import quick_operator
from minigrad._tensor import Tensor

_NUMBERS: Final = (Tensor, *NUMBER)

# Operator -> operation. The reflected form has its own in `_REFLECTED`, or is the same operation on a number first.
_BINARY: Final = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
    "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
}  # fmt: skip
_ORDER: Final = ("lt", "le", "gt", "ge")  # not between tensors and arrays
_COMPARISONS: Final = {"eq", "ne", *_ORDER}
_COMMUTATIVE: Final = {"add", "mul", "and", "or", "xor"}
_UNARY: Final = {"neg": "neg", "pos": "positive", "abs": "abs"}


_REFLECTED: Final[dict[str, Callable[..., Any]]] = {
    "sub": lambda other, self: PUBLIC["rsub"](self, other),
    "truediv": lambda other, self: PUBLIC["mul"](PUBLIC["reciprocal"](self), other),  # as in torch
}


def _inverted(self: Tensor) -> Any:
    if self._data.dtype.kind not in "biu":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return PUBLIC["bitwise_not"](self)


def _exchanged(function: Callable[..., Any], other: Any, self: Tensor) -> Any:
    return function(self, other)


def _operand(value: Any) -> Any:
    """A numpy scalar among the operands becomes a Python number, a truth value of numpy's a float, as in torch."""
    return float(value) if isinstance(value, np.bool_) else value.item() if isinstance(value, np.generic) else value


def _beside_array(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """What `tensor operator array` does.

    As in torch, numpy computes it (with numpy's types, and not for tensors that require grad); equality is torch's own,
    and order is refused.
    """
    if name == "eq":
        return lambda self, array: function(self, from_numpy(array))
    if name in _COMPARISONS:
        return lambda self, array: NotImplemented
    compute = getattr(operator, f"__{name}__")
    return lambda self, array: self.__array_wrap__(np.asarray(compute(self.numpy(), array)))


def _forward(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    operands = Tensor if name == "matmul" else _NUMBERS
    beside_array = _beside_array(name, function)

    def operation(self: Tensor, other: Any) -> Any:
        if type(other) is not Tensor:
            if isinstance(other, np.ndarray):
                return beside_array(self, other)
            if not isinstance(other, operands):
                return NotImplemented
            other = _operand(other)
        return function(self, other)

    operation.__name__ = operation.__qualname__ = f"__{name}__"
    return operation


def _reflected(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    operands = Tensor if name == "matmul" else _NUMBERS  # as in torch, an array on the left is refused

    def operation(self: Tensor, other: Any) -> Any:
        if not isinstance(other, operands):
            return NotImplemented
        return function(_operand(other), self)

    operation.__name__ = operation.__qualname__ = f"__r{name}__"
    return operation


def _augmented(name: str, method: str) -> Callable[..., Any]:
    def operation(self: Tensor, other: Any) -> Any:
        return getattr(self, method)(_operand(other)) if isinstance(other, _NUMBERS) else NotImplemented

    operation.__name__ = operation.__qualname__ = f"__i{name}__"
    return operation


def _named(like: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__, function.__qualname__ = like.__name__, like.__qualname__
    return function


def install() -> None:
    """Give Tensor its operators; called once, when the operations are declared."""
    for name, operation in _BINARY.items():
        function = PUBLIC.get(operation)
        if function is None:
            continue
        op = OPS.get(operation)
        forward = _forward(name, function)
        if op is not None and op.quick is not None:
            forward = _named(forward, quick_operator(op, op.quick, forward))
        setattr(Tensor, f"__{name}__", forward)
        if name in _COMPARISONS:
            continue
        if name in _COMMUTATIVE:
            turned: Callable[..., Any] = functools.partial(_exchanged, function)
        else:
            turned = _REFLECTED.get(name, function)
        reflected = _reflected(name, turned)
        if name in _COMMUTATIVE and op is not None and op.quick is not None:
            reflected = _named(reflected, quick_operator(op, op.quick, reflected))
        setattr(Tensor, f"__r{name}__", reflected)
        if hasattr(Tensor, operation + "_"):
            setattr(Tensor, f"__i{name}__", _augmented(name, operation + "_"))
    for name, operation in _UNARY.items():
        if operation in PUBLIC:
            setattr(Tensor, f"__{name}__", PUBLIC[operation])
    Tensor.__invert__ = _inverted
    Tensor.__hash__ = lambda self: id(self)  # type: ignore[method-assign]  # __eq__ compares elements
