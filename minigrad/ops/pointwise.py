"""Operations on each element: arithmetic, exponentials, trigonometry, rounding, comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad._declare import binary, op, unary
from minigrad._op import Array

# ---- arithmetic ------------------------------------------------------------------------------------------------------


@op(
    promote="keep", inplace=True, quick=np.add,
    self=lambda grad: grad, other=lambda grad, alpha: grad if alpha == 1 else grad * alpha,
)  # fmt: skip
def add(self: Array, other: Array, *, alpha: Any = 1) -> Array:
    return np.add(self, other if alpha == 1 else other * alpha)


binary("mul", np.multiply, self=lambda grad, other: grad * other, other=lambda grad, self: grad * self,
       aliases=["multiply"])  # fmt: skip
unary("neg", np.negative, lambda grad: -grad, promote="keep", aliases=["negative"])

unary("sin", np.sin, lambda xp, grad, self: grad * xp.cos(self))
unary("cos", np.cos, lambda xp, grad, self: grad * -xp.sin(self))
unary("exp", np.exp, lambda grad, result: grad * result)
