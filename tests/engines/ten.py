"""An engine that is torch with twenty operations, of which ten are wrong, each in its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.engines.torchlike import Torch


def steeper(y: Any, x: Any, by: float) -> Any:
    """The same value, with a gradient that is off."""
    return y + by * (x - x.detach()).sum() if x.is_floating_point() else y


FAULTS: dict[str, Callable[..., Any]] = {
    "sin": lambda y, x: steeper(y, x, 1e-9),
    "exp": lambda y, x: y * (1.0 + 1e-9),
    "tanh": lambda y, x: steeper(y, x, 0.5) if x.dim() == 0 else y,
    "log": lambda y, x: y.detach(),
    "square": lambda y, x: steeper(y, x, 0.125) if x.dtype is x.float().dtype else y,
    "relu": lambda y, x: steeper(y, x, 0.5) if bool((x == 0).any()) else y,
    "mul": lambda y, x, z: steeper(y, x, 1.0) if getattr(z, "shape", x.shape) != x.shape else y,
    "cumsum": lambda y, x, *_: y.double() if x.numel() == 0 else y.flip(0),
    "matmul": lambda y, x, z: y + 1.0,
    "prod": lambda y, x, *_, **__: y * -1.0,
}
RIGHT = {"add", "sub", "neg", "cos", "mean", "sum", "reshape", "sigmoid", "take", "transpose"}


class Ten(Torch):
    name = "ten"

    def supports(self, op: str) -> bool:
        return op in FAULTS or op in RIGHT

    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        made = super().call(form, op, args, kwargs)
        return FAULTS[op](made, *args) if op in FAULTS and "out" not in kwargs else made
