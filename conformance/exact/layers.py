"""Normalization, convolution, pooling, resampling and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from conformance.exact.arithmetic import (
    HALF,
    MP,
    ONE,
    ZERO,
    Arr,
    Function,
    UnspecifiedError,
    each,
    mean,
    num,
    over,
    p_norm,
    softmax,
    total,
    variance,
)
from conformance.exact.arrays import unknown, zeros
from conformance.exact.matrices import _einsum, _matmul


def _normalized(x: Arr, dims: Sequence[int], eps: Any) -> Arr:
    m = over(mean)(x, tuple(dims), True)
    v = over(lambda row: variance(row, 0))(x, tuple(dims), True)
    return (x - m) * each(lambda s: 1 / MP.sqrt(s + num(eps)))(v)


def _affine(x: Arr, weight: Any, bias: Any, shape: Sequence[int]) -> Arr:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _layer_norm(x: Arr, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: Any = 1e-5) -> Arr:
    n = len(normalized_shape)
    return _affine(_normalized(x, range(x.ndim - n, x.ndim), eps), weight, bias, tuple(normalized_shape))


def _group_norm(x: Arr, num_groups: int, weight: Any = None, bias: Any = None, eps: Any = 1e-5) -> Arr:
    grouped = x.reshape(x.shape[0], num_groups, -1)
    return _affine(_normalized(grouped, (2,), eps).reshape(x.shape), weight, bias, (1, -1) + (1,) * (x.ndim - 2))


def _batch_norm(
    x: Arr,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: Any = 1e-5,
) -> Arr:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training or running_mean is None:
        made = _normalized(x, [d for d in range(x.ndim) if d != 1], eps)
    else:
        scale = each(lambda s: 1 / MP.sqrt(s + num(eps)))(running_var)
        made = (x - running_mean.reshape(shape)) * scale.reshape(shape)
    return _affine(made, weight, bias, shape)


def _instance_norm(
    x: Arr,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: Any = 0.1,
    eps: Any = 1e-5,
) -> Arr:
    return _affine(_normalized(x, range(2, x.ndim), eps), weight, bias, (1, -1) + (1,) * (x.ndim - 2))


def _rms_norm(x: Arr, normalized_shape: Sequence[int], weight: Any = None, eps: Any = None) -> Arr:
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    small = num(2.0**-52 if eps is None else eps)
    made = x * over(lambda row: 1 / MP.sqrt(mean([v * v for v in row]) + small))(x, dims, True)
    return made if weight is None else made * weight


def _normalize(x: Arr, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12) -> Arr:
    return x / each(lambda v: max(v, num(eps)))(over(p_norm)(x, dim, True, p=p))


def _linear(x: Arr, weight: Arr, bias: Any = None) -> Arr:
    made = _matmul(x, weight.T if weight.ndim == 2 else weight)
    return made if bias is None else made + bias


def _bilinear(a: Arr, b: Arr, weight: Arr, bias: Any = None) -> Arr:
    made = _einsum("...i,kij,...j->...k", a, weight, b)
    return made if bias is None else made + bias


def _embedding(index: Arr, weight: Arr, padding_idx: int | None = None, *_: Any, **__: Any) -> Arr:
    if padding_idx is not None and (index == padding_idx % len(weight)).any():
        raise UnspecifiedError("the gradient of the row of padding_idx")
    return weight[index]


def _attention(
    q: Arr,
    k: Arr,
    v: Arr,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    **_: Any,
) -> Arr:
    factor = 1 / MP.sqrt(q.shape[-1]) if scale is None else num(scale)
    scores = _matmul(q, np.swapaxes(k, -1, -2)) * factor
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -MP.inf) if attn_mask.dtype == bool else scores + attn_mask
    return _matmul(softmax(scores, -1), v)


def several(value: Any, n: int) -> tuple[Any, ...]:
    """One number for each of n spatial dimensions."""
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return found * n if len(found) == 1 else found


def padded(x: Arr, pads: Sequence[tuple[int, int]], value: Any = ZERO) -> Arr:
    """x with constants around its last dimensions."""
    lead = [(0, 0)] * (x.ndim - len(pads))
    kept = [(max(a, 0), max(b, 0)) for a, b in pads]
    out: Arr = np.pad(x, [*lead, *kept], constant_values=num(value))
    cut = tuple(slice(-min(a, 0), out.shape[i - len(pads)] + min(b, 0)) for i, (a, b) in enumerate(pads))
    return out[(..., *cut)]


def _pad(x: Arr, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Arr:
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    if mode == "constant":
        return padded(x, pairs, ZERO if value is None else float(value))
    names: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, mode=names[mode])


def windows(shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """(position in the output, slices of the input) of every window."""
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(shape, kernel, stride, dilation, strict=True)]
    for at in np.ndindex(*counts):
        yield (
            at,
            tuple(
                slice(i * s, i * s + d * (k - 1) + 1, d)
                for i, k, s, d in zip(at, kernel, stride, dilation, strict=True)
            ),
        )


def _conv(n: int) -> Function:
    def conv(
        x: Arr, weight: Arr, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Arr:
        single = x.ndim == n + 1
        x = x[None] if single else x
        stride, dilation, kernel = several(stride, n), several(dilation, n), weight.shape[2:]
        if padding == "same":
            wanted = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            pads = [(w // 2, w - w // 2) for w in wanted]
        else:
            pads = [(0, 0)] * n if padding == "valid" else [(p, p) for p in several(padding, n)]
        x = padded(x, pads)
        places = list(windows(x.shape[2:], kernel, stride, dilation))
        counts = [i + 1 for i in places[-1][0]]
        out = zeros((x.shape[0], weight.shape[0], *counts))
        wide, deep = weight.shape[0] // groups, weight.shape[1]
        for at, slices in places:
            patch = x[(slice(None), slice(None), *slices)]
            for g in range(groups):
                part = patch[:, g * deep : (g + 1) * deep].reshape(len(x), -1)
                out[(slice(None), slice(g * wide, (g + 1) * wide), *at)] = part.dot(
                    weight[g * wide : (g + 1) * wide].reshape(wide, -1).T
                )
        if bias is not None:
            out = out + bias.reshape((1, -1) + (1,) * n)
        return out[0] if single else out

    return conv


def _conv_transpose(n: int) -> Function:
    def conv(
        x: Arr,
        weight: Arr,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Arr:
        single = x.ndim == n + 1
        x = x[None] if single else x
        stride, padding, extra, dilation = (several(v, n) for v in (stride, padding, output_padding, dilation))
        kernel, deep, wide = weight.shape[2:], weight.shape[0] // groups, weight.shape[1]
        full = [
            (m - 1) * s + d * (k - 1) + 1 + e
            for m, s, d, k, e in zip(x.shape[2:], stride, dilation, kernel, extra, strict=True)
        ]
        out = zeros((x.shape[0], wide * groups, *full))
        for at in np.ndindex(*x.shape[2:]):
            spots = tuple(
                slice(i * s, i * s + d * (k - 1) + 1, d)
                for i, s, d, k in zip(at, stride, dilation, kernel, strict=True)
            )
            for g in range(groups):
                part = x[(slice(None), slice(g * deep, (g + 1) * deep), *at)]
                spread = part.dot(weight[g * deep : (g + 1) * deep].reshape(deep, -1))
                out[(slice(None), slice(g * wide, (g + 1) * wide), *spots)] += spread.reshape(len(x), wide, *kernel)
        out = out[(..., *(slice(p, m - p) for p, m in zip(padding, full, strict=True)))]
        if bias is not None:
            out = out + bias.reshape((1, -1) + (1,) * n)
        return out[0] if single else out

    return conv


def _local_response(x: Arr, size: int, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0) -> Arr:
    squares = np.moveaxis(padded(np.moveaxis(x * x, 1, -1), [(size // 2, (size - 1) // 2)]), -1, 1)
    near = [over(mean)(squares[:, c : c + size], 1) for c in range(x.shape[1])]
    return each(lambda v, s: v / (num(float(k)) + num(float(alpha)) * s) ** num(float(beta)), 2)(x, np.stack(near, 1))


def _pool(n: int, f: Function, outside: Any) -> Function:
    """`f` of each window's elements; `outside` is what stands in the padding (None: it counts as torch's avg_pool)."""

    def pool(
        x: Arr,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        *rest: Any,
        dilation: Any = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
        return_indices: bool = False,
    ) -> Any:
        if return_indices:
            places = dilation, ceil_mode
            whole = _pool(n, f, outside)(
                x, kernel_size, stride, padding, *rest, dilation=places[0], ceil_mode=places[1]
            )
            return whole, unknown(whole.shape)
        average = outside is None
        if rest and average:
            given: list[Any] = [*rest, *(False, True, None)[len(rest) :]]
            ceil_mode, count_include_pad, divisor_override = given
        elif rest:
            dilation, ceil_mode = (*rest, *(1, False)[len(rest) :])[:2]
        kernel, pads, spread = several(kernel_size, n), several(padding, n), several(dilation, n)
        steps = kernel if stride in (None, ()) else several(stride, n)
        inner = x.shape[-n:]
        counts = []
        for m, k, s, p, d in zip(inner, kernel, steps, pads, spread, strict=True):
            room = m + 2 * p - d * (k - 1) - 1
            count = (-(-room // s) if ceil_mode else room // s) + 1
            counts.append(count - (ceil_mode and (count - 1) * s >= m + p))
        out = np.empty((*x.shape[:-n], *counts), dtype=object)
        for at in np.ndindex(*counts):
            starts = [i * s - p for i, s, p in zip(at, steps, pads, strict=True)]
            lines = [
                [a + j * d for j in range(k) if 0 <= a + j * d < m]
                for a, k, d, m in zip(starts, kernel, spread, inner, strict=True)
            ]
            cut = x[(..., *np.ix_(*lines))].reshape(*x.shape[:-n], -1)
            sized = math.prod(min(a + k, m + p) - a for a, k, m, p in zip(starts, kernel, inner, pads, strict=True))
            count = divisor_override or (sized if count_include_pad else cut.shape[-1])
            out[(..., *at)] = over(lambda row, c=count: f(row, c))(cut, -1)
        return out

    return pool


def _adaptive(n: int, f: Function) -> Function:
    def pool(x: Arr, output_size: Any, return_indices: bool = False) -> Any:
        inner = x.shape[-n:]
        wanted = [m if w is None else w for m, w in zip(inner, several(output_size, n), strict=True)]
        out = np.empty((*x.shape[:-n], *wanted), dtype=object)
        for at in np.ndindex(*wanted):
            cut = tuple(slice(i * m // w, -(-(i + 1) * m // w)) for i, m, w in zip(at, inner, wanted, strict=True))
            part = x[(..., *cut)].reshape(*x.shape[:-n], -1)
            out[(..., *at)] = over(lambda row: f(row, len(row)))(part, -1)
        return (out, unknown(out.shape)) if return_indices else out

    return pool


def _average(row: list[Any], count: int) -> Any:
    return total(row) / count


def _largest(row: list[Any], _: int) -> Any:
    return max(row)


def _lp_pool(n: int) -> Function:
    def pool(x: Arr, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Arr:
        return _pool(n, lambda row, _: p_norm(row, norm_type), ZERO)(x, kernel_size, stride, ceil_mode=ceil_mode)

    return pool


def _resize(size: int, wanted: int, mode: str, corners: bool, scale: Any) -> list[dict[int, Any]]:
    """Weights of the inputs for every output along one dimension."""
    lines: list[dict[int, Any]] = []
    ratio = 1 / MP.mpf(scale) if scale else MP.mpf(size) / wanted
    for i in range(wanted):
        row: dict[int, Any] = {}
        if mode in ("nearest", "nearest-exact"):
            place = int(MP.floor((i + (HALF if mode == "nearest-exact" else 0)) * ratio))
            row[min(place, size - 1)] = ONE
        elif mode == "area":
            inside = range(i * size // wanted, -(-(i + 1) * size // wanted))
            row = {k: ONE / len(inside) for k in inside}
        else:
            x = MP.mpf(i) * (size - 1) / (wanted - 1) if corners and wanted > 1 else (i + HALF) * ratio - HALF
            x = ZERO if corners and wanted == 1 else x
            cubic = mode == "bicubic"
            x = x if cubic or corners else max(x, ZERO)
            base = int(MP.floor(x))
            t = x - base
            taps = zip((-1, 0, 1, 2), _cubic(t), strict=True) if cubic else zip((0, 1), (1 - t, t), strict=True)
            for k, w in taps:
                spot = min(max(base + k, 0), size - 1)
                row[spot] = row.get(spot, ZERO) + w
        lines.append(row)
    return lines


def _cubic(t: Any) -> tuple[Any, ...]:
    a = MP.mpf(-0.75)

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _interpolate(
    x: Arr,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Arr:
    n = x.ndim - 2
    scales = several(scale_factor, n) if size is None else (None,) * n
    for d in range(n):
        m = x.shape[2 + d]
        wanted = several(size, n)[d] if size is not None else math.floor(m * scales[d])
        lines = _resize(m, wanted, mode, bool(align_corners), None if recompute_scale_factor else scales[d])
        moved = np.moveaxis(x, 2 + d, 0)
        x = np.moveaxis(np.stack([sum((moved[k] * w for k, w in row.items()), ZERO) for row in lines]), 0, 2 + d)
    return x


def _im2col(x: Arr, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Arr:
    single = x.ndim == 3
    x = x[None] if single else x
    x = padded(x, [(p, p) for p in several(padding, 2)])
    kernel = several(kernel_size, 2)
    spots = windows(x.shape[2:], kernel, several(stride, 2), several(dilation, 2))
    out = np.stack([x[(..., *cut)].reshape(len(x), -1) for _, cut in spots], axis=-1)
    return out[0] if single else out


def _fold(x: Arr, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Arr:
    single = x.ndim == 2
    x = x[None] if single else x
    kernel, pads = several(kernel_size, 2), several(padding, 2)
    full = [m + 2 * p for m, p in zip(several(output_size, 2), pads, strict=True)]
    out = zeros((len(x), x.shape[1] // math.prod(kernel), *full))
    for k, (_, cut) in enumerate(windows(full, kernel, several(stride, 2), several(dilation, 2))):
        out[(..., *cut)] += x[..., k].reshape(len(x), -1, *kernel)
    out = out[(..., *(slice(p, m - p) for p, m in zip(pads, full, strict=True)))]
    return out[0] if single else out


def _shuffle(x: Arr, r: int) -> Arr:
    *lead, c, h, w = x.shape
    n = len(lead)
    parts = x.reshape(*lead, c // r**2, r, r, h, w)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return parts.transpose(order).reshape(*lead, c // r**2, h * r, w * r)


def _unshuffle(x: Arr, r: int) -> Arr:
    *lead, c, h, w = x.shape
    n = len(lead)
    parts = x.reshape(*lead, c, h // r, r, w // r, r)
    return parts.transpose([*range(n), n, n + 2, n + 4, n + 1, n + 3]).reshape(*lead, c * r**2, h // r, w // r)


def _channel_shuffle(x: Arr, groups: int) -> Arr:
    return np.swapaxes(x.reshape(len(x), groups, -1, *x.shape[2:]), 1, 2).reshape(x.shape)


def _glu(x: Arr, dim: int = -1) -> Arr:
    a, b = np.split(x, 2, axis=dim)
    return a * each(lambda v: 1 / (1 + MP.exp(-v)))(b)


def _prelu(x: Arr, weight: Arr) -> Arr:
    slope = weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if weight.size > 1 else weight.reshape(())
    return each(lambda v, a: v if v > 0 else a * v, 2)(x, slope)


def _unpool(n: int) -> Function:
    """What max-pooling has taken, at its places among zeros."""

    def unpooled(x: Arr, places: Arr, kernel_size: Any, stride: Any = None) -> Arr:
        size, step = (v if isinstance(v, (tuple, list)) else (v,) * n for v in (kernel_size, stride or kernel_size))
        planes, own = x.shape[:-n], x.shape[-n:]
        shape = [(m - 1) * s + k for m, k, s in zip(own, size, step, strict=True)]
        out = zeros((*planes, math.prod(shape)))
        np.put_along_axis(out, places.reshape(*planes, -1), x.reshape(*planes, -1), -1)
        return out.reshape(*planes, *shape)

    return unpooled
