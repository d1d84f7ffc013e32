"""micrograd: an autograd of scalars. Arrays are numpy's arrays of its values, so that numpy moves and adds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from micrograd.engine import Value

from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.protocol import Engine, Unsupported


class MicroGrad(Engine):
    """micrograd, in float64: Python's floats are all it has."""

    name = "micrograd"

    @property
    def version(self) -> str:
        return version("micrograd")

    def supports(self, op: str) -> bool:
        return op in TABLE

    def leaf(self, array: Any, requires_grad: bool) -> Any:
        if array.dtype != np.float64:
            return array if array.dtype.kind != "f" else unsupported(str(array.dtype))
        if not array.size:
            raise Unsupported("no elements")
        return _lift(array) if requires_grad else array.copy()

    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op not in TABLE:
            raise Unsupported(op)
        if any(isinstance(x, np.ndarray) and x.dtype.kind != "f" and x.dtype != object for x in args):
            raise Unsupported("numbers that are no floats")
        return _as_array(TABLE[op](*args, **kwargs))

    def backward(self, value: Any, gradient: Any) -> None:
        if value.dtype != object:
            raise RuntimeError("a constant has no graph")  # torch's class of error
        weights = np.ones(value.shape) if gradient is None else gradient
        total = sum((v * float(w) for v, w in zip(value.ravel(), weights.ravel(), strict=True)), Value(0.0))
        total.backward()  # a scalar's own gradient is 1

    def grad(self, value: Any) -> Any:
        if value.dtype != object:
            return None
        if value.size and all(type(v.grad) is int for v in value.ravel()):  # the 0 it began with: nothing has arrived
            return None
        return np.array([v.grad for v in value.ravel()], dtype=np.float64).reshape(value.shape)

    def numpy(self, value: Any) -> Any:
        if value.dtype != object:
            return value
        data = [v.data if isinstance(v, Value) else v for v in value.ravel()]
        return np.array(data, dtype=np.float64).reshape(value.shape)

    def detach(self, value: Any) -> Any:
        return self.numpy(value)


def _lift(array: Any) -> Any:
    made = np.empty(array.shape, dtype=object)
    for where in np.ndindex(*array.shape):
        made[where] = Value(float(array[where]))
    return made


def _as_array(made: Any) -> Any:
    if isinstance(made, tuple):
        return tuple(_as_array(part) for part in made)
    if isinstance(made, np.ndarray):
        return made
    array = np.empty((), dtype=object)
    array[()] = made
    return array if isinstance(made, Value) else np.asarray(made, dtype=np.float64)


def _power(x: Any, exponent: Any) -> Any:
    return x**exponent if isinstance(exponent, (int, float)) else unsupported("exponents that are values")


def _relu(x: Any) -> Any:
    return np.frompyfunc(lambda v: v.relu() if isinstance(v, Value) else max(v, 0.0), 1, 1)(x)


def _sum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.sum(axis=dim if x.ndim else None, keepdims=keepdim)


def _mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    total = _sum(x, dim, keepdim)
    return total * (np.size(total) / x.size)


TABLE: dict[str, Callable[..., Any]] = {
    "add": lambda x, y, alpha=1: x + y * alpha,
    "sub": lambda x, y, alpha=1: x - y * alpha,
    "mul": lambda x, y: x * y,
    "div": lambda x, y, rounding_mode=None: x / y if rounding_mode is None else unsupported("rounding"),
    "true_divide": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": _power,
    "square": lambda x: x**2,
    "sqrt": lambda x: x**0.5,
    "rsqrt": lambda x: x**-0.5,
    "reciprocal": lambda x: x**-1,
    "relu": _relu,
    "nn.functional.relu": _relu,
    "sum": _sum,
    "mean": _mean,
    "matmul": lambda x, y: x @ y,
    "mm": lambda x, y: x @ y,
    "mv": lambda x, y: x @ y,
    "dot": lambda x, y: x @ y,
    "outer": np.outer,
    "trace": np.trace,
    "rsub": lambda x, y: y - x,
    "__radd__": lambda x, n: n + x,
    "__rsub__": lambda x, n: n - x,
    "__rmul__": lambda x, n: n * x,
    "__rtruediv__": lambda x, n: n / x,
    "reshape": np.reshape,
    "permute": np.transpose,
    "transpose": np.swapaxes,
    "t": np.transpose,
    "T": np.transpose,
    "unsqueeze": np.expand_dims,
    "flip": np.flip,
    "__getitem__": lambda x, index: x[index],
}
