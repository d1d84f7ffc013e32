"""Settings of torch that change little or nothing here: default devices, threads, warnings, determinism."""

from __future__ import annotations

import warnings
from typing import Any

from minigrad import _dtype
from minigrad._device import CPU, check_device, device
from minigrad._warning import Always

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_num_threads",
    "is_warn_always_enabled",
    "set_default_device",
    "set_default_tensor_type",
    "set_num_threads",
    "set_warn_always",
    "use_deterministic_algorithms",
]


class _Settings:
    """What was set, for the whole process, as in torch."""

    deterministic = False
    threads = 1


def set_default_tensor_type(t: Any, /) -> None:
    """Make the type of `t`, a class such as `DoubleTensor` or its name, the default floating type."""
    warnings.warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and"
        " torch.set_default_device() as alternatives.",
        stacklevel=2,
    )
    name = t if isinstance(t, str) else getattr(getattr(t, "dtype", None), "tensor_type", "")
    for each in _dtype.ALL:
        if each.tensor_type == name:
            return _dtype.set_default_dtype(each)
    raise TypeError(f"invalid type object: only floating-point types are supported as the default type: {t!r}")


def get_default_device() -> device:
    """Where new tensors are: on the CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Accept the CPU, refuse any other device."""
    check_device(device)


def set_num_threads(count: int, /) -> None:
    """Remember a number of threads; numpy decides on its own."""
    if not isinstance(count, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(count).__name__}")
    if count <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _Settings.threads = count


def get_num_threads() -> int:
    """The number of threads that was set."""
    return _Settings.threads


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that are given once in a process are given each time."""
    Always.on = b


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was given last."""
    return Always.on


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: all algorithms are deterministic here."""
    _Settings.deterministic = mode


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was given last."""
    return _Settings.deterministic
