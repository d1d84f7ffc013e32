"""Torch's profiler, of which minigrad has the labels alone."""

from __future__ import annotations

from typing import Any

from minigrad._modes import _Mode


class record_function(_Mode):
    """A name for what is inside, as a context manager or decorator: there is no profile that would show it."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def clone(self) -> record_function:
        return record_function(self.name, self.args)


class profile:
    """Not there: NotImplementedError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("minigrad keeps no profile of its own: use one of Python's, such as cProfile")
