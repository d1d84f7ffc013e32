"""Complex numbers made of real ones and seen as them, and tensors whose elements are seen as another type."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import _dtype
from minigrad._apply import apply
from minigrad._declare import composite, method, op
from minigrad._op import OPS, RAW, RECORDED, Array
from minigrad._tensor import Tensor
from minigrad._text import type_name
from minigrad._views import mark_lazy
from minigrad.ops.shape import linear

_COMPLEX: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float32): np.dtype(np.complex64),
    np.dtype(np.float64): np.dtype(np.complex128),
}
_REAL = {c: r for r, c in _COMPLEX.items()}


def _check_pair(name: str, first: str, self: Any, other: Any, out: Tensor | None) -> None:
    for position, (argument, each) in enumerate(((first, self), ("imag" if first == "real" else "angle", other)), 1):
        if not isinstance(each, Tensor):
            given = type_name(each)
            raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {given}")
    a, b = (_dtype.from_numpy(each._data.dtype) for each in (self, other))
    if not (a.is_floating_point and b.is_floating_point):
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {a.legacy_name} and {b.legacy_name}"
        )
    if a is not b:
        raise RuntimeError(
            f"Expected object of scalar type {a.legacy_name} but got scalar type {b.legacy_name} for second argument"
        )
    if out is not None and out._data.dtype != _COMPLEX.get(a.numpy):
        wanted, given = (_dtype.from_numpy(each).legacy_name for each in (_COMPLEX[a.numpy], out._data.dtype))
        raise RuntimeError(f"Expected object of scalar type {wanted} but got scalar type {given} for argument 'out'")
    if a.numpy not in _COMPLEX:
        raise NotImplementedError(f"{name}() of float16: numpy has no complex type of its width")


def _joined(real: Array, imag: Array) -> Array:
    found = np.empty(np.broadcast_shapes(real.shape, imag.shape), _COMPLEX[real.dtype])
    found.real, found.imag = real, imag
    return found


@linear(name="complex", elementwise=True, method=False, function=False, self=lambda xp, grad: xp.real(grad),
        imag=lambda xp, grad: xp.imag(grad))  # fmt: skip
def _complex(self: Array, imag: Array) -> Array:
    return _joined(self, imag)


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of these real and imaginary parts."""
    _check_pair("complex", "real", real, imag, out)
    return apply(OPS["complex"], [real, imag])


@op(name="polar", elementwise=True, method=False, function=False, holomorphic=False,
    self=lambda xp, grad, angle: xp.real(xp.conj(grad) * xp.complex(xp.cos(angle), xp.sin(angle))),
    angle=lambda xp, grad, result: xp.real(xp.conj(grad) * (result * 1j)))  # fmt: skip
def _polar(self: Array, angle: Array) -> Array:
    return _joined(self * np.cos(angle), self * np.sin(angle))


def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of these absolute values and angles."""
    _check_pair("polar", "abs", abs, angle, out)
    return apply(OPS["polar"], [abs, angle])


@linear(name="view_as_real", view=True, method=False, function=False, self=lambda xp, grad: xp.view_as_complex(grad))
def _as_real(self: Array) -> Array:
    return self[..., None].view(_REAL[self.dtype])


@linear(name="view_as_complex", view=True, method=False, function=False, self=lambda xp, grad: xp.view_as_real(grad))
def _as_complex(self: Array) -> Array:
    data = self if self.strides[-1] == self.itemsize else np.ascontiguousarray(self)  # of a gradient, not of a view
    return data.view(_COMPLEX[self.dtype])[..., 0]


def view_as_real(input: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, along a new last dimension: a view."""
    if input._data.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if input._lazy & 1:
        raise RuntimeError(
            "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the conjugate tensor so you can"
            " view it as real, use self.resolve_conj(); however, be warned that the resulting tensor will NOT alias the"
            " original."
        )
    return apply(OPS["view_as_real"], [input])


def view_as_complex(input: Tensor) -> Tensor:
    """Pairs of real numbers along the last dimension as complex ones: a view."""
    data = input.materialize()
    if data.dtype not in _COMPLEX:
        name = _dtype.from_numpy(data.dtype).legacy_name
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor"
            f" of scalar type: {name}"
        )
    if not data.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if data.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if data.strides[-1] != data.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(stride % (2 * data.itemsize) for stride in data.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return apply(OPS["view_as_complex"], [input])


for _function in (complex, polar, view_as_real, view_as_complex):
    composite(method=False, raw=getattr(RAW, _function.__name__))(_function)


# ---- conjugates ------------------------------------------------------------------------------------------------------

_conj = RECORDED.conj


@composite
def conj(self: Tensor) -> Tensor:
    """The complex conjugate, a view; the tensor itself if it is real."""
    if self._data.dtype.kind != "c":
        return self
    found: Tensor = _conj(self)
    mark_lazy(found, self)
    return found


@linear(
    name="_conj_physical", function=False, node="ConjPhysicalBackward0", self=lambda xp, grad: xp.conj_physical(grad)
)
def _conj_physical(self: Array) -> Array:
    return np.conj(self)


@linear(
    name="_conjugated", function=False, inplace=True, node="ConjPhysicalBackward1",
    self=lambda xp, grad: xp.conj_physical(grad),
)  # fmt: skip
def _conjugated(self: Array) -> Array:
    return np.conj(self) if self.dtype.kind == "c" else self


@composite(raw=lambda self: np.conj(self), inplace=lambda self: self._conjugated_())
def conj_physical(self: Tensor) -> Tensor:
    """The conjugates, in memory of their own; a real tensor itself."""
    return _conj_physical(self) if self.is_complex() else self


@linear(name="_negated", function=False, node="NegViewBackward0", self=lambda xp, grad: -grad)
def _negated(self: Array) -> Array:
    return np.negative(self)


@composite
def _neg_view(self: Tensor) -> Tensor:
    """The negative, a view."""
    found = _negated(self)
    mark_lazy(found, self, negative=True)
    return found


@composite
def is_conj(self: Tensor) -> bool:
    """Whether this is a conjugate that torch would not have computed yet."""
    return bool(self._lazy & 1)


@composite
def is_neg(self: Tensor) -> bool:
    """Whether this is a negative that torch would not have computed yet."""
    return bool(self._lazy & 2)


@composite
def resolve_conj(self: Tensor) -> Tensor:
    """A copy of a conjugate, the tensor itself if it is none."""
    return self.clone() if self._lazy & 1 else self


@composite
def resolve_neg(self: Tensor) -> Tensor:
    """A copy of what torch would keep as a negative, the tensor itself if it is none."""
    return self.clone() if self._lazy & 2 else self


# ---- the same bytes as another type ----------------------------------------------------------------------------------


@linear(name="view_dtype", view=True, method=False, function=False)
def _view_dtype(self: Array, dtype: Any) -> Array:
    return self.view(dtype)


_view = RECORDED.view


def _whole(size: Any) -> bool:
    return hasattr(size, "__index__") and getattr(size, "shape", ()) == ()


@method()
def view(self: Tensor, *size: Any, dtype: Any = None, **named: Any) -> Tensor:
    """A view in another shape, `view(2, 3)`, or of the same bytes as another type, `view(torch.int32)`."""
    if "size" in named and not size:
        size = (named.pop("size"),)
    if named:
        raise TypeError(f"view() got an unexpected keyword argument '{next(iter(named))}'")
    if dtype is None:
        if len(size) != 1 or not isinstance(size[0], (_dtype.dtype, type)):
            whole = size and (isinstance(size[0], (tuple, list)) or all(map(_whole, size)))
            if not whole:
                from minigrad._parser import refusal

                raise refusal(".view", size, {}) or TypeError("view(): argument 'size' must be tuple of ints")
            return _view(self, *size)
        dtype = size[0]
    new, data = _dtype.as_numpy(dtype, "view"), self.materialize()
    if new.itemsize != data.itemsize:
        text = f"to view {self.dtype.legacy_name} as {_dtype.from_numpy(new).legacy_name} (different element sizes)"
        if not data.ndim:
            raise RuntimeError(f"self.dim() cannot be 0 {text}")
        if data.strides[-1] != data.itemsize:
            raise RuntimeError(f"self.stride(-1) must be 1 {text}, but got {data.strides[-1] // data.itemsize}")
        times = new.itemsize // data.itemsize
        if times and data.shape[-1] % times:
            raise RuntimeError(f"self.size(-1) must be divisible by {times} {text}, but got {data.shape[-1]}")
    found: Tensor = apply(OPS["view_dtype"], [self, new])
    found._view = None  # not differentiable, so for autograd no view; the memory and its version are shared
    return found
