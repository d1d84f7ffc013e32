"""Errors that several families of operations raise, in torch's words."""

from __future__ import annotations

from typing import Any

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


def expect_same_kind(x: Any, y: Any) -> None:
    """RuntimeError, in the words of torch's kernels, unless two tensors or arrays have one element type."""
    if x.dtype != y.dtype:
        raise RuntimeError(f"expected scalar type {kind(x)} but found {kind(y)}")


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
