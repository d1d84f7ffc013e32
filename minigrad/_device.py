"""Where and how a tensor's elements lie, as torch names it: `device`, `layout`, `memory_format`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_KINDS: Final = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia,"
    " privateuseone"
)


class device:
    """A place for tensors, `device("cpu")` or `device("cpu", 0)`; compares and prints as torch's."""

    __module__ = "minigrad"
    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
        text = str(type) if isinstance(type, device) else type
        if not isinstance(text, str):
            raise TypeError(f"device(): argument 'type' (position 1) must be str, not {text.__class__.__name__}")
        name, colon, number = text.partition(":")
        if name not in _KINDS.split(", "):
            raise RuntimeError(f"Expected one of {_KINDS} device type at start of device string: {name}")
        if colon and not number.isdigit():
            raise RuntimeError(f"Invalid device string: '{text}'")
        self.type = name
        self.index = int(number) if colon else index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


CPU: Final = device("cpu")


def check_device(given: Any) -> None:
    """Refuse every device but the CPU, with torch's words where torch without one has them."""
    if given is None or given == "cpu":
        return
    kind = (given if isinstance(given, device) else device(given)).type
    if kind == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    if kind != "cpu":
        raise NotImplementedError(f"minigrad computes on the CPU alone: there is no device '{kind}'")


class _Named:
    """A constant that prints as its name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return self._name


class layout(_Named):
    """How a tensor keeps its elements: always `strided` here."""

    __module__ = "minigrad"


class memory_format(_Named):
    """The order of dimensions in memory that a copy is asked to have: of `rank` dimensions the second is last, or none
    is moved."""

    __slots__ = ("rank",)
    __module__ = "minigrad"

    def __init__(self, name: str, rank: int = 0) -> None:
        super().__init__(name)
        self.rank = rank

    def ordered(self, data: Any) -> Any:
        """An array with its dimensions in the order in which they lie in memory."""
        if self.rank not in (0, data.ndim):
            raise RuntimeError(f"required rank {self.rank} tensor to use {self._name} format")
        return np.moveaxis(data, 1, -1) if self.rank else data


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)
