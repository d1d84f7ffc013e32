"""PaddlePaddle, eager on the CPU: a tape of its own, and functions that are mostly named as torch's are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from warnings import catch_warnings, simplefilter

with catch_warnings():
    simplefilter("ignore")  # that there is no ccache
    import paddle
    import paddle.nn.functional as nn

from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import offered, same_floats
from conformance.engines.protocol import Engine, Unsupported

#: Functions and methods that take torch's arguments under torch's names.
SAME = """
neg abs exp expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh sigmoid sqrt rsqrt reciprocal square
erf
floor ceil round trunc frac sign acosh asinh atanh angle conj deg2rad rad2deg positive sgn sinc nan_to_num clone
maximum minimum atan2 hypot remainder logaddexp fmax fmin copysign ldexp lerp digamma lgamma erfinv i0
floor_divide logical_and logical_or logical_xor logical_not heaviside nextafter signbit isnan isinf isfinite isreal
isposinf isneginf isclose pow logit clamp
sum mean prod amax amin logsumexp cumsum cumprod nansum nanmean corrcoef logcumsumexp diff
count_nonzero argmax argmin all any reshape transpose permute t squeeze unsqueeze expand flatten
cat stack unbind flip roll tril triu diagonal diag T mT ravel broadcast_to expand_as
view_as column_stack dstack hstack vstack combinations meshgrid diag_embed diagflat hsplit
vsplit dsplit tensor_split rot90 tile repeat_interleave unflatten topk
index_select gather take masked_fill masked_select take_along_dim index_add index_put
matmul mm mv bmm dot outer inner einsum trace kron cross inverse matrix_power
cholesky qr msort narrow where
linalg.cholesky linalg.cond linalg.cross linalg.det linalg.eigh linalg.eigvalsh linalg.inv
linalg.matrix_exp linalg.matrix_norm linalg.matrix_power linalg.multi_dot linalg.qr
linalg.solve linalg.svd linalg.svdvals linalg.vector_norm linalg.matmul cholesky_inverse
cholesky_solve softmax kthvalue mode dist cdist atleast_1d atleast_2d atleast_3d
nn.functional.celu nn.functional.elu nn.functional.gelu nn.functional.glu nn.functional.hardshrink
nn.functional.hardsigmoid nn.functional.hardswish nn.functional.leaky_relu
nn.functional.logsigmoid:log_sigmoid nn.functional.mish nn.functional.prelu nn.functional.relu nn.functional.softmax
nn.functional.relu6 nn.functional.selu nn.functional.silu nn.functional.softshrink
nn.functional.softsign nn.functional.tanhshrink nn.functional.softplus
nn.functional.binary_cross_entropy nn.functional.binary_cross_entropy_with_logits nn.functional.cosine_embedding_loss
nn.functional.hinge_embedding_loss nn.functional.kl_div nn.functional.l1_loss
nn.functional.margin_ranking_loss nn.functional.multi_margin_loss nn.functional.mse_loss
nn.functional.soft_margin_loss
nn.functional.embedding
nn.functional.pixel_shuffle
nn.functional.pixel_unshuffle
nn.functional.local_response_norm nn.functional.fold
exp2 relu:nn.functional.relu addcmul addcdiv
"""


class Paddle(Engine):
    """PaddlePaddle on the CPU."""

    name = "paddle"

    def __init__(self) -> None:
        paddle.set_device("cpu")
        table: dict[str, Callable[..., Any]] = {}
        for entry in SAME.split():
            ours, _, theirs = entry.partition(":")
            found = _find(theirs or ours)
            if found is not None:
                table[ours] = found
        self.table: Mapping[str, Callable[..., Any]] = table | _MORE

    @property
    def version(self) -> str:
        return str(paddle.__version__)

    def supports(self, op: str) -> bool:
        return op in self.table

    def leaf(self, array: Any, requires_grad: bool) -> Any:
        if array.dtype == "float16":
            raise Unsupported("float16")
        return paddle.to_tensor(array, stop_gradient=not requires_grad)

    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        function = self.table.get(op)
        if function is None:
            raise Unsupported(op)
        same_floats(x.dtype.name.lower() for x in _flat((*args, *kwargs.values())) if isinstance(x, paddle.Tensor))
        with offered(*LACKING, "must be Tensor, but got", takes=True):
            made = function(*map(_list, args), **{name: _list(value) for name, value in kwargs.items()})
        return tuple(made) if isinstance(made, (list, tuple)) else made

    def dtype(self, name: str) -> Any:
        return getattr(paddle, name)

    def backward(self, value: Any, gradient: Any) -> None:
        self.backward_all([value], [gradient], None, False, None)

    def backward_all(self, roots: Any, gradients: Any, retain_graph: Any, create_graph: Any, inputs: Any) -> None:
        if create_graph or inputs is not None:
            raise Unsupported("backward with create_graph or inputs")
        if any(root.stop_gradient for root in roots):
            raise RuntimeError("an output does not require grad")  # torch's class of error; paddle passes over it
        with offered(*LACKING):
            paddle.autograd.backward(list(roots), list(gradients), retain_graph=bool(retain_graph))

    def grad_of(
        self, outputs: Any, inputs: Any, gradients: Any, retain_graph: Any, create_graph: Any, allow_unused: Any
    ) -> Sequence[Any]:
        if any(output.stop_gradient for output in outputs):
            raise RuntimeError("an output does not require grad")
        with offered(*LACKING):
            found: Sequence[Any] = paddle.grad(
                list(outputs),
                list(inputs),
                list(gradients),
                retain_graph=retain_graph,
                create_graph=create_graph,
                allow_unused=True,  # it raises another class of error, and not for all of them
            )
        if not allow_unused and any(gradient is None for gradient in found):
            raise RuntimeError("an input is not used")
        return found

    def detach(self, value: Any) -> Any:
        return value.detach()

    def grad_mode(self, mode: str) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = getattr(paddle, mode)()
        return context

    def retain_grad(self, value: Any) -> None:
        value.retain_grads()

    def set_requires_grad(self, value: Any, requires_grad: bool) -> None:
        value.stop_gradient = not requires_grad

    def zero_grad(self, value: Any, to: str) -> None:
        value.clear_gradient(set_to_zero=to == "zero")

    def grad(self, value: Any) -> Any:
        return value.grad

    def numpy(self, value: Any) -> Any:
        return value.numpy()


#: How paddle says that it lacks something.
LACKING = (
    "nimplemented",
    "is not registered",
    "not supported",
    "does not support",
    "no double grad",
    "doesn't have any grad op",
    "ot implemented",
)


def _find(name: str) -> Callable[..., Any] | None:
    found: Any = paddle
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None and hasattr(paddle.Tensor, name):
        member = getattr(paddle.Tensor, name)
        if not callable(member):
            return lambda x: getattr(x, name)
        found = member
    function: Callable[..., Any] | None = found
    return function


def _flat(items: Sequence[Any]) -> list[Any]:
    return [x for item in items for x in (_flat(item) if isinstance(item, (tuple, list)) else (item,))]


def _list(item: Any) -> Any:
    """Paddle takes lists where torch takes tuples."""
    return list(item) if isinstance(item, tuple) and item else item


def _best(value: Callable[..., Any], place: Callable[..., Any], x: Any, dim: Any, keepdim: bool) -> Any:
    return value(x) if dim is None else (value(x, dim, keepdim), place(x, dim, keepdim))


def _sections(n: int, size: Any) -> list[int]:
    """Sizes of the pieces; the last one may be smaller."""
    return size if isinstance(size, list) else [min(size, n - k) for k in range(0, n or 1, size)]


def _epsilon(function: Callable[..., Any]) -> Callable[..., Any]:
    """Torch's `eps` by the name that it has in paddle."""
    return lambda *args, **more: function(*args, **{"epsilon" if k == "eps" else k: v for k, v in more.items()})


def _unbiased(correction: Any) -> bool:
    """Paddle divides by n or by n − 1."""
    return bool(correction) if correction in (0, 1) else unsupported("another correction")


_MORE: dict[str, Callable[..., Any]] = {
    "add": lambda x, y, alpha=1: x + (y if alpha == 1 else y * alpha),
    "sub": lambda x, y, alpha=1: x - (y if alpha == 1 else y * alpha),
    "mul": lambda x, y: x * y,
    "div": lambda x, y, rounding_mode=None: x / y if rounding_mode is None else unsupported("rounding"),
    "true_divide": lambda x, y: x / y,
    "rsub": lambda x, y: y - x,
    "__radd__": lambda x, n: n + x,
    "__rsub__": lambda x, n: n - x,
    "__rmul__": lambda x, n: n * x,
    "__rtruediv__": lambda x, n: n / x,
    "__rpow__": lambda x, n: n**x,
    "__rmatmul__": lambda x, y: x @ y,
    "__getitem__": lambda x, index: x[tuple(index) if isinstance(index, list) else index],
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "double": lambda x: x.astype("float64"),
    "float": lambda x: x.astype("float32"),
    "to": lambda x, dtype: x.astype(dtype),
    "view": lambda x, shape: paddle.reshape(x, shape),
    "repeat": lambda x, sizes: paddle.tile(x, sizes),
    "movedim": lambda x, a, b: paddle.moveaxis(x, a, b),
    "swapaxes": lambda x, a, b: paddle.transpose(x, a, b),
    "select": lambda x, dim, i: x[(slice(None),) * (dim % x.ndim) + (i,)],
    "reshape_as": lambda x, y: paddle.reshape(x, y.shape),
    "log_softmax": lambda x, dim: nn.log_softmax(x, dim),
    "nn.functional.log_softmax": lambda x, dim: nn.log_softmax(x, dim),
    "nn.functional.hardtanh": lambda x, min_val=-1.0, max_val=1.0: nn.hardtanh(x, min_val, max_val),
    "nn.functional.bilinear": lambda x, y, w, b=None: (
        nn.bilinear(x, y, w, None if b is None else b.reshape((1, -1))) if x.ndim == 2 else unsupported("no batch")
    ),
    "polygamma": lambda n, x: paddle.polygamma(x, n),
    "max": lambda x, dim=None, keepdim=False: _best(paddle.max, paddle.argmax, x, dim, keepdim),
    "min": lambda x, dim=None, keepdim=False: _best(paddle.min, paddle.argmin, x, dim, keepdim),
    "median": lambda x, dim=None, keepdim=False: paddle.median(x, dim, keepdim, mode="min"),
    "nanmedian": lambda x, dim=None, keepdim=False: paddle.nanmedian(x, dim, keepdim, mode="min"),
    "std": lambda x, dim=None, correction=1, keepdim=False: paddle.std(x, dim, _unbiased(correction), keepdim),
    "var": lambda x, dim=None, correction=1, keepdim=False: paddle.var(x, dim, _unbiased(correction), keepdim),
    "quantile": lambda x, q, dim=None, keepdim=False, interpolation="linear": paddle.quantile(
        x, q, dim, keepdim, interpolation
    ),
    "nanquantile": lambda x, q, dim=None, keepdim=False, interpolation="linear": paddle.nanquantile(
        x, q, dim, keepdim, interpolation
    ),
    "cov": lambda x, correction=1: paddle.linalg.cov(x, ddof=_unbiased(correction)),
    "trapezoid": lambda y, x=None, dim=-1, dx=None: paddle.trapezoid(y, x, dx, dim),
    "cumulative_trapezoid": lambda y, x=None, dim=-1, dx=None: paddle.cumulative_trapezoid(y, x, dx, dim),
    "chunk": lambda x, n, dim=0: (
        paddle.chunk(x, n, dim) if x.ndim and x.shape[dim] % n == 0 else unsupported("unequal pieces")
    ),
    "split": lambda x, size, dim=0: paddle.split(x, _sections(x.shape[dim], size), dim),
    "scatter_add": lambda x, dim, i, source: (
        paddle.scatter_add(x, dim, i, source) if x.ndim else unsupported("a 0-d value")
    ),
    **{
        f"nn.functional.{name}": _epsilon(getattr(nn, name))
        for name in ("gaussian_nll_loss", "poisson_nll_loss", "triplet_margin_loss")
    },
    "nn.functional.unfold": lambda x, size, stride=1, padding=0, dilation=1: (
        nn.unfold(x, size, stride, padding, dilation) if x.ndim == 4 else unsupported("no batch")
    ),
    "broadcast_tensors": lambda *xs: paddle.broadcast_tensors(list(xs)),
    "cartesian_prod": lambda *xs: paddle.cartesian_prod(list(xs)),
    "block_diag": lambda *xs: paddle.block_diag(list(xs)),
    "select_scatter": lambda x, source, dim, index: paddle.select_scatter(x, source, dim, index),
    "diagonal_scatter": lambda x, source, offset=0, dim1=0, dim2=1: paddle.diagonal_scatter(
        x, source, offset, dim1, dim2
    ),
    "slice_scatter": lambda x, source, dim=0, start=0, end=None, step=1: paddle.slice_scatter(
        x, source, [dim], [start], [x.shape[dim] if end is None else end], [step]
    ),
    "sort": lambda x, dim=-1, descending=False, stable=True: (
        paddle.sort(x, dim, descending, stable),
        paddle.argsort(x, dim, descending, stable),
    ),
    "argsort": lambda x, dim=-1, descending=False, stable=True: paddle.argsort(x, dim, descending, stable),
    # Without a dimension, paddle's backward reads memory that is not its own: bugs/paddle-cummin-scalar.
    "cummax": lambda x, dim: paddle.cummax(x, dim) if x.ndim else unsupported("a 0-d value"),
    "cummin": lambda x, dim: paddle.cummin(x, dim) if x.ndim else unsupported("a 0-d value"),
    "addmm": lambda b, x, y, beta=1, alpha=1: (
        paddle.addmm(b, x, y, beta, alpha) if b.ndim == 2 else unsupported("broadcasting")
    ),
    "tensordot": lambda x, y, dims: paddle.tensordot(x, y, dims),
    "slogdet": lambda x: tuple(paddle.linalg.slogdet(x)),
    "linalg.slogdet": lambda x: tuple(paddle.linalg.slogdet(x)),
    "linalg.diagonal": lambda x, offset=0, dim1=-2, dim2=-1: paddle.diagonal(x, offset, dim1, dim2),
    "linalg.vecdot": lambda x, y, dim=-1: paddle.linalg.vecdot(x, y, dim),
    **{
        f"nn.functional.{name}": lambda x, *more, name=name, ndim=ndim, **options: (
            getattr(nn, name)(x, *more, **options) if x.ndim == ndim else unsupported("no batch")
        )
        for name, ndim in {
            "conv1d": 3,
            "conv2d": 4,
            "conv3d": 5,
            "adaptive_avg_pool1d": 3,
            "adaptive_avg_pool2d": 4,
            "adaptive_avg_pool3d": 5,
        }.items()
    },
    "det": paddle.linalg.det,
    "logdet": lambda x: paddle.linalg.slogdet(x)[1],
    "pinverse": paddle.linalg.pinv,
    "matrix_exp": paddle.linalg.matrix_exp,
    "linalg.solve_triangular": lambda a, b, upper, left=True, unitriangular=False: (
        paddle.linalg.triangular_solve(a, b, upper=upper, unitriangular=unitriangular)
        if left
        else unsupported("solve_triangular from the right")
    ),
    "triangular_solve": lambda b, a, upper=True, transpose=False, unitriangular=False: (
        paddle.linalg.triangular_solve(a, b, upper=upper, transpose=transpose, unitriangular=unitriangular),
        a.clone(),
    ),
    "special.i0e": paddle.i0e,
    "special.i1": paddle.i1,
    "special.i1e": paddle.i1e,
    "special.gammainc": paddle.gammainc,
    "special.gammaincc": paddle.gammaincc,
    "mvlgamma": paddle.multigammaln,
    "nn.functional.layer_norm": lambda x, shape, weight=None, bias=None, eps=1e-5: (
        nn.layer_norm(x, shape, weight, bias, eps) if len(shape) == 1 and eps <= 1e-3 else unsupported("large eps")
    ),
    "nn.functional.linear": lambda x, w, b=None: nn.linear(x, w.T, b) if w.ndim == 2 else unsupported("a vector"),
}
