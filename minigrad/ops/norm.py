"""Normalization over a batch, a layer, groups or instances.

They differ only in what is averaged over, so one operation serves all. Beside the normalized tensor it has outputs that
its gradient is written with: the input with mean 0 and variance 1, and the moments. These depend on the input in turn:
that is how gradients of gradients come out right.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._declare import composite, op
from minigrad._layout import laid_out
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor
from minigrad._warning import warn_once
from minigrad.ops._checks import kind, refuse_grad, refuse_kinds
from minigrad.ops._scalar import plus
from minigrad.ops._spatial import Ints
from minigrad.ops.shape import internal
from minigrad.return_types import named

GROUP, LAYER = "NativeGroupNormBackward0", "NativeLayerNormBackward0"


# What a normalization makes: with weight and bias, and without, and the moments (with dimensions of size 1).
Normalized: Final = named("Normalized", "output", "unit", "mean", "variance")
Normalized.hidden = True


def _tied(xp: Any, grad: Any, *anchors: Any) -> Any:
    """A gradient that in torch comes from one kernel with others, and so depends on all that the kernel reads."""
    for each in () if xp is RAW or grad is None else anchors:
        grad = grad if each is None else xp.anchored(grad, each, False)
    return grad


def _shaped(x: Any, shape: Ints) -> Any:
    return x if x.shape == shape else x.reshape(shape)


@internal(self=lambda grad, other: grad * other, other=lambda grad, self: grad * self)
def sum_of_products(self: Array, other: Array, axes: Ints) -> Array:
    """The sum of self * other over some dimensions, which are kept with size 1."""
    n = self.ndim
    if axes == (n - 1,):
        return np.vecdot(self, other)[..., None]
    if axes == tuple(range(n - 1)):
        flat = (a.reshape(-1, a.shape[-1]) for a in (self, other))
        return np.einsum("ij,ij->j", *flat).reshape((1,) * (n - 1) + self.shape[-1:])
    return np.add.reduce(self * other, axis=axes, keepdims=True)


def _gradient(xp: Any, given: Any, weight: Any, unit: Any, variance: Any, layout: Any, eps: float) -> Any:
    """The gradient in the input, from those of the output, of what it is made of, and of the variance."""
    split, axes, affine = layout
    output, total, _, spread = given
    scale = inverse = 1 / xp.sqrt(variance + eps)
    if output is not None:
        if weight is not None and total is None and output.shape == split and all(affine[each] == 1 for each in axes):
            scale, weight = inverse * _shaped(weight, affine), None  # it is the same for all that is averaged
        scaled = _shaped(output if weight is None else output * _shaped(weight, affine), split)
        total = scaled if total is None else total + scaled
    count = prod([split[each] for each in axes])
    total = total - xp.sum(total, axes, True) / count  # nothing is left of a constant
    along = xp.sum_of_products(total, unit, axes) * scale
    along = along / count if spread is None else (along - 2 * spread / inverse) / count
    return total * scale - unit * along


def _affine_sum(xp: Any, grad: Any, affine: Ints, shape: Any, unit: Any = None) -> Any:
    """A gradient (times the normalized input), summed over the dimensions in which affine parameters are repeated."""
    axes = tuple([i for i, n in enumerate(affine) if n == 1 and grad.shape[i] != 1])
    if unit is None:
        return _shaped(xp.sum(grad, axes) if axes else grad, tuple(shape))
    unit = _shaped(unit, tuple(grad.shape))
    return _shaped(xp.sum_of_products(grad, unit, axes) if axes else grad * unit, tuple(shape))


def _of(xp: Any, input: Any, unit: Any) -> Any:
    """The normalized input, which depends on the input alone, though it is a result beside one that depends on more."""
    return unit if xp is RAW or input.requires_grad else unit.detach()


def _unit(xp: Any, input: Any, mean: Any, variance: Any, affine: Ints, eps: float) -> Any:
    """The input less a mean, over the root of a variance."""
    return (input - xp.reshape(mean, affine)) / xp.sqrt(xp.reshape(variance, affine) + eps)


@op(method=False, function=False, returns=Normalized, node=lambda called: called,
    input=lambda xp, given, input, weight, unit, variance, tie, layout, eps: _shaped(_tied(
        xp, _gradient(xp, given, weight, unit, variance, layout, eps), input, tie), input.shape),
    weight=lambda xp, given, input, unit, weight, tie, layout: None if given[0] is None else _tied(
        xp, _affine_sum(xp, given[0], layout[2], weight.shape, _of(xp, input, unit)), input, weight, tie),
    bias=lambda xp, given, input, weight, tie, bias_shape, layout, called: _tied(
        xp, None if given[0] is None else _affine_sum(xp, given[0], layout[2], bias_shape),
        *(() if called == GROUP else (input, weight, tie))))  # fmt: skip
def normalized(
    input: Array, weight: Array | None, bias: Array | None, tie: Array | None, layout: Any, eps: float, called: str
) -> tuple[Array, Array, Array, Array]:
    """`layout`: the shape to which the input is brought, the dimensions averaged over, the shape of weight and bias.

    `tie`: what else all gradients depend on. Half precision is normalized in single precision.
    """
    split, axes, affine = layout
    x = (input.astype(np.float32) if input.dtype == np.float16 else input).reshape(split)
    count = x.dtype.type(prod([split[each] for each in axes]))
    mean = np.add.reduce(x, axis=axes, keepdims=True) / count
    unit = x - mean
    variance = RAW.sum_of_products(unit, unit, axes) / count
    noise = np.spacing(mean) * count
    if np.count_nonzero(variance < noise * noise):  # of equal elements nothing is left but the mean's rounding
        first = unit[tuple([slice(1) if each in axes else slice(None) for each in range(x.ndim)])].copy()
        unit -= first  # which makes the mean of what is equal exact
        rest = np.add.reduce(unit, axis=axes, keepdims=True) / count
        unit -= rest
        mean += first + rest
        variance = RAW.sum_of_products(unit, unit, axes) / count
    unit *= 1 / np.sqrt(variance + x.dtype.type(eps))
    output = _scaled(unit.reshape(input.shape), weight, bias, affine)
    output = np.array(output, input.dtype, copy=True if output.base is unit else None)
    return np.asarray(output, order="C") if called == LAYER else laid_out(output, input), unit, mean, variance


@op(method=False, function=False, node="NativeBatchNormBackward0",
    input=lambda xp, grad, input, weight, variance, affine, eps: _tied(xp, grad * xp.reshape(
        (1 if weight is None else weight) / xp.sqrt(variance + eps), affine), input),
    weight=lambda xp, grad, input, weight, mean, variance, affine, eps: _tied(xp, _affine_sum(
        xp, grad, affine, weight.shape, _unit(xp, input, mean, variance, affine, eps)), weight),
    bias=lambda xp, grad, input, weight, bias_shape, affine: _tied(
        xp, _affine_sum(xp, grad, affine, bias_shape), input, weight))  # fmt: skip
def standardized(
    input: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, affine: Ints, eps: float
) -> Array:
    """The input less a given mean, over the root of a given variance, per channel."""
    scale = 1 / np.sqrt(variance + variance.dtype.type(eps))
    unit = (input - mean.reshape(affine)) * scale.reshape(affine)
    return laid_out(_scaled(unit, weight, bias, affine).astype(input.dtype, copy=False), input)


def _scaled(unit: Array, weight: Array | None, bias: Array | None, affine: Ints) -> Array:
    if weight is None and bias is None:
        return unit
    scaled = unit * _shaped(weight, affine) if weight is not None else unit + _shaped(bias, affine)
    if weight is not None and bias is not None:
        scaled += _shaped(bias, affine)
    return scaled


# ---- arguments -------------------------------------------------------------------------------------------------------


def _check_types(x: Tensor, *parameters: Tensor | None) -> None:
    if {each._data.dtype for each in parameters if each is not None} <= {x._data.dtype}:
        return
    kinds = {kind(each) for each in parameters if each is not None} - {kind(x)}
    if kinds - {"Float"}:
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if kinds and kind(x) != "Half":
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _check_shape(what: str, parameter: Tensor | None, shape: Ints) -> None:
    if parameter is not None and parameter._data.shape != shape:
        raise RuntimeError(
            f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape"
            f" {list(parameter.shape)} and normalized_shape = {list(shape)}"
        )


def _trailing(x: Tensor, shape: Sequence[int], star: str) -> Ints:
    """The dimensions to normalize over, checked against the input."""
    wanted = tuple(map(int, shape))
    if not wanted:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got"
            " normalized_shape = []"
        )
    if x._data.shape[-len(wanted) :] != wanted:
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
    result, _, mean, variance = F.normalized(
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
    lead = input._data.shape[: -len(wanted)]
    layout = ((prod(lead), prod(wanted)), (1,), (*(1,) * len(lead), *wanted))
    return F.normalized(input, weight, bias, bias, layout, eps, LAYER)[0]


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
    if weight is not None and weight.dtype is not input.dtype and not input.is_complex():
        warn_once(
            f"Mismatch dtype between input and weight: input dtype = {input.dtype.cpp_name}, weight dtype ="
            f" {weight.dtype.cpp_name}, Cannot dispatch to fused implementation."
        )
    refuse_kinds("rms_norm", input, "biu")
    x = input.to(_dtype.float32) if kind(input) == "Half" else input
    if eps is None:
        eps = _dtype.finfo(x.dtype).eps
    found = x * plus(x.pow(2).mean(tuple(range(x.ndim - len(wanted), x.ndim)), keepdim=True), eps).rsqrt()
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
