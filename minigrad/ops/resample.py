"""Sparse linear maps along spatial dimensions: padding, interpolation, average pooling.

Each of them applies along each dimension on its own a map in which an output element is a weighted sum of a few input
elements. Such a map is a small table, `Taps`; its adjoint is one too, so the single operation `resample` is its own
gradient, of any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from minigrad._declare import composite
from minigrad._graph import NOT_IMPLEMENTED
from minigrad._layout import copied, laid_out
from minigrad._op import RAW, Array, Arrays
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor, make
from minigrad.ops._checks import not_implemented
from minigrad.ops.shape import internal, linear

cache = lru_cache(256)  # maps are small, and the same shapes come again and again

# ---- maps along one dimension ----------------------------------------------------------------------------------------


class Taps:
    """A linear map along one dimension: output o is the sum over k of weights[o, k] times input element indices[o, k].

    Indices outside of the input, whose length is `size`, contribute nothing. `weights` None means 1.
    """

    def __init__(self, size: int, indices: Array, weights: Array | None = None) -> None:
        self.size, self.indices, self.weights = size, indices, weights

    @cached_property
    def transposed(self) -> Taps:
        """The adjoint: from outputs to inputs."""
        count, width = self.indices.shape
        real = (self.indices >= 0) & (self.indices < self.size)
        source = self.indices[real]
        order = np.argsort(source, kind="stable")
        uses = np.bincount(source, minlength=self.size)
        place = (source[order], np.arange(len(source)) - np.repeat(np.cumsum(uses) - uses, uses))
        indices = np.full((self.size, int(uses.max(initial=0))), count)
        indices[place] = np.broadcast_to(np.arange(count)[:, None], (count, width))[real][order]
        weights = None
        if self.weights is not None:
            weights = np.zeros(indices.shape)
            weights[place] = self.weights[real][order]
        found = Taps(count, indices, weights)
        found.__dict__["transposed"] = self
        return found

    @cached_property
    def columns(self) -> list[tuple[Any, Any, Array | None]]:
        """For each k: the outputs that have an input, those inputs (each a slice if evenly spaced), and the weights."""
        found = []
        for k in range(self.indices.shape[1]):
            column = self.indices[:, k]
            outputs = np.flatnonzero((column >= 0) & (column < self.size))
            weights = None if self.weights is None else self.weights[outputs, k]
            found.append((_as_slice(outputs), _as_slice(column[outputs]), weights))
        return found

    def apply(self, data: Array, dim: int) -> Array:
        """The map along dimension `dim` of an array."""
        lead, trail = (slice(None),) * dim, (1,) * (data.ndim - dim - 1)
        count = len(self.indices)
        total: Array | None = None
        for outputs, inputs, weights in self.columns:
            part = data[(*lead, inputs)] if isinstance(inputs, slice) else np.take(data, inputs, dim)
            if weights is not None:
                part = part * weights.astype(data.dtype).reshape(-1, *trail)
            if total is None and part.shape[dim] == count:
                total = part if part.base is None else part.copy()
                continue
            if total is None:
                total = np.zeros((*data.shape[:dim], count, *data.shape[dim + 1 :]), data.dtype)
            total[(*lead, outputs)] += part
        return np.zeros((*data.shape[:dim], count, *data.shape[dim + 1 :]), data.dtype) if total is None else total


def _as_slice(indices: Array) -> Any:
    """Evenly spaced increasing indices as a slice, which numpy reads without gathering; others as they are."""
    if not len(indices):
        return slice(0, 0)
    step = int(indices[1] - indices[0]) if len(indices) > 1 else 1
    if step > 0 and (np.diff(indices) == step).all():
        return slice(int(indices[0]), int(indices[-1]) + 1, step)
    return indices


@internal(node=lambda called: called,
          self=lambda xp, grad, maps, scale: xp.resample(
              grad, [each.transposed for each in maps], scale, "ResampleBackward0"))  # fmt: skip
def resample(self: Array, maps: Any, scale: Any, called: str) -> Array:
    """Apply one map along each of the trailing dimensions, and divide by `scale`."""
    if self.dtype.kind in "iu" and (scale != 1 or any(each.weights is not None for each in maps)):
        means = resample_array(self.astype(np.float64), maps) / scale
        return laid_out(np.trunc(np.round(means, 9)).astype(self.dtype), self)  # 9: thirds add up to just below 1
    found = resample_array(self, maps)
    return laid_out(found if scale == 1 else np.divide(found, found.dtype.type(scale), out=found), self)


@internal(node=lambda called: called,
          self=lambda xp, grad, self, maps, scale: xp.anchored(
              xp.resample(grad, [each.transposed for each in maps], scale, "ResampleBackward0"), self))  # fmt: skip
def resample_anchored(self: Array, maps: Any, scale: Any, called: str) -> Array:
    """`resample` for what torch differentiates by way of its saved input, so that its gradient depends on it."""
    return RAW.resample(self, maps, scale, called)


@internal(self=lambda grad: grad,
          anchor=lambda xp, grad, anchor_shape, zeros: xp.zeros(anchor_shape, grad) if zeros else None)  # fmt: skip
def anchored(self: Array, anchor: Array, zeros: bool = True) -> Array:
    """The tensor, as something that depends on `anchor`, whose gradient is zeros, or None (but not an error)."""
    return self


def _refuse(grad: Any, kernel: str) -> Any:
    raise RuntimeError(f"derivative for aten::{kernel} is not implemented")


@internal(node=NOT_IMPLEMENTED, self=_refuse, anchors=_refuse)
def undifferentiable(self: Array, anchors: Arrays, kernel: str) -> Array:
    """A gradient by a kernel of torch's that torch cannot differentiate; it depends on the anchors."""
    return self


def resample_array(data: Array, maps: Sequence[Taps]) -> Array:
    """One map along each of the trailing dimensions of an array; always new memory, in C order."""
    found = data
    for dim, each in enumerate(maps, data.ndim - len(maps)):
        found = each.apply(found, dim)
    return np.array(found, order="C", copy=True if found is data else None)


# ---- padding ---------------------------------------------------------------------------------------------------------


@linear(method=False, self=lambda xp, grad, pad: xp.constant_pad_nd(grad, tuple(-each for each in pad), 0))
def constant_pad_nd(self: Array, pad: Any, value: Any = 0) -> Array:
    """Extend dimensions by `value`, or shorten them where negative; the last dimension's two numbers come first."""
    pairs = [(0, 0)] * (self.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    shape = tuple(n + a + b for n, (a, b) in zip(self.shape, pairs))
    if any(n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(self.shape, pairs)):
        raise RuntimeError("narrow(): length must be non-negative.")
    if max(pad, default=0) <= 0:
        return copied(self[tuple(slice(-a, n + b) for n, (a, b) in zip(self.shape, pairs))])
    result = np.full(shape, value).astype(self.dtype) if value else np.zeros(shape, self.dtype)
    inside = tuple(slice(max(a, 0), m - max(b, 0)) for m, (a, b) in zip(shape, pairs))
    result[inside] = self[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(self.shape, pairs))]
    return laid_out(result, self)


@cache
def _reflect(n: int, low: int, high: int) -> Taps:
    places = np.abs(np.arange(-low, n + high))
    return _chosen(n, np.where(places < n, places, 2 * (n - 1) - places))


@cache
def _replicate(n: int, low: int, high: int) -> Taps:
    return _chosen(n, np.clip(np.arange(-low, n + high), 0, n - 1))


def _chosen(n: int, indices: Array) -> Taps:
    """The map to single elements."""
    return Taps(n, indices[:, None])


_MODES: dict[str, tuple[Callable[[int, int, int], Taps], str]] = {
    "reflect": (_reflect, "ReflectionPad{}DBackward0"),
    "replicate": (_replicate, "ReplicationPad{}DBackward0"),
}


@composite(name="nn.functional.pad")
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Extend the trailing dimensions: `pad` holds two numbers per dimension, the last dimension's first.

    Modes: "constant" (`value`, by default 0), "reflect", "replicate", "circular". Negative numbers shorten. Errors are
    torch's.
    """
    shape, n = list(input.shape), len(pad) // 2
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if n > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length"
            f" {len(pad)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return F.constant_pad_nd(input, tuple(pad), 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if n not in (1, 2, 3) or input.ndim not in (n + 1, n + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.ndim}D input tensor.\nSupported combinations for"
            " non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n  - 3D or 4D input:"
            " padding size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode not in ("circular", *_MODES):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if mode != "circular" and 0 in shape[input.ndim - n - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero"
            f" dimensions for input, but got: {shape}"
        )
    for i in range(n):
        size, low, high = shape[-1 - i], pad[2 * i], pad[2 * i + 1]
        if mode == "reflect" and max(low, high) >= size:
            raise RuntimeError(
                f"Argument #{4 + 2 * i}: Padding size should be less than the corresponding input dimension, but got:"
                f" padding ({low}, {high}) at dimension {input.ndim - 1 - i} of input {shape}"
            )
        if mode == "circular" and max(low, high) > size:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + low + high < 0 or n == 1 and mode != "circular" and size + low + high < 1:
            raise RuntimeError(f"input (W: {size}) is too small. Calculated output W: {size + low + high}")
    if mode == "circular":
        return _around(input, [(input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]) for i in range(n)])
    chosen, called = _MODES[mode]
    maps = [chosen(shape[-1 - i], pad[2 * i], pad[2 * i + 1]) for i in reversed(range(n))]
    return F.resample_anchored(input, maps, 1, called.format(n))


def _around(input: Tensor, ends: Sequence[tuple[int, int, int]]) -> Tensor:
    """Go on from the other end: `ends` holds dimensions with how much to add before and after. By copies, as torch."""
    shape = list(input.shape)
    for dim, low, high in ends:
        shape[dim] += low + high
    result = make(np.empty(shape, input._data.dtype), None)
    inside, kept = result, input
    for dim, low, high in ends:
        inside = F.slice(inside, dim, max(low, 0), shape[dim] - max(high, 0), 1)
        kept = F.slice(kept, dim, max(-low, 0), input.shape[dim] - max(-high, 0), 1)
    inside.copy_(kept)
    for dim, low, high in ends:
        size, before, after = shape[dim], max(low, 0), max(high, 0)
        if before:
            F.slice(result, dim, 0, low, 1).copy_(F.slice(result, dim, size - low - after, size - after, 1))
        if after:
            F.slice(result, dim, size - high, size, 1).copy_(F.slice(result, dim, before, before + high, 1))
    return result


# ---- average pooling -------------------------------------------------------------------------------------------------


def _means(size: int, starts: Array, stops: Array, divisors: Array) -> tuple[Taps, int]:
    """The map to sums over [start, stop), divided: by weights, or if all divisors are equal, by the number returned."""
    first, last = np.maximum(starts, 0), np.minimum(stops, size)
    indices = first[:, None] + np.arange(int(np.max(last - first, initial=0)))
    indices = np.where(indices < last[:, None], indices, size)
    if (divisors == divisors[:1]).all():
        return Taps(size, indices), int(divisors[0]) if len(divisors) else 1
    return Taps(size, indices, np.broadcast_to(1 / divisors[:, None], indices.shape)), 1


@cache
def sliding_means(
    size: int, kernel: int, stride: int, padding: int, count: int, count_padding: bool, sums: bool
) -> tuple[Taps, int]:
    """The map to averages over sliding windows, or to sums."""
    starts = np.arange(count) * stride - padding
    stops = np.minimum(starts + kernel, size + padding)
    inside = np.minimum(stops, size) - np.maximum(starts, 0)
    return _means(size, starts, stops, np.ones(count, int) if sums else stops - starts if count_padding else inside)


def adaptive_windows(size: int, count: int) -> tuple[Array, Array]:
    """Where each of `count` windows that together cover `size` elements starts and stops."""
    each = np.arange(count)
    return each * size // max(count, 1), -((-(each + 1) * size) // max(count, 1))


@cache
def adaptive_means(size: int, count: int) -> tuple[Taps, int]:
    """The map to averages over adaptive windows."""
    starts, stops = adaptive_windows(size, count)
    return _means(size, starts, stops, stops - starts)


# ---- interpolation ---------------------------------------------------------------------------------------------------


def _scale(size: int, count: int, align: bool, given: float | None, real: Any) -> Any:
    """Input elements per output element, in the arithmetic of `real` as torch computes it."""
    if align:
        return real(size - 1) / real(count - 1) if count > 1 else real(0)
    return real(1 / given) if given is not None and given > 0 else real(size) / real(count)


def _nearest(exact: bool) -> Callable[..., Taps]:
    @cache
    def taps(size: int, count: int, align: bool, given: float | None, real: Any) -> Taps:
        scale = _scale(size, count, False, given, real)
        each = np.arange(count, dtype=real)
        found = ((each + real(0.5)) * scale if exact else each * scale).astype(np.int64)
        return Taps(size, np.minimum(found, size - 1)[:, None])

    return taps


def _source(size: int, count: int, align: bool, given: float | None, real: Any) -> Array:
    """Where the outputs lie between the inputs."""
    scale = _scale(size, count, align, given, real)
    each: Array = np.arange(count, dtype=real)
    return scale * each if align else scale * (each + real(0.5)) - real(0.5)


@cache
def _linear(size: int, count: int, align: bool, given: float | None, real: Any) -> Taps:
    if size == count:
        first = np.arange(size)
        part = np.zeros(size, real)
    else:
        source = np.maximum(_source(size, count, align, given, real), 0)
        first = np.minimum(source.astype(np.int64), size - 1)
        part = np.clip(source - first.astype(real), 0, 1)
    second = first + (first < size - 1)
    return Taps(size, np.stack([first, second], 1), np.stack([1 - part, part], 1))


def _near(x: Array, a: float) -> Array:
    return ((a + 2) * x - (a + 3)) * x * x + 1


def _far(x: Array, a: float) -> Array:
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


@cache
def _cubic(size: int, count: int, align: bool, given: float | None, real: Any) -> Taps:
    source = _source(size, count, align, given, real)
    first = np.minimum(np.floor(source), size - 1)
    t = np.clip(source - first, 0, 1)
    weights = np.stack([_far(t + 1, -0.75), _near(t, -0.75), _near(1 - t, -0.75), _far(2 - t, -0.75)], 1)
    return Taps(size, np.clip(first[:, None].astype(np.int64) + np.arange(-1, 3), 0, size - 1), weights)


def _antialias(width: int, kernel: Callable[[Array], Array]) -> Callable[..., Taps]:
    @cache
    def taps(size: int, count: int, align: bool, given: float | None, real: Any) -> Taps:
        scale = float(_scale(size, count, align, given, real))
        support = width / 2 * max(scale, 1.0)
        centre = scale * (np.arange(count) + 0.5)
        first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
        last = np.minimum((centre + support + 0.5).astype(np.int64), size)
        indices = first[:, None] + np.arange(max(int(np.max(last - first, initial=0)), 1))
        weights = kernel(np.abs(indices - centre[:, None] + 0.5) / max(scale, 1.0))
        weights = np.where(indices < last[:, None], weights, 0)
        return Taps(size, np.where(indices < last[:, None], indices, size), weights / weights.sum(1, keepdims=True))

    return taps


def _triangle(x: Array) -> Array:
    return np.maximum(1 - x, 0)


def _cubic_kernel(x: Array) -> Array:
    return np.where(x < 1, _near(x, -0.5), np.where(x < 2, _far(x, -0.5), 0))


# mode -> number of spatial dimensions -> torch's node; and the map along one dimension
_INTERPOLATIONS: dict[str, tuple[tuple[int, ...], str, Callable[..., Taps], str]] = {
    "nearest": ((1, 2, 3), "UpsampleNearest{}DBackward0", _nearest(False), "nearest"),
    "nearest-exact": ((1, 2, 3), "UpsampleNearestExact{}DBackward0", _nearest(True), "nearest"),
    "linear": ((1,), "UpsampleLinear{}DBackward0", _linear, "linear"),
    "bilinear": ((2,), "UpsampleBilinear{}DBackward0", _linear, "linear"),
    "trilinear": ((3,), "UpsampleTrilinear{}DBackward0", _linear, "linear"),
    "bicubic": ((2,), "UpsampleBicubic{}DBackward0", _cubic, "cubic"),
}
_ANTIALIASED = {
    "bilinear": _antialias(2, _triangle),
    "bicubic": _antialias(4, _cubic_kernel),
}


def _output_size(
    spatial: list[int], size: Any, scale_factor: Any, recompute: bool, mode: str
) -> tuple[list[int], list[float | None]]:
    """The output's size, and the scales where these are to be used as given."""
    n = len(spatial)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given, what, form = (size, "output size", "o") if scale_factor is None else (scale_factor, "scale_factor", "s")
    if isinstance(given, (list, tuple)) and len(given) != n:
        label = "output size of" if form == "o" else "scale_factor of shape"
        count = "Input and output" if form == "o" else "Input and scale_factor"
        raise ValueError(
            f"{count} must have the same number of spatial dimensions, but got input with spatial dimensions of"
            f" {spatial} and {label} {given}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and {what}"
            f" in ({form}1, {form}2, ...,{form}K) format."
        )
    values = list(given) if isinstance(given, (list, tuple)) else [given] * n
    scales: list[float | None] = [None] * n
    if scale_factor is None:
        if not all(isinstance(each, (int, np.integer)) for each in values):
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got size"
                f" with types {[type(each) for each in values]}"
            )
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        output = [int(each) for each in values]
    else:
        output = [math.floor(a * b) for a, b in zip(spatial, values)]
        if not recompute and mode != "area":
            scales = values
    return output, scales


@composite(name="nn.functional.interpolate")
def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resample (N, C, *spatial) to `size`, or by `scale_factor`.

    Modes: "nearest", "nearest-exact", "area", and by number of dimensions "linear", "bilinear", "trilinear", "bicubic".
    `antialias` filters while shrinking (bilinear and bicubic). Errors are torch's.
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    n, spatial = input.ndim - 2, list(input.shape[2:])
    output, scales = _output_size(spatial, size, scale_factor, bool(recompute_scale_factor), mode)
    if antialias and not (mode in _ANTIALIASED and n == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if mode == "area" and n in (1, 2, 3):
        return getattr(F, f"nn_functional_adaptive_avg_pool{n}d")(input, output)
    if mode not in _INTERPOLATIONS or n not in (1, 2, 3) or mode == "bicubic" and n != 2:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: nearest |"
            f" linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
        )
    dims, called, taps, kernel = _INTERPOLATIONS[mode]
    if n not in dims:
        raise NotImplementedError(f"Got {n + 2}D input, but {mode} mode needs {dims[0] + 2}D input")
    if min(spatial + output) <= 0:
        names = "DHW"[3 - n :]
        before, after = (", ".join(f"{a}: {b}" for a, b in zip(names, each)) for each in (spatial, output))
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}){' and' * (n == 1)} output"
            f" ({after})"
        )
    if input.shape[1] == 0:
        raise RuntimeError(f"Non-empty {n + 2}D data tensor expected but got a tensor with sizes {list(input.shape)}")
    kind = input._data.dtype
    if not (kind.kind == "f" or kind == np.uint8 and kernel == "nearest"):
        raise not_implemented(f"compute_indices_weights_{kernel}", input)
    if antialias:
        called, taps = called.replace("Backward", "AaBackward"), _ANTIALIASED[mode]
    real = np.float64 if kind == np.float64 else np.float32
    maps = [taps(a, b, bool(align_corners), s, real) for a, b, s in zip(spatial, output, scales)]
    return F.resample(input, maps, 1, called.format(n))
