"""tinygrad: lazy tensors, whose methods are mostly named as torch's are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import Recording, offered

os.environ.setdefault("DEV", "PYTHON")  # its interpreter: compiling each small program takes a hundred times as long
os.environ.setdefault("NOOPT", "1")  # nor is there time to optimise what runs once
from tinygrad import Device, Tensor, dtypes
from tinygrad.dtype import _to_np_dtype

#: Methods that have torch's name and arguments.
SAME = """
abs acos acosh add amax asin asinh atan atanh cat ceil chunk clamp clone copysign cos cosh cumprod cumsum
cummax cummin diagonal div dot double einsum eq erf exp exp2 expand flatten flip float floor fmod gather isclose
isfinite isinf isnan lerp log log10 log2 log_softmax logaddexp logcumsumexp logical_not logsumexp
masked_fill matmul maximum mean meshgrid minimum mul ne neg permute pow prod reciprocal relu
repeat reshape roll round rsqrt scatter sigmoid sign sin sinh softmax
split sqrt square squeeze std std_mean sub sum tan tanh transpose tril triu trunc unflatten unfold
unsqueeze var var_mean view where mm:matmul mv:matmul bmm:matmul __rmatmul__:matmul linalg.matmul:matmul
true_divide:div swapaxes:transpose swapdims:transpose sort topk
"""

#: Functions of nn.functional that are methods here.
ACTIVATIONS = """
celu elu gelu hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu silu softmax log_softmax
softplus softsign linear conv2d conv_transpose2d
"""


class TinyGrad(Recording):
    """tinygrad on its interpreter, unless the variable DEV names another of its devices."""

    name = "tinygrad"
    cost = 4

    @property
    def version(self) -> str:
        return version("tinygrad")

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        table: dict[str, Callable[..., Any]] = {}
        for name in SAME.split():
            ours, _, theirs = name.partition(":")
            if hasattr(Tensor, theirs or ours):
                table[ours] = _method(theirs or ours)
        for name in ACTIVATIONS.split():
            if hasattr(Tensor, name):
                table[f"nn.functional.{name}"] = _method(name)
        return table | _MORE

    def record(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with offered("is not supported"):
            return super().record(function, args, kwargs)

    def constant(self, array: Any) -> Any:
        if not array.size:
            unsupported("empty arrays")
        return Tensor(np.ascontiguousarray(array).reshape(array.shape)).realize()

    def array(self, value: Any) -> Any:
        # A constant lies on no device, and numpy() would have it computed on one that needs a compiler.
        return (value.clone(Device.DEFAULT) if value.uop.device is None else value).numpy()

    def dtype_name(self, value: Any) -> str:
        found = _to_np_dtype(value.dtype)
        return np.dtype(found).name if found is not None else "unknown"

    def dtype(self, name: str) -> Any:
        return getattr(dtypes, name)

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        inputs = [value + 0 for value in at]
        made = function(*inputs)
        total = sum(((y * w).sum() for y, w in zip(made[1:], weights[1:], strict=True)), (made[0] * weights[0]).sum())
        found: Sequence[Any] = total.gradient(*inputs)
        return found


def _method(name: str) -> Callable[..., Any]:
    method = getattr(Tensor, name)
    if isinstance(method, property):
        return lambda x: getattr(x, name)

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, (tuple, list)):
            return method(x[0], *x[1:], *args, **kwargs)
        return method(x, *args, **kwargs)

    return call


def _narrow(x: Any, dim: int, start: int, n: int) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, start + n),)]


_MORE: dict[str, Callable[..., Any]] = {
    "add": lambda x, y, alpha=1: x + (y if alpha == 1 else y * alpha),
    "sub": lambda x, y, alpha=1: x - (y if alpha == 1 else y * alpha),
    "rsub": lambda x, y: y - x,
    "__radd__": lambda x, n: n + x,
    "__rsub__": lambda x, n: n - x,
    "__rmul__": lambda x, n: n * x,
    "__rtruediv__": lambda x, n: n / x,
    "__rpow__": lambda x, n: n**x,
    "__getitem__": lambda x, index: x[index],
    "select": lambda x, dim, i: x[(slice(None),) * (dim % x.ndim) + (i,)],
    "diag": lambda x, offset=0: x.diag() if x.ndim == 1 and not offset else unsupported("other diagonals"),
    "narrow": _narrow,
    "amin": lambda x, dim=None, keepdim=False: x.min(dim, keepdim),
    "amax": lambda x, dim=None, keepdim=False: x.max(dim, keepdim),
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "where": lambda mask, x, y: mask.where(x, y),
    "mT": lambda x: x.transpose(-1, -2),
    "cat": lambda xs, dim: xs[0].cat(*xs[1:], dim=dim),
    "stack": lambda xs, dim: xs[0].stack(*xs[1:], dim=dim),
    "einsum": lambda formula, *xs: Tensor.einsum(formula, *xs),
    "meshgrid": lambda x, *more, indexing: x.meshgrid(*more, indexing=indexing),
    "to": lambda x, dtype: x.cast(dtype),
    "clamp_min": lambda x, low: x.maximum(low),
    "clamp_max": lambda x, high: x.minimum(high),
    "fliplr": lambda x: x.flip(1),
    "flipud": lambda x: x.flip(0),
    "broadcast_to": lambda x, shape: x.expand(shape),
    "addmm": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * (x @ y),
    "nn.functional.mse_loss": lambda x, y, reduction: {"mean": Tensor.mean, "sum": Tensor.sum, "none": lambda z: z}[
        reduction
    ]((x - y).square()),
    "nn.functional.elu": lambda x, alpha=1.0: x.elu(alpha),
    "nn.functional.softmax": lambda x, dim: x.softmax(dim),
    "nn.functional.log_softmax": lambda x, dim: x.log_softmax(dim),
    "t": lambda x: x.transpose(0, 1) if x.ndim > 1 else x,
    "T": lambda x: x.permute(*reversed(range(x.ndim))),
    "nn.functional.gelu": lambda x, approximate: x.gelu() if approximate == "tanh" else unsupported("gelu by erf"),
    "nn.functional.conv2d": lambda x, w, b=None, **more: (
        x.conv2d(w, b, **more)
        if x.ndim == 4 and more.get("padding") != "same"
        else unsupported("no batch, or padding by name")
    ),
    "nn.functional.conv_transpose2d": lambda x, w, b=None, **more: (
        x.conv_transpose2d(w, b, **more) if x.ndim == 4 else unsupported("no batch")
    ),
    "nn.functional.linear": lambda x, w, b=None: x.linear(w.T, b),
    "index_select": lambda x, dim, i: x[(slice(None),) * (dim % x.ndim) + (i,)] if x.ndim else unsupported("0-d"),
    "std": lambda x, dim=None, correction=1, keepdim=False: x.std(dim, keepdim, correction),
    "var": lambda x, dim=None, correction=1, keepdim=False: x.var(dim, keepdim, correction),
    "std_mean": lambda x, dim=None, correction=1, keepdim=False: x.std_mean(dim, keepdim, correction),
    "var_mean": lambda x, dim=None, correction=1, keepdim=False: x.var_mean(dim, keepdim, correction),
    "sort": lambda x, dim=-1, descending=False, stable=True: x.sort(dim, descending),
}
