"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.exact.arithmetic import (
    MP,
    ONE,
    ZERO,
    Arr,
    Function,
    arr,
    each,
    is_int,
    log_softmax,
    mean,
    num,
    over,
    p_norm,
    total,
)


def loss(f: Function) -> Function:
    """A loss with torch's reduction; `f` gives the losses one by one."""

    def reduced(*args: Any, reduction: str = "mean", **kwargs: Any) -> Arr:
        each_one = arr(f(*args, **kwargs))
        return {"none": lambda v: v, "mean": over(mean), "sum": over(total)}[reduction](each_one)

    return reduced


def _bce(x: Arr, y: Arr, weight: Any = 1) -> Arr:
    def log(v: Any) -> Any:
        return max(MP.log(v), MP.mpf(-100)) if v > 0 else MP.mpf(-100)

    return each(lambda p, t: -(t * log(p) + (1 - t) * log(1 - p)), 2)(x, y) * (1 if weight is None else weight)


def _bce_logits(x: Arr, y: Arr, weight: Any = None, pos_weight: Any = None) -> Arr:
    positive = 1 if pos_weight is None else pos_weight
    soft = each(lambda v: MP.log(1 + MP.exp(v)))
    made = (1 - y) * soft(x) + y * positive * soft(-x)
    return made if weight is None else made * weight


def _nll(x: Arr, target: Arr, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Arr:
    if x.ndim == 1:
        one = _nll(x[None], np.atleast_1d(target), weight, ignore_index=ignore_index, reduction=reduction)
        return one.reshape(())
    kept = target != ignore_index
    safe = np.where(kept, target, 0)
    weights = np.where(kept, (arr(np.full(x.shape[1], ONE)) if weight is None else weight)[safe], ZERO)
    losses = -np.take_along_axis(x, safe[:, None], 1)[:, 0] * weights
    if reduction == "none":
        return losses
    return arr(total(losses.reshape(-1)) / (total(weights.reshape(-1)) if reduction == "mean" else ONE))


def _cross_entropy(
    x: Arr,
    target: Arr,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: Any = 0,
) -> Arr:
    if x.ndim == 1:
        batch = target[None] if is_int(target) else target.reshape(1, -1)
        one = _cross_entropy(
            x[None], batch, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )
        return one.reshape(())
    logs, n = log_softmax(x, 1), x.shape[1]
    weights = (arr(np.full(n, ONE)) if weight is None else weight).reshape((1, -1) + (1,) * (x.ndim - 2))
    smooth = num(float(label_smoothing))
    if not is_int(target):
        losses = over(total)(-logs * weights * (target * (1 - smooth) + smooth / MP.mpf(n)), 1)
        count: Any = losses.size
    else:
        kept = target != ignore_index
        plain = _nll(logs, target, weight, ignore_index=ignore_index, reduction="none")
        spread = np.where(kept, over(total)(-logs * weights, 1), ZERO)
        losses = plain * (1 - smooth) + spread * (smooth / MP.mpf(n))
        count = total(np.where(kept, weights.reshape(-1)[np.where(kept, target, 0)], ZERO).reshape(-1))
    if reduction == "none":
        return losses
    return arr(total(losses.reshape(-1)) / (count if reduction == "mean" else ONE))


def _kl(x: Arr, target: Arr, log_target: bool = False) -> Arr:
    if log_target:
        return each(lambda v, t: MP.exp(t) * (t - v), 2)(x, target)
    return each(lambda v, t: (t * MP.log(t) if t > 0 else ZERO) - t * v, 2)(x, target)


def _kl_div(x: Arr, target: Arr, *, reduction: str = "mean", log_target: bool = False) -> Arr:
    losses = _kl(x, target, log_target)
    if reduction == "batchmean":
        return arr(total(losses.reshape(-1)) / x.shape[0])
    return loss(lambda: losses)(reduction=reduction)


def _poisson(x: Arr, t: Arr, log_input: bool = True, full: bool = False, eps: Any = 1e-8) -> Arr:
    def one(v: Any, y: Any) -> Any:
        made = MP.exp(v) - y * v if log_input else v - y * MP.log(v + num(eps))
        return made + (y * MP.log(y) - y + MP.log(2 * MP.pi * y) / 2 if full and y > 1 else 0)

    return each(one, 2)(x, t)


def is_clamped(x: Arr, t: Arr, var: Any, full: bool = False, eps: Any = 1e-6, reduction: str = "mean") -> bool:
    """Whether `gaussian_nll_loss` takes `eps` for a variance: torch's gradient is as if it had not."""
    return bool((arr(var) <= num(eps)).any())


def _gaussian(x: Arr, t: Arr, var: Any, full: bool = False, eps: Any = 1e-6) -> Arr:
    var = arr(var) if var.ndim == x.ndim or not var.ndim else var[..., None]
    made = each(lambda a, b, v: (MP.log(max(v, num(eps))) + (a - b) ** 2 / max(v, num(eps))) / 2, 3)(x, t, var)
    return made + MP.log(2 * MP.pi) / 2 if full else made


def _cosine(a: Arr, b: Arr, dim: int = 1, eps: Any = 1e-8) -> Arr:
    a, b = np.broadcast_arrays(a, b)
    size = each(lambda v: max(v, num(eps)))
    return over(total)(a * b, dim) / (size(over(p_norm)(a, dim)) * size(over(p_norm)(b, dim)))


def _cosine_embedding(a: Arr, b: Arr, target: Arr, margin: Any = 0) -> Arr:
    a, b = np.broadcast_arrays(a, b)
    small = num(1e-12)
    squares = [over(total)(x * x, -1) + small for x in (a, b)]
    cosine = over(total)(a * b, -1) / each(MP.sqrt)(squares[0] * squares[1])
    return each(lambda c, y: 1 - c if y == 1 else max(ZERO, c - num(margin)), 2)(arr(cosine), target)


def _pairwise(a: Arr, b: Arr, p: Any = 2, eps: Any = 1e-6, keepdim: bool = False) -> Arr:
    return over(p_norm)(a - b + num(eps), -1, keepdim, p=p)


def _triplet(
    a: Arr, near_one: Arr, far_one: Arr, margin: Any = 1.0, p: Any = 2, eps: Any = 1e-6, swap: bool = False
) -> Arr:
    near, far = _pairwise(a, near_one, p, eps), _pairwise(a, far_one, p, eps)
    if swap:
        far = each(min, 2)(far, _pairwise(near_one, far_one, p, eps))
    return each(lambda v: max(v, ZERO))(near - far + num(margin))


def _multi_margin(x: Arr, y: Arr, p: int = 1, margin: Any = 1.0, weight: Any = None) -> Arr:
    if x.ndim < 2:
        return arr(_multi_margin(x.reshape(1, -1), y.reshape(1), p, margin, weight)[0])
    own = np.take_along_axis(x, y[:, None], 1)
    short = each(lambda v: max(ZERO, v) ** p)(num(float(margin)) - own + x)
    short = np.where(np.arange(x.shape[1]) == y[:, None], ZERO, short)
    return over(mean)(short if weight is None else short * weight[y][:, None], 1)


def _multilabel(x: Arr, y: Arr, weight: Any = 1) -> Arr:
    return over(mean)(_bce_logits(x, y) * (1 if weight is None else weight), -1)


def _smooth_l1(beta: Any, huber: bool) -> Function:
    b = num(float(beta))
    if huber:
        return lambda d: d * d / 2 if abs(d) <= b else b * (abs(d) - b / 2)
    return lambda d: d * d / 2 / b if abs(d) < b else abs(d) - b / 2
