"""Making tensors: `tensor`, `ones`, `arange` and the like, with torch's rules for types."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import _dtype
from minigrad._dtype import as_numpy, default_float
from minigrad._modes import state
from minigrad._tensor import Tensor, infer, make


def finish(data: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    """A new leaf of this array."""
    result = make(np.asarray(data), None)
    if state.inference:
        infer(result)
    if requires_grad:
        if data.dtype.kind not in "fc":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        result._require(True)
    return result


def _inferred(data: Any) -> np.dtype[Any]:
    """The type of nested Python numbers: the widest category, floats as the default type."""
    if isinstance(data, Tensor):
        return data._data.dtype  # type: ignore[no-any-return]
    if isinstance(data, (np.ndarray, np.generic)):
        return data.dtype
    if isinstance(data, (list, tuple)):
        kinds = [_inferred(each) for each in data]
        if not kinds:
            return default_float()
        found = kinds[0]
        for kind in kinds[1:]:
            found = _dtype.promote(found, kind)
        return found
    if isinstance(data, (bool, int, float, complex)):
        return _dtype.of_number(data)
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _nested(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, (list, tuple)):
        return [_nested(each) for each in data]
    return data


def _checked_shape(data: Any, dims: int = 0) -> tuple[int, ...]:
    """The shape of nested sequences; ValueError with torch's text where lengths differ."""
    if isinstance(data, (Tensor, np.ndarray, np.generic)):
        return tuple(data.shape)
    if not isinstance(data, (list, tuple)):
        return ()
    shapes = [_checked_shape(each, dims + 1) for each in data]
    for each in shapes[1:]:
        if len(each) != len(shapes[0]):
            if not each:
                raise TypeError("not a sequence")
            raise ValueError(f"expected sequence of length {shapes[0][0] if shapes[0] else 1} at dim {dims + 1}")
        if each and each[0] != shapes[0][0]:
            raise ValueError(f"expected sequence of length {shapes[0][0]} at dim {dims + 1} (got {each[0]})")
    return (len(data), *(shapes[0] if shapes else ()))


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor of nested numbers or of a copy of an array, as `torch.tensor`."""
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or"
            " sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            stacklevel=2,
        )
    kind = _inferred(data) if dtype is None else as_numpy(dtype, "tensor")
    if isinstance(data, (list, tuple)):
        _checked_shape(data)
    array = np.array(_nested(data))
    if array.dtype == object:
        raise OverflowError("Overflow when unpacking long long")
    return finish(state.run(array.astype, kind), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of this data, sharing memory where it can."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made if dtype is None else made.to(dtype)
    return tensor(data, dtype=dtype)


asarray = as_tensor


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    _dtype.from_numpy(array.dtype)
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently"
            " supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    return finish(array, False)


def _size(size: Sequence[Any], name: str) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    for number, each in enumerate(size):
        if not isinstance(each, (int, np.integer, Tensor)) or isinstance(each, bool):
            raise TypeError(
                f"{name}(): argument 'size' (position 1) must be tuple of ints, but found element of type"
                f" {type(each).__name__} at pos {number}"
            )
        if int(each) < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {int(each)}: {list(size)}")
    return tuple(int(each) for each in size)


def _kind(dtype: Any, name: str) -> np.dtype[Any]:
    return default_float() if dtype is None else as_numpy(dtype, name)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return finish(np.zeros(_size(size, "zeros"), _kind(dtype, "zeros")), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return finish(np.ones(_size(size, "ones"), _kind(dtype, "ones")), requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values mean nothing (zeros here)."""
    return finish(np.zeros(_size(size, "empty"), _kind(dtype, "empty")), requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value, of the value's own type unless `dtype` says otherwise."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = _dtype.of_number(value) if dtype is None else as_numpy(dtype, "full")
    return finish(np.full(_size((size,), "full"), value, kind), requires_grad)


def _like(name: str, make_array: Any) -> Any:
    def like(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, memory_format: Any = None
    ) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        kind = input._data.dtype if dtype is None else as_numpy(dtype, name)
        return finish(make_array(input._data, kind), requires_grad)

    like.__name__ = like.__qualname__ = name
    like.__doc__ = f"As `{name.removesuffix('_like')}`, with the shape, type and layout of a tensor."
    return like


zeros_like = _like("zeros_like", np.zeros_like)
ones_like = _like("ones_like", np.ones_like)
empty_like = _like("empty_like", np.zeros_like)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """As `full`, with the shape and type of a tensor."""
    kind = input._data.dtype if dtype is None else as_numpy(dtype, "full_like")
    return finish(np.full_like(input._data, fill_value, kind), requires_grad)


def arange(*args: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any) -> Tensor:
    """Numbers from `start` (0) to `end`, excluded, by `step` (1); integers if all three are."""
    values = [each.item() if isinstance(each, Tensor) else each for each in args]
    start, end, step = (0, *values, 1) if len(values) == 1 else (*values, 1)[:3] if values else (0, named["end"], 1)
    start, end, step = named.get("start", start), named.get("end", end), named.get("step", step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is not None:
        kind = as_numpy(dtype, "arange")
    else:
        kind = default_float() if any(isinstance(v, float) for v in (start, end, step)) else np.dtype(np.int64)
    count = math.ceil((end - start) / step)
    return finish((start + np.arange(count) * step).astype(kind), requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included."""
    first, last = (each.item() if isinstance(each, Tensor) else each for each in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return finish(np.linspace(first, last, steps).astype(_kind(dtype, "linspace")), requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` powers of `base`, exponents evenly from `start` to `end`."""
    exponents = linspace(start, end, steps, dtype=_dtype.float64)._data
    return finish(np.power(float(base), exponents).astype(_kind(dtype, "logspace")), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix."""
    return finish(np.eye(n, m, dtype=_kind(dtype, "eye")), requires_grad)


def scalar_tensor(value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor."""
    return finish(np.array(value, _kind(dtype, "scalar_tensor")), requires_grad)


def legacy_tensor(cls: type[Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """`Tensor(data)` or `Tensor(2, 3)`: of the default type."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        return make(args[0].materialize(), None, cls)
    if args and all(isinstance(each, int) for each in args):
        return make(np.zeros(args, default_float()), None, cls)
    return make(np.array(_nested(args[0]), default_float()), None, cls)
