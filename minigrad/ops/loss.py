"""Losses.

Those that are one operation in torch are one here: a numpy function of each element, its slope, and a reduction; the
slopes are formulas, so that they can be differentiated again. The others are compositions, as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from minigrad._declare import composite, op
from minigrad._dtype import castable, default_float, promote
from minigrad._layout import laid_as
from minigrad._modes import no_grad
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor, make
from minigrad._warning import warn
from minigrad.ops._checks import expect_same_kind, kind, refuse_grad, refuse_kinds
from minigrad.ops._scalar import minus, plus, times
from minigrad.ops.shape import internal

Old = bool | None  # an argument that torch takes for older programs
NAMES = ("none", "mean", "sum")
NONE, MEAN, SUM = range(3)
LEAST = float(np.float32(1e-12))  # torch's guard of divisions: a number in single precision

# ---- reductions ------------------------------------------------------------------------------------------------------


def _number(reduction: str) -> int:
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
        return MEAN
    if reduction not in NAMES:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return NAMES.index(reduction)


def _legacy(size_average: Old, reduce: Old, reduction: str) -> str:
    """The reduction that the two arguments of old mean, with torch's warning, if one is given."""
    if size_average is None and reduce is None:
        return reduction
    found = "none" if reduce is False else "sum" if size_average is False else "mean"
    warn(f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.")
    return found


def _reduced(losses: Array, reduction: int, *operands: Array) -> Array:
    """The losses, in memory as torch's kernel lays those of `operands`; or their sum, or mean."""
    if reduction == NONE:
        return laid_as(losses, *operands)
    total = np.add.reduce(losses, axis=None)
    count = losses.dtype.type(losses.size)
    return total if reduction == SUM else np.divide(total, count)


def _spread(grad: Any, like: Any, reduction: int) -> Any:
    """The gradient of each element's loss."""
    return grad / prod(like.shape) if reduction == MEAN and prod(like.shape) else grad


def _reduce(losses: Tensor, reduction: int) -> Tensor:
    """The reduction as an operation of its own."""
    return losses if reduction == NONE else losses.mean() if reduction == MEAN else losses.sum()


def _warn_size(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will"
            " likely lead to incorrect results due to broadcasting. Please ensure they have the same size."
        )


# ---- losses of each element ------------------------------------------------------------------------------------------


@op(promote="keep", method=False, function=False,
    self=lambda grad, self, target, reduction: _spread(grad, self, reduction) * (self - target) * 2,
    target=lambda grad, self, target, reduction: _spread(grad, self, reduction) * (target - self) * 2)  # fmt: skip
def mse_loss(self: Array, target: Array, reduction: int) -> Array:
    difference = self - target
    return _reduced(difference * difference, reduction, self, target)


def _smooth_slope(xp: Any, grad: Any, self: Any, target: Any, reduction: int, beta: float) -> Any:
    d, grad = self - target, _spread(grad, self, reduction)
    return xp.where(d <= -beta, -grad, xp.where(d >= beta, grad, grad * d / beta))


@op(
    promote="keep", method=False, function=False, node="SmoothL1LossBackward0",
    self=_smooth_slope,
    target=lambda xp, grad, self, target, reduction, beta: _smooth_slope(xp, grad, target, self, reduction, beta),
)  # fmt: skip
def smooth_l1_loss(self: Array, target: Array, reduction: int, beta: float) -> Array:
    z = np.abs(self - target)
    half, beta = z.dtype.type(0.5), z.dtype.type(beta)
    return _reduced(np.where(z < beta, half * z * z / beta, z - half * beta), reduction, self, target)


def _huber_slope(xp: Any, grad: Any, self: Any, target: Any, reduction: int, delta: float) -> Any:
    if target.dtype != self.dtype:
        raise RuntimeError(f"Found dtype {kind(target)} but expected {kind(self)}")
    return xp.huber_loss_backward(_spread(grad, self, reduction), self - target, delta)


@op(
    method=False, function=False, elementwise=True, node="HuberLossBackwardBackward0",
    grad_output=lambda xp, grad, d, delta: xp.huber_loss_backward(grad, d, delta),
    d=lambda xp, grad, grad_output, d, delta: grad * grad_output * (xp.abs(d) < delta),
)  # fmt: skip
def huber_loss_backward(grad_output: Array, d: Array, delta: float) -> Array:
    """The gradient of the loss of a difference; torch multiplies its own by 0 where that is constant."""
    return np.where(d <= -delta, -grad_output * delta, np.where(d >= delta, grad_output * delta, grad_output * d))


@op(
    method=False, function=False,
    self=_huber_slope,
    target=lambda xp, grad, self, target, reduction, delta: _huber_slope(xp, grad, target, self, reduction, delta),
)  # fmt: skip
def huber_loss(self: Array, target: Array, reduction: int, delta: float) -> Array:
    z = np.abs(self - target).astype(self.dtype, copy=False)
    half, delta = z.dtype.type(0.5), z.dtype.type(delta)
    return _reduced(np.where(z <= delta, half * z * z, delta * (z - half * delta)), reduction, self)


def _soft_margin_slope(xp: Any, grad: Any, self: Any, target: Any, reduction: int) -> Any:
    odds = xp.exp(-target * self)
    return -target * odds / (odds + 1) * _spread(grad, self, reduction)


@op(method=False, function=False, self=_soft_margin_slope)
def soft_margin_loss(self: Array, target: Array, reduction: int) -> Array:
    return _reduced(np.log1p(np.exp((-target).astype(self.dtype, copy=False) * self)), reduction, self)


def _weighted(grad: Any, weight: Any) -> Any:
    """A gradient times the weights; it has the losses' shape, since a single number would take the weights' dtype."""
    return grad if weight is None else grad * weight


def _below(self: Any) -> Any:
    """x * (1 - x), guarded as torch's second derivatives of binary_cross_entropy guard it."""
    return (self + 1e-12) * (1 - self + 1e-12)


@internal(
    cotangent=lambda grad, self, target: grad * (self - target) / _below(self),
    self=lambda grad, cotangent, self, target: (
        grad * cotangent * (self * self - 2 * self * target + target) / (_below(self) * _below(self))),
    target=lambda xp, grad, cotangent, self: -grad * cotangent / xp.clamp((1 - self) * self, 1e-12),
)  # fmt: skip
def bce_slope(cotangent: Array, self: Array, target: Array) -> Array:
    """The slope of binary_cross_entropy, which torch guards in another way than its own slopes."""
    return cotangent * (self - target) / np.maximum((1 - self) * self, self.dtype.type(LEAST))


@op(method=False, function=False,
    self=lambda xp, grad, self, target, weight, reduction: _weighted(
        xp.bce_slope(_spread(grad, self, reduction), self, target), weight),
    target=lambda xp, grad, self, weight, reduction: _weighted(
        _spread(grad, self, reduction) * -xp.logit(self), weight))  # fmt: skip
def binary_cross_entropy(self: Array, target: Array, weight: Array | None, reduction: int) -> Array:
    for name, each in (("input", self), ("target", target)):
        if not ((each >= 0) & (each <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    low = self.dtype.type(-100)
    losses = (target - 1) * np.maximum(np.log1p(-self), low) - target * np.maximum(np.log(self), low)
    return _reduced(_weighted(losses, weight).astype(self.dtype, copy=False), reduction, self)


def _logit_slope(xp: Any, grad: Any, self: Any, target: Any, weight: Any, pos_weight: Any, reduction: int) -> Any:
    if pos_weight is None:
        slope = xp.sigmoid(self) - target
    else:
        positive = pos_weight * target
        slope = (positive + 1 - target) * xp.sigmoid(self) - positive
    return _spread(_weighted(slope * grad, weight), self, reduction)  # last: the gradient may be of a coarser type


def _logit_target_slope(xp: Any, grad: Any, self: Any, weight: Any, pos_weight: Any, reduction: int) -> Any:
    log = xp.nn_functional_logsigmoid
    slope = -self if pos_weight is None else log(-self) - pos_weight * log(self)
    return _weighted(slope * _spread(grad, self, reduction), weight)


@op(method=False, function=False, self=_logit_slope, target=_logit_target_slope)
def binary_cross_entropy_with_logits(
    self: Array, target: Array, weight: Array | None, pos_weight: Array | None, reduction: int
) -> Array:
    log = np.minimum(self, 0) - np.log1p(np.exp(-np.abs(self)))  # of the sigmoid
    if pos_weight is None:
        losses = (1 - target) * self - log
    else:
        losses = (1 - target) * self - ((pos_weight - 1) * target + 1) * log
    losses = losses.astype(target.dtype, copy=False)  # torch computes in the memory of 1 - target
    return _reduced(_weighted(losses, weight).astype(target.dtype, copy=False), reduction, target)


def _average(losses: Tensor, weight: Tensor, reduction: str, by: Tensor | None) -> Tensor:
    """Losses times weights, reduced; their mean is divided by the sum of the weights in `by`, or by their number."""
    if reduction not in NAMES:
        raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")
    weighted = losses * weight
    if reduction == "mean" and by is not None:
        return weighted.sum() / by.sum()
    return _reduce(weighted, NAMES.index(reduction))


def _check_weight(input: Tensor, weight: Tensor | None) -> None:
    if weight is not None and weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")


def _check_cast(wanted: Tensor, other: Tensor, floating: bool = False) -> None:
    """Torch's error where what is computed of two tensors does not fit the type of the first, which it is to have."""
    found = promote(wanted._data.dtype, other._data.dtype)
    if floating and found.kind in "iub":
        found = default_float()
    if not castable(found, wanted._data.dtype):
        raise RuntimeError(f"result type {kind(found)} can't be cast to the desired output type {kind(wanted)}")


def _refuse_integers(kernel: str, a: Tensor, b: Tensor) -> None:
    for each in (a, b):
        refuse_kinds(kernel, each, "c")
    if b._data.dtype.kind != "f":
        refuse_kinds(kernel, a, "biu")


@composite(name="nn.functional.l1_loss", method=False)
def l1(input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None,
       reduction: str = "mean", weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """|input - target|; the mean of weighted losses is divided by the weights' sum."""
    _warn_size(input, target)
    reduction = _legacy(size_average, reduce, reduction)
    input_, target = F.broadcast_tensors(input, target)
    _check_weight(input, weight)
    losses = (input_ - target).abs()
    return _reduce(losses, _number(reduction)) if weight is None else _average(losses, weight, reduction, by=weight)


@composite(name="nn.functional.mse_loss", method=False)
def mse(input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None,
        reduction: str = "mean", weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """(input - target) squared; the mean of weighted losses is divided by the weights' sum."""
    _warn_size(input, target)
    reduction = _legacy(size_average, reduce, reduction)
    input_, target = F.broadcast_tensors(input, target)
    _check_weight(input, weight)
    if weight is not None:
        return _average((input_ - target).pow(2), weight, reduction, by=weight)
    number = _number(reduction)
    _refuse_integers("mse_cpu", input_, target)
    return mse_loss(input_, target, number)


@composite(name="nn.functional.smooth_l1_loss", method=False)
def smooth_l1(input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None,
              reduction: str = "mean", beta: float = 1.0) -> Tensor:  # fmt: skip
    """|d| - beta/2, with d = input - target; where |d| < beta, d squared / (2 beta)."""
    _warn_size(input, target)
    reduction = _legacy(size_average, reduce, reduction)
    input, target = F.broadcast_tensors(input, target)
    number = _number(reduction)
    if beta == 0.0:
        return _reduce((input - target).abs(), number)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _refuse_integers("smooth_l1_cpu", input, target)
    return smooth_l1_loss(input, target, number, beta)


@composite(name="nn.functional.huber_loss", method=False)
def huber(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d squared / 2, with d = input - target; delta * (|d| - delta/2) where |d| > delta."""
    _warn_size(input, target)
    input_, target = F.broadcast_tensors(input, target)
    number = NONE if weight is not None else _number(reduction)
    _check_weight(input, weight)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _check_cast(input_, target)
    _refuse_integers("huber_cpu", input_, target)
    losses = huber_loss(input_, target, number, delta)
    return losses if weight is None else _average(losses, weight, reduction, by=None)


@composite(name="nn.functional.soft_margin_loss", method=False)
def soft_margin(
    input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input)), for targets 1 and -1."""
    number = _number(_legacy(size_average, reduce, reduction))
    refuse_grad("soft_margin_loss", target=target)
    _check_cast(input, -target, floating=True)
    return soft_margin_loss(input, target, number)


@composite(name="nn.functional.binary_cross_entropy", method=False)
def bce(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Old = None,
        reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """-(target * log(input) + (1 - target) * log(1 - input)) for probabilities; logarithms are at least -100."""
    number = _number(_legacy(size_average, reduce, reduction))
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is deprecated."
            " Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(F.broadcast_shapes(target.shape, weight.shape))
    refuse_grad("binary_cross_entropy", weight=weight)
    if target.dtype is not input.dtype:
        raise RuntimeError(f"Found dtype {kind(target)} but expected {kind(input)}")
    refuse_kinds("binary_cross_entropy", input, "biuc")
    return binary_cross_entropy(input, target, weight, number)


@composite(name="nn.functional.binary_cross_entropy_with_logits", method=False)
def bce_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Old = None,
    reduce: Old = None, reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of the input's sigmoid, accurate for all inputs; `pos_weight` weights positive targets."""
    number = _number(_legacy(size_average, reduce, reduction))
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    refuse_grad("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    refuse_kinds("log_sigmoid_cpu", input, "biuc")
    _check_cast(target, input)
    return binary_cross_entropy_with_logits(input, target, weight, pos_weight, number)


# ---- classes ---------------------------------------------------------------------------------------------------------


def _class_dim(ndim: int) -> int:
    return 0 if ndim == 1 else 1


def _targeted(ndim: int, target: Array) -> Any:
    """The index of the target classes (N, ...) in (N, C, ...) or (C,): of the last class where it is negative."""
    if ndim == 1:
        return target
    if ndim == 2:
        return np.arange(target.size), target
    places: tuple[Array, ...] = np.indices(target.shape, sparse=True)
    return places[0], target, *places[1:]


def _ignored(target: Array) -> Any:
    """Where the class is negative; None if it is nowhere."""
    found = target < 0
    return found if found.any() else None


@internal(self=lambda xp, grad, target, self_shape: xp.nll_place(grad, target, self_shape))
def nll_pick(self: Array, target: Array) -> Array:
    """The elements of (N, C, ...) or (C,) at the target classes (N, ...); 0 where the class is negative."""
    found, ignored = self[_targeted(self.ndim, target)], _ignored(target)
    return found if ignored is None else np.where(ignored, self.dtype.type(0), found)


@internal(self=lambda xp, grad, target: xp.nll_pick(grad, target))
def nll_place(self: Array, target: Array, shape: Any) -> Array:
    """The adjoint: zeros of a shape, with elements at the target classes."""
    result, ignored = np.zeros(shape, self.dtype), _ignored(target)
    result[_targeted(len(shape), target)] = self if ignored is None else np.where(ignored, self.dtype.type(0), self)
    return result


@internal(
    node=lambda called: called,
    self=lambda xp, grad, self, target, coefficients, total, reduction: xp.anchored(
        xp.nll_place(-coefficients * (grad / total if reduction == MEAN else grad), target, tuple(self.shape)), self),
)  # fmt: skip
def negative_log_likelihood(
    self: Array, target: Array, coefficients: Array, total: float, reduction: int, called: str
) -> Array:
    """The target classes' elements times negative coefficients, reduced; `total` is the coefficients' sum."""
    losses, ignored = -(RAW.nll_pick(self, target) * coefficients), _ignored(target)
    if ignored is not None:
        losses = np.where(ignored, self.dtype.type(0), losses)
    if reduction == NONE:
        return losses
    found: Array = np.add.reduce(losses, axis=None)
    return found / self.dtype.type(total) if reduction == MEAN else found


def _negative_log_likelihood(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> Tensor:
    """torch's `nll_loss_nd`: arguments checked, extra dimensions made into two."""
    shape, given = x._data.shape, target._data.shape
    ndim = len(shape)
    if ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if ndim != 1 and (len(given) == 0 or shape[0] != given[0]):
        size = given[0] if given else 1
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({size}).")
    flat = ndim <= 2
    if ndim == 3 or ndim > 4:
        wanted = [shape[0], *shape[2:]]
        if list(given) != wanted:
            raise RuntimeError(f"Expected target size {wanted}, got {list(given)}")
        n, c = shape[:2]
        result = _negative_log_likelihood(
            x.contiguous().view(n, c, 1, -1), target.contiguous().view(n, 1, -1), weight, reduction, ignore_index
        )
        return result.view(wanted) if reduction == NONE else result
    classes = shape[_class_dim(ndim)]
    if flat and len(given) > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if flat and ndim == 1 and len(given) == 1 and given[0] != 1:
        raise RuntimeError(f"size mismatch (got input: {list(shape)}, target: {list(given)})")
    if not flat and list(given) != [shape[0], *shape[2:]]:
        raise RuntimeError(f"size mismatch (got input: {list(shape)} , target: {list(given)}")
    function = "nll_loss_forward" if flat else "nll_loss2d_forward"
    refuse_grad(function, weight=weight)
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of"
            f" shape: {list(weight.shape)}"
            if flat
            else "weight tensor should be defined either for all or no classes"
        )
    refuse_kinds("nll_loss_out_frame" if flat else "nll_loss2d_forward_out_frame", x, "biuc")
    if kind(target) not in ("Long", "Byte"):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {kind(target)}")
    if weight is not None:
        expect_same_kind(x, weight)
    chosen = np.asarray(target._data).astype(np.int64)
    if ndim == 1 and chosen.ndim == 1:
        chosen = chosen[0]
    used = chosen != ignore_index
    if not used.all() or chosen.size and (chosen.min() < 0 or chosen.max() >= classes):
        wrong = chosen[used & ((chosen < 0) | (chosen >= classes))]
        if wrong.size:
            raise IndexError(f"Target {wrong.reshape(-1)[0]} is out of bounds.")
        chosen = np.where(used, chosen, -1)
    ones = used.astype(x._data.dtype)
    coefficients = ones if weight is None else ones * weight._data[np.maximum(chosen, 0)]
    called = "NllLossBackward0" if flat else "NllLoss2DBackward0"
    return negative_log_likelihood(
        x, make(chosen, None), make(coefficients, None), np.add.reduce(coefficients, axis=None), reduction, called
    )


@composite(name="nn.functional.nll_loss", method=False)
def nll(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Old = None,
        ignore_index: int = -100, reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """Minus the log-probability (N, C, ...) of each target class (N, ...), times the class's weight.

    The mean is divided by the sum of the weights used. Targets equal to `ignore_index` count for nothing.
    """
    number = _number(_legacy(size_average, reduce, reduction))
    return _negative_log_likelihood(input, target, weight, number, ignore_index)


@composite(name="nn.functional.cross_entropy", method=False)
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Old = None,
    ignore_index: int = -100, reduce: Old = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """`nll_loss` of the log-softmax over classes. A target of the input's shape holds probabilities of classes.

    `label_smoothing` mixes the targets with the uniform distribution.
    """
    number = _number(_legacy(size_average, reduce, reduction))
    if input._data.shape == target._data.shape:
        return _soft_cross_entropy(input, target, weight, number, ignore_index, label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    dim = _class_dim(input.ndim)
    logs = input.log_softmax(dim)
    found = _negative_log_likelihood(logs, target, weight, number, ignore_index)
    if not label_smoothing:
        return found
    classes = input.shape[dim]
    used = logs if weight is None else logs * weight.view(*_per_class(input.ndim, dim, classes))
    ignored = target == ignore_index
    smooth = (-used.sum(dim)).masked_fill(ignored, 0.0)
    if number == MEAN:
        real = ~np.asarray(ignored._data)
        total = real.sum() if weight is None else np.add.reduce(weight._data[np.asarray(target._data)[real]], axis=None)
        smooth = smooth.sum() / make(np.asarray(total, input._data.dtype), None)
    elif number == SUM:
        smooth = smooth.sum()
    return times(found, 1 - label_smoothing) + times(smooth, label_smoothing / classes)


def _per_class(ndim: int, dim: int, classes: int) -> tuple[int, ...]:
    return tuple(classes if i == dim else 1 for i in range(ndim))


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, smoothing: float
) -> Tensor:
    """Cross-entropy with targets that are probabilities."""
    if target._data.dtype.kind != "f":
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {kind(target)}")
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    if not 0 <= smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smoothing:g}")
    dim = _class_dim(input.ndim)
    classes = input.shape[dim]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got"
            f" weight tensor of shape: {list(weight.shape)}"
        )
    logs = input.log_softmax(dim)
    if smoothing:
        target = plus(times(target, 1 - smoothing), smoothing / classes)
    losses = logs * target
    if weight is not None:
        losses = losses * weight.view(*_per_class(input.ndim, dim, classes))
    if reduction == MEAN and not losses.numel():
        return -losses.sum().fill_(math.nan)
    result: Tensor = -losses.sum(dim) if reduction == NONE else -losses.sum()
    return F.div_Scalar(result, input.numel() / classes) if reduction == MEAN else result


@composite(name="nn.functional.kl_div", method=False)
def kl_div(input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None,
           reduction: str = "mean", log_target: bool = False) -> Tensor:  # fmt: skip
    """target * (log(target) - input), for log-probabilities `input`; "batchmean" divides the sum by the batch size.

    With `log_target` the target is given as log-probabilities too.
    """
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce, reduction)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides"
            " only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the"
            " same as 'batchmean' in the next major release."
        )
    number = SUM if reduction == "batchmean" else _number(reduction)
    for kinds, named in (("biu", "Integral"), ("c", "Complex")):
        if any(each._data.dtype.kind in kinds for each in (input, target)):
            raise RuntimeError(f"kl_div: {named} inputs not supported.")
    losses = target.exp() * (target - input) if log_target else F.xlogy(target, target) - target * input
    found = _reduce(losses, number)
    return found / input.shape[0] if reduction == "batchmean" and input.ndim else found


# ---- margins ---------------------------------------------------------------------------------------------------------


def _multi_margin_slope(
    xp: Any, grad: Any, self: Any, target: Any, others: Any, reduction: int, p: int, margin: float
) -> Any:
    n, classes = others.shape
    x, chosen = xp.reshape(self, (n, classes)), xp.reshape(target, (n,))
    if reduction == MEAN:
        grad = grad / n
    elif reduction == NONE:
        grad = xp.reshape(grad, (n, 1))
    above = margin - xp.reshape(xp.nll_pick(x, chosen), (n, 1)) + x
    slope = xp.where(above > 0, others if p == 1 else others * above * 2, 0) * grad
    slope = xp.reshape(slope - xp.nll_place(xp.sum(slope, 1), chosen, (n, classes)), tuple(self.shape))
    return xp.undifferentiable(slope, [self], "multi_margin_loss_backward")


@op(method=False, function=False, self=_multi_margin_slope)
def multi_margin_loss(self: Array, target: Array, others: Array, reduction: int, p: int, margin: float) -> Array:
    """`others` (N, C): the weight of each sum's terms, 0 for the target class."""
    x = self.reshape(others.shape)
    above = margin - RAW.nll_pick(x, target.reshape(-1))[:, None] + x
    losses = np.add.reduce(np.where((others == 0) | ~(above > 0), 0, others * above**p), axis=1, dtype=self.dtype)
    return _reduced(losses.reshape(target.shape), reduction)


@composite(name="nn.functional.multi_margin_loss", method=False)
def multi_margin(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
                 size_average: Old = None, reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """The mean over classes of max(0, margin - input[target] + input[class]) ** p, times the target's weight."""
    number = _number(_legacy(size_average, reduce, reduction))
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    refuse_grad("multi_margin_loss", weight=weight)
    if input.ndim > 2 or 0 in input.shape[input.ndim == 2 :]:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    n, classes = (input.shape[0], input.shape[1]) if input.ndim == 2 else (1, input.numel())
    if target.numel() != n or target.ndim > 1:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch"
            f" size). Expected target size [{n}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    refuse_kinds("multi_margin_loss_cpu_kernel", input, "biuc")
    if kind(target) != "Long":
        raise RuntimeError(f"expected scalar type Long but found {kind(target)}")
    chosen = np.asarray(target._data).reshape(-1)
    if ((chosen < 0) | (chosen >= classes)).any():
        raise RuntimeError("target out of range")
    others = (chosen[:, None] != np.arange(classes)).astype(input._data.dtype) / input._data.dtype.type(classes)
    if weight is not None:
        others = others * weight._data[chosen][:, None]
    return multi_margin_loss(input, target, make(others, None), number, p, margin)


@composite(name="nn.functional.hinge_embedding_loss", method=False)
def hinge_embedding(input: Tensor, target: Tensor, margin: float = 1.0, size_average: Old = None,
                    reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    number = _number(_legacy(size_average, reduce, reduction))
    zeros, most = (make(np.full(input._data.shape, each).astype(input._data.dtype), None) for each in (0, margin))
    below = F.where(target != 1, (most - input).clamp_min(0), zeros)
    return _reduce(below + F.where(target != -1, input, zeros), number)


@composite(name="nn.functional.margin_ranking_loss", method=False)
def margin_ranking(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Old = None,
                   reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """max(0, margin - target * (input1 - input2)): which of two is to rank higher."""
    number = _number(_legacy(size_average, reduce, reduction))
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1:"
            f" {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _reduce(plus(-target * (input1 - input2), margin).clamp_min(0), number)


@composite(name="nn.functional.cosine_embedding_loss", method=False)
def cosine_embedding(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Old = None,
                     reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1."""
    number = _number(_legacy(size_average, reduce, reduction))
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes"
            f" {list(input1.shape)} and {list(input2.shape)}."
        )
    dot, first, second = ((a * b).sum(target.ndim) for a, b in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = dot / (plus(first, LEAST) * plus(second, LEAST)).sqrt()
    zeros = make(np.zeros(cosine._data.shape, cosine._data.dtype), None)
    near = F.where(target == 1, (zeros + 1) - cosine, zeros)
    return _reduce(near + F.where(target == -1, minus(cosine, margin).clamp_min(0), zeros), number)


@composite(name="nn.functional.triplet_margin_loss", method=False)
def triplet_margin(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: Old = None, reduce: Old = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)).

    With `swap` the smaller of the negative's distances to the anchor and to the positive counts.
    """
    number = _number(_legacy(size_average, reduce, reduction))
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return F.pairwise_distance(a, b, p, eps)

    near, far = _triplet(anchor, positive, negative, swap, distance)
    return _reduce((plus(near, margin) - far).clamp_min(0), number)


def _triplet(anchor: Tensor, positive: Tensor, negative: Tensor, swap: bool,
             distance: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How far the positive and the negative are."""
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got:"
            f" anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = F.minimum(far, distance(positive, negative))
    return near, far


@composite(name="nn.functional.triplet_margin_with_distance_loss", method=False)
def triplet_margin_with_distance(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with another distance."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or F.pairwise_distance
    near, far = _triplet(anchor, positive, negative, swap, distance)
    return _reduce((margin + near - far).clamp_min(0), _number(reduction))


# ---- other distributions ---------------------------------------------------------------------------------------------


@composite(name="nn.functional.poisson_nll_loss", method=False)
def poisson_nll(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Old = None,
                eps: float = 1e-8, reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """Minus the log-likelihood of Poisson counts; `full` adds what the input cannot change, by Stirling's formula."""
    number = _number(_legacy(size_average, reduce, reduction))
    losses = input.exp() - target * input if log_input else input - target * plus(input, eps).log()
    if full:
        constant = target * target.log() - target + times(times(target, 2 * math.pi).log(), 0.5)
        losses = losses + constant.masked_fill(target <= 1, 0)
    return _reduce(losses, number)


@composite(name="nn.functional.gaussian_nll_loss", method=False)
def gaussian_nll(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Minus the log-likelihood of normal variables; variances are at least `eps`. `full` adds the constant."""
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = make(np.full(input._data.shape, var, input._data.dtype), None)
    elif (var._data < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        differing = [b for a, b in zip(input.shape, var.shape) if a != b]
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not (input.ndim == var.ndim and sum(differing) == 1):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    variance = var.clone()
    with no_grad():
        variance.clamp_(min=eps)
    losses = 0.5 * (variance.log() + (input - target) ** 2 / variance)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduce(losses, _number(reduction))


@composite(name="nn.functional.multilabel_soft_margin_loss", method=False)
def multilabel_soft_margin(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Old = None,
                           reduce: Old = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """`binary_cross_entropy_with_logits` of each class, averaged over the classes."""
    reduction = _legacy(size_average, reduce, reduction)
    log_sigmoid = F.nn_functional_logsigmoid
    losses = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    if weight is not None:
        losses = losses * weight
    losses = losses.sum(-1) / input.size(-1)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    return _reduce(losses, _number(reduction))
