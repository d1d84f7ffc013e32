"""Operations that arrange elements without changing them: views, joining and splitting, copies and casts."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as _as_strided

from minigrad import _dtype
from minigrad._declare import composite, op, unary
from minigrad._dims import wrap_dim, wrap_dims
from minigrad._op import RAW, Array, ArrayOrNumber, Arrays, Dims, Size
from minigrad._tensor import Tensor

linear = functools.partial(op, holomorphic=False)  # the derivative of moving elements is real: nothing to conjugate
internal = functools.partial(linear, function=False, method=False)

# ---- what the engine itself computes with ----------------------------------------------------------------------------


@op(function=False, method=False, self=lambda xp, grad, self_shape: xp.expand(grad, self_shape))
def sum_to_size(self: Array, size: Size) -> Array:
    """The sum over what broadcasting `size` to the tensor's shape repeated."""
    lead = self.ndim - len(size)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(size) if n == 1 and self.shape[i + lead] != 1)
    return np.add.reduce(self, axis=axes, keepdims=True).reshape(size)


@internal(node="ToCopyBackward0", self=lambda xp, grad, self_dtype: xp.cast(grad, self_dtype))
def cast(self: Array, dtype: Any) -> Array:
    """A copy with elements of another type; of complex ones the real part, if that is real."""
    return (self.real if self.dtype.kind == "c" and dtype.kind not in "cb" else self).astype(dtype)


unary(
    "conj", lambda self: np.conj(self) if self.dtype.kind == "c" else self, lambda xp, grad: xp.conj(grad),
    promote="keep", inplace=False, holomorphic=False,
)  # fmt: skip


@op(function=False, method=False, self=lambda xp, grad, indices, self_shape: xp.put_part(grad, indices, self_shape))
def take_part(self: Array, indices: Any) -> Array:
    """The elements at flat indices."""
    return np.reshape(self, -1)[indices]


@op(function=False, method=False, self=lambda xp, grad, indices: xp.take_part(grad, indices))
def put_part(self: Array, indices: Any, shape: Any) -> Array:
    """Zeros of a shape, with elements added at flat indices."""
    result = np.zeros(shape, self.dtype)
    np.add.at(result.reshape(-1), indices, self)
    return result


@op(
    function=False,
    method=False,
    self=lambda xp, grad, indices, part_shape: xp.set_part(grad, indices, xp.zeros(part_shape, grad)),
    part=lambda xp, grad, indices: xp.take_part(grad, indices),
)
def set_part(self: Array, indices: Any, part: Array) -> Array:
    """The tensor with the elements at flat indices replaced."""
    result = np.array(self)
    result.reshape(-1)[indices] = part
    return result


@op(name="zeros", function=False, method=False)
def zeros_as(shape: Any, like: Array) -> Array:
    """Zeros of a shape, of another tensor's type: what formulas make them with."""
    return np.zeros(shape, like.dtype)


# ---- shapes ----------------------------------------------------------------------------------------------------------


def integers(given: Sequence[Any], name: str, argument: str = "size", position: int = 1) -> tuple[int, ...]:
    """Sizes or dimensions given as one sequence or as separate arguments; TypeError with torch's text."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    for number, each in enumerate(given):
        if isinstance(each, bool) or not isinstance(each, (int, np.integer, Tensor)):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, but found element of type"
                f" {type(each).__name__} at pos {number}"
            )
    return tuple(map(int, given))


def infer_size(size: Sequence[int], count: int) -> tuple[int, ...]:
    """A shape for `count` elements, with its one -1 filled in; RuntimeError with torch's texts."""
    known, free = 1, None
    for i, n in enumerate(size):
        if n == -1:
            if free is not None:
                raise RuntimeError("only one dimension can be inferred")
            free = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(size)}")
        else:
            known *= n
    if known == count and free is None:
        return tuple(size)
    if free is None or (count % known if known else count):
        raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {count}")
    if not known:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1 can be"
            " any value and is ambiguous"
        )
    return (*size[:free], count // known, *size[free + 1 :])


def _viewed(data: Array, size: Size) -> Array | None:
    """The array in another shape, if that is possible without moving elements."""
    try:
        return data.reshape(size, copy=False)
    except ValueError:
        return None


@linear(view=True, self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))
def view(self: Array, size: Size) -> Array:
    if isinstance(size, (_dtype.dtype, type)):
        raise NotImplementedError("view(dtype) is not supported: use .to(dtype) to convert the elements")
    found = _viewed(self, infer_size(integers((size,), "view"), self.size))
    if found is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two"
            " contiguous subspaces). Use .reshape(...) instead."
        )
    return found


@internal(view=True, node="ReshapeAliasBackward0",
    self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))  # fmt: skip
def _reshape_alias(self: Array, size: Size) -> Array:
    return np.reshape(self, size)


@internal(node="UnsafeViewBackward0",
    self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))  # fmt: skip
def _unsafe_view(self: Array, size: Size) -> Array:
    return np.reshape(self, size)


@composite(raw=lambda self, shape: np.reshape(self, shape))
def reshape(self: Tensor, *shape: Any) -> Tensor:
    """The tensor in another shape: a view where that is possible, else a copy."""
    data = self.materialize()
    size = infer_size(integers(shape, "reshape", "shape", 2), data.size)
    if data.flags.c_contiguous:
        return view(self, size)
    if _viewed(data, size) is not None:
        return _reshape_alias(self, size)
    return _unsafe_view(clone(self, memory_format="contiguous"), size)


@composite
def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions from `start_dim` to `end_dim`, both included, as one."""
    shape = self._data.shape
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape(self, (1,))
    if start == end:
        return self
    return reshape(self, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def _geometry(data: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """The array's memory from its first element on, in another shape and with other strides, in bytes."""
    if data.flags.c_contiguous and data.size:
        return np.ndarray(tuple(shape), data.dtype, data, 0, tuple(strides))
    return _as_strided(data, tuple(shape), tuple(strides))


@linear(view=True, self=lambda xp, grad, self_shape: xp.sum_to_size(grad, self_shape))
def expand(self: Array, size: Size, *, implicit: bool = False) -> Array:
    data = np.asarray(self)
    size = integers((size,), "expand")
    lead = len(size) - data.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand({_typed(data)}{{{list(data.shape)}}}, size={list(size)}): the number of sizes provided ({len(size)})"
            f" must be greater or equal to the number of dimensions in the tensor ({data.ndim})"
        )
    shape, strides = list(size), [0] * len(size)
    for i, (wanted, old, stride) in enumerate(zip(size[lead:], data.shape, data.strides, strict=True), lead):
        if wanted == -1:
            shape[i] = old
        elif wanted != old and old != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({old}) at non-singleton"
                f" dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(data.shape)}"
            )
        strides[i] = stride if shape[i] == old else 0
    for i in range(lead):
        if size[i] < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({size[i]}) isn't allowed in a leading, non-existing dimension {i}"
            )
    return _geometry(data, shape, strides)


def _typed(data: Array) -> str:
    return f"torch.{_dtype.from_numpy(data.dtype).legacy_name}Tensor"


@composite
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor expanded to another's shape."""
    return expand(self, other.shape)


@linear(view=True, self=lambda xp, grad, dim0, dim1: xp.transpose(grad, dim0, dim1),
    aliases=["swapaxes", "swapdims"])  # fmt: skip
def transpose(self: Array, dim0: int, dim1: int) -> Array:
    if not self.ndim:
        wrap_dim(dim0, 0), wrap_dim(dim1, 0)
        return self
    return np.swapaxes(self, wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim))


@linear(view=True, self=lambda xp, grad: xp.t(grad))
def t(self: Array) -> Array:
    if self.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return self.T


@linear(view=True, self=lambda xp, grad, dims: xp.permute(grad, inverse(dims)))
def permute(self: Array, dims: Size) -> Array:
    dims = integers((dims,), "permute", "dims", 2)
    if len(dims) != self.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired"
            f" ordering of dimensions i.e. input.dim() = {self.ndim} is not equal to len(dims) = {len(dims)}"
        )
    found = tuple(wrap_dim(each, self.ndim) for each in dims)
    if len(set(found)) != len(found):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return np.transpose(self, found)


def inverse(dims: Sequence[Any]) -> tuple[int, ...]:
    """The permutation that undoes another."""
    found = [0] * len(dims)
    for i, each in enumerate(dims):
        found[int(each)] = i
    return tuple(found)


@linear(
    view=True,
    node=lambda dim: f"SqueezeBackward{0 if dim is None else 1 if isinstance(dim, int) else 2}",
    self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape),
)
def squeeze(self: Array, dim: Dims = None) -> Array:
    dims = range(self.ndim) if dim is None else () if dim == () else wrap_dims(dim, self.ndim)
    return np.squeeze(self, tuple(d for d in dims if self.ndim and self.shape[d] == 1))


@linear(view=True, self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))
def unsqueeze(self: Array, dim: int) -> Array:
    dim = wrap_dim(dim, self.ndim + 1)
    return np.reshape(self, (*self.shape[:dim], 1, *self.shape[dim:]))


# ---- parts -----------------------------------------------------------------------------------------------------------


def at(dim: int, what: Any) -> tuple[Any, ...]:
    """The index that takes `what` along one dimension, and always gives an array."""
    return (*(slice(None),) * dim, what, ...)


@linear(view=True, self=lambda xp, grad, self_shape, dim, index: xp.select_backward(grad, self_shape, dim, index))
def select(self: Array, dim: int, index: int) -> Array:
    if not self.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = wrap_dim(dim, self.ndim), int(index)
    if not -self.shape[dim] <= index < self.shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {dim}"
        )
    return self[at(dim, index)]



@internal(self=lambda xp, grad, dim, index: xp.select(grad, dim, index))
def select_backward(self: Array, input_sizes: Any, dim: int, index: int) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    result[at(wrap_dim(dim, len(input_sizes)), index)] = self
    return result


@internal(
    name="slice",
    view=True,
    self=lambda xp, grad, self_shape, dim, start, end, step: xp.slice_backward(grad, self_shape, dim, start, end, step),
)
def slice_(self: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return self[at(wrap_dim(dim, self.ndim), slice(start, end, step))]


@internal(self=lambda xp, grad, dim, start, end, step: xp.slice(grad, dim, start, end, step))
def slice_backward(self: Array, input_sizes: Any, dim: int, start: Any, end: Any, step: int) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    result[at(wrap_dim(dim, len(input_sizes)), slice(start, end, step))] = self
    return result


@composite
def narrow(self: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements from `start` on along a dimension."""
    if not self._data.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    size, start = self._data.shape[wrap_dim(dim, self._data.ndim)], int(start)
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice_(self, dim, start, start + length)


@linear(view=True, returns=tuple, self=lambda xp, grads, dim: xp.stack(grads, dim))
def unbind(self: Array, dim: int = 0) -> tuple[Array, ...]:
    if not self.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, self.ndim)
    return tuple(self[at(dim, i)] for i in range(self.shape[dim]))


def _parts(data: Array, sizes: Sequence[int], dim: int) -> tuple[Array, ...]:
    ends = list(itertools.accumulate(sizes))
    return tuple(data[at(dim, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True))


@internal(view=True, returns=tuple, node="SplitBackward0", self=lambda xp, grads, dim: xp.cat(grads, dim))
def split_by(self: Array, split_size: int, dim: int) -> tuple[Array, ...]:
    dim = wrap_dim(dim, self.ndim)
    size = self.shape[dim]
    count = max(1, -(-size // split_size)) if split_size else 1
    return _parts(self, [split_size] * (count - 1) + [size - split_size * (count - 1)], dim)


@linear(view=True, returns=tuple, self=lambda xp, grads, dim: xp.cat(grads, dim))
def split_with_sizes(self: Array, split_sizes: Any, dim: int = 0) -> tuple[Array, ...]:
    if not self.ndim:
        raise RuntimeError("split_with_sizes expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, self.ndim)
    if min(split_sizes, default=0) < 0:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(split_sizes)}"
        )
    if sum(split_sizes) != self.shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {self.shape[dim]} (input tensor's size at dimension"
            f" {dim}), but got split_sizes={list(split_sizes)}"
        )
    return _parts(self, split_sizes, dim)


@composite
def split(self: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts, of one size or of the sizes listed."""
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(self, tuple(split_size_or_sections), dim)  # type: ignore[no-any-return]
    if not self._data.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size_or_sections < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={split_size_or_sections}")
    if not split_size_or_sections and (size := self._data.shape[wrap_dim(dim, self._data.ndim)]):
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}")
    return split_by(self, split_size_or_sections, dim)  # type: ignore[no-any-return]


@composite
def chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` consecutive parts of one size."""
    if not self._data.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = self._data.shape[wrap_dim(dim, self._data.ndim)]
    if not size:
        return split_with_sizes(self, (0,) * chunks, dim)  # type: ignore[no-any-return]
    return split_by(self, -(-size // chunks), dim)  # type: ignore[no-any-return]


# ---- joining ---------------------------------------------------------------------------------------------------------


def _common(arrays: Sequence[Array]) -> np.dtype[Any]:
    return _dtype.result_type((each.dtype, each.ndim) for each in arrays)


def _cut(xp: Any, grad: Any, shapes: Sequence[Size], dim: int) -> list[Any]:
    """A joined gradient in the parts that were joined; (0,) stands beside any shape."""
    dim, end, parts = wrap_dim(dim, grad.ndim), 0, []
    for shape in shapes:
        size = 0 if shape == (0,) and grad.ndim != 1 else shape[dim]
        part = xp.slice(grad, dim, end, end + size, 1)
        parts.append(part if len(shape) == grad.ndim else xp.zeros(shape, grad))
        end += size
    return parts


@linear(method=False, aliases=["concat", "concatenate"],
        tensors=lambda xp, grad, tensors_shape, dim: _cut(xp, grad, tensors_shape, dim))  # fmt: skip
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
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {each.ndim}"
            )
        for d, (wanted, got) in enumerate(zip(first.shape, each.shape, strict=True)):
            if d != dim and wanted != got:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {wanted} but got size {got} for"
                    f" tensor number {number} in the list."
                )
    return np.concatenate(joined, dim, dtype=dtype, casting="unsafe")


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
    return np.stack(tensors, wrap_dim(dim, first.ndim + 1), dtype=_common(tensors), casting="unsafe")


# ---- copies ----------------------------------------------------------------------------------------------------------


@linear(self=lambda grad: grad)
def clone(self: Array, *, memory_format: Any = None) -> Array:
    return np.array(self, order="K" if memory_format is None else "C")


@composite
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in C order, else a copy in which they do."""
    return self if self.is_contiguous() else clone(self, memory_format="contiguous")  # type: ignore[no-any-return]


@linear(self=lambda xp, grad, dims: xp.flip(grad, dims))
def flip(self: Array, dims: Size) -> Array:
    dims = integers((dims,), "flip", "dims", 2)
    return np.array(np.flip(self, wrap_dims(dims, self.ndim) if dims and self.ndim else ()))


@internal(inplace=True, node="torch::autograd::CopyBackwards",
          self=lambda xp, grad: xp.zeros(grad.shape, grad), src=lambda grad: grad)  # fmt: skip
def copy(self: Array, src: ArrayOrNumber, non_blocking: bool = False) -> Array:
    try:
        return np.broadcast_to(cast_array(np.asarray(src), self.dtype), self.shape)
    except ValueError:
        raise broadcast_error(self.shape, np.shape(src)) from None


def broadcast_error(wanted: Size, given: Size) -> RuntimeError:
    """Torch's error for a shape that does not broadcast to another."""
    lead = len(wanted) - len(given)
    if lead >= 0:
        for i in range(len(wanted) - 1, lead - 1, -1):
            if given[i - lead] not in (1, wanted[i]) and wanted[i] != 1:
                return RuntimeError(
                    f"The size of tensor a ({wanted[i]}) must match the size of tensor b ({given[i - lead]}) at"
                    f" non-singleton dimension {i}"
                )
    return RuntimeError(f"output with shape {list(wanted)} doesn't match the broadcast shape {list(given)}")


def cast_array(data: Array, dtype: np.dtype[Any]) -> Array:
    """The elements as another type: `cast`, without the copy where nothing changes."""
    return data if data.dtype == dtype else RAW.cast(data, dtype)  # type: ignore[no-any-return]


@internal(
    inplace=True,
    node=lambda value: f"FillBackward{3 if isinstance(value, Tensor) else 2}",
    self=lambda xp, grad: xp.zeros(grad.shape, grad),
    value=lambda xp, grad: xp.sum(grad, None, False),
)
def fill(self: Array, value: ArrayOrNumber) -> Array:
    if np.ndim(value):
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with"
            f" {np.ndim(value)} dimensions."
        )
    return np.full(self.shape, cast_array(np.asarray(value), self.dtype))


@internal(inplace=True, self=lambda xp, grad: xp.zeros(grad.shape, grad))
def zero(self: Array) -> Array:
    return np.zeros(self.shape, self.dtype)


# ---- transposes as attributes ----------------------------------------------------------------------------------------


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=3)


def _get_t(self: Tensor) -> Tensor:
    """The tensor with its dimensions reversed."""
    ndim = self._data.ndim
    if not ndim:
        _warn("Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases.")
    elif ndim > 2:
        _warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an"
            " error in a future release. Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim"
            " - 1, -1, -1))` to reverse the dimensions of a tensor."
        )
    return permute(self, tuple(range(ndim))[::-1])  # type: ignore[no-any-return]


def _get_mt(self: Tensor) -> Tensor:
    """The tensor with its last two dimensions exchanged."""
    ndim = self._data.ndim
    if not ndim:
        _warn("Tensor.mT is deprecated on 0-D tensors. This function is the identity in these cases.")
        return self
    if ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {ndim}-D tensor.")
    return transpose(self, -2, -1)  # type: ignore[no-any-return]


def _get_h(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix."""
    ndim = self._data.ndim
    if not ndim:
        _warn("Tensor.H is deprecated on 0-D tensors. Consider using x.conj().")
    elif ndim != 2:
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {ndim}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if ndim > 2 else "")
        )
    else:
        self = transpose(self, 0, 1)
    return self.conj() if self.is_complex() else self  # type: ignore[no-any-return]


def _get_mh(self: Tensor) -> Tensor:
    """The conjugate of the tensor with its last two dimensions exchanged."""
    ndim = self._data.ndim
    if not ndim:
        _warn("Tensor.mH is deprecated on 0-D tensors. Consider using x.conj().")
    elif ndim < 2:
        raise RuntimeError(f"tensor.mH is only supported on matrices or batches of matrices. Got {ndim}-D tensor.")
    else:
        self = transpose(self, -2, -1)
    return self.conj() if self.is_complex() else self  # type: ignore[no-any-return]


for _name, _getter in {"T": _get_t, "mT": _get_mt, "H": _get_h, "mH": _get_mh}.items():
    setattr(Tensor, _name, property(_getter))
