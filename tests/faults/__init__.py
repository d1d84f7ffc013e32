"""Engines with one planted fault each, made from torch itself: the suite must find, reduce and blame every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from conformance.engines.torchlike import Torch


class _Shaped(torch.autograd.Function):
    """The identity (or an expansion), with a gradient of one's own."""

    @staticmethod
    def forward(ctx: Any, value: Any, shape: Any, backward: Callable[[Any], Any]) -> Any:
        ctx.change = backward
        return value.expand(shape).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return ctx.change(grads[0]), None, None


def bent(value: Any, backward: Callable[[Any], Any], shape: Any = None) -> Any:
    """`value`, whose gradient passes through `backward`."""
    return _Shaped.apply(value, value.shape if shape is None else shape, backward)


def floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


class Planted(Torch):
    """torch with a fault in `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.name = type(self).__name__

    def honest(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        return super().call(form, op, args, kwargs)


class WrongWhenUsedTwice(Planted):
    """x * x gives one of its two gradients."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op == "mul" and args[0] is args[1]:
            args = (args[0], args[1].detach())
        return self.honest(form, op, args, kwargs)


class NoSumInUnbroadcast(Planted):
    """The gradient of a broadcast operand is its first row instead of the sum of all rows."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op in ("add", "sub", "mul", "div", "maximum", "minimum", "hypot", "pow", "atan2") and all(
            map(floating, args)
        ):
            shape = torch.broadcast_shapes(*(a.shape for a in args))
            args = [self.spread(a, shape) if a.shape != shape else a for a in args]
        return self.honest(form, op, args, kwargs)

    def spread(self, value: Any, shape: Any) -> Any:
        def first(grad: Any) -> Any:
            while grad.ndim > value.ndim:
                grad = grad[0] if len(grad) else grad.sum(0)
            for dim, n in enumerate(value.shape):
                if n == 1 and grad.shape[dim] > 1:
                    grad = grad.narrow(dim, 0, 1)
            return grad if grad.shape == value.shape else grad.sum_to_size(value.shape)

        return bent(value, first, shape)


class AccumulatedOnce(Planted):
    """Of several uses of a value only the first sends its gradient back."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        given = []
        for a in args:
            used = floating(a) and getattr(a, "was_used", False)
            given.append(a.detach() if used else a)
            if floating(a):
                a.was_used = True
        return self.honest(form, op, given, kwargs)


class Narrowed(Planted):
    """tanh of float64 is computed and returned in float32."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        made = self.honest(form, op, args, kwargs)
        return made.float() if op == "tanh" else made


class SlightlyOff(Planted):
    """The derivative of log1p is wrong by one part in 10⁹."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op == "log1p":
            args = (bent(args[0], lambda g: g * (1 + 1e-9)),)
        return self.honest(form, op, args, kwargs)


class OffAtSecondOrder(Planted):
    """sigmoid's gradient is right, its gradient's gradient is not."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op == "sigmoid" and args[0].requires_grad:
            args = (bent(args[0], lambda g: g + 0.25 * (g - g.detach())),)
        return self.honest(form, op, args, kwargs)


class Raises(Planted):
    """cumsum refuses 0-d values."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op == "cumsum" and args[0].ndim == 0:
            raise IndexError("dimension out of range")
        return self.honest(form, op, args, kwargs)


class ZeroForNone(Planted):
    """A leaf that is not reached has zeros for a gradient instead of None."""

    def grad(self, value: Any) -> Any:
        found = super().grad(value)
        return torch.zeros_like(value.detach()) if found is None else found


#: Fault, what must be blamed, the kind of the finding.
FAULTS = (
    (WrongWhenUsedTwice, "mul", "gradient"),
    (NoSumInUnbroadcast, "engine: unbroadcast", "gradient"),
    (AccumulatedOnce, "engine: accumulation", "gradient"),
    (Narrowed, "tanh", "dtype"),
    (SlightlyOff, "log1p", "gradient"),
    (OffAtSecondOrder, "sigmoid", "second-order gradient"),
    (Raises, "cumsum", "error"),
    (ZeroForNone, "engine: unreached leaves", "none"),
)
