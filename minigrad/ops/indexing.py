"""Operations that read or write elements at given places: Python's indexing, and torch's functions for it."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._declare import method
from minigrad._op import OPS, Array, ArrayOrNumber, apply_inplace
from minigrad._tensor import Tensor, make
from minigrad.ops.shape import broadcast_error, cast_array, expand, internal, linear, select, slice_, unsqueeze, view

# ---- masks -----------------------------------------------------------------------------------------------------------


@linear(
    inplace=True,
    node=lambda value: f"MaskedFillBackward{1 if isinstance(value, Tensor) else 0}",
    self=lambda xp, grad, mask: xp.masked_fill(grad, mask, 0),
    value=lambda xp, grad, mask: xp.sum(xp.where(mask, grad, 0), None, False),
)
def masked_fill(self: Array, mask: Array, value: ArrayOrNumber) -> Array:
    if mask.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {_dtype.from_numpy(mask.dtype).cpp_name}"
        )
    if np.ndim(value):
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with"
            f" {np.ndim(value)} dimension(s)."
        )
    try:
        return np.where(mask, fitted(value, self.dtype), self)
    except ValueError:
        raise broadcast_error(np.shape(self), mask.shape) from None


def fitted(value: Any, dtype: np.dtype[Any]) -> Array:
    """A number or a 0-d array as a type; RuntimeError for complex numbers as anything else."""
    given = np.asarray(value)
    if given.dtype.kind == "c" and dtype.kind != "c":
        raise RuntimeError(
            f"value cannot be converted to type {_dtype.from_numpy(dtype).cpp_name} without overflow"
        )
    return cast_array(given, dtype)


# ---- by arrays of indices ----------------------------------------------------------------------------------------------


@internal(name="index", self=lambda xp, grad, index, self_shape: xp.index_backward(grad, self_shape, index))
def index_(self: Array, index: Any) -> Array:
    """The elements at `index`: one array (of integers, or a mask) or `slice(None)` per dimension."""
    return np.asarray(self)[index]


@internal(node="IndexBackwardBackward0", self=lambda xp, grad, index: xp.index(grad, index))
def index_backward(self: Array, input_sizes: Any, index: Any) -> Array:
    """Zeros, with elements added at `index`."""
    result = np.zeros(input_sizes, self.dtype)
    np.add.at(result, index, self)
    return result


@internal(
    name="index_put",
    self=lambda xp, grad, index, accumulate, values_shape: (
        grad if accumulate else xp.index_put(grad, index, xp.zeros(values_shape, grad), False)
    ),
    values=lambda xp, grad, index: xp.index(grad, index),
    inplace=True,
)
def index_put_at(self: Array, index: Any, values: Array, accumulate: bool = False) -> Array:
    if values.dtype != self.dtype:
        if values.ndim:
            wanted, given = (_dtype.from_numpy(each.dtype).legacy_name for each in (self, values))
            raise RuntimeError(
                "Index put requires the source and destination dtypes match, got"
                f" {wanted} for the destination and {given} for the source."
            )
        values = cast_array(values, self.dtype)
    result = np.array(self)
    try:
        if accumulate:
            np.add.at(result, index, values)
        else:
            result[index] = values
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of shape"
            f" {list(result[index].shape)}"
        ) from None
    return result


# ---- Python's indexing -------------------------------------------------------------------------------------------------


@internal(view=True, self=lambda grad: grad)
def alias(self: Array) -> Array:
    return self[...]


_ALL: Final = slice(None)


def _parts(key: Any) -> tuple[Any, ...]:
    """The entries of an index: a sequence that holds slices or sequences counts as a tuple, as it does in torch."""
    if isinstance(key, tuple):
        return key
    if isinstance(key, list) and len(key) < 32 and any(
        isinstance(each, (Tensor, np.ndarray, list, tuple, slice, type(None), type(...))) for each in key
    ):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use"
            " x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index,"
            " x[torch.tensor(seq)], which will result either in an error or a different result",
            UserWarning,
            stacklevel=4,
        )
        return tuple(key)
    return (key,)


def _locate(self: Tensor, key: Any, writing: bool) -> tuple[Tensor, tuple[Any, ...] | None]:
    """The view that the plain entries of an index select, and the arrays that then index it, if there are any."""
    parts = _parts(key)
    tensor, dim, arrays = self, 0, dict[int, Array]()
    entries = [each if isinstance(each, (int, slice, Tensor)) else _entry(each) for each in parts]
    taken = sum(
        (each._data.ndim if each._data.dtype.kind == "b" or each._data.dtype == np.uint8 else 1)
        if isinstance(each, Tensor)
        else each is not None and each is not ... and not isinstance(each, bool)
        for each in entries
    )
    if taken > self._data.ndim and not (self._data.ndim == 0 and len(entries) == 1):
        raise IndexError(f"too many indices for tensor of dimension {self._data.ndim}")
    for entry in entries:
        if isinstance(entry, Tensor) and not entry._data.ndim and entry._data.dtype.kind in "iu":
            if entry._data.dtype != np.uint8:
                entry = int(entry._data)
        if isinstance(entry, bool):
            entry = make(np.array(entry), None)
        if entry is None:
            tensor, dim = unsqueeze(tensor, dim), dim + 1
        elif entry is ...:
            dim += self._data.ndim - taken
        elif isinstance(entry, int):
            size = _size(tensor, dim)
            if not -size <= entry < size:
                raise IndexError(f"index {entry} is out of bounds for dimension {dim} with size {size}")
            tensor = select(tensor, dim, entry)
        elif isinstance(entry, slice):
            start, stop, step = _bounds(entry, _size(tensor, dim))
            whole = not start and stop == _size(tensor, dim) and step == 1
            if not whole or len(entries) == 1 and not writing:
                tensor = slice_(tensor, dim, start, stop, step)
            dim += 1
        else:
            array = entry._data
            if array.dtype == np.uint8:
                array = array != 0
            if array.dtype.kind == "b" and not array.ndim:
                tensor = unsqueeze(tensor, dim)
                array = np.zeros(int(array), np.int64)
            elif array.dtype not in _INDEX_TYPES:
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            arrays[dim] = array
            dim += array.ndim if array.dtype.kind == "b" else 1
    return tensor, _index(tensor._data.shape, arrays) if arrays else None


_INDEX_TYPES: Final = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_))


def _size(tensor: Tensor, dim: int) -> int:
    if not tensor._data.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim"
            " tensor to a number"
        )
    return int(tensor._data.shape[dim])


def _entry(entry: Any) -> Any:
    """One entry of an index as None, `...`, a bool, an int, a slice or a tensor."""
    if entry is None or entry is ...:
        return entry
    if isinstance(entry, np.bool_):
        return bool(entry)
    if isinstance(entry, np.integer):
        return int(entry)
    if isinstance(entry, np.ndarray):
        return make(entry, None)
    if isinstance(entry, (list, tuple, range, str)):
        return make(_as_index(entry), None)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got"
        f" {type(entry).__name__})"
    )


def _as_index(entry: Any) -> Array:
    from minigrad._creation import tensor

    found = tensor(list(entry) if isinstance(entry, range) else entry)._data
    return found if found.dtype.kind == "b" else np.asarray(found).astype(np.int64)


def _bounds(entry: slice, size: int) -> tuple[int, int, int]:
    """Start, end and step of a slice; ValueError for steps that torch refuses."""
    whole = slice(*(None if each is None else _position(each) for each in (entry.start, entry.stop, entry.step)))
    if whole.step is not None and whole.step <= 0:
        raise ValueError("slice step cannot be zero" if whole.step == 0 else "step must be greater than zero")
    start, stop, step = whole.indices(size)
    return start, max(start, stop), step


def _position(value: Any) -> int:
    if isinstance(value, (int, np.integer)) or isinstance(value, Tensor):
        return value.__index__()
    raise TypeError("slice indices must be integers or None or have an __index__ method")


def _index(shape: tuple[int, ...], arrays: dict[int, Array]) -> tuple[Any, ...]:
    """An index for numpy, once bounds and masks are as torch wants them."""
    found: list[Any] = []
    masks = {dim: each for dim, each in arrays.items() if each.dtype.kind == "b"}
    for dim, each in masks.items():
        for k, n in enumerate(each.shape):
            if n != shape[dim + k]:
                raise IndexError(
                    f"The shape of the mask {list(each.shape)} at index {k} does not match the shape of the indexed tensor"
                    f" {list(shape)} at index {dim + k}"
                )
        if len(arrays) == 1:
            return (*(_ALL,) * dim, each.copy())
    expanded: dict[int, Array] = {}
    for dim, each in arrays.items():
        if dim in masks:
            expanded |= {dim + k: places for k, places in enumerate(np.nonzero(each))}
        else:
            expanded[dim] = each.astype(np.int64)
    for dim in range(max(expanded) + 1):
        found.append(expanded.get(dim, _ALL))
    for dim, each in expanded.items():
        outside = (each < -shape[dim]) | (each >= shape[dim])
        if outside.any():
            raise IndexError(
                f"index {int(each[outside].flat[0])} is out of bounds for dimension {dim} with size {shape[dim]}"
            )
    try:
        np.broadcast_shapes(*(each.shape for each in expanded.values()))
    except ValueError:
        listed = ", ".join(str(list(each.shape)) for each in expanded.values())
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}"
        ) from None
    return tuple(found)


@method("__getitem__")
def _getitem(self: Tensor, key: Any) -> Tensor:
    """The part of the tensor at an index: a view, unless arrays of indices or masks choose the elements."""
    tensor, index = _locate(self, key, writing=False)
    if index is not None:
        return index_(tensor, index)  # type: ignore[no-any-return]
    return alias(self) if tensor is self else tensor  # type: ignore[no-any-return]


@method("__setitem__")
def _setitem(self: Tensor, key: Any, value: Any) -> None:
    """Write a tensor or a number to the part of the tensor at an index."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (Tensor, bool, int, float, complex)):
        kind = _dtype.from_numpy(self._data.dtype).tensor_type
        raise TypeError(f"can't assign a {_type_name(value)} to a {kind}")
    if not isinstance(value, Tensor):
        value = make(np.asarray(fitted(value, self._data.dtype)), None)
    if key is False:
        return
    if key is True:
        key = None
    tensor, index = _locate(self, key, writing=True)
    if index is not None:
        apply_inplace(OPS["index_put"], [tensor, index, _stripped(value), False])
    elif not value._data.ndim:
        tensor.fill_(value)
    else:
        if value._data.shape != tensor._data.shape:
            value = _stripped(value)
            if value._data.shape != tensor._data.shape:
                value = expand(value, tensor._data.shape)
        tensor.copy_(value)


def _stripped(value: Tensor) -> Tensor:
    """The value without its leading dimensions of size 1."""
    shape = value._data.shape
    lead = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return view(value, shape[lead:])  # type: ignore[no-any-return]


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
