"""Run the same call under torch and under minigrad, and compare everything that can be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import minigrad

torch.set_num_threads(1)

Call = Callable[..., Any]


def outcome(engine: Any, call: Call, arrays: Sequence[Any], orders: int, grad_for: Sequence[int] | None) -> Any:
    """What `call(engine, *tensors)` gives: per output value, dtype, shape, requires_grad, grad_fn; then gradients.

    Gradients of a weighted sum of the floating outputs, then of a weighted sum of those gradients, up to `orders`.
    An error is its type and text.
    """
    tensors = []
    for number, array in enumerate(arrays):
        if isinstance(array, np.ndarray):
            # Same memory layout on both sides; both refuse negative strides, so those are copied.
            negative = any(stride < 0 for stride in array.strides)
            made = engine.from_numpy(array.copy() if negative else array)
            wanted = array.dtype.kind in "fc" and (grad_for is None or number in grad_for)
            tensors.append(made.detach().requires_grad_(wanted))
        else:
            tensors.append(array)
    leaves = [each for each in tensors if isinstance(each, engine.Tensor) and each.requires_grad]
    try:
        results = call(engine, *tensors)
        outputs = [each for each in _flat(results) if isinstance(each, engine.Tensor)]
        seen: list[Any] = [
            (_array(each), str(each.dtype), tuple(each.shape), each.requires_grad, each.grad_fn and each.grad_fn.name())
            for each in outputs
        ]
        seen += [each for each in _flat(results) if not isinstance(each, engine.Tensor)]
        current = [each for each in outputs if each.requires_grad]
        for order in range(orders):
            if not current or not leaves:
                break
            weighted = [each * engine.from_numpy(weights(each.shape, _array(each).dtype, order)) for each in current]
            total = sum(each.sum() for each in weighted)
            if total.dtype.is_complex:
                total = total.real + total.imag
            found = engine.autograd.grad(total, leaves, create_graph=order + 1 < orders, allow_unused=True)
            seen.append([None if each is None else (_array(each), str(each.dtype)) for each in found])
            current = [each for each in found if each is not None and each.requires_grad]
        return seen
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def weights(shape: Sequence[int], dtype: Any, order: int) -> Any:
    """Fixed numbers, all different, so that no mistake cancels."""
    count = int(np.prod(shape))
    return (np.cos(np.arange(count) * 1.7 + order + 0.3) + 0.1).reshape(tuple(shape)).astype(dtype)


def _flat(results: Any) -> list[Any]:
    if isinstance(results, (tuple, list)):
        return [each for result in results for each in _flat(result)]
    return [results]


def _array(tensor: Any) -> Any:
    return np.array(tensor.detach().clone().numpy(force=True))  # torch's may be lazy: conjugated, negated, zero


TOLERANCE = {"float64": 1e-10, "complex128": 1e-10, "float32": 2e-5, "complex64": 2e-5, "float16": 4e-3}


def check(
    call: Call | str,
    *arrays: Any,
    orders: int = 2,
    grad_for: Sequence[int] | None = None,
    grad_fn: bool = True,
    errors: str = "text",
    atol: float = 0,
) -> None:
    """Assert that torch and minigrad agree on a call: `call(engine, *tensors)`, or the dotted name of a function.

    numpy arrays become tensors (leaves that require grad, where floating; only those numbered in `grad_for` if given);
    anything else is passed as it is. Values, dtype, shape, requires_grad, the name of grad_fn (unless `grad_fn=False`)
    and gradients to `orders` are compared, or the errors: `errors="text"` by type and first line, "type" by type alone.
    `atol`: what rounding leaves where terms of the size of the operands cancel.
    """
    if isinstance(call, str):
        name = call

        def call(engine: Any, *args: Any) -> Any:
            function = engine
            for part in name.split("."):
                function = getattr(function, part)
            return function(*args)

    expected = outcome(torch, call, arrays, orders, grad_for)
    actual = outcome(minigrad, call, arrays, orders, grad_for)
    if isinstance(expected, str) or isinstance(actual, str):
        if errors == "type" and isinstance(expected, str) and isinstance(actual, str):
            expected, actual = expected.split(":")[0], actual.split(":")[0]
        assert actual == expected, f"\n  torch:    {expected}\n  minigrad: {actual}"
        return
    assert len(expected) == len(actual), (expected, actual)
    coarsest = max((TOLERANCE.get(each.dtype.name, 0) for each in arrays if isinstance(each, np.ndarray)), default=0)
    for a, b in zip(expected, actual, strict=True):
        _compare(a, b, grad_fn, coarsest, atol)


def _compare(expected: Any, actual: Any, grad_fn: bool, coarsest: float = 0, atol: float = 0) -> None:
    if isinstance(expected, list):
        assert len(expected) == len(actual), f"\n  torch:    {expected}\n  minigrad: {actual}"
        for a, b in zip(expected, actual, strict=True):
            _compare(a, b, grad_fn, coarsest, atol)
    elif isinstance(expected, tuple) and expected and isinstance(expected[0], np.ndarray):
        assert actual is not None, f"minigrad has no gradient, torch {expected}"
        last = len(expected) if grad_fn else min(4, len(expected))
        assert expected[1:last] == actual[1:last], f"\n  torch:    {expected[1:]}\n  minigrad: {actual[1:]}"
        tolerance = TOLERANCE.get(expected[0].dtype.name, 0) and max(coarsest, TOLERANCE[expected[0].dtype.name])
        scale = np.max(np.abs(expected[0][np.isfinite(expected[0])]), initial=0) if expected[0].size else 0
        np.testing.assert_allclose(
            actual[0], expected[0], rtol=tolerance, atol=max(tolerance * float(scale), atol), equal_nan=True
        )
    else:
        assert expected == actual, f"\n  torch:    {expected!r}\n  minigrad: {actual!r}"
