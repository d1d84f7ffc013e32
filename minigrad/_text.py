"""How torch's error messages name things."""

from __future__ import annotations

_HEAP_TYPE = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE: set for classes that Python code made

_IN_C = {"Size", "device", "dtype", "layout", "memory_format"}  # what torch writes in C


def type_name(value: object) -> str:
    """The name of a value's type as C code sees it: with its module for an extension's types (`numpy.ndarray`)."""
    kind = type(value)
    if kind.__module__.startswith("minigrad") and kind.__name__ in _IN_C:
        return f"torch.{kind.__name__}"
    if kind.__flags__ & _HEAP_TYPE or kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"
