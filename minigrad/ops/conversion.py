"""Casts of tensors to other types, copies, fills, and new tensors like a given one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import _creation, _dtype
from minigrad._declare import composite, method
from minigrad._device import check_device, contiguous_format, preserve_format
from minigrad._dims import broadcast_error
from minigrad._layout import copied
from minigrad._op import RAW, RECORDED, Array, ArrayOrNumber
from minigrad._tensor import Tensor
from minigrad._warning import warn_once
from minigrad.ops._checks import fitted
from minigrad.ops.shape import internal, linear

# ---- copies ----------------------------------------------------------------------------------------------------------


@linear(self=lambda grad: grad)
def clone(self: Array, *, memory_format: Any = None) -> Array:
    if memory_format is not None and memory_format.rank:
        return np.moveaxis(np.array(memory_format.ordered(self), order="C"), -1, 1)
    return copied(self) if memory_format in (None, preserve_format) else np.array(self, order="C")


@composite
def contiguous(self: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """The tensor itself if its elements lie in memory in that order (C order by default), else a copy that does."""
    if self.is_contiguous(memory_format=memory_format):
        return self
    if memory_format is preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return clone(self, memory_format=memory_format)


@internal(inplace=True, node="torch::autograd::CopyBackwards",
          self=lambda xp, grad: xp.zeros(grad.shape, grad),
          src=lambda xp, grad, src_dtype: xp.cast(grad, src_dtype))  # fmt: skip
def copy(self: Array, src: ArrayOrNumber, non_blocking: bool = False) -> Array:
    given = cast_array(np.asarray(src), self.dtype)
    if given.shape == self.shape:
        return given
    try:
        return np.broadcast_to(given, self.shape)
    except ValueError:
        raise broadcast_error(self.shape, given.shape) from None


def fitted_to_store(value: Any, dtype: np.dtype[Any]) -> Array:
    """As `fitted`, for what writes a number: halves become infinite there."""
    return cast_array(np.asarray(fitted(value, np.dtype(np.float64) if dtype.char == "e" else dtype)), dtype)


def cast_array(data: Array, dtype: np.dtype[Any]) -> Array:
    """The elements as another type: `cast`, without the copy where nothing changes."""
    return data if data.dtype == dtype else RAW.cast(data, dtype)


@internal(inplace=True,
          node=lambda value: f"FillBackward{3 if isinstance(value, Tensor) else 2}",
          self=lambda xp, grad: xp.zeros(grad.shape, grad),
          value=lambda xp, grad: xp.sum(grad, None, False))  # fmt: skip
def fill(self: Array, value: ArrayOrNumber) -> Array:
    if np.ndim(value):
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {np.ndim(value)} dimensions."
        )
    result = np.empty(self.shape, self.dtype)
    result.fill(fitted_to_store(value, self.dtype))
    return result


@internal(inplace=True, self=lambda xp, grad: xp.zeros(grad.shape, grad))
def zero(self: Array) -> Array:
    return np.zeros(self.shape, self.dtype)


# ---- casts -----------------------------------------------------------------------------------------------------------


def converted(self: Tensor, dtype: np.dtype[Any], copy: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor with elements of a type: itself if it has that type (and layout) and no copy is asked for."""
    placed = memory_format in (None, preserve_format) or self.is_contiguous(memory_format=memory_format)
    if self._data.dtype == dtype and not copy and placed:
        return self
    if self._data.dtype.kind == "c" and dtype.kind not in "cb":
        warn_once("Casting complex values to real discards the imaginary part")
    return RECORDED.cast(self, dtype, memory_format)


@method()
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`to(dtype)`, `to(device, dtype)`, `to(tensor)`: the tensor converted, itself if nothing changes.

    `copy=True` copies all the same; `non_blocking` means nothing here.
    """
    if args and isinstance(args[0], (bool, float, complex)):  # so it is in torch
        args = (type(args[0]), *args[1:])
    from minigrad._parser import parse

    given = parse(".to", args, kwargs)
    check_device(given.get("device"))
    dtype = given["tensor"].dtype if "tensor" in given else given.get("dtype")
    kind = self._data.dtype if dtype is None else _dtype.as_numpy(dtype, "to")
    return converted(self, kind, bool(given.get("copy")), given.get("memory_format"))


def _cast_method(target: np.dtype[Any]) -> Callable[[Tensor], Tensor]:
    def made(self: Tensor, *, memory_format: Any = None) -> Tensor:
        return converted(self, target, memory_format=memory_format)

    made.__doc__ = f"The tensor with elements of type {target}; itself if it has that type."
    return made


for _name, _target in {
    "double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
    "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    method(_name)(_cast_method(np.dtype(_target)))


@method(name="bfloat16")
def to_bfloat16(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """NotImplementedError: numpy has no such type."""
    return converted(self, _dtype.bfloat16.numpy, memory_format=memory_format)


@method()
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with elements of another's type."""
    return converted(self, other._data.dtype)


@method(name="type")
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, such as "torch.FloatTensor"; with an argument, the tensor converted."""
    if dtype is None:
        return self.dtype.tensor_type
    if isinstance(dtype, str):
        for each in _dtype.ALL:
            if each.tensor_type == dtype:
                return converted(self, each.numpy)
        raise ValueError(f"invalid type: '{dtype}'")
    if isinstance(getattr(dtype, "dtype", None), _dtype.dtype):  # a class such as DoubleTensor
        dtype = dtype.dtype
    return converted(self, _dtype.as_numpy(dtype, "type"))


@method()
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return self


def _unavailable(name: str) -> Callable[..., Any]:
    def made(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        check_device(name)

    made.__doc__ = "AssertionError or NotImplementedError, as in torch: there is no such device here."
    return made


for _name in ("cuda", "xpu"):
    method(_name)(_unavailable(_name))


def _new(name: str, create: Callable[..., Tensor]) -> None:
    def made(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        check_device(device)
        return create(*args, dtype=self.dtype if dtype is None else dtype, **kwargs)

    made.__doc__ = f"As `{name.removeprefix('new_')}`, of this tensor's type unless `dtype` says otherwise."
    method(name)(made)


_new("new_zeros", _creation.zeros)
_new("new_ones", _creation.ones)
_new("new_empty", _creation.empty)
_new("new_full", _creation.full)


@method()
def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor of this data, of this tensor's type unless `dtype` says otherwise."""
    check_device(device)
    return _creation.tensor(data, dtype=self.dtype if dtype is None else dtype, requires_grad=requires_grad)
