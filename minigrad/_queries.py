"""What programs ask about tensors and what they do to elements one by one, outside of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._declare import method
from minigrad._device import CPU, check_device, device, layout, strided
from minigrad._op import RECORDED
from minigrad._tensor import Tensor, make, readonly
from minigrad._text import type_name

__all__ = ["is_storage", "is_tensor", "numel", "result_type", "typename"]


def is_tensor(obj: object) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: object) -> bool:
    """Whether an object is the memory of a tensor."""
    from minigrad._storage import UntypedStorage

    return isinstance(obj, UntypedStorage)


def typename(obj: Any) -> str:
    """The name of an object's type, with the elements' for a tensor."""
    if isinstance(obj, Tensor):
        return str(obj.dtype.tensor_type)
    kind = obj if isinstance(obj, type) else type(obj)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _asking(name: str) -> Callable[[Tensor], Any]:
    """A method as a function, which checks that it is given a tensor."""

    def function(input: Tensor) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type_name(input)}")
        return getattr(input, name)()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(Tensor, name).__doc__
    return function


def result_type(tensor: Any, other: Any) -> _dtype.dtype:
    """The type of an operation on two tensors or numbers."""
    operands: list[_dtype.Operand] = []
    for each in (tensor, other):
        if isinstance(each, Tensor):
            operands.append((each._data.dtype, each._data.ndim))
        elif isinstance(each, (bool, int, float, complex)):
            operands.append(each)
        else:
            got = ", ".join(type(each).__name__ for each in (tensor, other))
            raise TypeError(
                f"result_type() received an invalid combination of arguments - got ({got}), but expected one of:\n"
                " * (Tensor tensor, Tensor other)\n * (Number scalar, Tensor tensor)\n * (Tensor"
                " tensor, Number other)\n"
                " * (Number scalar1, Number scalar2)"
            )
    return _dtype.from_numpy(_dtype.result_type(operands))


@method("is_nonzero")
def _is_nonzero(self: Tensor) -> bool:
    """Whether the only element is not zero."""
    return bool(self)


@method()
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return bool(self._data.shape == other._data.shape)


@method("sum_to_size")
def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over what broadcasting from `size` to the tensor's shape would repeat; itself if that is nothing."""
    wanted = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape = self._data.shape
    if len(wanted) > len(shape) or any(a not in (1, b) for a, b in zip(wanted[::-1], shape[::-1], strict=False)):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    if wanted == shape:
        return self
    lead = len(shape) - len(wanted)
    found: Tensor = RECORDED.sum_to_size(self, (*(1,) * lead, *wanted))
    return found.view(wanted) if lead else found


@method()
def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A new tensor of this tensor's type, from sizes or from data."""
    from minigrad._creation import legacy_tensor

    check_device(device)
    made: Tensor = legacy_tensor(Tensor, self._data.dtype, *args)
    return made


@method()
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared between processes: never."""
    return False


@method()
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is pinned: never."""
    return False


@method()
def get_device(self: Tensor) -> int:
    """The number of the device: -1 on the CPU."""
    return -1


@method()
def is_distributed(self: Tensor) -> bool:
    """Whether the elements lie on several machines: never."""
    return False


def _device(self: Tensor) -> device:
    """Where the elements are: on the CPU."""
    return CPU


def _layout(self: Tensor) -> layout:
    """How the elements are kept: at strides."""
    return strided


def _never(self: Tensor) -> bool:
    """False: no tensor is this here."""
    return False


def _always(self: Tensor) -> bool:
    """True, of every tensor here."""
    return True


_KINDS: Final = "cuda ipu maia meta mkldnn mps mtia nested quantized sparse sparse_csr vulkan xla xpu"


def install() -> None:
    """Give Tensor the attributes that are constant here; called once."""
    for name, answer in (("device", _device), ("layout", _layout), ("is_cpu", _always)):
        answer.__name__ = name
        setattr(Tensor, name, readonly(answer))
    for kind in _KINDS.split():
        setattr(Tensor, f"is_{kind}", readonly(_never))


@method()
def as_subclass(self: Tensor, cls: type[Tensor]) -> Tensor:
    """The tensor as a view that is an instance of a subclass."""
    if not issubclass(cls, Tensor):
        raise RuntimeError("Creating a Tensor subclass from a class that does not inherit from Tensor is not possible.")
    view: Tensor = self[...]
    made = make(view._data, view._edge, cls)
    made._view, made._writes = view._view, view._writes
    made.__dict__.update(view.__dict__)
    return made


@method()
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number to the main diagonal (with `wrap`, again below it in a tall matrix)."""
    shape = self._data.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, count = sum(self.stride()), min(shape)
    diagonal: Tensor = self.as_strided((count,), (step,))
    diagonal.fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        rest: Tensor = self[shape[1] + 1 :]
        fill_diagonal_(rest, fill_value, wrap)
    return self


@method()
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what a function of it gives."""
    return _each(self, "apply_", callable)


@method()
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by what a function of it and of another tensor's gives."""
    return _each(self, "map_", callable, tensor)


@method()
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replace each element by what a function of it and of two other tensors' gives."""
    return _each(self, "map2_", callable, x, y)


def _each(self: Tensor, name: str, function: Callable[..., Any], *others: Tensor) -> Tensor:
    for each in (self, *others):
        if each.requires_grad:
            raise RuntimeError(
                f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead."
            )
    kind = _dtype.from_numpy(self._data.dtype)
    for each in others:
        if each.dtype is not kind:
            raise TypeError(f"{name}: expected {kind.tensor_type} for 'other' (got {each.dtype.tensor_type})")
    data = self.materialize()
    arrays = [np.broadcast_to(each._data, data.shape) for each in others]
    for place in np.ndindex(data.shape):
        data[place] = function(data[place].item(), *(array[place].item() for array in arrays))
    return self


is_complex, is_floating_point, is_signed = map(_asking, ("is_complex", "is_floating_point", "is_signed"))
is_inference, is_nonzero, numel = map(_asking, ("is_inference", "is_nonzero", "numel"))
detach, detach_ = map(_asking, ("detach", "detach_"))
