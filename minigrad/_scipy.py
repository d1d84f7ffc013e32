"""scipy, for what torch has and numpy lacks: optional, and imported when first needed."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any


@functools.cache
def module(name: str, caller: str) -> Any:
    """scipy's module of this name; ImportError that says how to get it, and that `caller` needs it."""
    try:
        return importlib.import_module(f"scipy.{name}")
    except ImportError as error:
        raise ImportError(f"{caller} needs scipy: pip install 'minigrad-conformance[scipy]'") from error


def special(name: str, caller: str | None = None) -> Callable[..., Any]:
    """`scipy.special`'s function of this name, whose results have the type of the first argument."""

    def function(first: Any, *rest: Any) -> Any:
        result = getattr(module("special", caller or name), name)(first, *rest)
        return result if result.dtype == first.dtype else result.astype(first.dtype)

    return function
