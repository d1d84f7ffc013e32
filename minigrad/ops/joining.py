"""Operations that join tensors, cut them, and repeat, turn or shift their elements."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import _dtype
from minigrad._arguments import combination_error
from minigrad._declare import composite
from minigrad._device import contiguous_format
from minigrad._dims import wrap_dim, wrap_dims
from minigrad._layout import laid_as, laid_out
from minigrad._op import RAW, Array, Arrays, Size
from minigrad._tensor import Tensor, make
from minigrad._tensor_str import Size as TorchSize
from minigrad._warning import warn_once
from minigrad.ops._checks import kind, not_implemented
from minigrad.ops.shape import (
    at,
    broadcast,
    expand,
    integers,
    internal,
    linear,
    narrow_start,
    reshape,
    slice_,
    unsqueeze,
    view,
)

# ---- cutting ---------------------------------------------------------------------------------------------------------


def _parts(data: Array, sizes: Sequence[int], dim: int) -> tuple[Array, ...]:
    ends = list(itertools.accumulate(sizes))
    return tuple(data[at(dim, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True))


def _split_by(self: Array, split_size: int, dim: int = 0) -> tuple[Array, ...]:
    if not self.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={split_size}")
    length = self.shape[wrap_dim(dim, self.ndim)]
    if not split_size and length:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}")
    count = max(1, -(-length // split_size)) if split_size else 1
    return _parts(self, [split_size] * (count - 1) + [length - split_size * (count - 1)], wrap_dim(dim, self.ndim))


def _split_with_sizes(self: Array, split_sizes: Any, dim: int = 0) -> tuple[Array, ...]:
    if not self.ndim:
        raise RuntimeError("split_with_sizes expects at least a 1-dimensional tensor")
    if not isinstance(split_sizes, (list, tuple)):
        given = type(split_sizes).__name__
        raise TypeError(f"split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not {given}")
    dim, split_sizes = wrap_dim(dim, self.ndim), integers((split_sizes,), "split_with_sizes", "split_sizes", 2)
    if min(split_sizes, default=0) < 0:
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got"
            f" split_sizes={list(split_sizes)}"
        )
    if sum(split_sizes) != self.shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {self.shape[dim]} (input tensor's size at"
            f" dimension {dim}), but got split_sizes={list(split_sizes)}"
        )
    return _parts(self, split_sizes, dim)


cutting = functools.partial(linear, returns=tuple, self=lambda xp, grads, dim: xp.cat(grads, dim))
split_by = cutting("split_by", view=True, function=False, method=False, node="SplitBackward0")(_split_by)
split_with_sizes = cutting("split_with_sizes", view=True)(_split_with_sizes)
# Their results share memory though they are no views: that is what is unsafe.
unsafe_split = cutting("unsafe_split")(_split_by)
unsafe_split_with_sizes = cutting("unsafe_split_with_sizes")(_split_with_sizes)


@composite
def split(
    self: Tensor, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None
) -> tuple[Tensor, ...]:
    """Views of consecutive parts, of one size or of the sizes listed."""
    sizes = split_size_or_sections if split_size is None else split_size
    if isinstance(sizes, int) or isinstance(sizes, Tensor) and sizes.numel() == 1:
        return split_by(self, int(sizes), dim)
    return split_with_sizes(self, sizes, dim)


def _chunk(name: str, by: Any, with_sizes: Any) -> None:
    def function(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        if not self._data.ndim:
            raise RuntimeError("chunk expects at least a 1-dimensional tensor")
        if chunks <= 0:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        size = self._data.shape[wrap_dim(dim, self._data.ndim)]
        return by(self, -(-size // chunks), dim) if size else with_sizes(self, (0,) * chunks, dim)

    function.__doc__ = "At most `chunks` consecutive parts of one size."
    composite(name=name)(function)


_chunk("chunk", split_by, split_with_sizes)
_chunk("unsafe_chunk", unsafe_split, unsafe_split_with_sizes)

# ---- joining ---------------------------------------------------------------------------------------------------------


def _common(arrays: Sequence[Array]) -> np.dtype[Any]:
    return _dtype.result_type((each.dtype, each.ndim) for each in arrays)


def _cut(xp: Any, grad: Any, tensors_shape: Sequence[Size], dim: int) -> list[Any]:
    """A joined gradient in the parts that were joined; (0,) stands beside any shape."""
    dim, end, parts = wrap_dim(dim, grad.ndim), 0, []
    for shape in tensors_shape:
        size = 0 if shape == (0,) and grad.ndim != 1 else shape[dim]
        part = xp.slice(grad, dim, end, end + size, 1)
        parts.append(part if len(shape) == grad.ndim else xp.zeros(shape, grad))
        end += size
    return parts


@linear(method=False, aliases=["concat", "concatenate"], tensors=_cut)
def cat(tensors: Arrays, dim: int = 0) -> Array:
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for number, each in enumerate(tensors):
        if not each.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {number}) cannot be concatenated")
    joined = [each for each in tensors if each.shape != (0,)] or tensors
    first, dtype = joined[0], _common(tensors)
    dim = wrap_dim(dim, first.ndim)
    for number, each in enumerate(tensors):
        if each.shape == (0,):
            continue
        if each.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {each.ndim}")
        for d, (wanted, got) in enumerate(zip(first.shape, each.shape, strict=True)):
            if d != dim and wanted != got:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {wanted} but got size {got}"
                    f" for tensor number {number} in the list."
                )
    return laid_out(np.concatenate(joined, dim, dtype=dtype, casting="unsafe"), *joined)


@linear(method=False, tensors=lambda xp, grad, dim: xp.unbind(grad, dim))
def stack(tensors: Arrays, dim: int = 0) -> Array:
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]
    for number, each in enumerate(tensors):
        if each.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry 0 and"
                f" {list(each.shape)} at entry {number}"
            )
    dim, dtype = wrap_dim(dim, first.ndim + 1), _common(tensors)
    if dim == first.ndim:
        whole = [RAW.unsqueeze(each, dim) for each in tensors]
        return laid_out(np.concatenate(whole, dim, dtype=dtype, casting="unsafe"), *whole)
    found = laid_out(np.concatenate(tensors, dim, dtype=dtype, casting="unsafe"), *tensors)  # which decides its layout
    return found.reshape(*first.shape[:dim], len(tensors), *first.shape[dim:])


@linear(self=lambda xp, grad, self_shape, dim, start, length:
        xp.slice_backward(grad, self_shape, dim, start, start + length, 1))  # fmt: skip
def narrow_copy(self: Array, dim: int, start: int, length: int) -> Array:
    if not self.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    start = narrow_start(self.shape, dim, start, length)
    return np.array(self[at(wrap_dim(dim, self.ndim), slice(start, start + length))], order="C")


# ---- cutting at places -----------------------------------------------------------------------------------------------


def _cuts(name: str, self: Tensor, given: Any, dim: int) -> list[int]:
    """Where to cut a dimension: at the places given, or into as many parts of nearly one size."""
    if isinstance(given, Tensor):
        if given._data.dtype != np.int64:
            wanted = "tensor_indices_or_sections to have dtype of long"
            raise RuntimeError(f"{name} expected {wanted}, but got {kind(given)}")
        if given.dim() > 1:
            raise RuntimeError(
                f"{name} expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but"
                f" got a tensor with {given.dim()} dims"
            )
        given = given.tolist()
    if isinstance(given, (list, tuple)) and (not given or isinstance(given[0], int)):
        return list(integers((given,), name, "indices", 2))
    if not isinstance(given, int):
        raise combination_error(name, self, given)
    if given <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {given}")
    each, more = divmod(self._data.shape[dim], given)
    return list(itertools.accumulate(each + (i < more) for i in range(given - 1)))


def _cut_at(self: Tensor, places: list[int], dim: int) -> tuple[Tensor, ...]:
    ends = [*places, self._data.shape[dim]]
    return tuple(slice_(self, dim, start, end, 1) for start, end in zip([0, *places], ends, strict=True))


@composite
def tensor_split(
    self: Tensor, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None,
    tensor_indices_or_sections: Any = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Views of consecutive parts: as many as asked for, of nearly one size, or cut at the places listed."""
    if not self._data.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    dim, ways = wrap_dim(dim, self._data.ndim), (indices_or_sections, indices, sections, tensor_indices_or_sections)
    return _cut_at(self, _cuts("tensor_split", self, next((each for each in ways if each is not None), None), dim), dim)


def _split_along(name: str, least: int) -> None:
    def function(
        self: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> tuple[Tensor, ...]:
        ndim = self._data.ndim
        if ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {ndim}"
                " dimensions!"
            )
        dim = {"hsplit": int(ndim > 1), "vsplit": 0, "dsplit": 2}[name]
        given = next((each for each in (indices_or_sections, indices, sections) if each is not None), None)
        if isinstance(given, int) and (not given or self._data.shape[dim] % given):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension"
                f" {self._data.shape[dim]} is not divisible by the split_size {given}!"
            )
        return _cut_at(self, _cuts(name, self, given, dim), dim)

    function.__doc__ = f"As `tensor_split` along the dimension that torch's {name} means, into equal parts."
    composite(name=name)(function)


for _name, _least in {"hsplit": 1, "vsplit": 2, "dsplit": 3}.items():
    _split_along(_name, _least)

# ---- joining in other ways -------------------------------------------------------------------------------------------


def _at_least(ndim: int) -> Any:
    def function(*tensors: Any) -> Any:
        if len(tensors) == 1:
            if isinstance(tensors[0], (list, tuple)):
                return tuple(one(each) for each in tensors[0])
            return one(tensors[0])
        return tuple(one(each) for each in tensors)

    def one(tensor: Tensor) -> Tensor:
        have = tensor._data.ndim
        if have >= ndim:
            return tensor
        if not have:
            return reshape(tensor, (1,) * ndim)
        if have == 1:
            tensor = unsqueeze(tensor, 0)
        return unsqueeze(tensor, -1) if ndim == 3 else tensor

    function.__doc__ = f"Tensors with ones added to their shapes until they have {ndim} dimensions."
    return composite(name=f"atleast_{ndim}d", method=False)(function)


atleast_1d, atleast_2d, atleast_3d = _at_least(1), _at_least(2), _at_least(3)


def _listed(tensors: Any, name: str) -> list[Tensor]:
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return list(tensors)


@composite(method=False)
def hstack(tensors: Any) -> Tensor:
    """Tensors joined along the second dimension (vectors along the first)."""
    found = [atleast_1d(each) for each in _listed(tensors, "hstack")]
    return cat(found, int(found[0]._data.ndim > 1))


@composite(method=False, aliases=["row_stack"])
def vstack(tensors: Any) -> Tensor:
    """Tensors joined along the first dimension, vectors as rows."""
    return cat([atleast_2d(each) for each in _listed(tensors, "vstack")], 0)


@composite(method=False)
def dstack(tensors: Any) -> Tensor:
    """Tensors joined along the third dimension."""
    return cat([atleast_3d(each) for each in _listed(tensors, "dstack")], 2)


@composite(method=False)
def column_stack(tensors: Any) -> Tensor:
    """Tensors joined along the second dimension, vectors as columns."""
    found = [each if each._data.ndim > 1 else reshape(each, (-1, 1)) for each in _listed(tensors, "column_stack")]
    return hstack(found)


def _blocks(xp: Any, grad: Any, tensors_shape: Sequence[Size]) -> list[Any]:
    row = column = 0
    parts = []
    for shape in tensors_shape:
        height, width = (1, 1, *shape)[-2:]
        part = xp.slice(xp.slice(grad, 0, row, row + height, 1), 1, column, column + width, 1)
        parts.append(xp.reshape(part, shape))
        row, column = row + height, column + width
    return parts


@internal(name="block_diag", tensors=_blocks)
def _block_diag(tensors: Arrays) -> Array:
    for number, each in enumerate(tensors):
        if each.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {number} has {each.ndim}"
                " dimensions"
            )
    blocks = [np.atleast_2d(each) for each in tensors]
    result = np.zeros(np.sum([each.shape for each in blocks], 0), _common(tensors))
    row = column = 0
    for each in blocks:
        result[row : row + each.shape[0], column : column + each.shape[1]] = each
        row, column = row + each.shape[0], column + each.shape[1]
    return result


@composite(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices (vectors as rows) along its diagonal."""
    return _block_diag(tensors) if tensors else make(np.zeros((1, 0), _dtype.default_float()), None)


@composite(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to one shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast(*[each._data.shape for each in tensors])
    return tuple(each if each._data.shape == shape else expand(each, shape) for each in tensors)


@composite(method=False)
def broadcast_shapes(*shapes: Any) -> TorchSize:
    """The shape that shapes broadcast to; RuntimeError with torch's text if they do not."""
    found: list[int] = []
    for number, given in enumerate(shapes):
        shape = (given,) if isinstance(given, int) else tuple(given)
        found = [1] * (len(shape) - len(found)) + found
        for k in range(-1, -len(shape) - 1, -1):
            if shape[k] not in (1, found[k]):
                if found[k] != 1:
                    raise RuntimeError(
                        f"Attempting to broadcast a dimension of length {shape[k]} at {k}! Mismatching argument at"
                        f" index {number} had {shape}; but expected shape should be broadcastable to {found}"
                    )
                found[k] = shape[k]
    return TorchSize(found)


@composite(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Vectors expanded to a common grid, one dimension each; indexing="xy" exchanges the first two."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warn_once("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.")
    elif indexing not in ("xy", "ij"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for each in tensors:
        if each._data.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {each}")
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = tuple(each._data.size for each in tensors)
    grids = []
    for i in range(len(tensors)):
        line = tuple(n if i == k else 1 for k, n in enumerate(shape))
        grids.append(expand(view(tensors[i], line), shape))
    if swap:
        grids[:2] = grids[1], grids[0]
    return tuple(grids)


@composite(method=False)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of one element of each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(each, (-1,)) for each in meshgrid(*tensors, indexing="ij")], 1)


@composite
def combinations(self: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order, as rows."""
    if self._data.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(self._data.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if not r:
        return make(np.empty(0, self._data.dtype), None)
    places = np.meshgrid(*[np.arange(self._data.size)] * r, indexing="ij")
    kept = np.ones(places[0].shape, bool)
    for before, after in itertools.pairwise(places):
        kept &= before <= after if with_replacement else before < after
    mask = make(kept, None)
    return stack([each.masked_select(mask) for each in meshgrid(*[self] * r, indexing="ij")], 1)


# ---- repeating -------------------------------------------------------------------------------------------------------


def _unrepeat(xp: Any, grad: Any, self_shape: Size, repeats: Any) -> Any:
    """The sum over the copies."""
    repeats = tuple(int(each) for each in repeats)
    if not math.prod(repeats):
        return xp.zeros(self_shape, grad)
    padded = (1,) * (len(repeats) - len(self_shape)) + tuple(self_shape)
    apart = tuple(n for pair in zip(repeats, padded, strict=True) for n in pair)
    if not repeats:
        return grad
    return xp.reshape(xp.sum(xp.reshape(grad, apart), tuple(range(0, len(apart), 2)), False), self_shape)


@linear(function=False, self=_unrepeat)
def repeat(self: Array, repeats: Size) -> Array:
    repeats = integers((repeats,), "repeat", "repeats")
    if len(repeats) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = [n * r for n, r in zip((1,) * (len(repeats) - self.ndim) + self.shape, repeats, strict=True)]
    if min(repeats, default=0) < 0:
        negative = next(n for n in shape if n < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {negative}: {shape}")
    return np.asarray(np.tile(self, repeats), order="C") if repeats else np.array(self)


@composite
def tile(self: Tensor, *dims: Any) -> Tensor:
    """The tensor repeated along its last dimensions, as often as `dims` says."""
    counts = integers(dims, "tile", "dims", 2)
    return repeat(self, (1,) * (self._data.ndim - len(counts)) + counts)


@composite
def repeat_interleave(self: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each element along a dimension (of all elements, without `dim`) repeated a number of times, or its own number."""
    if repeats is None:
        return make(np.repeat(np.arange(self._data.size), _counts(self)), None)
    if dim is None:
        self, dim = reshape(self, (-1,)), 0
    dim = wrap_dim(dim, self._data.ndim)
    if isinstance(repeats, Tensor):
        counts, size = _counts(repeats), self._data.shape[dim]
        if counts.ndim > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if counts.size not in (1, size):
            raise RuntimeError(
                "repeats must have the same size as input along dim, but got repeats.size(0) ="
                f" {counts.size} and input.size({dim}) = {size}"
            )
        places = np.repeat(np.arange(size), counts if counts.size == size else int(counts.reshape(-1)[0]))
        return self.index_select(dim, make(places, None))
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    shape = self._data.shape
    wide = expand(unsqueeze(self, dim + 1), (*shape[: dim + 1], repeats, *shape[dim + 1 :]))
    return wide.clone(memory_format=contiguous_format).flatten(dim, dim + 1)


def _counts(repeats: Tensor) -> Array:
    counts = np.asarray(repeats._data)
    if counts.dtype not in (np.int64, np.int32):
        raise not_implemented("repeat_interleave_cpu", counts)
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return counts


# ---- turning and shifting --------------------------------------------------------------------------------------------


@linear(self=lambda xp, grad, dims: xp.flip(grad, dims))
def flip(self: Array, dims: Size) -> Array:
    dims = integers((dims,), "flip", "dims", 2)
    return laid_as(np.array(np.flip(self, wrap_dims(dims, self.ndim) if dims and self.ndim else ())), self)


def _flip_along(name: str, dim: int) -> None:
    def function(self: Tensor) -> Tensor:
        if self._data.ndim <= dim:
            raise RuntimeError(f"Input must be >= {dim + 1}-d.")
        return flip(self, (dim,))

    function.__doc__ = f"The tensor with dimension {dim} reversed."
    composite(name=name)(function)


_flip_along("flipud", 0)
_flip_along("fliplr", 1)


def _shifts(shifts: Any) -> tuple[int, ...]:
    return (int(shifts),) if not isinstance(shifts, (tuple, list)) else tuple(map(int, shifts))


@linear(self=lambda xp, grad, shifts, dims: xp.roll(grad, tuple(-each for each in _shifts(shifts)), dims))
def roll(self: Array, shifts: Any, dims: Any = ()) -> Array:
    shifts, dims = _shifts(shifts), _shifts(() if dims is None else dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return np.roll(np.asarray(self, order="C"), shifts[0])
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if not self.ndim:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    return np.roll(np.asarray(self, order="C"), shifts, tuple(wrap_dim(each, self.ndim) for each in dims))


@linear(self=lambda xp, grad, k, dims: xp.rot90(grad, -k, dims))
def rot90(self: Array, k: int = 1, dims: Any = (0, 1)) -> Array:
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if self.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {self.ndim}")
    if dims[0] == dims[1]:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    first, second = wrap_dim(dims[0], self.ndim), wrap_dim(dims[1], self.ndim)
    if k % 2:
        return np.swapaxes(RAW.flip(self, (second if k % 4 == 1 else first,)), first, second)
    return RAW.flip(self, (first, second)) if k % 4 else np.array(self, order="C")


def _triangle(name: str, function: Any) -> None:
    @linear(name=name, inplace=True, self=lambda xp, grad, diagonal: getattr(xp, name)(grad, diagonal))
    def triangle(self: Array, diagonal: int = 0) -> Array:
        if self.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return function(np.ascontiguousarray(self), diagonal)  # as the result is


_triangle("tril", np.tril)
_triangle("triu", np.triu)


def _triangle_indices(name: str, function: Any) -> None:
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
        kind = np.dtype(np.int64) if dtype is None else _dtype.as_numpy(dtype, name)
        return make(np.array(function(row, offset, col)).astype(kind), None)

    indices.__doc__ = f"The rows and columns of the elements of the {name[:4]}: (2, count)."
    composite(name=name, method=False)(indices)


_triangle_indices("tril_indices", np.tril_indices)
_triangle_indices("triu_indices", np.triu_indices)
