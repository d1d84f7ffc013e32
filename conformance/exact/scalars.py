"""Functions of one number or of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.exact.arithmetic import MP, ONE, ZERO, Arr, Function, arr, each, num, total


def _round(v: Any, decimals: int = 0) -> Any:
    scale = MP.mpf(10) ** decimals
    return MP.nint(v * scale) / scale if decimals else MP.nint(v)


def _trunc(v: Any) -> Any:
    return MP.floor(v) if v >= 0 else MP.ceil(v)


def _sign(v: Any) -> Any:
    return MP.sign(v)


def _scaled_bessel(order: int) -> Function:
    """The modified Bessel function of the first kind, times exp(-|x|), which takes it to 0 at infinity."""

    def computed(v: Any) -> Any:
        return ZERO if MP.isinf(v) else v if v != v else MP.besseli(order, v) * MP.exp(-abs(v))

    return computed


def _divide(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    a = MP.mpf(a)
    made = a / b if b else (MP.nan if not a or a != a else MP.inf * MP.sign(a))
    return {None: lambda v: v, "floor": MP.floor, "trunc": _trunc}[rounding_mode](made)


def _clamp(v: Any, low: Any = None, high: Any = None) -> Any:
    if v != v:
        return v
    v = v if low is None else max(v, num(low))
    return v if high is None else min(v, num(high))


def clamp(x: Arr, min: Any = None, max: Any = None) -> Arr:
    """Between two bounds, each None, a number or an array."""
    x = x if min is None else each(lambda v, low: _clamp(v, low), 2)(x, min)
    return x if max is None else each(lambda v, high: _clamp(v, None, high), 2)(x, max)


def _pow(a: Any, b: Any) -> Any:
    if b == 0:
        return ONE
    if a == 0 and b < 0:
        return MP.inf
    return MP.mpf(a) ** num(b)


def _xlog(log: Function) -> Function:
    return lambda a, b: MP.nan if b != b else ZERO if a == 0 else a * log(b)


def _log(v: Any) -> Any:
    return -MP.inf if v == 0 else MP.log(v)


def _softplus(v: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    scaled = v * num(beta)
    return v if scaled > num(threshold) else MP.log(1 + MP.exp(scaled)) / num(beta)


def _gelu(v: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return v / 2 * (1 + MP.tanh(MP.sqrt(2 / MP.pi) * (v + num(0.044715) * v**3)))
    return v * MP.ncdf(v)


def _elu(v: Any, alpha: Any = 1.0, scale: Any = 1.0, input_scale: Any = 1.0) -> Any:
    return num(scale) * (v if v > 0 else num(alpha) * MP.expm1(v * num(input_scale)))


_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _nan_to_num(v: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = float(np.finfo(np.float64).max)
    if v != v:
        return num(0.0 if nan is None else nan)
    if abs(v) == MP.inf:
        bound = (largest if posinf is None else posinf) if v > 0 else (-largest if neginf is None else neginf)
        return num(float(bound))
    return v


def _logit(v: Any, eps: Any = None) -> Any:
    v = v if eps is None else _clamp(v, eps, 1 - num(eps))
    return MP.log(v / (1 - v))


def _sinc(v: Any) -> Any:
    return MP.sincpi(v)


def _remainder(a: Any, b: Any) -> Any:
    return a - b * MP.floor(MP.mpf(a) / b)


def _fmod(a: Any, b: Any) -> Any:
    return a - b * _trunc(MP.mpf(a) / b)


def _copysign(a: Any, b: Any) -> Any:
    return abs(a) if b >= 0 else -abs(a)


def _add(a: Any, b: Any, *, alpha: Any = 1) -> Arr:
    return arr(a + num(b) * num(alpha))


def _sub(a: Any, b: Any, *, alpha: Any = 1) -> Arr:
    return arr(num(a) - num(b) * num(alpha))


def _lerp(a: Arr, b: Arr, weight: Any) -> Arr:
    return arr(a + num(weight) * (b - a))


def _relu(v: Any) -> Any:
    return v if v > 0 or v != v else ZERO


def _softmax(row: list[Any]) -> list[Any]:
    parts = [MP.exp(v - max(row)) for v in row]
    return [p / total(parts) for p in parts]


def _first_dim(f: Function) -> Function:
    return lambda x, dim=None, **kwargs: f(x, -1 if dim is None else dim)


def same(x: Arr, *_: Any, **__: Any) -> Arr:
    """The value itself."""
    return x


def copied(x: Arr, *_: Any, **__: Any) -> Arr:
    """The value in memory of its own."""
    return x.copy()
