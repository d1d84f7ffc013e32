"""Products of vectors and matrices, and linalg, against torch."""

from __future__ import annotations

import numpy as np
import pytest

from against_torch import check


def ramp(*shape: int, dtype: str = "float64") -> np.ndarray:
    """Numbers that are all different, in a fixed order."""
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 1.3 + 0.5 + len(shape)) * 2).reshape(shape).astype(dtype)


SHAPES = [(), (3,), (2, 3), (3, 2), (4, 3, 2), (4, 2, 3), (1, 3, 2), (5, 4, 3, 2), (5, 1, 2, 3), (4, 3, 1), (0, 3), (3, 0)]


@pytest.mark.parametrize("other", SHAPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matmul_of_any_ranks(shape, other):
    check("matmul", ramp(*shape), ramp(*other))
    check("matmul", ramp(*shape), ramp(*other), grad_for=[0])
    check("matmul", ramp(*shape), ramp(*other), grad_for=[1])
