"""Warnings at the line of the user's call, however deep in minigrad they come up."""

from __future__ import annotations

import sys
import warnings
from typing import Final

_given: Final[set[str]] = set()


class Always:
    """Whether every one is given each time (`set_warn_always`)."""

    on = False


def warn(text: str) -> None:
    """Give a UserWarning."""
    depth, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minigrad":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=depth)


def warn_once(text: str) -> None:
    """Give a UserWarning unless it was given already in this process, however often and wherever it comes up."""
    if text not in _given or Always.on:
        _given.add(text)
        warn(text)
