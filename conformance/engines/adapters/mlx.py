"""mlx on the CPU, where it has 64-bit floats: functions of mlx.core; vjp of vjp for higher orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

from conformance.engines.adapters import numpy_names
from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import Recording, offered

_DTYPES = {
    name: getattr(mx, name) for name in ("float16", "float32", "float64", "int32", "int64", "int16", "int8", "uint8")
} | {"bool": mx.bool_}


class Mlx(Recording):
    """mlx on the CPU."""

    name = "mlx"

    def __init__(self) -> None:
        mx.set_default_device(mx.cpu)
        super().__init__()

    @property
    def version(self) -> str:
        return version("mlx")

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        table = numpy_names.functions(mx)
        for name in _WITHOUT.split():
            table.pop(name, None)
        return table | _MORE

    def constant(self, array: Any) -> Any:
        return mx.array(array, dtype=_DTYPES[array.dtype.name]) if array.size else unsupported("empty arrays")

    def array(self, value: Any) -> Any:
        return np.asarray(value)

    def dtype_name(self, value: Any) -> str:
        return str(value.dtype).removeprefix("mlx.core.")

    def dtype(self, name: str) -> Any:
        return _DTYPES[name]

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        with offered("ot implemented", "Cannot calculate VJP"):
            gradients: Sequence[Any] = mx.vjp(function, list(at), list(weights))[1]
        return gradients


#: Names whose arguments differ, or whose functions have no derivative.
_WITHOUT = """
fmod copysign repeat tile einsum cross median
inverse linalg.inv pinverse linalg.pinv cholesky linalg.cholesky nuclear_norm linalg.eigh linalg.eigvalsh linalg.solve
linalg.svd linalg.svdvals
"""


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim: function(x, axis=dim) if x.ndim else unsupported("a 0-d value")


def _axes(dim: Any, x: Any) -> Any:
    return list(dim) if isinstance(dim, tuple) else dim if x.ndim else None


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: function(x, axis=_axes(dim, x), keepdims=keepdim)


_MORE: dict[str, Callable[..., Any]] = {
    "sum": _reduce(mx.sum),
    "mean": _reduce(mx.mean),
    "prod": _reduce(mx.prod),
    "amax": _reduce(mx.max),
    "amin": _reduce(mx.min),
    "logsumexp": _reduce(mx.logsumexp),
    "cumsum": _along(mx.cumsum),
    "cumprod": _along(mx.cumprod),
    "logcumsumexp": _along(mx.logcumsumexp),
    "softmax": _along(mx.softmax),
    "nn.functional.softmax": _along(mx.softmax),
    "log_softmax": _along(nn.log_softmax),
    "sigmoid": mx.sigmoid,
    "rsqrt": mx.rsqrt,
    "erf": mx.erf,
    "erfinv": mx.erfinv,
    "relu": nn.relu,
    "nn.functional.relu6": nn.relu6,
    "nn.functional.softplus": nn.softplus,
    "nn.functional.softsign": nn.softsign,
    "nn.functional.silu": nn.silu,
    "nn.functional.mish": nn.mish,
    "nn.functional.selu": nn.selu,
    "nn.functional.elu": lambda x, alpha=1.0: nn.elu(x, alpha),
    "nn.functional.celu": lambda x, alpha=1.0: nn.celu(x, alpha),
    "nn.functional.gelu": lambda x, approximate: nn.gelu_approx(x) if approximate == "tanh" else nn.gelu(x),
    "nn.functional.glu": lambda x, dim: nn.glu(x, dim),
    "nn.functional.hardswish": nn.hardswish,
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01: nn.leaky_relu(x, negative_slope),
    "nn.functional.logsigmoid": nn.log_sigmoid,
    "flatten": lambda x, start=0, end=-1: mx.flatten(x, start, end),
    "einsum": mx.einsum,
    "clone": mx.array,
    "double": lambda x: x.astype(mx.float64),
    "float": lambda x: x.astype(mx.float32),
    "to": lambda x, dtype: x.astype(dtype),
    "transpose": mx.swapaxes,
    "flip": lambda x, dims: mx.flip(x, list(dims)) if dims else x,
    "roll": lambda x, shift, dim=None: mx.roll(x, shift, dim) if x.ndim else x,
    "nn.functional.layer_norm": lambda x, shape, weight=None, bias=None, eps=1e-5: (
        mx.fast.layer_norm(x, weight, bias, eps) if len(shape) == 1 else unsupported("several dimensions")
    ),
    "nn.functional.rms_norm": lambda x, shape, weight=None, eps=None: (
        mx.fast.rms_norm(x, weight, eps) if eps is not None else unsupported("eps of the dtype")
    ),
}
