"""Warnings that torch gives once in a process, however often and from wherever what they tell of is done."""

from __future__ import annotations

import sys
import warnings
from typing import Final

_given: Final[set[str]] = set()


class Always:
    """Whether every one is given each time (`set_warn_always`)."""

    on = False


def warn_once(text: str) -> None:
    """Give a UserWarning at the line of the user's call, unless it was given already."""
    if text in _given and not Always.on:
        return
    _given.add(text)
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minigrad":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=depth)
