"""Casts of tensors to other types, copies, fills, and new tensors like a given one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad import _creation, _dtype
from minigrad._declare import composite, method
from minigrad._device import check_device
from minigrad._op import RAW, RECORDED, Array, ArrayOrNumber
from minigrad._tensor import Tensor
from minigrad.ops.shape import broadcast_error, internal, linear

# ---- copies ----------------------------------------------------------------------------------------------------------


@linear(self=lambda grad: grad)
def clone(self: Array, *, memory_format: Any = None) -> Array:
    keep = memory_format is None and 0 not in getattr(self, "strides", ())  # what is expanded becomes contiguous
    return np.array(self, order="K" if keep else "C")


@composite
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in C order, else a copy in which they do."""
    return self if self.is_contiguous() else clone(self, memory_format="contiguous")


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


def fitted(value: Any, dtype: np.dtype[Any]) -> Array:
    """A number or a 0-d array as a type; RuntimeError for numbers that the type has not, OverflowError for integers
    of more than 64 bits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError("int too big to convert")
    given = np.asarray(value)
    if not given.ndim and not _has(dtype, given.item()):
        name = _NAMES.get(dtype.name) or _dtype.from_numpy(dtype).cpp_name
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return cast_array(given, dtype)


_NAMES: Final = {"int64": "int64_t", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t", "float16": "double"}


def _has(dtype: np.dtype[Any], number: Any) -> bool:
    """Whether a type can hold a number, as torch sees it: unsigned integers wrap around, halves become infinite."""
    if dtype.kind == "b":
        return True
    if isinstance(number, complex) and dtype.kind != "c":
        return False
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return (limits.min or -limits.max) <= number <= limits.max
    parts = [number.real, number.imag] if isinstance(number, complex) else [number]
    return dtype.itemsize == 2 or not any(np.isfinite(each) and abs(each) > np.finfo(dtype).max for each in parts)


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
    result.fill(fitted(value, self.dtype))
    return result


@internal(inplace=True, self=lambda xp, grad: xp.zeros(grad.shape, grad))
def zero(self: Array) -> Array:
    return np.zeros(self.shape, self.dtype)


# ---- casts -----------------------------------------------------------------------------------------------------------


def converted(self: Tensor, dtype: np.dtype[Any], copy: bool = False) -> Tensor:
    """The tensor with elements of a type: itself if it has that type and no copy is asked for."""
    if self._data.dtype == dtype and not copy:
        return self
    if self._data.dtype.kind == "c" and dtype.kind not in "cb":
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=3)
    return RECORDED.cast(self, dtype)


@method()
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`to(dtype)`, `to(device, dtype)`, `to(other)`: the tensor converted, itself if nothing changes.

    `copy=True` copies all the same; `non_blocking` and `memory_format` mean nothing here.
    """
    rest = list(args)
    dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    other = kwargs.pop("other", None)
    kwargs.pop("non_blocking", None), kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and not _is_dtype(rest[0]):
        device = rest.pop(0)
        if not isinstance(device, (str, type(None))) and not hasattr(device, "type"):
            raise TypeError(f"to() expects a dtype, a device or a tensor, but got {type(device).__name__}")
    if rest and _is_dtype(rest[0]):
        dtype = rest.pop(0)
    if len(rest) > 1:
        copy = rest[1]
    check_device(device)
    if other is not None:
        dtype = other.dtype
    return converted(self, self._data.dtype if dtype is None else _dtype.as_numpy(dtype, "to"), copy)


def _is_dtype(value: object) -> bool:
    return isinstance(value, (_dtype.dtype, type))


def _cast_method(target: np.dtype[Any]) -> Callable[[Tensor], Tensor]:
    def made(self: Tensor, memory_format: Any = None) -> Tensor:
        return converted(self, target)

    made.__doc__ = f"The tensor with elements of type {target}; itself if it has that type."
    return made


for _name, _target in {
    "double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
    "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    method(_name)(_cast_method(np.dtype(_target)))


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

    made.__doc__ = "RuntimeError: there is no such device here."
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
