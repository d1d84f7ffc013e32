"""Normalization over a batch, a layer, groups or instances.

They differ only in what is averaged over, so one operation serves all. It has three outputs: the normalized tensor, and
the mean and the variance that it used. Its gradient is written with these outputs, which depend on the input in turn:
that is how gradients of gradients come out right.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite, op
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor
from minigrad.ops._checks import kind, refuse_grad, refuse_kinds
from minigrad.ops._spatial import Ints

GROUP = "NativeGroupNormBackward0"


class Normalized(NamedTuple):
    """What a normalization makes, and the moments it used (with dimensions of size 1 for those averaged over)."""

    output: Any
    mean: Any
    variance: Any


def _tied(xp: Any, grad: Any, *anchors: Any) -> Any:
    """A gradient that in torch comes from one kernel with others, and so depends on all that the kernel reads."""
    for each in () if xp is RAW or grad is None else anchors:
        grad = grad if each is None else xp.anchored(grad, each, False)
    return grad


def _gradient(xp: Any, grads: Any, input: Any, weight: Any, mean: Any, variance: Any, layout: Any, eps: float) -> Any:
    """The gradient in the input, from those of the output and of the moments."""
    split, axes, affine = layout
    count = prod(split[each] for each in axes)
    centred = xp.reshape(input, split) - mean
    scale = 1 / xp.sqrt(variance + eps)
    grad = grads[0] if weight is None else grads[0] * xp.reshape(weight, affine)
    grad = xp.reshape(grad, split) * scale
    common = (xp.sum(grad, axes, True) - grads[1]) / count
    along = (xp.sum(grad * centred, axes, True) * (scale * scale) - 2 * grads[2]) / count
    return xp.reshape(grad - common - centred * along, tuple(input.shape))


def _affine_sum(xp: Any, grad: Any, affine: Ints, shape: Any) -> Any:
    """A gradient summed over the dimensions in which the affine parameters are repeated."""
    axes = tuple(i for i, n in enumerate(affine) if n == 1 and grad.shape[i] != 1)
    return xp.reshape(xp.sum(grad, axes) if axes else grad, tuple(shape))


def _unit(xp: Any, input: Any, mean: Any, variance: Any, split: Ints, eps: float) -> Any:
    """The input with mean 0 and variance 1."""
    return xp.reshape((xp.reshape(input, split) - mean) / xp.sqrt(variance + eps), tuple(input.shape))


@op(method=False, function=False, returns=Normalized, node=lambda called: called,
    input=lambda xp, grads, input, weight, mean, variance, tie, layout, eps: _tied(
        xp, _gradient(xp, grads, input, weight, mean, variance, layout, eps), tie),
    weight=lambda xp, given, input, mean, variance, weight, tie, layout, eps: _tied(
        xp, None if given[0] is None else _affine_sum(
            xp, given[0] * _unit(xp, input, mean, variance, layout[0], eps), layout[2], weight.shape), weight, tie),
    bias=lambda xp, given, input, weight, tie, bias_shape, layout, called: _tied(
        xp, None if given[0] is None else _affine_sum(xp, given[0], layout[2], bias_shape),
        *(() if called == GROUP else (input, weight, tie))))  # fmt: skip
def normalized(
    input: Array, weight: Array | None, bias: Array | None, tie: Array | None, layout: Any, eps: float, called: str
) -> tuple[Array, Array, Array]:
    """`layout`: the shape to which the input is brought, the dimensions averaged over, the shape of weight and bias.

    `tie`: what else all gradients depend on.
    """
    split, axes, affine = layout
    x = input.astype(np.float32) if input.dtype == np.float16 else input
    x = x.reshape(split)
    count = x.dtype.type(prod(split[each] for each in axes))
    mean = np.add.reduce(x, axis=axes, keepdims=True) / count
    centred = x - mean
    variance = np.add.reduce(centred * centred, axis=axes, keepdims=True) / count
    centred /= np.sqrt(variance + x.dtype.type(eps))
    output = _scaled(centred.reshape(input.shape), weight, bias, affine)
    return output.astype(input.dtype, copy=False), mean, variance


@op(method=False, function=False, node="NativeBatchNormBackward0",
    input=lambda xp, grad, input, weight, variance, affine, eps: _tied(xp, grad * xp.reshape(
        (1 if weight is None else weight) / xp.sqrt(variance + eps), affine), input),
    weight=lambda xp, grad, input, weight, mean, variance, affine, eps: _tied(xp, _affine_sum(
        xp, grad * _unit(xp, input, xp.reshape(mean, affine), xp.reshape(variance, affine), tuple(input.shape), eps),
        affine, weight.shape), weight),
    bias=lambda xp, grad, input, weight, bias_shape, affine: _tied(
        xp, _affine_sum(xp, grad, affine, bias_shape), input, weight))  # fmt: skip
def standardized(
    input: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, affine: Ints, eps: float
) -> Array:
    """The input less a given mean, over the root of a given variance, per channel."""
    scale = 1 / np.sqrt(variance + variance.dtype.type(eps))
    unit = (input - mean.reshape(affine)) * scale.reshape(affine)
    return _scaled(unit, weight, bias, affine).astype(input.dtype, copy=False)


def _scaled(unit: Array, weight: Array | None, bias: Array | None, affine: Ints) -> Array:
    if weight is not None:
        unit = unit * weight.reshape(affine)
    return unit if bias is None else unit + bias.reshape(affine)


# ---- arguments -------------------------------------------------------------------------------------------------------


def _check_types(x: Tensor, *parameters: Tensor | None) -> None:
    kinds = {kind(each) for each in parameters if each is not None} - {kind(x)}
    if kinds - {"Float"}:
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if kinds and kind(x) != "Half":
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _check_shape(what: str, parameter: Tensor | None, shape: Ints) -> None:
    if parameter is not None and tuple(parameter.shape) != shape:
        raise RuntimeError(
            f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape"
            f" {list(parameter.shape)} and normalized_shape = {list(shape)}"
        )


def _trailing(x: Tensor, shape: Sequence[int], star: str) -> Ints:
    """The dimensions to normalize over, checked against the input."""
    wanted = tuple(int(each) for each in shape)
    if not wanted:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got"
            " normalized_shape = []"
        )
    if tuple(x.shape[-len(wanted) :]) != wanted or len(wanted) > x.ndim:
        listed = ", ".join(map(str, wanted))
        raise RuntimeError(
            f"Given normalized_shape={list(wanted)}, expected input with shape [*{star}{listed}], but got input of"
            f" size{list(x.shape)}"
        )
    return wanted


# ---- normalization as users know it ----------------------------------------------------------------------------------


@composite(name="nn.functional.batch_norm", method=False)
def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize each channel of (N, C, *spatial): in training over the batch, else with the running statistics.

    In training the running statistics, where given, are updated in place: by `momentum` towards the batch's mean and
    unbiased variance. ValueError and RuntimeError with torch's texts.
    """
    shape = tuple(input.shape)
    if training and prod(shape[:1] + shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if not isinstance(momentum, (int, float)):
        raise TypeError(f"batch_norm(): argument 'momentum' (position 7) must be float, not {type(momentum).__name__}")
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
                bias: Tensor | None, training: bool, momentum: float, eps: float) -> Tensor:  # fmt: skip
    shape = tuple(x.shape)
    channels = shape[1] if len(shape) > 1 else 0
    for name, each in (
        ("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias),
    ):  # fmt: skip
        if each is None and name.startswith("running") and not training:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
        if each is not None and each.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {each.numel()}")
    if x.numel() == 0:
        result = x.clone()
        result = result if weight is None else result * weight[0]
        return result if bias is None else result + bias[0]
    refuse_kinds("batch_norm", x, "biuc")
    _check_types(x, weight, bias, running_mean, running_var)
    refuse_grad("native_batch_norm", running_mean=running_mean, running_var=running_var)
    affine = (1, channels, *(1,) * (len(shape) - 2))
    if not training:
        return F.standardized(x, weight, bias, running_mean, running_var, affine, eps)
    axes = (0, *range(2, len(shape)))
    result, mean, variance = F.normalized(
        x, weight, bias, None, (shape, axes, affine), eps, "NativeBatchNormBackward0"
    )
    count = x.numel() // channels
    for running, batch in (
        (running_mean, mean._data), (running_var, variance._data * (count / (count - 1) if count > 1 else np.inf)),
    ):  # fmt: skip
        if running is not None:
            data = running.materialize()
            data[...] = (1 - momentum) * data + momentum * batch.reshape(data.shape)
    return result


@composite(name="nn.functional.instance_norm", method=False)
def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize each channel of each element of (N, C, *spatial) by its own statistics, or by the running ones."""
    n, channels, *spatial = input.shape
    if use_input_stats and prod(spatial) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    mean, variance, scale, shift = (
        None if each is None else each.repeat(n) for each in (running_mean, running_var, weight, bias)
    )
    result = _batch_norm(
        input.contiguous().view(1, n * channels, *spatial), mean, variance, scale, shift, use_input_stats, momentum, eps
    )
    for running, repeated in ((running_mean, mean), (running_var, variance)):
        if running is not None and use_input_stats:
            running.materialize()[...] = repeated._data.reshape(n, channels).mean(0)  # type: ignore[union-attr]
            running._cell[0] += 1  # torch counts this write, and not batch_norm's
    return result.view(tuple(input.shape))


@composite(name="nn.functional.layer_norm", method=False)
def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:  # fmt: skip
    """Normalize over the trailing dimensions, of the shape `normalized_shape`; weight and bias have this shape too."""
    if isinstance(normalized_shape, int):
        raise TypeError("layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not int")
    wanted = _trailing(input, normalized_shape, ", ")
    _check_shape("weight", weight, wanted)
    _check_shape("bias", bias, wanted)
    refuse_kinds("LayerNormKernelImpl", input, "biuc")
    _check_types(input, weight, bias)
    shape, lead = tuple(input.shape), input.ndim - len(wanted)
    layout = (shape, tuple(range(lead, len(shape))), (*(1,) * lead, *wanted))
    return F.normalized(input, weight, bias, bias, layout, eps, "NativeLayerNormBackward0")[0]


@composite(name="nn.functional.group_norm", method=False)
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize (N, C, *spatial) over each of `num_groups` groups of channels; weight and bias are per channel."""
    shape = tuple(input.shape)
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if prod((shape[0] * shape[1] // num_groups, num_groups, *shape[2:])) // num_groups == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size"
            f" {[shape[0] * shape[1] // num_groups, num_groups, *shape[2:]]}"
        )
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape"
            f" {list(shape)} and num_groups={num_groups}"
        )
    for name, each in (("weight", weight), ("bias", bias)):
        if each is not None and tuple(each.shape) != shape[1:2]:
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of"
                f" shape {list(each.shape)} and input of shape {list(shape)}"
            )
    refuse_kinds("GroupNormKernelImpl", input, "biuc")
    _check_types(input, weight, bias)
    split = (shape[0], num_groups, shape[1] // num_groups * prod(shape[2:]))
    layout = (split, (2,), (1, shape[1], *(1,) * (len(shape) - 2)))
    return F.normalized(input, weight, bias, None, layout, eps, GROUP)[0]


@composite(name="nn.functional.rms_norm", method=False)
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root mean square over the trailing dimensions, whose shape is `normalized_shape`.

    `eps` is added to the mean square; by default it is the type's machine epsilon.
    """
    wanted = _trailing(input, normalized_shape, "")
    _check_shape("weight", weight, wanted)
    refuse_kinds("rms_norm", input, "biu")
    x = input.to(_dtype.float32) if kind(input) == "Half" else input
    if eps is None:
        eps = _dtype.finfo(x.dtype).eps
    found = x * (x.pow(2).mean(tuple(range(-len(wanted), 0)), keepdim=True) + eps).rsqrt()
    if weight is not None:
        found = found * weight
    return found.to(input.dtype).contiguous()


@composite(name="nn.functional.local_response_norm", method=False)
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by a power of the mean square over `size` neighbouring channels."""
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    square = (input * input).unsqueeze(1)
    if input.ndim == 3:
        mean = F.nn_functional_avg_pool2d(
            F.nn_functional_pad(square, (0, 0, size // 2, (size - 1) // 2)), (size, 1), stride=1
        ).squeeze(1)
    else:
        flat = square.reshape(input.shape[0], 1, input.shape[1], input.shape[2], -1)
        mean = F.nn_functional_avg_pool3d(
            F.nn_functional_pad(flat, (0, 0, 0, 0, size // 2, (size - 1) // 2)), (size, 1, 1), stride=1
        ).squeeze(1)
        mean = mean.reshape(tuple(input.shape))
    return input / (mean * alpha + k).pow(beta)
