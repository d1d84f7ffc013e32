"""Torch's operations in numpy's words, one line for each, for every engine whose functions are named as numpy's are.

`functions(np)` makes the table for a namespace: the operations whose numpy functions it has. Engines add what they call
otherwise. What needs more than a line of glue is left out: the engine would not be what is tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

Function = Callable[..., Any]
Table = dict[str, Function]

#: Torch's name: numpy's, where the arguments are the same. A name alone is the same in both.
SAME = """
abs exp exp2 expm1 log log2 log10 log1p sin cos tan asin:arcsin acos:arccos atan:arctan sinh cosh tanh
acosh:arccosh asinh:arcsinh atanh:arctanh sqrt square reciprocal floor ceil round trunc sign sgn:sign neg:negative
conj positive deg2rad rad2deg sinc angle real
mul:multiply pow:power float_power:power true_divide:true_divide maximum minimum atan2:arctan2 hypot
remainder:mod fmod logaddexp logaddexp2 fmax fmin copysign heaviside nextafter floor_divide:floor_divide
eq:equal ne:not_equal lt:less le:less_equal gt:greater ge:greater_equal isclose
logical_and logical_or logical_xor logical_not signbit isnan isinf isfinite isposinf isneginf isreal
where reshape view:reshape reshape_as ravel permute:transpose transpose:swapaxes swapaxes swapdims:swapaxes
movedim:moveaxis t:transpose T:transpose H:transpose unsqueeze:expand_dims broadcast_to tile repeat:tile
tril triu fliplr flipud atleast_1d atleast_2d
kron diagflat diag diagonal trace flip roll
matmul mm:matmul mv:matmul bmm:matmul linalg.matmul:matmul dot outer inner vdot einsum cross
linalg.det linalg.inv linalg.solve linalg.pinv linalg.matrix_power linalg.slogdet
det:linalg.det inverse:linalg.inv pinverse:linalg.pinv matrix_power:linalg.matrix_power
slogdet:linalg.slogdet
"""


def _find(np: Any, name: str) -> Function | None:
    for part in name.split("."):
        np = getattr(np, part, None)
    found: Function | None = np
    return found


def _axis(x: Any, dim: Any) -> Any:
    """A dimension as an axis: torch lets a 0-d value have dimensions 0 and -1."""
    return None if x.ndim == 0 else dim


def _full(x: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape in which -1 stands for the size that is there."""
    own = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    return tuple(n if m == -1 else m for n, m in zip(own, shape, strict=True))


def _at(x: Any, dim: int, part: Any) -> Any:
    """Part of one dimension."""
    return x[(slice(None),) * (dim % x.ndim) + (part,)]


def _cuts(x: Any, size: int | Sequence[int], dim: int) -> tuple[Any, ...]:
    """Pieces along a dimension, of one size or of the sizes given."""
    n = x.shape[dim]
    ends = list(itertools.accumulate(size)) if isinstance(size, Sequence) else [*range(size, n, size), n]
    return tuple(_at(x, dim, slice(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True))


def functions(np: Any) -> Table:
    """The table for a namespace that has numpy's names."""
    table: Table = {}
    for name in SAME.split():
        ours, _, theirs = name.partition(":")
        found = _find(np, theirs or ours)
        if found is not None:
            table[ours] = found
    for needs, rows in _ROWS:
        if all(_find(np, name) is not None for name in needs.split()):
            table |= rows(np)
    return table


def _reduced(name: str, np: Any) -> Function:
    """A reduction over all, one or several dimensions."""
    function = _find(np, name)
    assert function is not None
    return lambda x, dim=None, keepdim=False: function(x, axis=_axis(x, dim), keepdims=keepdim)


def _best(name: str, np: Any) -> Function:
    """A largest or smallest element, of all or, with its index, along a dimension."""
    function, where = _find(np, name), _find(np, f"arg{name}")
    assert function is not None
    assert where is not None

    def best(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return function(x)
        if x.ndim == 0:
            return x * 1, where(x)
        index = where(x, axis=dim)
        return function(x, axis=dim, keepdims=keepdim), np.expand_dims(index, dim) if keepdim else index

    return best


def _where(np: Any, name: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    """Place of the largest or smallest element."""
    if (keepdim and x.ndim == 0) or dim is None:
        return getattr(np, name)(x)
    place = getattr(np, name)(x, axis=_axis(x, dim))
    return np.expand_dims(place, dim) if keepdim else place


def _along(function: Function) -> Function:
    """An operation along one dimension that keeps the shape."""
    return lambda x, dim: function(x, axis=dim) if x.ndim else function(x.reshape(1), axis=0).reshape(())


#: Which names are needed, and the rows that use them.
_ROWS: tuple[tuple[str, Callable[[Any], Table]], ...] = (
    (
        "",
        lambda np: {
            "add": lambda x, y, alpha=1: x + y if alpha == 1 else x + y * alpha,
            "sub": lambda x, y, alpha=1: x - y if alpha == 1 else x - y * alpha,
            "rsub": lambda x, y: y - x,
            "__radd__": lambda x, n: n + x,
            "__rsub__": lambda x, n: n - x,
            "__rmul__": lambda x, n: n * x,
            "__rtruediv__": lambda x, n: n / x,
            "__rpow__": lambda x, n: n**x,
            "__getitem__": lambda x, index: x[index],
            "select": lambda x, dim, index: _at(x, dim, index),
            "narrow": lambda x, dim, start, n: _at(x, dim, slice(start, start + n)),
            "narrow_copy": lambda x, dim, start, n: _at(x, dim, slice(start, start + n)),
            "split": lambda x, size, dim: _cuts(x, size, dim),
            "unsafe_split": lambda x, size, dim: _cuts(x, size, dim),
            "split_with_sizes": lambda x, size, dim: _cuts(x, size, dim),
            "unbind": lambda x, dim: tuple(_at(x, dim, i) for i in range(x.shape[dim])),
        },
    ),
    ("divide", lambda np: {"div": lambda x, y, rounding_mode=None: _div(np, x, y, rounding_mode)}),
    ("trunc", lambda np: {"frac": lambda x: x - np.trunc(x)}),
    ("clip", lambda np: {"clamp": lambda x, low=None, high=None: np.clip(x, low, high)}),
    ("maximum", lambda np: {"clamp_min": np.maximum, "relu": lambda x: np.maximum(x, 0)}),
    ("minimum", lambda np: {"clamp_max": np.minimum}),
    ("where", lambda np: {"masked_fill": lambda x, mask, value: np.where(mask, value, x)}),
    (
        "reshape",
        lambda np: {
            "reshape_as": lambda x, y: np.reshape(x, y.shape),
            "view_as": lambda x, y: np.reshape(x, y.shape),
            "flatten": lambda x, start=0, end=-1: (
                np.reshape(x, (*x.shape[:start], -1 if x.size else 0, *x.shape[end:][1:]) if x.ndim else (1,))
                if x.size
                else unsupported("flatten of nothing")
            ),
            "unflatten": lambda x, dim, sizes: np.reshape(
                x, (*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :])
            ),
        },
    ),
    (
        "swapaxes",
        lambda np: {
            "mT": lambda x: np.swapaxes(x, -1, -2),
            "mH": lambda x: np.swapaxes(x, -1, -2),
            "adjoint": lambda x: np.swapaxes(x, -1, -2),
        },
    ),
    (
        "squeeze",
        lambda np: {
            "squeeze": lambda x, dim=None: (
                np.squeeze(x) if dim is None else np.squeeze(x, axis=dim) if x.ndim and x.shape[dim] == 1 else x
            )
        },
    ),
    (
        "broadcast_to",
        lambda np: {
            "expand": lambda x, shape: np.broadcast_to(x, _full(x, shape)),
            "expand_as": lambda x, y: np.broadcast_to(x, y.shape),
        },
    ),
    ("concatenate", lambda np: {"cat": lambda xs, dim: np.concatenate(xs, axis=dim)}),
    *(
        (name, lambda np, name=name: {name: lambda xs: getattr(np, name)(xs)})
        for name in ("column_stack", "dstack", "hstack", "vstack")
    ),
    ("rot90", lambda np: {"rot90": lambda x, k, dims: np.rot90(x, k, axes=dims)}),
    ("stack", lambda np: {"stack": lambda xs, dim: np.stack(xs, axis=dim)}),
    ("broadcast_arrays", lambda np: {"broadcast_tensors": lambda *xs: tuple(np.broadcast_arrays(*xs))}),
    ("meshgrid", lambda np: {"meshgrid": lambda *xs, indexing="ij": tuple(np.meshgrid(*xs, indexing=indexing))}),
    ("tensordot", lambda np: {"tensordot": lambda x, y, dims: np.tensordot(x, y, dims)}),
    (
        "matmul",
        lambda np: {
            "addmm": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * np.matmul(x, y),
            "addmv": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * np.matmul(x, y),
            "baddbmm": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * np.matmul(x, y),
            "__rmatmul__": lambda x, y: np.matmul(x, y),
            "nn.functional.linear": lambda x, w, b=0.0: np.matmul(x, w.T) + b,
        },
    ),
    ("outer", lambda np: {"addr": lambda b, x, y, beta=1, alpha=1: beta * b + alpha * np.outer(x, y)}),
    *(
        (name, lambda np, op=op, name=name: {op: _reduced(name, np)})
        for op, name in {
            **{name: name for name in ("sum", "mean", "all", "any", "nansum", "nanmean", "count_nonzero")},
            "amax": "max",
            "amin": "min",
        }.items()
    ),
    ("prod", lambda np: {"prod": _reduced("prod", np)}),
    (
        "var std",
        lambda np: {
            name: lambda x, dim=None, correction=1, keepdim=False, f=getattr(np, name): f(
                x, axis=_axis(x, dim), ddof=correction, keepdims=keepdim
            )
            for name in ("var", "std")
        },
    ),
    ("max argmax", lambda np: {"max": _best("max", np)}),
    ("min argmin", lambda np: {"min": _best("min", np)}),
    *(
        (name, lambda np, name=name: {name: lambda x, dim=None, keepdim=False: _where(np, name, x, dim, keepdim)})
        for name in ("argmax", "argmin")
    ),
    ("cumsum", lambda np: {"cumsum": _along(np.cumsum)}),
    ("cumprod", lambda np: {"cumprod": _along(np.cumprod)}),
    ("take", lambda np: {"take": np.take, "index_select": lambda x, dim, i: _along_take(np, x, i, dim)}),
    (
        "take_along_axis",
        lambda np: {
            "take_along_dim": lambda x, i, dim: np.take_along_axis(x, i, axis=dim),
            "gather": lambda x, dim, i: (
                np.take_along_axis(x, i, axis=dim) if _like(x, i, dim) else unsupported("gather")
            ),
        },
    ),
    ("repeat", lambda np: {"repeat_interleave": lambda x, n, dim=None: np.repeat(x, n, axis=dim)}),
    ("diff", lambda np: {"diff": lambda x, n=1, dim=-1, **more: np.diff(x, n=n, axis=dim, **more)}),
    ("sort", lambda np: {"msort": lambda x: np.sort(x, axis=0) if x.ndim else x}),
    (
        "linalg.norm",
        lambda np: {
            "linalg.norm": lambda x, ord=None: np.linalg.norm(x, ord),
            "linalg.matrix_norm": lambda x, ord, keepdim=False: np.linalg.norm(x, ord, (-2, -1), keepdims=keepdim),
            "nuclear_norm": lambda x: np.linalg.norm(x, "nuc"),
            "linalg.vector_norm": lambda x, ord, dim=None, keepdim=False: (
                np.linalg.norm(x, ord, dim)
                if isinstance(dim, int) and x.ndim and not keepdim
                else unsupported("dimensions")
            ),
        },
    ),
    (
        "linalg.cholesky",
        lambda np: {name: lambda x, upper=False: _cholesky(np, x, upper) for name in ("cholesky", "linalg.cholesky")},
    ),
    ("linalg.slogdet", lambda np: {"logdet": lambda x: np.linalg.slogdet(x)[1]}),
    ("linalg.eigh", lambda np: {"linalg.eigvalsh": lambda x, UPLO="L": np.linalg.eigh(x, UPLO)[0]}),  # noqa: N803
    (
        "linalg.svd",
        lambda np: {
            "linalg.svd": lambda x, full_matrices: tuple(np.linalg.svd(x, full_matrices)),
            "linalg.svdvals": lambda x: np.linalg.svd(x, False)[1],
        },
    ),
    ("linalg.eigh linalg.svd", lambda np: {"linalg.eigh": lambda x, UPLO="L": tuple(np.linalg.eigh(x, UPLO))}),  # noqa: N803
    (
        "exp",
        lambda np: {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "nn.functional.softsign": lambda x: x / (1 + abs(x))},
    ),
    ("sqrt", lambda np: {"rsqrt": lambda x: 1 / np.sqrt(x)}),
    ("mean", lambda np: {"nn.functional.mse_loss": lambda x, y, reduction: _loss(np, (x - y) ** 2, reduction)}),
    ("mean abs", lambda np: {"nn.functional.l1_loss": lambda x, y, reduction: _loss(np, np.abs(x - y), reduction)}),
)


def _cholesky(np: Any, x: Any, upper: bool) -> Any:
    return unsupported("the upper factor") if upper else np.linalg.cholesky(x)


def _loss(np: Any, each: Any, reduction: str) -> Any:
    return np.mean(each) if reduction == "mean" else np.sum(each) if reduction == "sum" else each


def _div(np: Any, x: Any, y: Any, rounding_mode: str | None) -> Any:
    if rounding_mode is None:
        return x / y
    rounded = _find(np, "floor" if rounding_mode == "floor" else "trunc")
    return unsupported(f"rounding_mode={rounding_mode}") if rounded is None else rounded(x / y)


def _along_take(np: Any, x: Any, index: Any, dim: int) -> Any:
    return np.take(x, index, axis=dim) if x.ndim else unsupported("index_select of a 0-d value")


def _like(x: Any, index: Any, dim: int) -> bool:
    """Whether an index has the shape of `x` but for one dimension, as numpy asks."""
    return (
        x.ndim > 0
        and x.ndim == index.ndim
        and all(n == m or d == dim % x.ndim for d, (n, m) in enumerate(zip(x.shape, index.shape, strict=True)))
    )


def unsupported(what: str) -> Any:
    """Say that a case is not offered, from within an expression."""
    from conformance.engines.protocol import Unsupported

    raise Unsupported(what)
