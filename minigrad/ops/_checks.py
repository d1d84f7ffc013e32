"""Errors that several families of operations raise, in torch's words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._dtype import from_numpy
from minigrad._modes import state
from minigrad._tensor import Tensor


def _type(given: Any) -> np.dtype[Any]:
    data = given._data if isinstance(given, Tensor) else given
    return getattr(data, "dtype", data)


def kind(given: Any) -> str:
    """The element type of a tensor or an array, or a type itself, as torch's error messages spell it: "Float"."""
    return from_numpy(_type(given)).legacy_name


def not_implemented(name: str, given: Any) -> NotImplementedError:
    """Torch's error for an element type that an operation has no kernel for."""
    return NotImplementedError(f"\"{name}\" not implemented for '{kind(given)}'")


def refuse_kinds(name: str, given: Any, kinds: str) -> None:
    """NotImplementedError when the type of a tensor or an array is one of the given numpy kinds ("iubc")."""
    if _type(given).kind in kinds:
        raise not_implemented(name, given)


def refuse_grad(function: str, **tensors: Tensor | None) -> None:
    """RuntimeError when one of the tensors, by which `function` cannot be differentiated, requires grad."""
    for name, tensor in tensors.items():
        if tensor is not None and state.grad_enabled and tensor.requires_grad:
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This input cannot"
                " have requires_grad True."
            )


def real_node(function: str, node: str) -> Callable[[Any], str]:
    """A node's name, asked for when `function` is recorded; RuntimeError if `self` is complex: torch records it not."""

    def named(self: Any) -> str:
        if _type(self).kind == "c":
            raise RuntimeError(f"{function} does not support automatic differentiation for outputs with complex dtype.")
        return node

    return named


def expect_same_kind(x: Any, y: Any) -> None:
    """RuntimeError, in the words of torch's kernels, unless two tensors or arrays have one element type."""
    if x.dtype != y.dtype:
        raise RuntimeError(f"expected scalar type {kind(x)} but found {kind(y)}")


def expect_same_factors(x: Any, y: Any) -> None:
    """RuntimeError, in the words of torch's product of matrices, unless two arrays have one element type."""
    if x.dtype != y.dtype:
        a, b = (from_numpy(each.dtype).cpp_name for each in (x, y))
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {a} != {b}")


def expect_continuous(name: str, x: Any) -> None:
    """RuntimeError unless a tensor or an array is floating or complex."""
    if _type(x).kind not in "fc":
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {kind(x)}")


def check_same_kind(name: str, x: Any, y: Any, names: tuple[str, str] = ("A", "B")) -> None:
    """RuntimeError unless two tensors or arrays have one element type."""
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"{name}: Expected {names[0]} and {names[1]} to have the same dtype, but found {names[0]} of type {kind(x)}"
            f" and {names[1]} of type {kind(y)} instead"
        )


_NAMES: Final = {
    "?": "bool", "B": "uint8_t", "b": "int8_t", "h": "int16_t", "i": "int", "l": "int64_t", "e": "c10::Half",
    "f": "float", "d": "double", "F": "c10::complex<float>", "D": "c10::complex<double>",
}  # fmt: skip


def fitted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number (or an array of one) as an element of a type; RuntimeError, in torch's words, where it does not fit,
    OverflowError for integers of more than 64 bits."""
    number = value if isinstance(value, (int, float, complex)) else value.item()
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise OverflowError("int too big to convert")
    parts = (number.real, number.imag)
    if dtype.kind in "fc":  # infinity and nan are fine
        high = float(np.finfo(dtype).max)
        wrong = any(high < abs(each) < math.inf for each in parts) or parts[1] and dtype.kind == "f"
    elif dtype.kind == "b":
        return np.bool_(number)
    else:
        limits = np.iinfo(dtype)
        low = limits.min if dtype.kind == "i" or isinstance(number, float) else -limits.max  # negative integers wrap
        wrong = parts[1] or not low <= parts[0] <= limits.max
    if wrong:
        raise RuntimeError(f"value cannot be converted to type {_NAMES[dtype.char]} without overflow")
    if dtype.kind == "c":
        return dtype.type(number)
    return np.array(parts[0] if dtype.kind == "f" else int(parts[0])).astype(dtype)[()]
