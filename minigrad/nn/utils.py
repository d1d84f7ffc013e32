"""What training loops do to gradients and parameters, as `torch.nn.utils`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad._creation import tensor
from minigrad._declare import PUBLIC
from minigrad._modes import no_grad
from minigrad._tensor import Tensor
from minigrad._text import type_name

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of several tensors together."""
    listed = _listed(tensors)
    if not listed:
        return tensor(0.0)
    norm = PUBLIC["linalg.vector_norm"]
    with no_grad():
        total: Tensor = norm(PUBLIC["stack"]([norm(each, float(norm_type)) for each in listed]), float(norm_type))
    if error_if_nonfinite and not bool(PUBLIC["isfinite"](total)):
        raise RuntimeError(
            f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot be"
            " clipped. To disable this error and scale the gradients by the non-finite norm anyway, set"
            " `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by `max_norm / total_norm`, unless that is more than 1."""
    with no_grad():
        factor = PUBLIC["clamp"](max_norm / (total_norm + 1e-6), max=1.0)
        for each in _listed(parameters):
            if each.grad is not None:
                each.grad.mul_(factor)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that the norm of all of them together is at most `max_norm`; the norm before that."""
    listed = _listed(parameters)
    total: Tensor = get_total_norm([p.grad for p in listed if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp each element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for each in _listed(parameters):
            if each.grad is not None:
                each.grad.clamp_(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of several tensors in one vector."""
    found: Tensor = PUBLIC["cat"]([each.view(-1) for each in parameters])
    return found


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Make the elements of a vector those of several tensors, which become views of it."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type_name(vec)}")
    start = 0
    for each in parameters:
        each.data = vec[start : start + each.numel()].view_as(each).data
        start += each.numel()
