"""Errors that several families of operations raise, in torch's words."""

from __future__ import annotations

from minigrad._dtype import from_numpy
from minigrad._modes import state
from minigrad._tensor import Tensor


def kind(tensor: Tensor) -> str:
    """A tensor's element type as torch's error messages spell it: "Float"."""
    return from_numpy(tensor._data.dtype).legacy_name


def not_implemented(name: str, tensor: Tensor) -> NotImplementedError:
    """Torch's error for an element type that an operation has no kernel for."""
    return NotImplementedError(f"\"{name}\" not implemented for '{kind(tensor)}'")


def refuse_kinds(name: str, tensor: Tensor, kinds: str) -> None:
    """NotImplementedError when the tensor's type is one of the given numpy kinds ("iubc")."""
    if tensor._data.dtype.kind in kinds:
        raise not_implemented(name, tensor)


def refuse_grad(function: str, **tensors: Tensor | None) -> None:
    """RuntimeError when one of the tensors, by which `function` cannot be differentiated, requires grad."""
    for name, tensor in tensors.items():
        if tensor is not None and state.grad_enabled and tensor.requires_grad:
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This input cannot"
                " have requires_grad True."
            )
