"""Operations that read or write elements at given places: Python's indexing, and torch's functions for it."""

from __future__ import annotations

import itertools
import sys
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._apply import apply, apply_inplace, check_written
from minigrad._declare import composite, method
from minigrad._dims import broadcast_error, wrap_dim
from minigrad._graph import stale_error
from minigrad._layout import copied, copied_with_gaps, laid_as
from minigrad._op import OPS, RAW, Array, ArrayOrNumber, Size
from minigrad._tensor import Tensor, make
from minigrad._text import type_name
from minigrad._warning import warn
from minigrad.ops._checks import fitted, kind, real_node, refuse_kinds
from minigrad.ops.conversion import cast_array, fitted_to_store
from minigrad.ops.shape import alias, at, broadcast, expand, internal, linear, select, slice_, unsqueeze, view

# ---- masks -----------------------------------------------------------------------------------------------------------


@linear(inplace=True,
        node=lambda value: f"MaskedFillBackward{1 if isinstance(value, Tensor) else 0}",
        self=lambda xp, grad, mask: xp.masked_fill(grad, mask, 0),
        value=lambda xp, grad, mask: xp.sum(xp.where(mask, grad, 0), None, False))  # fmt: skip
def masked_fill(self: Array, mask: Array, value: ArrayOrNumber) -> Array:
    if mask.dtype.kind != "b":
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype"
            f" {_dtype.from_numpy(mask.dtype).cpp_name}"
        )
    if np.ndim(value):
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with"
            f" {np.ndim(value)} dimension(s)."
        )
    try:
        return np.asarray(np.where(mask, fitted(value, self.dtype), self), order="C")
    except ValueError:
        raise broadcast_error(mask.shape, np.shape(self)) from None


# ---- by arrays of indices --------------------------------------------------------------------------------------------


class Places(tuple[Any, ...]):
    """An index for numpy, with the tensors that it came from: backward refuses it once those were written to."""

    tensors: tuple[Tensor | None, ...] = ()
    versions: tuple[int | None, ...] = ()

    def checked(self) -> Places:
        """Itself; RuntimeError if an index was written to since."""
        for each, version in zip(self.tensors, self.versions, strict=True):
            if each is not None and version is not None and each._cell[0] != version:
                raise stale_error(each, version, None)
        return self


@internal(name="index",
          self=lambda xp, grad, index, self_shape: xp.index_backward(grad, self_shape, index.checked()))  # fmt: skip
def index_(self: Array, index: Any) -> Array:
    """The elements at `index`: one array (of integers, or a mask) or `slice(None)` per dimension."""
    data = np.asarray(self)
    found = np.array(data[index], order="C")
    places = [each for each in index if isinstance(each, np.ndarray)]
    if data.flags.c_contiguous and all(each.flags.c_contiguous for each in places):
        return found
    return laid_as(found, *_spread(found.shape, data, index, places))


def _is_mask(each: Any) -> bool:
    return isinstance(each, np.ndarray) and each.dtype == bool


def _spread(shape: tuple[int, ...], data: Array, index: Any, places: list[Array]) -> list[Array]:
    """The operands of an indexing, spread to the shape of its result, as torch's kernel has them: what decides its
    layout. Their elements are never read."""
    taken = [own for each in index for own in [isinstance(each, np.ndarray)] * (each.ndim if _is_mask(each) else 1)]
    places = [each.nonzero()[0] if _is_mask(each) else each for each in places]
    numbers = np.broadcast_shapes(*[each.shape for each in places])
    kept = [stride for stride, own in itertools.zip_longest(data.strides, taken, fillvalue=False) if not own]
    first = taken.index(True)
    start = first if all(taken[first : first + sum(taken)]) else 0  # else numpy, as torch, puts their dimensions first
    zeros, rest = [0] * len(numbers), len(shape) - len(numbers)
    strides = [[*kept[:start], *zeros, *kept[start:]]]
    for each in places:
        own = np.broadcast_to(each, numbers).strides
        strides.append([*[0] * start, *own, *[0] * (rest - start)])
    return [np.lib.stride_tricks.as_strided(np.empty(0), shape, each) for each in strides]


@internal(node="IndexPutImplBackward0", self=lambda xp, grad, index: xp.index(grad, index))
def index_backward(self: Array, input_sizes: Any, index: Any) -> Array:
    """Zeros, with elements added at `index`."""
    result = np.zeros(input_sizes, self.dtype)
    np.add.at(result, index, self)
    return result


@internal(name="index_put_at",
          node="IndexPutBackward0",
          self=lambda xp, grad, index, accumulate, values_shape: (
              grad if accumulate else xp.index_put_at(grad, index.checked(), xp.zeros(values_shape, grad), False)
          ),
          values=lambda xp, grad, index: xp.index(grad, index.checked()))  # fmt: skip
def index_put_at(self: Array, index: Any, values: Array, accumulate: bool = False) -> Array:
    _check_broadcast(self.shape, index, values.shape)
    if values.dtype != self.dtype:
        if values.ndim:
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {kind(self)} for the destination and"
                f" {kind(values)} for the source."
            )
        values = cast_array(values, self.dtype)
    result = copied(self)
    if accumulate:
        np.add.at(result, index, values)
    else:
        result[index] = values
    return result


def _check_broadcast(shape: tuple[int, ...], index: Any, given: tuple[int, ...]) -> None:
    """RuntimeError if values of a shape do not broadcast to the elements at an index."""
    found = np.empty(shape, np.bool_)[index].shape
    if len(given) <= len(found) and all(a in (1, b) for a, b in zip(given[::-1], found[::-1], strict=False)):
        return
    raise RuntimeError(
        f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing result of shape"
        f" {list(found)}"
    )


def _checked_index(self: Tensor, indices: Any) -> tuple[Any, ...]:
    """The index that torch's sequences of tensors mean."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            f"index_put(): argument 'indices' (position 1) must be tuple of Tensors, not {type(indices).__name__}"
        )
    arrays, dim, tensors = dict[int, Array](), 0, dict[int, Tensor]()
    for number, each in enumerate(indices):
        if not isinstance(each, Tensor):
            raise TypeError(f"expected Tensor as element {number} in argument 0, but got {type(each).__name__}")
        array = arrays[dim] = _as_places(each._data)
        tensors[dim] = each
        dim += array.ndim if array.dtype.kind == "b" else 1
    if dim > self._data.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self._data.ndim} (got {dim})")
    return _index(self._data.shape, arrays, tensors)


def _index_put_args(self: Tensor, indices: Any, values: Any, accumulate: bool) -> list[Any]:
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}")
    return [self, _checked_index(self, indices), values, accumulate]


@composite
def index_put(self: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """A copy with `values` written, or added, at the places that a sequence of index tensors names."""
    return apply(OPS["index_put_at"], _index_put_args(self, indices, values, accumulate))


@composite(name="index_put_")
def index_put_(self: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`index_put` into the tensor itself."""
    return apply_inplace(OPS["index_put_at"], _index_put_args(self, indices, values, accumulate))


@linear(inplace=True,
        self=lambda xp, grad, index, accumulate, source: (
            grad if accumulate else xp.put(grad, index, xp.zeros(source.shape, grad), False)
        ),
        source=lambda xp, grad, index, source: xp.reshape(xp.take(grad, index), source.shape))  # fmt: skip
def put(self: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    """A copy with elements of `source` written, or added, at places counted among all elements."""
    if index.dtype != np.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {kind(index)}")
    if self.dtype != source.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {kind(self)} and"
            f" source.dtype = {kind(source)}"
        )
    if index.size != source.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() ="
            f" {source.size}, index.numel() = {index.size}"
        )
    wrong = _outside(index, -self.size, self.size)
    if wrong is not None:
        raise IndexError(f"out of range: tried to access index {wrong} on a tensor of {self.size} elements.")
    result = np.array(self, order="C")
    flat, places, values = result.reshape(-1), np.ravel(index), np.ravel(source)
    if accumulate:
        np.add.at(flat, places, values)
    else:
        flat[places] = values
    return laid_as(result, self)


# ---- Python's indexing -----------------------------------------------------------------------------------------------


_ALL: Final = slice(None)


def _parts(key: Any) -> tuple[Any, ...]:
    """The entries of an index: a sequence that holds slices or sequences counts as a tuple, as it does in torch."""
    if isinstance(key, tuple):
        return key
    if (
        isinstance(key, (list, str))
        and len(key) < 32
        and any(isinstance(each, (Tensor, np.ndarray, list, tuple, slice, str, type(None), type(...))) for each in key)
    ):
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch"
            " 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index,"
            " x[torch.tensor(seq)], which will result either in an error or a different result"
        )
        return tuple(key)
    return (key,)


def _locate(self: Tensor, key: Any, writing: bool) -> tuple[Tensor, tuple[Any, ...] | None]:
    """The view that the plain entries of an index select, and the arrays that then index it, if there are any."""
    entries = [each if isinstance(each, (int, slice, Tensor)) else _entry(each) for each in _parts(key)]
    taken = sum(map(_width, entries))
    if taken > self._data.ndim and not (self._data.ndim == 0 and len(entries) == 1):
        raise IndexError(f"too many indices for tensor of dimension {self._data.ndim}")
    tensor, dim, arrays, tensors = self, 0, dict[int, Array](), dict[int, Tensor]()
    for place, entry in enumerate(entries):
        if isinstance(entry, bool):
            entry = make(np.array(entry), None)
        elif isinstance(entry, Tensor) and not entry._data.ndim and entry._data.dtype.kind == "i":
            entry = int(entry._data)
        if entry is None:
            tensor, dim = unsqueeze(tensor, dim), dim + 1
        elif entry is ...:
            dim += self._data.ndim - taken
        elif isinstance(entry, int):
            size = _size(tensor, dim)
            if not -size <= entry < size:
                raise IndexError(f"index {entry} is out of bounds for dimension {place} with size {size}")
            tensor = select(tensor, dim, entry)
        elif isinstance(entry, slice):
            if not tensor._data.ndim:
                raise IndexError("slice() cannot be applied to a 0-dim tensor.")
            (start, stop, step), first = _bounds(entry, _size(tensor, dim)), entry.start or 0
            if entry.stop is None:
                stop = sys.maxsize  # as torch keeps it
            last = 0 if entry.stop is None else entry.stop
            whole = first == 0 <= last and stop >= _size(tensor, dim) and step == 1  # by the ends as they were given
            if not whole or isinstance(key, slice) and not writing:
                tensor = slice_(tensor, dim, start, stop, step)
            dim += 1
        else:
            array = _as_places(entry._data)
            if array.dtype.kind == "b" and not array.ndim:
                tensor = unsqueeze(tensor, dim)
                array = np.zeros(int(array), np.int64)
            arrays[dim], tensors[dim] = array, entry
            dim += array.ndim if array.dtype.kind == "b" else 1
    return tensor, _index(tensor._data.shape, arrays, tensors) if arrays else None


def _width(entry: Any) -> int:
    """How many dimensions an entry of an index stands for."""
    if isinstance(entry, Tensor):
        return entry._data.ndim if entry._data.dtype.kind == "b" or entry._data.dtype == np.uint8 else 1
    return int(entry is not None and entry is not ... and not isinstance(entry, bool))


def _as_places(array: Array) -> Array:
    """An array of indices, or a mask; IndexError for other types."""
    if array.dtype == np.uint8:
        if array.ndim:
            warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.")
        return np.asarray(array != 0)
    if array.dtype not in _INDEX_TYPES:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return np.asarray(array)


_INDEX_TYPES: Final = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_))


def _size(tensor: Tensor, dim: int) -> int:
    if not tensor._data.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a"
            " 0-dim tensor to a number"
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
        f" {type_name(entry)})"
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
    if isinstance(value, (int, np.integer, Tensor)):
        return value.__index__()
    raise TypeError("slice indices must be integers or None or have an __index__ method")


def _index(shape: tuple[int, ...], arrays: dict[int, Array], tensors: dict[int, Tensor]) -> Places:
    """An index for numpy, once bounds and masks are as torch wants them; by dimension, the arrays and their tensors."""
    places = Places(_index_entries(shape, arrays))
    places.tensors = tuple(tensors.get(dim) for dim in range(max(tensors) + 1))
    places.versions = tuple([None if t is None or t._inference else t._cell[0] for t in places.tensors])
    return places


def _index_entries(shape: tuple[int, ...], arrays: dict[int, Array]) -> tuple[Any, ...]:
    masks = {dim: each for dim, each in arrays.items() if each.dtype.kind == "b"}
    for dim, each in masks.items():
        for k, n in enumerate(each.shape):
            if n != shape[dim + k]:
                raise IndexError(
                    f"The shape of the mask {list(each.shape)} at index {k} does not match the shape of the indexed"
                    f" tensor {list(shape)} at index {dim + k}"
                )
        if len(arrays) == 1:
            return (*(_ALL,) * dim, each.copy())
    expanded: dict[int, Array] = {}
    for dim, each in arrays.items():
        if dim in masks:
            expanded |= {dim + k: places for k, places in enumerate(np.nonzero(each))}
        else:
            expanded[dim] = each.astype(np.int64)
    for place, (dim, each) in enumerate(expanded.items()):
        outside = (each < -shape[dim]) | (each >= shape[dim])
        if outside.any():
            raise IndexError(
                f"index {int(each[outside].flat[0])} is out of bounds for dimension {place} with size {shape[dim]}"
            )
    try:
        np.broadcast_shapes(*(each.shape for each in expanded.values()))
    except ValueError:
        listed = ", ".join(str(list(each.shape)) for each in expanded.values())
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}"
        ) from None
    return tuple([expanded.get(dim, _ALL) for dim in range(max(expanded) + 1)])


@method("__getitem__")
def _getitem(self: Tensor, key: Any) -> Tensor:
    """The part of the tensor at an index: a view, unless arrays of indices or masks choose the elements."""
    shape = self._data.shape
    if type(key) is int and shape and -shape[0] <= key < shape[0]:
        return apply(OPS["select"], [self, 0, key])
    tensor, index = _locate(self, key, writing=False)
    if index is not None:
        return index_(tensor, index)
    return alias(self) if tensor is self else tensor


@method("__delitem__")
def _delitem(self: Tensor, key: Any) -> None:
    """TypeError: a tensor keeps its elements."""
    raise TypeError("Tensor does not support deleting items")


@method("__setitem__")
def _setitem(self: Tensor, key: Any, value: Any) -> None:
    """Write a tensor or a number to the part of the tensor at an index."""
    if isinstance(value, np.integer):
        value = int(value)
    if not isinstance(value, (Tensor, bool, int, float, complex)):
        kind = _dtype.from_numpy(self._data.dtype).tensor_type
        raise TypeError(f"can't assign a {type_name(value)} to a {kind}")
    if not isinstance(value, Tensor):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("Overflow when unpacking long long")
        value = make(np.asarray(fitted_to_store(value, self._data.dtype)), None)
    if key is False:
        return
    if key is True:
        key = None
    tensor, index = _locate(self, key, writing=True)
    if index is not None:
        if value._data.ndim and value._data.shape[0] == 1:
            value = _stripped(value)
        apply_inplace(OPS["index_put_at"], [tensor, index, value, False])
    elif not value._data.ndim:
        check_written(tensor.materialize())
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
    return view(value, shape[lead:])


# ---- along one dimension, by a vector of indices ---------------------------------------------------------------------


def _vector(index: Array, name: str) -> Array:
    """An index as a vector of integers; torch's errors for other types and shapes."""
    if index.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    return np.atleast_1d(index)


def _outside(index: Array, low: int, size: int) -> int | None:
    """The first index below `low` or not below `size`."""
    wrong = (index < low) | (index >= size)
    return int(np.asarray(index)[wrong].flat[0]) if np.any(wrong) else None


@linear(self=lambda xp, grad, dim, index, self_shape: xp.index_select_backward(grad, self_shape, dim, index))
def index_select(self: Array, dim: int, index: Array) -> Array:
    dim, places = wrap_dim(dim, self.ndim), _vector(index, "index_select")
    if not self.ndim:
        if places.size != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {places.size} value(s)")
        return np.array(self)
    wrong = _outside(places, 0, self.shape[dim])
    if wrong is not None:
        if dim == 1:  # of which torch has a kernel of its own
            raise RuntimeError(f"INDICES element is out of DATA bounds, id={wrong} axis_dim={self.shape[dim]}")
        raise IndexError("index out of range in self")
    return np.take(self, places, dim)


@internal(self=lambda xp, grad, dim, index: xp.index_select(grad, dim, index))
def index_select_backward(self: Array, input_sizes: Any, dim: int, index: Array) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    if not input_sizes:
        return result + self
    np.add.at(result, at(wrap_dim(dim, result.ndim), np.atleast_1d(index)), self)
    return result


@linear(inplace=True,
        self=lambda grad: grad,
        source=lambda xp, grad, dim, index, source, alpha: xp.index_select(grad, dim, index) * alpha)  # fmt: skip
def index_add(self: Array, dim: int, index: Array, source: Array, *, alpha: Any = 1) -> Array:
    dim, places = wrap_dim(dim, self.ndim), _vector(index, "index_add")
    if source.dtype != self.dtype:
        raise RuntimeError(
            f"index_add_(): self ({kind(self)}) and source ({kind(source)}) must have the same scalar type"
        )
    count = source.shape[dim] if source.ndim else 1
    if places.size != count:
        raise RuntimeError(
            f"index_add_(): Number of indices ({places.size}) should be equal to source.size(dim): ({count}), for dim:"
            f" {dim}"
        )
    mine, its = (tuple(n for d, n in enumerate(each.shape) if d != dim) for each in (self, source))
    if mine != its:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape ="
            f" {list(self.shape)} source.shape = {list(source.shape)}"
        )
    if _outside(places, 0, self.shape[dim] if self.ndim else 1) is not None:
        raise IndexError("index out of range in self")
    result = np.array(self, order="C")
    np.add.at(result if self.ndim else result.reshape(1), at(dim, places), source * fitted(alpha, self.dtype))
    return result


@linear(inplace=True,
        self=lambda xp, grad, dim, index: xp.index_fill(grad, dim, index, 0),
        source=lambda xp, grad, dim, index, source: xp.index_select(grad, dim, index))  # fmt: skip
def index_copy(self: Array, dim: int, index: Array, source: Array) -> Array:
    dim, places = wrap_dim(dim, self.ndim), _vector(index, "index_copy")
    if source.dtype != self.dtype:
        raise RuntimeError(
            f"index_copy_(): self and source expected to have the same dtype, but got (self) {kind(self)} and (source)"
            f" {kind(source)}"
        )
    count, size = (each.shape[dim] if each.ndim else 1 for each in (source, self))
    if places.size != count:
        raise IndexError(
            f"index_copy_(): Number of indices ({places.size}) should be equal to source.size(dim) ({count})"
        )
    wrong = _outside(places, 0, size)
    if wrong is not None:
        raise IndexError(f"index_copy_(): index {wrong} is out of bounds for dimension {dim} with size {size}")
    result = np.array(self, order="C")
    (result if self.ndim else result.reshape(1))[at(dim, places)] = source
    return result


@linear(inplace=True,
        node=lambda value: f"IndexFillBackward{1 if isinstance(value, Tensor) else 0}",
        self=lambda xp, grad, dim, index: xp.index_fill(grad, dim, index, 0),
        value=lambda xp, grad, dim, index: xp.sum(xp.index_select(grad, dim, _once(index)), None, False))  # fmt: skip
def index_fill(self: Array, dim: int, index: Array, value: ArrayOrNumber) -> Array:
    dim = wrap_dim(dim, self.ndim)
    if index.dtype != np.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if np.ndim(value):
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with"
            f" {np.ndim(value)} dimension(s)."
        )
    size = self.shape[dim] if self.ndim else 1
    places = np.atleast_1d(index)
    wrong = _outside(places, -size, size)
    if wrong is not None:
        raise IndexError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")
    if isinstance(value, complex) and self.dtype.kind != "c":
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    result = copied(self)
    (result if self.ndim else result.reshape(1))[at(dim, places)] = fitted(value, self.dtype)
    return result


def _once(index: Any) -> Any:
    """The indices, each of them once."""
    found = np.unique(index._data if isinstance(index, Tensor) else index)
    return make(found, None) if isinstance(index, Tensor) else found


# ---- gather and scatter ----------------------------------------------------------------------------------------------


def _grid(index: Array, dim: int, shape: Size, name: str) -> tuple[Array, ...]:
    """The places that `index` names along a dimension of something of a shape, as arrays that broadcast."""
    if index.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    size = shape[dim] if shape else 1
    wrong = _outside(index, 0, size)
    if wrong is not None:
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)]) if index.ndim else []
    if grid:
        grid[dim] = index
    return tuple(grid)


def _fits(index: Size, other: Size, dim: int | None) -> bool:
    return all(i <= n or d == dim for d, (i, n) in enumerate(zip(index, other, strict=True)))


@linear(self=lambda xp, grad, self, dim, index: xp.gather_backward(grad, self.shape, dim, index))
def gather(self: Array, dim: int, index: Array, *, sparse_grad: bool = False) -> Array:
    self, index = np.asarray(self), np.asarray(index)
    dim = wrap_dim(dim, self.ndim)
    if not index.size:
        return np.empty(index.shape, self.dtype)
    if index.ndim != self.ndim and index.ndim + self.ndim > 1:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    if self.ndim and index.ndim and not _fits(index.shape, self.shape, dim):
        pairs = enumerate(zip(index.shape, self.shape, strict=True))
        wrong = next(d for d, (i, n) in pairs if i > n and d != dim)
        raise RuntimeError(
            f"Size does not match at dimension {wrong} expected index {list(index.shape)} to be no larger than self"
            f" {list(self.shape)} apart from dimension {dim}"
        )
    grid = _grid(index, dim, self.shape, "gather")
    if not self.ndim:
        return np.full(index.shape, self)
    return np.asarray(self[grid or int(index)], order="C").reshape(index.shape)


@internal(self=lambda xp, grad, dim, index: xp.gather(grad, dim, index))
def gather_backward(self: Array, input_sizes: Any, dim: int, index: Array) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    if not self.size:
        return result
    places = _grid(np.asarray(index), wrap_dim(dim, result.ndim), result.shape, "gather")
    np.add.at(result.reshape(result.shape or 1), places or 0, self)
    return result


def _scatter_places(self: Array, dim: int, index: Array, src: Array | None, name: str) -> Any:
    """Where `scatter` and its kin write, and the part of `src` that is written."""
    index = np.asarray(index)
    if not index.size:
        return (np.empty(0, np.int64),), self.dtype.type(0)
    if index.ndim != self.ndim and index.ndim + self.ndim > 1:
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if src is not None:
        src = np.asarray(src)
        if src.dtype != self.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        if src.ndim != index.ndim and src.ndim + index.ndim > 1:
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if self.ndim and index.ndim:
        in_src = src is None or not src.ndim or _fits(index.shape, src.shape, None)
        if not (in_src and _fits(index.shape, self.shape, dim)):
            also = "" if src is None else f" and to be no larger size than src {list(src.shape)}"
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(self.shape)} apart from dimension"
                f" {dim}{also}"
            )
    places = _grid(index, dim, self.shape, name) or (index.reshape(()),)
    if src is None or not src.ndim:
        return places, src
    return places, src[tuple(slice(n) for n in index.shape)] if index.ndim else src.reshape(-1)[0]


_REDUCERS: Final = {
    "sum": np.add, "add": np.add, "prod": np.multiply, "multiply": np.multiply, "mean": np.add, "amax": np.maximum,
    "amin": np.minimum,
}  # fmt: skip


def _written(self: Array) -> tuple[Array, Array]:
    """A copy of the tensor, and a view of the copy that can be indexed."""
    result = np.array(self, order="C")
    return result, result.reshape(result.shape or 1)


@linear(function=False, method=False, inplace=True,
        node=lambda src: f"ScatterBackward{0 if isinstance(src, Tensor) else 1}",
        self=lambda xp, grad, dim, index: xp.scatter_at(grad, dim, index, 0),
        src=lambda xp, grad, dim, index: xp.gather(grad, dim, index))  # fmt: skip
def scatter_at(self: Array, dim: int, index: Array, src: ArrayOrNumber) -> Array:
    dim = wrap_dim(dim, self.ndim)
    given = src if isinstance(src, (np.ndarray, np.generic)) else None
    places, part = _scatter_places(self, dim, index, given, "scatter")
    result, target = _written(self)
    target[places] = fitted(src, self.dtype) if part is None else part
    return result


@linear(inplace=True, self=lambda grad: grad, src=lambda xp, grad, dim, index: xp.gather(grad, dim, index))
def scatter_add(self: Array, dim: int, index: Array, src: Array) -> Array:
    places, part = _scatter_places(self, wrap_dim(dim, self.ndim), index, src, "scatter")
    result, target = _written(self)
    np.add.at(target, places, part)
    return result


def _scatter(name: str, put: Any) -> Any:
    def function(
        self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: Any = None
    ) -> Tensor:
        src = value if src is None else src
        if reduce is None:
            return put(OPS["scatter_at"], [self, dim, index, src])
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if isinstance(src, Tensor):
            warn(
                "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future"
                " PyTorch"
                " release. Use torch.scatter_reduce instead for more reduction options."
            )
        else:
            src = make(np.full(index._data.shape, fitted(src, self._data.dtype)), None)
        kind = "sum" if reduce == "add" else "prod"
        return put(OPS["scatter_reduce"], [self, dim, index, src, kind, True])

    function.__doc__ = "The elements of `src`, or one value, written where `index` says along a dimension."
    return composite(name=name)(function)


scatter = _scatter("scatter", apply)
scatter_ = _scatter("scatter_", apply_inplace)


def _written_counts(xp: Any, grad: Any, src: Any, dim: int, index: Any, include_self: bool) -> Any:
    """How many values each element is the mean of; 1 for none."""
    start = xp.zeros(grad.shape, grad)
    counts = xp.scatter_add(start + 1 if include_self else start, dim, index, xp.zeros(src.shape, grad) + 1)
    return xp.masked_fill(counts, counts == 0, 1)


def _shares(xp: Any, grad: Any, self: Any, dim: int, index: Any, src: Any, result: Any, dtype: Any) -> Any:
    """For extremes: which elements of `self` and of `src` are the result, and what each of them gets."""
    from_self = xp.cast(self == result, dtype)
    from_src = xp.cast(src == xp.gather(result, dim, index), dtype)
    return from_self, from_src, grad / xp.scatter_add(from_self, dim, index, from_src)


def _reduced_self_vjp(xp: Any, grad: Any, self: Any, self_dtype: Any, dim: int, index: Any, src: Any, reduce: str,
                      include_self: bool, result: Any) -> Any:  # fmt: skip
    if reduce == "mean":
        grad = grad / _written_counts(xp, grad, src, dim, index, include_self)
    elif reduce == "prod":
        masked = xp.masked_fill(self, self == 0, 1)
        grad = grad * xp.scatter_reduce(masked, dim, index, src, reduce, include_self=include_self) / masked
    elif reduce != "sum":
        mine, _, share = _shares(xp, grad, self, dim, index, src, result, self_dtype)
        grad = mine * share
    return grad if include_self else xp.scatter_at(grad, dim, index, 0)


def _reduced_src_vjp(xp: Any, grad: Any, self: Any, self_dtype: Any, dim: int, index: Any, src: Any, reduce: str,
                     include_self: bool, result: Any) -> Any:  # fmt: skip
    if reduce == "sum":
        return xp.gather(grad, dim, index)
    if reduce == "mean":
        counts = _written_counts(xp, grad, src, dim, index, include_self)
        return xp.gather(grad, dim, index) / xp.gather(counts, dim, index)
    if reduce == "prod":  # where one factor alone is zero, its own gradient is the product of the others
        zero = src == 0
        number = xp.gather(
            xp.scatter_add(xp.zeros(self.shape, grad), dim, index, xp.cast(zero, self_dtype)), dim, index
        )
        single = zero & (number == 1)
        others = xp.scatter_reduce(self, dim, index, xp.masked_fill(src, single, 1), reduce, include_self=include_self)
        rest = xp.gather(grad * result, dim, index) / xp.masked_fill(src, zero, 1)
        return xp.where(single, xp.gather(grad * others, dim, index), rest)
    _, mine, share = _shares(xp, grad, self, dim, index, src, result, self_dtype)
    return mine * xp.gather(share, dim, index)


@linear(inplace=True, node=real_node("scatter_reduce", "ScatterReduceBackward0"), self=_reduced_self_vjp,
        src=_reduced_src_vjp)  # fmt: skip
def scatter_reduce(self: Array, dim: int, index: Array, src: Array, reduce: str, *, include_self: bool = True) -> Array:
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if reduce in ("mean", "amax", "amin"):
        refuse_kinds(f"scatter_gather_tensor_cpu_reduce_{reduce}", self, "b" if reduce == "mean" else "c")
    places, part = _scatter_places(self, wrap_dim(dim, self.ndim), index, src, "scatter")
    result, target = _written(self)
    if not include_self:
        target[places] = _identity(reduce, self.dtype)
    _REDUCERS[reduce].at(target, places, part)
    if reduce == "mean":
        counts = np.full(target.shape, int(include_self), np.int64)
        if not include_self:
            counts[...] = 1
            counts[places] = 0
        np.add.at(counts, places, 1)
        target[...] = target / counts if self.dtype.kind in "fc" else target // counts
    return result


def _identity(reduce: str, dtype: np.dtype[Any]) -> Any:
    """What changes nothing when it is reduced with something."""
    if reduce in ("sum", "mean", "prod"):
        return int(reduce == "prod")
    if dtype.kind == "f":
        return -np.inf if reduce == "amax" else np.inf
    if dtype.kind == "b":
        return reduce == "amin"
    limits = np.iinfo(dtype)
    return limits.min if reduce == "amax" else limits.max


# ---- by flat indices, by masks ---------------------------------------------------------------------------------------


@linear(self=lambda xp, grad, self, index: xp.take_backward(grad, self, index))
def take(self: Array, index: Array) -> Array:
    index = np.asarray(index)
    if index.dtype != np.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {kind(index)}")
    count = np.size(self)
    wrong = _outside(index, -count, count)
    if wrong is not None:
        raise IndexError(f"out of range: tried to access index {wrong} on a tensor of {count} elements.")
    return np.asarray(np.reshape(self, -1)[index], order="C")


@internal(self=lambda xp, grad, index: xp.take(grad, index))
def take_backward(self: Array, input: Array, index: Array) -> Array:
    result = np.zeros(input.shape, self.dtype)
    np.add.at(result.reshape(-1), index, self)
    return laid_as(result, input)


@composite
def take_along_dim(self: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements that `indices` names along a dimension (of all elements, without `dim`), broadcast otherwise."""
    if indices._data.dtype != np.int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {kind(indices)}")
    if dim is None:
        return gather(view(self, (-1,)), 0, view(indices, (-1,)))
    ndim = self._data.ndim
    if ndim != indices._data.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got"
            f" {ndim} dimensions for input, and {indices._data.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, ndim)
    mine, its = list(self._data.shape), list(indices._data.shape)
    mine[dim] = its[dim] = 1
    shape = broadcast(tuple(mine), tuple(its))
    wide = [expand(each, (*shape[:dim], each._data.shape[dim], *shape[dim + 1 :])) for each in (self, indices)]
    return gather(wide[0], dim, wide[1] % self._data.shape[dim] if self._data.shape[dim] else wide[1])


def _mask(mask: Array, text: str) -> None:
    if mask.dtype.kind != "b":
        raise RuntimeError(text)


@linear(self=lambda xp, grad, self, mask: xp.masked_select_backward(grad, self, mask))
def masked_select(self: Array, mask: Array) -> Array:
    _mask(mask, "masked_select: expected BoolTensor for mask")
    try:
        data, where = np.broadcast_arrays(self, mask)
    except ValueError:
        raise broadcast_error(mask.shape, np.shape(self)) from None
    return data[where]


@internal(self=lambda xp, grad, mask: xp.masked_select(grad, mask))
def masked_select_backward(self: Array, input: Array, mask: Array) -> Array:
    """Zeros of the broadcast shape, with elements where the mask says (the engine sums over what was repeated)."""
    shape = np.broadcast_shapes(input.shape, mask.shape)
    result = np.zeros(shape, self.dtype)
    result[np.broadcast_to(mask, shape)] = self
    return laid_as(result, input)


@linear(inplace=True,
        self=lambda xp, grad, mask: xp.masked_fill(grad, mask, 0),
        source=lambda xp, grad, mask, source_shape: xp.masked_scatter_backward(grad, mask, source_shape))  # fmt: skip
def masked_scatter(self: Array, mask: Array, source: Array) -> Array:
    if source.dtype != self.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got{kind(self)} and {kind(source)}"
        )
    _mask(mask, f"masked_scatter_ only supports boolean masks, but got mask with dtype {kind(mask)}")
    try:
        data, where = np.broadcast_arrays(self, mask)
    except ValueError:
        raise broadcast_error(mask.shape, np.shape(self)) from None
    count = int(np.count_nonzero(where))
    if count > source.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    result = np.array(data, order="C")
    result[where] = np.reshape(source, -1)[:count]
    return result


@internal(self=lambda xp, grad, mask: xp.masked_scatter(xp.zeros(mask.shape, grad), mask, grad))
def masked_scatter_backward(self: Array, mask: Array, sizes: Any) -> Array:
    found = self[np.broadcast_to(mask, self.shape)]
    result = np.zeros(int(np.prod(sizes)), self.dtype)
    result[: found.size] = found
    return result.reshape(sizes)


@composite
def nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not zero: rows of indices, or with `as_tuple` one vector per dimension."""
    data = np.asarray(self._data)
    if as_tuple:
        return tuple(make(np.array(each), None) for each in np.nonzero(np.atleast_1d(data)))
    return make(np.argwhere(data), None)


@composite
def argwhere(self: Tensor) -> Tensor:
    """The places of the elements that are not zero, as rows of indices."""
    return nonzero(self)


# ---- writing to what a view would be, out of place -------------------------------------------------------------------


def _embed(self: Array, src: Array, part: Any) -> Array:
    """A copy of the tensor in which the part that `part` takes is `src`."""
    result = copied_with_gaps(self)
    target = part(result)
    if np.shape(src) != target.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size ="
            f" {list(np.shape(src))}, slice size = {list(target.shape)}"
        )
    target[...] = src
    return result


@linear(self=lambda xp, grad, src_shape, dim, index: xp.select_scatter(grad, xp.zeros(src_shape, grad), dim, index),
        src=lambda xp, grad, dim, index: xp.select(grad, dim, index))  # fmt: skip
def select_scatter(self: Array, src: Array, dim: int, index: int) -> Array:
    return _embed(self, src, lambda result: RAW.select(result, dim, index))


@linear(self=lambda xp, grad, src_shape, dim, start, end, step:
            xp.slice_scatter(grad, xp.zeros(src_shape, grad), dim, start, end, step),
        src=lambda xp, grad, dim, start, end, step: xp.slice(grad, dim, start, end, step))  # fmt: skip
def slice_scatter(
    self: Array, src: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    return _embed(self, src, lambda result: RAW.slice(result, dim, start, end, step))


@linear(self=lambda xp, grad, src_shape, offset, dim1, dim2:
            xp.diagonal_scatter(grad, xp.zeros(src_shape, grad), offset, dim1, dim2),
        src=lambda xp, grad, offset, dim1, dim2: xp.diagonal(grad, offset, dim1, dim2))  # fmt: skip
def diagonal_scatter(self: Array, src: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    return _embed(self, src, lambda result: RAW.diagonal(result, offset, dim1, dim2))
