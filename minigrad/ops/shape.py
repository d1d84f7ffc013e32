"""Operations that arrange elements without changing them: views, joining and splitting, copies and casts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as _as_strided

from minigrad import _dtype
from minigrad._apply import apply
from minigrad._arguments import bind, combination_error
from minigrad._declare import composite, method, op, unary
from minigrad._device import contiguous_format
from minigrad._dims import broadcast_error, repeated_dims, wrap_dim, wrap_dims
from minigrad._layout import laid_as
from minigrad._op import OPS, RAW, RECORDED, Array, Dims, Op, Size
from minigrad._tensor import Tensor, count_write, readonly
from minigrad._views import Part, address, check_inplace, edge_of, extent
from minigrad._warning import warn_once

linear = functools.partial(op, holomorphic=False)  # the derivative of moving elements is real: nothing to conjugate
internal = functools.partial(linear, function=False, method=False)

# ---- what the engine itself computes with ----------------------------------------------------------------------------


@op(function=False, method=False, node="SumBackward1",
    self=lambda xp, grad, self_shape: xp.expand(grad, self_shape))  # fmt: skip
def sum_to_size(self: Array, size: Size) -> Array:
    """The sum over what broadcasting `size` to the tensor's shape repeated."""
    dims = repeated_dims(tuple(size), self.shape)
    assert dims is not None
    found: Array = np.add.reduce(self, axis=dims)
    return found if found.ndim == len(size) else found.reshape(size)


@internal(node="ToCopyBackward0", self=lambda xp, grad, self_dtype: xp.cast(grad, self_dtype))
def cast(self: Array, dtype: Any, memory_format: Any = None) -> Array:
    """A copy with elements of another type; of complex ones the real part, if that is real."""
    found: Array = (self.real if self.dtype.kind == "c" and dtype.kind not in "cb" else self).astype(dtype)
    found = laid_as(found, self) if 0 in self.strides else found
    return found if memory_format is None else RAW.clone(found, memory_format)


unary(
    "conj", lambda self: np.conj(self) if self.dtype.kind == "c" else self, lambda xp, grad: xp.conj(grad),
    promote="keep", inplace=False, holomorphic=False,
)  # fmt: skip


@internal(self=lambda xp, grad, part: xp.put_part(grad, part))
def take_part(self: Array, part: Any) -> Array:
    """The elements of a view, taken from something of its base's shape."""
    return part.take(self)


@internal(self=lambda xp, grad, part: xp.take_part(grad, part))
def put_part(self: Array, part: Any) -> Array:
    """Zeros of a base's shape, with elements added where a view lies."""
    return part.put(self)


@internal(self=lambda xp, grad, part, new_shape: xp.set_part(grad, part, xp.zeros(new_shape, grad)),
          new=lambda xp, grad, part: xp.take_part(grad, part))  # fmt: skip
def set_part(self: Array, part: Any, new: Array) -> Array:
    """Something of a base's shape, with the elements of a view replaced."""
    return part.set(self, new)


@op(name="zeros", function=False, method=False)
def zeros_as(shape: Any, like: Array) -> Array:
    """Zeros of a shape, of another tensor's type: what formulas make them with."""
    return np.zeros(shape, like.dtype)


# ---- shapes ----------------------------------------------------------------------------------------------------------


def broadcast(*shapes: Size) -> Size:
    """The shape that shapes broadcast to; RuntimeError in torch's words if they do not."""
    found: Size = ()
    for shape in shapes:
        try:
            found = np.broadcast_shapes(found, shape)
        except ValueError:
            raise broadcast_error(found, shape) from None
    return found


def integers(given: Sequence[Any], name: str, argument: str = "size", position: int = 1) -> tuple[int, ...]:
    """Sizes or dimensions given as one sequence or as separate arguments; TypeError with torch's text."""
    separate = not (len(given) == 1 and isinstance(given[0], (tuple, list)))
    if not separate:
        given = given[0]
    if set(map(type, given)) == {int}:
        return tuple(given)
    for number, each in enumerate(given):
        if isinstance(each, bool) or not isinstance(each, (int, np.integer, Tensor)):
            kind = type(each).__name__
            if number:
                raise TypeError(
                    f"{name}(): argument '{argument}' failed to unpack the object at pos {number + 1} with error"
                    f' "type must be tuple of ints,but got {kind}"'
                )
            reason = f"not {kind}" if separate else f"but found element of type {kind} at pos 0"
            raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, {reason}")
    return tuple(map(int, given))


def infer_size(size: Sequence[int], count: int) -> tuple[int, ...]:
    """A shape for `count` elements, with its one -1 filled in; RuntimeError with torch's texts."""
    if math.prod(size) == count and min(size, default=0) >= 0:
        return tuple(size)
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
    if free is None or (count % known if known else count):
        raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {count}")
    if not known:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1"
            " can be any value and is ambiguous"
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
    size = infer_size(integers((size,), "view"), self.size)
    return _view(self, size)


def _view(data: Array, size: Size) -> Array:
    found = data.reshape(size) if data.flags.c_contiguous else _viewed(data, size)
    if found is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two"
            " contiguous subspaces). Use .reshape(...) instead."
        )
    return found


@internal(view=True, node="ReshapeAliasBackward0", self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))
def _reshape_alias(self: Array, size: Size) -> Array:
    return np.reshape(self, size)


@internal(node="UnsafeViewBackward0", self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))
def _unsafe_view(self: Array, size: Size) -> Array:
    return _view(self, size)


def _reshaped(self: Array, shape: Sequence[int]) -> Array:
    found = self.reshape(shape)
    if found.size == 1 and self.ndim and found.ndim and not self.strides[-1]:
        return _geometry(self, shape, (0,) * found.ndim)  # numpy would forget that the element was expanded
    return found


@composite(raw=_reshaped)
def reshape(self: Tensor, *size: Any, shape: Any = None) -> Tensor:
    """The tensor in another shape: a view where that is possible, else a copy."""
    data = self.materialize()
    if not size and shape is None:
        raise TypeError('reshape() missing 1 required positional arguments: "shape"')
    size = infer_size(integers(size or (shape,), "reshape", "shape", 2), data.size)
    if data.flags.c_contiguous:
        return apply(OPS["view"], [self, size])
    if _viewed(data, size) is not None:
        return _reshape_alias(self, size)
    return _unsafe_view(RECORDED.clone(self, memory_format=contiguous_format), size)


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


@composite
def ravel(self: Tensor) -> Tensor:
    """All elements in one dimension."""
    return view(self.contiguous(), (-1,))


@composite
def unflatten(self: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension as several, of these sizes."""
    dim = wrap_dim(dim, self._data.ndim)
    sizes, size = integers((sizes,), "unflatten", "sizes", 3), self._data.shape[dim] if self._data.ndim else 1
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        sizes = infer_size(sizes, size)
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({size}) in the input"
            " tensor"
        ) from None
    return view(self, (*self._data.shape[:dim], *sizes, *self._data.shape[dim + 1 :]))


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
            f"expand({_typed(data)}{{{list(data.shape)}}}, size={list(size)}): the number of sizes provided"
            f" ({len(size)}) must be greater or equal to the number of dimensions in the tensor ({data.ndim})"
        )
    shape, strides = list(size), [0] * len(size)
    for i in reversed(range(len(size))):
        wanted, old = size[i], data.shape[i - lead] if i >= lead else None
        if old is None:
            if wanted < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, non-existing dimension {i}"
                )
            if wanted == 1:
                strides[i] = shape[i + 1] * strides[i + 1] if i + 1 < len(size) else data.itemsize
        elif wanted in (-1, old):
            shape[i], strides[i] = old, data.strides[i - lead]
        elif old != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({old}) at non-singleton"
                f" dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(data.shape)}"
            )
    return _geometry(data, shape, strides)


def _repeated(self: Array, size: Size) -> Array:
    """What `expand` is to formulas: on arrays, and sizes that are known to fit."""
    if isinstance(self, np.generic):
        return np.ndarray(size, self.dtype, self, 0, (0,) * len(size))
    data = self
    lead = len(size) - data.ndim
    strides = (*(0,) * lead, *[step if n == m else 0 for n, m, step in zip(data.shape, size[lead:], data.strides)])
    return _geometry(data, size, strides)


RAW.expand = _repeated


def _typed(data: Array) -> str:
    return f"torch.{_dtype.from_numpy(data.dtype).legacy_name}Tensor"


@composite
def broadcast_to(self: Tensor, *size: Any) -> Tensor:
    """The tensor expanded to a shape."""
    return expand(self, integers(size, "broadcast_to"))


@composite
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor expanded to another's shape."""
    return expand(self, other._data.shape)


@composite
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """A view in another tensor's shape."""
    return view(self, other._data.shape)


@composite
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in another's shape."""
    return reshape(self, other._data.shape)


@linear(view=True, self=lambda xp, grad, dim0, dim1: xp.transpose(grad, dim0, dim1))
def transpose(self: Array, dim0: int, dim1: int) -> Array:
    """Two dimensions exchanged."""
    if not self.ndim:
        wrap_dim(dim0, 0), wrap_dim(dim1, 0)
        return self
    return self.swapaxes(wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim))


@composite
def swapaxes(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """As `transpose`."""
    return transpose(self, axis0, axis1)


@composite
def swapdims(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """As `transpose`."""
    return transpose(self, dim0, dim1)


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
    return self.transpose(found)


@composite(aliases=["moveaxis"], raw=np.moveaxis)
def movedim(self: Tensor, source: Any, destination: Any) -> Tensor:
    """The tensor with some dimensions moved to other places, the rest in order."""
    ndim = self._data.ndim
    if isinstance(source, int) != isinstance(destination, int):
        raise combination_error("movedim", source, destination)
    given = [(each,) if isinstance(each, int) else tuple(each) for each in (source, destination)]
    if len(given[0]) != len(given[1]):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(given[0])} dims) should contain the same"
            f" number of dims as destination ({list(given[1])} dims)"
        )
    from_, to = (tuple(wrap_dim(each, ndim) for each in dims) for dims in given)
    for name, dims, original in (("source", from_, given[0]), ("destination", to, given[1])):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(original)})")
    if not ndim:
        return alias(self)
    order = [each for each in range(ndim) if each not in from_]
    for place, each in sorted(zip(to, from_, strict=True)):
        order.insert(place, each)
    return permute(self, tuple(order))


@internal(view=True, self=lambda grad: grad)
def alias(self: Array) -> Array:
    return self[...]


@internal(name="_primal", view=True, node="torch::autograd::Identity", self=lambda grad: grad)
def primal(self: Array) -> Array:
    """Of a tensor with a tangent, the tensor alone."""
    return self[...]


def inverse(dims: Sequence[Any]) -> tuple[int, ...]:
    """The permutation that undoes another."""
    found = [0] * len(dims)
    for i, each in enumerate(dims):
        found[int(each)] = i
    return tuple(found)


@linear(view=True,
        node=lambda dim: f"SqueezeBackward{0 if dim is None else 1 if isinstance(dim, int) else 2}",
        self=lambda xp, grad, self_shape: xp.reshape(grad, self_shape))  # fmt: skip
def squeeze(self: Array, dim: Dims = None) -> Array:
    dims = range(self.ndim) if dim is None else () if dim == () else wrap_dims(dim, self.ndim)
    return self.squeeze(tuple([d for d in dims if self.ndim and self.shape[d] == 1]))


@linear(view=True, self=lambda xp, grad, dim: xp.squeeze(grad, dim))
def unsqueeze(self: Array, dim: int) -> Array:
    self = np.asarray(self)
    dim = wrap_dim(dim, self.ndim + 1)
    stride = self.shape[dim] * self.strides[dim] if dim < self.ndim else self.itemsize
    strides = (*self.strides[:dim], stride, *self.strides[dim:])
    found = np.reshape(self, (*self.shape[:dim], 1, *self.shape[dim:]))
    return found if found.strides == strides else _geometry(self, found.shape, strides)


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
    name="slice", view=True,
    self=lambda xp, grad, self_shape, dim, start, end, step: xp.slice_backward(grad, self_shape, dim, start, end, step),
)  # fmt: skip
def slice_(self: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return self[at(wrap_dim(dim, self.ndim), slice(start, end, step))]


@internal(self=lambda xp, grad, dim, start, end, step: xp.slice(grad, dim, start, end, step))
def slice_backward(self: Array, input_sizes: Any, dim: int, start: Any, end: Any, step: int) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    result[at(wrap_dim(dim, len(input_sizes)), slice(start, end, step))] = self
    return result


def narrow_start(shape: tuple[int, ...], dim: int, start: int, length: int) -> int:
    """Where `length` elements from `start` on begin, from the front; torch's errors for what is out of range."""
    size = shape[wrap_dim(dim, len(shape))]
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start += size if start < 0 else 0
    if length < 0 or start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return start


@composite
def narrow(self: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements from `start` on along a dimension."""
    if not self._data.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor) and (start._data.ndim or start._data.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    if isinstance(start, bool) or not isinstance(start, (int, np.integer, Tensor)):
        raise combination_error("narrow", self, dim, start, length)
    start = narrow_start(self._data.shape, dim, int(start), length)
    return slice_(self, dim, start, start + length)


@linear(view=True, returns=tuple, self=lambda xp, grads, dim: xp.stack(grads, dim))
def unbind(self: Array, dim: int = 0) -> tuple[Array, ...]:
    if not self.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, self.ndim)
    return tuple(self[at(dim, i)] for i in range(self.shape[dim]))


# ---- the same, of the tensor itself ----------------------------------------------------------------------------------


def _reshape_itself(name: str, node: Any, aliases: Sequence[str] = ()) -> None:
    """The in-place form of a view: the tensor gets the view's shape and strides."""
    op = Op(f"{name}_", OPS[name].forward, OPS[name].formulas, node=node, holomorphic=False)

    def function(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.materialize()
        bound = bind(op, (self, *args), kwargs)
        if edge_of(self) is not None:
            check_inplace(self)
        made = apply(op, bound)
        self._data = made._data
        count_write(self)
        if made._edge is not None:
            self._edge = made._edge
        if self._view is not None:
            self._view.version = self._cell[0]
        if self._accumulator is not None:
            self._accumulator.adopt(self)
        return self

    function.__doc__ = f"`{name}`, of the tensor itself."
    for each in (name, *aliases):
        method(f"{each}_")(function)


_reshape_itself("transpose", "TransposeBackward1", ["swapaxes", "swapdims"])
_reshape_itself("t", "TBackward1")
_reshape_itself("squeeze", lambda dim: f"SqueezeBackward{3 if dim is None else 4 if isinstance(dim, int) else 5}")
_reshape_itself("unsqueeze", "UnsqueezeBackward1")


@method()
def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """The tensor with another shape, in C order; new elements, if it grows, are zeros. Not for what requires grad."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape, data = integers(size, "resize_"), self.materialize()
    if math.prod(shape) <= data.size and data.flags.c_contiguous:
        self._data = data.reshape(-1)[: math.prod(shape)].reshape(shape)
    elif shape != data.shape:
        self._data = np.zeros(shape, data.dtype)
        self._data.reshape(-1)[: data.size] = data.reshape(-1)[: self._data.size]
    return self


@method()
def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to another tensor's shape."""
    return resize_(self, the_template._data.shape)


# ---- diagonals, windows, strides -------------------------------------------------------------------------------------


def _diagonal(data: Array, offset: int, dim1: int, dim2: int) -> Array:
    first, second = wrap_dim(dim1, data.ndim), wrap_dim(dim2, data.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    found: Array = np.diagonal(data, offset, first, second)
    found.flags.writeable = data.flags.writeable  # numpy says no by default
    return found


@linear(view=True, self=lambda xp, grad, self_shape, offset, dim1, dim2:
        xp.diagonal_backward(grad, self_shape, offset, dim1, dim2))  # fmt: skip
def diagonal(self: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    return _diagonal(self, offset, dim1, dim2)


@internal(node="DiagonalBackward0_copy", self=lambda xp, grad, self_shape, offset:
          xp.diagonal_backward(grad, self_shape, offset, 0, 1))  # fmt: skip
def diagonal_copy(self: Array, offset: int) -> Array:
    return np.array(_diagonal(self, offset, 0, 1))


@internal(self=lambda xp, grad, offset, dim1, dim2: xp.diagonal(grad, offset, dim1, dim2))
def diagonal_backward(self: Array, input_sizes: Any, offset: int, dim1: int, dim2: int) -> Array:
    result = np.zeros(input_sizes, self.dtype)
    _diagonal(result, offset, dim1, dim2)[...] = self
    return result


@linear(self=lambda xp, grad, offset, dim1, dim2: xp.diagonal(grad, offset, dim1, dim2))
def diag_embed(self: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    first, second = wrap_dim(dim1, self.ndim + 1), wrap_dim(dim2, self.ndim + 1)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    shape = list(self.shape[:-1])
    for place in sorted((first, second)):
        shape.insert(place, self.shape[-1] + abs(offset))
    result = np.zeros(shape, self.dtype)
    _diagonal(result, offset, first, second)[...] = self
    return result


@composite
def diag(self: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or a copy of the diagonal of a matrix."""
    if self._data.ndim == 1:
        return diag_embed(self, diagonal)
    if self._data.ndim == 2:
        return diagonal_copy(self, diagonal)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {self._data.ndim}D")


@composite
def diagflat(self: Tensor, offset: int = 0) -> Tensor:
    """All elements as the diagonal of a matrix."""
    return diag_embed(ravel(self), offset)


@linear(view=True, function=False, self=lambda xp, grad, self_shape, dimension, size, step:
        xp.unfold_backward(grad, self_shape, dimension, size, step))  # fmt: skip
def unfold(self: Array, dimension: int, size: int, step: int) -> Array:
    self = np.asarray(self)
    dim = wrap_dim(dimension, self.ndim)
    length, stride = (self.shape[dim], self.strides[dim]) if self.ndim else (1, self.itemsize)
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    shape, strides = (*self.shape, size), (*self.strides, stride)
    if self.ndim:
        shape = (*shape[:dim], (length - size) // step + 1, *shape[dim + 1 :])
        strides = (*strides[:dim], stride * step, *strides[dim + 1 :])
    return _geometry(self, shape, strides)


@internal(self=lambda xp, grad, dim, size, step: xp.unfold(grad, dim, size, step))
def unfold_backward(self: Array, input_sizes: Any, dim: int, size: int, step: int) -> Array:
    result = np.zeros(input_sizes or (1,), self.dtype)
    dim = wrap_dim(dim, result.ndim)
    for k in range(size):
        last = k + (self.shape[dim] - 1) * step + 1 if input_sizes else 1
        result[at(dim, slice(k, last, step))] += self[..., k]
    return result.reshape(input_sizes)


@internal(view=True, name="as_strided", self=lambda xp, grad, part: xp.put_part(grad, part))
def _as_strided_view(self: Array, part: Any, found: Any, size: Any, stride: Any, storage_offset: Any) -> Array:
    return found


@composite(name="as_strided")
def as_strided(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the tensor's memory with any shape and strides; the offset counts from the start of the base."""
    data = self.materialize()
    base = data if self._base is None else self._base.materialize()
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if min(stride, default=0) < 0:
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    start = (address(data) - address(base)) // data.itemsize if storage_offset is None else storage_offset
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    last = 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    need, have = (start + last) * data.itemsize if math.prod(size) else 0, extent(base)
    if need > have:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and itemsize"
            f" {data.itemsize} requiring a storage size of {need} are out of bounds for storage of size {have}"
        )
    memory = _as_strided(base, (have // data.itemsize,), (data.itemsize,)) if base.dtype == data.dtype else base
    found = _as_strided(memory[start:], tuple(size), tuple(step * data.itemsize for step in stride))
    return _as_strided_view(self, Part(found, data), found, size, stride, storage_offset)


# ---- transposes as attributes ----------------------------------------------------------------------------------------


def _get_t(self: Tensor) -> Tensor:
    """The tensor with its dimensions reversed."""
    ndim = self._data.ndim
    if not ndim:
        warn_once("Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases.")
    elif ndim != 2:
        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will"
            " throw an error in a future release. Consider `x.mT` to transpose batches of matrices or"
            " `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
        )
    return permute(self, tuple(range(ndim))[::-1])


def _get_mt(self: Tensor) -> Tensor:
    """The tensor with its last two dimensions exchanged."""
    ndim = self._data.ndim
    if not ndim:
        warn_once("Tensor.mT is deprecated on 0-D tensors. This function is the identity in these cases.")
        return self
    if ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {ndim}-D tensor.")
    return transpose(self, -2, -1)


def _get_h(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix."""
    ndim = self._data.ndim
    if not ndim:
        warn_once("Tensor.H is deprecated on 0-D tensors. Consider using x.conj().")
    elif ndim != 2:
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {ndim}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if ndim > 2 else "")
        )
    else:
        self = transpose(self, -2, -1)
    return self.conj() if self.is_complex() else self


def _get_mh(self: Tensor) -> Tensor:
    """The conjugate of the tensor with its last two dimensions exchanged."""
    ndim = self._data.ndim
    if not ndim:
        warn_once("Tensor.mH is deprecated on 0-D tensors. Consider using x.conj().")
    elif ndim < 2:
        raise RuntimeError(f"tensor.mH is only supported on matrices or batches of matrices. Got {ndim}-D tensor.")
    else:
        self = transpose(self, -2, -1)
    return self.conj() if self.is_complex() else self


@composite
def adjoint(self: Tensor) -> Tensor:
    """The conjugate of the tensor with its last two dimensions exchanged."""
    if self._data.ndim == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return _get_mh(self)


for _name, _getter in {"T": _get_t, "mT": _get_mt, "H": _get_h, "mH": _get_mh}.items():
    _getter.__name__ = _name
    setattr(Tensor, _name, readonly(_getter))
