"""TensorFlow, eager on the CPU: its numpy API, tf.math, tf.nn and tf.linalg; nested tapes for higher orders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
import tensorflow.experimental.numpy as np

from conformance.engines.adapters import numpy_names
from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import Recording, offered


class TensorFlow(Recording):
    """TensorFlow on the CPU, on one thread."""

    name = "tensorflow"

    def __init__(self) -> None:
        tf.config.set_visible_devices([], "GPU")
        np.experimental_enable_numpy_behavior()
        super().__init__()

    @property
    def version(self) -> str:
        return str(tf.__version__)

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        table = numpy_names.functions(np)
        for name in _OTHERWISE.split():
            table.pop(name, None)
        return table | _MORE

    def record(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with offered("is not in the list of allowed values", "was expected to be a"):  # it promotes no dtypes
            return super().record(function, args, kwargs)

    def constant(self, array: Any) -> Any:
        return tf.constant(array)

    def array(self, value: Any) -> Any:
        return numpy.asarray(value)

    def dtype_name(self, value: Any) -> str:
        return str(value.dtype.name)

    def dtype(self, name: str) -> Any:
        return getattr(tf, name)

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        at = [tf.identity(value) for value in at]  # a tape knows a tensor by its identity
        with tf.GradientTape() as tape:
            tape.watch(at)
            made = list(function(*at))
        with offered("No gradient defined", "gradient registry has no entry"):
            found = tape.gradient(made, at, list(weights), unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in found]  # that of a gather is a sparse one


#: Names whose arguments differ, or whose functions have no gradient.
_OTHERWISE = """
float_power nextafter linalg.norm linalg.pinv count_nonzero cross std var einsum nn.functional.linear
"""


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim: function(x, axis=dim) if x.ndim else unsupported("a 0-d value")


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: function(x, axis=dim if x.ndim else None, keepdims=keepdim)


_MORE: dict[str, Callable[..., Any]] = {
    "sigmoid": tf.math.sigmoid,
    "rsqrt": tf.math.rsqrt,
    "relu": tf.nn.relu,
    "erf": tf.math.erf,
    "erfc": tf.math.erfc,
    "erfinv": tf.math.erfinv,
    "lgamma": tf.math.lgamma,
    "digamma": tf.math.digamma,
    "xlogy": tf.math.xlogy,
    "special.xlog1py": tf.math.xlog1py,
    "special.zeta": tf.math.zeta,
    "special.ndtri": tf.math.ndtri,
    "special.i0e": tf.math.bessel_i0e,
    "special.i1": tf.math.bessel_i1,
    "special.i1e": tf.math.bessel_i1e,
    "i0": tf.math.bessel_i0,
    "special.gammainc": tf.math.igamma,
    "special.gammaincc": tf.math.igammac,
    "nn.functional.relu": tf.nn.relu,
    "nn.functional.relu6": tf.nn.relu6,
    "nn.functional.elu": lambda x, alpha=1.0: tf.nn.elu(x) if alpha == 1 else unsupported("another alpha"),
    "nn.functional.selu": tf.nn.selu,
    "nn.functional.silu": tf.nn.silu,
    "nn.functional.softplus": tf.math.softplus,
    "nn.functional.softsign": tf.nn.softsign,
    "nn.functional.logsigmoid": tf.math.log_sigmoid,
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01: tf.nn.leaky_relu(x, negative_slope),
    "nn.functional.gelu": lambda x, approximate: tf.nn.gelu(x, approximate == "tanh"),
    "nn.functional.softmax": _along(tf.nn.softmax),
    "nn.functional.log_softmax": _along(tf.nn.log_softmax),
    "softmax": _along(tf.nn.softmax),
    "log_softmax": _along(tf.nn.log_softmax),
    "logsumexp": _reduce(tf.math.reduce_logsumexp),
    "prod": _reduce(tf.math.reduce_prod),
    "amax": _reduce(tf.math.reduce_max),
    "amin": _reduce(tf.math.reduce_min),
    "cumsum": _along(tf.math.cumsum),
    "cumprod": _along(tf.math.cumprod),
    "logcumsumexp": _along(tf.math.cumulative_logsumexp),
    "diff": lambda x, n=1, dim=-1, **more: unsupported("prepend, append") if more else np.diff(x, n, dim),
    "flip": lambda x, dims: tf.reverse(x, list(dims)) if dims else x,
    "permute": lambda x, dims: tf.transpose(x, list(dims)) if dims else x,
    "var": lambda x, dim=None, correction=1, keepdim=False: _spread(
        tf.math.reduce_variance, x, dim, correction, keepdim
    ),
    "std": lambda x, dim=None, correction=1, keepdim=False: _spread(tf.math.reduce_std, x, dim, correction, keepdim),
    "einsum": tf.einsum,
    "nn.functional.linear": lambda x, w, b=0.0: (
        tf.linalg.matmul(x, w, transpose_b=True) + b if w.ndim == x.ndim else unsupported("a vector")
    ),
    "clone": tf.identity,
    "double": lambda x: tf.cast(x, tf.float64),
    "float": lambda x: tf.cast(x, tf.float32),
    "to": tf.cast,
    "unbind": lambda x, dim: tuple(tf.unstack(x, axis=dim)),
    "sort": lambda x, dim=-1, descending=False, stable=True: (
        (
            tf.sort(x, axis=dim, direction="DESCENDING" if descending else "ASCENDING"),
            tf.cast(
                tf.argsort(x, axis=dim, direction="DESCENDING" if descending else "ASCENDING", stable=True), tf.int64
            ),
        )
        if x.ndim
        else unsupported("a 0-d value")
    ),
    "topk": lambda x, k, dim, largest=True: (
        _best(x, k) if largest and x.ndim and dim % x.ndim == x.ndim - 1 else unsupported("another dimension")
    ),
    "diag_embed": lambda x, offset=0, dim1=-2, dim2=-1: (
        tf.linalg.diag(x, k=offset) if (dim1, dim2) == (-2, -1) else unsupported("other dimensions")
    ),
    "det": tf.linalg.det,
    "linalg.det": tf.linalg.det,
    "slogdet": lambda x: tuple(tf.linalg.slogdet(x)),
    "linalg.slogdet": lambda x: tuple(tf.linalg.slogdet(x)),
    "logdet": lambda x: tf.linalg.slogdet(x)[1],
    "inverse": tf.linalg.inv,
    "linalg.inv": tf.linalg.inv,
    "pinverse": tf.linalg.pinv,
    "linalg.solve": lambda a, b: tf.linalg.solve(a, b) if b.ndim == a.ndim else unsupported("a vector"),
    "cholesky": lambda x, upper=False: unsupported("the upper factor") if upper else tf.linalg.cholesky(x),
    "linalg.cholesky": lambda x, upper=False: unsupported("the upper factor") if upper else tf.linalg.cholesky(x),
    "linalg.eigh": lambda x, UPLO="L": tuple(tf.linalg.eigh(x)) if UPLO == "L" else unsupported("upper"),  # noqa: N803
    "linalg.eigvalsh": lambda x, UPLO="L": tf.linalg.eigvalsh(x) if UPLO == "L" else unsupported("upper"),  # noqa: N803
    "linalg.svdvals": lambda x: tf.linalg.svd(x, compute_uv=False),
    "linalg.qr": lambda x, mode="reduced": tuple(tf.linalg.qr(x)) if mode == "reduced" else unsupported(mode),
    "qr": lambda x: tuple(tf.linalg.qr(x)),
    "matrix_exp": tf.linalg.expm,
    "linalg.matrix_exp": tf.linalg.expm,
    "linalg.cross": lambda x, y: tf.linalg.cross(x, y) if x.shape == y.shape else unsupported("broadcasting"),
    "linalg.solve_triangular": lambda a, b, upper, left=True, unitriangular=False: (
        tf.linalg.triangular_solve(a, b, lower=not upper)
        if left and not unitriangular and a.ndim == b.ndim
        else unsupported("solve_triangular from the right")
    ),
    "trace": tf.linalg.trace,
    "lerp": lambda x, y, w: x + w * (y - x),
    "addcmul": lambda x, y, z, value=1: x + value * y * z,
    "addcdiv": lambda x, y, z, value=1: x + value * y / z,
    "gather": lambda x, dim, i: (
        tf.gather(x, i, axis=dim, batch_dims=dim % x.ndim)
        if x.ndim and dim % x.ndim == x.ndim - 1 and x.shape[:-1] == i.shape[:-1]
        else unsupported("another dimension")
    ),
    "nn.functional.embedding": lambda i, w, padding_idx=None: (
        tf.gather(w, i) if padding_idx is None else unsupported("padding_idx")
    ),
    **{f"nn.functional.conv{n}d": lambda x, w, b=None, n=n, **more: _conv(x, w, b, n, **more) for n in (1, 2, 3)},
}


def _best(x: Any, k: int) -> tuple[Any, Any]:
    values, places = tf.math.top_k(x, k)
    return values, tf.cast(places, tf.int64)


def _spread(function: Callable[..., Any], x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    if correction or not x.ndim:
        unsupported("a divisor other than the number of elements")
    return function(x, axis=dim, keepdims=keepdim)


def _conv(x: Any, w: Any, b: Any, n: int, stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1) -> Any:
    """TensorFlow's channels come last."""
    if x.ndim != n + 2 or padding == "same" or groups > 1 or (stride > 1 and dilation > 1):
        unsupported("no batch, padding of unequal sides, groups, or strides and dilation together")
    middle = range(2, n + 2)
    wide = tf.pad(tf.transpose(x, (0, *middle, 1)), [(0, 0), *[(padding, padding)] * n, (0, 0)])
    made = tf.nn.convolution(wide, tf.transpose(w, (*middle, 1, 0)), [stride] * n, "VALID", dilations=[dilation] * n)
    made = tf.transpose(made, (0, n + 1, *range(1, n + 1)))
    return made if b is None else made + tf.reshape(b, (-1, *(1,) * n))
