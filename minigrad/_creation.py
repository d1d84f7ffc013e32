"""Making tensors: `tensor`, `ones`, `arange` and the like, with torch's rules for types."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._arguments import parsed
from minigrad._device import check_device
from minigrad._dtype import as_numpy, default_float
from minigrad._layout import laid_as
from minigrad._modes import state
from minigrad._tensor import Tensor, infer, make
from minigrad._text import type_name
from minigrad._warning import warn, warn_once

_SEQUENCES: Final = (list, tuple, range)


def finish(
    data: Any,
    requires_grad: bool = False,
    out: Tensor | None = None,
    device: Any = None,
    name: str = "",
    dtype: Any = None,
) -> Tensor:
    """A new leaf of this array; with `out`, that tensor, with the array's elements: `_fill`."""
    if device is not None:
        check_device(device)
    if out is not None:
        return _fill(out, data, name, dtype)
    result = make(np.asarray(data), None)
    if state.inference:
        infer(result)
    if requires_grad:
        if data.dtype.kind not in "fc":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        result._require(True)
    return result


def _check_out(out: Tensor, name: str, dtype: Any) -> None:
    """RuntimeError where function `name` cannot store in `out`: it has another type, or requires grad."""
    from minigrad._apply import check_unrecorded

    own = out._data.dtype
    if dtype is not None and (wanted := as_numpy(dtype, name)) != own:
        named, given = (_dtype.from_numpy(each).legacy_name for each in (wanted, own))
        raise RuntimeError(f"dtype {named} does not match dtype of out parameter ({given})")
    check_unrecorded(f"aten::{name}", out)


def _fill(out: Tensor, data: Any, name: str, dtype: Any) -> Tensor:
    """Write what function `name` makes to `out`, in the type that it has and the shape of the array."""
    from minigrad._apply import write

    _check_out(out, name, dtype)
    if out._data.shape != data.shape:
        out._data = np.empty(data.shape, out._data.dtype)
    write(out, data.astype(out._data.dtype, copy=False))
    return out


def _shaped(numbers: Any, out: Tensor | None) -> Any:
    """Numbers in a row in the shape of `out`, which torch does not resize where it has as many elements."""
    return numbers if out is None or out._data.size != numbers.size else numbers.reshape(out._data.shape)


# ---- from Python's numbers and numpy's arrays ------------------------------------------------------------------------


def _inferred(data: Any) -> np.dtype[Any]:
    """The type of nested Python numbers: the widest category, floats as the default type."""
    if isinstance(data, Tensor):
        return data._data.dtype  # type: ignore[no-any-return]
    if isinstance(data, (np.ndarray, np.generic)):
        return _dtype.from_numpy(data.dtype).numpy
    if isinstance(data, _SEQUENCES):
        found = None
        for each in data:
            kind = _inferred(each)
            if kind is not found:
                found = kind if found is None else _dtype.promote(found, kind)
        return default_float() if found is None else found
    if isinstance(data, (bool, int, float, complex)):
        return _dtype.of_number(data)
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _shape(data: Any) -> tuple[int, ...]:
    """The shape of nested sequences, by their first elements."""
    shape: list[int] = []
    while isinstance(data, _SEQUENCES):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    if isinstance(data, str):
        raise ValueError("too many dimensions 'str'")
    return (*shape, *(data.shape if isinstance(data, np.ndarray) else ()))


def _store(array: np.ndarray[Any, Any], data: Any, dim: int = 0) -> None:
    """Write nested sequences to an array of their shape; torch's errors where they do not fit."""
    if not array.ndim:
        array[()] = _element(data, array.dtype)
        return
    if not isinstance(data, (*_SEQUENCES, np.ndarray)):
        raise TypeError("not a sequence")
    if len(data) != len(array):
        raise ValueError(f"expected sequence of length {len(array)} at dim {dim} (got {len(data)})")
    for place, each in enumerate(data):
        _store(array[place, ...], each, dim + 1)


def _element(value: Any, dtype: np.dtype[Any]) -> Any:
    """One number as an element of a type."""
    if isinstance(value, Tensor):
        value = value._number()
    elif isinstance(value, np.ndarray):
        if math.prod(value.shape) != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        value = value.item()
    if dtype.kind in "iu":
        if isinstance(value, (float, np.floating)):
            if not math.isfinite(value):
                raise _overflow(dtype)
            value = int(value)
        if not hasattr(value, "__index__"):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        value = int(value)
        if not -(2**63) <= value < 2**63:
            raise ValueError("Overflow when unpacking long long")
        limits = np.iinfo(dtype)
        if not (limits.min or -limits.max) <= value <= limits.max:
            raise _overflow(dtype)
        return value & limits.max if dtype.kind == "u" else value
    if dtype.kind == "f" and not hasattr(value, "__float__"):
        raise TypeError(f"must be real number, not {type(value).__name__}")
    return value


def _overflow(dtype: np.dtype[Any]) -> RuntimeError:
    return RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


def _arrays_among(data: Any) -> int:
    """How many numpy arrays nested sequences hold: torch warns of each."""
    if not isinstance(data, (list, tuple)):
        return 0
    return sum(isinstance(each, np.ndarray) or _arrays_among(each) for each in data)


def _array(data: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Nested Python numbers as an array of a type."""
    if isinstance(data, Tensor):
        return np.array(data._data, dtype)
    if isinstance(data, (np.ndarray, np.generic)):
        _dtype.from_numpy(data.dtype)
        return np.array(state.run(data.astype, dtype))
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    for _ in range(_arrays_among(data)):
        warnings.warn(
            "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider"
            " converting the list to a"
            " single numpy.ndarray with numpy.array() before converting to a tensor.",
            stacklevel=3,
        )
    shape = _shape(data)
    try:
        found = np.array(data)
    except (ValueError, RuntimeError):  # ragged, or with tensors that require grad
        found = None
    if found is not None and found.shape != shape:  # numpy takes tensors for more rows
        found = None
    usual = found is not None and (found.dtype == dtype or found.dtype.kind == "f" and dtype.kind == "f")
    if found is not None and usual and (found.size or found.ndim < 2):
        cast: np.ndarray[Any, Any] = state.run(found.astype, dtype, copy=False)
        return cast
    result = np.zeros(shape, dtype)
    state.run(_store, result, data)
    return result


@parsed
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor of nested numbers or of a copy of an array, as `torch.tensor`."""
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or"
            " sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            stacklevel=2,
        )
    if dtype is not None:
        kind = as_numpy(dtype, "tensor")
    else:
        if isinstance(data, _SEQUENCES):
            _shape(data)
        kind = _inferred(data)
    return finish(_array(data, kind), requires_grad, device=device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of this data, sharing memory where it can."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made if dtype is None else made.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of this data, sharing memory where it can unless `copy`; detached unless `requires_grad`."""
    if copy is False and not isinstance(obj, (Tensor, np.ndarray)):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    found = as_tensor(obj, dtype, device)
    if copy:
        found = found.clone()
    if requires_grad and not found.requires_grad:
        return found.detach().requires_grad_()
    return found if requires_grad or not found.requires_grad else found.detach()


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type_name(array)})")
    if not array.flags.writeable:
        warn_once(
            "The given NumPy array is not writable, and PyTorch does not support non-writable"
            " tensors. This means writing"
            " to this tensor will result in undefined behavior. You may want to copy the array to"
            " protect its data or make"
            " it writable before converting it to a tensor. This type of warning will be suppressed"
            " for the rest of this"
            " program."
        )
    _dtype.from_numpy(array.dtype)
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative"
            " strides are not currently"
            " supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    whole: Any = memoryview(array)  # type: ignore[arg-type] # the memory begins here, whatever the array is a part of
    data = np.asarray(whole)
    if data.strides != array.strides and array.size:  # those of dimensions of 1 are as good as others to a buffer
        data = np.ndarray(array.shape, array.dtype, whole, 0, array.strides)
    return finish(data)


# ---- of a given size -------------------------------------------------------------------------------------------------


def checked_size(size: Sequence[Any], name: str) -> tuple[int, ...]:
    """Sizes given as one sequence or as separate arguments; TypeError or RuntimeError with torch's texts."""
    separate = not (len(size) == 1 and isinstance(size[0], (tuple, list)))
    for number, each in enumerate(size if separate else size[0]):
        if isinstance(each, bool) and not number or not hasattr(each, "__index__"):
            given = type(each).__name__
            if number:
                reason = f'failed to unpack the object at pos {number + 1} with error "type must be tuple of ints,'
                raise TypeError(f"{name}(): argument 'size' {reason}but got {given}\"")
            reason = f"not {given}" if separate else f"but found element of type {given} at pos 0"
            raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, {reason}")
    found = tuple(int(each) for each in (size if separate else size[0]))
    for each in found:
        if each < 0:
            if name == "zeros":
                raise RuntimeError("zeros: Dimension size must be non-negative.")
            raise RuntimeError(f"Trying to create tensor with negative dimension {each}: {list(found)}")
    return found


def _kind(dtype: Any, name: str) -> np.dtype[Any]:
    return default_float() if dtype is None else as_numpy(dtype, name)


def sized(name: str, doc: str, create: Callable[[tuple[int, ...], np.dtype[Any]], Any]) -> Callable[..., Tensor]:
    """A function `name(*size)` that makes tensors of a size with `create(size, type)`."""

    def made(
        *args: Any,
        size: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        out: Tensor | None = None,
        layout: Any = None,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        if size is not None:
            args = (size,)
        elif not args:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        kind = out._data.dtype if dtype is None and out is not None else _kind(dtype, name)
        return finish(create(checked_size(args, name), kind), requires_grad, out, device, name, dtype)

    made.__name__ = made.__qualname__ = name
    made.__doc__ = doc
    return parsed(made)


zeros = sized("zeros", "A tensor of zeros.", np.zeros)
ones = sized("ones", "A tensor of ones.", np.ones)
empty = sized("empty", "A tensor whose values mean nothing (zeros here).", np.zeros)


@parsed
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
) -> Tensor:
    """A tensor of one value, of the value's own type unless `dtype` says otherwise."""
    value = fill_value.item() if isinstance(fill_value, (Tensor, np.generic)) else fill_value
    if isinstance(size, int):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    if not isinstance(value, (bool, int, float, complex)):
        raise TypeError(f"full(): argument 'fill_value' (position 2) must be Number, not {type(value).__name__}")
    kind = _dtype.of_number(value) if dtype is None else as_numpy(dtype, "full")
    return finish(np.full(checked_size((size,), "full"), value, kind), requires_grad, out, device, "full", dtype)


@parsed
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of a size whose elements lie at these strides in memory (zeros here)."""
    size, kind = checked_size((size,), "empty_strided"), _kind(dtype, "empty_strided")
    count = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
    strides = tuple(s * kind.itemsize for s in stride)
    return finish(np.ndarray(size, kind, np.zeros(count, kind), 0, strides), requires_grad, device=device)


def like(name: str, doc: str, create: Callable[[Any, np.dtype[Any]], Any]) -> Callable[..., Tensor]:
    """A function `name(tensor)` that makes tensors of its shape, type and layout with `create(array, type)`."""

    def made(
        input: Tensor,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
        layout: Any = None,
    ) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        kind = input._data.dtype if dtype is None else as_numpy(dtype, name)
        return finish(create(input._data, kind), requires_grad, device=device)

    made.__name__ = made.__qualname__ = name
    made.__doc__ = doc
    return parsed(made)


def _zeros_like(array: Any, kind: np.dtype[Any]) -> Any:
    return laid_as(np.zeros(array.shape, kind), array)


def _ones_like(array: Any, kind: np.dtype[Any]) -> Any:
    return laid_as(np.ones(array.shape, kind), array)


zeros_like = like("zeros_like", "Zeros of the shape, type and layout of a tensor.", _zeros_like)
ones_like = like("ones_like", "Ones of the shape, type and layout of a tensor.", _ones_like)
empty_like = like("empty_like", "A tensor like another, whose values mean nothing (zeros here).", _zeros_like)


@parsed
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """As `full`, with the shape and type of a tensor."""
    kind = input._data.dtype if dtype is None else as_numpy(dtype, "full_like")
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return finish(laid_as(np.full(input._data.shape, value, kind), input._data), requires_grad, device=device)


# ---- sequences -------------------------------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


def _ends(args: Sequence[Any], named: dict[str, Any]) -> list[Any]:
    """Start, end and step, as far as they are given, as numbers."""
    return [_number(each) for each in (*args, *(named[key] for key in ("start", "end", "step") if key in named))]


@parsed
def arange(
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    **named: Any,
) -> Tensor:
    """Numbers from `start` (0) to `end`, excluded, by `step` (1); integers if all three are."""
    values = _ends(args, named)
    if not 1 <= len(values) <= 3 or not all(isinstance(each, (int, float)) for each in values):
        got = ", ".join(type(each).__name__ for each in values)
        raise TypeError(
            f"arange() received an invalid combination of arguments - got ({got}), but expected one"
            " of:\n * (Number end)\n"
            " * (Number start, Number end)\n * (Number start, Number end, Number step = 1)"
        )
    start, end, step = (0, *values, 1) if len(values) == 1 else (*values, 1)[:3]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is not None:
        kind = as_numpy(dtype, "arange")
        if kind.kind in "bc":
            raise NotImplementedError(f"\"arange_cpu\" not implemented for '{_dtype.from_numpy(kind).legacy_name}'")
    else:
        kind = default_float() if any(isinstance(v, float) for v in (start, end, step)) else np.dtype(np.int64)
    count = math.ceil((end - start) / step)
    numbers = (start + np.arange(count) * step).astype(kind)
    if out is not None:
        _check_out(out, "arange", dtype)
        if out._data.size not in (0, count):
            warn(
                f"The number of elements in the out tensor of shape {list(out._data.shape)} is {out._data.size} which"
                f" does not match the computed number of elements {count}. Note that this may occur as a result of"
                f" rounding error. The out tensor will be resized to a tensor of shape ({count},)."
            )
    return finish(_shaped(numbers, out), requires_grad, out, device, "arange", dtype)


def _range(
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    **named: Any,
) -> Tensor:
    """Numbers from `start` to `end`, included, by `step` (1); of the default floating type."""
    values = _ends(args, named)
    start, end, step = (*values, 1)[:3]
    warn_once(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with"
        " Python's range builtin. Instead, use torch.arange, which produces values in [start, end)."
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    numbers = start + np.arange(math.floor((end - start) / step) + 1) * step
    return finish(numbers.astype(_kind(dtype, "range")), requires_grad, out, device, "range", dtype)


_range.__name__ = _range.__qualname__ = "range"
range_ = parsed(_range)


@parsed
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included."""
    if isinstance(steps, bool) or not isinstance(steps, int):
        got = ", ".join(type(each).__name__ for each in (start, end, steps))
        raise TypeError(
            f"linspace() received an invalid combination of arguments - got ({got}), but expected one of:\n"
            " * (Number start, Number end, int steps)"
        )
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    numbers = np.linspace(_number(start), _number(end), steps)
    numbers = numbers.astype(_kind(dtype, "linspace"))
    return finish(_shaped(numbers, out), requires_grad, out, device, "linspace", dtype)


@parsed
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """`steps` powers of `base`, exponents evenly from `start` to `end`."""
    exponents = linspace(start, end, steps, dtype=_dtype.float64)._data
    numbers = np.power(float(base), exponents).astype(_kind(dtype, "logspace"))
    return finish(_shaped(numbers, out), requires_grad, out, device, "logspace", dtype)


@parsed
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The identity matrix; with `out`, in that tensor, which gets its shape."""
    for position, (name, size) in enumerate((("n", n), ("m", 0 if m is None else m)), 1):
        if not hasattr(size, "__index__"):
            raise TypeError(f"eye(): argument '{name}' (position {position}) must be int, not {type(size).__name__}")
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return finish(np.eye(n, m, dtype=_kind(dtype, "eye")), requires_grad, out, device, "eye", dtype)


@parsed
def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor."""
    return finish(np.array(value, _kind(dtype, "scalar_tensor")), requires_grad, device=device)


# ---- constructors ----------------------------------------------------------------------------------------------------


def legacy_tensor(cls: type[Tensor], dtype: np.dtype[Any], *args: Any, **kwargs: Any) -> Tensor:
    """`Tensor(data)` or `Tensor(2, 3)`, of a type; TypeError for what torch does not take."""
    check_device(kwargs.pop("device", None))
    if kwargs:
        got = ", ".join([*(type(a).__name__ for a in args), *(f"{k}={type(v).__name__}" for k, v in kwargs.items())])
        raise TypeError(
            f"new() received an invalid combination of arguments - got ({got}), but expected one of:\n"
            " * (*, torch.device device = None)\n * (Tensor other)\n * (tuple of ints size)\n * (object data)"
        )
    if not args:
        return make(np.empty(0, dtype), None, cls)
    data = args[0]
    if len(args) == 1 and isinstance(data, Tensor) and not (data._data.ndim == 0 and data._data.dtype.kind in "iu"):
        return make(data.materialize(), None, cls)
    if isinstance(data, int) or type(data) is not tuple and isinstance(data, tuple) or len(args) > 1:
        return make(np.zeros(checked_size(args, "new"), dtype), None, cls)
    if isinstance(data, (float, complex)):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return make(_array(data, dtype), None, cls)


class _TypedMeta(type):
    """Classes such as `FloatTensor`: a tensor is an instance if its elements have the type."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor) and other._data.dtype == cls.dtype.numpy  # type: ignore[attr-defined]

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _typed(dtype: _dtype.dtype) -> Any:
    def new(cls: Any, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor) and args[0]._data.dtype != dtype.numpy:
            raise TypeError(f"expected a tensor of type {dtype} (got {args[0].dtype})")
        return legacy_tensor(Tensor, dtype.numpy, *args, **kwargs)

    doc = f"`{dtype.legacy_name}Tensor(data)` or `(2, 3)`: a tensor of type {dtype}, as from before there were types."
    return _TypedMeta(f"{dtype.legacy_name}Tensor", (), {"__new__": new, "__doc__": doc, "dtype": dtype})


TYPED: Final = {
    f"{each.legacy_name}Tensor": _typed(each) for each in _dtype.ALL if not each.is_complex
}  # FloatTensor, LongTensor …
