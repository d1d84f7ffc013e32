"""Convolution and its relatives: transposed convolution, unfold and fold, linear and bilinear layers.

A convolution is linear in its input and in its weight. Its gradients are two more maps of the same kind, and those of
all three are again among the three:

    convolution            (input, weight) -> output
    convolution_transpose  (output, weight) -> input
    convolution_weight     (output, input) -> weight

Each is one matrix product over gathered windows ("im2col"), for any number of spatial dimensions.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minigrad._declare import composite, op
from minigrad._dims import wrap_dim
from minigrad._layout import by_channels, channels_last
from minigrad._op import RECORDED as F
from minigrad._op import Array
from minigrad._tensor import Tensor
from minigrad._warning import warn_once
from minigrad.ops._checks import kind
from minigrad.ops._spatial import Ints, offsets, padded, per_dim, windows
from minigrad.ops.shape import internal

# ---- the three maps --------------------------------------------------------------------------------------------------


# In torch the three gradients come from one kernel, and each depends on all that the kernel reads.


def _input_gradient(xp: Any, grad: Any, input: Any, weight: Any, stride: Ints, padding: Ints, dilation: Ints,
                    groups: int, last: bool) -> Any:  # fmt: skip
    found = xp.convolution_transpose(grad, weight, None, input.shape[2:], stride, padding, dilation, groups, last)
    return xp.anchored(found, input, False)


def _transposed_input_gradient(xp: Any, grad: Any, input: Any, weight: Any, stride: Ints, padding: Ints,
                               dilation: Ints, groups: int, last: bool) -> Any:  # fmt: skip
    found = xp.convolution(grad, weight, None, stride, padding, dilation, groups, last)
    return xp.anchored(_cut(found, input.shape[2:]), input, False)


def _weight_gradient(transposed: bool) -> Any:
    def formula(xp: Any, grad: Any, input: Any, weight: Any, stride: Ints, padding: Ints, dilation: Ints,
                groups: int, last: bool) -> Any:  # fmt: skip
        of, by = (input, grad) if transposed else (grad, input)
        found = xp.convolution_weight(of, by, weight.shape[2:], stride, padding, dilation, groups, last)
        return xp.anchored(found, weight, False)

    return formula


def _bias_gradient(xp: Any, grad: Any, input: Any, weight: Any) -> Any:
    """The sum over all but channels."""
    return xp.anchored(xp.anchored(xp.sum(grad, (0, *range(2, grad.ndim))), input, False), weight, False)


def _cut(windows: Any, count: Ints) -> Any:
    """Without the windows that fit nowhere but in what an output_padding as large as the stride adds."""
    return windows if tuple(windows.shape[2:]) == tuple(count) else windows[(..., *map(slice, count))]


@op(method=False, function=False, input=_input_gradient, weight=_weight_gradient(False), bias=_bias_gradient)
def convolution(
    input: Array, weight: Array, bias: Array | None, stride: Ints, padding: Ints, dilation: Ints, groups: int,
    last: bool,
) -> Array:  # fmt: skip
    """The convolution of (N, C, *spatial) with (O, C/groups, *kernel), plus a bias for each of the O channels.

    `last`: whether the result's channels lie last in memory.
    """
    kernel = weight.shape[2:]
    count = _count(input.shape[2:], kernel, dilation, padding, stride)
    columns = _columns(input, kernel, count, stride, padding, dilation, groups)
    out = _product(weight.reshape(groups, weight.shape[0] // groups, columns.shape[2]), columns)
    return _finished(out.reshape(input.shape[0], weight.shape[0], *count), bias, last)


@op(method=False, function=False, node="ConvolutionBackward0", input=_transposed_input_gradient,
    weight=_weight_gradient(True), bias=_bias_gradient)  # fmt: skip
def convolution_transpose(input: Array, weight: Array, bias: Array | None, spatial: Ints, stride: Ints, padding: Ints,
                          dilation: Ints, groups: int, last: bool) -> Array:  # fmt: skip
    """The adjoint of convolution in its input: spreads (N, O, *count) over (N, C, *spatial), and adds a bias."""
    kernel, count = weight.shape[2:], input.shape[2:]
    n, channels = input.shape[0], weight.shape[1] * groups
    matrix = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1] * prod(kernel))
    columns = _product(matrix.swapaxes(1, 2), _rows(input, groups)).reshape(n, channels, *kernel, *count)
    return _finished(_sum_windows(columns, spatial, stride, padding, dilation), bias, last)


@op(method=False, function=False,
    y=lambda xp, grad, x, y_shape, stride, padding, dilation, groups, last: _cut(xp.convolution(
        x, grad, None, stride, padding, dilation, groups, last), y_shape[2:]),
    x=lambda xp, grad, y, x_shape, stride, padding, dilation, groups, last: xp.convolution_transpose(
        y, grad, None, x_shape[2:], stride, padding, dilation, groups, last))  # fmt: skip
def convolution_weight(
    y: Array, x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int, last: bool
) -> Array:
    """The adjoint in the weight: correlates (N, O, *count) with (N, C, *spatial) into (O, C/groups, *kernel)."""
    kept = y.dtype
    if kept == np.float16:
        x, y = x.astype(np.float32), y.astype(np.float32)
    rows, columns = _rows(y, groups), _columns(x, kernel, y.shape[2:], stride, padding, dilation, groups)
    total: Array = np.zeros((groups, rows.shape[2], columns.shape[2]), y.dtype)
    for each, windows_of_it in zip(rows, columns.swapaxes(2, 3)):  # all at once would take the memory of a batch
        total += _product(each, windows_of_it)
    return by_channels(total.reshape(y.shape[1], x.shape[1] // groups, *kernel).astype(kept, copy=False), last)


def _columns(x: Array, kernel: Ints, count: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:
    """All windows of (N, C, *spatial) as matrices: (N, groups, C/groups * prod(kernel), prod(count))."""
    found = windows(padded(x, padding, padding), kernel, stride, dilation, count)
    return found.reshape(x.shape[0], groups, x.shape[1] // groups * prod(kernel), prod(count))


def _rows(y: Array, groups: int) -> Array:
    """An output (N, O, *count) as matrices: (N, groups, O/groups, prod(count))."""
    return y.reshape(y.shape[0], groups, y.shape[1] // groups, prod(y.shape[2:]))


def _product(a: Array, b: Array) -> Array:
    """The matrix product; sums of half precision are taken in single precision."""
    if a.dtype == np.float16:
        return _product(a.astype(np.float32), b.astype(np.float32)).astype(np.float16)
    if a.shape[-1] == 1:  # as for depthwise convolutions: np.matmul of outer products is many times slower
        return np.multiply(a, b)
    return np.matmul(a, b)


def _sum_windows(columns: Array, spatial: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    """(N, C, *kernel, *count) added up where the windows lie: (N, C, *spatial)."""
    d = len(spatial)
    kernel, count = columns.shape[2 : d + 2], columns.shape[d + 2 :]
    # The windows need not reach the end of the padded input; with output_padding the input ends after them.
    reach = tuple(
        max(m + 2 * p, (k - 1) * e + (c - 1) * s + 1)
        for m, p, k, e, c, s in zip(spatial, padding, kernel, dilation, count, stride)
    )
    total: Array = np.zeros((*columns.shape[:2], *reach), columns.dtype)
    if columns.size:
        for place, where in offsets(kernel, stride, dilation, count):
            part: tuple[Any, ...] = (slice(None), slice(None), *place)
            total[where] += columns[part]
    return total[(..., *(slice(p, p + m) for p, m in zip(padding, spatial)))]  # type: ignore[arg-type]


def _finished(out: Array, bias: Array | None, last: bool) -> Array:
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (out.ndim - 2))
    return by_channels(out, last)


# ---- convolution as users know it ------------------------------------------------------------------------------------


def _arguments(name: str, n: int, weight: Tensor, groups: int, **given: Any) -> list[Ints]:
    """Each argument as one number per dimension; torch's errors for numbers out of range, or too many of them."""
    d, found = weight.ndim - 2, []
    if d < 1:
        raise RuntimeError("weight should have at least three dimensions")
    for position, (what, value) in enumerate(given.items(), 4):
        values = per_dim(value, n, name, what, position)
        values = values * d if len(values) == 1 else values
        if len(values) != d:
            raise RuntimeError(
                f"expected {what} to be a single integer value or a list of {d} values to match the convolution"
                f" dimensions, but got {what}={list(values)}"
            )
        found.append(values)
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    for what, values in zip(given, found):
        if what == "dilation" and min(values) < 0:
            raise RuntimeError("dilation should be greater than zero")
        if "padding" in what and min(values) < 0:
            raise RuntimeError(f"negative {what} is not supported")
        if "padding" not in what and min(values) <= 0:
            raise RuntimeError(f"non-positive {what} is not supported")
    return found


def _check_ndim(x: Tensor, weight: Tensor, what: str) -> None:
    if x.ndim != weight.ndim:
        raise RuntimeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional {what}{list(weight.shape)}, but"
            f" got {x.ndim}-dimensional input of size {list(x.shape)} instead"
        )


def _check_shapes(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, transposed: bool) -> None:
    """Torch's errors for tensors that do not fit together."""
    w = weight.shape
    _check_ndim(x, weight, "weight ")
    if w[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size"
            f" {list(w)} instead"
        )
    if w[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of"
            f" size [{list(w)}] instead"
        )
    channels = w[0] if transposed else w[1] * groups
    setting = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
    if x.shape[1] != channels:
        raise RuntimeError(
            f"Given {setting}, weight of size {list(w)}, expected input{list(x.shape)} to have {channels} channels, but"
            f" got {x.shape[1]} channels instead"
        )
    outputs = w[1] * groups if transposed else w[0]
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"Given {'transposed=1, ' * transposed}weight of size {list(w)}, expected bias to be 1-dimensional with"
            f" {outputs} elements, but got bias of size {list(bias.shape)} instead"
        )


def _check_size(x: Tensor, weight: Tensor, padding: Ints, dilation: Ints) -> None:
    """Torch's error for an input smaller than the kernel."""
    kernel = tuple(d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation))
    spatial = tuple(m + 2 * p for m, p in zip(x.shape[2:], padding))
    if 0 in weight.shape[2:]:
        names = ("depth", "height", "width")[-max(len(kernel), 2) :]
        said = " ".join(f"kernel_{a}: {k}" for a, k in zip(names, (1,) * (len(kernel) == 1) + tuple(weight.shape[2:])))
        raise RuntimeError(f"kernel size should be greater than zero, but got {said}")
    if any(k > m for k, m in zip(kernel, spatial)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, spatial))}). Kernel size:"
            f" ({' x '.join(map(str, kernel))}). Kernel size can't be greater than actual input size"
        )


def _by_onednn(x: Tensor, weight: Tensor, steps: Ints, spread: Ints, groups: int) -> bool:
    """Whether torch, on one thread, leaves a convolution to oneDNN (`ConvParams::use_mkldnn`)."""
    kernel = (1, *weight.shape[2:])[-2:]
    return x._data.dtype == np.float32 and (
        (max(*steps, *spread, *kernel) > 1 or x.shape[0] >= 16)
        and (groups > 1 or min(kernel) > 3 or x.shape[0] > 1 or prod(x.shape[:4]) > 20480)
    )


def _channels_last(x: Tensor, weight: Tensor, onednn: bool) -> bool:
    """Whether torch's kernels lay the result and the gradients with channels last, as the input or the weight are.

    Over one dimension the input is made contiguous first; over three only oneDNN's kernel does it.
    """
    if weight.ndim == 5 and not onednn:
        return False
    return channels_last(weight._data) or (weight.ndim > 3 and channels_last(x._data))


def _check_types(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: int = 0, onednn: bool = True) -> None:
    """Torch's errors for tensors of different types.

    `kernel`: over how many dimensions the kernel is to which torch leaves the bias, if it does; `onednn`: whether that
    is oneDNN's. Torch's own over one or two start from the bias, in whatever real type it is.
    """
    if x.dtype is not weight.dtype and kind(x) == "Float":
        raise RuntimeError(
            f"Input type ({x.dtype.tensor_type}) and weight type ({weight.dtype.tensor_type}) should be the same or"
            " input should be a MKLDNN tensor and weight is a dense tensor"
        )
    if x.dtype is not weight.dtype:
        raise RuntimeError(f"expected scalar type {kind(x)} but found {kind(weight)}")
    if bias is not None and bias.dtype is not x.dtype:
        if kernel and not onednn and x._data.dtype.kind == "f" and bias._data.dtype.kind != "c":
            if kernel < 3:
                return
            raise RuntimeError(f"expected scalar type {kind(x)} but found {kind(bias)}")
        if kernel and onednn:
            raise RuntimeError(
                f"Input type ({x.dtype.tensor_type}) and bias type ({bias.dtype.tensor_type}) should be the same or"
                " input should be a MKLDNN tensor and bias is a dense tensor"
            )
        raise RuntimeError(f"Input type ({x.dtype.cpp_name}) and bias type ({bias.dtype.cpp_name}) should be the same")


def _convolve(name: str, n: int, x: Tensor, apply: Any) -> Tensor:
    """Apply a convolution over `n` dimensions to a batch, or to one element as a batch of one."""
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size:"
            f" {list(x.shape)}"
        )
    return apply(x) if x.ndim == n + 2 else apply(x.unsqueeze(0)).squeeze(0)


def _by_parts(apply: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Tensor:
    """A convolution; of complex numbers, as in torch, by three of real ones."""
    if x._data.dtype.kind != "c":
        return apply(x, weight, bias, *arguments)
    real, imaginary = (
        [None if each is None else part(each) for each in (x, weight, bias)] for part in (F.real, F.imag)
    )
    a, b = apply(*real, *arguments), apply(*imaginary[:2], None, *arguments)
    c = apply(*(None if r is None else r + i for r, i in zip(real, imaginary)), *arguments)
    return a - b + (c - a - b) * 1j


def _conv(n: int) -> Any:
    name = f"conv{n}d"

    def conv(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
             dilation: Any = 1, groups: int = 1) -> Tensor:  # fmt: skip
        """Convolve (N, C, *spatial), or (C, *spatial), with (O, C/groups, *kernel).

        `padding` is a number per dimension, "valid" (none) or "same" (the output has the input's size). RuntimeError
        with torch's texts where shapes, types or arguments don't fit.
        """

        def apply(x: Tensor) -> Tensor:
            if padding == "same" and weight.ndim > 2:
                _check_ndim(x, weight, "weight")
            wanted = 0 if isinstance(padding, str) else padding
            steps, low, spread = _arguments(name, n, weight, groups, stride=stride, padding=wanted, dilation=dilation)
            high = low
            if padding == "same":
                if any(each != 1 for each in steps):
                    raise RuntimeError("padding='same' is not supported for strided convolutions")
                total = tuple(e * (k - 1) for e, k in zip(spread, weight.shape[2:]))
                low, high = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
            elif isinstance(padding, str) and padding != "valid":
                raise RuntimeError(f"Invalid padding string: '{padding}'")
            if low != high:
                warn_once(
                    "Using padding='same' with even kernel lengths and odd dilation may require a zero-padded copy of"
                    " the input be created"
                )
                x = F.constant_pad_nd(x, [each for a, b in zip(low[::-1], high[::-1]) for each in (0, b - a)], 0)
            _check_shapes(x, weight, bias, groups, transposed=False)
            _check_size(x, weight, low, spread)
            # Given padding by its name torch looks at no type, nor does its kernel over three dimensions.
            onednn = _by_onednn(x, weight, steps, spread, groups)
            _check_types(x, weight, bias, isinstance(padding, str), onednn)
            last = _channels_last(x, weight, onednn)
            return _by_parts(convolution, x, weight, bias, steps, low, spread, groups, last)

        return _convolve(name, n, input, apply)

    return conv


def _conv_transpose(n: int) -> Any:
    name = f"conv_transpose{n}d"

    def conv_transpose(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
                       output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Tensor:  # fmt: skip
        """Transposed convolution of (N, C, *spatial), or (C, *spatial), with (C, O/groups, *kernel).

        It is the gradient of a convolution with respect to its input; `output_padding` says which of the sizes that a
        strided convolution maps to the same size is meant. RuntimeError with torch's texts.
        """

        def apply(x: Tensor) -> Tensor:
            d = weight.ndim - 2
            steps, low, extra, spread = _arguments(
                name, n, weight, groups, stride=stride, padding=padding, output_padding=output_padding,
                dilation=dilation,
            )  # fmt: skip
            _check_shapes(x, weight, bias, groups, transposed=True)
            onednn = _by_onednn(x, weight, steps, spread, groups)
            _check_types(x, weight, bias, d, onednn)
            if any(e >= s and e >= k for e, s, k in zip(extra, steps, spread)):
                names = ("depth", "height", "width")[-max(d, 2) :]
                listed = {"output_padding": (0, *extra), "stride": (1, *steps), "dilation": (1, *spread)}
                said = " ".join(
                    f"{what}_{name}: {value}"
                    for what, values in listed.items()
                    for name, value in zip(names, values if d == 1 else values[1:])
                )
                raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got {said}")
            spatial = tuple(
                (m - 1) * s - 2 * p + e * (k - 1) + o + 1
                for m, s, p, e, k, o in zip(x.shape[2:], steps, low, spread, weight.shape[2:], extra)
            )
            if min(spatial) < 1:
                before, after = ("1 x " * (d == 1) + " x ".join(map(str, each)) for each in (x.shape[2:], spatial))
                raise RuntimeError(
                    f"Given input size per channel: ({before}). Calculated output size per channel: ({after}). Output"
                    " size is too small"
                )
            last = _channels_last(x, weight, onednn)
            return _by_parts(convolution_transpose, x, weight, bias, spatial, steps, low, spread, groups, last)

        return _convolve(name, n, input, apply)

    return conv_transpose


for _n in (1, 2, 3):
    for _name, _function in ((f"conv{_n}d", _conv(_n)), (f"conv_transpose{_n}d", _conv_transpose(_n))):
        composite(name=f"nn.functional.{_name}", method=False, aliases=[_name])(_function)


# ---- unfold and fold -------------------------------------------------------------------------------------------------


@internal(node="Im2ColBackward0",
          self=lambda xp, grad, self_shape, kernel, dilation, padding, stride: xp.col2im(
              grad, self_shape[-2:], kernel, dilation, padding, stride))  # fmt: skip
def im2col(self: Array, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Array:
    """(*, C, H, W) to the windows as columns: (*, C * prod(kernel), L)."""
    count = _count(self.shape[-2:], kernel, dilation, padding, stride)
    found = windows(padded(self, padding, padding), kernel, stride, dilation, count)
    return found.reshape(*self.shape[:-3], self.shape[-3] * prod(kernel), prod(count))


@internal(
    node="Col2ImBackward0",
    self=lambda xp, grad, kernel, dilation, padding, stride: xp.im2col(grad, kernel, dilation, padding, stride),
)  # fmt: skip
def col2im(self: Array, spatial: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Array:
    """The adjoint: columns added up where their windows lie."""
    count = _count(spatial, kernel, dilation, padding, stride)
    lead, n = self.shape[:-2], self.shape[-2] // prod(kernel)
    columns = self.reshape(prod(lead), n, *kernel, *count)
    found = _sum_windows(columns, spatial, stride, padding, dilation)
    return np.ascontiguousarray(found).reshape(*lead, n, *spatial)


def _count(spatial: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Ints:
    return tuple(
        (m + 2 * p - d * (k - 1) - 1) // s + 1 for m, k, d, p, s in zip(spatial, kernel, dilation, padding, stride)
    )


def _pairs(kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Ints, Ints, Ints, Ints]:
    """The arguments of unfold and fold, checked."""
    found = tuple(per_dim(each, 2) for each in (kernel, dilation, padding, stride))
    for name, (high, wide) in zip(("kernel size", "dilation", "padding", "stride"), found):
        if name == "padding" and min(high, wide) < 0:
            raise RuntimeError(f"padding should be non-negative, but got pad_height: {high} pad_width: {wide}")
        if name != "padding" and min(high, wide) <= 0:
            said = name.partition(" ")[0]
            raise RuntimeError(
                f"{name} should be greater than zero, but got {said}_height: {high} {said}_width: {wide}"
            )
    return found  # type: ignore[return-value]


@composite(name="nn.functional.unfold", method=False)
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of (N, C, H, W) as columns: (N, C * prod(kernel_size), L). RuntimeError with torch's texts."""
    kernel, spread, low, step = _pairs(kernel_size, dilation, padding, stride)
    shape = list(input.shape)
    if input.ndim < 3:
        wrap_dim(2, input.ndim)
    if input.ndim not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input,"
            f" but got: {shape}"
        )
    count = _count(tuple(shape[-2:]), kernel, spread, low, step)
    if min(count) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(shape[-2:])}, kernel_size={kernel}, dilation={spread},"
            f" padding={low}, calculated shape of the array of sliding blocks as {count}, but its components must be at"
            " least one."
        )
    return im2col(input, kernel, spread, low, step)


@composite(name="nn.functional.fold", method=False)
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The adjoint of `unfold`: columns (N, C * prod(kernel_size), L) added up to (N, C, *output_size)."""
    kernel, spread, low, step = _pairs(kernel_size, dilation, padding, stride)
    spatial, shape = per_dim(output_size, 2), list(input.shape)
    if input.ndim not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for"
            f" input, but got: {shape}"
        )
    if shape[-2] % prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got"
            f" input.size(1)={shape[-2]} and kernel_size={kernel}."
        )
    count = _count(spatial, kernel, spread, low, step)
    if shape[-1] != prod(count):
        raise RuntimeError(
            f"Given output_size={spatial}, kernel_size={kernel}, dilation={spread}, padding={low}, stride={step},"
            f" expected size of input's dimension 2 to match the calculated number of sliding blocks {count[0]} *"
            f" {count[1]} = {prod(count)}, but got input.size(2)={shape[-1]}."
        )
    return col2im(input, spatial, kernel, spread, low, step)
