"""Arithmetic with a number as torch's own compositions record it.

What Python code writes, `x + 2`, is in torch an operation on two tensors, of which the number becomes the second; its
C++ code calls the overloads for a tensor and a number, which have nodes of their own.
"""

from __future__ import annotations

import numpy as np

from minigrad._declare import op
from minigrad._op import Array, ArrayOrNumber


@op("add.Scalar", function=False, method=False, promote="keep", elementwise=True, node="AddBackward1",
    self=lambda grad: grad)  # fmt: skip
def plus(self: Array, number: ArrayOrNumber) -> Array:
    return np.add(self, number)


@op("sub.Scalar", function=False, method=False, promote="keep", elementwise=True, node="SubBackward1",
    self=lambda grad: grad)  # fmt: skip
def minus(self: Array, number: ArrayOrNumber) -> Array:
    return np.subtract(self, number)


@op("mul.Scalar", function=False, method=False, promote="keep", elementwise=True, node="MulBackward1",
    self=lambda grad, number: grad * number)  # fmt: skip
def times(self: Array, number: ArrayOrNumber) -> Array:
    return np.multiply(self, number)


@op("div.Scalar", function=False, method=False, promote="float", elementwise=True, node="DivBackward1",
    self=lambda grad, number: grad / number)  # fmt: skip
def over(self: Array, number: ArrayOrNumber) -> Array:
    return np.true_divide(self, number)
