"""Storages: the memory behind tensors, and the methods that exchange it."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import _views
from minigrad._declare import method
from minigrad._device import CPU, device
from minigrad._dtype import from_numpy
from minigrad._tensor import Tensor, count_write


class UntypedStorage:
    """A tensor's memory as bytes."""

    __module__ = "torch.storage"

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    @property
    def device(self) -> device:
        """Where it is: on the CPU."""
        return CPU

    def nbytes(self) -> int:
        """How many bytes it has."""
        return self._array.nbytes

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """Where it begins."""
        return _views.address(self._array)

    def __repr__(self) -> str:
        lines = "\n".join(f" {byte}" for byte in self._array.tobytes("A"))
        return f"{lines}\n[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"


@method()
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that the tensor, and its views, lie in."""
    return UntypedStorage(_views.owner(self))


@method()
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same elements of the same memory."""
    a, b = self.materialize(), tensor.materialize()
    return _views.address(a) == _views.address(b) and a.shape == b.shape and a.strides == b.strides


@method()
def set_(self: Tensor, source: Tensor | None = None) -> Tensor:
    """Take another tensor's memory for one's own; without one, become empty."""
    _views.check_inplace(self)
    data = np.empty(0, self._data.dtype) if source is None else source.materialize()
    if data.dtype != self._data.dtype:
        wanted, given = from_numpy(self._data.dtype).cpp_name, from_numpy(data.dtype).cpp_name
        raise RuntimeError(f"Could not set tensor of type {given} to a tensor of type {wanted}")
    self._data = data
    count_write(self)
    return self


@method()
def share_memory_(self: Tensor) -> Tensor:
    """NotImplementedError: numpy's arrays do not lie in memory that processes share."""
    raise NotImplementedError("share_memory_: numpy's arrays do not lie in memory that processes share")
