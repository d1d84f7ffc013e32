"""The modes under torch's old module name."""

import contextlib
from collections.abc import Iterator

from minigrad._modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]


@contextlib.contextmanager
def set_multithreading_enabled(mode: bool) -> Iterator[None]:
    """Does nothing: backward runs in the thread that calls it."""
    yield
