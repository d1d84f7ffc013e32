"""jax, with 64 bits: functions of jax.numpy, jax.nn, jax.lax and jax.scipy; vjp of vjp for higher orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as np
from jax import lax, nn, scipy

from conformance.engines.adapters import numpy_names
from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import Recording


class Jax(Recording):
    """jax on the CPU."""

    name = "jax"
    cost = 3

    def __init__(self) -> None:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_disable_most_optimizations", True)  # each program is compiled, and runs once
        super().__init__()

    @property
    def version(self) -> str:
        return str(jax.__version__)

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        return numpy_names.functions(np) | _MORE

    def constant(self, array: Any) -> Any:
        return np.asarray(array) if array.dtype.kind == "f" else array

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        def gradients(values: list[Any], by: list[Any]) -> Sequence[Any]:
            _, back = jax.vjp(lambda *v: list(function(*v)), *values)
            found: Sequence[Any] = back(by)
            return found

        # One compilation instead of many; at the top level, by the emitters that take less time over it.
        nested = any(isinstance(value, jax.core.Tracer) for value in (*at, *weights))
        options = None if nested else {"xla_cpu_use_fusion_emitters": False}
        found: Sequence[Any] = jax.jit(gradients, compiler_options=options)(list(at), list(weights))
        return found


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: function(x, axis=dim if x.ndim else None, keepdims=keepdim)


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim: function(x, axis=dim) if x.ndim else unsupported("a 0-d value")


_MORE: dict[str, Callable[..., Any]] = {
    "rsqrt": lax.rsqrt,
    "sigmoid": nn.sigmoid,
    "relu": nn.relu,
    "nn.functional.relu": nn.relu,
    "nn.functional.relu6": nn.relu6,
    "nn.functional.softplus": nn.softplus,
    "nn.functional.logsigmoid": nn.log_sigmoid,
    "nn.functional.softsign": nn.soft_sign,
    "nn.functional.silu": nn.silu,
    "nn.functional.mish": nn.mish,
    "nn.functional.selu": nn.selu,
    "nn.functional.elu": lambda x, alpha=1.0: nn.elu(x, alpha),
    "nn.functional.celu": lambda x, alpha=1.0: nn.celu(x, alpha),
    "nn.functional.gelu": lambda x, approximate: nn.gelu(x, approximate == "tanh"),
    "nn.functional.glu": nn.glu,
    "nn.functional.hardsigmoid": nn.hard_sigmoid,
    "nn.functional.hardswish": nn.hard_swish,
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01: nn.leaky_relu(x, negative_slope),
    "nn.functional.softmax": _along(nn.softmax),
    "nn.functional.log_softmax": _along(nn.log_softmax),
    "softmax": _along(nn.softmax),
    "log_softmax": _along(nn.log_softmax),
    "logsumexp": _reduce(nn.logsumexp),
    "logit": lambda x, eps=None: scipy.special.logit(x) if eps is None else unsupported("eps"),
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "erfinv": scipy.special.erfinv,
    "xlogy": scipy.special.xlogy,
    "special.xlog1py": scipy.special.xlog1py,
    "special.entr": scipy.special.entr,
    "special.ndtr": scipy.special.ndtr,
    "special.ndtri": scipy.special.ndtri,
    "special.log_ndtr": scipy.special.log_ndtr,
    "special.i0e": scipy.special.i0e,
    "special.i1": scipy.special.i1,
    "special.i1e": scipy.special.i1e,
    "special.gammainc": scipy.special.gammainc,
    "special.gammaincc": scipy.special.gammaincc,
    "special.zeta": scipy.special.zeta,
    "i0": scipy.special.i0,
    "lgamma": scipy.special.gammaln,
    "digamma": scipy.special.digamma,
    "polygamma": scipy.special.polygamma,
    "mvlgamma": scipy.special.multigammaln,
    "cholesky": np.linalg.cholesky,
    "linalg.cholesky": np.linalg.cholesky,
    "matrix_exp": scipy.linalg.expm,
    "linalg.matrix_exp": scipy.linalg.expm,
    "block_diag": lambda *xs: scipy.linalg.block_diag(*xs),
    "linalg.solve_triangular": lambda a, b, upper, left=True, unitriangular=False: lax.linalg.triangular_solve(
        a, b, left_side=left, lower=not upper, unit_diagonal=unitriangular
    ),
    "linalg.qr": lambda x, mode="reduced": tuple(np.linalg.qr(x, mode)),
    "qr": lambda x: tuple(np.linalg.qr(x)),
    "linalg.cond": lambda x, p=None: np.linalg.cond(x, p),
    "linalg.multi_dot": np.linalg.multi_dot,
    "linalg.tensorinv": lambda x, ind: np.linalg.tensorinv(x, ind),
    "linalg.tensorsolve": np.linalg.tensorsolve,
    "linalg.vecdot": lambda x, y, dim: np.linalg.vecdot(x, y, axis=dim),
    "linalg.vector_norm": lambda x, ord, dim=None, keepdim=False: (
        np.linalg.vector_norm(x, axis=dim if x.ndim else None, keepdims=keepdim, ord=ord)
        if x.ndim
        else unsupported("a 0-d value")
    ),
    "linalg.diagonal": lambda x, offset=0: np.linalg.diagonal(x, offset=offset),
    "linalg.cross": lambda x, y: np.linalg.cross(x, y),
    "cross": lambda x, y, dim: np.cross(x, y, axis=dim),
    "linalg.svdvals": np.linalg.svdvals,
    "cumsum": _along(np.cumsum),
    "cumprod": _along(np.cumprod),
    "logcumsumexp": lambda x, dim: lax.cumlogsumexp(x, dim % x.ndim) if x.ndim else unsupported("a 0-d value"),
    "sort": lambda x, dim, descending=False, stable=True: (
        (
            np.sort(x, axis=dim, descending=descending),
            np.argsort(x, axis=dim, descending=descending),
        )
        if x.ndim
        else unsupported("a 0-d value")
    ),
    "topk": lambda x, k, dim, largest=True: (
        lax.top_k(x, k) if largest and dim % x.ndim == x.ndim - 1 else unsupported("another dimension")
    ),
    "quantile": lambda x, q, dim=None, keepdim=False, interpolation="linear": np.quantile(
        x, q, axis=dim if x.ndim else None, keepdims=keepdim, method=interpolation
    ),
    "nanquantile": lambda x, q, dim=None, keepdim=False, interpolation="linear": np.nanquantile(
        x, q, axis=dim if x.ndim else None, keepdims=keepdim, method=interpolation
    ),
    "cov": lambda x, correction=1: np.cov(x, ddof=correction),
    "corrcoef": lambda x: np.corrcoef(x),
    "lerp": lambda x, y, w: x + w * (y - x),
    "addcmul": lambda x, y, z, value=1: x + value * y * z,
    "addcdiv": lambda x, y, z, value=1: x + value * y / z,
    "clone": np.copy,
    "double": lambda x: x.astype("float64"),
    "float": lambda x: x.astype("float32"),
    "to": lambda x, dtype: x.astype(dtype),
    "scatter_add": lambda x, dim, i, source: _scattered(x, dim, i).add(source),
    "scatter": lambda x, dim, i, source: _scattered(x, dim, i).set(source),
    "index_add": lambda x, dim, i, source, alpha=1: x.at[(slice(None),) * dim + (i,)].add(alpha * source),
    "index_copy": lambda x, dim, i, source: x.at[(slice(None),) * dim + (i,)].set(source),
    "index_fill": lambda x, dim, i, value: x.at[(slice(None),) * dim + (i,)].set(value),
    "index_put": lambda x, i, values, accumulate=False: x.at[i].add(values) if accumulate else x.at[i].set(values),
    "nn.functional.embedding": lambda i, w, padding_idx=None: (
        w[i] if padding_idx is None else unsupported("padding_idx")
    ),
    "nn.functional.scaled_dot_product_attention": lambda q, k, v, is_causal=False, attn_mask=None, scale=None: (
        _attention(q, k, v, is_causal, attn_mask, scale)
    ),
    **{f"nn.functional.conv{n}d": lambda x, w, b=None, n=n, **more: _conv(x, w, b, n, **more) for n in (1, 2, 3)},
}


def _scattered(x: Any, dim: int, index: Any) -> Any:
    if x.ndim == 0:
        unsupported("a 0-d value")
    grid = list(np.indices(index.shape))
    grid[dim] = index
    return x.at[tuple(grid)]


def _attention(q: Any, k: Any, v: Any, causal: bool, bias: Any, scale: float | None) -> Any:
    if q.ndim != 4:
        unsupported("other than four dimensions")
    bias = None if bias is None else bias[None, None]
    heads_last = [a.swapaxes(1, 2) for a in (q, k, v)]
    return nn.dot_product_attention(*heads_last, bias=bias, is_causal=causal, scale=scale).swapaxes(1, 2)


def _conv(x: Any, w: Any, b: Any, n: int, stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1) -> Any:
    made = lax.conv_general_dilated(
        x if x.ndim == n + 2 else x[None],
        w,
        (stride,) * n,
        padding.upper() if isinstance(padding, str) else ((padding, padding),) * n,
        rhs_dilation=(dilation,) * n,
        feature_group_count=groups,
    )
    made = made if b is None else made + b.reshape(-1, *(1,) * n)
    return made if x.ndim == n + 2 else made[0]
