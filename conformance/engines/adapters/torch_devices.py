"""torch in other precisions and on other devices: the same functions, other kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch

from conformance.engines.protocol import EngineError, Unsupported
from conformance.engines.torchlike import Torch

#: What has no float64 that could be a float32, or (integers that index a factorisation) takes what another makes.
_NO_FLOATS = """
float linalg.lu_solve lu_unpack bitwise_not bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
gcd lcm bincount unique unique_consecutive nonzero argwhere isin nn.functional.one_hot unravel_index tril_indices
triu_indices
"""


class Float32(Torch):
    """torch where every float64 is a float32: what single precision costs, next to double precision."""

    precision = "float32"

    def __init__(self) -> None:
        super().__init__()
        self.name = "torch:float32"

    def supports(self, op: str) -> bool:
        return op not in _NO_FLOATS.split() and super().supports(op)

    def leaf(self, array: npt.NDArray[Any], requires_grad: bool) -> Any:
        if array.dtype not in ("float64", "int64", "bool"):
            raise Unsupported(f"{array.dtype}: only what is double precision on the other side")
        if not array.flags.c_contiguous:
            raise Unsupported("strides: a copy in single precision has its own")
        return super().leaf(array.astype("float32") if array.dtype == "float64" else array, requires_grad)

    def dtype(self, name: str) -> Any:
        if name != "float64":
            raise Unsupported(name)
        return torch.float32

    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        if op == "float" or not any(
            torch.is_tensor(x) and x.is_floating_point() for x in _flat([args, kwargs.values()])
        ):
            raise Unsupported("results that are single precision on the other side too")
        return super().call(form, "float" if op == "double" else op, args, kwargs)

    def numpy(self, value: Any) -> npt.NDArray[Any]:
        found = super().numpy(value)
        return found.astype("float64") if found.dtype == "float32" else found


def _flat(items: Any) -> Iterator[Any]:
    for item in items:
        if isinstance(item, (tuple, list)) or type(item).__name__ == "dict_values":
            yield from _flat(item)
        else:
            yield item


class Cuda(Torch):
    """torch on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "torch:cuda"
        if not torch.cuda.is_available():
            raise EngineError("engine torch:cuda: torch sees no GPU on this machine")

    def leaf(self, array: npt.NDArray[Any], requires_grad: bool) -> Any:
        if not array.flags.c_contiguous:
            raise Unsupported("strides of leaves on a GPU")
        return super().leaf(array, False).cuda().requires_grad_(requires_grad)

    def numpy(self, value: Any) -> npt.NDArray[Any]:
        return super().numpy(value.cpu() if hasattr(value, "cpu") else value)
