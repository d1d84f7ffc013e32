"""Pooling over sliding and over adaptive windows, in one, two and three dimensions.

Averages are sparse linear maps along each dimension (`resample`). Maxima remember where in its plane each was found:
their gradient puts numbers there, whose gradient takes them from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, Final

import numpy as np

from minigrad._declare import composite
from minigrad._dims import wrap_dim
from minigrad._layout import laid_out
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor
from minigrad.ops._checks import kind, refuse_kinds
from minigrad.ops._spatial import Ints, offsets, padded, per_dim
from minigrad.ops.resample import adaptive_means, adaptive_windows, sliding_means
from minigrad.ops.shape import internal
from minigrad.return_types import named

# What a maximum pooling finds: the largest elements, and their numbers in their planes.
Maxima: Final = named("Maxima", "values", "indices")


# ---- maxima ----------------------------------------------------------------------------------------------------------


@internal(self=lambda xp, grad, indices, spatial, distinct: xp.plane_take(grad, indices, spatial, distinct))
def plane_put(self: Array, indices: Array, spatial: Ints, distinct: bool) -> Array:
    """Zeros (..., *spatial) with elements added at their numbers in their plane; `distinct` says that none repeats."""
    planes, size = prod(self.shape[: -len(spatial)]), prod(spatial)
    result = np.zeros((*self.shape[: -len(spatial)], *spatial), self.dtype)
    count = prod(indices.shape[-len(spatial) :])
    flat = (indices.reshape(planes, count) + np.arange(planes)[:, None] * size).reshape(-1)
    if distinct:
        result.reshape(-1)[flat] = self.reshape(-1)
    else:
        np.add.at(result.reshape(-1), flat, self.reshape(-1))
    return result


@internal(self=lambda xp, grad, indices, spatial, distinct: xp.plane_put(grad, indices, spatial, distinct))
def plane_take(self: Array, indices: Array, spatial: Ints, distinct: bool) -> Array:
    """The elements at numbers in their planes, whose dimensions are `spatial`."""
    planes = prod(self.shape[: -len(spatial)])
    count = prod(indices.shape[-len(spatial) :])
    found = np.take_along_axis(self.reshape(planes, prod(spatial)), indices.reshape(planes, count), 1)
    return found.reshape(indices.shape)


def _maxima(candidates: Iterator[tuple[Array, Array]], shape: Ints, first: Array, data: Array) -> tuple[Array, Array]:
    """The first largest of the candidates (the last nan, if any), and its number; `first` are the numbers if none is.

    Each candidate is an array of the shape `shape`, with the numbers of its elements in one plane.
    """
    floating = data.dtype.kind == "f"
    has_nan = floating and bool(np.isnan(data).any())
    best = np.full(shape, -np.inf if floating else np.iinfo(data.dtype).min, data.dtype)
    winner = np.zeros(shape, np.uint8)
    numbers = [first]
    for values, each in candidates:
        better = (values > best) | (values != values) if has_nan else values > best
        if len(numbers) == 256:
            winner = winner.astype(np.uint32)
        # Later winners have larger numbers, so the maximum is the last one: many times faster than writing by a mask.
        np.maximum(winner, better * winner.dtype.type(len(numbers)), out=winner)
        np.maximum(best, values, out=best)
        numbers.append(each)
    size = first.size
    table = np.stack([each.reshape(size) for each in numbers])
    places = table[winner.reshape(winner.size // size if size else 0, size), np.arange(size)].reshape(shape)
    return laid_out(best, data), laid_out(places, data)


def _put_back(xp: Any, grad: Any, x: Any, indices: Any, n: int, distinct: bool) -> Any:
    """The gradient of maxima in planes of `n` dimensions; as in torch it depends on the input, if only by zeros."""
    return xp.anchored(xp.plane_put(grad, indices, tuple(x.shape[-n:]), distinct), x)


def _numbers(places: list[Array], spatial: Ints) -> Array:
    """Places along each dimension, as numbers in a plane of the shape `spatial`."""
    total = np.zeros((), np.int64)
    for each, size in zip(places, spatial):
        total = total[..., None] * size + each
    return total


@internal(
    returns=Maxima, node=lambda called: called,
    self=lambda xp, grad, self, indices, kernel, stride, dilation: _put_back(
        xp, grad, self, indices, len(kernel), all(s > d * (k - 1) for k, s, d in zip(kernel, stride, dilation))),
)  # fmt: skip
def max_pool(
    self: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, count: Ints, called: str
) -> tuple[Array, Array]:
    n = len(kernel)
    spatial = self.shape[-n:]
    least = -np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
    reach = tuple((c - 1) * s + d * (k - 1) + 1 for c, s, d, k in zip(count, stride, dilation, kernel))
    high = tuple(max(r - m - p, 0) for r, m, p in zip(reach, spatial, padding))
    data = padded(self, padding, high, least)
    starts = [np.arange(c) * s - p for c, s, p in zip(count, stride, padding)]
    corner = _numbers(starts, spatial)
    steps = [prod(spatial[i + 1 :]) * d for i, d in enumerate(dilation)]
    first = _numbers([a + d * -(np.minimum(a, 0) // d) for a, d in zip(starts, dilation)], spatial)
    candidates = (
        (data[where], corner + sum(a * b for a, b in zip(place, steps)))
        for place, where in offsets(kernel, stride, dilation, count)
    )
    return _maxima(candidates, (*self.shape[:-n], *count), first, self)


@internal(returns=Maxima,
          node=lambda called: called,
          self=lambda xp, grad, self, indices, size: _put_back(xp, grad, self, indices, len(size), False))  # fmt: skip
def adaptive_max_pool(self: Array, size: Ints, called: str) -> tuple[Array, Array]:
    n = len(size)
    spatial = self.shape[-n:]
    windows = [adaptive_windows(m, c) for m, c in zip(spatial, size)]
    widths = tuple(int(np.max(last - first, initial=0)) for first, last in windows)

    def candidates() -> Iterator[tuple[Array, Array]]:
        for place in np.ndindex(*widths):  # a window that is too short repeats its last element, which changes nothing
            places = [np.minimum(first + k, last - 1) for k, (first, last) in zip(place, windows)]
            yield self[(..., *np.ix_(*places))], _numbers(places, spatial)

    first = _numbers([first for first, _ in windows], spatial)
    return _maxima(candidates(), (*self.shape[:-n], *size), first, self)


# ---- arguments -------------------------------------------------------------------------------------------------------


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """How many windows fit; with `ceil` a last one may reach beyond the input, if it starts before its end."""
    found = (size + 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1 if ceil else 0)) // stride + 1
    return found - 1 if ceil and (found - 1) * stride >= size + padding else found


def _windows(
    name: str, x: Tensor, n: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """The arguments per dimension and the number of windows; torch's errors in torch's order."""
    average, shape = name.startswith("avg"), list(x.shape)
    stride = kernel if stride is None or stride in ([], ()) else stride
    given = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    per = {label: per_dim(each, n, name, label, i) for i, (label, each) in enumerate(given.items(), 2)}
    for label, values in per.items():
        if len(values) != n:
            counted = ("one int", "two ints", "three ints")[n - 1]
            either = "be" if name == "avg_pool3d" and label == "kernel_size" else "either be"
            raise RuntimeError(f"{name}: {label} must {either} a single int, or a tuple of {counted}")
    kernels, strides, paddings, dilations = per.values()
    batched = f"{n + 1}D or {n + 2}D (batch mode) tensor"
    wrong = x.ndim not in (n + 1, n + 2)
    if wrong and not (average and n == 2):
        raise RuntimeError(f"non-empty {batched} expected for input")
    wrap_dim(-n - 1, x.ndim)
    for k, s, p, d in zip(kernels, strides, paddings, dilations):
        if s == 0:
            raise RuntimeError("stride should not be zero")
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > int((d * (k - 1) + 1) / 2):
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got"
                f" pad={p}, kernel_size={k} and dilation={d}"
            )
    for what, short, values in (
        ("kernel size", "k", kernels), ("stride", "d", strides), ("dilation", "dilation", dilations),
    ):  # fmt: skip
        if min(values) <= 0:
            said = " ".join(f"{short}{axis}: {v}" for axis, v in zip("THW"[3 - n :], values))
            raise RuntimeError(f"{what} should be greater than zero, but got {said}")
    batch = x.ndim == n + 2
    if n == 3 and not wrong and 0 in shape[batch:]:
        internal = "avg_pool3d()" if average else "max_pool3d_with_indices_out_cpu_template()"
        raise RuntimeError(
            f"{internal}: Expected input's non-batch dimensions to have positive length, but input has a shape of"
            f" {shape} and non-batch dimension 0 has length zero!"  # whichever it is
        )
    if wrong or 0 in shape[batch:]:
        raise RuntimeError(f"Expected {batched} with optional 0 dim batch size for input, but got:{shape}")
    sizes = zip(shape[-n:], kernels, strides, paddings, dilations)
    count = tuple(_count(m, k, s, p, d, ceil) for m, k, s, p, d in sizes)
    if min(count) < 1:
        before, after = ("x".join(map(str, (shape[-n - 1], *each))) for each in (shape[-n:], count))
        raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small")
    return kernels, strides, paddings, dilations, count


def _one_dimension(name: str, x: Tensor) -> None:
    if x.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for argument #1 'self' (while checking"
            f" arguments for {name})"
        )


def _in_planes(n: int, pooled: Callable[[Tensor], Any], x: Tensor) -> Any:
    """What a function gives for a tensor; as in torch, one dimension is brought to it as planes of height one."""
    if n > 1:
        return pooled(x)
    found = pooled(x.unsqueeze(-2))
    return tuple(each.squeeze(-2) for each in found) if isinstance(found, tuple) else found.squeeze(-2)


# ---- pooling as users know it ----------------------------------------------------------------------------------------


def _max_pool(n: int) -> Any:
    name, planes = f"max_pool{n}d", f"max_pool{max(n, 2)}d"
    called = f"MaxPool{max(n, 2)}DWithIndicesBackward0"

    def max_pool_nd(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                    ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
        """The largest element of each window; with `return_indices` also its number in its plane."""
        given = (kernel_size, kernel_size if stride is None else stride, padding, dilation)
        if n == 1:
            if return_indices:
                _one_dimension(name, input)
            else:
                _check_max_pool1d(input, *given, ceil_mode)
            labels = ("kernel_size", "stride", "padding", "dilation")
            each = (per_dim(value, 1, name, label, i) for i, (label, value) in enumerate(zip(labels, given), 2))
            given = tuple((k, *values) for k, values in zip((1, 1, 0, 1), each))  # type: ignore[assignment]

        def pooled(x: Tensor) -> tuple[Tensor, Tensor]:
            if n == 1 and not return_indices and not input.requires_grad:
                refuse_kinds("max_pool1d_impl", input, "biuc")
            refuse_kinds(planes, input, "bc")
            return tuple(F.max_pool(x, *_windows(planes, x, max(n, 2), *given, ceil_mode), called))

        found = _in_planes(n, pooled, input)
        return found if return_indices else found[0]

    return max_pool_nd


def _check_max_pool1d(x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> None:
    """Torch's errors of its own for one dimension."""
    shape = list(x.shape)
    if x.ndim not in (2, 3) or 0 in shape[1:] or x.ndim == 2 and 0 in shape:
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but"
            f" got:{shape}"
        )
    named = {"kernel_size": kernel, "stride": stride, "padding": padding}
    values = {}
    for position, (name, given) in enumerate({**named, "dilation": dilation}.items(), 2):
        each = per_dim(given, 1, "max_pool1d", name, position)
        if len(each) != 1:
            raise RuntimeError(
                f"max_pool1d() {name} must be an int, list of ints or tuple of ints of size 1 but got size {len(each)}"
            )
        values[name] = each[0]
        if name != "padding" and each[0] <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {each[0]}")
    k, s, p, d = values.values()
    if p < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p > k // 2:
        raise RuntimeError(
            f"max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}"
        )
    count = _count(shape[-1], k, s, p, d, ceil)
    if count <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {count}")


def _avg_pool(n: int) -> Any:
    name, called = f"avg_pool{n}d", f"AvgPool{max(n, 2)}DBackward0"

    def apply(
        x: Tensor, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool, divisor: int | None
    ) -> Tensor:
        d = max(n, 2)
        if divisor == 0:
            raise RuntimeError("divisor must be not zero")
        kernels, strides, paddings, _, count = _windows(f"avg_pool{d}d", x, d, kernel, stride, padding, 1, ceil)
        refuse_kinds(f"avg_pool{d}d", x, "bc" if x._data.dtype == np.int64 else "biuc")
        maps, scale = [], 1
        for sizes in zip(x.shape[-d:], kernels, strides, paddings, count):
            taps, common = sliding_means(*sizes, count_pad and divisor is None, divisor is not None)
            maps.append(taps)
            scale *= common
        return F.resample_anchored(x, maps, scale if divisor is None else divisor, called)

    def avg_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                   count_include_pad: bool = True) -> Tensor:  # fmt: skip
        """The average of each window; padding counts as zeros, or with `count_include_pad=False` not at all."""
        step = kernel_size if stride is None or stride in ([], ()) else stride
        given = {"kernel_size": kernel_size, "stride": step, "padding": padding}
        kernel, step, pad = (_single(name, label, each, i) for i, (label, each) in enumerate(given.items(), 2))
        _one_dimension(name, input)
        return _in_planes(
            1, lambda x: apply(x, (1, kernel), (1, step), (0, pad), ceil_mode, count_include_pad, None), input
        )

    def avg_pool(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:  # fmt: skip
        """The average of each window; padding counts as zeros, or with `count_include_pad=False` not at all.

        `divisor_override` divides the sums by another number.
        """
        return apply(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)

    return avg_pool1d if n == 1 else avg_pool


def _single(name: str, label: str, given: Any, position: int) -> int:
    """An argument of a pooling in one dimension; torch's errors for another number of numbers."""
    values = per_dim(given, 1, name, label, position)
    if len(values) != 1:
        raise RuntimeError(f"{name}() argument '{label}' should contain one int (got {len(values)})")
    return values[0]


def _adaptive_size(name: str, x: Tensor, n: int, size: Any) -> Ints:
    """The output size, with the input's own where None is given."""
    if n == 1:
        found = _single(name, "output_size", size, 2)
        _one_dimension(name, x)
        return (found,)
    if type(size) is int:
        return (size,) * n
    if x.ndim <= len(size):
        raise ValueError(f"Input dimension should be at least {len(size) + 1}")
    return tuple(m if each is None else each for m, each in zip(x.shape[-len(size) :], size))


def _check_empty(name: str, x: Tensor, first: int) -> None:
    for i in range(first, x.ndim):
        if not x.shape[i]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes"
                f" {list(x.shape)} with dimension {i} being empty"
            )


def _adaptive_avg_pool(n: int) -> Any:
    d = max(n, 2)
    name, called = f"adaptive_avg_pool{d}d", f"AdaptiveAvgPool{d}DBackward0"

    def apply(x: Tensor, sizes: Ints) -> Tensor:
        if len(sizes) != d:
            raise RuntimeError(f"{name}: output_size must be {d}")
        if min(sizes) < 0:
            listed = ", ".join(map(str, sizes[:-1])) + f",{sizes[-1]}" if n == 3 else ", ".join(map(str, sizes))
            raise RuntimeError(
                f"{name}: elements of output_size must be greater than or equal to 0 but received {{{listed}}}"
            )
        if all(each == 1 for each in sizes):
            return x.mean(tuple(range(-d, 0)), keepdim=True)
        if x.ndim not in (d + 1, d + 2):
            raise RuntimeError(f"{name}(): Expected {d + 1}D or {d + 2}D tensor, but got {list(x.shape)}")
        _check_empty(name, x, x.ndim - 2 if d == 2 else 1)
        refuse_kinds(name, x, "biuc")
        maps, scales = zip(*map(adaptive_means, x.shape[-d:], sizes))
        return F.resample_anchored(x, [*maps], prod(scales), called)

    def adaptive_avg_pool(input: Tensor, output_size: Any) -> Tensor:
        """Averages over as many windows as `output_size` says, which together cover the input."""
        sizes = _adaptive_size(f"adaptive_avg_pool{n}d", input, n, output_size)
        return _in_planes(n, lambda x: apply(x, (1, *sizes) if n == 1 else sizes), input)

    return adaptive_avg_pool


def _adaptive_max_pool(n: int) -> Any:
    name, called = f"adaptive_max_pool{n}d", f"AdaptiveMaxPool{max(n, 2)}DBackward0"

    def adaptive_max_pool_nd(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        """Maxima of as many windows as `output_size` says, which together cover the input."""
        sizes = _adaptive_size(name, input, n, output_size)
        if input.ndim not in (n + 1, n + 2):
            raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}")
        _check_empty(name, input, 1)
        if len(sizes) != n:
            raise RuntimeError(f"{name}(): internal error: output_size.size() must be {n}")
        full = (1, *sizes) if n == 1 else sizes
        if min(full) < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {min(full)}: {[*input.shape[:-n], *full]}"
            )
        refuse_kinds(f"adaptive_max_pool{max(n, 2)}d", input, "biuc")
        found = _in_planes(n, lambda x: tuple(F.adaptive_max_pool(x, full, called)), input)
        return found if return_indices else found[0]

    return adaptive_max_pool_nd


for _n in (1, 2, 3):
    composite(_max_pool(_n), name=f"nn.functional.max_pool{_n}d", method=False)
    composite(_avg_pool(_n), name=f"nn.functional.avg_pool{_n}d", method=False)
    composite(_adaptive_avg_pool(_n), name=f"nn.functional.adaptive_avg_pool{_n}d", method=False)
    composite(_adaptive_max_pool(_n), name=f"nn.functional.adaptive_max_pool{_n}d", method=False)


# ---- the way back, and powers ----------------------------------------------------------------------------------------


@internal(node=lambda called: called,
          self=lambda xp, grad, indices, spatial: xp.plane_take(grad, indices, spatial, True))  # fmt: skip
def max_unpool(self: Array, indices: Array, spatial: Ints, called: str) -> Array:
    return RAW.plane_put(self, indices, spatial, True)


def _max_unpool(n: int) -> Any:
    def max_unpool_nd(
        input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
    ) -> Tensor:
        """Put maxima back where `max_pool` found them, among zeros; `output_size` says which size it was."""
        kernels, paddings = per_dim(kernel_size, n), per_dim(padding, n)
        strides = kernels if stride is None else per_dim(stride, n)
        default = [(m - 1) * s + k - 2 * p for m, k, s, p in zip(input.shape[-n:], kernels, strides, paddings)]
        size = default if output_size is None else list(output_size)
        size = size[2:] if len(size) == n + 2 else size
        if len(size) != n:
            raise ValueError(
                f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of"
                f" '{len(size)}'"
            )
        for i, (found, usual, step) in enumerate(zip(size, default, strides)):
            if not usual - step < found < usual + step:
                raise ValueError(
                    f'invalid output_size "{output_size}" (dim {i} must be between {usual - step} and {usual + step})'
                )
        if kind(indices) != "Long":
            raise RuntimeError(f"elements in indices should be type int64 but got: {kind(indices)}")
        if input.shape != indices.shape:
            tail = [1] if n == 1 else []
            raise RuntimeError(
                "Expected shape of indices to be same as that of the input tensor"
                f" ({[*input.shape, *tail]}) but got indices tensor with shape: {[*indices.shape, *tail]}"
            )
        wrong = indices._data[(indices._data < 0) | (indices._data >= prod(size))]
        if wrong.size:
            volume = "x".join(map(str, [*size, 1] if n == 1 else size))
            raise RuntimeError(
                f"Found an invalid max index: {wrong.reshape(-1)[0]} (output volumes are of size {volume})"
            )
        called = f"MaxUnpool{max(n, 2)}DBackward0"
        if n == 1:
            return F.max_unpool(input.unsqueeze(-1), indices.unsqueeze(-1), (*size, 1), called).squeeze(-1)
        return F.max_unpool(input, indices, tuple(size), called)

    return max_unpool_nd


def _lp_pool(n: int) -> Any:
    def lp_pool(
        input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Tensor:
        """The p-norm of each window, for p = `norm_type`."""
        if abs(norm_type) == math.inf:
            most = getattr(F, f"nn_functional_max_pool{n}d")
            sign = 1 if norm_type > 0 else -1
            found = most(sign * input.abs(), kernel_size, stride, 0, 1, ceil_mode)
            return found if sign > 0 else -found
        mean = getattr(F, f"nn_functional_avg_pool{n}d")(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        return (mean.sign() * mean.abs().relu()).mul(prod(per_dim(kernel_size, n))).pow(1.0 / norm_type)

    return lp_pool


for _n in (1, 2, 3):
    composite(_max_unpool(_n), name=f"nn.functional.max_unpool{_n}d", method=False)
    composite(_lp_pool(_n), name=f"nn.functional.lp_pool{_n}d", method=False)
