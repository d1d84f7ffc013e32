"""Functions of a user's own, as programs apply them: each is written over a module with torch's names.

`conformance.script` prints them as they stand here.
"""

# ruff: noqa: ARG004 - written as a user of torch writes them
# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any, disable-error-code="name-defined"

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


def product(torch):
    """Saves both operands, asks which gradients are needed, and can be differentiated again."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            wanted = ctx.needs_input_grad
            return g * y if wanted[0] else None, g * x if wanted[1] else None

    return Product.apply


def tripled(torch):
    """Changes its operand in place."""

    class Tripled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(3.0)

        @staticmethod
        def backward(ctx, g):
            return g * 3.0

    return Tripled.apply


def parted(torch):
    """Has two results, of which the second is not differentiable, and takes a number."""

    class Parted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            sign = x.sign()
            ctx.mark_non_differentiable(sign)
            ctx.set_materialize_grads(False)
            return x * factor, sign

        @staticmethod
        def backward(ctx, g, unused):
            return None if g is None else g * ctx.factor, None

    return Parted.apply


def cube(torch):
    """Saves its operand; its rule is written for one order only."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3.0 * x * x

    return Cube.apply


#: Every function by its name.
FUNCTIONS: Final[dict[str, Callable[[Any], Callable[..., Any]]]] = {
    function.__name__: function for function in (product, tripled, parted, cube)
}
